/* indexbuild: the body is buffered and written 16 blocks at a time, each with its tag; the tags and the header come last. */
#include "store/indexbuild.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/digest.h"
#include "format/extrec.h"
#include "store/index_file.h"
#include "sys/entropy.h"

#define BUFFER (16 * INDEXFILE_BLOCK)
#define EXTRAS 4

struct indexbuild {
	struct repo *repo;
	struct io_file *file;
	char path[INDEX_FILE_PATH];
	struct indexfile_header h;
	uint8_t buffer[BUFFER];         /* whole blocks, and the one being filled */
	size_t fill;
	uint64_t blocks;                /* written */
	struct mem_buf tags;
	uint32_t *fanout;               /* rows per bucket at fan_bits */
	uint32_t fan_bits;
	struct name last;               /* id of the newest row */
	struct extrec extra[EXTRAS];    /* values are borrowed */
	size_t extra_count;
};

int
indexbuild_begin(struct repo *r, const char *tmp_path, const struct indexfile_header *h, uint64_t row_bound,
    struct indexbuild **out)
{
	struct indexbuild *b;
	int rc;

	*out = NULL;
	if ((rc = MEM_NEW(b)))
		return rc;
	b->repo = r;
	b->h = *h;
	b->h.repo_id = r->hdr.repo_id;
	b->h.keep_count = b->h.remove_count = b->h.pack_count = b->h.frame_count = 0;
	b->h.row_count = b->h.extra_len = 0;
	entropy_fill(b->h.nonce, sizeof(b->h.nonce));
	snprintf(b->path, sizeof(b->path), "%s", tmp_path);
	b->fan_bits = indexfile_fanout_bits(row_bound);
	if ((rc = mem_new((void **)&b->fanout, (size_t)4 << b->fan_bits)) == OK)
		rc = io_create(r->io, tmp_path, &b->file);
	if (rc) {
		free(b->fanout);
		free(b);
		return rc;
	}
	*out = b;
	return OK;
}

/* Tag and write the blocks in the buffer; all but the last of a file are whole (IX-3). */
static int
flush(struct indexbuild *b)
{
	uint64_t off = INDEXFILE_HEADER_LEN + b->blocks * INDEXFILE_BLOCK;
	uint8_t tag[INDEXFILE_TAG_LEN];
	size_t len;
	int rc;

	for (size_t at = 0; at < b->fill; at += len) {
		len = b->fill - at < INDEXFILE_BLOCK ? b->fill - at : INDEXFILE_BLOCK;
		index_file_tag(tag, b->repo, &b->h, INDEX_FILE_BODY, b->blocks++, b->buffer + at, len);
		if ((rc = mem_buf_add(&b->tags, tag, sizeof(tag))))
			return rc;
	}
	rc = io_write_at(b->repo->io, b->file, off, b->buffer, b->fill);
	b->fill = 0;
	return rc;
}

/* Rows come from older files, too, and what these say may contradict itself. */
static int
impossible(void)
{
	return fail(ERR_CORRUPT, "the index contradicts itself: 'varve repair index' makes it anew");
}

static int
body_add(struct indexbuild *b, const uint8_t *p, size_t len)
{
	size_t n;
	int rc;

	if (len == 0)                   /* it could not be encoded */
		return impossible();
	while (len) {
		n = BUFFER - b->fill < len ? BUFFER - b->fill : len;
		memcpy(b->buffer + b->fill, p, n);
		b->fill += n;
		p += n;
		len -= n;
		if (b->fill == BUFFER && (rc = flush(b)))
			return rc;
	}
	return OK;
}

int
indexbuild_keep(struct indexbuild *b, uint64_t number)
{
	uint8_t raw[INDEXFILE_KEEP_LEN];

	assert(b->h.remove_count == 0 && number < b->h.number);
	for (int k = 0; k < 8; k++)
		raw[k] = (uint8_t)(number >> (8 * k));
	b->h.keep_count++;
	return body_add(b, raw, sizeof(raw));
}

int
indexbuild_remove(struct indexbuild *b, const struct indexfile_remove *r)
{
	uint8_t raw[INDEXFILE_REMOVE_LEN];

	assert(b->h.pack_count == 0);
	b->h.remove_count++;
	return body_add(b, raw, indexfile_remove_encode(raw, sizeof(raw), r));
}

int
indexbuild_pack(struct indexbuild *b, const struct indexfile_pack *p)
{
	uint8_t raw[INDEXFILE_PACK_LEN];

	assert(b->h.frame_count == 0);
	b->h.pack_count++;
	return body_add(b, raw, indexfile_pack_encode(raw, sizeof(raw), p));
}

int
indexbuild_frame(struct indexbuild *b, const struct indexfile_frame *f)
{
	uint8_t raw[INDEXFILE_FRAME_LEN];

	assert(b->h.row_count == 0);
	if (f->pack >= b->h.pack_count)
		return impossible();
	b->h.frame_count++;
	return body_add(b, raw, indexfile_frame_encode(raw, sizeof(raw), f));
}

int
indexbuild_row(struct indexbuild *b, const struct indexfile_row *row)
{
	uint8_t raw[INDEXFILE_ROW_LEN];

	if ((b->h.row_count > 0 && name_cmp(&b->last, &row->id) >= 0) ||
	    (row->frame != INDEXFILE_NO_FRAME && row->frame >= b->h.frame_count))
		return impossible();
	b->last = row->id;
	b->h.row_count++;
	b->fanout[indexfile_bucket(&row->id, b->fan_bits)]++;
	return body_add(b, raw, indexfile_row_encode(raw, sizeof(raw), row));
}

