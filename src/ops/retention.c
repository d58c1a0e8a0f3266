/*
 * retention: items are numbered by time.  rank[] numbers them again by what was made last: within one writer the chain decides, and
 * its items share the numbers that their times have among all.  So a clock that was set back moves nothing of other writers.
 * What was given its time (an old state that is stored late) is no part of that: its rank is that of its time.
 */
#include "ops/retention.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"

#define NS 1000000000ll

struct group {
	struct retention_item *items;
	size_t count;
	size_t *rank;                   /* of an item; the greatest was made last */
	size_t *key, *chain;            /* two orders of the items */
	int64_t now_ns;
};

static bool
is_future(const struct group *g, size_t i)
{
	return g->items[i].time_ns > g->now_ns + RETENTION_AHEAD_NS;
}

/* ------------------------------------------------------------------------------------------------------- ranks */

static int
writer_cmp(const struct group *g, size_t a, size_t b)
{
	return name_sid_cmp(&g->items[a].writer, &g->items[b].writer);
}

static int
by_time(const void *a, const void *b, void *arg)
{
	size_t x = *(const size_t *)a, y = *(const size_t *)b;
	int cmp = writer_cmp(arg, x, y);

	return cmp ? cmp : x < y ? -1 : x > y;
}

static int
by_chain(const void *a, const void *b, void *arg)
{
	const struct group *g = arg;
	size_t x = *(const size_t *)a, y = *(const size_t *)b;
	uint64_t m = g->items[x].sequence, n = g->items[y].sequence;
	int cmp = writer_cmp(g, x, y);

	if (cmp)
		return cmp;
	if (m != n)
		return m < n ? -1 : 1;
	return x < y ? -1 : x > y;
}

static void
find_ranks(struct group *g)
{
	size_t n = 0;

	for (size_t i = 0; i < g->count; i++) {
		if (g->items[i].dated)
			g->rank[i] = i;
		else
			g->key[n++] = i;
	}
	memcpy(g->chain, g->key, n * sizeof(*g->key));
	qsort_r(g->key, n, sizeof(*g->key), by_time, g);
	qsort_r(g->chain, n, sizeof(*g->chain), by_chain, g);
	for (size_t i = 0; i < n; i++)
		g->rank[g->chain[i]] = g->key[i];
}

/* ------------------------------------------------------------------------------------------------------- rules */

static void
keep_last(struct group *g, uint64_t n)
{
	for (size_t i = 0; i < g->count; i++)
		g->key[g->rank[i]] = i;
	for (size_t i = g->count; i-- > 0 && n > 0;) {
		if (is_future(g, g->key[i]))
			continue;
		g->items[g->key[i]].why |= RETENTION_LAST;
		n--;
	}
}

/* By time, and by rank: they differ where a clock was set back. */
static void
keep_newest(struct group *g)
{
	size_t last = g->count, best = g->count;

	for (size_t i = 0; i < g->count; i++) {
		if (is_future(g, i))
			continue;
		last = i;
		if (best == g->count || g->rank[i] > g->rank[best])
			best = i;
	}
	if (best < g->count)
		g->items[best].why |= RETENTION_NEWEST;
	if (last < g->count)
		g->items[last].why |= RETENTION_NEWEST;
}

/* A number that grows with time and is equal within one hour, day, ISO week, month or year of the local zone. */
static int64_t
period_of(int64_t t_ns, enum retention_period period)
{
	int64_t s = t_ns / NS - (t_ns % NS < 0);
	time_t t = (time_t)s;
	struct tm tm;
	char iso[32];
	int year, week;

	if (!localtime_r(&t, &tm))
		return s;
	switch (period) {
	case RETENTION_BY_HOUR:
		return s - tm.tm_min * 60 - tm.tm_sec;
	case RETENTION_BY_DAY:
		return (int64_t)tm.tm_year * 366 + tm.tm_yday;
	case RETENTION_BY_WEEK:
		if (strftime(iso, sizeof(iso), "%G %V", &tm) && sscanf(iso, "%d %d", &year, &week) == 2)
			return (int64_t)year * 54 + week;
		return s;
	case RETENTION_BY_MONTH:
		return (int64_t)tm.tm_year * 12 + tm.tm_mon;
	default:
		return tm.tm_year;
	}
}

/* The last snapshot of each of the newest n periods that have one, from cut_ns on. */
static void
keep_periods(struct group *g, enum retention_period period, uint64_t n, int64_t cut_ns, uint32_t reason)
{
	size_t best = g->count;
	int64_t now = INT64_MAX, key;

	for (size_t i = g->count; i-- > 0;) {
		if (is_future(g, i))
			continue;
		if (g->items[i].time_ns < cut_ns)
			break;
		key = period_of(g->items[i].time_ns, period);
		/* Where clocks are set back over midnight, the day that is shown for a second time goes on. */
		if (best < g->count && key < now) {
			g->items[best].why |= reason;
			best = g->count;
			if (--n == 0)
				return;
		}
		if (best == g->count || g->rank[i] > g->rank[best])
			best = i;
		now = key < now ? key : now;
	}
	if (best < g->count && n)
		g->items[best].why |= reason;
}

