/*
 * fold: a merge of sorted sources, newest first: source 0 is what was counted, the others are absorbed tables.
 *
 * Packs and frames are merged in memory first (a frame row stands for about a hundred chunks), which gives every source a map from
 * its frame numbers to the new table's.  Rows are then streamed.  Rows of dead things are tombstones, dropped when no table is kept
 * underneath.
 */
#include "store/fold.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "store/index_file.h"
#include "store/indexbuild.h"

struct pack_row {
	struct indexfile_pack row;
	uint32_t source;                /* 0 is the newest */
};

struct frame_row {
	struct indexfile_frame row;     /* .pack: of the new table */
	uint32_t source, number;        /* where it came from */
};

struct source {
	struct index_file *f;           /* NULL for source 0 */
	uint32_t *pack_map;             /* its pack row -> new pack row */
	uint32_t *frame_map;            /* its frame row -> new frame row, or INDEXFILE_NO_FRAME when dropped */
	uint32_t pack_count, frame_count;
	uint64_t row_count, next;       /* next row to read */
	struct indexfile_row row;       /* current */
	bool at_end;
};

struct fold {
	struct counts *c;
	struct source *src;
	uint32_t src_count;
	bool bottom;                    /* no table is kept underneath */
	struct pack_row *packs;
	size_t pack_count, pack_cap;
	struct frame_row *frames;
	size_t frame_count, frame_cap;
	uint32_t *order;                /* cells of source 0 by id, only those that get a row */
	size_t order_count;
};

/* ---------------------------------------------------------------------------------------------- packs and frames */

static int
pack_cmp(const void *a, const void *b)
{
	const struct pack_row *x = a, *y = b;
	int cmp = name_cmp(&x->row.name, &y->row.name);

	return cmp ? cmp : x->source < y->source ? -1 : x->source > y->source;
}

static int
frame_cmp(const void *a, const void *b)
{
	const struct frame_row *x = a, *y = b;

	if (x->row.pack != y->row.pack)
		return x->row.pack < y->row.pack ? -1 : 1;
	if (x->row.ordinal != y->row.ordinal)
		return x->row.ordinal < y->row.ordinal ? -1 : 1;
	return x->source < y->source ? -1 : x->source > y->source;
}

static int
gather_packs(struct fold *f)
{
	struct pack_row p;
	int rc;

	for (p.source = 0; p.source < f->src_count; p.source++)
		for (uint32_t i = 0; i < f->src[p.source].pack_count; i++) {
			rc = OK;
			if (p.source == 0)
				p.row = f->c->packs[i].row;
			else
				rc = index_file_pack(f->src[p.source].f, i, &p.row);
			if (rc || (rc = mem_grow((void **)&f->packs, &f->pack_cap, f->pack_count + 1, sizeof(*f->packs))))
				return rc;
			f->packs[f->pack_count++] = p;
		}
	if (f->pack_count)
		qsort(f->packs, f->pack_count, sizeof(*f->packs), pack_cmp);
	return OK;
}

/* Keep the newest row of each pack; drop dead packs at the bottom. */
static void
merge_packs(struct fold *f)
{
	size_t n = 0;

	for (size_t i = 0; i < f->pack_count; i++) {
		if (i > 0 && name_cmp(&f->packs[i].row.name, &f->packs[i - 1].row.name) == 0)
			continue;
		if (f->bottom && f->packs[i].row.live_frames == 0)
			continue;
		f->packs[n++] = f->packs[i];
	}
	f->pack_count = n;
}

