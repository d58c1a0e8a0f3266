#include "store/packproof.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "codec/digest.h"
#include "codec/seal.h"

#define HEAD_GUESS 4096                 /* holds the prefix and nearly every head */

void
packproof_path(char out[static PACKPROOF_PATH], const struct name *name)
{
	char hex[NAME_HEX];

	name_hex(name, hex);
	snprintf(out, PACKPROOF_PATH, "packs/%.2s/%s", hex, hex);
}

/* Room for len bytes, the old ones forgotten. */
static int
room(struct mem_buf *b, size_t len)
{
	b->len = 0;
	return mem_buf_reserve(b, len ? len : 1);
}

static int
read_bytes(struct packproof *pc, uint64_t off, void *dst, size_t len)
{
	pc->bytes_read += len;
	return io_read_at(pc->r->io, pc->file, off, dst, len);
}

static int
read_header(struct packproof *pc)
{
	uint8_t raw[PACKFILE_HEADER_LEN];
	int rc;

	if (pc->bytes < PACKFILE_HEADER_LEN + PACKFILE_TAIL_LEN || pc->bytes > PACKFILE_LEN_MAX)
		return fail(ERR_CORRUPT, "no pack has a length of %llu bytes", (unsigned long long)pc->bytes);
	if ((rc = read_bytes(pc, 0, raw, sizeof(raw))) ||
	    (rc = err_verdict(packfile_header_decode(&pc->h, raw, sizeof(raw)), "pack header")))
		return rc;
	return keys_unwrap(pc->key, &pc->h.wrap, pc->r->keys->pack, "varve pack key", &pc->r->hdr.repo_id, raw,
	    PACKFILE_WRAP_CONTEXT);
}

static int
read_footer(struct packproof *pc, const struct name *name)
{
	uint8_t raw[PACKFILE_TAIL_LEN];
	struct packfile_tail t;
	struct name got;
	int rc;

	if ((rc = read_bytes(pc, pc->bytes - sizeof(raw), raw, sizeof(raw))) ||
	    (rc = err_verdict(packfile_tail_decode(&t, raw, sizeof(raw)), "pack footer")))
		return rc;
	if (t.footer_len > pc->bytes - PACKFILE_HEADER_LEN)
		return fail(ERR_CORRUPT, "bad pack footer");
	if ((rc = room(&pc->footer_mem, t.footer_len)) ||
	    (rc = read_bytes(pc, pc->bytes - t.footer_len, pc->footer_mem.p, t.footer_len)))
		return rc;
	pc->footer_mem.len = t.footer_len;
	digest_hash(&got, pc->footer_mem.p, t.footer_len);
	if (name_cmp(&got, name) != 0)
		return fail(ERR_AUTH, "the footer is not that of the pack of this name");
	return err_verdict(packfile_footer_decode(&pc->f, pc->footer_mem.p, t.footer_len, pc->bytes), "pack footer");
}

int
packproof_open(struct packproof *pc, struct repo *r, const struct name *name)
{
	char path[PACKPROOF_PATH];
	int rc;

	packproof_close(pc);
	pc->r = r;
	packproof_path(path, name);
	if ((rc = io_open(r->io, path, &pc->file))) {
		pc->file = NULL;
		return rc;
	}
	if ((rc = io_size(r->io, pc->file, &pc->bytes)) || (rc = read_header(pc)) || (rc = read_footer(pc, name)))
		packproof_close(pc);
	return rc;
}

void
packproof_close(struct packproof *pc)
{
	if (pc->file)
		(void)io_close(pc->r->io, pc->file);
	pc->file = NULL;
	explicit_bzero(pc->key, sizeof(pc->key));
}

void
packproof_clear(struct packproof *pc)
{
	packproof_close(pc);
	mem_buf_clear(&pc->footer_mem);
	free(pc->block);
	*pc = (struct packproof){ 0 };
}

/* ---- frames ---- */

/* The first `want` bytes of the frame, of which f->sealed.len are there. */
static int
fetch(struct packproof *pc, struct packproof_frame *f, size_t want)
{
	size_t have = f->sealed.len;
	int rc;

	if (want <= have)
		return OK;
	if ((rc = mem_buf_reserve(&f->sealed, want - have)) ||
	    (rc = read_bytes(pc, f->off + have, f->sealed.p + have, want - have)))
		return rc;
	f->sealed.len = want;
	return OK;
}

