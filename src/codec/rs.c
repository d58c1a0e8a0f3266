/*
 * rs: coefficient(p, j) = (128 ^ j) / ((128 + p) ^ j): a Cauchy matrix whose columns are scaled so that row 0 is all ones.  Every
 * square part of a Cauchy matrix can be inverted, and scaling does not change that; so any `count` parity rows find any `count`
 * lost blocks.  Row 0 makes the only parity block of a single data block its copy.
 *
 * A table of 256 products belongs to each factor; ISA-L has its own, of 32 bytes, for vector shuffles.
 */
#include "codec/rs.h"

#include <assert.h>
#include <string.h>

#ifdef HAVE_ISAL
#include <isa-l/erasure_code.h>
#endif

#define CHUNK 4096                      /* bytes solved at once */

static uint8_t
mul(uint8_t a, uint8_t b)
{
	unsigned r = 0, x = a;

	for (unsigned bit = 0; bit < 8; bit++) {
		if (b >> bit & 1)
			r ^= x;
		x = x << 1 ^ (x >> 7) * 0x11d;
	}
	return (uint8_t)r;
}

/* a^254: there are 255 of them that are not zero. */
static uint8_t
inverse(uint8_t a)
{
	uint8_t r = 1;

	for (unsigned i = 0; i < 254; i++)
		r = mul(r, a);
	return r;
}

uint8_t
rs_coefficient(unsigned parity, unsigned data)
{
	assert(parity < RS_PARITY_MAX && data < RS_DATA_MAX);
	return mul((uint8_t)(128 ^ data), inverse((uint8_t)((128 + parity) ^ data)));
}

bool
rs_has_isal(void)
{
#ifdef HAVE_ISAL
	return true;
#else
	return false;
#endif
}

static void
add_portable(uint8_t factor, const uint8_t *p, size_t len, uint8_t *out)
{
	uint8_t table[256];

	for (unsigned i = 0; i < 256; i++)
		table[i] = mul(factor, (uint8_t)i);
	for (size_t i = 0; i < len; i++)
		out[i] ^= table[p[i]];
}

/* out[i] ^= factors[i] * p. */
static void
add(enum rs_engine engine, const uint8_t *factors, unsigned count, const uint8_t *p, size_t len, uint8_t *const *out)
{
#ifdef HAVE_ISAL
	uint8_t tables[32 * RS_PARITY_MAX], f[RS_PARITY_MAX];
	unsigned char *dst[RS_PARITY_MAX];

	if (engine == RS_BEST) {
		memcpy(f, factors, count);
		memcpy(dst, out, count * sizeof(*dst));
		ec_init_tables(1, (int)count, f, tables);
		/* It only reads p. */
		ec_encode_data_update((int)len, 1, (int)count, 0, tables, (unsigned char *)(uintptr_t)p, dst);
		return;
	}
#endif
	(void)engine;
	for (unsigned i = 0; i < count; i++)
		add_portable(factors[i], p, len, out[i]);
}

void
rs_add(enum rs_engine engine, const unsigned *rows, unsigned count, unsigned data, const uint8_t *p, size_t len,
    uint8_t *const *out)
{
	uint8_t factors[RS_PARITY_MAX];

	assert(count <= RS_PARITY_MAX);
	for (unsigned i = 0; i < count; i++)
		factors[i] = rs_coefficient(rows[i], data);
	add(engine, factors, count, p, len, out);
}

/* Gauss and Jordan: m becomes the unit matrix, and inv its inverse. */
static void
invert(uint8_t m[RS_PARITY_MAX][RS_PARITY_MAX], uint8_t inv[RS_PARITY_MAX][RS_PARITY_MAX], unsigned n)
{
	memset(inv, 0, RS_PARITY_MAX * RS_PARITY_MAX);
	for (unsigned i = 0; i < n; i++)
		inv[i][i] = 1;
	for (unsigned c = 0; c < n; c++) {
		/* Every leading square part of a scaled Cauchy matrix is invertible: no pivot is ever zero. */
		uint8_t f = inverse(m[c][c]);

		assert(m[c][c] != 0);
		for (unsigned k = 0; k < n; k++) {
			m[c][k] = mul(m[c][k], f);
			inv[c][k] = mul(inv[c][k], f);
		}
		for (unsigned r = 0; r < n; r++) {
			f = r == c ? 0 : m[r][c];
			for (unsigned k = 0; f && k < n; k++) {
				m[r][k] ^= mul(f, m[c][k]);
				inv[r][k] ^= mul(f, inv[c][k]);
			}
		}
	}
}

void
rs_solve(enum rs_engine engine, const unsigned *rows, const unsigned *lost, unsigned count, uint8_t *const *sums, size_t len)
{
	uint8_t m[RS_PARITY_MAX][RS_PARITY_MAX], inv[RS_PARITY_MAX][RS_PARITY_MAX], factors[RS_PARITY_MAX];
	uint8_t found[RS_PARITY_MAX][CHUNK], *out[RS_PARITY_MAX];

	assert(count <= RS_PARITY_MAX);
	for (unsigned r = 0; r < count; r++)
		for (unsigned c = 0; c < count; c++)
			m[r][c] = rs_coefficient(rows[r], lost[c]);
	invert(m, inv, count);
	for (unsigned i = 0; i < count; i++)
		out[i] = found[i];
	for (size_t off = 0; off < len; off += CHUNK) {
		size_t n = len - off < CHUNK ? len - off : CHUNK;

		memset(found, 0, count * sizeof(found[0]));
		for (unsigned k = 0; k < count; k++) {
			for (unsigned i = 0; i < count; i++)
				factors[i] = inv[i][k];
			add(engine, factors, count, sums[k] + off, n, out);
		}
		for (unsigned i = 0; i < count; i++)
			memcpy(sums[i] + off, found[i], n);
	}
}
