/*
 * frame: the head of a frame is two tables, blocks and chunks, walked side by
 * side: each block owns the next chunk_count rows of the chunk table, and their
 * lengths add up to its raw length.  Block rows are 12 bytes and 32 for each
 * base, so the chunk table's place is known only after all block rows were read:
 * decoding makes one pass to find it and a second one over both tables.
 */
#include <string.h>

#include "format/emit.h"
#include "format/frame.h"

#define MAGIC "VFRM"

size_t
frame_prefix_encode(uint8_t *buf, size_t cap, const struct frame_prefix *p)
{
	struct frame_prefix again;
	struct emit e;

	emit_init(&e, buf, cap);
	emit_bytes(&e, MAGIC, 4);
	emit_u32(&e, p->ordinal);
	emit_u32(&e, p->head_len);
	emit_u32(&e, p->body_len);
	if (frame_prefix_decode(&again, buf, emit_done(&e)) != CURSOR_OK)
		return 0;
	return emit_done(&e);
}

enum cursor_verdict
frame_prefix_decode(struct frame_prefix *p, const uint8_t *buf, size_t len)
{
	struct cursor c;

	cursor_init(&c, buf, len);
	cursor_expect(&c, MAGIC, 4);
	p->ordinal = cursor_u32(&c);
	p->head_len = cursor_u32(&c);
	p->body_len = cursor_u32(&c);
	if (!cursor_done(&c) ||
	    p->head_len < FRAME_SEAL || p->body_len < FRAME_SEAL ||
	    p->head_len > FRAME_HEAD_MAX + FRAME_SEAL ||
	    p->body_len > FRAME_BODY_MAX + FRAME_SEAL)
		return CURSOR_MALFORMED;
	return CURSOR_OK;
}

size_t
frame_head_bound(uint32_t block_count, uint32_t base_count,
    uint32_t chunk_count)
{
	return 8 + (size_t)block_count * FRAME_BLOCK_ROW +
	    (size_t)base_count * NAME_LEN +
	    (size_t)chunk_count * FRAME_CHUNK_ROW;
}

static void
block_emit(struct emit *e, const struct frame_block *b)
{
	emit_u8(e, b->codec);
	emit_u24(e, b->raw_len);
	emit_u32(e, b->stored_len);
	emit_u16(e, b->chunk_count);
	emit_u8(e, b->depth);
	if (b->codec != FRAME_DELTA) {
		emit_zero(e, 1);
		return;
	}
	emit_u8(e, (uint8_t)(b->base_count - 1));
	for (unsigned i = 0; i < b->base_count && i < FRAME_BASES_MAX; i++)
		emit_bytes(e, b->base[i].b, NAME_LEN);
}

static void
chunk_emit(struct emit *e, const struct frame_chunk *c)
{
	emit_u8(e, c->type);
	emit_u24(e, c->len);
	emit_bytes(e, c->id.b, NAME_LEN);
}

size_t
frame_head_encode(uint8_t *buf, size_t cap, const struct frame_block *blocks,
    uint32_t block_count, const struct frame_chunk *chunks,
    uint32_t chunk_count)
{
	struct frame_head again;
	struct emit e;

	emit_init(&e, buf, cap);
	emit_u32(&e, block_count);
	emit_u32(&e, chunk_count);
	for (uint32_t i = 0; i < block_count && !e.broken; i++)
		block_emit(&e, &blocks[i]);
	for (uint32_t i = 0; i < chunk_count && !e.broken; i++)
		chunk_emit(&e, &chunks[i]);
	if (frame_head_decode(&again, buf, emit_done(&e)) != CURSOR_OK)
		return 0;
	return emit_done(&e);
}

/* How many, less one, and their ids: no two alike. */
static bool
bases_decode(struct frame_block *b, struct cursor *c)
{
	b->base_count = (uint8_t)(cursor_u8(c) + 1);
	if (c->broken || b->base_count < 1 || b->base_count > FRAME_BASES_MAX)
		return false;
	for (unsigned i = 0; i < b->base_count; i++) {
		cursor_copy(c, b->base[i].b, NAME_LEN);
		for (unsigned k = 0; k < i; k++)
			if (name_cmp(&b->base[i], &b->base[k]) == 0)
				return false;
	}
	return true;
}

