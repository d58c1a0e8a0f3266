/* support_index: opens a whole index file and checks every row of it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "codec/digest.h"
#include "codec/keys.h"
#include "format/extrec.h"
#include "format/indexfile.h"
#include "format/repohdr.h"
#include "tests/unit/support_open.h"

struct index {
	struct indexfile_header h;
	struct indexfile_layout l;
	const uint8_t *body;
};

static int
verdict(enum cursor_verdict v)
{
	return err_verdict(v, "index row");
}

static bool
name_fits(const struct indexfile_header *h, const char *name)
{
	char sid[NAME_SID_HEX], text[64];

	name_sid_hex(&h->sid, sid);
	if (h->kind == INDEXFILE_TABLE)
		snprintf(text, sizeof(text), "%016" PRIx64, h->number);
	else
		snprintf(text, sizeof(text), "%s-%08" PRIx64, sid, h->number);
	return strcmp(text, name) == 0;
}

/* IX-2 */
static int
mac_check(const struct index *x, const struct keys *keys, const uint8_t *file)
{
	size_t tags_len = (size_t)(x->l.file_len - x->l.upper_off);
	uint8_t *covered = malloc(16 + INDEXFILE_MAC_OFF + tags_len);
	struct name mac;

	memcpy(covered, "varve index head", 16);
	memcpy(covered + 16, file, INDEXFILE_MAC_OFF);
	memcpy(covered + 16 + INDEXFILE_MAC_OFF, file + x->l.upper_off,
	    tags_len);
	digest_keyed(&mac, keys->index, covered,
	    16 + INDEXFILE_MAC_OFF + tags_len);
	free(covered);
	return memcmp(mac.b, x->h.mac, NAME_LEN) == 0 ? OK : ERR_AUTH;
}

/* Are these the tags of the blocks of p? */
static int
tags_of(const struct index *x, const struct keys *keys, const char *kind, const uint8_t *p, uint64_t len, const uint8_t *tags)
{
	for (uint64_t i = 0; i * INDEXFILE_BLOCK < len; i++) {
		uint8_t in[40] = { 0 }, tag[16];
		uint64_t left = len - i * INDEXFILE_BLOCK;
		struct name once;

		memcpy(in, kind, 16);
		memcpy(in + 16, x->h.nonce, 16);
		for (size_t k = 0; k < 8; k++)
			in[32 + k] = (uint8_t)(i >> 8 * k);
		digest_keyed(&once, keys->index, in, sizeof(in));
		digest_poly1305(tag, once.b, p + i * INDEXFILE_BLOCK,
		    left < INDEXFILE_BLOCK ? (size_t)left : INDEXFILE_BLOCK);
		if (memcmp(tag, tags + i * INDEXFILE_TAG_LEN, INDEXFILE_TAG_LEN) != 0)
			return ERR_AUTH;
	}
	return OK;
}

/* IX-3 */
static int
tags_check(const struct index *x, const struct keys *keys, const uint8_t *file)
{
	const uint8_t *tags = file + x->l.tags_off, *upper = file + x->l.upper_off;
	int rc = tags_of(x, keys, "varve index tags", tags, (uint64_t)(upper - tags), upper);

	return rc ? rc : tags_of(x, keys, "varve index body", x->body, x->l.end, tags);
}

static int
keeps_check(const struct index *x)
{
	uint64_t above = x->h.number;
	struct cursor c;

	cursor_init(&c, x->body, (size_t)x->l.remove);
	while (c.left > 0) {
		uint64_t number = cursor_u64(&c);

		if (number >= above || number == 0)
			return ERR_CORRUPT;
		above = number;
	}
	return OK;
}

static int
remove_cmp(const struct indexfile_remove *a, const struct indexfile_remove *b)
{
	int d;

	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	if ((d = name_cmp(&a->name, &b->name)) != 0)
		return d;
	return (a->part > b->part) - (a->part < b->part);
}

static int
removes_check(const struct index *x)
{
	struct indexfile_remove r, prev = { 0 };
	int rc;

	for (uint32_t i = 0; i < x->h.remove_count; i++, prev = r) {
		if ((rc = verdict(indexfile_remove_decode(&r, x->body +
		    x->l.remove + (uint64_t)i * INDEXFILE_REMOVE_LEN,
		    INDEXFILE_REMOVE_LEN))))
			return rc;
		if (i > 0 && remove_cmp(&prev, &r) >= 0)
			return ERR_CORRUPT;
	}
	return OK;
}

static enum cursor_verdict
frame_at(const struct index *x, uint32_t i, struct indexfile_frame *f)
{
	return indexfile_frame_decode(f, x->body + x->l.frames +
	    (uint64_t)i * INDEXFILE_FRAME_LEN, INDEXFILE_FRAME_LEN);
}

