/* squeeze: zstd.  What it packs must come back for years; what it is given to unpack may be anybody's bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail                              /* base/err.h has one too */

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zstd.h>

#include "base/err.h"
#include "codec/squeeze.h"

#define MIB (1u << 20)

/* Sanitizers need all addresses. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif

static uint8_t *
bytes(size_t len, uint8_t seed)
{
	uint8_t s[32] = { seed }, *p = malloc(len + 1);

	assert_non_null(p);
	randombytes_buf_deterministic(p, len, s);
	return p;
}

/* Something that compresses about two to one. */
static uint8_t *
text(size_t len, uint8_t seed)
{
	uint8_t *p = bytes(len, seed);

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)('a' + p[i] % 14);
	return p;
}

static size_t
pack(struct squeeze *s, uint8_t **out, const uint8_t *p, size_t len,
    const uint8_t *base, size_t base_len)
{
	size_t n;

	*out = malloc(squeeze_bound(len));
	assert_non_null(*out);
	assert_int_equal(squeeze_pack(s, *out, squeeze_bound(len), p, len, base,
	    base_len, &n), OK);
	return n;
}

static void
round_trip(int level, size_t len, size_t base_len)
{
	uint8_t *p = text(len, 1), *base = base_len ? text(base_len, 2) : NULL;
	uint8_t *stored, *back = malloc(len);
	struct squeeze *s;
	size_t n;

	assert_non_null(back);
	assert_int_equal(squeeze_new(level, &s), OK);
	if (base)
		memcpy(p, base, len < base_len ? len / 2 : base_len / 2);
	n = pack(s, &stored, p, len, base, base_len);
	assert_int_equal(squeeze_unpack(s, back, len, stored, n, base,
	    base_len), OK);
	assert_memory_equal(back, p, len);
	squeeze_free(s);
	free(stored);
	free(back);
	free(base);
	free(p);
}

/* What a block becomes depends on nothing that was packed before it: the tables of large blocks and of bases are put back. */
static void
test_nothing_is_left_behind(void **state)
{
	uint8_t *p = text(2 * MIB, 1), *base = text(70000, 2), *a, *b;
	struct squeeze *s, *fresh;
	size_t n;

	(void)state;
	for (int level = 1; level <= 3; level += 2) {
		assert_int_equal(squeeze_new(level, &s), OK);
		assert_int_equal(squeeze_new(level, &fresh), OK);
		n = pack(fresh, &a, p, 300000, NULL, 0);
		free(a);
		for (int round = 0; round < 3; round++) {
			pack(s, &b, p, round ? 70000 : 2 * MIB, round == 1 ? base : NULL, round == 1 ? 70000 : 0);
			free(b);
			assert_int_equal(pack(s, &b, p, 300000, NULL, 0), n);
			free(b);
		}
		squeeze_free(s);
		squeeze_free(fresh);
	}
	free(p);
	free(base);
}

/* FR-3, FR-4: every length and level comes back. */
static void
test_what_is_packed_comes_back(void **state)
{
	static const size_t len[] = { 1, 7, 255, 256, 4096, 65791 };
	static const int level[] = { -5, 0, 1, 3, 9, 19 };

	(void)state;
	for (size_t i = 0; i < sizeof(len) / sizeof(len[0]); i++)
		for (size_t k = 0; k < sizeof(level) / sizeof(level[0]); k++) {
			round_trip(level[k], len[i], 0);
			round_trip(level[k], len[i], 1);
			round_trip(level[k], len[i], 100);
			round_trip(level[k], len[i], 70000);
		}
	round_trip(3, 2 * MIB, 0);
	round_trip(19, MIB, MIB / 4);
}

/* FR-3: what a reader may insist on is what the frame's header says. */
static void
test_header_has_the_size_and_nothing_else(void **state)
{
	uint8_t *p = text(2 * MIB, 3), *base = text(MIB, 4), *stored;

	(void)state;
	for (int level = -3; level <= 19; level += 11) {
		struct squeeze *s;
		size_t n;

		assert_int_equal(squeeze_new(level, &s), OK);
		for (size_t len = 1; len <= 2 * MIB; len = len * 9 + 1) {
			n = pack(s, &stored, p, len, len % 2 ? base : NULL,
			    MIB);
			assert_int_equal(ZSTD_getFrameContentSize(stored, n),
			    len);
			assert_int_equal(ZSTD_getDictID_fromFrame(stored, n),
			    0);
			/* descriptor: one segment, no checksum, no id */
			assert_int_equal(stored[4] & 0x27, 0x20);
			free(stored);
		}
		squeeze_free(s);
	}
	free(base);
	free(p);
}

