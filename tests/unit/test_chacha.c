/* The stream of sixteen blocks at a time is libsodium's: otherwise what was
 * sealed on one machine could not be opened on another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "codec/chacha.h"

#define LEN_MAX (300u << 10)
#define SHORT 5000u                     /* every length up to this */
#define GUARD 0x5a

struct fixture {
	uint8_t key[32], nonce[12];
	uint8_t *plain, *ours, *theirs;
	uint64_t seed;
};

static uint64_t
next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static void
fill(struct fixture *f, uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)next_random(&f->seed);
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->seed = 17;
	f->plain = malloc(LEN_MAX + 64);
	f->ours = malloc(LEN_MAX + 64);
	f->theirs = malloc(LEN_MAX + 64);
	assert_true(f->plain && f->ours && f->theirs);
	fill(f, f->plain, LEN_MAX + 64);
	*state = f;
	return sodium_init() < 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	free(f->plain);
	free(f->ours);
	free(f->theirs);
	free(f);
	return 0;
}

/* Beginning anywhere in memory; nothing is written behind the end. */
static void
compare(struct fixture *f, size_t at, size_t len, uint32_t counter)
{
	fill(f, f->key, sizeof(f->key));
	fill(f, f->nonce, sizeof(f->nonce));
	memset(f->ours, GUARD, at + len + 64 - at % 64);
	chacha_xor(f->ours + at, f->plain + at / 2, len, f->key, f->nonce,
	    counter);
	crypto_stream_chacha20_ietf_xor_ic(f->theirs, f->plain + at / 2, len,
	    f->nonce, counter, f->key);
	assert_memory_equal(f->ours + at, f->theirs, len);
	assert_int_equal(f->ours[at + len], GUARD);
	if (at)
		assert_int_equal(f->ours[at - 1], GUARD);
}

static void
test_every_short_length(void **state)
{
	for (size_t len = 0; len < SHORT; len++)
		compare(*state, len % 63, len, 1);
}

static void
test_long_ones(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 200; i++)
		compare(f, next_random(&f->seed) % 64,
		    next_random(&f->seed) % LEN_MAX,
		    (uint32_t)(next_random(&f->seed) >> 33));
}

/* The number of a block is carried over lanes as it should, up to the last one there is. */
static void
test_counters(void **state)
{
	for (uint32_t k = 0; k < 70; k++) {
		compare(*state, 0, 2048, 0xffffu - k);
		compare(*state, 0, 2048, 0x80000000u - k);
		compare(*state, 0, 2048, 0xffffffffu - 31 - k);
	}
}

static void
test_in_place(void **state)
{
	struct fixture *f = *state;

	for (size_t len = 900; len < 20000; len += 777) {
		memcpy(f->ours, f->plain, len);
		chacha_xor(f->ours, f->ours, len, f->key, f->nonce, 1);
		crypto_stream_chacha20_ietf_xor_ic(f->theirs, f->plain, len,
		    f->nonce, 1, f->key);
		assert_memory_equal(f->ours, f->theirs, len);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_short_length, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_ones, setup, teardown),
		cmocka_unit_test_setup_teardown(test_counters, setup, teardown),
		cmocka_unit_test_setup_teardown(test_in_place, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
