/*
 * verify: records -> slots -> index -> census -> packs -> counts -> which files need what is damaged.
 *
 * References are counted where nodes are met, pack by pack, not by walking down from the roots: a node that the tables call live gives
 * one to each distinct child, a record to its root.  If that is what the tables say of every chunk, then what they call live is what the
 * records reach: a live node that no record reaches would have an ancestor that is counted and not named.
 */
#include "ops/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "format/keyslot.h"
#include "ops/heads.h"
#include "ops/prove.h"
#include "ops/provedb.h"
#include "ops/trace.h"
#include "store/children.h"
#include "store/graves.h"
#include "store/index_file.h"
#include "store/packproof.h"
#include "store/proofs.h"
#include "store/reader.h"
#include "sys/clock.h"
#include "sys/signals.h"

#define READER_CACHE (32u << 20)

struct run {
	struct repo *r;
	const struct verify_options *o;
	struct verify_result *res;
	struct index *ix;
	struct reader *rd;
	struct census c;
	struct prove p;
	struct proofs proofs;
	int64_t begun_ns;               /* by the clock on the wall */
	bool have_census, have_prove;
	const char *dir;                /* of the records being read */
	uint64_t bytes_base;            /* read by what is done */
};

/* ---- records and slots ---- */

static void
bad_record(void *arg, const char *hex, int rc)
{
	struct run *u = arg;
	struct name_sid sid;
	char path[64], why[512], *text = why;

	(void)rc;
	snprintf(why, sizeof(why), "%s", err_text());
	snprintf(path, sizeof(path), "%s/%s", u->dir, hex);
	for (size_t i = 0; i < u->res->damages.count; i++)
		if (strcmp(u->res->damages.v[i].object, path) == 0)
			return;
	if (!name_sid_unhex(&sid, hex))
		return;
	/* The path stands before it anyway. */
	if (strncmp(why, path, strlen(path)) == 0 && strncmp(why + strlen(path), ": ", 2) == 0)
		text += strlen(path) + 2;
	damage_add(&u->res->damages, DAMAGE_RECORD, path, NULL, NULL, "%s", text);
}

static int
sid_cmp(const void *a, const void *b)
{
	const struct snapshots_item *x = a, *y = b;

	return name_sid_cmp(&x->sid, &y->sid);
}

/* Take over those that are not there yet. */
static int
take(struct run *u, struct snapshots *s, uint64_t *count)
{
	size_t had = u->res->item_count, cap = had;
	int rc = mem_grow((void **)&u->res->items, &cap, had + s->count + 1, sizeof(*s->items));

	if (rc == OK && had)
		qsort(u->res->items, had, sizeof(*s->items), sid_cmp);
	for (size_t i = 0; rc == OK && i < s->count; i++) {
		if (had && bsearch(&s->items[i], u->res->items, had, sizeof(*s->items), sid_cmp)) {
			snapshots_item_clear(&s->items[i]);
			continue;
		}
		u->res->items[u->res->item_count++] = s->items[i];
		(*count)++;
	}
	if (rc == OK)
		s->count = 0;           /* the memory is ours */
	snapshots_clear(s);
	return rc;
}

static int
item_cmp(const void *a, const void *b)
{
	const struct snapshots_item *x = a, *y = b;

	if (x->rec.begin_ns != y->rec.begin_ns)
		return x->rec.begin_ns < y->rec.begin_ns ? -1 : 1;
	return name_sid_cmp(&x->sid, &y->sid);
}

static void
older(void *arg, const char *text)
{
	damage_add(arg, DAMAGE_HISTORY, "repository", NULL, NULL, "%s", text);
}

/* That nothing can be remembered is no damage. */
static void
look_back(struct run *u, const struct snapshots *s)
{
	uint64_t count;

	if (!u->o->no_state)
		(void)!heads_look(u->r, s, older, &u->res->damages, &count);
}

