#include "store/framebox.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "codec/lanes.h"
#include "codec/seal.h"
#include "codec/squeeze.h"
#include "format/packfile.h"

#define LABEL_HEAD "varve frame head"
#define LABEL_BODY "varve frame body"
#define PROVE_BATCH 128                 /* chunks hashed at a time */
#define PROVE_BYTES (4u << 20)          /* no frame of ours has more */

/* Not zeroed, as mem_new does: all of it is written at once. */
static int
bytes_new(uint8_t **out, size_t len)
{
	*out = malloc(len > 0 ? len : 1);
	return *out ? OK : fail(ERR_NOMEM, "out of memory (%zu bytes)", len);
}

void
framebox_clear(struct framebox *f)
{
	for (uint32_t i = 0; f->blocks && i < f->head.block_count; i++)
		free(f->blocks[i].raw);
	free(f->blocks);
	free(f->spots);
	free(f->head_mem);
	free(f->body);
	*f = (struct framebox){ 0 };
}

/* PK-4. */
static bool
type_fits(uint8_t type, uint32_t pack_kind)
{
	return (type == FRAME_DATA) == (pack_kind == PACKFILE_DATA);
}

/* Blocks and slots as tables. */
static int
tables(struct framebox *f, uint32_t pack_kind)
{
	uint32_t n = 0, slot = 0;
	struct frame_iter it;
	struct frame_block b;
	int rc;

	if ((rc = mem_new((void **)&f->blocks,
	    mem_array(f->head.block_count, sizeof(*f->blocks)))) ||
	    (rc = mem_new((void **)&f->spots,
	    mem_array(f->head.chunk_count, sizeof(*f->spots)))))
		return rc;
	frame_iter_init(&it, &f->head);
	for (uint32_t body_off = 0; frame_next_block(&it, &b); n++) {
		f->blocks[n] = (struct framebox_block){ .codec = b.codec,
		    .raw_len = b.raw_len, .stored_len = b.stored_len,
		    .body_off = body_off, .base_count = b.base_count };
		memcpy(f->blocks[n].base, b.base, sizeof(b.base));
		body_off += b.stored_len;
		for (uint32_t i = 0, off = 0; i < b.chunk_count; i++) {
			struct frame_chunk ch;

			if (!frame_next_chunk(&it, &ch) ||
			    !type_fits(ch.type, pack_kind))
				return fail(ERR_CORRUPT, "a chunk of a type "
				    "that does not belong in such a pack");
			f->spots[slot++] = (struct framebox_spot){ n, off,
			    ch.len, false };
			off += ch.len;
		}
	}
	f->needs_body = f->head.block_count;
	return OK;
}

int
framebox_open(struct framebox *f, const struct repo *r,
    const struct packin *pk, uint32_t ordinal, const struct mem_buf *sealed)
{
	uint8_t context[NAME_SID_LEN + FRAME_PREFIX_LEN];
	struct seal_aad aad = { LABEL_HEAD, &r->hdr.repo_id, context,
	    sizeof(context) };
	struct frame_prefix pre;
	const uint8_t *prefix, *head, *body;
	struct cursor c;
	int rc;

	*f = (struct framebox){ 0 };
	cursor_init(&c, sealed->p, sealed->len);
	prefix = cursor_bytes(&c, FRAME_PREFIX_LEN);
	if (frame_prefix_decode(&pre, prefix, FRAME_PREFIX_LEN) != CURSOR_OK)
		return fail(ERR_CORRUPT, "bad frame");
	head = cursor_bytes(&c, pre.head_len);
	body = cursor_bytes(&c, pre.body_len);
	if (!cursor_done(&c) || pre.ordinal != ordinal)
		return fail(ERR_CORRUPT, "not the frame that the index says");
	memcpy(context, pk->id.b, NAME_SID_LEN);
	memcpy(context + NAME_SID_LEN, prefix, FRAME_PREFIX_LEN);
	f->body_len = pre.body_len - SEAL_OVERHEAD;
	if ((rc = bytes_new(&f->head_mem, pre.head_len - SEAL_OVERHEAD)) ||
	    (rc = bytes_new(&f->body, f->body_len)) ||
	    (rc = seal_open(f->head_mem, head, pre.head_len, pk->key, &aad)) ||
	    (rc = err_verdict(frame_head_decode(&f->head, f->head_mem,
	    pre.head_len - SEAL_OVERHEAD), "frame head")) ||
	    (rc = tables(f, pk->kind)))
		return rc;
	if (f->head.body_len != f->body_len)
		return fail(ERR_CORRUPT, "bad frame head");
	f->bytes = sizeof(*f) + pre.head_len + f->body_len +
	    f->head.block_count * sizeof(*f->blocks) +
	    f->head.chunk_count * sizeof(*f->spots);
	aad.label = LABEL_BODY;
	return seal_open(f->body, body, pre.body_len, pk->key, &aad);
}

