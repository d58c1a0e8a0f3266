/*
 * poly: h = (h + block) * r modulo 2^130 - 5 for each block of 16 bytes.
 *
 * Numbers are three limbs of 44, 44 and 42 bits, so that the product of two
 * limbs, one of them times 20, fits the 104 bits of the vector unit, which
 * gives its low and its high 52 bits one at a time.  2^132 is 20 modulo
 * 2^130 - 5: what leaves the top comes back at the bottom times 20, or times
 * 5 where it is counted from bit 130.
 *
 * Eight lanes: lane i adds up blocks i, i + 8, i + 16, ... with r^8 between
 * them; the last time the lanes are multiplied by r^8, r^7, ... r instead, and
 * their sum is what one after the other would have given.
 *
 * Nothing here branches on or looks up by what is secret.
 */
#include "codec/poly.h"

#include <sodium.h>
#include <string.h>

#define LONG 1024u                      /* bytes that are worth it */
#define BLOCK 16u
#define LANES 8u
#define EIGHT (LANES * BLOCK)
#define M44 0xfffffffffffull
#define M42 0x3ffffffffffull
#define TOP (1ull << 40)                /* bit 128, in the third limb */

#if defined(__x86_64__)

#include <immintrin.h>

typedef unsigned __int128 wide;

struct number {
	uint64_t v[3];
};

_Static_assert(sizeof(struct number) == sizeof(((struct poly *)0)->h),
    "a number is what struct poly keeps");

static uint64_t
load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static struct number
multiply(const struct number *h, const struct number *r)
{
	uint64_t s1 = r->v[1] * 20, s2 = r->v[2] * 20;
	wide d0 = (wide)h->v[0] * r->v[0] + (wide)h->v[1] * s2 +
	    (wide)h->v[2] * s1;
	wide d1 = (wide)h->v[0] * r->v[1] + (wide)h->v[1] * r->v[0] +
	    (wide)h->v[2] * s2;
	wide d2 = (wide)h->v[0] * r->v[2] + (wide)h->v[1] * r->v[1] +
	    (wide)h->v[2] * r->v[0];
	struct number out;

	d1 += d0 >> 44;
	d2 += d1 >> 44;
	out.v[0] = ((uint64_t)d0 & M44) + (uint64_t)(d2 >> 42) * 5;
	out.v[1] = ((uint64_t)d1 & M44) + (out.v[0] >> 44);
	out.v[2] = (uint64_t)d2 & M42;
	out.v[0] &= M44;
	return out;
}

static void
add_block(struct number *h, const uint8_t *p, uint64_t top)
{
	uint64_t lo = load64(p), hi = load64(p + 8);

	h->v[0] += lo & M44;
	h->v[1] += (lo >> 44 | hi << 20) & M44;
	h->v[2] += hi >> 24 | top;
}

/* What is left after the eights; the last block of all may be short. */
static void
one_by_one(struct number *h, const struct number *r, const uint8_t *p,
    size_t len)
{
	uint8_t last[BLOCK] = { 0 };

	for (; len >= BLOCK; p += BLOCK, len -= BLOCK) {
		add_block(h, p, TOP);
		*h = multiply(h, r);
	}
	if (len == 0)
		return;
	memcpy(last, p, len);
	last[len] = 1;
	add_block(h, last, 0);
	*h = multiply(h, r);
}

/* h modulo 2^130 - 5, plus the second half of the key, modulo 2^128. */
static void
finish(uint8_t out[static 16], const struct number *sum,
    const uint8_t pad[static 16])
{
	uint64_t h0 = sum->v[0], h1 = sum->v[1], h2 = sum->v[2], g0, g1, g2;
	uint64_t lo, hi, keep;

	for (int i = 0; i < 2; i++) {
		h1 += h0 >> 44;
		h0 &= M44;
		h2 += h1 >> 44;
		h1 &= M44;
		h0 += (h2 >> 42) * 5;
		h2 &= M42;
	}
	h1 += h0 >> 44;
	h0 &= M44;
	/* Minus the modulus; below zero shows in the sign, and is not taken. */
	g0 = h0 + 5;
	g1 = h1 + (g0 >> 44);
	g2 = h2 + (g1 >> 44) - (1ull << 42);
	keep = 0 - (g2 >> 63);
	h0 = (h0 & keep) | (g0 & M44 & ~keep);
	h1 = (h1 & keep) | (g1 & M44 & ~keep);
	h2 = (h2 & keep) | (g2 & M42 & ~keep);
	lo = h0 | h1 << 44;
	hi = h1 >> 20 | h2 << 24;
	lo += load64(pad);
	hi += load64(pad + 8) + (lo < load64(pad));
	memcpy(out, &lo, sizeof(lo));
	memcpy(out + 8, &hi, sizeof(hi));
}

