/* select: which snapshot is meant.  The wrong one restored over good data is a loss. */
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
#include "base/text.h"
#include "ops/select.h"

#define NS 1000000000ll
#define NOW (1795168800 * NS)           /* 2026-11-20T10:00:00Z, 11:00 in Berlin */

/* Records in memory: lists encoded as SPEC §10 says, `u32 length, bytes`. */
#define COUNT 5

struct made {
	struct snapshots all;
	struct snapshots_item items[COUNT];
	uint8_t paths[COUNT][64], tags[COUNT][64];
};

static struct snaprec_string
encode(uint8_t *buf, const char *words)
{
	size_t len = 0, n;

	for (; *words; words += n + (words[n] == ' ')) {
		n = strcspn(words, " ");
		buf[len] = (uint8_t)n;
		memset(buf + len + 1, 0, 3);
		memcpy(buf + len + 4, words, n);
		len += n + 4;
	}
	return (struct snaprec_string){ buf, (uint32_t)len };
}

static void
make(struct made *m)
{
	static const struct {
		const char *sid, *host, *paths, *tags;
		int64_t begin_s;        /* before NOW */
	} rows[COUNT] = {
		{ "aaaa0000000000000000000000000001", "alpha", "/etc /srv", "daily keep",
		    4 * 86400 },
		{ "aaab0000000000000000000000000002", "alpha", "/srv", "daily", 3 * 86400 },
		{ "bbbb0000000000000000000000000003", "beta", "/srv", "", 86400 },
		{ "bbbbc000000000000000000000000004", "beta", "/etc", "hourly", 7200 },
		{ "cccc0000000000000000000000000005", "alpha", "/srv", "hourly keep", 3600 },
	};

	memset(m, 0, sizeof(*m));
	m->all = (struct snapshots){ .items = m->items, .count = COUNT };
	for (size_t i = 0; i < COUNT; i++) {
		struct snapshots_item *it = &m->items[i];

		assert_true(name_sid_unhex(&it->sid, rows[i].sid));
		it->rec.host = (struct snaprec_string){ (const uint8_t *)rows[i].host,
		    (uint32_t)strlen(rows[i].host) };
		it->rec.begin_ns = NOW - rows[i].begin_s * NS;
		it->rec.paths_raw = encode(m->paths[i], rows[i].paths);
		it->rec.tags_raw = encode(m->tags[i], rows[i].tags);
	}
}

/* Number of the chosen snapshot, from 1, or the error. */
static int
choose(const struct made *m, const struct select_filter *f, const char *text)
{
	const struct snapshots_item *it;
	int rc = select_one(&m->all, f, text, NOW, &it);

	if (rc) {
		assert_null(it);
		return rc;
	}
	return (int)(it - m->items) + 1;
}

static void
berlin(void)
{
	setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
	tzset();
}

static void
test_latest_counts_back_from_the_newest(void **state)
{
	struct made m;

	(void)state;
	make(&m);
	assert_int_equal(choose(&m, NULL, "latest"), 5);
	assert_int_equal(choose(&m, NULL, "latest~0"), 5);
	assert_int_equal(choose(&m, NULL, "latest~2"), 3);
	assert_int_equal(choose(&m, NULL, "latest~4"), 1);
	assert_int_equal(choose(&m, NULL, "latest~5"), ERR_ABSENT);
	assert_int_equal(choose(&m, NULL, "latest~18446744073709551615"), ERR_ABSENT);
	assert_int_equal(choose(&m, NULL, "latest~"), ERR_USAGE);
	assert_int_equal(choose(&m, NULL, "latest~-1"), ERR_USAGE);
	assert_int_equal(choose(&m, NULL, "latest^"), ERR_USAGE);
	assert_int_equal(choose(&m, NULL, ""), ERR_USAGE);
	m.all.count = 0;
	assert_int_equal(choose(&m, NULL, "latest"), ERR_ABSENT);
}

