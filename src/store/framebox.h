/*
 * framebox: one frame of a pack, opened: what it says of its blocks and chunks, and their plaintext as far as it was asked for
 * (SPEC §6, FR-1 to FR-5).
 */
#ifndef STORE_FRAMEBOX_H
#define STORE_FRAMEBOX_H

#include "format/frame.h"
#include "store/packin.h"

struct squeeze;

struct framebox_block {
	uint8_t *raw;                   /* decoded; NULL until then; owned */
	uint32_t raw_len, stored_len;
	uint32_t body_off;
	uint8_t codec;
	uint8_t chain;                  /* blocks decoded for it, each time it is, once it was */
	uint8_t base_count;
	struct name base[FRAME_BASES_MAX];
};

struct framebox_spot {                  /* of a slot */
	uint32_t block, off, len;
	bool proved;                    /* its bytes have the id that the head says */
};

struct framebox {
	uint8_t *head_mem, *body;       /* opened boxes; owned */
	size_t body_len;
	struct frame_head head;         /* slices of head_mem */
	struct framebox_block *blocks;  /* head.block_count; owned */
	struct framebox_spot *spots;    /* head.chunk_count; owned */
	uint32_t needs_body;            /* blocks that are raw or not decoded: while there are any, so is the body */
	size_t bytes;                   /* of memory */
};

/*
 * Open the frame `ordinal` of the pack from its sealed bytes.
 *
 * Owns:   f: caller frees with framebox_clear, whatever happens; its old content is not freed.
 * Errors: ERR_CORRUPT, ERR_UNSUPPORTED, ERR_AUTH, ERR_NOMEM
 */
int framebox_open(struct framebox *f, const struct repo *r, const struct packin *pk, uint32_t ordinal,
    const struct mem_buf *sealed) __attribute__((warn_unused_result));
void framebox_clear(struct framebox *f);

/*
 * Only the head of the frame at a place: its first bytes are in `sealed`, *need is set to how many there must be, and FOUND returned, if
 * these are too few.  Owns: as framebox_open.
 */
int framebox_open_head(struct framebox *f, const struct repo *r, const struct packin *pk, const struct index_place *at,
    const struct mem_buf *sealed, size_t *need) __attribute__((warn_unused_result));

/* The block that has a slot; NULL: there is no such slot.  Borrowed. */
const struct framebox_block *framebox_block_of(const struct framebox *f, uint16_t slot);

/* Decompress b, which is not raw, on the plaintexts of its bases one after the other, if it has any (base_len 0: none); chain: as in b. */
int framebox_decode(struct framebox *f, struct framebox_block *b, struct squeeze *sq, const uint8_t *base, size_t base_len,
    unsigned chain) __attribute__((warn_unused_result));

/* Give up what was decoded of b, if it can be decoded again. */
void framebox_release(struct framebox *f, struct framebox_block *b);

/* The bytes of a block that is raw or was decoded. */
const uint8_t *framebox_raw(const struct framebox *f, const struct framebox_block *b);

/*
 * Decode all blocks that stand on no base and prove their chunks, many at a time (codec/lanes.h).  What does not decode, or has another
 * id, stays as it was: whoever asks for it finds out.  So does what is beyond the 4 MiB that a frame of ours can have: memory is bounded
 * whatever a repository says.
 */
void framebox_prove(struct framebox *f, const struct repo *r, struct squeeze *sq);

#endif