static void
keep_within(struct group *g, int64_t cut_ns)
{
	for (size_t i = 0; i < g->count; i++)
		if (!is_future(g, i) && g->items[i].time_ns >= cut_ns)
			g->items[i].why |= RETENTION_WITHIN;
}

static void
keep_all_rules(struct group *g, const struct retention_policy *p)
{
	int64_t newest = g->now_ns;

	/* Spans end at the newest snapshot: a group that is not written to any more is not eaten up. */
	for (size_t i = 0; i < g->count; i++)
		if (!is_future(g, i))
			newest = g->items[i].time_ns;
	keep_last(g, p->last);
	for (unsigned k = 0; k < RETENTION_PERIODS; k++) {
		const struct retention_span *w = &p->within_periods[k];

		if (p->periods[k])
			keep_periods(g, k, p->periods[k], INT64_MIN, RETENTION_HOURLY << k);
		if (w->set)
			keep_periods(g, k, UINT64_MAX, retention_before(newest, w), RETENTION_WITHIN_HOURLY << k);
	}
	if (p->within.set)
		keep_within(g, retention_before(newest, &p->within));
}

int
retention_apply(const struct retention_policy *p, struct retention_item *items, size_t count, int64_t now_ns)
{
	struct group g = { .items = items, .count = count, .now_ns = now_ns };
	size_t *mem;
	int rc = mem_new((void **)&mem, mem_array(count, 3 * sizeof(*mem)));

	if (rc)
		return rc;
	g.rank = mem;
	g.key = mem + count;
	g.chain = g.key + count;
	for (size_t i = 0; i < count; i++)
		items[i].why = (items[i].tagged ? RETENTION_TAG : 0) | (items[i].pinned ? RETENTION_PINNED : 0) |
		    (is_future(&g, i) ? RETENTION_FUTURE : 0);
	if (count) {
		find_ranks(&g);
		keep_newest(&g);
		keep_all_rules(&g, p);
	}
	free(mem);
	return OK;
}

const char *
retention_reason(unsigned i)
{
	static const char *const names[RETENTION_REASONS] = {
		"last", "hourly", "daily", "weekly", "monthly", "yearly", "within", "within hourly", "within daily",
		"within weekly", "within monthly", "within yearly", "tag", "pinned", "newest", "future", "young",
	};

	return i < RETENTION_REASONS ? names[i] : "";
}

/* ------------------------------------------------------------------------------------------------------- spans */

/* A number before `unit` at *s; *s moves behind it.  False (and *s stays) when there is none. */
static bool
unit_at(const char **s, const char *unit, uint32_t *n)
{
	size_t digits = strspn(*s, "0123456789"), len = strlen(unit);

	if (digits == 0 || digits > 4 || strncmp(*s + digits, unit, len) != 0)
		return false;
	*n = (uint32_t)strtoul(*s, NULL, 10);
	*s += digits + len;
	return true;
}

int
retention_parse_span(const char *text, struct retention_span *out)
{
	const char *s = text;
	bool calendar;

	*out = (struct retention_span){ .set = true };
	calendar = unit_at(&s, "y", &out->years);
	calendar = unit_at(&s, "mo", &out->months) || calendar;
	if ((calendar && !*s) || text_parse_duration(s, &out->ns) == OK)
		return OK;
	return fail(ERR_USAGE, "'%s' is not a span of time (examples: 36h, 14d, 8w, 6mo, 2y6mo)", text);
}

int64_t
retention_before(int64_t t_ns, const struct retention_span *s)
{
	int64_t rest = (t_ns % NS + NS) % NS;
	time_t t = (time_t)((t_ns - rest) / NS);
	struct tm tm, want;

	if ((s->years || s->months) && localtime_r(&t, &tm)) {
		tm.tm_year -= (int)s->years;
		tm.tm_mon -= (int)s->months;
		tm.tm_isdst = -1;
		want = tm;
		t = mktime(&tm);
		/* A month before the 31st is the last day of a shorter month. */
		if (tm.tm_mday != want.tm_mday && tm.tm_mday < 4) {
			want.tm_mday = 0;
			want.tm_mon++;
			t = mktime(&want);
		}
	}
	if (__builtin_mul_overflow((int64_t)t, NS, &t_ns) || __builtin_sub_overflow(t_ns + rest, s->ns, &t_ns))
		return INT64_MIN;
	return t_ns;
}
