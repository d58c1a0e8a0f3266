/*
 * reader: from the id of a chunk to its plaintext.
 *
 *     id --index_find--> pack, ordinal, offset, length, slot
 *        --pack_get----> an open pack: its key                    (32 of them)
 *        --frame_get---> a cached frame: head and body, opened    (by bytes)
 *        --block_open--> the raw bytes of the block of that slot  (lazily)
 *        --reader_get--> compared with the id
 *
 * With reader_ahead() frames come opened, decoded and compared from other
 * threads, if they were foreseen; else they go the same way as without.
 *
 * A block with a base needs the plaintext of another chunk, which goes the same
 * way.  While a frame is needed further up in this recursion it is pinned:
 * evicting passes over it.  A block remembers how many bases are beneath it, so
 * that a chain is too long (FR-4) no matter which part of it was cached.
 *
 * 1. used is the sum of the bytes of all cached frames.
 * 2. Between two calls no frame is pinned.
 */
#include "store/reader.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/digest.h"
#include "codec/squeeze.h"
#include "store/ahead.h"

#define PACKS_OPEN 32
#define BUCKETS 1024u                   /* a power of two */
#define FRAMES_MAX 8192                 /* cached, however small they are */
#define HEAD_READ 4096u                 /* holds most heads */
#define HEADS 16                        /* of long frames, kept alone */

struct pack {
	struct packin in;               /* not open: this place is free */
	uint64_t last_use;              /* of the reader's ticks */
};

/* The head of a frame: bases of many of its chunks are asked for, one at a time. */
struct head {
	uint32_t pack_no, ordinal;
	uint64_t last_use;              /* of the reader's ticks; 0: free */
	struct framebox box;            /* without a body */
};

struct cached {                         /* a frame */
	uint32_t pack_no, ordinal;
	unsigned pins;
	struct framebox box;
	struct cached *newer, *older;   /* by last use */
	struct cached *chain;           /* of its bucket */
};

struct reader {
	struct repo *r;
	struct index *ix;
	struct squeeze *sq;
	struct ahead *ahead;            /* NULL: nothing is read ahead */
	struct reader_stats stats;
	struct mem_buf sealed;          /* the frame being read */
	struct mem_buf joined;          /* several bases */
	struct pack packs[PACKS_OPEN];
	struct head heads[HEADS];
	uint64_t tick;
	bool copying;                   /* stored blocks will be asked for */
	struct cached *buckets[BUCKETS];
	struct cached *newest, *oldest;
	size_t used, cache_bytes;
	uint32_t frame_count;
	struct cached *last;            /* has the chunk handed out last, in ... */
	struct framebox_block *last_block;
};

/* A chunk in a pinned frame. */
struct found {
	struct index_place place;
	struct cached *frame;
	const uint8_t *p;
	size_t len;
	unsigned chain;
	struct framebox_spot *spot;
	struct framebox_block *block;
};

