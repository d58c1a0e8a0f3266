/* retention: three years of hourly snapshots against written-out expectations, over changes of the clock (SPEC SR-5 for pins). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail                              /* base/err.h has one too */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "ops/retention.h"

#define NS 1000000000ll
#define HOUR (3600 * NS)
/* 2022-12-31T23:30Z, half past midnight on 2023-01-01 in Berlin; the last of 3 years is 2025-12-31T22:30Z, 23:30 there. */
#define FIRST (1672529400 * NS)
#define COUNT ((365 + 366 + 365) * 24)
#define LAST (FIRST + (COUNT - 1) * HOUR)

static int
zone(void **state)
{
	(void)state;
	/* Berlin by rule, so that no zone files are needed. */
	setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
	tzset();
	return 0;
}

/* The hourly history up to and including `last`. */
static struct retention_item *
history(int64_t last, size_t *count)
{
	struct retention_item *items = calloc(COUNT, sizeof(*items));

	assert_non_null(items);
	*count = (size_t)((last - FIRST) / HOUR) + 1;
	for (size_t i = 0; i < *count; i++) {
		items[i].time_ns = FIRST + (int64_t)i * HOUR;
		items[i].sequence = i + 1;
	}
	return items;
}

/* The times of those that `reason` keeps, newest first, in UTC. */
static void
expect_kept(const struct retention_item *items, size_t count, uint32_t reason, const char *wanted)
{
	char got[4096] = "", one[32];
	size_t len = 0;

	for (size_t i = count; i-- > 0;) {
		time_t t = (time_t)(items[i].time_ns / NS);
		struct tm tm;

		if (!(items[i].why & reason))
			continue;
		assert_non_null(gmtime_r(&t, &tm));
		strftime(one, sizeof(one), "%y-%m-%dT%H:%M", &tm);
		if (len < sizeof(got) - 40)
			len += (size_t)snprintf(got + len, sizeof(got) - len, "%s%s", len ? " " : "", one);
	}
	assert_string_equal(got, wanted);
}

static void
check(const struct retention_policy *p, int64_t last, uint32_t reason, const char *wanted)
{
	size_t count;
	struct retention_item *items = history(last, &count);

	assert_int_equal(retention_apply(p, items, count, last + HOUR / 2), OK);
	expect_kept(items, count, reason, wanted);
	free(items);
}

static struct retention_span
span(const char *text)
{
	struct retention_span s;

	assert_int_equal(retention_parse_span(text, &s), OK);
	return s;
}

static void
each_rule(void **state)
{
	struct retention_policy p = { 0 };

	(void)state;
	p.last = 3;
	check(&p, LAST, RETENTION_LAST, "25-12-31T22:30 25-12-31T21:30 25-12-31T20:30");
	p.periods[RETENTION_BY_HOUR] = 2;
	check(&p, LAST, 2, "25-12-31T22:30 25-12-31T21:30");
	p.periods[RETENTION_BY_DAY] = 4;
	check(&p, LAST, 4, "25-12-31T22:30 25-12-30T22:30 25-12-29T22:30 25-12-28T22:30");
	/* ISO weeks end on Sundays; the newest one is week 1 of 2026. */
	p.periods[RETENTION_BY_WEEK] = 4;
	check(&p, LAST, 8, "25-12-31T22:30 25-12-28T22:30 25-12-21T22:30 25-12-14T22:30");
	p.periods[RETENTION_BY_MONTH] = 5;
	check(&p, LAST, 16, "25-12-31T22:30 25-11-30T22:30 25-10-31T22:30 25-09-30T21:30 25-08-31T21:30");
	p.periods[RETENTION_BY_YEAR] = 9;
	check(&p, LAST, RETENTION_YEARLY, "25-12-31T22:30 24-12-31T22:30 23-12-31T22:30");
	check(&p, LAST, RETENTION_NEWEST, "25-12-31T22:30");
	check(&p, LAST, RETENTION_FUTURE | RETENTION_TAG | RETENTION_PINNED | RETENTION_WITHIN, "");
}

