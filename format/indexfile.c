/*
 * indexfile: header and rows of segments and tables.  Order among rows, the
 * fanout table and everything cryptographic are the business of store/, which
 * reads the body in place, block by block.
 */
#include <string.h>

#include "format/emit.h"
#include "format/frame.h"
#include "format/indexfile.h"
#include "format/packfile.h"

#define VERSION 1
#define RESERVED_LEN 80
#define PART_MAX 0xffffffffu
#define NAMES_MAX (1u << 24)            /* keeps, removes, packs: §12 */
#define FRAMES_MAX (1u << 30)
#define ROWS_MAX 0xffffffffu
#define EXTRA_MAX (1ull << 60)          /* keeps every sum of the layout in 64 bits */
#define BUCKET_ROWS 64

size_t
indexfile_header_encode(uint8_t *buf, size_t cap,
    const struct indexfile_header *h)
{
	struct indexfile_header again;
	struct emit e;

	emit_init(&e, buf, cap);
	emit_bytes(&e, "varveidx", 8);
	emit_u32(&e, VERSION);
	emit_u32(&e, h->kind);
	emit_bytes(&e, h->repo_id.b, NAME_SID_LEN);
	emit_bytes(&e, h->nonce, sizeof(h->nonce));
	emit_bytes(&e, h->sid.b, NAME_SID_LEN);
	emit_u64(&e, h->number);
	emit_bytes(&e, h->root.b, NAME_LEN);
	emit_u32(&e, h->flags);
	emit_u32(&e, h->fanout_bits);
	emit_u32(&e, h->keep_count);
	emit_u32(&e, h->remove_count);
	emit_u32(&e, h->pack_count);
	emit_u32(&e, h->frame_count);
	emit_u64(&e, h->row_count);
	emit_u64(&e, h->extra_len);
	emit_zero(&e, RESERVED_LEN);
	emit_bytes(&e, h->mac, sizeof(h->mac));
	if (indexfile_header_decode(&again, buf, emit_done(&e)) != CURSOR_OK)
		return 0;
	return emit_done(&e);
}

static bool
counts_ok(const struct indexfile_header *h)
{
	return h->keep_count <= NAMES_MAX && h->remove_count <= NAMES_MAX &&
	    h->pack_count <= NAMES_MAX && h->frame_count <= FRAMES_MAX &&
	    h->row_count <= ROWS_MAX && h->extra_len <= EXTRA_MAX &&
	    h->fanout_bits == indexfile_fanout_bits(h->row_count);
}

static bool
kind_ok(const struct indexfile_header *h)
{
	if (h->kind == INDEXFILE_TABLE)
		return name_sid_is_zero(&h->sid) && h->number >= 1 &&
		    name_is_zero(&h->root) && h->flags == 0;
	return h->number <= PART_MAX && h->flags <= INDEXFILE_LAST_PART &&
	    (h->flags == INDEXFILE_LAST_PART || name_is_zero(&h->root)) &&
	    h->keep_count == 0 && h->remove_count == 0;
}

enum cursor_verdict
indexfile_header_decode(struct indexfile_header *h, const uint8_t *buf,
    size_t len)
{
	uint32_t version;
	struct cursor c;

	memset(h, 0, sizeof(*h));
	if (len != INDEXFILE_HEADER_LEN)
		return CURSOR_MALFORMED;
	cursor_init(&c, buf, len);
	cursor_expect(&c, "varveidx", 8);
	version = cursor_u32(&c);
	h->kind = cursor_u32(&c);
	if (c.broken)
		return CURSOR_MALFORMED;
	if (version != VERSION || h->kind < INDEXFILE_SEGMENT ||
	    h->kind > INDEXFILE_TABLE)
		return CURSOR_UNSUPPORTED;
	cursor_copy(&c, h->repo_id.b, NAME_SID_LEN);
	cursor_copy(&c, h->nonce, sizeof(h->nonce));
	cursor_copy(&c, h->sid.b, NAME_SID_LEN);
	h->number = cursor_u64(&c);
	cursor_copy(&c, h->root.b, NAME_LEN);
	h->flags = cursor_u32(&c);
	h->fanout_bits = cursor_u32(&c);
	h->keep_count = cursor_u32(&c);
	h->remove_count = cursor_u32(&c);
	h->pack_count = cursor_u32(&c);
	h->frame_count = cursor_u32(&c);
	h->row_count = cursor_u64(&c);
	h->extra_len = cursor_u64(&c);
	cursor_zero(&c, RESERVED_LEN);
	cursor_copy(&c, h->mac, sizeof(h->mac));
	return cursor_done(&c) && counts_ok(h) && kind_ok(h) ?
	    CURSOR_OK : CURSOR_MALFORMED;
}