int
framebox_open_head(struct framebox *f, const struct repo *r,
    const struct packin *pk, const struct index_place *at,
    const struct mem_buf *sealed, size_t *need)
{
	uint8_t context[NAME_SID_LEN + FRAME_PREFIX_LEN];
	struct seal_aad aad = { LABEL_HEAD, &r->hdr.repo_id, context,
	    sizeof(context) };
	struct frame_prefix pre;
	int rc;

	*f = (struct framebox){ 0 };
	if (frame_prefix_decode(&pre, sealed->p, FRAME_PREFIX_LEN) !=
	    CURSOR_OK)
		return fail(ERR_CORRUPT, "bad frame");
	if (pre.ordinal != at->ordinal || (uint64_t)FRAME_PREFIX_LEN +
	    pre.head_len + pre.body_len != at->len)
		return fail(ERR_CORRUPT, "not the frame that the index says");
	*need = FRAME_PREFIX_LEN + (size_t)pre.head_len;
	if (sealed->len < *need)
		return FOUND;
	memcpy(context, pk->id.b, NAME_SID_LEN);
	memcpy(context + NAME_SID_LEN, sealed->p, FRAME_PREFIX_LEN);
	if ((rc = bytes_new(&f->head_mem, pre.head_len - SEAL_OVERHEAD)) ||
	    (rc = seal_open(f->head_mem, sealed->p + FRAME_PREFIX_LEN,
	    pre.head_len, pk->key, &aad)) ||
	    (rc = err_verdict(frame_head_decode(&f->head, f->head_mem,
	    pre.head_len - SEAL_OVERHEAD), "frame head")))
		return rc;
	return tables(f, pk->kind);
}

const struct framebox_block *
framebox_block_of(const struct framebox *f, uint16_t slot)
{
	return slot < f->head.chunk_count ?
	    &f->blocks[f->spots[slot].block] : NULL;
}

static void
body_release(struct framebox *f)
{
	if (--f->needs_body > 0)
		return;
	free(f->body);
	f->body = NULL;
	f->bytes -= f->body_len;
}

int
framebox_decode(struct framebox *f, struct framebox_block *b,
    struct squeeze *sq, const uint8_t *base, size_t base_len, unsigned chain)
{
	const uint8_t *stored;
	struct cursor c;
	uint8_t *raw;
	int rc;

	cursor_init(&c, f->body, f->body_len);
	cursor_bytes(&c, b->body_off);
	stored = cursor_bytes(&c, b->stored_len);
	assert(stored);
	if ((rc = bytes_new(&raw, b->raw_len)))
		return rc;
	if ((rc = squeeze_unpack(sq, raw, b->raw_len, stored, b->stored_len,
	    base, base_len))) {
		free(raw);
		return rc;
	}
	b->raw = raw;
	b->chain = (uint8_t)chain;
	f->bytes += b->raw_len;
	body_release(f);
	return OK;
}

void
framebox_release(struct framebox *f, struct framebox_block *b)
{
	if (!b->raw || !f->body)
		return;
	free(b->raw);
	b->raw = NULL;
	f->bytes -= b->raw_len;
	f->needs_body++;
}

const uint8_t *
framebox_raw(const struct framebox *f, const struct framebox_block *b)
{
	struct cursor c;

	if (b->codec != FRAME_RAW)
		return b->raw;
	cursor_init(&c, f->body, f->body_len);
	cursor_bytes(&c, b->body_off);
	return cursor_bytes(&c, b->raw_len);
}

/* Hash the chunks of these slots, and mark those that are what the head says. */
static void
prove_slots(struct framebox *f, const struct repo *r,
    struct lanes_job *jobs, const uint32_t *slots, size_t count)
{
	struct frame_chunk ch;

	lanes_chunk_ids(r->keys->id, jobs, count);
	for (size_t i = 0; i < count; i++) {
		frame_chunk_at(&f->head, slots[i], &ch);
		f->spots[slots[i]].proved = name_cmp(&ch.id, &jobs[i].id) == 0;
	}
}

void
framebox_prove(struct framebox *f, const struct repo *r, struct squeeze *sq)
{
	struct lanes_job jobs[PROVE_BATCH];
	uint32_t slots[PROVE_BATCH];
	struct frame_chunk ch;
	size_t n = 0, bytes = 0;

	for (uint32_t i = 0; i < f->head.block_count; i++) {
		bytes += f->blocks[i].raw_len;
		if (f->blocks[i].codec == FRAME_ZSTD && bytes <= PROVE_BYTES)
			(void)!framebox_decode(f, &f->blocks[i], sq, NULL, 0, 0);
	}
	for (uint32_t i = 0; i < f->head.chunk_count; i++) {
		const struct framebox_spot *s = &f->spots[i];
		const struct framebox_block *b = &f->blocks[s->block];
		const uint8_t *raw = framebox_raw(f, b);

		if (!raw || b->codec == FRAME_DELTA)
			continue;
		frame_chunk_at(&f->head, i, &ch);
		slots[n] = i;
		jobs[n++] = (struct lanes_job){ .p = raw + s->off,
		    .len = s->len, .type = ch.type };
		if (n == PROVE_BATCH) {
			prove_slots(f, r, jobs, slots, n);
			n = 0;
		}
	}
	prove_slots(f, r, jobs, slots, n);
}
