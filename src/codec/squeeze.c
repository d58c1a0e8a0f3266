/*
 * squeeze: what is stored is always one zstd frame with the content size in
 * its header, no checksum (the box around it has a tag, the chunk an id) and no
 * dictionary id; a base is the prefix of the window (FR-3, FR-4).
 *
 * zstd's one-call decompression obeys no window limit and also accepts several
 * frames, skippable frames and formats before version 1.0.  So the first bytes
 * are looked at here before zstd sees them.
 */
#include "codec/squeeze.h"

#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/err.h"
#include "base/mem.h"
#include "format/cursor.h"

#define WINDOW_LOG_MIN 10
#define WINDOW_LOG_MAX 23
/* The hash tables of levels up to 1 are too small to find a base of 256 KiB and
 * more again; with this one they do, in the same time. */
#define BASE_LEVEL_MAX 1
#define BASE_HASH_LOG 17

/* At level 3 the tables of blocks of 2 MiB are smaller than zstd would have
 * them: 2 % more bytes for 15 % less time (DESIGN §13). */
#define PLAIN_LEVEL 3
#define PLAIN_HASH_LOG 16
#define PLAIN_CHAIN_LOG 12
#define PLAIN_LEN_MIN (512u << 10)

/* What is looked at to see whether it could become shorter. */
#define SAMPLE 2048u
#define SAMPLE_EACH (32u << 10)

struct squeeze {
	ZSTD_CCtx *c;
	ZSTD_DCtx *d;
	int level;
};

static bool
set(ZSTD_CCtx *c, ZSTD_cParameter param, int value)
{
	return !ZSTD_isError(ZSTD_CCtx_setParameter(c, param, value));
}

int
squeeze_new(int level, struct squeeze **out)
{
	struct squeeze *s;
	int rc = MEM_NEW(s);

	*out = NULL;
	if (rc)
		return rc;
	s->level = level;
	s->c = ZSTD_createCCtx();
	s->d = ZSTD_createDCtx();
	if (!s->c || !s->d)
		rc = fail(ERR_NOMEM, "out of memory for compression");
	else if (!set(s->c, ZSTD_c_compressionLevel, level) ||
	    !set(s->c, ZSTD_c_contentSizeFlag, 1) ||
	    !set(s->c, ZSTD_c_checksumFlag, 0) ||
	    !set(s->c, ZSTD_c_dictIDFlag, 0))
		rc = fail(ERR_USAGE, "bad compression level %d", level);
	*out = rc ? squeeze_free(s) : s;
	return rc;
}

struct squeeze *
squeeze_free(struct squeeze *s)
{
	if (s) {
		ZSTD_freeCCtx(s->c);
		ZSTD_freeDCtx(s->d);
		free(s);
	}
	return NULL;
}

size_t
squeeze_bound(size_t len)
{
	return ZSTD_compressBound(len);
}

/* The least window that reaches from the end of the source back over all of
 * the base. */
static int
window_log(size_t len)
{
	int log = WINDOW_LOG_MIN;

	while (log < WINDOW_LOG_MAX && (size_t)1 << log < len)
		log++;
	return log;
}

/* zstd's tables for this block; 0: its own choice. */
static void
table_logs(const struct squeeze *s, size_t len, bool base, int *hash, int *chain)
{
	*hash = *chain = 0;
	if (base && s->level != 0 && s->level <= BASE_LEVEL_MAX)
		*hash = BASE_HASH_LOG;
	if (base || s->level != PLAIN_LEVEL || len < PLAIN_LEN_MIN)
		return;
	*hash = PLAIN_HASH_LOG;
	*chain = PLAIN_CHAIN_LOG;
}

