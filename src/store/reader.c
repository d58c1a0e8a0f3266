/*
 * reader: from the id of a chunk to its plaintext.
 *
 *     id --index_find--> pack, ordinal, offset, length, slot
 *        --pack_get----> an open pack: its key                    (32 of them)
 *        --frame_get---> a cached frame: head and body, opened    (by bytes)
 *        --block_open--> the raw bytes of the block of that slot  (lazily)
 *        --reader_get--> compared with the id
 *
 * A block with a base needs the plaintext of another chunk, which goes the same
 * way.  While a frame is needed further up in this recursion it is pinned:
 * evicting passes over it.  A block remembers how many bases are beneath it, so
 * that a chain is too long (FR-4) no matter which part of it was cached.
 *
 * 1. used is the sum of the bytes of all cached frames.
 * 2. Between two calls no frame is pinned.
 * 3. A frame's body is there while it has a raw block or one not yet decoded.
 */
#include "store/reader.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/digest.h"
#include "codec/seal.h"
#include "codec/squeeze.h"
#include "format/frame.h"
#include "format/packfile.h"

#define PACKS_OPEN 32
#define PATH_CAP 80                     /* packs/<aa>/<64 digits> */
#define BUCKETS 1024u                   /* a power of two */
#define FRAMES_MAX 8192                 /* cached, however small they are */
#define LABEL_PACK "varve pack key"
#define LABEL_HEAD "varve frame head"
#define LABEL_BODY "varve frame body"

struct pack {
	struct io_file *file;           /* NULL: this place is free */
	uint32_t no, kind;
	struct name_sid id;
	uint8_t key[32];
	uint64_t last_use;              /* of the reader's ticks */
};

struct block {
	uint8_t *raw;                   /* decoded; NULL until then; owned */
	uint32_t raw_len, stored_len;
	uint32_t body_off;
	uint8_t codec;
	uint8_t chain;                  /* bases beneath it, once decoded */
	struct name base;
};

struct spot {                           /* of a slot */
	uint32_t block, off, len;
};

struct cached {                         /* a frame */
	uint32_t pack_no, ordinal;
	unsigned pins;
	uint8_t *head_mem, *body;       /* opened boxes; owned */
	size_t body_len;
	struct frame_head head;         /* slices of head_mem */
	struct block *blocks;           /* head.block_count; owned */
	struct spot *spots;             /* head.chunk_count; owned */
	uint32_t needs_body;            /* blocks that are raw or not decoded */
	size_t bytes;
	struct cached *newer, *older;   /* by last use */
	struct cached *chain;           /* of its bucket */
};

struct reader {
	struct repo *r;
	struct index *ix;
	struct squeeze *sq;
	struct reader_stats stats;
	struct mem_buf sealed;          /* the frame being read */
	struct pack packs[PACKS_OPEN];
	uint64_t tick;
	struct cached *buckets[BUCKETS];
	struct cached *newest, *oldest;
	size_t used, cache_bytes;
	uint32_t frame_count;
};

/* A chunk in a pinned frame. */
struct found {
	struct index_place place;
	struct cached *frame;
	const uint8_t *p;
	size_t len;
	unsigned chain;
};

static void
pack_path(char out[static PATH_CAP], const struct name *name)
{
	char hex[NAME_HEX];

	name_hex(name, hex);
	snprintf(out, PATH_CAP, "packs/%.2s/%s", hex, hex);
}

/* Say of a failure where it was met. */
static int
fault(int rc, const struct index_place *at, bool in_frame)
{
	char path[PATH_CAP], where[32] = "", why[400];

	if (rc >= 0)
		return rc;
	pack_path(path, &at->pack_name);
	if (in_frame)
		snprintf(where, sizeof(where), " at frame %u", at->ordinal);
	snprintf(why, sizeof(why), "%s", err_text());
	if (rc == ERR_CORRUPT || rc == ERR_AUTH)
		return fail(rc, "pack %s is damaged%s: %s", path, where,
		    why);
	if (rc == ERR_ABSENT)
		return fail(rc, "pack %s is missing", path);
	return err_context(rc, "pack %s%s", path, where);
}

/* ---- open packs ---- */

static void
pack_close(struct reader *rd, struct pack *pk)
{
	if (pk->file)
		io_close(rd->r->io, pk->file);
	explicit_bzero(pk, sizeof(*pk));
}

