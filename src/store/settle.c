/*
 * settle: the one operation that changes counts (SPEC PB-4 to PB-6), always under the exclusive lock.
 *
 *     sync what may not be durable -> sweep what the head says is dead -> count -> next head under tmp/ -> publish -> sweep
 *
 * Publishing the head is the only commit.  Nothing is unlinked before the head that declares it dead is durable.
 */
#include "store/settle.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/seal.h"
#include "store/catalogue.h"
#include "store/counts.h"
#include "store/fold.h"
#include "store/graves.h"
#include "store/index.h"
#include "store/index_file.h"
#include "store/parity.h"
#include "store/pins.h"
#include "store/rewrite.h"
#include "store/snapshots.h"
#include "store/sums.h"
#include "store/sweep.h"
#include "store/uncounted.h"

#define READER_CACHE (16u << 20)
#define MOVING_CACHE (32u << 20)        /* versions of one chunk lie in frames all over the packs that are emptied */

/* --------------------------------------------------------------------------------------------------------- count */

/* What one settle does besides absorbing the segments. */
struct settle_step {
	struct graves *collect;         /* forgotten records */
	const struct rewrite_policy *policy;    /* packs to rewrite; NULL: none */
	bool keep;                      /* what dies is left to the next one */
	uint64_t above;                 /* the head's number is greater */
};

struct removes {
	struct indexfile_remove *p;
	size_t count, cap;
};

static int
removes_add(struct removes *l, uint32_t kind, const void *name, size_t len, uint32_t part)
{
	int rc = mem_grow((void **)&l->p, &l->cap, l->count + 1, sizeof(*l->p));

	if (rc)
		return rc;
	l->p[l->count] = (struct indexfile_remove){ .kind = kind, .part = part };
	memcpy(l->p[l->count++].name.b, name, len);
	return OK;
}

static int
removes_cmp(const void *a, const void *b)
{
	const struct indexfile_remove *x = a, *y = b;
	int cmp;

	if (x->kind != y->kind)
		return x->kind < y->kind ? -1 : 1;
	if ((cmp = name_cmp(&x->name, &y->name)))
		return cmp;
	return x->part < y->part ? -1 : x->part > y->part;
}

/* The catalogue gets what the record says; one that cannot be read is not in it. */
static int
note_record(struct catalogue *cat, struct repo *r, const struct name_sid *sid)
{
	struct snapshots_item it;
	int rc = snapshots_read(r, false, sid, &it);

	if (rc == ERR_ABSENT)
		rc = snapshots_read(r, true, sid, &it);
	if (rc == OK) {
		rc = catalogue_add(cat, sid, it.mem, (size_t)it.file_bytes - SNAPREC_HEAD_LEN - SEAL_OVERHEAD);
		snapshots_item_clear(&it);
	}
	return rc == ERR_NOMEM ? rc : OK;
}

/* What a settle knows of records. */
struct records {
	struct catalogue cat;           /* of those absorbed */
	struct recordsum sum;           /* of all that are counted */
	bool known;                     /* is it? */
};

/* A session's root counts if there is a record: under the exclusive lock and after the sync, absence means never committed. */
static int
count_last_part(struct counts *c, const struct indexfile_header *h, struct records *records)
{
	int rc = snapshots_exist(c->repo, &h->sid);

	if (rc != FOUND)
		return rc;
	rc = counts_root(c, &h->root, 1);
	if (rc || !records)
		return rc;
	recordsum_add(&records->sum, &h->sid);
	return note_record(&records->cat, c->repo, &h->sid);
}

/* records may be NULL. */
static int
count_segments(struct counts *c, struct removes *dead, struct records *records, struct settle_stats *stats)
{
	int rc;

	for (size_t i = 0; i < index_segment_count(c->index); i++) {
		struct index_file *f = index_segment_at(c->index, i);
		const struct indexfile_header *h = index_file_header(f);

		if ((rc = counts_absorb(c, f)) ||
		    (rc = removes_add(dead, INDEXFILE_DEAD_SEGMENT, h->sid.b, NAME_SID_LEN, (uint32_t)h->number)))
			return rc;
		stats->segments++;
		stats->rows += h->row_count;
		if ((h->flags & INDEXFILE_LAST_PART) && (rc = count_last_part(c, h, records)))
			return rc;
	}
	return OK;
}

/* A record in snapshots/ is not forgotten, whatever else there is: where a rename is a link and an unlink, a crash may have come
 * between them. */