/* A clock that was once ahead must not make old states the latest for as long. */
static void
test_the_future_comes_last(void **state)
{
	const char *const both[] = { "keep,hourly" };
	struct select_filter f = { .tags = both, .tag_count = 1 };
	struct made m;

	(void)state;
	make(&m);
	m.items[4].rec.begin_ns = NOW + 60 * NS;
	assert_int_equal(choose(&m, NULL, "latest"), 5);
	assert_null(select_passed_over(&m.all, NULL, "latest", NOW));
	m.items[4].rec.begin_ns = NOW + 1000 * 86400 * NS;
	assert_int_equal(choose(&m, NULL, "latest"), 4);
	assert_int_equal(choose(&m, NULL, "latest~3"), 1);
	assert_int_equal(choose(&m, NULL, "latest~4"), ERR_ABSENT);
	assert_int_equal(choose(&m, NULL, "cccc"), 5);
	assert_int_equal(choose(&m, NULL, "cccc~1"), 4);
	assert_int_equal(choose(&m, NULL, "@2199-01-01"), 5);
	assert_ptr_equal(select_passed_over(&m.all, NULL, "latest~1", NOW), &m.items[4]);
	assert_null(select_passed_over(&m.all, NULL, "cccc", NOW));
	/* Only it matches. */
	assert_int_equal(choose(&m, &f, "latest"), 5);
	assert_null(select_passed_over(&m.all, &f, "latest", NOW));
	m.all.count = 0;
	assert_null(select_passed_over(&m.all, NULL, "latest", NOW));
}

/* A prefix that fits two snapshots must never pick one of them. */
static void
test_a_prefix_must_be_unique(void **state)
{
	struct made m;

	(void)state;
	make(&m);
	assert_int_equal(choose(&m, NULL, "c"), 5);
	assert_int_equal(choose(&m, NULL, "aaab"), 2);
	assert_int_equal(choose(&m, NULL, "aaaa0000000000000000000000000001"), 1);
	assert_int_equal(choose(&m, NULL, "aaa"), ERR_USAGE);
	assert_non_null(strstr(err_text(), "aaaa0000 aaab0000"));
	assert_int_equal(choose(&m, NULL, "bbbb"), ERR_USAGE);
	assert_int_equal(choose(&m, NULL, "dddd"), ERR_ABSENT);
	assert_int_equal(choose(&m, NULL, "aaaa00000000000000000000000000011"), ERR_USAGE);
	assert_int_equal(choose(&m, NULL, "AAAB"), 2);
	assert_int_equal(choose(&m, NULL, "aaab~1"), 1);
	assert_int_equal(choose(&m, NULL, "aaab~0"), 2);
	assert_int_equal(choose(&m, NULL, "aaab~9"), ERR_ABSENT);
	assert_int_equal(choose(&m, NULL, "aaab~x"), ERR_USAGE);
	assert_true(select_is_id("0a"));
	assert_false(select_is_id("latest") || select_is_id("") || select_is_id("@3h"));
}

