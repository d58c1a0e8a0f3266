/*
 * settle: the one operation that changes counts (SPEC PB-4 to PB-6), always under the exclusive lock.
 *
 *     sync what may not be durable -> sweep what the head says is dead -> count -> next head under tmp/ -> publish -> sweep
 *
 * Publishing the head is the only commit.  Nothing is unlinked before the head that declares it dead is durable.
 */
#include "store/settle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "store/counts.h"
#include "store/fold.h"
#include "store/graves.h"
#include "store/index.h"
#include "store/index_file.h"
#include "store/pins.h"
#include "store/snapshots.h"

#define READER_CACHE (16u << 20)

struct names {
	char (*name)[INDEX_FILE_PATH];
	size_t count, cap;
};

static int
names_add(void *arg, const char *name)
{
	struct names *n = arg;
	int rc;

	if (strlen(name) >= INDEX_FILE_PATH - 8)
		return OK;              /* not one of ours */
	if ((rc = mem_grow((void **)&n->name, &n->cap, n->count + 1, sizeof(*n->name))))
		return rc;
	memcpy(n->name[n->count++], name, strlen(name) + 1);
	return OK;
}

static void
pack_path(char out[static 128], const struct name *name)
{
	char hex[NAME_HEX];

	name_hex(name, hex);
	snprintf(out, 128, "packs/%.2s/%s", hex, hex);
}

/* --------------------------------------------------------------------------------------------------------- sweep */

struct sweep {
	struct repo *r;
	struct index *ix;
	struct names tmp;
	struct name *packs;             /* named in the head's remove list, or by an intent in tmp/ */
	size_t pack_count, pack_cap;
	bool unlinked;
};

static int
sweep_pack(struct sweep *s, const struct name *name)
{
	int rc = mem_grow((void **)&s->packs, &s->pack_cap, s->pack_count + 1, sizeof(*s->packs));

	if (rc == OK)
		s->packs[s->pack_count++] = *name;
	return rc;
}

/* Packs that a complete segment in tmp/ names and that were not published with it. */
static int
intent_packs(struct sweep *s, const char *name)
{
	char path[INDEX_FILE_PATH];
	struct indexfile_pack p;
	struct name_sid sid;
	struct index_file *f;
	uint64_t size;
	uint32_t part;
	int rc;

	if (!index_file_parse_segment(name, &sid, &part))
		return OK;
	snprintf(path, sizeof(path), "index/%.48s", name);
	rc = io_stat(s->r->io, path, &size);
	if (rc != ERR_ABSENT)
		return rc;              /* published: its packs are not ours to remove */
	snprintf(path, sizeof(path), "tmp/%.48s", name);
	rc = index_file_open(s->r, path, &f);
	if (rc == ERR_CORRUPT || rc == ERR_AUTH || rc == ERR_ABSENT || rc == ERR_UNSUPPORTED)
		return OK;              /* incomplete: it was not synced, so no pack of it was renamed (PB-2) */
	if (rc)
		return rc;
	for (uint32_t i = 0; rc == OK && i < index_file_header(f)->pack_count; i++) {
		if ((rc = index_file_pack(f, i, &p)) == OK)
			rc = sweep_pack(s, &p.name);
	}
	index_file_close(f);
	return rc == ERR_CORRUPT || rc == ERR_AUTH ? OK : rc;
}

static int
sweep_gather(struct sweep *s)
{
	struct indexfile_remove rm;
	struct index_file *head;
	int rc;

	if ((rc = io_list(s->r->io, "tmp", names_add, &s->tmp)))
		return rc;
	for (size_t i = 0; i < s->tmp.count; i++)
		if ((rc = intent_packs(s, s->tmp.name[i])))
			return rc;
	if (!index_table_count(s->ix))
		return OK;
	head = index_table_at(s->ix, 0);
	for (uint32_t i = 0; i < index_file_header(head)->remove_count; i++) {
		if ((rc = index_file_remove(head, i, &rm)))
			return rc;
		if (rm.kind == INDEXFILE_DEAD_PACK && (rc = sweep_pack(s, &rm.name)))
			return rc;
	}
	return OK;
}

static int
sync_pack_dirs(struct sweep *s)
{
	uint8_t dirty[256] = { 0 };
	char dir[16];
	int rc;

	for (size_t i = 0; i < s->pack_count; i++)
		dirty[s->packs[i].b[0]] = 1;
	for (unsigned i = 0; i < 256; i++) {
		snprintf(dir, sizeof(dir), "packs/%02x", i);
		if (dirty[i] && (rc = io_sync_dir(s->r->io, dir)))
			return rc;
	}
	return OK;
}

