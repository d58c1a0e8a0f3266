/*
 * chunker: a chunk ends where the top bits of a rolling hash of the last 64
 * bytes are zero; before the average length more bits must be zero than after
 * it, which draws lengths together (CH-5).
 *
 * The hash h = 2h + gear[byte] forgets a byte after 64 steps by itself, since
 * it shifts out at the top: starting 64 bytes before the first place where a
 * chunk may end gives exactly the hash of the rule.  "The top n bits are zero"
 * is "h < 2^(64-n)", one comparison.
 *
 * Four bytes a step: the fourth hash is 16h + (8 g0 + 4 g1 + 2 g2 + g3), so
 * that the chain of dependent operations has one link for four bytes; the sum
 * in brackets and the other three hashes are computed beside it.
 */
#include "codec/chunker.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#define WINDOW 64

static uint64_t
top_bits(unsigned n)
{
	return ~0ull << (64 - n);
}

void
chunker_init(struct chunker *c, const uint8_t gear_key[static 32],
    uint32_t min, uint32_t avg, uint32_t max)
{
	static const uint8_t nonce[crypto_stream_xchacha20_NONCEBYTES];
	uint8_t stream[sizeof(c->gear)];
	unsigned n = (unsigned)__builtin_ctz(avg);

	assert(min >= WINDOW && min < avg && avg < max &&
	    (avg & (avg - 1)) == 0);
	crypto_stream_xchacha20(stream, sizeof(stream), nonce, gear_key);
	for (size_t i = 0; i < 256; i++) {
		uint64_t v = 0;

		for (size_t k = 8; k > 0; k--)
			v = v << 8 | stream[8 * i + k - 1];
		c->gear[i] = v;
	}
	sodium_memzero(stream, sizeof(stream));
	c->min = min;
	c->avg = avg;
	c->max = max;
	c->mask_before = top_bits(n + 2);
	c->mask_after = top_bits(n - 2);
}

/* Compilers know that 4h + (2 g0 + g1) is 2(2h + g0) + g1 and make it one long
 * chain again, at two thirds of the speed, unless the sum is hidden. */
#define HIDE(x) __asm__("" : "+r"(x))

/*
 * The first length in (from, to] at which the hash is below `below`, or 0.
 * *hash is the hash at length `from`, and at `to` afterwards.
 */
static size_t
scan(const uint64_t gear[static 256], const uint8_t *p, size_t from, size_t to,
    uint64_t below, uint64_t *hash)
{
	uint64_t h = *hash;
	size_t i = from;

	for (; to - i >= 4; i += 4) {
		uint64_t s0 = gear[p[i]];
		uint64_t s1 = 2 * s0 + gear[p[i + 1]];
		uint64_t s2 = 2 * s1 + gear[p[i + 2]];
		uint64_t s3 = 2 * s2 + gear[p[i + 3]];

		HIDE(s0);
		HIDE(s1);
		HIDE(s2);
		HIDE(s3);
		if (2 * h + s0 < below)
			return i + 1;
		if (4 * h + s1 < below)
			return i + 2;
		if (8 * h + s2 < below)
			return i + 3;
		h = 16 * h + s3;
		if (h < below)
			return i + 4;
	}
	for (; i < to; i++) {
		h = 2 * h + gear[p[i]];
		if (h < below)
			return i + 1;
	}
	*hash = h;
	return 0;
}

size_t
chunker_cut(const struct chunker *c, const uint8_t *p, size_t len, bool eof)
{
	const size_t end = len < c->max ? len : c->max;
	const uint64_t below_before = ~c->mask_before + 1;
	const uint64_t below_after = ~c->mask_after + 1;
	const size_t none = len >= c->max ? c->max : eof ? len : 0;
	size_t first = c->min - 1, middle = c->avg - 1, cut;
	uint64_t h = 0;

	if (end < c->min)
		return none;
	if (middle > end)
		middle = end;
	for (size_t i = c->min - WINDOW; i < first; i++)
		h = 2 * h + c->gear[p[i]];
	cut = scan(c->gear, p, first, middle, below_before, &h);
	if (cut == 0)
		cut = scan(c->gear, p, middle, end, below_after, &h);
	return cut > 0 ? cut : none;
}
