/*
 * Times are spans: "2026-11-20" is a day, "09:00" a minute.  parse_span() finds both ends; who
 * looks for the newest snapshot not
 * after a time takes the last instant, who stamps one takes the first.  Local times go through
 * mktime() twice, as standard and as
 * summer time, since an hour occurs twice in autumn and never in spring.
 */
#include "ops/select.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "ops/retention.h"

#define NS 1000000000ll
#define CANDIDATES 4                    /* named when a prefix is ambiguous */

struct span {
	int64_t first, last;            /* nanoseconds since 1970, both included */
};

static bool
is_word(const struct snaprec_string *s, const char *word, size_t len)
{
	return s->len == len && (!len || memcmp(s->p, word, len) == 0);
}

static bool
list_has(const struct snaprec_string *raw, const char *word, size_t len)
{
	struct snaprec_string s;
	struct cursor c;

	cursor_init(&c, raw->p, raw->len);
	while (snaprec_next_string(&c, &s))
		if (is_word(&s, word, len))
			return true;
	return false;
}

/* All tags of "a,b"; an empty text matches a snapshot without tags. */
static bool
has_tags(const struct snaprec *rec, const char *text)
{
	struct cursor c;
	struct snaprec_string s;
	size_t len;

	if (!*text) {
		cursor_init(&c, rec->tags_raw.p, rec->tags_raw.len);
		return !snaprec_next_string(&c, &s);
	}
	for (;; text += len + 1) {
		len = strcspn(text, ",");
		if (len && !list_has(&rec->tags_raw, text, len))
			return false;
		if (!text[len])
			return true;
	}
}

bool
select_matches(const struct snaprec *rec, const struct select_filter *f)
{
	bool host, tag;

	if (!f)
		return true;
	host = !f->host_count;
	tag = !f->tag_count;
	for (size_t i = 0; i < f->host_count; i++)
		host = host || is_word(&rec->host, f->hosts[i], strlen(f->hosts[i]));
	for (size_t i = 0; i < f->tag_count; i++)
		tag = tag || has_tags(rec, f->tags[i]);
	for (size_t i = 0; i < f->path_count; i++)
		if (!list_has(&rec->paths_raw, f->paths[i], strlen(f->paths[i])))
			return false;
	return host && tag;
}

/* Two (or four) digits at *s, within bounds; *s moves on. */
static bool
field(const char **s, size_t width, int least, int most, int *out)
{
	int n = 0;

	for (size_t i = 0; i < width; i++) {
		if ((*s)[i] < '0' || (*s)[i] > '9')
			return false;
		n = n * 10 + ((*s)[i] - '0');
	}
	*s += width;
	*out = n;
	return n >= least && n <= most;
}

static bool
literal(const char **s, char c)
{
	if (**s != c)
		return false;
	++*s;
	return true;
}

/* Is t what the clock showed as *want?  Not for times that a change of the clock skipped. */
static bool
shows(time_t t, const struct tm *want)
{
	struct tm tm;

	return localtime_r(&t, &tm) && tm.tm_hour == want->tm_hour && tm.tm_min == want->tm_min &&
	    tm.tm_sec == want->tm_sec &&
	    tm.tm_mday == want->tm_mday;
}

/*
 * The instants at which local clocks show *want, normalised: the earlier and the later one, mostly
 * equal.
 */
static void
local_instants(const struct tm *want, time_t *early, time_t *late)
{
	struct tm norm = *want;
	bool any = false;
	time_t t;

	/*
	 * Normalise the date (day 0 is the last of the month before) without any zone, at noon to
	 * be far from changes.
	 */
	norm.tm_hour = 12;
	norm.tm_isdst = 0;
	t = timegm(&norm);
	gmtime_r(&t, &norm);
	norm.tm_hour = want->tm_hour;
	norm.tm_isdst = -1;
	{
		struct tm tm = norm;

		*early = *late = mktime(&tm);
	}
	for (int dst = 0; dst <= 1; dst++) {
		struct tm tm = norm;

		tm.tm_isdst = dst;
		t = mktime(&tm);
		if (!shows(t, &norm))
			continue;
		*early = any && *early < t ? *early : t;
		*late = any && *late > t ? *late : t;
		any = true;
	}
}

/*
 * From the first instant that shows `from` to the one before the clocks show `to` (for the last
 * time).
 */
static bool
local_span(const struct tm *from, const struct tm *to, struct span *out)
{
	time_t first, last, ignored;

	local_instants(from, &first, &ignored);
	local_instants(to, &ignored, &last);
	if (first > INT64_MAX / NS - 1 || last > INT64_MAX / NS - 1 || first < INT64_MIN / NS + 1)
		return false;
	out->first = first * NS;
	out->last = last * NS - 1;
	return true;
}