void
indexfile_layout(const struct indexfile_header *h, struct indexfile_layout *l)
{
	l->keep = 0;
	l->remove = l->keep + (uint64_t)INDEXFILE_KEEP_LEN * h->keep_count;
	l->packs = l->remove + (uint64_t)INDEXFILE_REMOVE_LEN * h->remove_count;
	l->frames = l->packs + (uint64_t)INDEXFILE_PACK_LEN * h->pack_count;
	l->rows = l->frames + (uint64_t)INDEXFILE_FRAME_LEN * h->frame_count;
	l->fanout = l->rows + (uint64_t)INDEXFILE_ROW_LEN * h->row_count;
	l->extra = l->fanout + ((uint64_t)INDEXFILE_FANOUT_LEN << h->fanout_bits);
	l->end = l->extra + h->extra_len;
	l->block_count = (l->end + INDEXFILE_BLOCK - 1) / INDEXFILE_BLOCK;
	l->body_off = INDEXFILE_HEADER_LEN;
	l->tags_off = l->body_off + l->end;
	l->upper_off = l->tags_off + INDEXFILE_TAG_LEN * l->block_count;
	l->upper_count = (l->upper_off - l->tags_off + INDEXFILE_BLOCK - 1) /
	    INDEXFILE_BLOCK;
	l->file_len = l->upper_off + INDEXFILE_TAG_LEN * l->upper_count;
}

uint32_t
indexfile_fanout_bits(uint64_t row_count)
{
	uint32_t k = 0;

	while (k < 32 && row_count > (uint64_t)BUCKET_ROWS << k)
		k++;
	return k;
}

uint32_t
indexfile_bucket(const struct name *id, uint32_t bits)
{
	uint64_t front = 0;

	for (size_t i = 0; i < 4; i++)
		front = front << 8 | id->b[i];
	return bits > 32 ? (uint32_t)front : (uint32_t)(front >> (32 - bits));
}

size_t
indexfile_remove_encode(uint8_t *buf, size_t cap,
    const struct indexfile_remove *r)
{
	struct indexfile_remove again;
	struct emit e;

	emit_init(&e, buf, cap);
	emit_u32(&e, r->kind);
	emit_u32(&e, r->part);
	emit_bytes(&e, r->name.b, NAME_LEN);
	if (indexfile_remove_decode(&again, buf, emit_done(&e)) != CURSOR_OK)
		return 0;
	return emit_done(&e);
}

enum cursor_verdict
indexfile_remove_decode(struct indexfile_remove *r, const uint8_t *buf,
    size_t len)
{
	struct cursor c, tail;

	cursor_init(&c, buf, len);
	r->kind = cursor_u32(&c);
	r->part = cursor_u32(&c);
	cursor_copy(&c, r->name.b, NAME_LEN);
	if (!cursor_done(&c) || r->kind < INDEXFILE_DEAD_SEGMENT ||
	    r->kind > INDEXFILE_DEAD_PACK ||
	    (r->kind != INDEXFILE_DEAD_SEGMENT && r->part != 0))
		return CURSOR_MALFORMED;
	cursor_init(&tail, r->name.b, NAME_LEN);
	cursor_bytes(&tail, NAME_SID_LEN);
	if (r->kind != INDEXFILE_DEAD_PACK)
		cursor_zero(&tail, NAME_LEN - NAME_SID_LEN);
	return tail.broken ? CURSOR_MALFORMED : CURSOR_OK;
}