static void
test_filters_narrow(void **state)
{
	const char *const alpha[] = { "alpha" }, *const both[] = { "alpha", "beta" };
	const char *const etc[] = { "/etc" }, *const etc_srv[] = { "/etc", "/srv" };
	const char *const daily[] = { "daily" }, *const keep_hourly[] = { "keep,hourly" };
	const char *const none[] = { "" }, *const either[] = { "daily", "hourly" };
	const char *const part[] = { "dail" };
	struct select_filter f;
	struct made m;

	(void)state;
	make(&m);
	f = (struct select_filter){ .hosts = alpha, .host_count = 1 };
	assert_int_equal(choose(&m, &f, "latest~1"), 2);
	assert_int_equal(choose(&m, &f, "bbbb0"), ERR_ABSENT);
	assert_non_null(strstr(err_text(), "host"));
	assert_int_equal(choose(&m, &f, "aa"), ERR_USAGE);
	f = (struct select_filter){ .hosts = both, .host_count = 2 };
	assert_int_equal(choose(&m, &f, "latest~4"), 1);
	f = (struct select_filter){ .paths = etc, .path_count = 1 };
	assert_int_equal(choose(&m, &f, "latest"), 4);
	f = (struct select_filter){ .paths = etc_srv, .path_count = 2 };
	assert_int_equal(choose(&m, &f, "latest"), 1);
	f = (struct select_filter){ .tags = daily, .tag_count = 1 };
	assert_int_equal(choose(&m, &f, "latest"), 2);
	f = (struct select_filter){ .tags = keep_hourly, .tag_count = 1 };
	assert_int_equal(choose(&m, &f, "latest"), 5);
	assert_int_equal(choose(&m, &f, "latest~1"), ERR_ABSENT);
	f = (struct select_filter){ .tags = either, .tag_count = 2 };
	assert_int_equal(choose(&m, &f, "latest~3"), 1);
	f = (struct select_filter){ .tags = none, .tag_count = 1 };
	assert_int_equal(choose(&m, &f, "latest"), 3);
	f = (struct select_filter){ .tags = part, .tag_count = 1 };
	assert_int_equal(choose(&m, &f, "latest"), ERR_ABSENT);
}

/* The newest not after: a snapshot of the day, or of the minute, that was named counts. */
static void
test_times_choose_the_newest_not_after(void **state)
{
	struct made m;

	(void)state;
	berlin();
	make(&m);
	assert_int_equal(choose(&m, NULL, "@now"), 5);
	assert_int_equal(choose(&m, NULL, "@1h"), 5);
	assert_int_equal(choose(&m, NULL, "@61m"), 4);
	assert_int_equal(choose(&m, NULL, "@1d"), 3);
	assert_int_equal(choose(&m, NULL, "@yesterday"), 3);
	assert_int_equal(choose(&m, NULL, "@today"), 5);
	assert_int_equal(choose(&m, NULL, "@2026-11-18"), 2);
	assert_int_equal(choose(&m, NULL, "@2026-11-17"), 2);
	assert_int_equal(choose(&m, NULL, "@2026-11-15"), ERR_ABSENT);
	assert_int_equal(choose(&m, NULL, "@2026-11-20T10:00"), 5);
	assert_int_equal(choose(&m, NULL, "@2026-11-20T09:59"), 4);
	assert_int_equal(choose(&m, NULL, "@2026-11-20T09:00Z"), 5);
	assert_int_equal(choose(&m, NULL, "@2026-11-20 08:59:59Z"), 4);
	/* A job of 09:00:00 begins a little later. */
	m.items[4].rec.begin_ns += 400000000;
	assert_int_equal(choose(&m, NULL, "@2026-11-20T10:00"), 5);
	assert_int_equal(choose(&m, NULL, "@2026-11-20T10:00:00"), 5);
	assert_int_equal(choose(&m, NULL, "@2026-11-20T10:00:00.3"), 4);
	assert_int_equal(choose(&m, NULL, "@2026-11-20T10:00:00.4"), 5);
	assert_int_equal(choose(&m, NULL, "@"), ERR_USAGE);
	assert_int_equal(choose(&m, NULL, "@soon"), ERR_USAGE);
}

static void
expect_span(const char *text, const char *first, const char *last)
{
	char buf[TEXT_TIME_MAX];
	int64_t ns;

	assert_int_equal(select_parse_time(text, NOW, &ns), OK);
	assert_string_equal(text_time_utc(buf, ns), first);
	assert_int_equal(select_parse_until(text, NOW, &ns), OK);
	assert_string_equal(text_time_utc(buf, ns), last);
}

