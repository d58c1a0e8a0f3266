/*
 * framejob: one frame being put together: chunks go in, sealed bytes come out (SPEC §6).
 *
 * Plain chunks share zstd blocks; each delta is a block of its own, already compressed.  In the frame all plain chunks come first, so
 * a chunk's slot is known once the frame is closed.
 */
#ifndef STORE_FRAMEJOB_H
#define STORE_FRAMEJOB_H

#include "base/mem.h"
#include "format/frame.h"
#include "store/repo.h"

#define FRAMEJOB_RAW (2u << 20)         /* a frame's plain bytes */

struct squeeze;

struct framejob_chunk {
	struct frame_chunk chunk;
	uint32_t row;                   /* of the caller */
};

struct framejob {
	uint8_t *raw;                   /* plain blocks, one after the other */
	size_t raw_len;
	struct frame_block *blocks;     /* plain ones; deltas follow when the frame is made */
	size_t block_count, block_cap;
	struct framejob_chunk *plain, *delta;
	size_t plain_count, plain_cap, delta_count, delta_cap;
	struct frame_block *delta_blocks;
	size_t delta_blocks_cap;
	struct mem_buf delta_bytes;
	struct frame_chunk *chunks;     /* all, in the frame's order */
	size_t chunk_cap;
	uint8_t *out;                   /* the frame, after framejob_run */
	size_t out_len, out_cap;
};

/* Empty it, keeping its memory; free the memory. */
void framejob_reset(struct framejob *j);
void framejob_clear(struct framejob *j);

uint32_t framejob_count(const struct framejob *j);

/* Must the frame be closed before a plain chunk of len bytes (0: a delta) is added? */
bool framejob_full(const struct framejob *j, size_t len);

/* Add a chunk (copied) to the last block, or to a new one when that would exceed block_target. */
int framejob_plain(struct framejob *j, const struct framejob_chunk *c, const void *data, size_t block_target)
    __attribute__((warn_unused_result));

/* Add a chunk as a delta block; b says how it was made, data are b->stored_len bytes (copied). */
int framejob_delta(struct framejob *j, const struct framejob_chunk *c, const struct frame_block *b, const void *data)
    __attribute__((warn_unused_result));

/* Compress and seal into out.  May run in any thread, with that thread's sq.  Cost: zstd of the plain bytes. */
int framejob_run(struct framejob *j, struct repo *r, struct squeeze *sq, const struct name_sid *pack_id, uint32_t ordinal,
    const uint8_t key[static 32]) __attribute__((warn_unused_result));

/*
 * Does a difference of n bytes to so many bases pay, for a chunk of len bytes that has `plain` when it is compressed by itself?
 * When it saves at least one part in `save` of that; up to one in FRAMEJOB_SURE of len it does in any case.
 */
#define FRAMEJOB_SURE 8
bool framejob_delta_pays(size_t n, unsigned bases, size_t len, size_t plain, unsigned save);

#endif