/* FR-4: a few changed bytes cost a few bytes, wherever in the base their surroundings are. */
static void
test_base_makes_a_change_cheap(void **state)
{
	static const int level[] = { -7, -1, 1, 3, 9 };
	uint8_t *base = bytes(MIB, 5), *p = malloc(MIB), *stored;

	(void)state;
	assert_non_null(p);
	for (size_t k = 0; k < sizeof(level) / sizeof(level[0]); k++) {
		struct squeeze *s;

		assert_int_equal(squeeze_new(level[k], &s), OK);
		memcpy(p, base, MIB);
		for (size_t i = 0; i < 10; i++)
			p[i * 100000] ^= 1;
		assert_true(pack(s, &stored, p, MIB, base, MIB) < 2000);
		free(stored);
		memcpy(p, base + MIB / 2, MIB / 2);     /* halves swapped */
		memcpy(p + MIB / 2, base, MIB / 2);
		assert_true(pack(s, &stored, p, MIB, base, MIB) < 2000);
		free(stored);
		squeeze_free(s);
	}
	free(base);
	free(p);
}

/* A prefix holds for one call: left over, it would make the next block unreadable. */
static void
test_base_is_forgotten_after_one_call(void **state)
{
	uint8_t *p = text(5000, 6), *base = text(5000, 6);
	uint8_t *stored, *back = malloc(5000);
	struct squeeze *s, *fresh;
	size_t n;

	(void)state;
	assert_non_null(back);
	assert_int_equal(squeeze_new(3, &s), OK);
	assert_int_equal(squeeze_new(3, &fresh), OK);
	n = pack(s, &stored, p, 5000, base, 5000);
	assert_true(n < 100);
	assert_int_not_equal(squeeze_unpack(fresh, back, 5000, stored, n, NULL,
	    0), OK);
	assert_int_equal(squeeze_unpack(fresh, back, 5000, stored, n, base,
	    5000), OK);
	free(stored);
	n = pack(s, &stored, p, 5000, NULL, 0);
	assert_true(n > 1000);
	assert_int_equal(squeeze_unpack(fresh, back, 5000, stored, n, NULL, 0),
	    OK);
	assert_memory_equal(p, back, 5000);
	squeeze_free(s);
	squeeze_free(fresh);
	free(stored);
	free(back);
	free(base);
	free(p);
}

/* FR-3: only one frame, only this length; memory behind the buffer must stay untouched (run under ASan). */
static void
test_other_lengths_and_trailing_bytes_are_malformed(void **state)
{
	uint8_t *p = text(5000, 7), *stored, *back = malloc(6000);
	uint8_t *two = malloc(20000);
	struct squeeze *s;
	size_t n;

	(void)state;
	assert_non_null(back);
	assert_non_null(two);
	assert_int_equal(squeeze_new(3, &s), OK);
	n = pack(s, &stored, p, 5000, NULL, 0);
	for (size_t len = 4998; len < 5003; len++)
		assert_int_equal(squeeze_unpack(s, back, len, stored, n, NULL,
		    0), len == 5000 ? OK : ERR_CORRUPT);
	for (size_t len = 0; len < n; len++)
		assert_int_equal(squeeze_unpack(s, back, 5000, stored, len,
		    NULL, 0), ERR_CORRUPT);
	memcpy(two, stored, n);
	memcpy(two + n, "\x50\x2a\x4d\x18\0\0\0\0", 8);         /* skippable */
	assert_int_equal(squeeze_unpack(s, back, 5000, two, n + 8, NULL, 0),
	    ERR_CORRUPT);
	memcpy(two, "\x50\x2a\x4d\x18\0\0\0\0", 8);
	memcpy(two + 8, stored, n);
	assert_int_equal(squeeze_unpack(s, back, 5000, two, n + 8, NULL, 0),
	    ERR_CORRUPT);
	memcpy(two, stored, n);
	memcpy(two + n, stored, n);
	assert_int_equal(squeeze_unpack(s, back, 5000, two, 2 * n, NULL, 0),
	    ERR_CORRUPT);
	two[n] = 0;
	assert_int_equal(squeeze_unpack(s, back, 5000, two, n + 1, NULL, 0),
	    ERR_CORRUPT);
	squeeze_free(s);
	free(stored);
	free(back);
	free(two);
	free(p);
}

/* FR-3: a content size, no dictionary id, a window of at most 2^23. */
static void
test_other_frame_headers_are_malformed(void **state)
{
	/* one raw block of three bytes behind each header */
	static const struct {
		const char *head;
		size_t len;
		int rc;
	} table[] = {
		{ "\x28\xb5\x2f\xfd\x20\x03", 6, OK },
		{ "\x28\xb5\x2f\xfd\x80\x00\x03\0\0\0", 10, OK },
		{ "\x28\xb5\x2f\xfd\x80\x68\x03\0\0\0", 10, OK },
		{ "\x28\xb5\x2f\xfd\x80\x69\x03\0\0\0", 10, ERR_CORRUPT },
		{ "\x28\xb5\x2f\xfd\x80\x70\x03\0\0\0", 10, ERR_CORRUPT },
		{ "\x28\xb5\x2f\xfd\x80\xf8\x03\0\0\0", 10, ERR_CORRUPT },
		{ "\x28\xb5\x2f\xfd\x00\x00", 6, ERR_CORRUPT },
		{ "\x28\xb5\x2f\xfd\x21\x05\x03", 7, ERR_CORRUPT },
		{ "\x28\xb5\x2f\xfd\x28\x03", 6, ERR_CORRUPT },
		{ "\x27\xb5\x2f\xfd\x20\x03", 6, ERR_CORRUPT },
	};
	struct squeeze *s;

	(void)state;
	assert_int_equal(squeeze_new(3, &s), OK);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		uint8_t frame[24], back[3];
		size_t n = table[i].len;

		memcpy(frame, table[i].head, n);
		memcpy(frame + n, "\x19\0\0abc", 6);
		assert_int_equal(squeeze_unpack(s, back, 3, frame, n + 6, NULL,
		    0), table[i].rc);
	}
	squeeze_free(s);
}