static int
pack_open(struct reader *rd, const struct index_place *at, struct pack *pk)
{
	uint8_t raw[PACKFILE_HEADER_LEN];
	char path[PATH_CAP];
	struct packfile_header h;
	int rc;

	pack_path(path, &at->pack_name);
	if ((rc = io_open(rd->r->io, path, &pk->file))) {
		pk->file = NULL;
		return rc;
	}
	if ((rc = io_read_at(rd->r->io, pk->file, 0, raw, sizeof(raw))) ||
	    (rc = err_verdict(packfile_header_decode(&h, raw, sizeof(raw)),
	    "pack header")) ||
	    (rc = keys_unwrap(pk->key, &h.wrap, rd->r->keys->pack, LABEL_PACK,
	    &rd->r->hdr.repo_id, raw, PACKFILE_WRAP_CONTEXT)))
		goto out;
	if (h.kind != at->pack_kind)
		rc = fail(ERR_CORRUPT, "not of the kind that the index says");
	pk->no = at->pack_no;
	pk->kind = h.kind;
	pk->id = h.pack_id;
out:
	if (rc)
		pack_close(rd, pk);
	return rc;
}

static int
pack_get(struct reader *rd, const struct index_place *at, struct pack **out)
{
	struct pack *pk = &rd->packs[0];
	int rc;

	for (size_t i = 0; i < PACKS_OPEN; i++) {
		struct pack *it = &rd->packs[i];

		if (it->file && it->no == at->pack_no) {
			it->last_use = ++rd->tick;
			*out = it;
			return OK;
		}
		if (it->last_use < pk->last_use)
			pk = it;
	}
	pack_close(rd, pk);
	if ((rc = pack_open(rd, at, pk)))
		return fault(rc, at, false);
	pk->last_use = ++rd->tick;
	*out = pk;
	return OK;
}

/* ---- cached frames ---- */

/* Not zeroed, as mem_new does: all of it is written at once. */
static int
bytes_new(uint8_t **out, size_t len)
{
	*out = malloc(len > 0 ? len : 1);
	return *out ? OK : fail(ERR_NOMEM, "out of memory (%zu bytes)", len);
}

static struct cached **
bucket_of(struct reader *rd, uint32_t pack_no, uint32_t ordinal)
{
	uint32_t h = pack_no * 2654435761u + ordinal * 2246822519u;

	return &rd->buckets[(h ^ h >> 15) & (BUCKETS - 1)];
}

static struct cached *
cached_free(struct cached *f)
{
	if (!f)
		return NULL;
	for (uint32_t i = 0; f->blocks && i < f->head.block_count; i++)
		free(f->blocks[i].raw);
	free(f->blocks);
	free(f->spots);
	free(f->head_mem);
	free(f->body);
	free(f);
	return NULL;
}

static void
unlink_use(struct reader *rd, struct cached *f)
{
	*(f->newer ? &f->newer->older : &rd->newest) = f->older;
	*(f->older ? &f->older->newer : &rd->oldest) = f->newer;
}

static void
link_use(struct reader *rd, struct cached *f)
{
	f->newer = NULL;
	f->older = rd->newest;
	*(f->older ? &f->older->newer : &rd->oldest) = f;
	rd->newest = f;
}

static void
evict(struct reader *rd, struct cached *f)
{
	struct cached **at = bucket_of(rd, f->pack_no, f->ordinal);

	while (*at != f)
		at = &(*at)->chain;
	*at = f->chain;
	unlink_use(rd, f);
	rd->used -= f->bytes;
	rd->frame_count--;
	cached_free(f);
}

static void
trim(struct reader *rd)
{
	struct cached *f = rd->oldest;

	while (f && (rd->used > rd->cache_bytes ||
	    rd->frame_count > FRAMES_MAX)) {
		struct cached *newer = f->newer;

		if (f->pins == 0)
			evict(rd, f);
		f = newer;
	}
}

/* PK-4. */
static bool
type_fits(uint8_t type, uint32_t pack_kind)
{
	return (type == FRAME_DATA) == (pack_kind == PACKFILE_DATA);
}

