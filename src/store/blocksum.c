#include "store/blocksum.h"

#include "base/err.h"
#include "codec/digest.h"
#include "format/cursor.h"

bool
blocksum_fits(const struct blocksum *b, uint64_t i, const uint8_t *p, size_t len)
{
	struct cursor c;

	cursor_init(&c, b->sums + 8 * i, 8);
	return cursor_u64(&c) == digest_xxh3(p, len);
}

/* Blocks that could not be read together, one by one. */
static int
singly(struct io *io, struct io_file *f, const struct blocksum *b, uint64_t off, uint64_t end, uint8_t *buf,
    blocksum_bad_fn fn, void *arg)
{
	int rc = OK;

	for (; rc == OK && off < end; off += b->block) {
		size_t n = end - off < b->block ? (size_t)(end - off) : b->block;

		rc = io_read_at(io, f, off, buf, n);
		if (rc && rc != ERR_IO && rc != ERR_CORRUPT)
			return rc;
		if (rc || !blocksum_fits(b, off / b->block, buf, n))
			rc = fn(arg, off / b->block);
	}
	return rc;
}

int
blocksum_check(struct io *io, struct io_file *f, const struct blocksum *b, uint8_t *buf, blocksum_bad_fn fn, void *arg,
    uint64_t *read)
{
	uint64_t step = b->block > BLOCKSUM_READ ? b->block : BLOCKSUM_READ / b->block * b->block, end;
	int rc = OK;

	for (uint64_t off = 0; rc == OK && off < b->len; off = end) {
		end = b->len - off < step ? b->len : off + step;
		rc = io_read_at(io, f, off, buf, (size_t)(end - off));
		if (rc == ERR_IO || rc == ERR_CORRUPT) {
			rc = singly(io, f, b, off, end, buf, fn, arg);
		} else if (rc == OK) {
			*read += end - off;
			for (uint64_t at = off; rc == OK && at < end; at += b->block) {
				size_t n = end - at < b->block ? (size_t)(end - at) : b->block;

				if (!blocksum_fits(b, at / b->block, buf + (at - off), n))
					rc = fn(arg, at / b->block);
			}
		}
	}
	return rc;
}