/* Twice those that are not forgotten: one may have been renamed back and forth meanwhile. */
static int
load_records(struct run *u)
{
	struct snapshots s;
	int rc;

	u->dir = "snapshots";
	if ((rc = snapshots_load_files(u->r, false, bad_record, u, &s)))
		return rc;
	look_back(u, &s);
	if ((rc = take(u, &s, &u->res->snapshots)))
		return rc;
	u->dir = "forgotten";
	if ((rc = snapshots_load_files(u->r, true, bad_record, u, &s)) || (rc = take(u, &s, &u->res->forgotten)))
		return rc;
	if (u->res->forgotten) {
		u->dir = "snapshots";
		if ((rc = snapshots_load_files(u->r, false, bad_record, u, &s)) || (rc = take(u, &s, &u->res->snapshots)))
			return rc;
	}
	if (u->res->item_count)
		qsort(u->res->items, u->res->item_count, sizeof(*u->res->items), item_cmp);
	return OK;
}

static int
one_slot(void *arg, const char *name)
{
	struct run *u = arg;
	struct keyslot slot;
	struct name_sid id;
	uint8_t *raw;
	char path[64];
	size_t len;
	int rc;

	if (!name_sid_unhex(&id, name))
		return OK;
	snprintf(path, sizeof(path), "keys/%s", name);
	rc = io_read_file(u->r->io, path, 4096, &raw, &len);
	if (rc == ERR_ABSENT)
		return OK;              /* removed meanwhile */
	if (rc == OK) {
		rc = err_verdict(keyslot_decode(&slot, raw, len), "key slot");
		free(raw);
		if (rc == OK && (name_sid_cmp(&slot.slot_id, &id) != 0 ||
		    name_sid_cmp(&slot.repo_id, &u->r->hdr.repo_id) != 0))
			rc = fail(ERR_AUTH, "a key slot of another name or repository");
	}
	if (prove_is_damage(rc)) {
		damage_add(&u->res->damages, DAMAGE_KEY, path, NULL, NULL, NULL);
		rc = OK;
	}
	return rc;
}

/* ---- index ---- */

/* OK, FOUND when it is damaged (nothing more can be told), or a failure. */
static int
load_index(struct run *u)
{
	int rc = index_load(u->r, &u->ix);

	if (rc == OK)
		rc = census_load(u->r, u->ix, &u->c);
	if (prove_is_damage(rc)) {
		damage_add(&u->res->damages, DAMAGE_INDEX, "index", NULL, NULL, NULL);
		return FOUND;
	}
	u->have_census = rc == OK;
	u->res->index_files = u->c.files;
	return rc ? rc : reader_new(u->r, u->ix, READER_CACHE, &u->rd);
}

struct leftover {
	struct run *u;
	struct name *names;             /* of the packs that the index knows, sorted */
	size_t count;
	uint64_t found;
};

static int
name_order(const void *a, const void *b)
{
	return name_cmp(a, b);
}

static int
one_pack_name(void *arg, const char *text)
{
	struct leftover *l = arg;
	struct name n;

	if (name_unhex(&n, text) && !(l->count && bsearch(&n, l->names, l->count, sizeof(n), name_order)))
		l->found++;
	return OK;
}

static int
find_leftovers(struct run *u)
{
	struct leftover l = { .u = u };
	char dir[16];
	int rc = mem_new((void **)&l.names, mem_array(u->c.pack_count + 1, sizeof(*l.names)));

	for (size_t i = 0; rc == OK && i < u->c.pack_count; i++)
		l.names[l.count++] = u->c.packs[i].name;
	if (rc == OK)
		qsort(l.names, l.count, sizeof(*l.names), name_order);
	for (unsigned i = 0; rc == OK && i < 256; i++) {
		snprintf(dir, sizeof(dir), "packs/%02x", i);
		rc = io_list(u->r->io, dir, one_pack_name, &l);
		if (rc == ERR_ABSENT)
			rc = OK;
	}
	free(l.names);
	u->res->leftovers = l.found;
	return rc;
}