size_t
indexfile_pack_encode(uint8_t *buf, size_t cap, const struct indexfile_pack *p)
{
	struct indexfile_pack again;
	struct emit e;

	emit_init(&e, buf, cap);
	emit_bytes(&e, p->name.b, NAME_LEN);
	emit_u64(&e, p->bytes);
	emit_u64(&e, p->live_bytes);
	emit_u32(&e, p->frames);
	emit_u32(&e, p->live_frames);
	emit_u32(&e, p->kind);
	emit_zero(&e, 4);
	if (indexfile_pack_decode(&again, buf, emit_done(&e)) != CURSOR_OK)
		return 0;
	return emit_done(&e);
}

enum cursor_verdict
indexfile_pack_decode(struct indexfile_pack *p, const uint8_t *buf, size_t len)
{
	struct cursor c;

	cursor_init(&c, buf, len);
	cursor_copy(&c, p->name.b, NAME_LEN);
	p->bytes = cursor_u64(&c);
	p->live_bytes = cursor_u64(&c);
	p->frames = cursor_u32(&c);
	p->live_frames = cursor_u32(&c);
	p->kind = cursor_u32(&c);
	cursor_zero(&c, 4);
	return cursor_done(&c) && p->bytes <= PACKFILE_LEN_MAX &&
	    p->frames <= PACKFILE_FRAMES_MAX && p->live_bytes <= p->bytes &&
	    p->live_frames <= p->frames &&
	    (p->kind == PACKFILE_DATA || p->kind == PACKFILE_META) ?
	    CURSOR_OK : CURSOR_MALFORMED;
}

size_t
indexfile_frame_encode(uint8_t *buf, size_t cap,
    const struct indexfile_frame *f)
{
	struct indexfile_frame again;
	struct emit e;

	emit_init(&e, buf, cap);
	emit_u32(&e, f->pack);
	emit_u32(&e, f->ordinal);
	emit_u32(&e, f->off);
	emit_u32(&e, f->len);
	emit_u32(&e, f->chunks);
	emit_u32(&e, f->live);
	if (indexfile_frame_decode(&again, buf, emit_done(&e)) != CURSOR_OK)
		return 0;
	return emit_done(&e);
}

enum cursor_verdict
indexfile_frame_decode(struct indexfile_frame *f, const uint8_t *buf,
    size_t len)
{
	struct cursor c;

	cursor_init(&c, buf, len);
	f->pack = cursor_u32(&c);
	f->ordinal = cursor_u32(&c);
	f->off = cursor_u32(&c);
	f->len = cursor_u32(&c);
	f->chunks = cursor_u32(&c);
	f->live = cursor_u32(&c);
	return cursor_done(&c) && f->ordinal < PACKFILE_FRAMES_MAX &&
	    f->chunks >= 1 && f->chunks <= FRAME_CHUNKS_MAX &&
	    f->live <= f->chunks ?
	    CURSOR_OK : CURSOR_MALFORMED;
}

size_t
indexfile_row_encode(uint8_t *buf, size_t cap, const struct indexfile_row *r)
{
	struct indexfile_row again;
	struct emit e;

	emit_init(&e, buf, cap);
	emit_bytes(&e, r->id.b, NAME_LEN);
	emit_u32(&e, r->refs);
	emit_u32(&e, r->uses);
	emit_u32(&e, r->frame);
	emit_u16(&e, r->slot);
	emit_u8(&e, r->type);
	emit_u8(&e, r->depth);
	if (indexfile_row_decode(&again, buf, emit_done(&e)) != CURSOR_OK)
		return 0;
	return emit_done(&e);
}

enum cursor_verdict
indexfile_row_decode(struct indexfile_row *r, const uint8_t *buf, size_t len)
{
	struct cursor c;

	cursor_init(&c, buf, len);
	cursor_copy(&c, r->id.b, NAME_LEN);
	r->refs = cursor_u32(&c);
	r->uses = cursor_u32(&c);
	r->frame = cursor_u32(&c);
	r->slot = cursor_u16(&c);
	r->type = cursor_u8(&c);
	r->depth = cursor_u8(&c);
	if (!cursor_done(&c) || r->depth > FRAME_DEPTH_MAX ||
	    (r->type != FRAME_DATA && r->type != FRAME_LIST &&
	    r->type != FRAME_TREE))
		return CURSOR_MALFORMED;
	if (r->frame == INDEXFILE_NO_FRAME && (r->slot != 0 || r->depth != 0))
		return CURSOR_MALFORMED;
	return CURSOR_OK;
}