/* FR-1 for one block row without its sums; FR-2. */
static enum cursor_verdict
block_decode(struct frame_block *b, struct cursor *c)
{
	memset(b, 0, sizeof(*b));
	b->codec = cursor_u8(c);
	if (!c->broken && b->codec > FRAME_DELTA)
		return CURSOR_UNSUPPORTED;
	b->raw_len = cursor_u24(c);
	b->stored_len = cursor_u32(c);
	b->chunk_count = cursor_u16(c);
	b->depth = cursor_u8(c);
	if (b->codec != FRAME_DELTA)
		cursor_zero(c, 1);
	else if (!bases_decode(b, c))
		return CURSOR_MALFORMED;
	if (c->broken || b->raw_len < 1 || b->raw_len > FRAME_BLOCK_MAX ||
	    b->stored_len < 1 || b->stored_len > FRAME_BODY_MAX ||
	    b->chunk_count < 1)
		return CURSOR_MALFORMED;
	if (b->codec == FRAME_RAW && b->stored_len != b->raw_len)
		return CURSOR_MALFORMED;
	if (b->codec != FRAME_DELTA)
		return b->depth == 0 ? CURSOR_OK : CURSOR_MALFORMED;
	return b->chunk_count == 1 && b->depth >= b->base_count &&
	    b->depth <= FRAME_DEPTH_MAX ? CURSOR_OK : CURSOR_MALFORMED;
}

static enum cursor_verdict
chunk_decode(struct frame_chunk *ch, struct cursor *c)
{
	ch->type = cursor_u8(c);
	ch->len = cursor_u24(c);
	cursor_copy(c, ch->id.b, NAME_LEN);
	if (c->broken || ch->len < 1 || ch->len > FRAME_CHUNK_MAX ||
	    (ch->type != FRAME_DATA && ch->type != FRAME_LIST &&
	    ch->type != FRAME_TREE))
		return CURSOR_MALFORMED;
	return CURSOR_OK;
}

/* Find the chunk table behind the block rows, and check the sums over them. */
static enum cursor_verdict
blocks_decode(struct frame_head *h, struct cursor *c)
{
	uint64_t chunk_total = 0, body = 0;

	h->blocks = c->p;
	for (uint32_t i = 0; i < h->block_count; i++) {
		struct frame_block b;
		enum cursor_verdict v = block_decode(&b, c);

		if (v != CURSOR_OK)
			return v;
		chunk_total += b.chunk_count;
		body += b.stored_len;
	}
	h->chunks = c->p;
	h->body_len = (size_t)body;
	return body <= FRAME_BODY_MAX && chunk_total == h->chunk_count &&
	    c->left == (size_t)h->chunk_count * FRAME_CHUNK_ROW ?
	    CURSOR_OK : CURSOR_MALFORMED;
}

enum cursor_verdict
frame_head_decode(struct frame_head *h, const uint8_t *buf, size_t len)
{
	struct frame_block b;
	struct frame_iter it;
	enum cursor_verdict v;
	struct cursor c;

	memset(h, 0, sizeof(*h));
	cursor_init(&c, buf, len);
	h->block_count = cursor_u32(&c);
	h->chunk_count = cursor_u32(&c);
	if (c.broken || len > FRAME_HEAD_MAX ||
	    h->block_count < 1 || h->block_count > FRAME_CHUNKS_MAX ||
	    h->chunk_count < 1 || h->chunk_count > FRAME_CHUNKS_MAX)
		return CURSOR_MALFORMED;
	if ((v = blocks_decode(h, &c)) != CURSOR_OK)
		return v;
	frame_iter_init(&it, h);
	while (frame_next_block(&it, &b)) {
		uint32_t raw = 0;

		for (uint32_t i = 0; i < b.chunk_count; i++) {
			struct frame_chunk ch;

			if (!frame_next_chunk(&it, &ch))
				return CURSOR_MALFORMED;
			if (ch.len > b.raw_len - raw)
				return CURSOR_MALFORMED;
			raw += ch.len;
		}
		if (raw != b.raw_len)
			return CURSOR_MALFORMED;
	}
	return CURSOR_OK;
}

void
frame_iter_init(struct frame_iter *it, const struct frame_head *h)
{
	cursor_init(&it->blocks, h->blocks, (size_t)(h->chunks - h->blocks));
	cursor_init(&it->chunks, h->chunks,
	    (size_t)h->chunk_count * FRAME_CHUNK_ROW);
	it->blocks_left = h->block_count;
	it->chunks_left = h->chunk_count;
	it->body_off = 0;
}

bool
frame_next_block(struct frame_iter *it, struct frame_block *b)
{
	if (it->blocks_left == 0 || block_decode(b, &it->blocks) != CURSOR_OK)
		return false;
	it->blocks_left--;
	it->body_off += b->stored_len;
	return true;
}

bool
frame_next_chunk(struct frame_iter *it, struct frame_chunk *c)
{
	if (it->chunks_left == 0 || chunk_decode(c, &it->chunks) != CURSOR_OK)
		return false;
	it->chunks_left--;
	return true;
}

void
frame_chunk_at(const struct frame_head *h, uint32_t slot,
    struct frame_chunk *ch)
{
	struct cursor c;

	cursor_init(&c, h->chunks, (size_t)h->chunk_count * FRAME_CHUNK_ROW);
	cursor_bytes(&c, (size_t)slot * FRAME_CHUNK_ROW);
	chunk_decode(ch, &c);
}