/* ---- what is to do ---- */

/* Threads count meanwhile. */
static uint64_t
so_far(const uint64_t *n)
{
	return __atomic_load_n(n, __ATOMIC_RELAXED);
}

static int
show(struct run *u, const char *verb, uint64_t total_packs)
{
	struct verify_progress g = { .verb = verb, .packs = so_far(&u->p.packs), .packs_total = total_packs,
		.bytes = so_far(&u->p.bytes_read), .bytes_total = u->p.bytes_todo, .damaged = so_far(&u->res->damages.total) };

	return u->o->progress ? u->o->progress(u->o->arg, &g) : OK;
}

static int
show_prove(void *arg, const struct prove *p)
{
	(void)p;
	return show(arg, "verifying", ((struct run *)arg)->c.pack_count);
}

static bool
is_suspect(const struct verify_options *o, const struct name *pack)
{
	for (size_t i = 0; i < o->pack_count; i++)
		if (name_cmp(&o->packs[i], pack) == 0)
			return true;
	return false;
}

static int
want_everything(struct run *u)
{
	uint8_t *chosen;
	int rc = mem_new((void **)&chosen, u->c.pack_count + 1);

	if (rc == OK && u->o->read)
		rc = slice_choose(&u->c, &u->proofs, &u->o->slice, chosen);
	for (size_t i = 0; rc == OK && i < u->c.pack_count; i++) {
		const struct census_pack *p = &u->c.packs[i];
		bool content = p->kind == PACKFILE_META || chosen[i] || is_suspect(u->o, &p->name);

		if (p->dead)
			continue;
		u->p.todo[i] = PROVE_SHAPE;
		if (content)
			u->p.todo[i] |= PROVE_CONTENT | PROVE_WHOLE;
		/* Where all of it is read anyway, the heads are needed before only if they tell of differences. */
		if (!content || p->differences)
			u->p.todo[i] |= PROVE_HEADS | PROVE_WHOLE;
	}
	free(chosen);
	return rc;
}

struct wanted {
	struct run *u;
	uint32_t *todo;
	size_t count, cap;
};

static int
want(void *arg, const struct name *id, uint8_t type)
{
	struct wanted *w = arg;
	uint32_t n = census_find(&w->u->c, id);
	struct census_cell *c;
	int rc;

	/* What is not there is told when the node is proved that names it. */
	if (n == CENSUS_NONE || w->u->c.cells[n].frame == CENSUS_NONE || w->u->c.cells[n].flags & CENSUS_WANTED)
		return OK;
	c = &w->u->c.cells[n];
	c->flags |= CENSUS_WANTED;
	w->u->c.frames[c->frame].wanted++;
	if (type == FRAME_DATA)
		return OK;
	if ((rc = mem_grow((void **)&w->todo, &w->cap, w->count + 1, sizeof(*w->todo))))
		return rc;
	w->todo[w->count++] = n;
	return OK;
}

static int
want_beneath(struct run *u, const struct name *root)
{
	struct wanted w = { .u = u };
	int rc = want(&w, root, FRAME_TREE);

	while (rc == OK && w.count > 0) {
		const struct census_cell *c = &u->c.cells[w.todo[--w.count]];
		const uint8_t *raw;
		size_t len;

		if ((rc = signals_check()) == OK && (rc = reader_get(u->rd, &c->id, c->type, &raw, &len)) == OK)
			rc = children_each(c->type, raw, len, want, &w);
		if (prove_is_damage(rc))
			rc = OK;        /* its pack is wanted: it will be found there */
	}
	free(w.todo);
	return rc;
}

static bool
is_asked(const struct verify_options *o, const struct name_sid *sid)
{
	for (size_t i = 0; i < o->snap_count; i++)
		if (name_sid_cmp(&o->snaps[i], sid) == 0)
			return true;
	return o->snap_count == 0;
}