static int
is_forgotten(struct repo *r, const struct name_sid *sid, struct snapshots_item *it, bool *yes)
{
	char path[64], hex[NAME_SID_HEX];
	uint64_t size;
	int rc;

	name_sid_hex(sid, hex);
	snprintf(path, sizeof(path), "snapshots/%s", hex);
	rc = io_stat(r->io, path, &size);
	*yes = rc == ERR_ABSENT;
	if (!*yes)
		return rc;
	rc = snapshots_read(r, true, sid, it);
	*yes = rc == OK;
	return rc == ERR_ABSENT ? OK : rc;
}

/* Whoever chose the sids had no lock yet: what is not in forgotten/ now was brought back, or collected by somebody else. */
static int
count_collected(struct counts *c, const struct graves *g, struct removes *dead, struct settle_stats *stats)
{
	struct snapshots_item it;
	bool yes;
	int rc;

	for (size_t i = 0; i < g->count; i++) {
		if ((rc = is_forgotten(c->repo, &g->p[i], &it, &yes)))
			return rc;
		if (!yes)
			continue;
		rc = counts_root(c, &it.rec.root, -1);
		snapshots_item_clear(&it);
		if (rc || (rc = removes_add(dead, INDEXFILE_DEAD_RECORD, g->p[i].b, NAME_SID_LEN, 0)))
			return rc;
		stats->snapshots_removed++;
	}
	return OK;
}

static int
dead_packs(struct counts *c, struct removes *dead, struct settle_stats *stats)
{
	int rc;

	for (size_t i = 0; i < c->pack_count; i++)
		if (c->packs[i].row.live_frames == 0) {
			if ((rc = removes_add(dead, INDEXFILE_DEAD_PACK, c->packs[i].row.name.b, NAME_LEN, 0)))
				return rc;
			stats->packs_removed++;
			stats->bytes_dead += c->packs[i].row.bytes;
		}
	return OK;
}

static int
write_head(struct counts *c, const struct removes *dead, struct rewrite *rw, struct records *records, uint64_t number)
{
	char tmp[INDEX_FILE_PATH], path[INDEX_FILE_PATH];
	struct fold_job job = { .number = number, .tmp_path = tmp, .removes = dead->p, .remove_count = dead->count,
		.catalogue = &records->cat, .records = records->known ? &records->sum : NULL };
	struct io *io = c->repo->io;
	struct tablesums sums;
	int rc = sums_now(c, &sums);

	if (rc < 0)
		return rc;
	job.sums = rc == FOUND ? &sums : NULL;
	index_file_table_path(tmp, "tmp", number);
	index_file_table_path(path, "index", number);
	job.published = rewrite_names(rw, &job.published_count);
	if ((rc = fold_write(c, &job)) ||
	    (rc = io_sync_dir(io, "tmp")) ||
	    (rc = rewrite_publish(rw)) ||
	    (rc = io_rename(io, tmp, path)) ||
	    (rc = io_sync_dir(io, "index")))
		return rc;
	parity_keep(c->repo, OBJECTS_INDEX, path);
	return OK;
}

/* What a live node names must be somewhere: a table could not remember the reference, and what is stored again later would be collected. */
static int
check_placed(const struct counts *c)
{
	for (size_t i = 0; i < c->cell_count; i++)
		if (c->cells[i].refs > 0 && c->cells[i].copies == COUNTS_NONE)
			return fail(ERR_CORRUPT, "content of a snapshot is lost: snapshot the same directories again, or give it up with "
			    "'varve repair snapshots'");
	return OK;
}

/* What is collected now counts no more. */
static void
take_dead(struct records *records, const struct removes *dead)
{
	struct name_sid sid;

	for (size_t i = 0; i < dead->count; i++)
		if (dead->p[i].kind == INDEXFILE_DEAD_RECORD) {
			memcpy(sid.b, dead->p[i].name.b, sizeof(sid.b));
			recordsum_take(&records->sum, &sid);
		}
}

/* Only where packs go can something be lost that is not counted: what dies in others is found again by 'repair index'. */
static int
check_records(struct counts *c, const struct removes *dead, struct records *records)
{
	struct recordsum good;
	int rc = uncounted_check(c, &records->cat, dead->p, dead->count, records->known ? &records->sum : NULL, &good);

	if (rc == OK)
		records->sum = good;
	records->known = records->known || rc == OK;
	return rc;
}

