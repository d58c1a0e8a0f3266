/*
 * lanes: BLAKE2b (RFC 7693) with one message per lane.
 *
 * A lane walks over its message block by block; a message is `type || chunk`, so block k of it begins at chunk + 128 k - 1: read in
 * place, except the first block (the type byte) and the last (zero padding), which are made ready in the lane.  The block of
 * the key comes first and is the same for all: it is compressed once.  When a lane's message is finished, the lane takes the next
 * one, the longest that is left; lanes without work compress zeros.
 */
#include "codec/lanes.h"

#include <stdbool.h>
#include <string.h>

#include "codec/digest.h"

#define BLOCK 128
#define WIDTH_MAX 8
#define ORDER_MAX 1024u                 /* jobs put into order at a time */
#define CLASSES 488u                    /* of lengths: class_of() is less */

struct lane {
	struct lanes_job *job;          /* NULL: idle */
	uint64_t block, blocks;         /* next; in all */
	uint64_t total;                 /* bytes of the message, type included */
	uint8_t first[BLOCK], last[BLOCK];
};

#if defined(__x86_64__)

#include <immintrin.h>

/* One block per lane: h[word][lane], p[lane], t[lane] bytes so far, f[lane] all ones at the last block. */
typedef void (*compress_fn)(uint64_t h[8][WIDTH_MAX], const uint8_t *const p[WIDTH_MAX], const uint64_t t[WIDTH_MAX],
    const uint64_t f[WIDTH_MAX]);

static const uint64_t iv[8] = {
	0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
	0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

/* The message schedule: ROUND(r) for the ten permutations, the first two again for rounds 10 and 11. */
#define ROUNDS \
	ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15) \
	ROUND(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3) \
	ROUND(11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4) \
	ROUND(7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8) \
	ROUND(9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13) \
	ROUND(2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9) \
	ROUND(12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11) \
	ROUND(13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10) \
	ROUND(6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5) \
	ROUND(10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0) \
	ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15) \
	ROUND(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3)

#define ROUND(a, b, c, d, e, f_, g, h_, i, j, k, l, m_, n, o, q) \
	MIX(0, 4, 8, 12, a, b) MIX(1, 5, 9, 13, c, d) MIX(2, 6, 10, 14, e, f_) MIX(3, 7, 11, 15, g, h_) \
	MIX(0, 5, 10, 15, i, j) MIX(1, 6, 11, 12, k, l) MIX(2, 7, 8, 13, m_, n) MIX(3, 4, 9, 14, o, q)

/* ---- eight lanes, AVX-512 */

#define MIX(a, b, c, d, x, y) \
	v[a] = _mm512_add_epi64(_mm512_add_epi64(v[a], v[b]), m[x]); \
	v[d] = _mm512_ror_epi64(_mm512_xor_si512(v[d], v[a]), 32); \
	v[c] = _mm512_add_epi64(v[c], v[d]); \
	v[b] = _mm512_ror_epi64(_mm512_xor_si512(v[b], v[c]), 24); \
	v[a] = _mm512_add_epi64(_mm512_add_epi64(v[a], v[b]), m[y]); \
	v[d] = _mm512_ror_epi64(_mm512_xor_si512(v[d], v[a]), 16); \
	v[c] = _mm512_add_epi64(v[c], v[d]); \
	v[b] = _mm512_ror_epi64(_mm512_xor_si512(v[b], v[c]), 63);