static void
test_times_in_the_local_zone(void **state)
{
	(void)state;
	berlin();
	expect_span("2026-11-20", "2026-11-19T23:00:00.000000000Z",
	    "2026-11-20T22:59:59.999999999Z");
	expect_span("today", "2026-11-19T23:00:00.000000000Z", "2026-11-20T22:59:59.999999999Z");
	expect_span("yesterday", "2026-11-18T23:00:00.000000000Z",
	    "2026-11-19T22:59:59.999999999Z");
	expect_span("2026-11-20T09:00", "2026-11-20T08:00:00.000000000Z",
	    "2026-11-20T08:00:59.999999999Z");
	expect_span("2026-11-20 09:00:30", "2026-11-20T08:00:30.000000000Z",
	    "2026-11-20T08:00:30.999999999Z");
	expect_span("2026-11-20t09:00:30.25", "2026-11-20T08:00:30.250000000Z",
	    "2026-11-20T08:00:30.259999999Z");
	expect_span("2026-07-01T09:00", "2026-07-01T07:00:00.000000000Z",
	    "2026-07-01T07:00:59.999999999Z");
	expect_span("2028-02-29", "2028-02-28T23:00:00.000000000Z",
	    "2028-02-29T22:59:59.999999999Z");
	expect_span("2026-12-31", "2026-12-30T23:00:00.000000000Z",
	    "2026-12-31T22:59:59.999999999Z");
	/* Said with a zone; what list --json prints is understood. */
	expect_span("2026-11-20T09:00Z", "2026-11-20T09:00:00.000000000Z",
	    "2026-11-20T09:00:59.999999999Z");
	expect_span("2026-11-20T09:00+05:30", "2026-11-20T03:30:00.000000000Z",
	    "2026-11-20T03:30:59.999999999Z");
	expect_span("2026-11-20T09:00:00-0100", "2026-11-20T10:00:00.000000000Z",
	    "2026-11-20T10:00:00.999999999Z");
	expect_span("2026-11-20T09:00:00.123456789Z", "2026-11-20T09:00:00.123456789Z",
	    "2026-11-20T09:00:00.123456789Z");
	expect_span("3h", "2026-11-20T07:00:00.000000000Z", "2026-11-20T07:00:00.000000000Z");
	expect_span("2d12h", "2026-11-17T22:00:00.000000000Z", "2026-11-17T22:00:00.000000000Z");
	expect_span("now", "2026-11-20T10:00:00.000000000Z", "2026-11-20T10:00:00.000000000Z");
	setenv("TZ", "NST3:30NDT,M3.2.0,M11.1.0", 1);
	tzset();
	expect_span("2026-11-20", "2026-11-20T03:30:00.000000000Z",
	    "2026-11-21T03:29:59.999999999Z");
}

/*
 * When clocks are set back an hour occurs twice, forward one is missing: neither may lose or invent
 * a day.
 */
static void
test_changes_of_the_clock(void **state)
{
	int64_t ns;

	(void)state;
	berlin();
	/* 2026-10-25 has 25 hours, 2026-03-29 has 23. */
	expect_span("2026-10-25", "2026-10-24T22:00:00.000000000Z",
	    "2026-10-25T22:59:59.999999999Z");
	expect_span("2026-03-29", "2026-03-28T23:00:00.000000000Z",
	    "2026-03-29T21:59:59.999999999Z");
	expect_span("2026-10-25T02:30", "2026-10-25T00:30:00.000000000Z",
	    "2026-10-25T01:30:59.999999999Z");
	expect_span("2026-10-25T01:30", "2026-10-24T23:30:00.000000000Z",
	    "2026-10-24T23:30:59.999999999Z");
	expect_span("2026-10-25T03:30", "2026-10-25T02:30:00.000000000Z",
	    "2026-10-25T02:30:59.999999999Z");
	/* 02:30 does not exist: some instant within an hour of the change. */
	assert_int_equal(select_parse_time("2026-03-29T02:30", NOW, &ns), OK);
	assert_true(ns >= 1774744200 * NS && ns <= 1774751400 * NS);
	/* Zones without any change, and one that changes at midnight. */
	setenv("TZ", "IST-5:30", 1);
	tzset();
	expect_span("2026-06-01T00:00", "2026-05-31T18:30:00.000000000Z",
	    "2026-05-31T18:30:59.999999999Z");
	setenv("TZ", "EET-2EEST,M4.5.5/0,M10.5.4/24", 1);
	tzset();
	assert_int_equal(select_parse_time("2026-04-24", NOW, &ns), OK);
	assert_true(ns >= 1776976200 * NS && ns <= 1776981600 * NS);
}

