/* Poly1305 by the vector unit is libsodium's: otherwise a chunk that did not
 * change would be read as changed, and an index refused.  CH-4, IX-3 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sodium.h>

#include "codec/digest.h"
#include "codec/poly.h"

#define LEN_MAX (300u << 10)

static uint64_t
next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static void
check(const uint8_t *key, const uint8_t *p, size_t len)
{
	uint8_t want[16], got[16];

	crypto_onetimeauth(want, p, len, key);
	poly_mac(got, key, p, len);
	assert_memory_equal(want, got, sizeof(want));
	digest_poly1305(got, key, p, len);
	assert_memory_equal(want, got, sizeof(want));
	if (poly_mac_wide(got, key, p, len))
		assert_memory_equal(want, got, sizeof(want));
}

static uint8_t *
random_bytes(size_t len, uint64_t seed)
{
	uint8_t *p = malloc(len);

	assert_non_null(p);
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)next_random(&seed);
	return p;
}

/* Every length up to twelve times eight blocks, at odd addresses. */
static void
every_short_length(void **state)
{
	uint8_t *p = random_bytes(2048, 1);

	(void)state;
	for (size_t len = 0; len <= 1536; len++)
		check(p + 500, p + len % 67, len);
	free(p);
}

static void
long_ones(void **state)
{
	uint8_t *p = random_bytes(LEN_MAX + 64, 2);
	uint64_t s = 3;

	(void)state;
	for (int i = 0; i < 600; i++) {
		size_t at = next_random(&s) % 64;

		check(p + next_random(&s) % 1000, p + at,
		    next_random(&s) % LEN_MAX);
	}
	check(p, p, LEN_MAX);
	free(p);
}

/* Sums as great as can be, and those around the modulus, where a carry that is
 * forgotten shows. */
static void
extremes(void **state)
{
	static const uint8_t ends[] = { 0xff, 0xfb, 0xfa, 0xfc, 0x00, 0x01 };
	uint8_t key[32], p[2048];

	(void)state;
	for (size_t k = 0; k < sizeof(ends); k++)
		for (size_t b = 0; b < sizeof(ends); b++) {
			memset(key, k % 2 ? 0 : 0xff, sizeof(key));
			key[0] = ends[k];
			memset(p, 0xff, sizeof(p));
			for (size_t i = 0; i < sizeof(p); i += 16)
				p[i] = ends[b];
			for (size_t len = 0; len <= sizeof(p); len += 8)
				check(key, p, len);
			/* r of 1 and of 2: the message itself is summed. */
			memset(key, 0, sizeof(key));
			key[0] = (uint8_t)(1 + k);
			for (size_t len = 0; len <= sizeof(p); len += 8)
				check(key, p, len);
		}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_short_length),
		cmocka_unit_test(long_ones),
		cmocka_unit_test(extremes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