/* The day that lies `back` days before now. */
static bool
day_span(int64_t now_ns, int back, struct span *out)
{
	time_t now = (time_t)(now_ns / NS);
	struct tm from, to;

	if (!localtime_r(&now, &from))
		return false;
	from.tm_hour = from.tm_min = from.tm_sec = 0;
	from.tm_mday -= back;
	to = from;
	to.tm_mday++;
	return local_span(&from, &to, out);
}

/* "Z", "+01:00", "-0530" at *s. */
static bool
zone(const char **s, int *offset_s)
{
	int h, m, sign = **s == '-' ? -1 : 1;

	*offset_s = 0;
	if (literal(s, 'Z') || literal(s, 'z'))
		return true;
	if (!literal(s, '+') && !literal(s, '-'))
		return false;
	if (!field(s, 2, 0, 14, &h))
		return false;
	(void)literal(s, ':');
	if (!field(s, 2, 0, 59, &m))
		return false;
	*offset_s = sign * (h * 3600 + m * 60);
	return true;
}

/* Digits behind a decimal point as nanoseconds; *step: what the last digit stands for. */
static bool
fraction(const char **s, int64_t *ns, int64_t *step)
{
	const char *begin = *s;

	*ns = 0;
	*step = NS;
	for (; **s >= '0' && **s <= '9'; ++*s)
		if (*step > 1) {
			*step /= 10;
			*ns += (**s - '0') * *step;
		}
	return *s > begin;
}

/* "09:00[:30[.5]][zone]" of the day in *tm, to the end of s. */
static bool
clock_span(const char *s, struct tm *tm, struct span *out)
{
	int64_t ns = 0, step = 60 * NS;
	int offset;
	struct tm to;
	time_t t;

	if (!field(&s, 2, 0, 23, &tm->tm_hour) || !literal(&s, ':') ||
	    !field(&s, 2, 0, 59, &tm->tm_min))
		return false;
	if (literal(&s, ':')) {
		step = NS;
		if (!field(&s, 2, 0, 60, &tm->tm_sec) || (literal(&s, '.') &&
		    !fraction(&s, &ns, &step)))
			return false;
	}
	if (*s) {
		if (!zone(&s, &offset) || *s)
			return false;
		t = timegm(tm);
		out->first = (t - offset) * NS;
		out->last = out->first;
	} else {
		to = *tm;
		local_span(tm, &to, out);
		out->last++;
	}
	out->first += ns;
	out->last += ns + step - 1;
	return true;
}

/* "2026-11-20" and what follows. */
static bool
date_span(const char *s, struct span *out)
{
	static const int days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	struct tm tm = { 0 }, to;
	int year, month;

	if (!field(&s, 4, 1970, 2200, &year) || !literal(&s, '-') || !field(&s, 2, 1, 12, &month) ||
	    !literal(&s, '-') ||
	    !field(&s, 2, 1, days[month - 1], &tm.tm_mday))
		return false;
	if (month == 2 && tm.tm_mday == 29 && (year % 4 || (year % 100 == 0 && year % 400)))
		return false;
	tm.tm_year = year - 1900;
	tm.tm_mon = month - 1;
	if (literal(&s, 'T') || literal(&s, 't') || literal(&s, ' '))
		return clock_span(s, &tm, out);
	to = tm;
	to.tm_mday++;
	return !*s && local_span(&tm, &to, out);
}

static int
parse_span(const char *text, int64_t now_ns, struct span *out)
{
	int64_t ago;

	if (strcmp(text, "now") == 0) {
		out->first = out->last = now_ns;
		return OK;
	}
	if (strcmp(text, "today") == 0 && day_span(now_ns, 0, out))
		return OK;
	if (strcmp(text, "yesterday") == 0 && day_span(now_ns, 1, out))
		return OK;
	if (date_span(text, out))
		return OK;
	if (text_parse_duration(text, &ago) == OK) {
		out->first = out->last = now_ns - ago;
		return OK;
	}
	return fail(ERR_USAGE,
	    "'%s' is not a time (examples: 2026-11-20, 2026-11-20T09:00, 3h, 2d12h, yesterday)",
	    text);
}

int
select_parse_time(const char *text, int64_t now_ns, int64_t *ns)
{
	struct span span;
	int rc = parse_span(text, now_ns, &span);

	if (rc == OK)
		*ns = span.first;
	return rc;
}

int
select_parse_until(const char *text, int64_t now_ns, int64_t *ns)
{
	struct span span;
	int rc = parse_span(text, now_ns, &span);

	if (rc == OK)
		*ns = span.last;
	return rc;
}

static int
none_fits(const struct snapshots *all, const struct select_filter *f, const char *text)
{
	if (!all->count)
		return fail(ERR_ABSENT, "no snapshot '%s': there is none at all", text);
	if (f && (f->host_count || f->path_count || f->tag_count))
		return fail(ERR_ABSENT,
		    "no snapshot '%s' with this host, path or tag; 'varve list' shows all", text);
	return fail(ERR_ABSENT, "no snapshot '%s'; 'varve list' shows all", text);
}