/* Blocks and slots as tables. */
static int
frame_tables(struct cached *f, uint32_t pack_kind)
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
		f->blocks[n] = (struct block){ .codec = b.codec,
		    .raw_len = b.raw_len, .stored_len = b.stored_len,
		    .body_off = body_off, .base = b.base };
		body_off += b.stored_len;
		for (uint32_t i = 0, off = 0; i < b.chunk_count; i++) {
			struct frame_chunk ch;

			if (!frame_next_chunk(&it, &ch) ||
			    !type_fits(ch.type, pack_kind))
				return fail(ERR_CORRUPT, "a chunk of a type "
				    "that does not belong in such a pack");
			f->spots[slot++] = (struct spot){ n, off, ch.len };
			off += ch.len;
		}
	}
	f->needs_body = f->head.block_count;
	return OK;
}

/* Both boxes of the frame in rd->sealed. */
static int
frame_open(struct reader *rd, struct cached *f, const struct pack *pk)
{
	uint8_t context[NAME_SID_LEN + FRAME_PREFIX_LEN];
	struct seal_aad aad = { LABEL_HEAD, &rd->r->hdr.repo_id, context,
	    sizeof(context) };
	struct frame_prefix pre;
	const uint8_t *prefix, *head, *body;
	struct cursor c;
	int rc;

	cursor_init(&c, rd->sealed.p, rd->sealed.len);
	prefix = cursor_bytes(&c, FRAME_PREFIX_LEN);
	if (frame_prefix_decode(&pre, prefix, FRAME_PREFIX_LEN) != CURSOR_OK)
		return fail(ERR_CORRUPT, "bad frame");
	head = cursor_bytes(&c, pre.head_len);
	body = cursor_bytes(&c, pre.body_len);
	if (!cursor_done(&c) || pre.ordinal != f->ordinal)
		return fail(ERR_CORRUPT, "not the frame that the index says");
	memcpy(context, pk->id.b, NAME_SID_LEN);
	memcpy(context + NAME_SID_LEN, prefix, FRAME_PREFIX_LEN);
	f->body_len = pre.body_len - SEAL_OVERHEAD;
	if ((rc = bytes_new(&f->head_mem, pre.head_len - SEAL_OVERHEAD)) ||
	    (rc = bytes_new(&f->body, f->body_len)) ||
	    (rc = seal_open(f->head_mem, head, pre.head_len, pk->key, &aad)) ||
	    (rc = err_verdict(frame_head_decode(&f->head, f->head_mem,
	    pre.head_len - SEAL_OVERHEAD), "frame head")) ||
	    (rc = frame_tables(f, pk->kind)))
		return rc;
	if (f->head.body_len != f->body_len)
		return fail(ERR_CORRUPT, "bad frame head");
	f->bytes = sizeof(*f) + pre.head_len + f->body_len +
	    f->head.block_count * sizeof(*f->blocks) +
	    f->head.chunk_count * sizeof(*f->spots);
	aad.label = LABEL_BODY;
	return seal_open(f->body, body, pre.body_len, pk->key, &aad);
}

/* One pread into rd->sealed. */
static int
frame_read(struct reader *rd, const struct pack *pk,
    const struct index_place *at)
{
	int rc;

	if (at->off < PACKFILE_HEADER_LEN ||
	    at->len < FRAME_PREFIX_LEN + 2 * FRAME_SEAL ||
	    at->len > FRAME_PREFIX_LEN + 2 * FRAME_SEAL + FRAME_HEAD_MAX +
	    FRAME_BODY_MAX)
		return fail(ERR_CORRUPT, "the index has an impossible place");
	rd->sealed.len = 0;
	if ((rc = mem_buf_reserve(&rd->sealed, at->len)) ||
	    (rc = io_read_at(rd->r->io, pk->file, at->off, rd->sealed.p,
	    at->len)))
		return rc;
	rd->sealed.len = at->len;
	rd->stats.frames_read++;
	rd->stats.bytes_read += at->len;
	return OK;
}

/* The frame, pinned once more. */
static int
frame_get(struct reader *rd, const struct index_place *at, struct cached **out)
{
	struct cached **bucket = bucket_of(rd, at->pack_no, at->ordinal);
	struct cached *f = *bucket;
	struct pack *pk = NULL;
	int rc;

	while (f && (f->pack_no != at->pack_no || f->ordinal != at->ordinal))
		f = f->chain;
	if (f) {
		unlink_use(rd, f);
		goto out;
	}
	if ((rc = pack_get(rd, at, &pk)))
		return rc;
	if ((rc = MEM_NEW(f)))
		return rc;
	f->pack_no = at->pack_no;
	f->ordinal = at->ordinal;
	if ((rc = frame_read(rd, pk, at)) || (rc = frame_open(rd, f, pk))) {
		cached_free(f);
		return fault(rc, at, true);
	}
	f->chain = *bucket;
	*bucket = f;
	rd->used += f->bytes;
	rd->frame_count++;
out:
	link_use(rd, f);
	f->pins++;
	trim(rd);
	*out = f;
	return OK;
}

