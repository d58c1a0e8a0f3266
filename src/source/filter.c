/*
 * Exclude patterns.  A pattern becomes a row of tokens, and a match runs all
 * places in the row at once (a non-deterministic automaton over the bytes of
 * the path), so that no pattern costs more than tokens x bytes however many
 * stars it has.
 *
 *      x        itself                         ?  [..]  one byte, not "/"
 *      *        any bytes but "/"              **       any bytes
 *      ** and "/" at the start of a component: zero or more whole components
 *
 * The last takes two tokens, DIRS at the border of components and INSIDE
 * within one: DIRS -(byte)-> INSIDE -("/")-> DIRS.
 */
#include "source/filter.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

#define TEXT_MAX 4096

enum {                                  /* below: a byte, for itself */
	ANY = 256, STAR, GLOBSTAR, DIRS, INSIDE,
	SET                             /* SET + i: a set, at text[i] */
};

struct glob {
	uint16_t token[TEXT_MAX];
	size_t count;
	const char *text;               /* the sets are read where they are */
};

struct rule {
	char *text;                     /* owned */
	uint16_t *token;                /* owned */
	size_t count;
	bool include;                   /* takes back earlier rules */
	bool dirs_only;
	bool base;                      /* matched against the last component */
	bool absolute;                  /* began with "/" */
};

struct filter {
	struct rule *rules;
	size_t count, cap;
};

static bool
in_class(const char *name, size_t len, unsigned char c)
{
	static const struct {
		const char *name;
		int (*is)(int);
	} classes[] = {
		{ "alnum", isalnum }, { "alpha", isalpha },
		{ "blank", isblank }, { "cntrl", iscntrl },
		{ "digit", isdigit }, { "graph", isgraph },
		{ "lower", islower }, { "print", isprint },
		{ "punct", ispunct },
		{ "space", isspace }, { "upper", isupper },
		{ "xdigit", isxdigit },
	};

	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		if (strncmp(classes[i].name, name, len) == 0 &&
		    classes[i].name[len] == '\0')
			return classes[i].is(c) != 0;
	return false;
}

/*
 * Is c in the set at p ("[...]")?  *after: behind its "]", NULL when it has
 * none.
 */
static bool
set_has(const char *p, unsigned char c, const char **after)
{
	bool not = p[1] == '!' || p[1] == '^', hit = false;
	const char *end, *first;
	unsigned char lo, hi;

	p += not ? 2 : 1;
	*after = NULL;
	for (first = p; *p && (*p != ']' || p == first); p++) {
		if (p[0] == '[' && p[1] == ':' && (end = strstr(p, ":]"))) {
			hit |= in_class(p + 2, (size_t)(end - p) - 2, c);
			p = end + 1;
			continue;
		}
		if (*p == '\\' && p[1])
			p++;
		lo = hi = (unsigned char)*p;
		if (p[1] == '-' && p[2] && p[2] != ']') {
			p += p[2] == '\\' && p[3] ? 3 : 2;
			hi = (unsigned char)*p;
		}
		hit |= c >= lo && c <= hi;
	}
	if (!*p)
		return false;
	*after = p + 1;
	return hit != not;
}

/* One or more stars at p; *used: bytes taken. */
static uint16_t
star_token(const struct glob *g, const char *p, size_t *used)
{
	bool border = p == g->text || p[-1] == '/';

	*used = strspn(p, "*");
	if (*used == 1)
		return STAR;
	if (!border || p[*used] != '/')
		return GLOBSTAR;
	++*used;
	return DIRS;
}

/*
 * len: bytes of text to take.  False when it is too long, or a set or a
 * backslash is not finished.
 */