static void
each_span(void **state)
{
	struct retention_policy p = { 0 };

	(void)state;
	p.within = span("2h");
	check(&p, LAST, RETENTION_WITHIN, "25-12-31T22:30 25-12-31T21:30 25-12-31T20:30");
	p.within_periods[RETENTION_BY_HOUR] = span("1h");
	check(&p, LAST, RETENTION_WITHIN_HOURLY, "25-12-31T22:30 25-12-31T21:30");
	p.within_periods[RETENTION_BY_DAY] = span("3d");
	check(&p, LAST, 256, "25-12-31T22:30 25-12-30T22:30 25-12-29T22:30 25-12-28T22:30");
	p.within_periods[RETENTION_BY_WEEK] = span("2w");
	check(&p, LAST, 512, "25-12-31T22:30 25-12-28T22:30 25-12-21T22:30");
	/* Three months before the last of December is the last of September, at the same time of the day. */
	p.within_periods[RETENTION_BY_MONTH] = span("3mo");
	check(&p, LAST, 1024, "25-12-31T22:30 25-11-30T22:30 25-10-31T22:30 25-09-30T21:30");
	p.within_periods[RETENTION_BY_YEAR] = span("1y6mo");
	check(&p, LAST, RETENTION_WITHIN_YEARLY, "25-12-31T22:30 24-12-31T22:30");
}

/* The policy of the README, all rules together. */
static void
a_policy(void **state)
{
	struct retention_policy p = { .periods = { 24, 14, 8, 12, 0 } };
	size_t count, kept = 0;
	struct retention_item *items = history(LAST, &count);

	(void)state;
	assert_int_equal(retention_apply(&p, items, count, LAST), OK);
	expect_kept(items, count, 4, "25-12-31T22:30 25-12-30T22:30 25-12-29T22:30 25-12-28T22:30 25-12-27T22:30 25-12-26T22:30 "
	    "25-12-25T22:30 25-12-24T22:30 25-12-23T22:30 25-12-22T22:30 25-12-21T22:30 25-12-20T22:30 25-12-19T22:30 25-12-18T22:30");
	expect_kept(items, count, 8, "25-12-31T22:30 25-12-28T22:30 25-12-21T22:30 25-12-14T22:30 25-12-07T22:30 25-11-30T22:30 "
	    "25-11-23T22:30 25-11-16T22:30");
	expect_kept(items, count, 16, "25-12-31T22:30 25-11-30T22:30 25-10-31T22:30 25-09-30T21:30 25-08-31T21:30 25-07-31T21:30 "
	    "25-06-30T21:30 25-05-31T21:30 25-04-30T21:30 25-03-31T21:30 25-02-28T22:30 25-01-31T22:30");
	for (size_t i = 0; i < count; i++)
		kept += items[i].why != 0;
	/* 24 hours of the last day; 13 days, 5 weeks, 10 months more. */
	assert_int_equal(kept, 24 + 13 + 5 + 10);
	free(items);
}

static void
clocks_change(void **state)
{
	struct retention_policy p = { 0 };
	const int64_t autumn = 1761449400 * NS;         /* 2025-10-26T03:30Z: 04:30 in Berlin; 02:30 was there twice */
	const int64_t spring = 1743301800 * NS;         /* 2025-03-30T02:30Z: 04:30; 02:30 was not there */

	(void)state;
	p.periods[RETENTION_BY_HOUR] = 5;
	check(&p, autumn, 2, "25-10-26T03:30 25-10-26T02:30 25-10-26T01:30 25-10-26T00:30 25-10-25T23:30");
	check(&p, spring, 2, "25-03-30T02:30 25-03-30T01:30 25-03-30T00:30 25-03-29T23:30 25-03-29T22:30");
	p.periods[RETENTION_BY_DAY] = 3;
	check(&p, autumn, 4, "25-10-26T03:30 25-10-25T21:30 25-10-24T21:30");
	check(&p, spring, 4, "25-03-30T02:30 25-03-29T22:30 25-03-28T22:30");
	/* The day after: a day of 25 and one of 23 hours. */
	check(&p, autumn + 20 * HOUR, 4, "25-10-26T23:30 25-10-26T22:30 25-10-25T21:30");
	check(&p, spring + 20 * HOUR, 4, "25-03-30T22:30 25-03-30T21:30 25-03-29T22:30");
}

