/* Boxes are libsodium's, byte for byte, and what was changed does not open:
 * otherwise repositories could not be read elsewhere, or could be forged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "codec/aead.h"

#define LEN_MAX (300u << 10)
#define AD_MAX 300u

struct fixture {
	uint8_t key[32], nonce[AEAD_NONCE], ad[AD_MAX];
	uint8_t *plain, *ours, *theirs, *back;
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
	f->seed = 11;
	f->plain = malloc(LEN_MAX);
	f->ours = malloc(LEN_MAX + AEAD_TAG);
	f->theirs = malloc(LEN_MAX + AEAD_TAG);
	f->back = malloc(LEN_MAX + AEAD_TAG);
	assert_true(f->plain && f->ours && f->theirs && f->back);
	fill(f, f->plain, LEN_MAX);
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
	free(f->back);
	free(f);
	return 0;
}

static void
check(struct fixture *f, size_t len, size_t ad_len)
{
	const struct aead_job a = { f->key, f->nonce, f->ad, ad_len };

	fill(f, f->key, sizeof(f->key));
	fill(f, f->nonce, sizeof(f->nonce));
	fill(f, f->ad, sizeof(f->ad));
	aead_seal(f->ours, f->plain, len, &a);
	crypto_aead_xchacha20poly1305_ietf_encrypt(f->theirs, NULL, f->plain,
	    len, f->ad, ad_len, NULL, f->nonce, f->key);
	assert_memory_equal(f->ours, f->theirs, len + AEAD_TAG);
	assert_true(aead_open(f->back, f->theirs, len, &a));
	assert_true(len == 0 || memcmp(f->back, f->plain, len) == 0);
	/* In its place, both ways. */
	memcpy(f->back, f->plain, len);
	aead_seal(f->back, f->back, len, &a);
	assert_memory_equal(f->back, f->theirs, len + AEAD_TAG);
	assert_true(aead_open(f->back, f->back, len, &a));
	assert_true(len == 0 || memcmp(f->back, f->plain, len) == 0);
}

static void
same_bytes(void **state)
{
	struct fixture *f = *state;

	for (size_t len = 0; len < 2100; len++)
		check(f, len, len % 67);
	for (size_t ad = 0; ad <= AD_MAX; ad++)
		check(f, 5000, ad);
	for (int i = 0; i < 200; i++)
		check(f, next_random(&f->seed) % LEN_MAX,
		    next_random(&f->seed) % AD_MAX);
	check(f, LEN_MAX, 60);
}

/* Nothing of what does not open comes out. */
static void
refuses(struct fixture *f, size_t len, const struct aead_job *a)
{
	memset(f->back, 0x55, len);
	assert_false(aead_open(f->back, f->ours, len, a));
	for (size_t i = 0; i < len; i++)
		assert_true(f->back[i] == 0x55 || f->back[i] == 0);
}

static void
changes_show(void **state)
{
	static const size_t lens[] = { 0, 100, 1024, 1500, 5000 };
	struct fixture *f = *state;
	const struct aead_job a = { f->key, f->nonce, f->ad, 50 };
	struct aead_job b = a;

	for (size_t k = 0; k < sizeof(lens) / sizeof(*lens); k++) {
		size_t len = lens[k];

		fill(f, f->key, sizeof(f->key));
		aead_seal(f->ours, f->plain, len, &a);
		for (size_t i = 0; i < len + AEAD_TAG;
		    i += i + 200 < len ? 97 : 1) {
			f->ours[i] ^= (uint8_t)(1 << i % 8);
			refuses(f, len, &a);
			f->ours[i] ^= (uint8_t)(1 << i % 8);
		}
		for (size_t i = 0; i < 50; i++) {
			f->ad[i] ^= 1;
			refuses(f, len, &a);
			f->ad[i] ^= 1;
		}
		for (size_t i = 0; i < AEAD_NONCE; i++) {
			f->nonce[i] ^= 128;
			refuses(f, len, &a);
			f->nonce[i] ^= 128;
		}
		f->key[31] ^= 1;
		refuses(f, len, &a);
		f->key[31] ^= 1;
		for (b.ad_len = 40; b.ad_len < 60; b.ad_len++)
			if (b.ad_len != a.ad_len)
				refuses(f, len, &b);
		assert_true(aead_open(f->back, f->ours, len, &a));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(same_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(changes_show, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