/* ---- blocks and chunks ---- */

static int chunk_open(struct reader *rd, const struct name *id, unsigned level,
    struct found *out) __attribute__((warn_unused_result));

static void
body_release(struct reader *rd, struct cached *f)
{
	if (--f->needs_body > 0)
		return;
	free(f->body);
	f->body = NULL;
	f->bytes -= f->body_len;
	rd->used -= f->body_len;
}

/* Decompress b, on `base` if it has one, and keep it. */
static int
block_decode(struct reader *rd, struct cached *f, struct block *b,
    const struct found *base)
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
	if ((rc = squeeze_unpack(rd->sq, raw, b->raw_len, stored,
	    b->stored_len, base->p, base->len))) {
		free(raw);
		return rc;
	}
	b->raw = raw;
	b->chain = (uint8_t)(base->p ? base->chain + 1 : 0);
	f->bytes += b->raw_len;
	rd->used += b->raw_len;
	rd->stats.blocks_decoded++;
	rd->stats.bytes_decoded += b->raw_len;
	body_release(rd, f);
	trim(rd);
	return OK;
}

/* The raw bytes of a block; level: blocks that are being decoded on it. */
static int
block_open(struct reader *rd, struct cached *f, struct block *b,
    const struct index_place *at, unsigned level, const uint8_t **raw)
{
	struct found base = { 0 };
	int rc = OK;

	if (b->codec == FRAME_RAW) {
		struct cursor c;

		cursor_init(&c, f->body, f->body_len);
		cursor_bytes(&c, b->body_off);
		*raw = cursor_bytes(&c, b->raw_len);
		return OK;
	}
	if (!b->raw && b->codec == FRAME_DELTA) {
		if (level >= FRAME_DEPTH_MAX)
			return fault(fail(ERR_CORRUPT, "more than %d bases "
			    "beneath a chunk", FRAME_DEPTH_MAX), at, true);
		if ((rc = chunk_open(rd, &b->base, level + 1, &base)))
			return rc;
	}
	if (!b->raw)
		rc = fault(block_decode(rd, f, b, &base), at, true);
	if (base.frame)
		base.frame->pins--;
	if (rc == OK && level + b->chain > FRAME_DEPTH_MAX)
		rc = fault(fail(ERR_CORRUPT, "more than %d bases beneath a "
		    "chunk", FRAME_DEPTH_MAX), at, true);
	*raw = b->raw;
	return rc;
}

static int
slot_check(const struct found *it, const struct name *id)
{
	struct frame_chunk ch;

	if (it->place.slot >= it->frame->head.chunk_count)
		return fail(ERR_CORRUPT, "it has no slot %u", it->place.slot);
	frame_chunk_at(&it->frame->head, it->place.slot, &ch);
	if (name_cmp(&ch.id, id) != 0 || ch.type != it->place.type)
		return fail(ERR_AUTH, "slot %u holds another chunk than the "
		    "index says", it->place.slot);
	return OK;
}

/* On OK the caller takes one pin off out->frame. */
static int
chunk_open(struct reader *rd, const struct name *id, unsigned level,
    struct found *out)
{
	const struct spot *spot;
	const uint8_t *raw = NULL;
	struct block *b;
	struct cursor c;
	int rc;

	memset(out, 0, sizeof(*out));
	if ((rc = index_find(rd->ix, id, &out->place, NULL)) < 0)
		return rc;
	if (rc != FOUND) {
		char hex[NAME_HEX];

		name_hex(id, hex);
		return fail(ERR_ABSENT, "%s%s is not in the index",
		    level > 0 ? "its base " : "it", level > 0 ? hex : "");
	}
	if ((rc = frame_get(rd, &out->place, &out->frame)))
		return rc;
	if ((rc = fault(slot_check(out, id), &out->place, true)))
		goto out;
	spot = &out->frame->spots[out->place.slot];
	b = &out->frame->blocks[spot->block];
	if ((rc = block_open(rd, out->frame, b, &out->place, level, &raw)))
		goto out;
	cursor_init(&c, raw, b->raw_len);
	cursor_bytes(&c, spot->off);
	out->p = cursor_bytes(&c, spot->len);
	out->len = spot->len;
	out->chain = b->chain;
out:
	if (rc) {
		out->frame->pins--;
		out->frame = NULL;
	}
	return rc;
}

