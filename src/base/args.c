#include "base/args.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"

#define NEAR 2                          /* how far a typing error may lead from the option meant */

struct parse {
	const struct args_option *opts;
	size_t count;
	int argc, next, kept;           /* next: word to look at; kept: operands so far,
	    argv[0] included */
	char **argv;
};

void
args_list_clear(struct args_list *l)
{
	free((void *)l->v);
	*l = (struct args_list){ 0 };
}

int
args_list_add(struct args_list *l, const char *value)
{
	int rc = mem_grow((void **)&l->v, &l->cap, l->count + 1, sizeof(*l->v));

	if (rc == OK)
		l->v[l->count++] = value;
	return rc;
}

static bool
wants_value(const struct args_option *o)
{
	return o->kind != ARGS_FLAG && o->kind != ARGS_TALLY && o->kind != ARGS_MAYBE;
}

static int
apply(const struct args_option *o, const char *value)
{
	switch (o->kind) {
	case ARGS_FLAG:
		*(bool *)o->out = true;
		return OK;
	case ARGS_TALLY:
		++*(int *)o->out;
		return OK;
	case ARGS_TEXT:
		*(const char **)o->out = value;
		return OK;
	case ARGS_LIST:
		return args_list_add(o->out, value);
	case ARGS_NUMBER:
		return text_parse_number(value, o->out);
	case ARGS_SIZE:
		return text_parse_size(value, o->out);
	case ARGS_CALL:
	case ARGS_MAYBE:
		return o->call(o->out, value);
	}
	return fail(ERR_USAGE, "unknown kind of option");
}

/* The option's value is the rest of this word (inline_value), or the next word. */
static int
take(struct parse *p, const struct args_option *o, const char *shown, const char *inline_value)
{
	const char *value = inline_value;

	if (wants_value(o) && !value) {
		if (p->next == p->argc)
			return fail(ERR_USAGE, "option '%s' needs a value", shown);
		value = p->argv[p->next++];
	}
	return err_context(apply(o, value), "option '%s'", shown);
}

static int
unknown_long(const struct parse *p, const char *shown, const char *name)
{
	const char *best = NULL;
	unsigned best_distance = NEAR + 1;

	for (size_t i = 0; i < p->count; i++) {
		unsigned d = p->opts[i].name ? text_distance(name, p->opts[i].name) : NEAR + 1;

		if (d < best_distance) {
			best_distance = d;
			best = p->opts[i].name;
		}
	}
	if (best)
		return fail(ERR_USAGE, "unknown option '%s' (did you mean '--%s'?)", shown, best);
	return fail(ERR_USAGE, "unknown option '%s'", shown);
}

static int
long_option(struct parse *p, const char *word)
{
	const char *eq = strchr(word, '=');
	size_t len = eq ? (size_t)(eq - word) : strlen(word);
	char shown[64];
	size_t n = len < sizeof(shown) - 1 ? len : sizeof(shown) - 1;

	memcpy(shown, word, n);
	shown[n] = 0;
	for (size_t i = 0; i < p->count; i++) {
		const struct args_option *o = &p->opts[i];

		if (!o->name || strlen(o->name) != len - 2 || memcmp(o->name, word + 2,
		    len - 2) != 0)
			continue;
		if (eq && !wants_value(o) && o->kind != ARGS_MAYBE)
			return fail(ERR_USAGE, "option '%s' takes no value", shown);
		return take(p, o, shown, eq ? eq + 1 : NULL);
	}
	return unknown_long(p, shown, shown + 2);
}

static int
short_options(struct parse *p, const char *word)
{
	int rc;

	for (const char *s = word + 1; *s; s++) {
		char shown[3] = { '-', *s, 0 };
		const struct args_option *o = NULL;

		for (size_t i = 0; i < p->count && !o; i++)
			if (p->opts[i].letter == *s)
				o = &p->opts[i];
		if (!o && s == word + 1 && s[1])
			return unknown_long(p, word, word + 1);
		if (!o)
			return fail(ERR_USAGE, "unknown option '%s'", shown);
		if (wants_value(o))
			return take(p, o, shown, s[1] ? s + 1 : NULL);
		if ((rc = take(p, o, shown, NULL)))
			return rc;
	}
	return OK;
}

int
args_parse(const struct args_option *opts, size_t count, int *argc, char **argv, unsigned flags)
{
	struct parse p = { .opts = opts, .count = count, .argc = *argc, .next = 1, .kept = 1,
	    .argv = argv };
	int rc = OK;

	while (rc == OK && p.next < p.argc) {
		char *word = argv[p.next++];

		if (strcmp(word, "--") == 0)
			break;
		if (word[0] == '-' && word[1] == '-') {
			rc = long_option(&p, word);
		} else if (word[0] == '-' && word[1]) {
			rc = short_options(&p, word);
		} else {
			argv[p.kept++] = word;
			if (flags & ARGS_STOP)
				break;
		}
	}
	while (p.next < p.argc)
		argv[p.kept++] = argv[p.next++];
	argv[p.kept] = NULL;
	*argc = p.kept;
	return rc;
}
