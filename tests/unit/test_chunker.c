/* chunker: where files are cut.  Other cut points than the rule's cost deduplication against everything stored before. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail                              /* base/err.h has one too */

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "codec/chunker.h"

#define MIB (1u << 20)

struct sizes {
	uint32_t min, avg, max;
};

static const struct sizes sizes[] = {
	{ 16384, 65536, 262144 },
	{ 4096, 8192, 16384 },
	{ 4097, 16384, 32771 },         /* nothing divides anything */
	{ 5003, 16384, 65535 },
	{ 4099, 262144, 1048576 },
};

#define SIZES_COUNT (sizeof(sizes) / sizeof(sizes[0]))

static const uint8_t key[32] = { 7, 1, 2 };

/* The rule as it stands: 64 terms for every position, nothing carried over. */
static size_t
naive_cut(const struct chunker *c, const uint8_t *p, size_t len)
{
	unsigned n = 0;

	while (1u << n < c->avg)
		n++;
	for (size_t at = c->min; at <= len; at++) {
		unsigned bits = at < c->avg ? n + 2 : n - 2;
		uint64_t h = 0;

		if (at == c->max)
			return at;
		for (size_t k = 0; k < 64; k++)
			h += c->gear[p[at - 1 - k]] << k;
		if (h >> (64 - bits) == 0)
			return at;
	}
	return len;
}

static uint8_t *
random_bytes(size_t len, uint8_t seed)
{
	uint8_t s[32] = { seed }, *p = malloc(len);

	assert_non_null(p);
	randombytes_buf_deterministic(p, len, s);
	return p;
}

static void
compare_with_naive(const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < SIZES_COUNT; i++) {
		struct chunker c;

		chunker_init(&c, key, sizes[i].min, sizes[i].avg, sizes[i].max);
		for (size_t at = 0; at < len;) {
			size_t cut = chunker_cut(&c, p + at, len - at, true);

			assert_int_equal(cut, naive_cut(&c, p + at, len - at));
			at += cut;
		}
	}
}

/* CH-5: on random data most cuts come from the hash. */
static void
test_random_data_is_cut_as_the_rule_says(void **state)
{
	uint8_t *p = random_bytes(MIB, 1);

	(void)state;
	compare_with_naive(p, MIB);
	free(p);
}

/* CH-5: zeros and other data that never cuts, or cuts always at the same phase. */
static void
test_monotonous_data_is_cut_as_the_rule_says(void **state)
{
	static const size_t period[] = { 1, 2, 3, 63, 64, 65, 4096, 5000 };
	uint8_t *p = random_bytes(MIB / 2, 2);

	(void)state;
	for (size_t k = 0; k < sizeof(period) / sizeof(period[0]); k++) {
		for (size_t i = period[k]; i < MIB / 2; i++)
			p[i] = p[i - period[k]];
		compare_with_naive(p, MIB / 2);
	}
	memset(p, 0, MIB / 2);
	compare_with_naive(p, MIB / 2);
	free(p);
}

/* CH-5: the gear table is the key stream, as little-endian numbers: another table is another repository's. */
static void
test_gear_table_is_the_key_stream(void **state)
{
	uint8_t zero[2048] = { 0 }, stream[2048], nonce[24] = { 0 };
	struct chunker c;

	(void)state;
	chunker_init(&c, key, 4096, 8192, 16384);
	crypto_stream_xchacha20_xor(stream, zero, sizeof(zero), nonce, key);
	for (size_t i = 0; i < 256; i++)
		for (size_t k = 0; k < 8; k++)
			assert_int_equal(c.gear[i] >> (8 * k) & 0xff,
			    stream[8 * i + k]);
}

/* A reader of a pipe that gives few bytes at a time must cut where a reader of a file cuts. */
static void
test_cut_does_not_depend_on_how_much_is_at_hand(void **state)
{
	static const size_t step[] = { 1, 3, 4, 5, 61 };
	uint8_t *mem = random_bytes(MIB / 2, 3), *p = mem;
	struct chunker c;

	(void)state;
	chunker_init(&c, key, 4097, 8192, 16385);
	for (size_t k = 0; k < sizeof(step) / sizeof(step[0]); k++) {
		size_t cut = 0, whole = chunker_cut(&c, p, MIB / 4, true);

		for (size_t len = 1; cut == 0; len += step[k]) {
			assert_true(len < whole + step[k]);
			cut = chunker_cut(&c, p, len, false);
		}
		assert_int_equal(cut, whole);
		p += whole;
	}
	for (size_t len = 1; len < 4097; len += 97) {
		assert_int_equal(chunker_cut(&c, p, len, false), 0);
		assert_int_equal(chunker_cut(&c, p, len, true), len);
	}
	memset(p, 0, 16385);
	assert_int_equal(chunker_cut(&c, p, 16384, false), 0);
	assert_int_equal(chunker_cut(&c, p, 16384, true), 16384);
	assert_int_equal(chunker_cut(&c, p, 16385, false), 16385);
	free(mem);
}

/* Cut points of p in increasing order, as offsets from `base`. */
static size_t
cuts_of(const struct chunker *c, const uint8_t *p, size_t len, size_t base,
    size_t *out)
{
	size_t n = 0;

	for (size_t at = 0; at < len;) {
		size_t cut = chunker_cut(c, p + at, len - at, true);

		assert_true(cut > 0 && cut <= c->max && cut <= len - at);
		assert_true(cut >= c->min || at + cut == len);
		at += cut;
		out[n++] = at + base;
	}
	assert_int_equal(out[n - 1], len + base);
	return n;
}

/* Concatenation is identity; 64 KiB put in front of a file must not make its old chunks new. */
static void
test_insertion_in_front_changes_few_chunks(void **state)
{
	enum { LEN = 16 * MIB, NEW = 65536 };
	static size_t before[LEN / 16384 + 1], after[LEN / 16384 + 8];
	uint8_t *p = random_bytes(LEN + NEW, 4);
	size_t n, m, i = 0, kept = 0;
	struct chunker c;

	(void)state;
	chunker_init(&c, key, 16384, 65536, 262144);
	n = cuts_of(&c, p + NEW, LEN, NEW, before);
	m = cuts_of(&c, p, LEN + NEW, 0, after);
	for (size_t k = 0; k < n; k++) {
		while (i < m && after[i] < before[k])
			i++;
		kept += i < m && after[i] == before[k];
	}
	assert_true(n > LEN / 131072);          /* it cuts at all */
	assert_true(kept + 12 >= n);
	free(p);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_data_is_cut_as_the_rule_says),
		cmocka_unit_test(test_monotonous_data_is_cut_as_the_rule_says),
		cmocka_unit_test(test_gear_table_is_the_key_stream),
		cmocka_unit_test(test_cut_does_not_depend_on_how_much_is_at_hand),
		cmocka_unit_test(test_insertion_in_front_changes_few_chunks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