/* FR-3, FR-4: any damaged byte is an error or other bytes, never a crash. */
static void
test_damage_is_survived(void **state)
{
	uint8_t *p = text(3000, 8), *base = text(3000, 9), *stored;
	uint8_t *back = malloc(3000);
	struct squeeze *s;
	size_t n;

	(void)state;
	assert_non_null(back);
	memcpy(p + 500, base + 700, 1000);
	assert_int_equal(squeeze_new(3, &s), OK);
	n = pack(s, &stored, p, 3000, base, 3000);
	for (size_t i = 0; i < n; i++) {
		int rc;

		stored[i] ^= (uint8_t)(1u << i % 8);
		rc = squeeze_unpack(s, back, 3000, stored, n, base, 3000);
		assert_true(rc == OK || rc == ERR_CORRUPT);
		stored[i] ^= (uint8_t)(1u << i % 8);
	}
	squeeze_free(s);
	free(stored);
	free(back);
	free(base);
	free(p);
}

/* Random bytes are not tried; whatever has some of something else is. */
static void
test_hopeless(void **state)
{
	uint8_t *p, *t = text(MIB, 3);

	(void)state;
	for (unsigned seed = 1; seed <= 20; seed++) {
		p = bytes(2 * MIB, (uint8_t)seed);
		assert_true(squeeze_hopeless(p, 2 * MIB));
		free(p);
	}
	assert_false(squeeze_hopeless(t, MIB));
	p = bytes(2 * MIB, 1);
	assert_false(squeeze_hopeless(p, 1000));
	/* A text of 36 KiB lies over one sample, wherever it is. */
	memcpy(p + 777777, t, 36u << 10);
	assert_false(squeeze_hopeless(p, 2 * MIB));
	free(p);
	/* Seven bits a byte, or a run. */
	p = bytes(MIB, 2);
	for (size_t i = 0; i < MIB; i++)
		p[i] &= 127;
	assert_false(squeeze_hopeless(p, MIB));
	memset(p, 7, MIB);
	assert_false(squeeze_hopeless(p, MIB));
	free(p);
	free(t);
}

/* zstd takes memory when it packs: that there is none is told as what it is. */
static void
test_no_memory(void **state)
{
#ifndef SANITIZED
	uint8_t *p = bytes(2 * MIB, 5);
	uint8_t *stored = malloc(squeeze_bound(2 * MIB));
	FILE *statm = fopen("/proc/self/statm", "r");
	struct rlimit before, now;
	unsigned long pages;
	struct squeeze *s;
	size_t n;

	assert_non_null(stored);
	assert_non_null(statm);
	assert_int_equal(squeeze_new(19, &s), OK);
	assert_int_equal(getrlimit(RLIMIT_AS, &before), 0);
	assert_int_equal(fscanf(statm, "%lu", &pages), 1);
	now = before;
	now.rlim_cur = pages * (rlim_t)sysconf(_SC_PAGESIZE) + MIB;
	assert_int_equal(setrlimit(RLIMIT_AS, &now), 0);
	assert_int_equal(squeeze_pack(s, stored, squeeze_bound(2 * MIB), p,
	    2 * MIB, NULL, 0, &n), ERR_NOMEM);
	assert_int_equal(setrlimit(RLIMIT_AS, &before), 0);
	assert_int_equal(squeeze_pack(s, stored, squeeze_bound(2 * MIB), p,
	    2 * MIB, NULL, 0, &n), OK);
	squeeze_free(s);
	fclose(statm);
	free(stored);
	free(p);
#endif
	(void)state;
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_left_behind),
		cmocka_unit_test(test_what_is_packed_comes_back),
		cmocka_unit_test(test_header_has_the_size_and_nothing_else),
		cmocka_unit_test(test_base_makes_a_change_cheap),
		cmocka_unit_test(test_base_is_forgotten_after_one_call),
		cmocka_unit_test(test_other_lengths_and_trailing_bytes_are_malformed),
		cmocka_unit_test(test_other_frame_headers_are_malformed),
		cmocka_unit_test(test_damage_is_survived),
		cmocka_unit_test(test_hopeless),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
