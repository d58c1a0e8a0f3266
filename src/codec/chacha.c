/*
 * chacha: a vector holds one word of sixteen blocks.  After the rounds the
 * blocks stand in columns; two steps turn them: within lanes of 128 bits words
 * of one block come together by fours, then the fours of all lanes.
 *
 * Nothing here branches on or looks up by what is secret.
 */
#include "codec/chacha.h"

#include <sodium.h>
#include <string.h>

#define BLOCK 64u
#define SIXTEEN (16u * BLOCK)

#if defined(__x86_64__)

#include <immintrin.h>

#define WIDE __attribute__((target("avx512f")))
#define WIDE_INLINE \
	__attribute__((target("avx512f"), always_inline)) static inline

#define TURN(a, b, n) a = _mm512_rol_epi32(_mm512_xor_si512(a, b), n)
#define QUARTER(a, b, c, d) do { \
	a = _mm512_add_epi32(a, b); TURN(d, a, 16); \
	c = _mm512_add_epi32(c, d); TURN(b, c, 12); \
	a = _mm512_add_epi32(a, b); TURN(d, a, 8); \
	c = _mm512_add_epi32(c, d); TURN(b, c, 7); \
} while (0)

WIDE_INLINE __m512i
word(const uint8_t *p)
{
	int32_t w;

	memcpy(&w, p, sizeof(w));
	return _mm512_set1_epi32(w);
}

/* Four words of sixteen blocks: lane L of *k has those of block 4 L + k. */
WIDE_INLINE void
gather(__m512i *a, __m512i *b, __m512i *c, __m512i *d)
{
	__m512i ab0 = _mm512_unpacklo_epi32(*a, *b);
	__m512i ab1 = _mm512_unpackhi_epi32(*a, *b);
	__m512i cd0 = _mm512_unpacklo_epi32(*c, *d);
	__m512i cd1 = _mm512_unpackhi_epi32(*c, *d);

	*a = _mm512_unpacklo_epi64(ab0, cd0);
	*b = _mm512_unpackhi_epi64(ab0, cd0);
	*c = _mm512_unpacklo_epi64(ab1, cd1);
	*d = _mm512_unpackhi_epi64(ab1, cd1);
}

WIDE_INLINE void
xor_block(uint8_t *dst, const uint8_t *src, unsigned n, __m512i stream)
{
	__m512i t = _mm512_loadu_si512(src + n * BLOCK);

	_mm512_storeu_si512(dst + n * BLOCK, _mm512_xor_si512(t, stream));
}

/* Blocks k, k + 4, k + 8, k + 12, of which each argument has four words. */
WIDE_INLINE void
xor_four(uint8_t *dst, const uint8_t *src, unsigned k, __m512i a, __m512i b,
    __m512i c, __m512i d)
{
	__m512i ab0 = _mm512_shuffle_i32x4(a, b, 0x44);
	__m512i ab2 = _mm512_shuffle_i32x4(a, b, 0xee);
	__m512i cd0 = _mm512_shuffle_i32x4(c, d, 0x44);
	__m512i cd2 = _mm512_shuffle_i32x4(c, d, 0xee);

	xor_block(dst, src, k, _mm512_shuffle_i32x4(ab0, cd0, 0x88));
	xor_block(dst, src, k + 4, _mm512_shuffle_i32x4(ab0, cd0, 0xdd));
	xor_block(dst, src, k + 8, _mm512_shuffle_i32x4(ab2, cd2, 0x88));
	xor_block(dst, src, k + 12, _mm512_shuffle_i32x4(ab2, cd2, 0xdd));
}

#define ADD(v, w) v = _mm512_add_epi32(v, w)

WIDE static void
sixteen(uint8_t *dst, const uint8_t *src, const uint8_t *key,
    const uint8_t *nonce, uint32_t counter)
{
	const __m512i count = _mm512_add_epi32(
	    _mm512_set1_epi32((int32_t)counter), _mm512_setr_epi32(0, 1, 2, 3,
	    4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
	const __m512i c0 = _mm512_set1_epi32(0x61707865);
	const __m512i c1 = _mm512_set1_epi32(0x3320646e);
	const __m512i c2 = _mm512_set1_epi32(0x79622d32);
	const __m512i c3 = _mm512_set1_epi32(0x6b206574);
	__m512i v0 = c0, v1 = c1, v2 = c2, v3 = c3;
	__m512i v4 = word(key), v5 = word(key + 4), v6 = word(key + 8);
	__m512i v7 = word(key + 12), v8 = word(key + 16), v9 = word(key + 20);
	__m512i v10 = word(key + 24), v11 = word(key + 28), v12 = count;
	__m512i v13 = word(nonce), v14 = word(nonce + 4), v15 = word(nonce + 8);

	for (int i = 0; i < 10; i++) {
		QUARTER(v0, v4, v8, v12);
		QUARTER(v1, v5, v9, v13);
		QUARTER(v2, v6, v10, v14);
		QUARTER(v3, v7, v11, v15);
		QUARTER(v0, v5, v10, v15);
		QUARTER(v1, v6, v11, v12);
		QUARTER(v2, v7, v8, v13);
		QUARTER(v3, v4, v9, v14);
	}
	ADD(v0, c0), ADD(v1, c1), ADD(v2, c2), ADD(v3, c3);
	ADD(v4, word(key)), ADD(v5, word(key + 4)), ADD(v6, word(key + 8));
	ADD(v7, word(key + 12)), ADD(v8, word(key + 16));
	ADD(v9, word(key + 20)), ADD(v10, word(key + 24));
	ADD(v11, word(key + 28)), ADD(v12, count), ADD(v13, word(nonce));
	ADD(v14, word(nonce + 4)), ADD(v15, word(nonce + 8));
	gather(&v0, &v1, &v2, &v3);
	gather(&v4, &v5, &v6, &v7);
	gather(&v8, &v9, &v10, &v11);
	gather(&v12, &v13, &v14, &v15);
	xor_four(dst, src, 0, v0, v4, v8, v12);
	xor_four(dst, src, 1, v1, v5, v9, v13);
	xor_four(dst, src, 2, v2, v6, v10, v14);
	xor_four(dst, src, 3, v3, v7, v11, v15);
}

static size_t
xor_wide(uint8_t *dst, const uint8_t *src, size_t len, const uint8_t *key,
    const uint8_t *nonce, uint32_t counter)
{
	size_t done = 0;

	if (!__builtin_cpu_supports("avx512f"))
		return 0;
	for (; len - done >= SIXTEEN; done += SIXTEEN)
		sixteen(dst + done, src + done, key, nonce,
		    counter + (uint32_t)(done / BLOCK));
	return done;
}

#else

static size_t
xor_wide(uint8_t *dst, const uint8_t *src, size_t len, const uint8_t *key,
    const uint8_t *nonce, uint32_t counter)
{
	(void)dst, (void)src, (void)len, (void)key, (void)nonce, (void)counter;
	return 0;
}

#endif

void
chacha_xor(uint8_t *dst, const uint8_t *src, size_t len,
    const uint8_t key[static 32], const uint8_t nonce[static 12],
    uint32_t counter)
{
	size_t done = xor_wide(dst, src, len, key, nonce, counter);

	if (done < len)
		(void)crypto_stream_chacha20_ietf_xor_ic(dst + done, src + done,
		    len - done, nonce, counter + (uint32_t)(done / BLOCK), key);
}