static int
want_snapshots(struct run *u)
{
	int rc = OK;

	for (size_t i = 0; rc == OK && i < u->res->item_count; i++)
		if (is_asked(u->o, &u->res->items[i].sid))
			rc = want_beneath(u, &u->res->items[i].rec.root);
	for (size_t i = 0; i < u->c.pack_count; i++)
		for (uint32_t k = 0; k < u->c.packs[i].frames; k++)
			if (u->c.frames[u->c.packs[i].first + k].wanted)
				u->p.todo[i] = PROVE_SHAPE | PROVE_HEADS |
				    (u->c.packs[i].kind == PACKFILE_META || u->o->read ? PROVE_CONTENT : 0);
	return rc;
}

/* ---- counts ---- */

static bool
is_settled(struct run *u, const struct name_sid *sid)
{
	for (size_t i = 0; i < index_segment_count(u->ix); i++) {
		const struct indexfile_header *h = index_file_header(index_segment_at(u->ix, i));

		if (h->flags & INDEXFILE_LAST_PART && name_sid_cmp(&h->sid, sid) == 0)
			return false;
	}
	return true;
}

static void
count_roots(struct run *u)
{
	for (size_t i = 0; i < u->res->item_count; i++) {
		const struct snapshots_item *it = &u->res->items[i];
		uint32_t n = census_find(&u->c, &it->rec.root);
		char object[96], hex[NAME_HEX];

		if (!is_asked(u->o, &it->sid))
			continue;
		if (n != CENSUS_NONE && is_settled(u, &it->sid))
			u->c.cells[n].refs++;
		if (n != CENSUS_NONE && u->c.cells[n].frame != CENSUS_NONE && u->c.cells[n].type == FRAME_TREE)
			continue;
		name_sid_hex(&it->sid, hex);
		snprintf(object, sizeof(object), "snapshot %s", hex);
		name_hex(&it->rec.root, hex);
		damage_add(&u->res->damages, DAMAGE_NODE, object, NULL, &it->rec.root,
		    "its root, tree %s, is not in the index", hex);
	}
}

static void
check_counts(struct run *u)
{
	char object[96], hex[NAME_HEX];
	bool whole = !u->p.nodes_lost && !u->res->damages.total;

	for (size_t i = 0; i < u->c.cell_count; i++) {
		const struct census_cell *c = &u->c.cells[i];

		if (c->refs > 0 || c->uses > 0) {
			name_hex(&c->id, hex);
			snprintf(object, sizeof(object), "chunk %s", hex);
			damage_add(&u->res->damages, DAMAGE_COUNT, object, NULL, NULL, "the index counts %d %s too few of it",
			    c->refs > 0 ? c->refs : c->uses, c->refs > 0 ? "references" : "differences");
		} else if (c->refs < 0 || c->uses < 0) {
			u->res->counted_high++;
		}
		/* Nothing but a record is counted and then named by nobody. */
		if (whole && c->type == FRAME_TREE && c->refs < 0 && (uint32_t)-c->refs == c->table_refs) {
			name_hex(&c->id, hex);
			snprintf(object, sizeof(object), "tree %s", hex);
			damage_add(&u->res->damages, DAMAGE_RECORD, object, NULL, NULL, "the index counts %u snapshot%s with this root, "
			    "but there is no record of %s", c->table_refs, c->table_refs == 1 ? "" : "s",
			    c->table_refs == 1 ? "it" : "them");
		}
	}
	for (size_t i = 0; i < u->c.frame_count; i++) {
		const struct census_frame *f = &u->c.frames[i];
		const struct census_pack *p = &u->c.packs[census_pack_of(&u->c, (uint32_t)i)];
		char path[PACKPROOF_PATH];

		if (p->fresh || !f->known || f->live >= f->found_live)
			continue;
		packproof_path(path, &p->name);
		damage_add(&u->res->damages, DAMAGE_COUNT, path, NULL, NULL, "the index calls %u chunks of frame %u live, %u are",
		    f->live, (uint32_t)i - p->first, f->found_live);
	}
	/* Without all nodes nobody can tell who else is named. */
	if (u->p.nodes_lost || u->res->damages.total)
		u->res->counted_high = 0;
}