static bool
compile(struct glob *g, const char *text, size_t len)
{
	const char *p = text, *end = text + len, *after;
	size_t used;

	g->text = text;
	g->count = 0;
	if (len > TEXT_MAX / 2)
		return false;
	for (; p < end; p += used) {
		uint16_t t = (unsigned char)*p;

		used = 1;
		if (*p == '*') {
			t = star_token(g, p, &used);
		} else if (*p == '?') {
			t = ANY;
		} else if (*p == '\\') {
			if (p + 1 >= end)
				return false;
			t = (unsigned char)p[1];
			used = 2;
		} else if (*p == '[') {
			(void)set_has(p, 0, &after);
			if (!after || after > end)
				return false;
			t = (uint16_t)(SET + (p - text));
			used = (size_t)(after - p);
		}
		g->token[g->count++] = t;
		if (t == DIRS)
			g->token[g->count++] = INSIDE;
	}
	return true;
}

/* A row of tokens with the text it came from. */
struct row {
	const uint16_t *token;
	size_t count;
	const char *text;
	bool cross;                     /* "*", "?" and sets match "/" too */
};

/* Places that need no byte to be reached. */
static void
close_places(const struct row *r, uint8_t *at)
{
	for (size_t i = 0; i < r->count; i++)
		if (at[i]) {
			if (r->token[i] == STAR || r->token[i] == GLOBSTAR)
				at[i + 1] = 1;
			else if (r->token[i] == DIRS)
				at[i + 2] = 1;
		}
}

/* Where place i goes with the byte c. */
static void
step(const struct row *r, size_t i, unsigned char c, uint8_t *next)
{
	uint16_t t = r->token[i];
	bool plain = c != '/' || r->cross;
	const char *after;

	if (t < ANY)
		next[i + 1] |= t == c;
	else if (t == ANY)
		next[i + 1] |= plain;
	else if (t == STAR)
		next[i] |= plain;
	else if (t == GLOBSTAR)
		next[i] = 1;
	else if (t == DIRS)
		next[i + 1] |= c != '/';
	else if (t == INSIDE)
		next[c == '/' ? i - 1 : i] = 1;
	else
		next[i + 1] |= plain && set_has(r->text + (t - SET), c, &after);
}

static bool
match(const struct row *r, const char *text, size_t len)
{
	uint8_t places[2][TEXT_MAX + 2], *at = places[0], *next = places[1];
	size_t last = r->count;
	uint8_t *swap;

	/* Nearly every comparison ends here. */
	if (last && r->token[last - 1] < ANY &&
	    (!len || (unsigned char)text[len - 1] != r->token[last - 1]))
		return false;
	if (last && r->token[0] < ANY &&
	    (!len || (unsigned char)text[0] != r->token[0]))
		return false;
	memset(at, 0, last + 2);
	at[0] = 1;
	close_places(r, at);
	for (size_t k = 0; k < len; k++) {
		memset(next, 0, last + 2);
		for (size_t i = 0; i < last; i++)
			if (at[i])
				step(r, i, (unsigned char)text[k], next);
		close_places(r, next);
		if (!memchr(next, 1, last + 1))
			return false;
		swap = at;
		at = next;
		next = swap;
	}
	return at[last] != 0;
}

struct filter *
filter_free(struct filter *f)
{
	if (!f)
		return NULL;
	for (size_t i = 0; i < f->count; i++) {
		free(f->rules[i].text);
		free(f->rules[i].token);
	}
	free(f->rules);
	free(f);
	return NULL;
}

int
filter_new(struct filter **out)
{
	return MEM_NEW(*out);
}

/*
 * "!", the leading and the trailing "/" are taken off; *p and *len are what
 * remains.
 */
static void
rule_shape(struct rule *r, const char **p, size_t *len, bool include)
{
	r->include = include;
	if (**p == '!') {
		r->include = !include;
		++*p;
	}
	*len = strlen(*p);
	while (*len > 1 && (*p)[*len - 1] == '/') {
		r->dirs_only = true;
		--*len;
	}
	r->base = !memchr(*p, '/', *len);
	if (**p == '/') {
		r->absolute = true;
		++*p;
		--*len;
	}
}