/* Eight rows of eight words become eight columns. */
__attribute__((target("avx512f"), always_inline)) static inline void
transpose8(__m512i r[8])
{
	__m512i s[8];

	for (int i = 0; i < 4; i++) {
		s[2 * i] = _mm512_unpacklo_epi64(r[2 * i], r[2 * i + 1]);
		s[2 * i + 1] = _mm512_unpackhi_epi64(r[2 * i], r[2 * i + 1]);
	}
	for (int i = 0; i < 2; i++) {
		r[i] = _mm512_shuffle_i64x2(s[i], s[2 + i], 0x88);
		r[2 + i] = _mm512_shuffle_i64x2(s[i], s[2 + i], 0xdd);
		r[4 + i] = _mm512_shuffle_i64x2(s[4 + i], s[6 + i], 0x88);
		r[6 + i] = _mm512_shuffle_i64x2(s[4 + i], s[6 + i], 0xdd);
	}
	for (int i = 0; i < 4; i++) {
		s[i] = _mm512_shuffle_i64x2(r[i], r[4 + i], 0x88);
		s[4 + i] = _mm512_shuffle_i64x2(r[i], r[4 + i], 0xdd);
	}
	for (int i = 0; i < 8; i++)
		r[i] = s[i];
}

__attribute__((target("avx512f"))) static void
compress8(uint64_t h[8][WIDTH_MAX], const uint8_t *const p[WIDTH_MAX], const uint64_t t[WIDTH_MAX], const uint64_t f[WIDTH_MAX])
{
	__m512i v[16], m[16];

	for (int i = 0; i < 8; i++) {
		m[i] = _mm512_loadu_si512(p[i]);
		m[8 + i] = _mm512_loadu_si512(p[i] + 64);
	}
	transpose8(m);
	transpose8(m + 8);
	for (int i = 0; i < 8; i++) {
		v[i] = _mm512_loadu_si512(h[i]);
		v[8 + i] = _mm512_set1_epi64((long long)iv[i]);
	}
	v[12] = _mm512_xor_si512(v[12], _mm512_loadu_si512(t));
	v[14] = _mm512_xor_si512(v[14], _mm512_loadu_si512(f));
	ROUNDS
	for (int i = 0; i < 8; i++)
		_mm512_storeu_si512(h[i], _mm512_xor_si512(_mm512_loadu_si512(h[i]), _mm512_xor_si512(v[i], v[8 + i])));
}

#undef MIX

/* ---- four lanes, AVX2 */

#define ROR256(x, n) _mm256_or_si256(_mm256_srli_epi64(x, n), _mm256_slli_epi64(x, 64 - (n)))
#define MIX(a, b, c, d, x, y) \
	v[a] = _mm256_add_epi64(_mm256_add_epi64(v[a], v[b]), m[x]); \
	v[d] = _mm256_shuffle_epi32(_mm256_xor_si256(v[d], v[a]), 0xb1); \
	v[c] = _mm256_add_epi64(v[c], v[d]); \
	v[b] = _mm256_shuffle_epi8(_mm256_xor_si256(v[b], v[c]), r24); \
	v[a] = _mm256_add_epi64(_mm256_add_epi64(v[a], v[b]), m[y]); \
	v[d] = _mm256_shuffle_epi8(_mm256_xor_si256(v[d], v[a]), r16); \
	v[c] = _mm256_add_epi64(v[c], v[d]); \
	v[b] = ROR256(_mm256_xor_si256(v[b], v[c]), 63);