/* ---- all of it ---- */

static int
show_images(void *arg)
{
	return show(arg, "checking databases", 0);
}

static int
check_databases(struct run *u, const struct snapshots_item *const *list)
{
	const struct provedb_ask ask = { .p = &u->p, .rd = u->rd, .snaps = list, .count = u->res->item_count,
		.seconds = u->o->seconds, .progress = show_images, .arg = u };

	return provedb_run(&ask, &u->res->databases);
}

static int
trace(struct run *u)
{
	const struct snapshots_item **list;
	bool databases = u->o->databases;
	int rc;

	damage_sort(&u->res->damages);
	if (!u->res->damages.total && !databases)
		return OK;
	if ((rc = mem_new((void **)&list, mem_array(u->res->item_count + 1, sizeof(*list)))))
		return rc;
	for (size_t i = 0; i < u->res->item_count; i++)
		if (is_asked(u->o, &u->res->items[i].sid))
			list[i] = &u->res->items[i];
	if (databases)
		rc = check_databases(u, list);
	if (rc == OK && u->res->damages.total)
		rc = trace_run(&u->p, u->rd, list, u->res->item_count);
	free(list);
	return rc;
}

static void
set_todo_bytes(struct run *u)
{
	for (size_t i = 0; i < u->c.pack_count; i++)
		if (u->p.todo[i] & PROVE_CONTENT)
			u->p.bytes_todo += u->c.packs[i].bytes;
}

static void
fill(struct run *u)
{
	struct verify_result *res = u->res;

	res->packs = u->p.packs;
	res->spare = u->p.spare;
	res->bytes_read = u->p.bytes_read;
	res->bytes_decoded = u->p.bytes_decoded;
	res->chunks_read = u->p.chunks;
	for (size_t i = 0; i < u->c.cell_count; i++) {
		const struct census_cell *c = &u->c.cells[i];

		if (c->frame != CENSUS_NONE && !(c->flags & CENSUS_BAD) && !prove_problem(&u->p, c) && (!u->o->snap_count || c->flags & CENSUS_WANTED))
			res->chunks++;
	}
	for (size_t i = 0; u->p.todo && i < u->c.pack_count; i++)
		res->packs_read += (u->p.todo[i] & (PROVE_WHOLE | PROVE_CONTENT)) == (PROVE_WHOLE | PROVE_CONTENT) &&
		    !u->c.packs[i].problem;
}

/* Snapshots of which everything is known to be right since then. */
static int
remember_snaps(struct run *u, int64_t since_ns)
{
	int rc = OK;

	for (size_t i = 0; rc == OK && i < u->res->item_count; i++)
		if (is_asked(u->o, &u->res->items[i].sid))
			rc = proofs_note_snap(&u->proofs, &u->res->items[i].sid, since_ns);
	return rc;
}

static int
remember(struct run *u)
{
	uint8_t *good = NULL, *bad = NULL;
	/* A database that was damaged already when it was captured is stored as it was. */
	bool sound = u->res->damages.total == u->res->databases.damaged;
	int rc;

	if (u->o->snap_count) {
		if (!sound)
			return OK;
		rc = remember_snaps(u, u->begun_ns);
		return rc ? rc : proofs_save(u->r, &u->proofs);
	}
	if ((rc = mem_new((void **)&good, u->c.pack_count + 1)) || (rc = mem_new((void **)&bad, u->c.pack_count + 1)))
		goto out;
	for (size_t i = 0; i < u->c.pack_count; i++) {
		good[i] = (u->p.todo[i] & (PROVE_WHOLE | PROVE_CONTENT)) == (PROVE_WHOLE | PROVE_CONTENT);
		bad[i] = u->p.todo[i] & PROVE_BAD || u->c.packs[i].problem;
	}
	if ((rc = slice_note(&u->c, good, bad, u->begun_ns, &u->proofs, &u->res->proved_ns)))
		goto out;
	if (sound && u->res->proved_ns && (rc = remember_snaps(u, u->res->proved_ns)))
		goto out;
	rc = proofs_save(u->r, &u->proofs);
out:
	free(good);
	free(bad);
	return rc;
}

