/*
 * blocksum: read a file block by block and compare each with its XXH3-64.  No key; a block that the disk refuses to give back
 * is as bad as one that changed, and what follows it is read all the same.
 */
#ifndef STORE_BLOCKSUM_H
#define STORE_BLOCKSUM_H

#include "sys/io.h"

#define BLOCKSUM_READ (256u << 10)      /* bytes read at once; fits a core's own cache */
#define BLOCKSUM_BLOCK_MAX (1u << 20)   /* longest block */

struct blocksum {
	const char *path;               /* of the file, for nothing but messages */
	uint64_t len;                   /* bytes covered, from the beginning; the last block may be shorter */
	uint32_t block;                 /* bytes of a block, at most BLOCKSUM_BLOCK_MAX */
	const uint8_t *sums;            /* u64, little-endian, one for each block */
};

/* Told of each bad block, in order. */
typedef int (*blocksum_bad_fn)(void *arg, uint64_t block);

/* buf has room for BLOCKSUM_BLOCK_MAX bytes.  *read grows by the bytes read.  What fn returns, unless OK, ends it. */
int blocksum_check(struct io *io, struct io_file *f, const struct blocksum *b, uint8_t *buf, blocksum_bad_fn fn, void *arg,
    uint64_t *read) __attribute__((warn_unused_result));

/* Does block `i`, these bytes, have its checksum? */
bool blocksum_fits(const struct blocksum *b, uint64_t i, const uint8_t *p, size_t len);

#endif