/* The one that `skip` matching ones follow, of the first `count`, none of them beginning after until_ns. */
static const struct snapshots_item *
newest(const struct snapshots *all, size_t count, const struct select_filter *f, int64_t until_ns, uint64_t skip)
{
	for (size_t i = count; i-- > 0;) {
		const struct snapshots_item *it = &all->items[i];

		if (it->rec.begin_ns <= until_ns && select_matches(&it->rec, f) && skip-- == 0)
			return it;
	}
	return NULL;
}

/* Those of the future come last. */
static const struct snapshots_item *
latest(const struct snapshots *all, const struct select_filter *f, int64_t now_ns)
{
	const struct snapshots_item *it = newest(all, all->count, f, now_ns + RETENTION_AHEAD_NS, 0);

	return it ? it : newest(all, all->count, f, INT64_MAX, 0);
}

const struct snapshots_item *
select_passed_over(const struct snapshots *all, const struct select_filter *f, const char *text, int64_t now_ns)
{
	const struct snapshots_item *it = newest(all, all->count, f, INT64_MAX, 0);

	return strncmp(text, "latest", 6) == 0 && it != latest(all, f, now_ns) ? it : NULL;
}

static int
by_prefix(const struct snapshots *all, const struct select_filter *f, const char *text,
    const struct snapshots_item **out)
{
	char hex[NAME_SID_HEX], found[CANDIDATES * 9 + 1] = "";
	size_t fits = 0, len = strlen(text);

	for (size_t i = 0; i < all->count; i++) {
		name_sid_hex(&all->items[i].sid, hex);
		if (strncasecmp(hex, text, len) != 0 || !select_matches(&all->items[i].rec, f))
			continue;
		*out = &all->items[i];
		if (fits < CANDIDATES)
			snprintf(found + fits * 9, 10, " %.8s", hex);
		fits++;
	}
	if (fits > 1) {
		*out = NULL;
		return fail(ERR_USAGE, "'%s' fits %zu snapshots (%s%s); give more digits", text,
		    fits, found + 1,
		    fits > CANDIDATES ? " ..." : "");
	}
	if (!fits && !all->count)       /* perhaps only those were read that it could be */
		return fail(ERR_ABSENT, "no snapshot '%s'; 'varve list' shows all", text);
	return fits ? OK : none_fits(all, f, text);
}

bool
select_is_id(const char *text)
{
	size_t len = strspn(text, "0123456789abcdefABCDEF");

	return len > 0 && len < NAME_SID_HEX && !text[len];
}

/* "latest", an id or "@TIME". */
static int
one_base(const struct snapshots *all, const struct select_filter *f, const char *text,
    int64_t now_ns,
    const struct snapshots_item **out)
{
	int64_t until;
	int rc;

	if (select_is_id(text))
		return by_prefix(all, f, text, out);
	if (text[0] == '@') {
		if ((rc = select_parse_until(text + 1, now_ns, &until)))
			return rc;
		*out = newest(all, all->count, f, until, 0);
	} else if (strcmp(text, "latest") == 0) {
		*out = latest(all, f, now_ns);
	} else {
		return fail(ERR_USAGE,
		    "'%s' does not name a snapshot (use latest, latest~2, hex digits of an id, or "
		    "@TIME)", text);
	}
	return *out ? OK : none_fits(all, f, text);
}

int
select_one(const struct snapshots *all, const struct select_filter *f, const char *text,
    int64_t now_ns,
    const struct snapshots_item **out)
{
	const char *tilde = strrchr(text, '~');
	uint64_t skip = 0;
	char *base;
	int rc;

	*out = NULL;
	if (!tilde)
		return one_base(all, f, text, now_ns, out);
	if ((rc = text_parse_number(tilde + 1, &skip)))
		return err_context(rc, "snapshot '%s'", text);
	if ((rc = mem_dup_bytes((uint8_t **)&base, text, (size_t)(tilde - text))))
		return rc;
	rc = one_base(all, f, base, now_ns, out);
	free(base);
	if (rc || !skip)
		return rc;
	*out = newest(all, (size_t)(*out - all->items), f, INT64_MAX, skip - 1);
	return *out ? OK : none_fits(all, f, text);
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Does the colon at text[i] belong to a time "@2026-11-20T09:00..."? */
static bool
is_time_colon(const char *text, size_t i)
{
	return text[0] == '@' && i > 13 && strchr("Tt ", text[11]) && is_digit(text[i - 1]) &&
	    is_digit(text[i - 2]) &&
	    is_digit(text[i + 1]) && is_digit(text[i + 2]) && !is_digit(text[i + 3]);
}

int
select_split(const char *text, char **snap, const char **path)
{
	size_t i = 0;

	while (text[i] && (text[i] != ':' || is_time_colon(text, i)))
		i++;
	*path = text[i] ? text + i + 1 : NULL;
	return mem_dup_bytes((uint8_t **)snap, text, i);
}
