/*
 * reader: chunks out of packs, authenticated, decompressed and checked (FR-1 ... FR-5), through a bounded cache of frames.
 * Not thread-safe: one per thread.
 */
#ifndef STORE_READER_H
#define STORE_READER_H

#include "format/frame.h"
#include "store/index.h"
#include "store/repo.h"

struct reader;

/* ix is borrowed.  cache_bytes bounds the decoded frames kept (at least one is). */
int reader_new(struct repo *r, struct index *ix, size_t cache_bytes, struct reader **out) __attribute__((warn_unused_result));

/* Another bound from now on; what is too much is dropped at once. */
void reader_set_cache(struct reader *rd, size_t cache_bytes);
struct reader *reader_free(struct reader *rd);

/*
 * From now on read frames ahead, in `jobs` threads (store/ahead.h): for a caller who wants most of what was stored together.  It wants
 * some 20 MiB beside the cache.
 */
int reader_ahead(struct reader *rd, unsigned jobs) __attribute__((warn_unused_result));

/*
 * The plaintext of a chunk, borrowed until the next call on this reader.
 *
 * Errors: ERR_ABSENT   the index does not have it, or its pack is not there (the note says which)
 *         ERR_CORRUPT, ERR_AUTH   damage; ERR_UNSUPPORTED; ERR_IO; ERR_NOMEM
 * Cost:   on a cache miss one pread of the frame, two box openings, one block decoded; with bases the same for each of them and theirs.
 */
int reader_get(struct reader *rd, const struct name *id, uint8_t type, const uint8_t **p, size_t *len)
    __attribute__((warn_unused_result));

/* The same, but not compared with its id (FR-5): that is for the caller, who has many at once (codec/lanes.h). */
int reader_get_unproved(struct reader *rd, const struct name *id, uint8_t type, const uint8_t **p, size_t *len)
    __attribute__((warn_unused_result));

struct repo *reader_repo(const struct reader *rd);

/* What a delta block stands on. */
struct reader_bases {
	struct name id[FRAME_BASES_MAX];
	unsigned count;
};

/* The bases of the delta block at this place (place->depth > 0).  Cost: the head of its frame is read, no more. */
int reader_bases(struct reader *rd, const struct index_place *place, struct reader_bases *out) __attribute__((warn_unused_result));

/* A chunk of a frame, dead or not. */
struct reader_chunk {
	struct name id;
	struct reader_bases bases;      /* none unless it is a delta block */
	uint32_t len;                   /* of the plaintext */
	uint16_t slot;
	uint8_t type, depth;
};

/* Called for each chunk of the frame at a place (its slot is of no account).  fn must not use the reader. */
typedef int (*reader_chunk_fn)(void *arg, const struct reader_chunk *chunk);
int reader_frame(struct reader *rd, const struct index_place *at, reader_chunk_fn fn, void *arg) __attribute__((warn_unused_result));

/* From now on keep what is stored of a frame when all of it was decoded, too: for a caller of reader_delta. */
void reader_copying(struct reader *rd);

/* The delta block at this place as it is stored: b->stored_len bytes, borrowed until the next call. */
int reader_delta(struct reader *rd, const struct index_place *at, struct frame_block *b, const uint8_t **stored)
    __attribute__((warn_unused_result));

/* Statistics. */
struct reader_stats {
	uint64_t frames_read, bytes_read, bytes_decoded;
};
const struct reader_stats *reader_stats(const struct reader *rd);

#endif