static int
sync_names(struct repo *r)
{
	int rc;

	if ((rc = io_sync_dir(r->io, "index")) || (rc = io_sync_dir(r->io, "snapshots")))
		return rc;
	return io_sync_dir(r->io, "forgotten");
}

static int
sweep_unlink(struct sweep *s, const char *path, uint64_t *freed)
{
	uint64_t size = 0;
	int rc;

	if (freed && (rc = io_stat(s->r->io, path, &size)))
		return rc == ERR_ABSENT ? OK : rc;
	rc = io_unlink(s->r->io, path);
	if (rc == ERR_ABSENT)
		return OK;
	if (rc == OK) {
		s->unlinked = true;
		if (freed)
			*freed += size;
	}
	return rc;
}

/* Tables that the head neither is nor keeps, dead segments and records. */
static int
sweep_index(struct sweep *s)
{
	char path[INDEX_FILE_PATH], hex[NAME_SID_HEX];
	struct names all = { 0 };
	struct indexfile_remove rm;
	struct name_sid sid;
	struct index_file *head;
	uint64_t number;
	bool kept;
	int rc;

	if (!index_table_count(s->ix))
		return OK;
	head = index_table_at(s->ix, 0);
	rc = io_list(s->r->io, "index", names_add, &all);
	for (size_t i = 0; rc == OK && i < all.count; i++) {
		if (!index_file_parse_table(all.name[i], &number) || number > index_file_header(head)->number)
			continue;
		kept = false;
		for (size_t k = 0; k < index_table_count(s->ix); k++)
			kept = kept || index_file_header(index_table_at(s->ix, k))->number == number;
		snprintf(path, sizeof(path), "index/%.48s", all.name[i]);
		if (!kept)
			rc = sweep_unlink(s, path, NULL);
	}
	free(all.name);
	for (uint32_t i = 0; rc == OK && i < index_file_header(head)->remove_count; i++) {
		if ((rc = index_file_remove(head, i, &rm)))
			break;
		memcpy(sid.b, rm.name.b, sizeof(sid.b));
		name_sid_hex(&sid, hex);
		if (rm.kind == INDEXFILE_DEAD_SEGMENT) {
			index_file_segment_path(path, "index", &sid, rm.part);
			rc = sweep_unlink(s, path, NULL);
		} else if (rm.kind == INDEXFILE_DEAD_RECORD) {
			snprintf(path, sizeof(path), "forgotten/%s", hex);
			rc = sweep_unlink(s, path, NULL);
		}
	}
	return rc;
}

/* PB-5.  The first sweep syncs before (a killed process may not have) and after; the last one leaves that to the next. */
static int
sweep(struct repo *r, struct index *ix, bool first, struct settle_stats *stats)
{
	struct sweep s = { .r = r, .ix = ix };
	char path[128];
	int rc;

	if ((rc = sweep_gather(&s)))
		goto out;
	if (first && ((rc = sync_names(r)) || (rc = sync_pack_dirs(&s))))
		goto out;
	if ((rc = sweep_index(&s)))
		goto out;
	for (size_t i = 0; rc == OK && i < s.pack_count; i++) {
		pack_path(path, &s.packs[i]);
		rc = sweep_unlink(&s, path, &stats->bytes_freed);
	}
	if (rc == OK && s.unlinked && (first || s.tmp.count))
		rc = sync_pack_dirs(&s);
	for (size_t i = 0; rc == OK && i < s.tmp.count; i++) {
		snprintf(path, sizeof(path), "tmp/%.*s", INDEX_FILE_PATH, s.tmp.name[i]);
		rc = sweep_unlink(&s, path, NULL);
	}
	if (rc == OK && first && s.unlinked)
		rc = sync_names(r);
out:
	free(s.tmp.name);
	free(s.packs);
	return rc;
}

/* --------------------------------------------------------------------------------------------------------- count */

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