static void
clocks_are_wrong(void **state)
{
	struct retention_policy p = { .last = 1, .periods = { 0, 2, 0, 0, 0 } };
	const int64_t t = LAST;
	/* One writer: its clock was an hour ahead for the second one; another machine goes on in between. */
	struct retention_item back[] = {
		{ .time_ns = t, .sequence = 1 },
		{ .time_ns = t + 1200 * NS, .sequence = 3 },
		{ .time_ns = t + 1500 * NS, .sequence = 7, .writer = { { 9 } } },
		{ .time_ns = t + 3600 * NS, .sequence = 2 },
	};
	struct retention_item ahead[] = {
		{ .time_ns = t - 30 * HOUR, .sequence = 1 },
		{ .time_ns = t, .sequence = 3 },
		{ .time_ns = t + 40000 * HOUR, .sequence = 2 },
	};

	(void)state;
	assert_int_equal(retention_apply(&p, back, 4, t + HOUR), OK);
	/* The last one of the chain counts as the last, not the one with the greatest time. */
	assert_true(back[1].why & RETENTION_LAST && back[1].why & RETENTION_NEWEST);
	assert_false(back[3].why & RETENTION_LAST);
	assert_true(back[3].why & RETENTION_NEWEST);
	/* What was made in the future stays, and takes no other's place. */
	assert_int_equal(retention_apply(&p, ahead, 3, t + HOUR), OK);
	assert_int_equal(ahead[2].why, RETENTION_FUTURE);
	assert_int_equal(ahead[1].why, RETENTION_LAST | RETENTION_NEWEST | 4);
	assert_int_equal(ahead[0].why, 4);
	/* This machine's clock is years late: then all are of the future, and all stay. */
	assert_int_equal(retention_apply(&p, ahead, 3, FIRST), OK);
	for (int i = 0; i < 3; i++)
		assert_true(ahead[i].why & RETENTION_FUTURE);
	/* It is years ahead: spans end at the newest snapshot. */
	p = (struct retention_policy){ .within = span("31h") };
	assert_int_equal(retention_apply(&p, ahead, 2, t + 90000 * HOUR), OK);
	assert_true(ahead[0].why & RETENTION_WITHIN);
}

/* Old states that are stored late, under their own times: neither the last nor the newest. */
static void
given_times(void **state)
{
	struct retention_policy p = { .last = 2 };
	const int64_t t = LAST;
	struct retention_item items[] = {
		{ .time_ns = t - 9000 * HOUR, .sequence = 3, .dated = true },
		{ .time_ns = t - 8000 * HOUR, .sequence = 4, .dated = true },
		{ .time_ns = t - 2 * HOUR, .sequence = 1 },
		{ .time_ns = t - HOUR, .sequence = 5 },         /* the clock was an hour ahead for the next one */
		{ .time_ns = t, .sequence = 2 },
	};

	(void)state;
	assert_int_equal(retention_apply(&p, items, 3, t), OK);
	assert_int_equal(items[0].why, 0);
	assert_int_equal(items[1].why, RETENTION_LAST);
	assert_int_equal(items[2].why, RETENTION_LAST | RETENTION_NEWEST);
	assert_int_equal(retention_apply(&p, items, 5, t), OK);
	assert_int_equal(items[1].why, 0);
	assert_int_equal(items[2].why, 0);
	assert_int_equal(items[3].why, RETENTION_LAST | RETENTION_NEWEST);
	assert_int_equal(items[4].why, RETENTION_LAST | RETENTION_NEWEST);
}

static void
tags_and_pins(void **state)
{
	struct retention_policy p = { 0 };
	struct retention_item items[] = {
		{ .time_ns = 1, .tagged = true }, { .time_ns = 2, .pinned = true }, { .time_ns = 3 }, { .time_ns = 4 },
	};

	(void)state;
	assert_int_equal(retention_apply(&p, items, 4, 10), OK);
	assert_int_equal(items[0].why, RETENTION_TAG);
	assert_int_equal(items[1].why, RETENTION_PINNED);
	assert_int_equal(items[2].why, 0);
	assert_int_equal(items[3].why, RETENTION_NEWEST);
	assert_int_equal(retention_apply(&p, NULL, 0, 10), OK);
}

static void
spans(void **state)
{
	static const char *const bad[] = { "", "3", "x", "1y2", "mo", "1mo1y", "1q", "99999y", "-1d" };
	struct retention_span s;
	const int64_t march = 1711882800 * NS;          /* 2024-03-31T11:00Z, 13:00 in Berlin, summer time since that morning */

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(retention_parse_span(bad[i], &s), ERR_USAGE);
	s = span("1mo");
	/* 2024-02-29T12:00Z: 13:00 in winter. */
	assert_int_equal(retention_before(march + 7, &s), 1709208000 * NS + 7);
	s = span("1y1d");
	/* 2023-03-30T11:00Z. */
	assert_int_equal(retention_before(march, &s), 1680174000 * NS);
	s = span("9000y");
	assert_true(retention_before(march, &s) < 0);
	assert_string_equal(retention_reason(0), "last");
	assert_string_equal(retention_reason(16), "young");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_rule), cmocka_unit_test(each_span), cmocka_unit_test(a_policy),
		cmocka_unit_test(clocks_change), cmocka_unit_test(clocks_are_wrong), cmocka_unit_test(given_times),
		cmocka_unit_test(tags_and_pins), cmocka_unit_test(spans),
	};

	return cmocka_run_group_tests(tests, zone, NULL);
}