static int
open_boxes(const struct packproof *pc, struct packproof_frame *f, const struct frame_prefix *pre, bool whole)
{
	uint8_t context[NAME_SID_LEN + FRAME_PREFIX_LEN];
	struct seal_aad aad = { "varve frame head", &pc->r->hdr.repo_id, context, sizeof(context) };
	const uint8_t *head = f->sealed.p + FRAME_PREFIX_LEN;
	size_t head_len = pre->head_len - FRAME_SEAL, body_len = pre->body_len - FRAME_SEAL;
	int rc;

	memcpy(context, pc->h.pack_id.b, NAME_SID_LEN);
	memcpy(context + NAME_SID_LEN, f->sealed.p, FRAME_PREFIX_LEN);
	if ((rc = room(&f->head_mem, head_len)) || (rc = seal_open(f->head_mem.p, head, pre->head_len, pc->key, &aad)) ||
	    (rc = err_verdict(frame_head_decode(&f->head, f->head_mem.p, head_len), "frame head")))
		return rc;
	if (f->head.body_len != body_len)
		return fail(ERR_CORRUPT, "bad frame head");
	if (!whole)
		return OK;
	aad.label = "varve frame body";
	if ((rc = room(&f->body_mem, body_len)) ||
	    (rc = seal_open(f->body_mem.p, head + pre->head_len, pre->body_len, pc->key, &aad)))
		return rc;
	f->body = f->body_mem.p;
	return OK;
}

/* PK-4. */
static int
types_fit(const struct packproof *pc, const struct packproof_frame *f)
{
	struct frame_chunk c;

	for (uint32_t i = 0; i < f->head.chunk_count; i++) {
		frame_chunk_at(&f->head, i, &c);
		if ((c.type == FRAME_DATA) != (pc->h.kind == PACKFILE_DATA))
			return fail(ERR_CORRUPT, "a chunk of a type that does not belong in such a pack");
	}
	return OK;
}

/* Every checksum that these bytes complete. */
static void
sum_up(struct packproof *pc, const uint8_t *p, size_t len)
{
	while (len > 0) {
		size_t at = (size_t)(pc->sum_off % PACKFILE_BLOCK), n = PACKFILE_BLOCK - at;
		uint32_t no = (uint32_t)(pc->sum_off / PACKFILE_BLOCK);
		const uint8_t *whole = p;

		if (n > len)
			n = len;
		if (n < PACKFILE_BLOCK) {
			memcpy(pc->block + at, p, n);
			whole = pc->block;
		}
		pc->sum_off += n;
		p += n;
		len -= n;
		if ((pc->sum_off % PACKFILE_BLOCK == 0 || pc->sum_off == pc->bytes - pc->footer_mem.len) &&
		    digest_xxh3(whole, at + n) != packfile_checksum(&pc->f, no) && no < pc->bad_sum)
			pc->bad_sum = no;
	}
}

int
packproof_frame(struct packproof *pc, uint32_t ordinal, bool whole, struct packproof_frame *f)
{
	struct frame_prefix pre;
	int rc;

	f->ordinal = ordinal;
	f->len = packfile_frame_len(&pc->f, ordinal);
	f->sealed.len = 0;
	f->body = NULL;
	if (f->len < FRAME_PREFIX_LEN + 2 * FRAME_SEAL ||
	    f->len > FRAME_PREFIX_LEN + 2 * FRAME_SEAL + FRAME_HEAD_MAX + FRAME_BODY_MAX)
		return fail(ERR_CORRUPT, "no frame has a length of %u bytes", f->len);
	if ((rc = fetch(pc, f, whole || f->len < HEAD_GUESS ? f->len : HEAD_GUESS)))
		return rc;
	if (whole && pc->block)
		sum_up(pc, f->sealed.p, f->len);
	if ((rc = err_verdict(frame_prefix_decode(&pre, f->sealed.p, FRAME_PREFIX_LEN), "frame")))
		return rc;
	if (pre.ordinal != ordinal || (uint64_t)FRAME_PREFIX_LEN + pre.head_len + pre.body_len != f->len)
		return fail(ERR_CORRUPT, "not the frame that the footer says");
	if ((rc = fetch(pc, f, (size_t)FRAME_PREFIX_LEN + pre.head_len)) || (rc = open_boxes(pc, f, &pre, whole)))
		return rc;
	return types_fit(pc, f);
}

void
packproof_frame_clear(struct packproof_frame *f)
{
	mem_buf_clear(&f->sealed);
	mem_buf_clear(&f->head_mem);
	mem_buf_clear(&f->body_mem);
}

int
packproof_sums_begin(struct packproof *pc)
{
	uint8_t raw[PACKFILE_HEADER_LEN];
	int rc;

	if (!pc->block && (rc = mem_new((void **)&pc->block, PACKFILE_BLOCK)))
		return rc;
	pc->sum_off = 0;
	pc->bad_sum = UINT32_MAX;
	if ((rc = io_read_at(pc->r->io, pc->file, 0, raw, sizeof(raw))))
		return rc;
	sum_up(pc, raw, sizeof(raw));
	return OK;
}

int
packproof_sums(struct packproof *pc)
{
	if (pc->sum_off != pc->bytes - pc->footer_mem.len && pc->bad_sum == UINT32_MAX)
		pc->bad_sum = (uint32_t)(pc->sum_off / PACKFILE_BLOCK);
	return pc->bad_sum == UINT32_MAX ? FOUND : OK;
}
