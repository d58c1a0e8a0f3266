/*
 * text: numbers and names as people see them.  A wrong size or time misleads an operator; an
 * unescaped name commands the terminal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail                              /* base/err.h has one too */

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/text.h"

#define NS 1000000000ll

/* "1024.0 KiB" or "10000.0 MiB" would break the columns of every table. */
static void
test_sizes_round_into_the_next_unit(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} table[] = {
		{ 0, "0 B" }, { 1, "1 B" }, { 1023, "1023 B" }, { 1024, "1.0 KiB" },
		    { 1536, "1.5 KiB" },
		{ 102348, "99.9 KiB" }, { 102400, "100 KiB" }, { 1048063, "1023 KiB" },
		    { 1048064, "1.0 MiB" },
		{ 1048576, "1.0 MiB" }, { 12897485, "12.3 MiB" }, { 1ull << 30, "1.0 GiB" },
		    { 5ull << 40, "5.0 TiB" },
		{ UINT64_MAX, "16.0 EiB" },
	};
	char buf[TEXT_SIZE_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		assert_string_equal(text_size(buf, table[i].bytes), table[i].text);
}

/* --exclude-larger-than 1.5G taken for something else would leave files out of every snapshot. */
static void
test_sizes_are_parsed_exactly_or_refused(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "0", 0 }, { "64", 64 }, { "64B", 64 }, { "64K", 65536 }, { "64k", 65536 },
		    { "64KiB", 65536 },
		{ "64KB", 65536 }, { "64 KiB", 65536 }, { "1.5G", 1610612736 }, { "0.25M", 262144 },
		    { "2T", 2ull << 40 },
		{ "15E", 15ull << 60 }, { "0.5E", 1ull << 59 }, { "18446744073709551615",
		    UINT64_MAX },
	};
	static const char *const bad[] = {
		"", "K", "-1", "+1", "1.5", "1,5G", "1x", "1KK", "1Kx", "16E",
		    "18446744073709551616", " 1", "0x10", "1e3", "1G ",
	};
	uint64_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(text_parse_size(good[i].text, &n), OK);
		assert_true(n == good[i].bytes);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(text_parse_size(bad[i], &n), ERR_USAGE);
}

static void
test_durations_both_ways(void **state)
{
	static const struct {
		int64_t ns;
		const char *text;
	} table[] = {
		{ -5, "0.00 s" }, { 0, "0.00 s" }, { 123456789, "0.12 s" },
		    { 9999 * NS / 1000, "10.0 s" },
		{ 12340 * (NS / 1000), "12.3 s" }, { 60 * NS, "1 min 00 s" },
		    { 192 * NS, "3 min 12 s" },
		{ 7500 * NS, "2 h 05 min" }, { 273600 * NS, "3 d 04 h" },
	};
	static const struct {
		const char *text;
		int64_t s;
	} good[] = {
		{ "45s", 45 }, { "90m", 5400 }, { "3h", 10800 }, { "2d12h", 216000 },
		    { "1w", 604800 }, { "1w1d1h1m1s", 694861 },
		{ "0s", 0 },
	};
	static const char *const bad[] = { "", "3", "h", "3hh", "1h1d", "1d1d", "-3h", "3 h",
	    "1.5h", "3x", "99999999999w",
		"9223372036s1", "9999999999999999999s" };
	char buf[TEXT_SIZE_MAX];
	int64_t ns;

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		assert_string_equal(text_duration(buf, table[i].ns), table[i].text);
	assert_non_null(text_duration(buf, INT64_MAX));
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(text_parse_duration(good[i].text, &ns), OK);
		assert_true(ns == good[i].s * NS);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(text_parse_duration(bad[i], &ns), ERR_USAGE);
}

static void
test_times_before_1970_and_with_nanoseconds(void **state)
{
	char buf[TEXT_TIME_MAX];

	(void)state;
	assert_string_equal(text_time_utc(buf, 0), "1970-01-01T00:00:00.000000000Z");
	assert_string_equal(text_time_utc(buf, 1763625600 * NS + 7),
	    "2025-11-20T08:00:00.000000007Z");
	assert_string_equal(text_time_utc(buf, -1), "1969-12-31T23:59:59.999999999Z");
	setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
	tzset();
	assert_string_equal(text_time(buf, 1763625600 * NS), "2025-11-20 09:00:00");
	assert_non_null(text_time(buf, INT64_MIN));
}

