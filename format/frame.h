/* frame: the clear prefix and the head of a frame (SPEC §6). */
#ifndef FORMAT_FRAME_H
#define FORMAT_FRAME_H

#include "format/cursor.h"
#include "format/name.h"

#define FRAME_PREFIX_LEN 16
#define FRAME_SEAL 40                   /* nonce and tag of a box */
#define FRAME_CHUNK_MAX (1u << 20)      /* plaintext of a chunk */
#define FRAME_BLOCK_MAX (1u << 21)      /* raw length of a block */
#define FRAME_CHUNKS_MAX 65535
#define FRAME_HEAD_MAX (1u << 23)
#define FRAME_BODY_MAX (1u << 24)
#define FRAME_DEPTH_MAX 32
#define FRAME_BASES_MAX 4
#define FRAME_CHUNK_ROW 36
#define FRAME_BLOCK_ROW 12              /* and 32 more for each base */

enum frame_codec { FRAME_RAW = 0, FRAME_ZSTD = 1, FRAME_DELTA = 2 };
enum frame_type { FRAME_DATA = 0x44, FRAME_LIST = 0x4c, FRAME_TREE = 0x54 };

struct frame_prefix {
	uint32_t ordinal, head_len, body_len;   /* lengths of the sealed boxes */
};

size_t frame_prefix_encode(uint8_t *buf, size_t cap, const struct frame_prefix *p);

/* Shape only; the caller compares ordinal and the sum of lengths with what the footer or index says. */
enum cursor_verdict frame_prefix_decode(struct frame_prefix *p, const uint8_t *buf, size_t len);

struct frame_block {
	uint8_t codec, depth;
	uint32_t raw_len, stored_len;
	uint16_t chunk_count;
	uint8_t base_count;             /* 1 ... FRAME_BASES_MAX if FRAME_DELTA, else 0 */
	struct name base[FRAME_BASES_MAX];      /* zero from base_count on */
};

struct frame_chunk {
	uint8_t type;                   /* enum frame_type */
	uint32_t len;
	struct name id;
};

/* base_count: of all blocks together. */
size_t frame_head_bound(uint32_t block_count, uint32_t base_count, uint32_t chunk_count);
size_t frame_head_encode(uint8_t *buf, size_t cap, const struct frame_block *blocks, uint32_t block_count,
    const struct frame_chunk *chunks, uint32_t chunk_count);

/* A decoded head: counts are checked, all rows are valid (FR-1, FR-2), body_len is the sum of stored lengths. */
struct frame_head {
	uint32_t block_count, chunk_count;
	size_t body_len;
	const uint8_t *blocks;          /* encoded rows, read with the iterator */
	const uint8_t *chunks;
};

/* Decode and check everything.  The slices point into buf. */
enum cursor_verdict frame_head_decode(struct frame_head *h, const uint8_t *buf, size_t len);

/* Iterate blocks and their chunks in order. */
struct frame_iter {
	struct cursor blocks, chunks;
	uint32_t blocks_left, chunks_left;
	size_t body_off;                /* of the next block in the body */
};

void frame_iter_init(struct frame_iter *it, const struct frame_head *h);
bool frame_next_block(struct frame_iter *it, struct frame_block *b);
bool frame_next_chunk(struct frame_iter *it, struct frame_chunk *c);

/* Row `slot` of the chunk table; slot < chunk_count. */
void frame_chunk_at(const struct frame_head *h, uint32_t slot, struct frame_chunk *c);

#endif