int
filter_add(struct filter *f, const char *pattern, bool include)
{
	struct rule r = { 0 };
	struct glob g;
	const char *p = pattern;
	size_t len;
	int rc;

	rule_shape(&r, &p, &len, include);
	if (len == 0)
		return fail(ERR_USAGE, "the pattern '%s' is empty", pattern);
	if ((rc = mem_dup_bytes((uint8_t **)&r.text, p, len)))
		return rc;
	if (!compile(&g, r.text, len)) {
		rc = fail(ERR_USAGE, "bad pattern '%s'", pattern);
		goto out;
	}
	/* "a**b" may span components, so it is looked for everywhere. */
	for (size_t i = 0; r.base && i < g.count; i++)
		if (g.token[i] == GLOBSTAR) {
			memmove(g.token + 2, g.token,
			    g.count * sizeof(g.token[0]));
			g.token[0] = DIRS;
			g.token[1] = INSIDE;
			g.count += 2;
			r.base = false;
		}
	r.count = g.count;
	if ((rc = mem_dup_bytes((uint8_t **)&r.token, g.token,
	    g.count * sizeof(g.token[0]))) == OK &&
	    (rc = mem_grow((void **)&f->rules, &f->cap, f->count + 1,
	    sizeof(r))) == OK)
		f->rules[f->count++] = r;
out:
	if (rc) {
		free(r.text);
		free(r.token);
	}
	return rc;
}

/* Blanks at the end do not belong to a line's pattern unless quoted. */
static void
line_trim(char *line, size_t len)
{
	while (len && strchr("\r\n \t", line[len - 1])) {
		if (len > 1 && line[len - 2] == '\\' && line[len - 1] == ' ')
			break;
		line[--len] = '\0';
	}
}

static int
add_lines(struct filter *f, FILE *in, bool include)
{
	unsigned long number = 0;
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;
	int rc = OK;

	while (rc == OK && (len = getline(&line, &cap, in)) >= 0) {
		number++;
		if (strlen(line) != (size_t)len)
			rc = fail(ERR_USAGE, "zero byte");
		line_trim(line, strlen(line));
		if (rc == OK && *line && *line != '#')
			rc = filter_add(f, line, include);
		rc = err_context(rc, "line %lu", number);
	}
	if (rc == OK && ferror(in))
		rc = fail_io("cannot read");
	free(line);
	return rc;
}

int
filter_add_file(struct filter *f, const char *path, bool include)
{
	FILE *in = stdin;
	int rc;

	if (strcmp(path, "-") != 0 && !(in = fopen(path, "re")))
		return fail_io("cannot open '%s'", path);
	rc = add_lines(f, in, include);
	if (in != stdin)
		fclose(in);
	return err_context(rc, "%s", path);
}

bool
filter_is_empty(const struct filter *f)
{
	return f->count == 0;
}

bool
filter_excludes(const struct filter *f, const char *abs_path, size_t root_len,
    bool is_dir)
{
	const char *all = abs_path + strspn(abs_path, "/");
	const char *rel = abs_path + root_len, *base;
	size_t len;

	rel += strspn(rel, "/");
	len = strlen(rel);
	base = strrchr(rel, '/');
	base = base ? base + 1 : rel;
	for (size_t i = f->count; i-- > 0;) {
		const struct rule *r = &f->rules[i];
		struct row row = { r->token, r->count, r->text, false };
		bool hit;

		if (r->dirs_only && !is_dir)
			continue;
		if (r->base)
			hit = *rel && match(&row, base,
			    len - (size_t)(base - rel));
		else
			hit = (*rel && match(&row, rel, len)) ||
			    (r->absolute && all != rel &&
			    match(&row, all, strlen(all)));
		if (hit)
			return !r->include;
	}
	return false;
}

bool
filter_glob(const char *pattern, const char *text, bool cross)
{
	struct glob g;
	struct row row;

	if (!compile(&g, pattern, strlen(pattern)))
		return strcmp(pattern, text) == 0;
	row = (struct row){ g.token, g.count, g.text, cross };
	return match(&row, text, strlen(text));
}