/* IX-4: live bytes of a pack. */
static int
packs_check(const struct index *x)
{
	struct indexfile_pack p, prev = { 0 };
	struct indexfile_frame f;
	int rc;

	for (uint32_t i = 0; i < x->h.pack_count; i++, prev = p) {
		uint64_t live = 0;

		if ((rc = verdict(indexfile_pack_decode(&p, x->body +
		    x->l.packs + (uint64_t)i * INDEXFILE_PACK_LEN,
		    INDEXFILE_PACK_LEN))))
			return rc;
		for (uint32_t k = 0; k < x->h.frame_count; k++)
			if (frame_at(x, k, &f) == CURSOR_OK && f.pack == i)
				live += (uint64_t)f.len * f.live / f.chunks;
		if ((i > 0 && name_cmp(&prev.name, &p.name) >= 0) ||
		    live != p.live_bytes)
			return ERR_CORRUPT;
	}
	return OK;
}

static int
frames_check(const struct index *x)
{
	struct indexfile_frame f, prev = { 0 };
	int rc;

	for (uint32_t i = 0; i < x->h.frame_count; i++, prev = f) {
		if ((rc = verdict(frame_at(x, i, &f))))
			return rc;
		if (f.pack >= x->h.pack_count || (i > 0 &&
		    (f.pack < prev.pack || (f.pack == prev.pack &&
		    f.ordinal <= prev.ordinal))))
			return ERR_CORRUPT;
	}
	return OK;
}

static int
row_check(const struct index *x, const struct indexfile_row *r)
{
	if (x->h.kind == INDEXFILE_SEGMENT && r->refs)
		return fail(ERR_CORRUPT, "a segment counts references");
	struct indexfile_frame f;

	if (r->frame == INDEXFILE_NO_FRAME)
		return x->h.kind == INDEXFILE_TABLE &&
		    (r->refs != 0 || r->uses != 0) ? ERR_CORRUPT : OK;
	if (r->frame >= x->h.frame_count)
		return ERR_CORRUPT;
	frame_at(x, r->frame, &f);
	return r->slot < f.chunks ? OK : ERR_CORRUPT;
}

static int
rows_check(const struct index *x)
{
	uint64_t buckets = 1ull << x->h.fanout_bits, done = 0;
	struct indexfile_row r, prev = { 0 };
	struct cursor fanout;
	int rc;

	cursor_init(&fanout, x->body + x->l.fanout,
	    (size_t)(x->l.extra - x->l.fanout));
	for (uint64_t i = 0; i < x->h.row_count; i++, prev = r) {
		if ((rc = verdict(indexfile_row_decode(&r, x->body + x->l.rows +
		    i * INDEXFILE_ROW_LEN, INDEXFILE_ROW_LEN))) ||
		    (rc = row_check(x, &r)))
			return rc;
		if (i > 0 && name_cmp(&prev.id, &r.id) >= 0)
			return ERR_CORRUPT;
		for (; done < indexfile_bucket(&r.id, x->h.fanout_bits); done++)
			if (cursor_u32(&fanout) != i)
				return ERR_CORRUPT;
	}
	for (; done < buckets; done++)
		if (cursor_u32(&fanout) != x->h.row_count)
			return ERR_CORRUPT;
	return OK;
}

static int
extra_check(const struct index *x)
{
	struct extrec_iter it;
	struct extrec r;

	extrec_init(&it, x->body + x->l.extra, (size_t)x->h.extra_len);
	while (extrec_next(&it, &r))
		continue;
	return cursor_done(&it.c) ? OK : ERR_CORRUPT;
}

static int
body_check(const struct index *x)
{
	int rc;

	(void)((rc = keeps_check(x)) || (rc = removes_check(x)) ||
	    (rc = frames_check(x)) || (rc = packs_check(x)) ||
	    (rc = rows_check(x)) || (rc = extra_check(x)));
	return rc;
}

int
support_index(const struct support_vec *v)
{
	struct keys *keys = NULL;
	struct repohdr repo;
	struct index x;
	int rc;

	if (v->len < INDEXFILE_HEADER_LEN)
		return ERR_CORRUPT;
	if ((rc = support_repo(&repo, v->repo, sizeof(v->repo))) ||
	    (rc = verdict(indexfile_header_decode(&x.h, v->body,
	    INDEXFILE_HEADER_LEN))))
		return rc;
	if (name_sid_cmp(&x.h.repo_id, &repo.repo_id) != 0 ||
	    !name_fits(&x.h, v->name))
		return ERR_AUTH;
	indexfile_layout(&x.h, &x.l);
	if (x.l.file_len != v->len)
		return ERR_CORRUPT;
	x.body = v->body + x.l.body_off;
	if ((rc = keys_new(v->master, &keys)))
		return rc;
	if (!(rc = mac_check(&x, keys, v->body)) &&
	    !(rc = tags_check(&x, keys, v->body)))
		rc = body_check(&x);
	keys_free(keys);
	return rc;
}