__attribute__((target("avx2"))) static void
compress4(uint64_t h[8][WIDTH_MAX], const uint8_t *const p[WIDTH_MAX], const uint64_t t[WIDTH_MAX], const uint64_t f[WIDTH_MAX])
{
	const __m256i r24 = _mm256_setr_epi8(3, 4, 5, 6, 7, 0, 1, 2, 11, 12, 13, 14, 15, 8, 9, 10,
	    3, 4, 5, 6, 7, 0, 1, 2, 11, 12, 13, 14, 15, 8, 9, 10);
	const __m256i r16 = _mm256_setr_epi8(2, 3, 4, 5, 6, 7, 0, 1, 10, 11, 12, 13, 14, 15, 8, 9,
	    2, 3, 4, 5, 6, 7, 0, 1, 10, 11, 12, 13, 14, 15, 8, 9);
	__m256i v[16], m[16], a[4], s[4];

	for (int q = 0; q < 4; q++) {
		for (int i = 0; i < 4; i++)
			a[i] = _mm256_loadu_si256((const __m256i *)(const void *)(p[i] + 32 * q));
		s[0] = _mm256_unpacklo_epi64(a[0], a[1]);
		s[1] = _mm256_unpackhi_epi64(a[0], a[1]);
		s[2] = _mm256_unpacklo_epi64(a[2], a[3]);
		s[3] = _mm256_unpackhi_epi64(a[2], a[3]);
		m[4 * q] = _mm256_permute2x128_si256(s[0], s[2], 0x20);
		m[4 * q + 1] = _mm256_permute2x128_si256(s[1], s[3], 0x20);
		m[4 * q + 2] = _mm256_permute2x128_si256(s[0], s[2], 0x31);
		m[4 * q + 3] = _mm256_permute2x128_si256(s[1], s[3], 0x31);
	}
	for (int i = 0; i < 8; i++) {
		v[i] = _mm256_loadu_si256((const __m256i *)(const void *)h[i]);
		v[8 + i] = _mm256_set1_epi64x((long long)iv[i]);
	}
	v[12] = _mm256_xor_si256(v[12], _mm256_loadu_si256((const __m256i *)(const void *)t));
	v[14] = _mm256_xor_si256(v[14], _mm256_loadu_si256((const __m256i *)(const void *)f));
	ROUNDS
	for (int i = 0; i < 8; i++) {
		__m256i *d = (__m256i *)(void *)h[i];

		_mm256_storeu_si256(d, _mm256_xor_si256(_mm256_loadu_si256(d), _mm256_xor_si256(v[i], v[8 + i])));
	}
}

#undef MIX

/* ---- lanes and jobs */

/* State after the block of the key (the same in all lanes). */
static void
keyed_state(compress_fn compress, const uint8_t key[static 32], uint64_t out[8])
{
	uint64_t h[8][WIDTH_MAX], t[WIDTH_MAX], f[WIDTH_MAX] = { 0 };
	const uint8_t *p[WIDTH_MAX];
	uint8_t block[BLOCK] = { 0 };

	memcpy(block, key, 32);
	for (int l = 0; l < WIDTH_MAX; l++) {
		p[l] = block;
		t[l] = BLOCK;
		for (int i = 0; i < 8; i++)
			h[i][l] = iv[i] ^ (i == 0 ? 0x01012020u : 0);
	}
	compress(h, p, t, f);
	for (int i = 0; i < 8; i++)
		out[i] = h[i][0];
	explicit_bzero(block, sizeof(block));
}

static void
lane_load(struct lane *l, struct lanes_job *job)
{
	size_t tail, n = job->len < BLOCK - 1 ? job->len : BLOCK - 1;

	l->job = job;
	l->total = (uint64_t)job->len + 1;
	l->block = 0;
	l->blocks = (l->total + BLOCK - 1) / BLOCK;
	l->first[0] = job->type;
	memcpy(l->first + 1, job->p, n);
	memset(l->first + 1 + n, 0, BLOCK - 1 - n);
	if (l->blocks > 1) {
		tail = (size_t)(l->total - (l->blocks - 1) * BLOCK);
		memcpy(l->last, job->p + job->len - tail, tail);
		memset(l->last + tail, 0, BLOCK - tail);
	}
}

static void
lane_finish(struct lane *l, uint64_t h[8][WIDTH_MAX], unsigned at)
{
	for (int i = 0; i < 4; i++)
		for (int k = 0; k < 8; k++)
			l->job->id.b[8 * i + k] = (uint8_t)(h[i][at] >> (8 * k));
	l->job = NULL;
}

/* The lane's next block: where it lies, how many bytes there were up to its end, and whether it is the last. */
static const uint8_t *
lane_step(struct lane *l, uint64_t *t, uint64_t *f)
{
	bool last = l->block + 1 == l->blocks;
	const uint8_t *p = l->block == 0 ? l->first : last ? l->last : l->job->p + l->block * BLOCK - 1;

	l->block++;
	*t = BLOCK + (last ? l->total : l->block * BLOCK);
	*f = last ? ~0ull : 0;
	return p;
}

