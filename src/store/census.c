/*
 * census: a merge of sorted rows.
 *
 *     packs, frames   newest file first: the first row met is the one that holds (IX-6)
 *     rows            all files side by side, least id first; of the tables the newest row holds, each segment adds a copy
 *
 * Frame `ordinal` of pack p is frames[packs[p].first + ordinal], so that the number of a frame says which pack it is in.
 */
#include "store/census.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "store/index_file.h"

struct source {
	struct index_file *f;
	bool table;
	uint32_t *frame;                /* row of its frame table -> number */
	uint64_t next, count;           /* rows */
	struct indexfile_row row;       /* the one at hand */
	bool has_row;
};

struct load {
	struct repo *r;
	struct index *ix;
	struct census *c;
	struct source *src;             /* tables newest first, then segments */
	size_t count;
	uint32_t *by_number;            /* the index's number of a pack -> packs[], plus 1 */
	size_t by_number_cap;
};

void
census_add(int32_t *counter, int32_t n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

uint32_t
census_wait(uint32_t *counter, int n)
{
	return __atomic_add_fetch(counter, (uint32_t)n, __ATOMIC_RELAXED);
}

uint16_t
census_flags(const struct census_cell *cell)
{
	return __atomic_load_n(&cell->flags, __ATOMIC_RELAXED);
}

void
census_mark(struct census_cell *cell, enum census_flag flag)
{
	__atomic_fetch_or(&cell->flags, (uint16_t)flag, __ATOMIC_RELAXED);
}

/* ---- packs and frames ---- */

static int
add_pack(struct load *l, struct source *s, const struct indexfile_pack *p, uint32_t *no)
{
	struct census *c = l->c;
	struct census_pack *out;
	size_t old = l->by_number_cap;
	uint32_t number;
	int rc;

	if ((rc = index_pack_number(l->ix, p, &number)) ||
	    (rc = mem_grow((void **)&l->by_number, &l->by_number_cap, number + 1u, sizeof(*l->by_number))))
		return rc;
	memset(l->by_number + old, 0, (l->by_number_cap - old) * sizeof(*l->by_number));
	if (!l->by_number[number]) {
		out = &c->packs[c->pack_count++];
		*out = (struct census_pack){ .name = p->name, .bytes = p->bytes, .frames = p->frames, .kind = p->kind,
			.live_frames = p->live_frames, .dead = p->live_frames == 0, .fresh = !s->table };
		if (!out->dead) {
			if ((rc = index_pack_there(l->ix, number)) < 0)
				return rc;
			out->gone = rc != FOUND;
		}
		l->by_number[number] = (uint32_t)c->pack_count;
	}
	*no = l->by_number[number] - 1;
	return OK;
}

static int
check_pack(const struct source *s, uint32_t i, const struct indexfile_pack *p, struct name *last)
{
	(void)s;
	if (i > 0 && name_cmp(last, &p->name) >= 0)
		return fail(ERR_CORRUPT, "packs of an index file are not in order");
	*last = p->name;
	if (p->frames == 0 || p->frames > 65535 || p->live_frames > p->frames || p->live_bytes > p->bytes)
		return fail(ERR_CORRUPT, "a pack of an index file has impossible counts");
	return OK;
}

/* packs: of this file, its row -> packs[]. */
static int
load_frames(struct load *l, struct source *s, const uint32_t *packs)
{
	const struct indexfile_header *h = index_file_header(s->f);
	struct indexfile_frame fr, last = { 0 };
	struct census *c = l->c;
	int rc;

	if ((rc = mem_new((void **)&s->frame, mem_array(h->frame_count + 1u, sizeof(*s->frame)))))
		return rc;
	for (uint32_t i = 0; i < h->frame_count; i++, last = fr) {
		struct census_pack *p;
		struct census_frame *out;

		if ((rc = index_file_frame(s->f, i, &fr)))
			return rc;
		if (fr.pack >= h->pack_count ||
		    (i > 0 && (fr.pack < last.pack || (fr.pack == last.pack && fr.ordinal <= last.ordinal))))
			return fail(ERR_CORRUPT, "frames of an index file are not in order");
		p = &c->packs[packs[fr.pack]];
		if (fr.ordinal >= p->frames || (uint64_t)fr.off + fr.len > p->bytes || fr.live > fr.chunks)
			return fail(ERR_CORRUPT, "a frame of an index file lies outside of its pack");
		s->frame[i] = p->first + fr.ordinal;
		out = &c->frames[s->frame[i]];
		if (!out->known)
			*out = (struct census_frame){ .off = fr.off, .len = fr.len, .chunks = fr.chunks, .live = fr.live,
				.known = true };
	}
	return OK;
}

static int
load_packs(struct load *l)
{
	struct indexfile_pack p;
	struct census *c = l->c;
	uint64_t packs = 0, frames = 0, at = 0;
	uint32_t *rows = NULL;
	struct name last;
	int rc;

	for (size_t i = 0; i < l->count; i++)
		packs += index_file_header(l->src[i].f)->pack_count;
	if ((rc = mem_new((void **)&c->packs, mem_array(packs + 1, sizeof(*c->packs)))) ||
	    (rc = mem_new((void **)&rows, mem_array(packs + 1, sizeof(*rows)))))
		return rc;
	for (size_t i = 0; rc == OK && i < l->count; i++)
		for (uint32_t k = 0; rc == OK && k < index_file_header(l->src[i].f)->pack_count; k++)
			if ((rc = index_file_pack(l->src[i].f, k, &p)) == OK &&
			    (rc = check_pack(&l->src[i], k, &p, &last)) == OK)
				rc = add_pack(l, &l->src[i], &p, &rows[at++]);
	for (size_t i = 0; i < c->pack_count; i++) {
		c->packs[i].first = (uint32_t)frames;
		frames += c->packs[i].frames;
	}
	if (rc == OK && frames >= CENSUS_NONE)
		rc = fail(ERR_FAILED, "more frames than can be counted");
	if (rc == OK)
		rc = mem_new((void **)&c->frames, mem_array(frames + 1, sizeof(*c->frames)));
	c->frame_count = (size_t)frames;
	at = 0;
	for (size_t i = 0; rc == OK && i < l->count; i++) {
		rc = load_frames(l, &l->src[i], rows + at);
		at += index_file_header(l->src[i].f)->pack_count;
	}
	free(rows);
	return rc;
}

/* ---- rows ---- */

static int
advance(struct source *s)
{
	struct name last = s->row.id;
	bool first = s->next == 0;
	int rc;

	s->has_row = s->next < s->count;
	if (!s->has_row)
		return OK;
	if ((rc = index_file_row(s->f, s->next++, &s->row)))
		return rc;
	if (!first && name_cmp(&last, &s->row.id) >= 0)
		return fail(ERR_CORRUPT, "rows of an index file are not in order");
	if (s->row.frame != INDEXFILE_NO_FRAME && s->row.frame >= index_file_header(s->f)->frame_count)
		return fail(ERR_CORRUPT, "a row of an index file names no frame");
	return OK;
}

/* The frame that a row places its chunk in. */
static int
frame_of(const struct load *l, const struct source *s, uint32_t *frame)
{
	const struct census_frame *f;

	*frame = s->frame[s->row.frame];
	f = &l->c->frames[*frame];
	if (s->row.slot >= f->chunks)
		return fail(ERR_CORRUPT, "a row of an index file places a chunk outside of its frame");
	return OK;
}

struct best {
	bool any, there;
	uint8_t depth;
};

/* As index_find chooses: one whose pack is there, then the least deep, then the newest. */
static void
offer(struct load *l, struct census_cell *cell, struct best *b, const struct source *s, uint32_t frame)
{
	bool there = !l->c->packs[census_pack_of(l->c, frame)].gone;

	if (b->any && (there == b->there ? s->row.depth > b->depth : b->there))
		return;
	*b = (struct best){ .any = true, .there = there, .depth = s->row.depth };
	cell->frame = frame;
	cell->slot = s->row.slot;
	cell->type = s->row.type;
}

static int
count_table_row(const struct source *s, struct census_cell *cell)
{
	if (s->row.refs > INT32_MAX || s->row.uses > INT32_MAX)
		return fail(ERR_CORRUPT, "a chunk is counted more often than there can be chunks");
	cell->table_refs = s->row.refs;
	cell->refs = -(int32_t)s->row.refs;
	cell->uses = -(int32_t)s->row.uses;
	cell->flags |= (uint16_t)((s->row.refs ? CENSUS_LIVE : 0) | (s->row.uses ? CENSUS_USED : 0));
	return OK;
}

/* All rows with the id that stands in `cell`. */
static int
merge(struct load *l, struct census_cell *cell)
{
	struct best b = { .any = false };
	bool settled = false;
	uint32_t frame;
	int rc = OK;

	for (size_t i = 0; rc == OK && i < l->count; i++) {
		struct source *s = &l->src[i];

		if (!s->has_row || name_cmp(&s->row.id, &cell->id) != 0)
			continue;
		if (s->table && !settled) {
			settled = true;
			rc = count_table_row(s, cell);
			cell->type = b.any ? cell->type : s->row.type;
			if (rc == OK && s->row.frame != INDEXFILE_NO_FRAME && (rc = frame_of(l, s, &frame)) == OK) {
				cell->table_frame = frame;
				cell->table_slot = s->row.slot;
				if (s->row.refs || s->row.uses)
					l->c->frames[frame].found_live++;
				offer(l, cell, &b, s, frame);
			}
		} else if (!s->table) {
			if (!b.any && !settled)
				cell->type = s->row.type;
			if (s->row.frame != INDEXFILE_NO_FRAME && (rc = frame_of(l, s, &frame)) == OK) {
				cell->flags |= CENSUS_FRESH;
				offer(l, cell, &b, s, frame);
			}
		}
		if (rc == OK)
			rc = advance(s);
	}
	if (rc == OK && cell->frame != CENSUS_NONE) {
		l->c->frames[cell->frame].placed++;
		if (b.depth)
			l->c->packs[census_pack_of(l->c, cell->frame)].differences = true;
	}
	return rc;
}

/* The least id of all rows at hand; false at the end. */
static bool
least(const struct load *l, struct name *id)
{
	const struct name *best = NULL;

	for (size_t i = 0; i < l->count; i++)
		if (l->src[i].has_row && (!best || name_cmp(&l->src[i].row.id, best) < 0))
			best = &l->src[i].row.id;
	if (best)
		*id = *best;
	return best != NULL;
}

static int
load_rows(struct load *l)
{
	struct census *c = l->c;
	struct name id;
	int rc = OK;

	for (size_t i = 0; rc == OK && i < l->count; i++) {
		l->src[i].count = index_file_header(l->src[i].f)->row_count;
		rc = advance(&l->src[i]);
	}
	while (rc == OK && least(l, &id)) {
		if (c->cell_count >= CENSUS_NONE - 1)
			return fail(ERR_FAILED, "more chunks than can be counted");
		if ((rc = mem_grow((void **)&c->cells, &c->cell_cap, c->cell_count + 1, sizeof(*c->cells))))
			return rc;
		c->cells[c->cell_count] = (struct census_cell){ .id = id, .frame = CENSUS_NONE, .table_frame = CENSUS_NONE };
		rc = merge(l, &c->cells[c->cell_count++]);
	}
	return rc;
}

static int
build_fanout(struct census *c)
{
	size_t at = 0, buckets;
	int rc;

	c->bits = indexfile_fanout_bits(c->cell_count);
	c->bits += c->bits < 29 ? 3 : 0;        /* eight cells in a bucket */
	buckets = (size_t)1 << c->bits;
	if ((rc = mem_new((void **)&c->fanout, mem_array(buckets + 1, sizeof(*c->fanout)))))
		return rc;
	for (size_t b = 0; b < buckets; b++) {
		while (at < c->cell_count && indexfile_bucket(&c->cells[at].id, c->bits) <= b)
			at++;
		c->fanout[b + 1] = (uint32_t)at;
	}
	return OK;
}

/* ---- both ---- */

static int
open_sources(struct load *l)
{
	size_t tables = index_table_count(l->ix);
	int rc;

	l->count = tables + index_segment_count(l->ix);
	if ((rc = mem_new((void **)&l->src, mem_array(l->count + 1, sizeof(*l->src)))))
		return rc;
	for (size_t i = 0; rc == OK && i < l->count; i++) {
		struct source *s = &l->src[i];

		s->table = i < tables;
		s->f = s->table ? index_table_at(l->ix, i) : index_segment_at(l->ix, i - tables);
		rc = index_file_prove(s->f);
	}
	return rc;
}

int
census_load(struct repo *r, struct index *ix, struct census *out)
{
	struct load l = { .r = r, .ix = ix, .c = out };
	int rc;

	*out = (struct census){ 0 };
	if ((rc = open_sources(&l)) == OK && (rc = load_packs(&l)) == OK && (rc = load_rows(&l)) == OK)
		rc = build_fanout(out);
	out->files = l.count;
	for (size_t i = 0; l.src && i < l.count; i++)
		free(l.src[i].frame);
	free(l.src);
	free(l.by_number);
	if (rc)
		census_clear(out);
	return rc;
}

void
census_clear(struct census *c)
{
	free(c->cells);
	free(c->fanout);
	free(c->frames);
	free(c->packs);
	*c = (struct census){ 0 };
}

uint32_t
census_find(const struct census *c, const struct name *id)
{
	uint32_t b = indexfile_bucket(id, c->bits), lo = c->fanout[b], hi = c->fanout[b + 1], mid;
	int cmp;

	while (lo < hi) {
		mid = lo + (hi - lo) / 2;
		cmp = name_cmp(id, &c->cells[mid].id);
		if (cmp == 0)
			return mid;
		if (cmp < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return CENSUS_NONE;
}

uint32_t
census_pack_of(const struct census *c, uint32_t frame)
{
	size_t lo = 0, hi = c->pack_count, mid;

	while (hi - lo > 1) {
		mid = lo + (hi - lo) / 2;
		if (c->packs[mid].first <= frame)
			lo = mid;
		else
			hi = mid;
	}
	return (uint32_t)lo;
}