static void
test_what_is_no_time(void **state)
{
	static const char *const bad[] = {
		"", "2026", "2026-11", "2026-13-01", "2026-00-01", "2026-11-31", "2026-02-29",
		    "2026-11-20T", "2026-11-20T9:00",
		"2026-11-20T24:00", "2026-11-20T09:60", "2026-11-20T09", "2026-11-20T09:00:61",
		    "2026-11-20T09:00:00.",
		"2026-11-20T09:00+", "2026-11-20T09:00+15:00", "2026-11-20T09:00Zx", "2026-11-20x",
		    "20261120", "tomorrow", "3", "h3",
		"-3h", "1900-01-01", "9999-01-01",
	};
	int64_t ns;

	(void)state;
	berlin();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(select_parse_time(bad[i], NOW, &ns), ERR_USAGE);
}

/* A path taken for a part of the time, or the other way round, restores something else. */
static void
test_snapshot_and_path_are_split_apart(void **state)
{
	static const struct {
		const char *text, *snap, *path;
	} table[] = {
		{ "latest", "latest", NULL }, { "latest:", "latest", "" },
		    { "latest:/etc", "latest", "/etc" }, { "ab12:etc/x:y", "ab12", "etc/x:y" },
		{ "latest~2:/a:b", "latest~2", "/a:b" }, { "@3h:/etc", "@3h", "/etc" },
		    { "@yesterday:12", "@yesterday", "12" },
		{ "@2026-11-20", "@2026-11-20", NULL }, { "@2026-11-20:12", "@2026-11-20", "12" },
		    { "@2026-11-20:/x", "@2026-11-20", "/x" },
		{ "@2026-11-20T09:00", "@2026-11-20T09:00", NULL },
		    { "@2026-11-20T09:00:/srv", "@2026-11-20T09:00", "/srv" },
		{ "@2026-11-20T09:00:etc", "@2026-11-20T09:00", "etc" },
		    { "@2026-11-20T09:00:30", "@2026-11-20T09:00:30", NULL },
		{ "@2026-11-20 09:00:30:/x", "@2026-11-20 09:00:30", "/x" },
		    { "@2026-11-20T09:00:2024/x", "@2026-11-20T09:00", "2024/x" },
		{ "@2026-11-20T09:00+01:00:/x", "@2026-11-20T09:00+01:00", "/x" },
		    { "@2026-11-20T09:00Z:x", "@2026-11-20T09:00Z", "x" },
		{ ":/etc", "", "/etc" }, { "", "", NULL }, { "@", "@", NULL },
		    { "@2026-11-20T09:0", "@2026-11-20T09", "0" },
	};
	const char *path;
	char *snap;

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		assert_int_equal(select_split(table[i].text, &snap, &path), OK);
		assert_string_equal(snap, table[i].snap);
		if (table[i].path)
			assert_string_equal(path, table[i].path);
		else
			assert_null(path);
		free(snap);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_latest_counts_back_from_the_newest),
		cmocka_unit_test(test_the_future_comes_last),
		cmocka_unit_test(test_a_prefix_must_be_unique),
		cmocka_unit_test(test_filters_narrow),
		cmocka_unit_test(test_times_choose_the_newest_not_after),
		cmocka_unit_test(test_times_in_the_local_zone),
		cmocka_unit_test(test_changes_of_the_clock),
		cmocka_unit_test(test_what_is_no_time),
		cmocka_unit_test(test_snapshot_and_path_are_split_apart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