/* Eight classes for each power of two. */
static unsigned
class_of(size_t len)
{
	unsigned bits = 63 - (unsigned)__builtin_clzll(len | 8);

	return (bits - 3) * 8 + (unsigned)(len >> (bits - 3) & 7);
}

/* Longest first, so that lanes finish together: which[] gets their places. */
static void
order(const struct lanes_job *jobs, size_t count, uint16_t which[ORDER_MAX])
{
	uint16_t at[CLASSES + 1] = { 0 };

	for (size_t i = 0; i < count; i++)
		at[CLASSES - class_of(jobs[i].len)]++;
	for (unsigned c = 0; c < CLASSES; c++)
		at[c + 1] = (uint16_t)(at[c + 1] + at[c]);
	for (size_t i = 0; i < count; i++)
		which[at[CLASSES - 1 - class_of(jobs[i].len)]++] = (uint16_t)i;
}

static void
run(compress_fn compress, unsigned width, const uint64_t start[8], struct lanes_job *jobs, size_t count)
{
	static const uint8_t zeros[BLOCK];
	uint64_t h[8][WIDTH_MAX] = { { 0 } }, t[WIDTH_MAX] = { 0 }, f[WIDTH_MAX] = { 0 };
	const uint8_t *p[WIDTH_MAX];
	struct lane lane[WIDTH_MAX];
	uint16_t which[ORDER_MAX];
	size_t next = 0;
	unsigned busy;

	for (size_t i = 0; count <= width && i < count; i++)
		which[i] = (uint16_t)i;
	if (count > width)
		order(jobs, count, which);
	for (unsigned l = 0; l < width; l++)
		lane[l].job = NULL;
	for (;;) {
		busy = 0;
		for (unsigned l = 0; l < width; l++) {
			if (!lane[l].job && next < count) {
				lane_load(&lane[l], &jobs[which[next++]]);
				for (int i = 0; i < 8; i++)
					h[i][l] = start[i];
			}
			busy += lane[l].job != NULL;
			p[l] = lane[l].job ? lane_step(&lane[l], &t[l], &f[l]) : zeros;
		}
		if (!busy)
			break;
		compress(h, p, t, f);
		for (unsigned l = 0; l < width; l++)
			if (lane[l].job && lane[l].block == lane[l].blocks)
				lane_finish(&lane[l], h, l);
	}
}

static compress_fn
choose(enum lanes_width *width)
{
	if ((*width == LANES_BEST || *width == LANES_8) && __builtin_cpu_supports("avx512f")) {
		*width = LANES_8;
		return compress8;
	}
	if ((*width == LANES_BEST || *width == LANES_4) && __builtin_cpu_supports("avx2")) {
		*width = LANES_4;
		return compress4;
	}
	*width = LANES_1;
	return NULL;
}

#endif

enum lanes_width
lanes_chunk_ids_width(const uint8_t key[static 32], struct lanes_job *jobs, size_t count, enum lanes_width width)
{
#if defined(__x86_64__)
	compress_fn compress = choose(&width);

	if (compress) {
		uint64_t start[8];

		keyed_state(compress, key, start);
		for (size_t n; count; jobs += n, count -= n) {
			n = count < ORDER_MAX ? count : ORDER_MAX;
			run(compress, width, start, jobs, n);
		}
		explicit_bzero(start, sizeof(start));
		return width;
	}
#endif
	for (size_t i = 0; i < count; i++)
		digest_chunk_id(&jobs[i].id, key, jobs[i].type, jobs[i].p, jobs[i].len);
	(void)width;
	return LANES_1;
}

void
lanes_chunk_ids(const uint8_t key[static 32], struct lanes_job *jobs, size_t count)
{
	/* One or two messages leave most lanes idle: one at a time is faster then. */
	(void)lanes_chunk_ids_width(key, jobs, count, count < 3 ? LANES_1 : LANES_BEST);
}