int
reader_get(struct reader *rd, const struct name *id, uint8_t type,
    const uint8_t **p, size_t *len)
{
	struct found it;
	struct name got;
	int rc = chunk_open(rd, id, 0, &it);

	*p = NULL;
	*len = 0;
	if (rc)
		goto out;
	it.frame->pins--;
	digest_chunk_id(&got, rd->r->keys->id, it.place.type, it.p, it.len);
	if (name_cmp(&got, id) != 0) {
		rc = fault(fail(ERR_AUTH, "slot %u does not have the content "
		    "that its id says", it.place.slot), &it.place, true);
		goto out;
	}
	if (it.place.type != type) {
		rc = fail(ERR_CORRUPT, "it is of type %c where %c is expected",
		    it.place.type, type);
		goto out;
	}
	*p = it.p;
	*len = it.len;
out:
	if (rc) {
		char hex[NAME_HEX];

		name_hex(id, hex);
		rc = err_context(rc, "chunk %s", hex);
	}
	return rc;
}

int
reader_base(struct reader *rd, const struct index_place *place,
    struct name *base)
{
	struct cached *f;
	int rc = frame_get(rd, place, &f);

	if (rc)
		return rc;
	if (place->slot >= f->head.chunk_count)
		rc = fault(fail(ERR_CORRUPT, "it has no slot %u",
		    place->slot), place, true);
	else
		*base = f->blocks[f->spots[place->slot].block].base;
	f->pins--;
	return rc;
}

int
reader_frame(struct reader *rd, const struct index_place *at,
    reader_chunk_fn fn, void *arg)
{
	struct reader_chunk ch = { .slot = 0 };
	struct frame_iter it;
	struct frame_block b;
	struct frame_chunk c;
	struct cached *f;
	int rc = frame_get(rd, at, &f);

	if (rc)
		return rc;
	frame_iter_init(&it, &f->head);
	while (rc == OK && frame_next_block(&it, &b))
		for (uint32_t i = 0; rc == OK && i < b.chunk_count &&
		    frame_next_chunk(&it, &c); i++, ch.slot++) {
			ch = (struct reader_chunk){ c.id, b.base, ch.slot,
			    c.type, b.depth };
			rc = fn(arg, &ch);
		}
	f->pins--;
	return rc;
}

int
reader_delta(struct reader *rd, const struct index_place *at,
    struct frame_block *b, const uint8_t **stored)
{
	struct frame_iter it;
	struct cached *f;
	struct cursor c;
	uint32_t slot = 0;
	int rc = frame_get(rd, at, &f);

	if (rc == OK && !f->body) {             /* every block was decoded */
		f->pins--;
		evict(rd, f);
		rc = frame_get(rd, at, &f);
	}
	if (rc)
		return rc;
	f->pins--;
	frame_iter_init(&it, &f->head);
	cursor_init(&c, f->body, f->body_len);
	while (frame_next_block(&it, b)) {
		*stored = cursor_bytes(&c, b->stored_len);
		if (slot == at->slot && b->codec == FRAME_DELTA)
			return OK;
		slot += b->chunk_count;
	}
	return fail(ERR_CORRUPT, "slot %u is no delta block", at->slot);
}

int
reader_new(struct repo *r, struct index *ix, size_t cache_bytes,
    struct reader **out)
{
	struct reader *rd;
	int rc;

	*out = NULL;
	if ((rc = MEM_NEW(rd)))
		return rc;
	rd->r = r;
	rd->ix = ix;
	rd->cache_bytes = cache_bytes;
	if ((rc = squeeze_new(0, &rd->sq)))
		rd = reader_free(rd);
	*out = rd;
	return rc;
}

struct reader *
reader_free(struct reader *rd)
{
	if (!rd)
		return NULL;
	while (rd->newest)
		evict(rd, rd->newest);
	for (size_t i = 0; i < PACKS_OPEN; i++)
		pack_close(rd, &rd->packs[i]);
	squeeze_free(rd->sq);
	mem_buf_clear(&rd->sealed);
	free(rd);
	return NULL;
}

const struct reader_stats *
reader_stats(const struct reader *rd)
{
	return &rd->stats;
}