static uint32_t
pack_find(const struct fold *f, const struct name *name)
{
	size_t lo = 0, hi = f->pack_count, mid;
	int cmp;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		cmp = name_cmp(name, &f->packs[mid].row.name);
		if (cmp == 0)
			return (uint32_t)mid;
		if (cmp < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return INDEXFILE_NO_FRAME;
}

static int
map_packs(struct fold *f)
{
	struct indexfile_pack p;
	int rc;

	for (uint32_t s = 0; s < f->src_count; s++) {
		struct source *src = &f->src[s];

		if ((rc = mem_new((void **)&src->pack_map, mem_array(src->pack_count, sizeof(uint32_t)))) ||
		    (rc = mem_new((void **)&src->frame_map, mem_array(src->frame_count, sizeof(uint32_t)))))
			return rc;
		memset(src->frame_map, 0xff, src->frame_count * sizeof(uint32_t));
		for (uint32_t i = 0; i < src->pack_count; i++) {
			if (s == 0)
				p = f->c->packs[i].row;
			else if ((rc = index_file_pack(src->f, i, &p)))
				return rc;
			src->pack_map[i] = pack_find(f, &p.name);
		}
	}
	return OK;
}

static int
gather_frames(struct fold *f)
{
	struct frame_row r;
	int rc;

	for (r.source = 0; r.source < f->src_count; r.source++) {
		struct source *src = &f->src[r.source];

		for (r.number = 0; r.number < src->frame_count; r.number++) {
			if (r.source == 0)
				r.row = f->c->frames[r.number].row;
			else if ((rc = index_file_frame(src->f, r.number, &r.row)))
				return rc;
			if (r.row.pack >= src->pack_count)
				return fail(ERR_CORRUPT, "a table names a pack it does not have");
			r.row.pack = src->pack_map[r.row.pack];
			if (r.row.pack == INDEXFILE_NO_FRAME)
				continue;
			if ((rc = mem_grow((void **)&f->frames, &f->frame_cap, f->frame_count + 1, sizeof(*f->frames))))
				return rc;
			f->frames[f->frame_count++] = r;
		}
	}
	if (f->frame_count)
		qsort(f->frames, f->frame_count, sizeof(*f->frames), frame_cmp);
	return OK;
}

static bool
same_frame(const struct frame_row *a, const struct frame_row *b)
{
	return a->row.pack == b->row.pack && a->row.ordinal == b->row.ordinal;
}

/* Keep the newest row of each frame, and map the frames of every source to it; at the bottom drop dead ones, which no row names. */
static void
merge_frames(struct fold *f)
{
	size_t n = 0, end;
	struct frame_row newest;

	for (size_t i = 0; i < f->frame_count; i = end) {
		newest = f->frames[i];
		for (end = i + 1; end < f->frame_count && same_frame(&newest, &f->frames[end]); end++)
			;
		if (f->bottom && newest.row.live == 0)
			continue;
		for (size_t k = i; k < end; k++)
			f->src[f->frames[k].source].frame_map[f->frames[k].number] = (uint32_t)n;
		f->frames[n++] = newest;
	}
	f->frame_count = n;
}

/* -------------------------------------------------------------------------------------------------------- rows */

static int
cell_cmp(const void *a, const void *b, void *arg)
{
	const struct counts *c = arg;

	return name_cmp(&c->cells[*(const uint32_t *)a].id, &c->cells[*(const uint32_t *)b].id);
}

/* Cells that get a row: those with a copy, and those that a table must be told are gone. */
static int
order_cells(struct fold *f)
{
	struct counts *c = f->c;
	int rc = mem_new((void **)&f->order, mem_array(c->cell_count, sizeof(uint32_t)));

	if (rc)
		return rc;
	for (size_t i = 0; i < c->cell_count; i++)
		if (c->cells[i].copies != COUNTS_NONE || c->cells[i].known)
			f->order[f->order_count++] = (uint32_t)i;
	qsort_r(f->order, f->order_count, sizeof(uint32_t), cell_cmp, c);
	return OK;
}

static void
cell_row(const struct fold *f, const struct counts_cell *cell, struct indexfile_row *row)
{
	const struct counts_copy *copy;

	*row = (struct indexfile_row){ .id = cell->id, .type = cell->type, .frame = INDEXFILE_NO_FRAME };
	if (cell->copies == COUNTS_NONE)
		return;
	copy = &f->c->copies[cell->copies];
	row->refs = cell->refs > UINT32_MAX ? UINT32_MAX : (uint32_t)cell->refs;
	row->uses = cell->uses > UINT32_MAX ? UINT32_MAX : (uint32_t)cell->uses;
	row->frame = copy->frame;
	row->slot = copy->slot;
	row->depth = copy->depth;
}

static int
advance(struct fold *f, uint32_t s)
{
	struct source *src = &f->src[s];
	int rc = OK;

	if (src->next >= src->row_count) {
		src->at_end = true;
		return OK;
	}
	if (s == 0)
		cell_row(f, &f->c->cells[f->order[src->next]], &src->row);
	else
		rc = index_file_row(src->f, src->next, &src->row);
	src->next++;
	return rc;
}

static int
put_row(struct fold *f, struct indexbuild *b, uint32_t s)
{
	struct indexfile_row row = f->src[s].row;

	if (row.frame == INDEXFILE_NO_FRAME)
		return f->bottom ? OK : indexbuild_row(b, &row);
	if (row.frame >= f->src[s].frame_count || f->src[s].frame_map[row.frame] == INDEXFILE_NO_FRAME)
		return fail(ERR_CORRUPT, "a table places a live chunk in a dead frame");
	row.frame = f->src[s].frame_map[row.frame];
	return indexbuild_row(b, &row);
}

static int
stream_rows(struct fold *f, struct indexbuild *b)
{
	uint32_t best;
	struct name id;
	int rc;

	for (uint32_t s = 0; s < f->src_count; s++)
		if ((rc = advance(f, s)))
			return rc;
	for (;;) {
		best = f->src_count;
		for (uint32_t s = 0; s < f->src_count; s++)
			if (!f->src[s].at_end && (best == f->src_count ||
			    name_cmp(&f->src[s].row.id, &f->src[best].row.id) < 0))
				best = s;
		if (best == f->src_count)
			return OK;
		id = f->src[best].row.id;
		if ((rc = put_row(f, b, best)))
			return rc;
		for (uint32_t s = 0; s < f->src_count; s++)
			if (!f->src[s].at_end && name_cmp(&f->src[s].row.id, &id) == 0 && (rc = advance(f, s)))
				return rc;
	}
}

/* ------------------------------------------------------------------------------------------------------ the whole */

static int
choose_sources(struct fold *f)
{
	size_t tables = index_table_count(f->c->index);
	uint64_t rows = f->order_count;
	int rc = mem_new((void **)&f->src, mem_array(tables + 1, sizeof(*f->src)));

	if (rc)
		return rc;
	f->src[0] = (struct source){ .pack_count = (uint32_t)f->c->pack_count, .frame_count = (uint32_t)f->c->frame_count,
		.row_count = f->order_count };
	f->src_count = 1;
	for (size_t i = 0; i < tables; i++) {
		struct index_file *t = index_table_at(f->c->index, i);
		const struct indexfile_header *h = index_file_header(t);

		if (h->row_count > 2 * rows)
			break;
		rows += h->row_count;
		f->src[f->src_count++] = (struct source){ .f = t, .pack_count = h->pack_count, .frame_count = h->frame_count,
			.row_count = h->row_count };
	}
	f->bottom = f->src_count - 1 == tables;
	return OK;
}

static int
put_all(struct fold *f, struct indexbuild *b, const struct indexfile_remove *removes, size_t remove_count)
{
	int rc;

	for (size_t i = f->src_count - 1; i < index_table_count(f->c->index); i++)
		if ((rc = indexbuild_keep(b, index_file_header(index_table_at(f->c->index, i))->number)))
			return rc;
	for (size_t i = 0; i < remove_count; i++)
		if ((rc = indexbuild_remove(b, &removes[i])))
			return rc;
	for (size_t i = 0; i < f->pack_count; i++)
		if ((rc = indexbuild_pack(b, &f->packs[i].row)))
			return rc;
	for (size_t i = 0; i < f->frame_count; i++)
		if ((rc = indexbuild_frame(b, &f->frames[i].row)))
			return rc;
	return stream_rows(f, b);
}

/* The catalogue's extension record: what was absorbed now, and what the folded tables have. */
static int
make_catalogue(const struct fold *f, const struct fold_job *job, struct mem_buf *out)
{
	struct repo *r = f->c->repo;
	int rc = OK;

	for (uint32_t s = 1; rc == OK && s < f->src_count; s++) {
		rc = catalogue_read(job->catalogue, r, f->src[s].f);
		if (err_is_damage(rc))
			rc = OK;                /* its records are opened one by one */
	}
	if (rc || (rc = catalogue_drop(job->catalogue, r, job->removes, job->remove_count)))
		return rc;
	return catalogue_seal(job->catalogue, r, job->number, out);
}

static void
fold_clear(struct fold *f)
{
	for (uint32_t i = 0; i < f->src_count; i++) {
		free(f->src[i].pack_map);
		free(f->src[i].frame_map);
	}
	free(f->src);
	free(f->packs);
	free(f->frames);
	free(f->order);
}

int
fold_write(struct counts *c, const struct fold_job *job)
{
	struct indexfile_header h = { .kind = INDEXFILE_TABLE, .number = job->number };
	struct fold f = { .c = c };
	struct indexbuild *b = NULL;
	struct mem_buf catalogue = { 0 };
	uint8_t sums[TABLESUMS_LEN], records[RECORDSUM_LEN];
	uint64_t rows = 0, len;
	int rc;

	if ((rc = order_cells(&f)) || (rc = choose_sources(&f)) || (rc = gather_packs(&f)))
		goto out;
	merge_packs(&f);
	if ((rc = map_packs(&f)) || (rc = gather_frames(&f)))
		goto out;
	merge_frames(&f);
	if ((rc = make_catalogue(&f, job, &catalogue)))
		goto out;
	for (uint32_t i = 0; i < f.src_count; i++)
		rows += f.src[i].row_count;
	if ((rc = indexbuild_begin(c->repo, job->tmp_path, &h, rows, &b)))
		goto out;
	rc = put_all(&f, b, job->removes, job->remove_count);
	indexbuild_extra(b, INDEXFILE_PUBLISHED, job->published, job->published_count * NAME_LEN);
	if (job->sums)
		indexbuild_extra(b, INDEXFILE_SUMS, sums, tablesums_encode(sums, sizeof(sums), job->sums));
	indexbuild_extra(b, INDEXFILE_CATALOGUE, catalogue.p, catalogue.len);
	if (job->records)
		indexbuild_extra(b, INDEXFILE_RECORDS, records, recordsum_encode(records, sizeof(records), job->records));
	if (rc)
		indexbuild_abort(b);
	else
		rc = indexbuild_end(b, &len);
out:
	mem_buf_clear(&catalogue);
	fold_clear(&f);
	return rc;
}