/* Say of a failure where it was met. */
static int
fault(int rc, const struct index_place *at, bool in_frame)
{
	char path[PACKIN_PATH], where[32] = "", why[400];

	if (rc >= 0)
		return rc;
	packin_path(path, &at->pack_name);
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

static int
pack_get(struct reader *rd, const struct index_place *at, struct packin **out)
{
	struct pack *pk = &rd->packs[0];
	int rc;

	for (size_t i = 0; i < PACKS_OPEN; i++) {
		struct pack *it = &rd->packs[i];

		if (it->in.file && it->in.no == at->pack_no) {
			it->last_use = ++rd->tick;
			*out = &it->in;
			return OK;
		}
		if (it->last_use < pk->last_use)
			pk = it;
	}
	packin_close(&pk->in, rd->r);
	pk->last_use = 0;
	if ((rc = packin_open(&pk->in, rd->r, at)))
		return fault(rc, at, false);
	pk->last_use = ++rd->tick;
	*out = &pk->in;
	return OK;
}

/* ---- cached frames ---- */

static struct cached **
bucket_of(struct reader *rd, uint32_t pack_no, uint32_t ordinal)
{
	uint32_t h = pack_no * 2654435761u + ordinal * 2246822519u;

	return &rd->buckets[(h ^ h >> 15) & (BUCKETS - 1)];
}

static struct cached *
cached_free(struct cached *f)
{
	framebox_clear(&f->box);
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
	rd->used -= f->box.bytes;
	rd->frame_count--;
	if (rd->last == f)
		rd->last = NULL;
	cached_free(f);
}

/*
 * What was decoded on a base is one chunk, wanted once, or as the base of one
 * other; many of them lie in a frame, and would drive out what is shared.
 */
static void
block_release(struct reader *rd, struct cached *f, struct framebox_block *b)
{
	size_t before = f->box.bytes;

	if (b->codec != FRAME_DELTA || f->pins)
		return;
	framebox_release(&f->box, b);
	rd->used -= before - f->box.bytes;
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

/* What was decoded ahead counts as if it had been done here. */
static void
count_decoded(struct reader *rd, const struct framebox *box)
{
	for (uint32_t i = 0; i < box->head.block_count; i++)
		if (box->blocks[i].raw)
			rd->stats.bytes_decoded += box->blocks[i].raw_len;
}

/* Read and open the frame, unless that was done ahead. */
static int
frame_open(struct reader *rd, const struct index_place *at,
    struct framebox *box)
{
	struct packin *pk = NULL;
	int rc;

	if (rd->ahead && ahead_take(rd->ahead, at, box) == FOUND) {
		count_decoded(rd, box);
		goto out;
	}
	if ((rc = pack_get(rd, at, &pk)))
		return rc;
	if ((rc = packin_read(pk, rd->r, at->off, at->len, &rd->sealed)) ||
	    (rc = framebox_open(box, rd->r, pk, at->ordinal, &rd->sealed)))
		return fault(rc, at, true);
out:
	box->needs_body += rd->copying;
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
	int rc;

	while (f && (f->pack_no != at->pack_no || f->ordinal != at->ordinal))
		f = f->chain;
	if (f) {
		unlink_use(rd, f);
		goto out;
	}
	if ((rc = MEM_NEW(f)))
		return rc;
	f->pack_no = at->pack_no;
	f->ordinal = at->ordinal;
	if ((rc = frame_open(rd, at, &f->box))) {
		cached_free(f);
		return rc;
	}
	f->chain = *bucket;
	*bucket = f;
	rd->used += f->box.bytes;
	rd->frame_count++;
out:
	link_use(rd, f);
	f->pins++;
	trim(rd);
	*out = f;
	return OK;
}

/* ---- blocks and chunks ---- */

static int chunk_open(struct reader *rd, const struct name *id, bool base,
    unsigned *room, struct found *out) __attribute__((warn_unused_result));

/* The plaintexts of bases, one after the other. */
static int
join_bases(struct reader *rd, const struct found *bases, unsigned count,
    const uint8_t **p, size_t *len)
{
	int rc;

	*p = count ? bases[0].p : NULL;
	*len = count ? bases[0].len : 0;
	if (count < 2)
		return OK;
	rd->joined.len = 0;
	for (unsigned i = 0; i < count; i++)
		if ((rc = mem_buf_add(&rd->joined, bases[i].p, bases[i].len)))
			return rc;
	*p = rd->joined.p;
	*len = rd->joined.len;
	return OK;
}

/* Decompress b, on its bases if it has any, and keep it. */
static int
block_decode(struct reader *rd, struct cached *f, struct framebox_block *b,
    const struct found *bases, unsigned count)
{
	size_t before = f->box.bytes, len;
	unsigned chain = 0;
	const uint8_t *p;
	int rc;

	for (unsigned i = 0; i < count; i++)
		chain += 1 + bases[i].chain;
	if ((rc = join_bases(rd, bases, count, &p, &len)) ||
	    (rc = framebox_decode(&f->box, b, rd->sq, p, len, chain)))
		return rc;
	rd->used = rd->used - before + f->box.bytes;
	rd->stats.bytes_decoded += b->raw_len;
	trim(rd);
	return OK;
}

/* n more blocks are decoded for the chunk that was asked for (FR-4). */
static int
take_room(unsigned *room, unsigned n, const struct index_place *at)
{
	if (n > *room)
		return fault(fail(ERR_CORRUPT, "more than %d bases beneath a "
		    "chunk", FRAME_DEPTH_MAX), at, true);
	*room -= n;
	return OK;
}

/* Decode a block that is not raw, after its bases. */
static int
block_build(struct reader *rd, struct cached *f, struct framebox_block *b,
    const struct index_place *at, unsigned *room)
{
	struct found bases[FRAME_BASES_MAX];
	unsigned n = 0;
	int rc = OK;

	while (n < b->base_count && (rc = take_room(room, 1, at)) == OK &&
	    (rc = chunk_open(rd, &b->base[n], true, room, &bases[n])) == OK)
		n++;
	if (rc == OK)
		rc = fault(block_decode(rd, f, b, bases, n), at, true);
	while (n-- > 0) {
		bases[n].frame->pins--;
		block_release(rd, bases[n].frame, bases[n].block);
	}
	return rc;
}

/* The raw bytes of a block; room: blocks that may still be decoded. */
static int
block_open(struct reader *rd, struct cached *f, struct framebox_block *b,
    const struct index_place *at, unsigned *room, const uint8_t **raw)
{
	int rc = OK;

	if (b->codec != FRAME_RAW)
		rc = b->raw ? take_room(room, b->chain, at) :
		    block_build(rd, f, b, at, room);
	*raw = rc ? NULL : framebox_raw(&f->box, b);
	return rc;
}

static int
slot_check(const struct found *it, const struct name *id)
{
	struct frame_chunk ch;

	if (it->place.slot >= it->frame->box.head.chunk_count)
		return fail(ERR_CORRUPT, "it has no slot %u", it->place.slot);
	frame_chunk_at(&it->frame->box.head, it->place.slot, &ch);
	if (name_cmp(&ch.id, id) != 0 || ch.type != it->place.type)
		return fail(ERR_AUTH, "slot %u holds another chunk than the "
		    "index says", it->place.slot);
	return OK;
}

/* On OK the caller takes one pin off out->frame. */
static int
chunk_open(struct reader *rd, const struct name *id, bool base,
    unsigned *room, struct found *out)
{
	struct framebox_spot *spot;
	const uint8_t *raw = NULL;
	struct framebox_block *b;
	struct cursor c;
	int rc;

	memset(out, 0, sizeof(*out));
	if ((rc = index_find(rd->ix, id, &out->place, NULL)) < 0)
		return rc;
	if (rc != FOUND) {
		char hex[NAME_HEX];

		name_hex(id, hex);
		return fail(ERR_ABSENT, "%s%s is not in the index",
		    base ? "its base " : "it", base ? hex : "");
	}
	if ((rc = frame_get(rd, &out->place, &out->frame)))
		return rc;
	if ((rc = fault(slot_check(out, id), &out->place, true)))
		goto out;
	spot = &out->frame->box.spots[out->place.slot];
	b = &out->frame->box.blocks[spot->block];
	if ((rc = block_open(rd, out->frame, b, &out->place, room, &raw)))
		goto out;
	cursor_init(&c, raw, b->raw_len);
	cursor_bytes(&c, spot->off);
	out->p = cursor_bytes(&c, spot->len);
	out->len = spot->len;
	out->chain = b->chain;
	out->spot = spot;
	out->block = b;
out:
	if (rc) {
		out->frame->pins--;
		out->frame = NULL;
	}
	return rc;
}

/* FR-5 */
static int
prove(struct reader *rd, const struct found *it, const struct name *id)
{
	struct name got;

	if (it->spot->proved)
		return OK;
	digest_chunk_id(&got, rd->r->keys->id, it->place.type, it->p, it->len);
	return name_cmp(&got, id) == 0 ? OK : fault(fail(ERR_AUTH, "slot %u "
	    "does not have the content that its id says", it->place.slot),
	    &it->place, true);
}

static int
get(struct reader *rd, const struct name *id, uint8_t type, bool proved,
    struct found *it)
{
	unsigned room = FRAME_DEPTH_MAX;
	char hex[NAME_HEX];
	int rc;

	if (rd->last)
		block_release(rd, rd->last, rd->last_block);
	rd->last = NULL;
	if ((rc = chunk_open(rd, id, false, &room, it)) == OK) {
		it->frame->pins--;
		rd->last = it->frame;
		rd->last_block = it->block;
		rc = proved ? prove(rd, it, id) : OK;
	}
	if (rc == OK && it->place.type != type)
		rc = fail(ERR_CORRUPT, "it is of type %c where %c is expected",
		    it->place.type, type);
	name_hex(id, hex);
	return err_context(rc, "chunk %s", hex);
}

int
reader_get(struct reader *rd, const struct name *id, uint8_t type,
    const uint8_t **p, size_t *len)
{
	struct found it;
	int rc = get(rd, id, type, true, &it);

	*p = rc ? NULL : it.p;
	*len = rc ? 0 : it.len;
	return rc;
}

int
reader_get_unproved(struct reader *rd, const struct name *id, uint8_t type,
    const uint8_t **p, size_t *len)
{
	struct found it;
	int rc = get(rd, id, type, false, &it);

	*p = rc ? NULL : it.p;
	*len = rc ? 0 : it.len;
	return rc;
}

struct repo *
reader_repo(const struct reader *rd)
{
	return rd->r;
}

static int
head_read(struct reader *rd, const struct index_place *place, struct head *h)
{
	size_t len = place->len < HEAD_READ ? place->len : HEAD_READ;
	struct packin *pk = NULL;
	int rc = pack_get(rd, place, &pk);

	if (rc)
		return rc;
	do {
		framebox_clear(&h->box);
		if ((rc = packin_read(pk, rd->r, place->off, (uint32_t)len,
		    &rd->sealed)))
			break;
		rd->stats.bytes_read += len;
		rc = framebox_open_head(&h->box, rd->r, pk, place, &rd->sealed,
		    &len);
	} while (rc == FOUND);
	return fault(rc, place, true);
}

/* The head of a frame that is not cached. */
static int
head_get(struct reader *rd, const struct index_place *place, struct head **out)
{
	struct head *h = &rd->heads[0];
	int rc;

	for (size_t i = 0; i < HEADS; i++) {
		struct head *it = &rd->heads[i];

		if (it->last_use && it->pack_no == place->pack_no &&
		    it->ordinal == place->ordinal) {
			it->last_use = ++rd->tick;
			*out = it;
			return OK;
		}
		if (it->last_use < h->last_use)
			h = it;
	}
	h->last_use = 0;
	if ((rc = head_read(rd, place, h))) {
		framebox_clear(&h->box);
		return rc;
	}
	h->pack_no = place->pack_no;
	h->ordinal = place->ordinal;
	h->last_use = ++rd->tick;
	*out = h;
	return OK;
}

int
reader_bases(struct reader *rd, const struct index_place *place,
    struct reader_bases *out)
{
	struct cached *f = *bucket_of(rd, place->pack_no, place->ordinal);
	const struct framebox_block *found;
	struct head *h = NULL;
	int rc;

	while (f && (f->pack_no != place->pack_no ||
	    f->ordinal != place->ordinal))
		f = f->chain;
	if (!f && (rc = head_get(rd, place, &h)))
		return rc;
	found = framebox_block_of(f ? &f->box : &h->box, place->slot);
	if (!found)
		return fault(fail(ERR_CORRUPT, "it has no slot %u",
		    place->slot), place, true);
	out->count = found->base_count;
	memcpy(out->id, found->base, sizeof(out->id));
	return OK;
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
	frame_iter_init(&it, &f->box.head);
	while (rc == OK && frame_next_block(&it, &b))
		for (uint32_t i = 0; rc == OK && i < b.chunk_count &&
		    frame_next_chunk(&it, &c); i++, ch.slot++) {
			ch = (struct reader_chunk){ .id = c.id, .len = c.len,
			    .slot = ch.slot, .type = c.type, .depth = b.depth,
			    .bases.count = b.base_count };
			memcpy(ch.bases.id, b.base, sizeof(b.base));
			rc = fn(arg, &ch);
		}
	f->pins--;
	return rc;
}

void
reader_copying(struct reader *rd)
{
	rd->copying = true;
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

	if (rc == OK && !f->box.body) {             /* every block was decoded */
		f->pins--;
		evict(rd, f);
		rc = frame_get(rd, at, &f);
	}
	if (rc)
		return rc;
	f->pins--;
	frame_iter_init(&it, &f->box.head);
	cursor_init(&c, f->box.body, f->box.body_len);
	while (frame_next_block(&it, b)) {
		*stored = cursor_bytes(&c, b->stored_len);
		if (slot == at->slot && b->codec == FRAME_DELTA)
			return OK;
		slot += b->chunk_count;
	}
	return fail(ERR_CORRUPT, "slot %u is no delta block", at->slot);
}

void
reader_set_cache(struct reader *rd, size_t cache_bytes)
{
	rd->cache_bytes = cache_bytes;
	trim(rd);
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

int
reader_ahead(struct reader *rd, unsigned jobs)
{
	return rd->ahead ? OK : ahead_new(rd->r, jobs, &rd->ahead);
}

struct reader *
reader_free(struct reader *rd)
{
	if (!rd)
		return NULL;
	while (rd->newest)
		evict(rd, rd->newest);
	ahead_free(rd->ahead);
	for (size_t i = 0; i < PACKS_OPEN; i++)
		packin_close(&rd->packs[i].in, rd->r);
	for (size_t i = 0; i < HEADS; i++)
		framebox_clear(&rd->heads[i].box);
	squeeze_free(rd->sq);
	mem_buf_clear(&rd->sealed);
	mem_buf_clear(&rd->joined);
	free(rd);
	return NULL;
}

const struct reader_stats *
reader_stats(const struct reader *rd)
{
	return &rd->stats;
}