/* ---- eight lanes */

#define IFMA __attribute__((target("avx512f,avx512ifma")))
#define IFMA_INLINE \
	__attribute__((target("avx512f,avx512ifma"), always_inline)) \
	static inline

struct lanes {
	__m512i v[3];
};

/* Eight blocks as they lie, bit 128 set, added: in which lane a block comes
 * is told by `order`. */
IFMA_INLINE void
add8(struct lanes *h, const uint8_t *p)
{
	const __m512i m44 = _mm512_set1_epi64((long long)M44);
	__m512i a = _mm512_loadu_si512(p), b = _mm512_loadu_si512(p + 64);
	__m512i lo = _mm512_unpacklo_epi64(a, b);
	__m512i hi = _mm512_unpackhi_epi64(a, b);
	__m512i mid = _mm512_or_si512(_mm512_srli_epi64(lo, 44),
	    _mm512_slli_epi64(hi, 20));
	__m512i top = _mm512_or_si512(_mm512_srli_epi64(hi, 24),
	    _mm512_set1_epi64((long long)TOP));

	h->v[0] = _mm512_add_epi64(h->v[0], _mm512_and_si512(lo, m44));
	h->v[1] = _mm512_add_epi64(h->v[1], _mm512_and_si512(mid, m44));
	h->v[2] = _mm512_add_epi64(h->v[2], top);
}

static const uint8_t order[LANES] = { 0, 4, 1, 5, 2, 6, 3, 7 };

/* s: 20 times r. */
IFMA_INLINE void
multiply8(struct lanes *h, const struct lanes *r, const struct lanes *s)
{
	const __m512i zero = _mm512_setzero_si512();
	const __m512i m44 = _mm512_set1_epi64((long long)M44);
	const __m512i m42 = _mm512_set1_epi64((long long)M42);
	const __m512i *x = h->v;
	const __m512i y[3][3] = {
		{ r->v[0], s->v[2], s->v[1] },
		{ r->v[1], r->v[0], s->v[2] },
		{ r->v[2], r->v[1], r->v[0] },
	};
	__m512i lo[3], hi[3], c;

	for (int i = 0; i < 3; i++) {
		lo[i] = hi[i] = zero;
		for (int k = 0; k < 3; k++) {
			lo[i] = _mm512_madd52lo_epu64(lo[i], x[k], y[i][k]);
			hi[i] = _mm512_madd52hi_epu64(hi[i], x[k], y[i][k]);
		}
	}
	lo[1] = _mm512_add_epi64(lo[1], _mm512_add_epi64(
	    _mm512_srli_epi64(lo[0], 44), _mm512_slli_epi64(hi[0], 8)));
	lo[2] = _mm512_add_epi64(lo[2], _mm512_add_epi64(
	    _mm512_srli_epi64(lo[1], 44), _mm512_slli_epi64(hi[1], 8)));
	/* From bit 130, times 5. */
	c = _mm512_add_epi64(_mm512_srli_epi64(lo[2], 42),
	    _mm512_slli_epi64(hi[2], 10));
	c = _mm512_add_epi64(c, _mm512_slli_epi64(c, 2));
	c = _mm512_add_epi64(c, _mm512_and_si512(lo[0], m44));
	h->v[0] = _mm512_and_si512(c, m44);
	h->v[1] = _mm512_add_epi64(_mm512_and_si512(lo[1], m44),
	    _mm512_srli_epi64(c, 44));
	h->v[2] = _mm512_and_si512(lo[2], m42);
}

/* A number in all lanes, and 20 times it. */
struct factor {
	struct lanes r, s;
};

IFMA_INLINE void
factor_set(struct factor *f, const struct number *n)
{
	for (int k = 0; k < 3; k++) {
		f->r.v[k] = _mm512_set1_epi64((long long)n->v[k]);
		f->s.v[k] = _mm512_set1_epi64((long long)(n->v[k] * 20));
	}
}

/* r^8, r^7, ... r, each for the blocks of its lane. */
IFMA_INLINE void
factor_set_last(struct factor *f, const struct number power[static LANES])
{
	uint64_t r[LANES], s[LANES];

	for (int k = 0; k < 3; k++) {
		for (unsigned i = 0; i < LANES; i++) {
			r[i] = power[LANES - 1 - order[i]].v[k];
			s[i] = r[i] * 20;
		}
		f->r.v[k] = _mm512_loadu_si512(r);
		f->s.v[k] = _mm512_loadu_si512(s);
	}
	sodium_memzero(r, sizeof(r));
	sodium_memzero(s, sizeof(s));
}

IFMA_INLINE struct number
lanes_sum(const struct lanes *h)
{
	uint64_t one[LANES];
	struct number out;

	for (int k = 0; k < 3; k++) {
		_mm512_storeu_si512(one, h->v[k]);
		out.v[k] = 0;
		for (unsigned i = 0; i < LANES; i++)
			out.v[k] += one[i];
	}
	return out;
}