int
squeeze_pack(struct squeeze *s, uint8_t *dst, size_t cap, const void *src,
    size_t len, const void *base, size_t base_len, size_t *out_len)
{
	int hash_log, chain_log;
	size_t n;

	*out_len = 0;
	if (!base)
		base_len = 0;
	table_logs(s, len, base != NULL, &hash_log, &chain_log);
	if (!set(s->c, ZSTD_c_windowLog, window_log(len + base_len)) ||
	    !set(s->c, ZSTD_c_hashLog, hash_log) ||
	    !set(s->c, ZSTD_c_chainLog, chain_log) ||
	    ZSTD_isError(ZSTD_CCtx_refPrefix(s->c, base, base_len)))
		return fail(ERR_FAILED, "cannot set up compression");
	n = ZSTD_compress2(s->c, dst, cap, src, len);
	if (ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation)
		return fail(ERR_NOMEM, "out of memory for compression");
	if (ZSTD_isError(n))
		return fail(ERR_FAILED, "compression failed: %s",
		    ZSTD_getErrorName(n));
	*out_len = n;
	return OK;
}

/*
 * The sum of the squares of how often each byte is there: SAMPLE^2 / 256 +
 * SAMPLE of random ones, with a standard deviation of 1 %.  A fifteenth more is
 * what 0.05 bits of each byte could gain: less than zstd thinks worth while.
 */
static bool
is_even(const uint8_t *p)
{
	const uint64_t random = SAMPLE / 256u * SAMPLE + SAMPLE;
	uint32_t count[4][256] = { 0 };
	uint64_t squares = 0;

	for (size_t i = 0; i < SAMPLE; i += 4) {
		count[0][p[i]]++;
		count[1][p[i + 1]]++;
		count[2][p[i + 2]]++;
		count[3][p[i + 3]]++;
	}
	for (size_t i = 0; i < 256; i++) {
		uint64_t n = count[0][i] + count[1][i] + count[2][i] +
		    count[3][i];

		squares += n * n;
	}
	return squares < random + random / 15;
}

bool
squeeze_hopeless(const void *src, size_t len)
{
	const uint8_t *p = src;

	if (len < SAMPLE_EACH)
		return false;
	for (size_t at = 0; at + SAMPLE <= len; at += SAMPLE_EACH)
		if (!is_even(p + at))
			return false;
	return true;
}

/* RFC 8878, 3.1.1.1: the descriptor's bit 5 says that the window is the content
 * itself; otherwise a byte with exponent and mantissa follows. */
static bool
window_ok(const uint8_t *src, size_t len)
{
	uint8_t descriptor, window;
	uint64_t size;
	struct cursor c;

	cursor_init(&c, src, len);
	cursor_expect(&c, "\x28\xb5\x2f\xfd", 4);
	descriptor = cursor_u8(&c);
	window = cursor_u8(&c);
	if (c.broken)
		return false;
	if (descriptor & 0x20)
		return true;
	size = 1ull << (WINDOW_LOG_MIN + (window >> 3));
	size += size / 8 * (window & 7);
	return size <= 1ull << WINDOW_LOG_MAX;
}

int
squeeze_unpack(struct squeeze *s, uint8_t *dst, size_t raw_len,
    const void *src, size_t len, const void *base, size_t base_len)
{
	size_t n;

	if (!window_ok(src, len) ||
	    ZSTD_getFrameContentSize(src, len) != raw_len ||
	    ZSTD_findFrameCompressedSize(src, len) != len ||
	    ZSTD_getDictID_fromFrame(src, len) != 0)
		return fail(ERR_CORRUPT, "bad compressed block");
	n = ZSTD_DCtx_refPrefix(s->d, base, base ? base_len : 0);
	if (ZSTD_isError(n))
		return fail(ERR_NOMEM, "out of memory for decompression");
	n = ZSTD_decompressDCtx(s->d, dst, raw_len, src, len);
	if (ZSTD_isError(n) || n != raw_len)
		return fail(ERR_CORRUPT, "bad compressed block: %s",
		    ZSTD_isError(n) ? ZSTD_getErrorName(n) : "wrong length");
	return OK;
}