/* FOUND or OK: does a record of this session exist?  Under the exclusive lock and after the sync, absence means never committed. */
static int
record_exists(struct repo *r, const struct name_sid *sid)
{
	static const char *const dirs[] = { "snapshots", "forgotten" };
	char path[64], hex[NAME_SID_HEX];
	uint64_t size;
	int rc = OK;

	name_sid_hex(sid, hex);
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", dirs[i], hex);
		rc = io_stat(r->io, path, &size);
		if (rc != ERR_ABSENT)
			return rc ? rc : FOUND;
	}
	return OK;
}

static int
count_segments(struct counts *c, struct removes *dead, struct settle_stats *stats)
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
		if (!(h->flags & INDEXFILE_LAST_PART))
			continue;
		if ((rc = record_exists(c->repo, &h->sid)) < 0)
			return rc;
		if (rc == FOUND && (rc = counts_root(c, &h->root, 1)))
			return rc;
	}
	return OK;
}

static int
count_collected(struct counts *c, const struct graves *g, struct removes *dead, struct settle_stats *stats)
{
	struct snapshots_item it;
	int rc;

	for (size_t i = 0; i < g->count; i++) {
		if ((rc = snapshots_read(c->repo, true, &g->p[i], &it)))
			return rc;
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
		}
	return OK;
}

/* PB-4 (3) to (5). */
static int
next_head(struct repo *r, struct index *ix, const struct graves *collect, struct settle_stats *stats)
{
	char tmp[INDEX_FILE_PATH], path[INDEX_FILE_PATH];
	struct removes dead = { 0 };
	struct counts c;
	uint64_t number = index_head_number(ix) + 1;
	int rc;

	counts_init(&c, r, ix, NULL);
	if ((rc = reader_new(r, ix, READER_CACHE, &c.reader)) ||
	    (rc = count_segments(&c, &dead, stats)) ||
	    (rc = count_collected(&c, collect, &dead, stats)) ||
	    (rc = counts_cascade(&c)) ||
	    (rc = dead_packs(&c, &dead, stats)))
		goto out;
	qsort(dead.p, dead.count, sizeof(*dead.p), removes_cmp);
	index_file_table_path(tmp, "tmp", number);
	index_file_table_path(path, "index", number);
	if ((rc = fold_write(&c, number, dead.p, dead.count, tmp)) ||
	    (rc = io_sync_dir(r->io, "tmp")) ||
	    (rc = io_rename(r->io, tmp, path)) ||
	    (rc = io_sync_dir(r->io, "index")))
		goto out;
	stats->head = number;
	stats->nodes_read = c.nodes_read;
	stats->chunks_removed = c.chunks_removed;
out:
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

static int
settle_locked(struct repo *r, const struct settle_prune *o, struct graves *collect, struct settle_stats *stats)
{
	struct index *ix;
	int rc;

	if ((rc = index_load(r, &ix)))
		return rc;
	if ((rc = sweep(r, ix, true, stats)) || (o && (rc = gather_collected(r, o, collect))))
		goto out;
	stats->head = index_head_number(ix);
	if (index_segment_count(ix) == 0 && collect->count == 0)
		goto out;
	if ((rc = next_head(r, ix, collect, stats)))
		goto out;
	index_free(ix);
	if ((rc = index_load(r, &ix)))
		return rc;
	rc = sweep(r, ix, false, stats);
out:
	index_free(ix);
	return rc;
}

/* o: NULL when `collect` is given. */
static int
settle(struct repo *r, const struct settle_prune *o, struct graves *collect, bool wait, struct settle_stats *stats)
{
	int rc, rc2;

	*stats = (struct settle_stats){ 0 };
	if (r->read_only)
		return fail(ERR_UNSUPPORTED, "this repository has features this version of varve may read but not write");
	if ((rc = io_lock(r->io, IO_EXCLUSIVE, wait)))
		return rc;
	rc = settle_locked(r, o, collect, stats);
	rc2 = io_lock(r->io, IO_UNLOCKED, false);
	return rc ? rc : rc2;
}

int
settle_run(struct repo *r, const struct name_sid *collect, size_t collect_count, bool wait, struct settle_stats *stats)
{
	/* Only read. */
	struct graves g = { .p = (struct name_sid *)(uintptr_t)collect, .count = collect_count };

	return settle(r, NULL, &g, wait, stats);
}

int
settle_collect(struct repo *r, const struct settle_prune *o, struct settle_stats *stats)
{
	struct graves g = { 0 };
	int rc = settle(r, o, &g, o->wait, stats);

	free(g.p);
	return rc;
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
	    (rc = count_segments(&c, &dead, &ignored)) ||
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