/* PB-4 (3) to (5).  FOUND when there is a new head, OK when there was nothing to do. */
static int
next_head(struct repo *r, struct index *ix, const struct settle_step *step, struct settle_stats *stats)
{
	struct removes dead = { 0 };
	struct records records = { .known = false };
	struct rewrite *rw = NULL;
	struct counts c;
	uint64_t gone = stats->packs_removed, had = index_head_number(ix), number = (had > step->above ? had : step->above) + 1;
	int rc;

	counts_init(&c, r, ix, NULL);
	if ((rc = reader_new(r, ix, step->policy ? MOVING_CACHE : READER_CACHE, &c.reader)) ||
	    (rc = uncounted_sum(&c, &records.sum)) < 0)
		goto out;
	records.known = rc == FOUND;
	if ((rc = count_segments(&c, &dead, &records, stats)) ||
	    (rc = count_collected(&c, step->collect, &dead, stats)) ||
	    (rc = counts_acquire(&c)) ||
	    (rc = counts_cascade(&c)) ||
	    (rc = check_placed(&c)))
		goto out;
	if (step->policy && ((rc = check_records(&c, &dead, &records)) ||
	    (rc = rewrite_run(&c, step->policy, &stats->rewrite, &rw))))
		goto out;
	if (dead.count == 0 && !rw)
		goto out;
	if ((rc = dead_packs(&c, &dead, stats)))
		goto out;
	if (!step->policy && stats->packs_removed > gone && (rc = check_records(&c, &dead, &records)))
		goto out;
	take_dead(&records, &dead);
	stats->chunks_removed += c.chunks_removed;
	qsort(dead.p, dead.count, sizeof(*dead.p), removes_cmp);
	for (size_t i = 1; i < dead.count; i++)
		assert(removes_cmp(&dead.p[i - 1], &dead.p[i]) < 0);
	if ((rc = write_head(&c, &dead, rw, &records, number)))
		goto out;
	rc = FOUND;
	stats->head = number;
	stats->nodes_read += c.nodes_read;
out:
	catalogue_clear(&records.cat);
	rewrite_free(rw);
	reader_free(c.reader);
	counts_clear(&c);
	free(dead.p);
	return rc;
}

/* Everything forgotten that nobody pinned; what cannot be read is left. */
static int
gather_collected(struct repo *r, const struct settle_prune *o, struct graves *out)
{
	struct graves pins = { 0 };
	struct snapshots_item it;
	char hex[NAME_SID_HEX];
	size_t n = 0;
	int rc;

	if ((rc = graves_list(r, "forgotten", out)) || (rc = pins_load(r, &pins)))
		goto out;
	for (size_t i = 0; i < out->count; i++) {
		if (pins_have(&pins, &out->p[i]))
			continue;
		rc = snapshots_read(r, true, &out->p[i], &it);
		if (rc == OK) {
			snapshots_item_clear(&it);
			out->p[n++] = out->p[i];
		} else if (rc == ERR_CORRUPT || rc == ERR_AUTH || rc == ERR_UNSUPPORTED) {
			name_sid_hex(&out->p[i], hex);
			if (o->bad)
				o->bad(o->arg, hex);
		} else {
			goto out;
		}
	}
	out->count = n;
	rc = OK;
out:
	free(pins.p);
	return rc;
}

/* A sidecar is not synced when its pack is published: a crash may have taken it.  Those of packs absorbed now are looked at once more. */
static int
keep_parity(struct repo *r, struct index *ix)
{
	struct indexfile_pack p;
	int rc;

	for (size_t i = 0; i < index_segment_count(ix); i++) {
		struct index_file *f = index_segment_at(ix, i);

		for (uint32_t k = 0; k < index_file_header(f)->pack_count; k++) {
			if ((rc = index_file_pack(f, k, &p)))
				return rc;
			parity_keep_pack(r, p.kind, &p.name);
		}
	}
	return OK;
}

static int
settle_locked(struct repo *r, const struct settle_prune *o, struct settle_step *step, struct settle_stats *stats)
{
	struct index *ix;
	int rc;

	if ((rc = index_load(r, &ix)))
		return rc;
	if ((rc = keep_parity(r, ix)))
		goto out;
	if (step->policy && index_segment_count(ix) == 0 &&
	    (rc = rewrite_wanted(r, ix, step->policy, &stats->rewrite)) != FOUND)
		goto out;
	if ((rc = sweep_run(r, ix, true, &stats->bytes_freed)) || (o && (rc = gather_collected(r, o, step->collect))))
		goto out;
	stats->head = index_head_number(ix);
	if ((index_segment_count(ix) == 0 && step->collect->count == 0 && !step->policy) ||
	    (rc = next_head(r, ix, step, stats)) != FOUND)
		goto out;
	rc = OK;
	if (step->keep)
		goto out;
	index_free(ix);
	if ((rc = index_load(r, &ix)))
		return rc;
	rc = sweep_run(r, ix, false, &stats->bytes_freed);
out:
	index_free(ix);
	return rc;
}