/*
 * *sum with `count` > 0 times 128 bytes; power[i]: r^(i + 1).  Two chains, each of every
 * other eight blocks and r^16 between them, so that one is added up while the
 * other waits for its products; what has been summed is h + g / r^8.
 */
IFMA static struct number
eights(const struct number *sum, const struct number power[static LANES],
    const uint8_t *p, size_t count)
{
	struct number twice = multiply(&power[LANES - 1], &power[LANES - 1]);
	struct factor r8, r16, last;
	struct lanes h, g;

	factor_set(&r8, &power[LANES - 1]);
	factor_set(&r16, &twice);
	factor_set_last(&last, power);
	for (int k = 0; k < 3; k++) {
		/* In the lane of the first block. */
		h.v[k] = _mm512_zextsi128_si512(_mm_cvtsi64_si128(
		    (long long)sum->v[k]));
		g.v[k] = _mm512_setzero_si512();
	}
	if (count % 2 && count > 1) {
		add8(&h, p);
		multiply8(&h, &r8.r, &r8.s);
		p += EIGHT;
		count--;
	}
	for (; count > 2; p += 2 * EIGHT, count -= 2) {
		add8(&h, p);
		add8(&g, p + EIGHT);
		multiply8(&h, &r16.r, &r16.s);
		multiply8(&g, &r16.r, &r16.s);
	}
	if (count == 2) {
		add8(&h, p);
		multiply8(&h, &r8.r, &r8.s);
		for (int k = 0; k < 3; k++)
			h.v[k] = _mm512_add_epi64(h.v[k], g.v[k]);
		p += EIGHT;
	}
	add8(&h, p);
	multiply8(&h, &last.r, &last.s);
	return lanes_sum(&h);
}

static struct number
clamp(const uint8_t key[static 32])
{
	uint64_t lo = load64(key) & 0x0ffffffc0fffffffull;
	uint64_t hi = load64(key + 8) & 0x0ffffffc0ffffffcull;

	return (struct number){ { lo & M44, (lo >> 44 | hi << 20) & M44,
		hi >> 24 } };
}

static bool
has_unit(void)
{
	return __builtin_cpu_supports("avx512f") &&
	    __builtin_cpu_supports("avx512ifma");
}

bool
poly_begin(struct poly *s, const uint8_t key[static 32])
{
	struct number power[LANES];

	if (!has_unit())
		return false;
	power[0] = clamp(key);
	for (unsigned i = 1; i < LANES; i++)
		power[i] = multiply(&power[i - 1], &power[0]);
	memcpy(s->power, power, sizeof(power));
	memset(s->h, 0, sizeof(s->h));
	memcpy(s->pad, key + 16, sizeof(s->pad));
	sodium_memzero(power, sizeof(power));
	return true;
}

void
poly_add(struct poly *s, const void *p, size_t len)
{
	const uint8_t *bytes = p;
	size_t most = len - len % EIGHT;
	struct number power[LANES], h;

	memcpy(power, s->power, sizeof(power));
	memcpy(&h, s->h, sizeof(h));
	if (most)
		h = eights(&h, power, bytes, most / EIGHT);
	one_by_one(&h, &power[0], bytes + most, len - most);
	memcpy(s->h, &h, sizeof(h));
	sodium_memzero(power, sizeof(power));
}

void
poly_end(struct poly *s, uint8_t out[static 16])
{
	struct number h;

	memcpy(&h, s->h, sizeof(h));
	finish(out, &h, s->pad);
	sodium_memzero(s, sizeof(*s));
}

bool
poly_mac_wide(uint8_t out[static 16], const uint8_t key[static 32],
    const void *p, size_t len)
{
	struct poly s;

	if (!poly_begin(&s, key))
		return false;
	poly_add(&s, p, len);
	poly_end(&s, out);
	return true;
}

#else

bool
poly_mac_wide(uint8_t out[static 16], const uint8_t key[static 32],
    const void *p, size_t len)
{
	(void)out, (void)key, (void)p, (void)len;
	return false;
}

bool
poly_begin(struct poly *s, const uint8_t key[static 32])
{
	(void)s, (void)key;
	return false;
}

void
poly_add(struct poly *s, const void *p, size_t len)
{
	(void)s, (void)p, (void)len;
}

void
poly_end(struct poly *s, uint8_t out[static 16])
{
	(void)s, (void)out;
}

#endif

void
poly_mac(uint8_t out[static 16], const uint8_t key[static 32], const void *p,
    size_t len)
{
	if (len < LONG || !poly_mac_wide(out, key, p, len))
		(void)crypto_onetimeauth(out, p, len, key);
}