static bool
is_collected(struct run *u, const struct name_sid *sid)
{
	char path[64], hex[NAME_SID_HEX];
	uint64_t size;

	if (graves_collected(u->ix, sid) != FOUND)
		return false;
	name_sid_hex(sid, hex);
	snprintf(path, sizeof(path), "snapshots/%s", hex);
	return io_stat(u->r->io, path, &size) == ERR_ABSENT;
}

/* A prune that was killed leaves records in forgotten/ whose roots it counts no more: the next one sweeps them. */
static void
drop_collected(struct run *u)
{
	struct verify_result *res = u->res;
	size_t n = 0;

	if (res->forgotten == 0)
		return;
	for (size_t i = 0; i < res->item_count; i++) {
		if (!is_collected(u, &res->items[i].sid)) {
			res->items[n++] = res->items[i];
			continue;
		}
		snapshots_item_clear(&res->items[i]);
		res->forgotten--;
	}
	res->item_count = n;
}

static int
prove_all(struct run *u)
{
	int rc;

	u->p = (struct prove){ .r = u->r, .c = &u->c, .d = &u->res->damages, .progress = show_prove, .arg = u,
		.workers = u->o->jobs };
	u->have_prove = true;
	if ((rc = prove_init(&u->p)))
		return rc;
	if (u->o->read && (rc = proofs_load(u->r, &u->proofs)))
		return rc;
	rc = u->o->snap_count ? want_snapshots(u) : want_everything(u);
	set_todo_bytes(u);
	if (rc || (rc = prove_heads(&u->p)) || (rc = prove_content(&u->p)))
		return rc;
	count_roots(u);
	if (!u->o->snap_count) {
		check_counts(u);
		if ((rc = find_leftovers(u)))
			return rc;
	}
	if ((rc = trace(u)))
		return rc;
	fill(u);
	if (u->res->damages.rc || !u->o->read)
		return u->res->damages.rc;
	if ((u->res->save_rc = remember(u)))
		snprintf(u->res->save_note, sizeof(u->res->save_note), "%s", err_text());
	return OK;
}

static int
run_locked(struct run *u)
{
	int rc;

	if ((rc = damage_init(&u->res->damages)) || (rc = load_records(u)) || (rc = io_list(u->r->io, "keys", one_slot, u)))
		return rc;
	if ((rc = load_index(u)) == OK) {
		drop_collected(u);
		rc = prove_all(u);
	}
	if (u->o->snap_count)
		u->res->snapshots = u->o->snap_count;
	return rc < 0 ? rc : OK;
}

int
verify_run(struct repo *r, const struct verify_options *o, struct verify_result *res)
{
	struct run u = { .r = r, .o = o, .res = res };
	int64_t begun = clock_steady_ns();
	int rc, rc2;

	u.begun_ns = clock_wall_ns();
	*res = (struct verify_result){ 0 };
	if ((rc = io_lock(r->io, IO_SHARED, true)))
		return rc;
	rc = run_locked(&u);
	rc2 = io_lock(r->io, IO_UNLOCKED, false);
	if (u.have_prove)
		prove_clear(&u.p);
	proofs_clear(&u.proofs);
	reader_free(u.rd);
	if (u.have_census)
		census_clear(&u.c);
	index_free(u.ix);
	res->elapsed_ns = clock_steady_ns() - begun;
	return rc ? rc : rc2;
}

void
verify_clear(struct verify_result *res)
{
	for (size_t i = 0; i < res->item_count; i++)
		snapshots_item_clear(&res->items[i]);
	free(res->items);
	provedb_clear(&res->databases);
	damage_clear(&res->damages);
	*res = (struct verify_result){ 0 };
}