/* o: NULL when step->collect is given. */
static int
settle(struct repo *r, const struct settle_prune *o, struct settle_step *step, bool wait, struct settle_stats *stats)
{
	int rc, rc2;

	if (r->read_only)
		return fail(ERR_UNSUPPORTED, "this repository has features this version of varve may read but not write");
	if ((rc = io_lock(r->io, IO_EXCLUSIVE, wait)))
		return rc;
	parity_forget(r);
	rc = settle_locked(r, o, step, stats);
	rc2 = io_lock(r->io, IO_UNLOCKED, false);
	return rc ? rc : rc2;
}

int
settle_run(struct repo *r, const struct name_sid *collect, size_t collect_count, bool wait, struct settle_stats *stats)
{
	/* Only read. */
	struct graves g = { .p = (struct name_sid *)(uintptr_t)collect, .count = collect_count };
	struct settle_step step = { .collect = &g };

	*stats = (struct settle_stats){ 0 };
	return settle(r, NULL, &step, wait, stats);
}

int
settle_count(struct repo *r, uint64_t above, struct settle_stats *stats)
{
	struct graves none = { 0 };
	struct settle_step step = { .collect = &none, .keep = true, .above = above };

	return settle(r, NULL, &step, true, stats);
}

int
settle_collect(struct repo *r, const struct settle_prune *o, struct settle_stats *stats)
{
	struct graves g = { 0 };
	struct settle_step step = { .collect = &g };
	int rc = settle(r, o, &step, o->wait, stats);

	free(g.p);
	return rc;
}

int
settle_rewrite(struct repo *r, const struct rewrite_policy *policy, bool wait, struct settle_stats *stats)
{
	struct graves none = { 0 };
	struct settle_step step = { .collect = &none, .policy = policy };

	return settle(r, NULL, &step, wait, stats);
}

/* ------------------------------------------------------------------------------------------------------- preview */

/* Of the packs touched: bytes of dead ones, and dead bytes of the others. */
static void
dead_bytes(const struct counts *c, struct settle_preview *s)
{
	s->packs = s->bytes_freed = s->bytes_unused = 0;
	s->chunks = c->chunks_removed;
	for (size_t i = 0; i < c->pack_count; i++) {
		const struct indexfile_pack *p = &c->packs[i].row;

		if (p->live_frames == 0) {
			s->packs++;
			s->bytes_freed += p->bytes;
		} else {
			s->bytes_unused += c->packs[i].dropped;
		}
	}
}

static int
preview_roots(struct counts *c, const struct name_sid *sids, size_t count)
{
	struct snapshots_item it;
	int rc;

	for (size_t i = 0; i < count; i++) {
		rc = snapshots_read(c->repo, false, &sids[i], &it);
		if (rc == ERR_ABSENT)
			rc = snapshots_read(c->repo, true, &sids[i], &it);
		if (rc)
			return rc;
		rc = counts_root(c, &it.rec.root, -1);
		snapshots_item_clear(&it);
		if (rc)
			return rc;
	}
	return OK;
}

int
settle_preview(struct repo *r, const struct name_sid *sids, size_t count, struct settle_preview *out)
{
	struct settle_preview before, after;
	struct settle_stats ignored = { 0 };
	struct removes dead = { 0 };
	struct index *ix = NULL;
	struct counts c = { 0 };
	int rc;

	*out = (struct settle_preview){ 0 };
	if ((rc = index_load(r, &ix)))
		return rc;
	counts_init(&c, r, ix, NULL);
	/* What dies without these snapshots, and what with them: garbage of others is not theirs. */
	if ((rc = reader_new(r, ix, READER_CACHE, &c.reader)) ||
	    (rc = count_segments(&c, &dead, NULL, &ignored)) ||
	    (rc = counts_acquire(&c)) ||
	    (rc = counts_cascade(&c)))
		goto out;
	dead_bytes(&c, &before);
	if ((rc = preview_roots(&c, sids, count)) || (rc = counts_cascade(&c)))
		goto out;
	dead_bytes(&c, &after);
	out->chunks = after.chunks - before.chunks;
	out->packs = after.packs - before.packs;
	out->bytes_freed = after.bytes_freed - before.bytes_freed;
	out->bytes_unused = after.bytes_unused > before.bytes_unused ? after.bytes_unused - before.bytes_unused : 0;
out:
	reader_free(c.reader);
	counts_clear(&c);
	free(dead.p);
	index_free(ix);
	return rc;
}