static void
test_only_real_utf8_is_utf8(void **state)
{
	static const char *const good[] = { "", "plain", "\xc3\xa4", "\xe2\x82\xac",
	    "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf" };
	static const char *const bad[] = {
		"\x80", "\xff", "\xc3", "\xc0\xaf", "\xc1\xbf", "\xe0\x80\xaf", "\xed\xa0\x80",
		    "\xf4\x90\x80\x80",
		"\xf5\x80\x80\x80", "\xe2\x82", "\xe2\x28\xa1", "ok\xf0\x9f\x98",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		assert_true(text_is_utf8(good[i], strlen(good[i])));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(text_is_utf8(bad[i], strlen(bad[i])));
}

static void
expect_printable(const char *in, size_t len, const char *out)
{
	struct mem_buf b = { 0 };

	assert_int_equal(text_printable(&b, in, len), OK);
	assert_int_equal(b.len, strlen(out));
	assert_memory_equal(b.p ? (const char *)b.p : "", out, b.len);
	mem_buf_clear(&b);
}

/* A name must not move the cursor, set a title, or turn the reading direction of what follows. */
static void
test_printable_lets_nothing_reach_the_terminal(void **state)
{
	struct mem_buf b = { 0 };
	uint32_t code;
	size_t n;

	(void)state;
	expect_printable("", 0, "");
	expect_printable("plain \xc3\xa4 \\", 10, "plain \xc3\xa4 \\");
	expect_printable("a\nb\tc\0d", 7, "a\\x0ab\\x09c\\x00d");
	expect_printable("\x1b]0;t\x07\x7f", 7, "\\x1b]0;t\\x07\\x7f");
	expect_printable("\xc2\x9b" "31m", 5, "\\xc2\\x9b31m");
	expect_printable("\xff\xfe", 2, "\\xff\\xfe");
	expect_printable("a\xe2\x80\xae" "b", 5, "a\\xe2\\x80\\xaeb");
	expect_printable("\xe2\x81\xa6\xd8\x9c\xe2\x80\x8f", 8,
	    "\\xe2\\x81\\xa6\\xd8\\x9c\\xe2\\x80\\x8f");
	/* All pairs of bytes: what comes out is UTF-8 without anything unsafe. */
	for (unsigned i = 0; i < 65536; i++) {
		uint8_t pair[2] = { (uint8_t)(i >> 8), (uint8_t)i };

		b.len = 0;
		assert_int_equal(text_printable(&b, pair, 2), OK);
		for (size_t at = 0; at < b.len; at += n) {
			n = text_utf8_next(b.p + at, b.len - at, &code);
			assert_true(n > 0 && !text_is_unsafe(code));
		}
	}
	mem_buf_clear(&b);
}

/* JSON with bytes that are not UTF-8 would be no JSON. */
static void
test_repair_gives_utf8(void **state)
{
	struct mem_buf b = { 0 };

	(void)state;
	assert_int_equal(text_repair_utf8(&b, "a\xff\xc3\xa4\xe2\x82", 6), OK);
	assert_int_equal(b.len, 12);
	assert_memory_equal(b.p, "a\xef\xbf\xbd\xc3\xa4\xef\xbf\xbd\xef\xbf\xbd", 12);
	mem_buf_clear(&b);
}

/* The only exact form of a name that is not UTF-8. */
static void
test_base64_of_rfc4648(void **state)
{
	static const char *const table[][2] = {
		{ "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" },
		    { "foob", "Zm9vYg==" }, { "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" }, { "\xff\xfe\xfd", "//79" },
	};
	char out[TEXT_BASE64_MAX(6)];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		text_base64(out, table[i][0], strlen(table[i][0]));
		assert_string_equal(out, table[i][1]);
	}
}

static void
test_distance_counts_typing_errors(void **state)
{
	(void)state;
	assert_int_equal(text_distance("restore", "restore"), 0);
	assert_int_equal(text_distance("restroe", "restore"), 1);
	assert_int_equal(text_distance("resore", "restore"), 1);
	assert_int_equal(text_distance("", "ls"), 2);
	assert_int_equal(text_distance("ls", "cat"), 3);
	assert_int_equal(text_distance("0123456789012345678901234567890123456789x", "ls"), 40);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes_round_into_the_next_unit),
		cmocka_unit_test(test_sizes_are_parsed_exactly_or_refused),
		cmocka_unit_test(test_durations_both_ways),
		cmocka_unit_test(test_times_before_1970_and_with_nanoseconds),
		cmocka_unit_test(test_only_real_utf8_is_utf8),
		cmocka_unit_test(test_printable_lets_nothing_reach_the_terminal),
		cmocka_unit_test(test_repair_gives_utf8),
		cmocka_unit_test(test_base64_of_rfc4648),
		cmocka_unit_test(test_distance_counts_typing_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
