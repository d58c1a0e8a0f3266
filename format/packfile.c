#include <string.h>

#include "format/emit.h"
#include "format/packfile.h"

#define VERSION 1
#define FRAME_LEN_MIN (16 + 80)         /* PK-2: a prefix and two empty boxes */

size_t
packfile_header_encode(uint8_t *buf, size_t cap,
    const struct packfile_header *h)
{
	uint8_t wrap[KEYSLOT_WRAP_LEN];
	struct packfile_header again;
	struct emit e;

	emit_init(&e, buf, cap);
	emit_bytes(&e, "varvepak", 8);
	emit_u32(&e, VERSION);
	emit_u32(&e, h->kind);
	emit_bytes(&e, h->pack_id.b, NAME_SID_LEN);
	emit_bytes(&e, wrap, keyslot_wrap_encode(wrap, sizeof(wrap), &h->wrap));
	if (packfile_header_decode(&again, buf, emit_done(&e)) != CURSOR_OK)
		return 0;
	return emit_done(&e);
}

enum cursor_verdict
packfile_header_decode(struct packfile_header *h, const uint8_t *buf,
    size_t len)
{
	uint32_t version;
	struct cursor c;

	memset(h, 0, sizeof(*h));
	if (len != PACKFILE_HEADER_LEN)
		return CURSOR_MALFORMED;
	cursor_init(&c, buf, len);
	cursor_expect(&c, "varvepak", 8);
	version = cursor_u32(&c);
	if (!c.broken && version != VERSION)
		return CURSOR_UNSUPPORTED;
	h->kind = cursor_u32(&c);
	cursor_copy(&c, h->pack_id.b, NAME_SID_LEN);
	if (c.broken || (h->kind != PACKFILE_DATA && h->kind != PACKFILE_META))
		return CURSOR_MALFORMED;
	return keyslot_wrap_decode(&h->wrap, c.p, c.left);
}

static uint64_t
footer_len(uint32_t frame_count, uint32_t block_count)
{
	return 4ull * frame_count + 8ull * block_count + PACKFILE_TAIL_LEN;
}

enum cursor_verdict
packfile_tail_decode(struct packfile_tail *t, const uint8_t *buf, size_t len)
{
	struct cursor c;

	memset(t, 0, sizeof(*t));
	cursor_init(&c, buf, len);
	t->frame_count = cursor_u32(&c);
	t->block_count = cursor_u32(&c);
	t->footer_len = cursor_u32(&c);
	cursor_zero(&c, 4);
	cursor_expect(&c, "varvefot", 8);
	if (!cursor_done(&c) || t->frame_count < 1 ||
	    t->frame_count > PACKFILE_FRAMES_MAX || t->block_count < 1 ||
	    t->block_count > PACKFILE_LEN_MAX / PACKFILE_BLOCK + 1 ||
	    t->footer_len != footer_len(t->frame_count, t->block_count))
		return CURSOR_MALFORMED;
	return CURSOR_OK;
}

size_t
packfile_footer_bound(uint32_t frame_count, uint32_t block_count)
{
	return (size_t)footer_len(frame_count, block_count);
}

size_t
packfile_footer_encode(uint8_t *buf, size_t cap, const uint32_t *lengths,
    uint32_t frame_count, const uint64_t *checksums, uint32_t block_count)
{
	uint64_t file_len = PACKFILE_HEADER_LEN;
	struct packfile_footer again;
	size_t len;
	struct emit e;

	emit_init(&e, buf, cap);
	for (uint32_t i = 0; i < frame_count && !e.broken; i++) {
		emit_u32(&e, lengths[i]);
		file_len += lengths[i];
	}
	for (uint32_t i = 0; i < block_count && !e.broken; i++)
		emit_u64(&e, checksums[i]);
	emit_u32(&e, frame_count);
	emit_u32(&e, block_count);
	emit_u32(&e, (uint32_t)footer_len(frame_count, block_count));
	emit_zero(&e, 4);
	emit_bytes(&e, "varvefot", 8);
	len = emit_done(&e);
	if (packfile_footer_decode(&again, buf, len, file_len + len) !=
	    CURSOR_OK)
		return 0;
	return len;
}

enum cursor_verdict
packfile_footer_decode(struct packfile_footer *f, const uint8_t *buf,
    size_t len, uint64_t file_len)
{
	uint64_t end = PACKFILE_HEADER_LEN;
	struct packfile_tail tail;
	struct cursor c, lengths;

	memset(f, 0, sizeof(*f));
	cursor_init(&c, buf, len);
	if (len < PACKFILE_TAIL_LEN)
		return CURSOR_MALFORMED;
	cursor_bytes(&c, len - PACKFILE_TAIL_LEN);
	if (packfile_tail_decode(&tail, c.p, c.left) != CURSOR_OK ||
	    tail.footer_len != len || file_len > PACKFILE_LEN_MAX)
		return CURSOR_MALFORMED;
	f->frame_count = tail.frame_count;
	f->block_count = tail.block_count;
	cursor_init(&c, buf, len);
	f->lengths = cursor_bytes(&c, 4 * (size_t)f->frame_count);
	f->checksums = cursor_bytes(&c, 8 * (size_t)f->block_count);
	cursor_init(&lengths, f->lengths, 4 * (size_t)f->frame_count);
	while (lengths.left > 0) {
		uint32_t frame_len = cursor_u32(&lengths);

		if (frame_len < FRAME_LEN_MIN)
			return CURSOR_MALFORMED;
		end += frame_len;
	}
	if (end + len != file_len ||
	    f->block_count != (end + PACKFILE_BLOCK - 1) / PACKFILE_BLOCK)
		return CURSOR_MALFORMED;
	return CURSOR_OK;
}

uint32_t
packfile_frame_len(const struct packfile_footer *f, uint32_t ordinal)
{
	struct cursor c;

	cursor_init(&c, f->lengths, 4 * (size_t)f->frame_count);
	cursor_bytes(&c, 4 * (size_t)ordinal);
	return cursor_u32(&c);
}

uint64_t
packfile_checksum(const struct packfile_footer *f, uint32_t block)
{
	struct cursor c;

	cursor_init(&c, f->checksums, 8 * (size_t)f->block_count);
	cursor_bytes(&c, 8 * (size_t)block);
	return cursor_u64(&c);
}