void
indexbuild_extra(struct indexbuild *b, uint16_t tag, const void *p, size_t len)
{
	assert(len <= UINT32_MAX && b->extra_count < EXTRAS);
	assert(b->extra_count == 0 || b->extra[b->extra_count - 1].tag < tag);
	if (len > 0)
		b->extra[b->extra_count++] = (struct extrec){ .tag = tag, .len = (uint32_t)len, .val = p };
}

static int
put_extra(struct indexbuild *b)
{
	uint8_t head[EXTREC_HEAD_LEN];
	int rc = OK;

	for (size_t i = 0; rc == OK && i < b->extra_count; i++) {
		const struct extrec *r = &b->extra[i];

		(void)extrec_encode(head, sizeof(head), &(struct extrec){ .tag = r->tag });
		for (int k = 0; k < 4; k++)
			head[4 + k] = (uint8_t)(r->len >> (8 * k));
		b->h.extra_len += EXTREC_HEAD_LEN + (uint64_t)r->len;
		if ((rc = body_add(b, head, sizeof(head))) == OK)
			rc = body_add(b, r->val, r->len);
	}
	return rc;
}

/* The fanout was counted for row_bound; the rows that came may need fewer buckets. */
static int
put_fanout(struct indexbuild *b)
{
	uint32_t shift, sum = 0;
	uint8_t raw[4];
	int rc;

	b->h.fanout_bits = indexfile_fanout_bits(b->h.row_count);
	assert(b->h.fanout_bits <= b->fan_bits);
	shift = b->fan_bits - b->h.fanout_bits;
	for (uint64_t i = 0; i < 1ull << b->fan_bits; i++) {
		sum += b->fanout[i];
		if ((i + 1) & ((1ull << shift) - 1))
			continue;
		for (int k = 0; k < 4; k++)
			raw[k] = (uint8_t)(sum >> (8 * k));
		if ((rc = body_add(b, raw, sizeof(raw))))
			return rc;
	}
	if ((rc = put_extra(b)))
		return rc;
	return b->fill ? flush(b) : OK;
}

/* The tags of the blocks of tags, behind them. */
static int
put_tags(struct indexbuild *b, struct mem_buf *upper, uint64_t tags_off)
{
	uint8_t tag[INDEXFILE_TAG_LEN];
	size_t len;
	int rc;

	for (size_t at = 0; at < b->tags.len; at += len) {
		len = b->tags.len - at < INDEXFILE_BLOCK ? b->tags.len - at : INDEXFILE_BLOCK;
		index_file_tag(tag, b->repo, &b->h, INDEX_FILE_TAGS, at / INDEXFILE_BLOCK, b->tags.p + at, len);
		if ((rc = mem_buf_add(upper, tag, sizeof(tag))))
			return rc;
	}
	if ((rc = io_write_at(b->repo->io, b->file, tags_off, b->tags.p, b->tags.len)))
		return rc;
	return io_write_at(b->repo->io, b->file, tags_off + b->tags.len, upper->p, upper->len);
}

static int
put_header(struct indexbuild *b, uint64_t *file_len)
{
	struct io *io = b->repo->io;
	struct indexfile_layout l;
	uint8_t raw[INDEXFILE_HEADER_LEN], head[16 + INDEXFILE_MAC_OFF];
	struct mem_buf upper = { 0 };
	struct name mac;
	int rc;

	indexfile_layout(&b->h, &l);
	assert(l.block_count == b->blocks && b->tags.len == b->blocks * INDEXFILE_TAG_LEN);
	*file_len = l.file_len;
	(void)indexfile_header_encode(raw, sizeof(raw), &b->h);
	if ((rc = put_tags(b, &upper, l.tags_off)))
		goto out;
	memcpy(head, "varve index head", 16);
	memcpy(head + 16, raw, INDEXFILE_MAC_OFF);
	digest_keyed2(&mac, b->repo->keys->index, head, sizeof(head), upper.p, upper.len);
	memcpy(raw + INDEXFILE_MAC_OFF, mac.b, sizeof(mac.b));
	if ((rc = io_write_at(io, b->file, 0, raw, sizeof(raw))) == OK)
		rc = io_sync(io, b->file);
out:
	mem_buf_clear(&upper);
	return rc;
}

int
indexbuild_end(struct indexbuild *b, uint64_t *file_len)
{
	int rc, rc2;

	if ((rc = put_fanout(b)) == OK)
		rc = put_header(b, file_len);
	if (rc) {
		indexbuild_abort(b);
		return rc;
	}
	rc2 = io_close(b->repo->io, b->file);
	b->file = NULL;
	if (rc2) {
		indexbuild_abort(b);
		return rc2;
	}
	mem_buf_clear(&b->tags);
	free(b->fanout);
	free(b);
	return OK;
}

void
indexbuild_abort(struct indexbuild *b)
{
	if (!b)
		return;
	(void)io_close(b->repo->io, b->file);
	io_discard(b->repo->io, b->path);
	mem_buf_clear(&b->tags);
	free(b->fanout);
	free(b);
}
