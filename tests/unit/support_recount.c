/*
 * support_recount: `truth` is grown from the roots: a chunk is met, its copy is looked up, its base is met; a node that is met
 * through a reference gives its distinct children one each.  `index` is what the files say, summed up.
 */
#include "tests/unit/support_recount.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "format/frame.h"
#include "format/listnode.h"
#include "format/packfile.h"
#include "format/recordsum.h"
#include "format/tablesums.h"
#include "format/treenode.h"
#include "store/index.h"
#include "store/index_file.h"
#include "store/reader.h"
#include "store/snapshots.h"

struct cell {
	struct name id;
	uint8_t type;
	bool placed, expanded;          /* truth: base met; children met */
	bool settled;                   /* index: a table has said what it is */
	uint64_t refs, uses;
	struct index_place place;
};

struct cells {
	struct cell *p;
	size_t count, cap;
	uint32_t *hash;
	size_t hash_size;
};

struct pack_seen {
	struct name name;
	struct indexfile_pack row;
};

struct frame_seen {
	struct name pack;
	struct indexfile_frame row;
	uint32_t live;                  /* counted */
};

struct recount {
	struct repo *r;
	struct index *ix;
	struct reader *rd;
	struct snapshots here, forgotten;
	struct cells truth, index;
	struct pack_seen *packs;
	size_t pack_count, pack_cap;
	struct frame_seen *frames;
	size_t frame_count, frame_cap;
	uint32_t *todo;
	size_t todo_count, todo_cap;
	size_t tables_seen;
	struct support_recount_result *res;
};

static bool wrong(struct recount *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static bool
wrong(struct recount *c, const char *fmt, ...)
{
	va_list ap;

	if (c->res->why[0])
		return false;
	va_start(ap, fmt);
	vsnprintf(c->res->why, sizeof(c->res->why), fmt, ap);
	va_end(ap);
	return false;
}

/* Of an error code: OK and FOUND are well. */
static bool
well(struct recount *c, int rc, const char *what)
{
	return rc >= 0 || wrong(c, "%s: %s", what, err_text());
}

static void
short_id(char out[static 20], const struct cell *cell)
{
	char hex[NAME_HEX];

	name_hex(&cell->id, hex);
	snprintf(out, 20, "%c %.12s", cell->type, hex);
}

/* -------------------------------------------------------------------------------------------------- cells */

static size_t
cell_slot(const struct cells *m, const struct name *id)
{
	size_t h;

	memcpy(&h, id->b, sizeof(h));
	for (h &= m->hash_size - 1; m->hash[h]; h = (h + 1) & (m->hash_size - 1))
		if (name_cmp(&m->p[m->hash[h] - 1].id, id) == 0)
			break;
	return h;
}

static struct cell *
cell_find(const struct cells *m, const struct name *id)
{
	uint32_t i = m->hash_size ? m->hash[cell_slot(m, id)] : 0;

	return i ? &m->p[i - 1] : NULL;
}

static struct cell *
cell_get(struct cells *m, const struct name *id, uint8_t type)
{
	struct cell *cell = cell_find(m, id);

	if (cell)
		return cell;
	if (m->count * 2 >= m->hash_size) {
		m->hash_size = m->hash_size ? 2 * m->hash_size : 256;
		free(m->hash);
		m->hash = calloc(m->hash_size, sizeof(*m->hash));
		assert(m->hash);
		for (size_t i = 0; i < m->count; i++)
			m->hash[cell_slot(m, &m->p[i].id)] = (uint32_t)i + 1;
	}
	if (mem_grow((void **)&m->p, &m->cap, m->count + 1, sizeof(*m->p)) != OK)
		abort();
	m->hash[cell_slot(m, id)] = (uint32_t)m->count + 1;
	m->p[m->count] = (struct cell){ .id = *id, .type = type };
	return &m->p[m->count++];
}

/* -------------------------------------------------------------------------------------------------- truth */

static void
push(struct recount *c, const struct cell *cell)
{
	if (mem_grow((void **)&c->todo, &c->todo_cap, c->todo_count + 1, sizeof(*c->todo)) != OK)
		abort();
	c->todo[c->todo_count++] = (uint32_t)(cell - c->truth.p);
}

static void
meet(struct recount *c, const struct name *id, uint8_t type, bool as_base)
{
	struct cell *cell = cell_get(&c->truth, id, type);

	if (as_base)
		cell->uses++;
	else
		cell->refs++;
	push(c, cell);
}

struct child {
	struct name id;
	uint8_t type;
};

struct children {
	struct child *p;
	size_t count, cap;
};

static void
child_add(struct children *k, const struct name *id, uint8_t type)
{
	for (size_t i = 0; i < k->count; i++)
		if (name_cmp(&k->p[i].id, id) == 0)
			return;
	if (mem_grow((void **)&k->p, &k->cap, k->count + 1, sizeof(*k->p)) != OK)
		abort();
	k->p[k->count++] = (struct child){ *id, type };
}

static bool
list_children(struct recount *c, const uint8_t *p, size_t len, struct children *k)
{
	struct listnode_row row;
	struct listnode l;

	if (listnode_decode(&l, p, len) != CURSOR_OK)
		return wrong(c, "a list does not decode");
	for (uint32_t i = 0; i < l.row_count; i++) {
		listnode_row_at(&l, i, &row);
		if (!name_is_zero(&row.id))
			child_add(k, &row.id, l.level ? FRAME_LIST : FRAME_DATA);
	}
	return true;
}

static bool
tree_children(struct recount *c, const uint8_t *p, size_t len, struct children *k)
{
	struct treenode_entry e;
	struct treenode_row row;
	struct treenode t;

	if (treenode_open(&t, p, len) != CURSOR_OK)
		return wrong(c, "a tree does not decode");
	while (t.level && treenode_next_row(&t, &row))
		child_add(k, &row.id, FRAME_TREE);
	while (!t.level && treenode_next_entry(&t, &e))
		if (!name_is_zero(&e.content))
			child_add(k, &e.content, e.kind == TREENODE_DIR ? FRAME_TREE : e.flags & TREENODE_LIST ? FRAME_LIST :
			    FRAME_DATA);
	return t.verdict == CURSOR_OK || wrong(c, "a tree does not decode");
}

/* So there are no circles, and a chain is never longer than its top says. */
static bool
below_it(struct recount *c, const struct name *base, uint8_t depth)
{
	struct index_place place;
	int rc = index_find(c->ix, base, &place, NULL);

	if (rc == FOUND && place.depth >= depth)
		return wrong(c, "I6: a chunk of depth %u stands on one of depth %u", depth, place.depth);
	return rc >= 0 || well(c, rc, "index");
}

/* Its copy, which must be there and be read, and the base of that. */
static bool
place_one(struct recount *c, uint32_t i)
{
	struct index_place *place = &c->truth.p[i].place;
	struct reader_bases bases;
	const uint8_t *p;
	char text[20];
	size_t len;
	int rc;

	short_id(text, &c->truth.p[i]);
	c->truth.p[i].placed = true;
	rc = index_find(c->ix, &c->truth.p[i].id, place, NULL);
	if (rc == OK)
		return wrong(c, "I1: %s is not indexed", text);
	if (!well(c, rc, "index") || !well(c, reader_get(c->rd, &c->truth.p[i].id, c->truth.p[i].type, &p, &len), "I1"))
		return false;
	if (place->depth == 0)
		return true;
	if (!well(c, reader_bases(c->rd, place, &bases), "I1: base"))
		return false;
	for (unsigned k = 0; k < bases.count; k++)
		if (!below_it(c, &bases.id[k], place->depth))
			return false;
	c->res->deltas++;
	c->res->several += bases.count > 1;
	for (unsigned k = 0; k < bases.count; k++)
		meet(c, &bases.id[k], c->truth.p[i].type, true);
	return true;
}

/* The distinct children of a node. */
static bool
children_of(struct recount *c, const struct cell *cell, struct children *k)
{
	const uint8_t *p;
	size_t len;

	if (!well(c, reader_get(c->rd, &cell->id, cell->type, &p, &len), "I1"))
		return false;
	return cell->type == FRAME_LIST ? list_children(c, p, len, k) : tree_children(c, p, len, k);
}

static bool
expand_one(struct recount *c, uint32_t i)
{
	struct children k = { 0 };
	bool ok;

	c->truth.p[i].expanded = true;
	if (c->truth.p[i].type == FRAME_DATA)
		return true;
	ok = children_of(c, &c->truth.p[i], &k);
	for (size_t n = 0; n < k.count; n++)
		meet(c, &k.p[n].id, k.p[n].type, false);
	free(k.p);
	return ok;
}

static bool
follow(struct recount *c)
{
	while (c->todo_count) {
		uint32_t i = c->todo[--c->todo_count];

		if (!c->truth.p[i].placed && !place_one(c, i))
			return false;
		if (c->truth.p[i].refs && !c->truth.p[i].expanded && !expand_one(c, i))
			return false;
	}
	for (size_t i = 0; i < c->truth.count; i++)
		c->res->hollow += c->truth.p[i].refs == 0;
	c->res->chunks = c->truth.count;
	return true;
}

/* FOUND, OK or an error: has the head collected it? */
static int
collected(struct recount *c, const struct name_sid *sid)
{
	struct indexfile_remove what = { .kind = INDEXFILE_DEAD_RECORD };

	memcpy(what.name.b, sid->b, NAME_SID_LEN);
	return index_removed(c->ix, &what);
}

static bool
roots(struct recount *c)
{
	int rc;

	if (c->here.damaged || c->forgotten.damaged)
		return wrong(c, "a record does not open");
	for (size_t i = 0; i < c->here.count; i++) {
		if ((rc = collected(c, &c->here.items[i].sid)))
			return well(c, rc, "index") && wrong(c, "I0: a snapshot was collected");
		meet(c, &c->here.items[i].rec.root, FRAME_TREE, false);
	}
	for (size_t i = 0; i < c->forgotten.count; i++) {
		if ((rc = collected(c, &c->forgotten.items[i].sid)) < 0)
			return well(c, rc, "index");
		if (rc == OK)
			meet(c, &c->forgotten.items[i].rec.root, FRAME_TREE, false);
	}
	c->res->snapshots = c->here.count;
	return true;
}

/* -------------------------------------------------------------------------------------------------- index */

static void
see_pack(struct recount *c, const struct indexfile_pack *row)
{
	for (size_t i = 0; i < c->pack_count; i++)
		if (name_cmp(&c->packs[i].name, &row->name) == 0)
			return;
	if (mem_grow((void **)&c->packs, &c->pack_cap, c->pack_count + 1, sizeof(*c->packs)) != OK)
		abort();
	c->packs[c->pack_count++] = (struct pack_seen){ row->name, *row };
}

static struct frame_seen *
find_frame(struct recount *c, const struct name *pack, uint32_t ordinal)
{
	for (size_t i = 0; i < c->frame_count; i++)
		if (c->frames[i].row.ordinal == ordinal && name_cmp(&c->frames[i].pack, pack) == 0)
			return &c->frames[i];
	return NULL;
}

static bool
read_tables_of(struct recount *c, struct index_file *f)
{
	const struct indexfile_header *h = index_file_header(f);
	struct indexfile_frame fr;
	struct indexfile_pack p;

	for (uint32_t i = 0; i < h->pack_count; i++) {
		if (!well(c, index_file_pack(f, i, &p), "index"))
			return false;
		see_pack(c, &p);
	}
	for (uint32_t i = 0; i < h->frame_count; i++) {
		if (!well(c, index_file_frame(f, i, &fr), "index") || !well(c, index_file_pack(f, fr.pack, &p), "index"))
			return false;
		if (find_frame(c, &p.name, fr.ordinal))
			continue;
		if (mem_grow((void **)&c->frames, &c->frame_cap, c->frame_count + 1, sizeof(*c->frames)) != OK)
			abort();
		c->frames[c->frame_count++] = (struct frame_seen){ p.name, fr, 0 };
	}
	return true;
}

/* Tables newest first: the first row of an id is the one that counts. */
static bool
read_table(struct recount *c, struct index_file *f)
{
	struct indexfile_row row;
	struct cell *cell;

	for (uint64_t i = 0; i < index_file_header(f)->row_count; i++) {
		if (!well(c, index_file_row(f, i, &row), "index"))
			return false;
		cell = cell_get(&c->index, &row.id, row.type);
		if (cell->settled)
			continue;
		cell->settled = true;
		cell->placed = row.frame != INDEXFILE_NO_FRAME;
		cell->refs = row.refs;
		cell->uses = row.uses;
		cell->expanded = row.refs > 0;
	}
	return read_tables_of(c, f);
}

static bool
is_record(const struct snapshots *s, const struct name_sid *sid)
{
	for (size_t i = 0; i < s->count; i++)
		if (name_sid_cmp(&s->items[i].sid, sid) == 0)
			return true;
	return false;
}

static bool
read_segment(struct recount *c, struct index_file *f)
{
	const struct indexfile_header *h = index_file_header(f);
	struct indexfile_row row;
	struct cell *cell;

	for (uint64_t i = 0; i < h->row_count; i++) {
		if (!well(c, index_file_row(f, i, &row), "index"))
			return false;
		cell = cell_get(&c->index, &row.id, row.type);
		if (row.refs)
			return wrong(c, "a segment counts references");
		cell->uses += row.uses;
		cell->placed = cell->placed || row.frame != INDEXFILE_NO_FRAME;
	}
	if (h->flags & INDEXFILE_LAST_PART && (is_record(&c->here, &h->sid) || is_record(&c->forgotten, &h->sid)))
		cell_get(&c->index, &h->root, FRAME_TREE)->refs++;
	return read_tables_of(c, f);
}

/* PB-6: what new roots reach and no table has counted gives its references now. */
static bool
acquire(struct recount *c)
{
	bool again = true;

	while (again) {
		again = false;
		for (uint32_t i = 0; i < c->index.count; i++) {
			struct children k = { 0 };

			if (c->index.p[i].type == FRAME_DATA || c->index.p[i].expanded || !c->index.p[i].refs)
				continue;
			c->index.p[i].expanded = again = true;
			if (!children_of(c, &c->index.p[i], &k))
				return false;
			for (size_t n = 0; n < k.count; n++)
				cell_get(&c->index, &k.p[n].id, k.p[n].type)->refs++;
			free(k.p);
		}
	}
	return true;
}

static bool
read_index(struct recount *c)
{
	for (size_t i = 0; i < index_table_count(c->ix); i++)
		if (!read_table(c, index_table_at(c->ix, i)))
			return false;
	for (size_t i = 0; i < index_segment_count(c->ix); i++)
		if (!read_segment(c, index_segment_at(c->ix, i)))
			return false;
	return acquire(c);
}

/* ----------------------------------------------------------------------------------------------- comparing */

/* I2 */
static bool
enough(struct recount *c)
{
	const struct cell *t, *x;
	char text[20];

	for (size_t i = 0; i < c->truth.count; i++) {
		t = &c->truth.p[i];
		x = cell_find(&c->index, &t->id);
		short_id(text, t);
		if (!x || !x->placed)
			return wrong(c, "I1: %s has no place", text);
		if (x->refs < t->refs || x->uses < t->uses)
			return wrong(c, "I2: %s has refs %ju uses %ju, should be %ju and %ju at least", text, (uintmax_t)x->refs,
			    (uintmax_t)x->uses, (uintmax_t)t->refs, (uintmax_t)t->uses);
	}
	return true;
}

/* Chunks of files and nodes lie apart. */
static bool
kind_is(const struct recount *c, const struct frame_seen *f, uint8_t type)
{
	for (size_t i = 0; i < c->pack_count; i++)
		if (name_cmp(&c->packs[i].name, &f->pack) == 0)
			return c->packs[i].row.kind == (type == FRAME_DATA ? PACKFILE_DATA : PACKFILE_META);
	return false;
}

static bool
counts_equal(struct recount *c)
{
	const struct cell *t, *x;
	struct frame_seen *f;
	char text[20];

	for (size_t i = 0; i < c->index.count; i++) {
		x = &c->index.p[i];
		if (!x->placed)
			continue;
		short_id(text, x);
		t = cell_find(&c->truth, &x->id);
		if (!t)
			return wrong(c, "I3: dead row %s (refs %ju uses %ju)", text, (uintmax_t)x->refs, (uintmax_t)x->uses);
		if (x->refs != t->refs || x->uses != t->uses || x->type != t->type)
			return wrong(c, "I3: %s has refs %ju uses %ju, should be %ju and %ju", text, (uintmax_t)x->refs,
			    (uintmax_t)x->uses, (uintmax_t)t->refs, (uintmax_t)t->uses);
		f = find_frame(c, &t->place.pack_name, t->place.ordinal);
		if (!f)
			return wrong(c, "I3: %s is in a frame that no table has", text);
		if (!kind_is(c, f, x->type))
			return wrong(c, "%s is in a pack of the other kind", text);
		f->live++;
	}
	return true;
}

/* Live frames and bytes; every pack with a live frame is on the disk. */
static bool
packs_equal(struct recount *c)
{
	char hex[NAME_HEX], path[96];
	uint64_t size, bytes;
	uint32_t frames;

	for (size_t i = 0; i < c->pack_count; i++) {
		const struct indexfile_pack *row = &c->packs[i].row;

		frames = 0;
		bytes = 0;
		for (size_t k = 0; k < c->frame_count; k++) {
			const struct frame_seen *f = &c->frames[k];

			if (name_cmp(&f->pack, &row->name) != 0)
				continue;
			if (f->row.live != f->live)
				return wrong(c, "I3: a frame says %u live chunks and has %u", f->row.live, f->live);
			frames += f->live > 0;
			bytes += (uint64_t)f->row.len * f->live / f->row.chunks;
		}
		name_hex(&row->name, hex);
		if (row->live_frames != frames || row->live_bytes != bytes)
			return wrong(c, "I3: pack %.12s says %u live frames, %ju live bytes, has %u, %ju", hex, row->live_frames,
			    (uintmax_t)row->live_bytes, frames, (uintmax_t)bytes);
		snprintf(path, sizeof(path), "packs/%.2s/%s", hex, hex);
		if (frames && (io_stat(c->r->io, path, &size) || size != row->bytes))
			return wrong(c, "I1: pack %.12s is not there, or has the wrong length", hex);
	}
	return true;
}

/* IX-9: the head's sums. */
static bool
sums_equal(struct recount *c)
{
	struct mem_buf raw = { 0 };
	struct tablesums said, counted = { 0 };
	int rc;

	if (index_table_count(c->ix) == 0)
		return true;
	rc = index_file_extra(index_table_at(c->ix, 0), INDEXFILE_SUMS, &raw);
	if (rc == FOUND && tablesums_decode(&said, raw.p, raw.len) != CURSOR_OK)
		rc = ERR_CORRUPT;
	mem_buf_clear(&raw);
	if (rc != FOUND)
		return wrong(c, "IX-9: the head has no sums");
	for (size_t i = 0; i < c->pack_count; i++) {
		const struct indexfile_pack *row = &c->packs[i].row;

		if (row->live_frames == 0)
			continue;
		counted.frames += row->frames;
		counted.bytes += row->bytes;
		counted.live_bytes += row->live_bytes;
		counted.packs[row->kind - 1][tablesums_size(row->bytes)]++;
	}
	return memcmp(&said, &counted, sizeof(said)) == 0 || wrong(c, "IX-9: the head's sums are wrong");
}

/* IX-12: the head's record sum, of all records that it does not collect. */
static bool
record_sum_equals(struct recount *c)
{
	struct recordsum said = { 0 }, there = { 0 };
	struct mem_buf raw = { 0 };
	bool same;
	int rc;

	if (index_table_count(c->ix) == 0)
		return true;
	rc = index_file_extra(index_table_at(c->ix, 0), INDEXFILE_RECORDS, &raw);
	same = rc == FOUND && recordsum_decode(&said, raw.p, raw.len) == CURSOR_OK;
	mem_buf_clear(&raw);
	for (size_t i = 0; i < c->here.count; i++)
		recordsum_add(&there, &c->here.items[i].sid);
	for (size_t i = 0; i < c->forgotten.count; i++)
		recordsum_add(&there, &c->forgotten.items[i].sid);
	return (same && recordsum_equal(&said, &there)) || wrong(c, "IX-12: the head's record sum is wrong");
}

static int
check_pack_name(void *arg, const char *text)
{
	struct recount *c = arg;
	struct name name;

	if (!name_unhex(&name, text)) {
		wrong(c, "I3: %s among the packs", text);
		return OK;
	}
	for (size_t i = 0; i < c->pack_count; i++)
		if (name_cmp(&c->packs[i].name, &name) == 0 && c->packs[i].row.live_frames)
			return OK;
	wrong(c, "I3: dead pack %.12s is left", text);
	return OK;
}

static int
check_tmp_name(void *arg, const char *text)
{
	wrong(arg, "I3: tmp/%s is left", text);
	return OK;
}

static int
check_index_name(void *arg, const char *text)
{
	struct recount *c = arg;
	uint64_t number;

	if (index_file_parse_table(text, &number))
		for (size_t i = 0; i < index_table_count(c->ix); i++)
			if (index_file_header(index_table_at(c->ix, i))->number == number) {
				c->tables_seen++;
				return OK;
			}
	wrong(c, "I3: index/%s is left", text);
	return OK;
}

static bool
names_equal(struct recount *c)
{
	char dir[16];

	for (unsigned i = 0; i < 256; i++) {
		snprintf(dir, sizeof(dir), "packs/%02x", i);
		if (!well(c, io_list(c->r->io, dir, check_pack_name, c), "packs"))
			return false;
	}
	if (!well(c, io_list(c->r->io, "tmp", check_tmp_name, c), "tmp") ||
	    !well(c, io_list(c->r->io, "index", check_index_name, c), "index"))
		return false;
	for (size_t i = 0; i < c->forgotten.count; i++)
		if (collected(c, &c->forgotten.items[i].sid))
			return wrong(c, "I3: a collected record is left");
	return c->res->why[0] == 0;
}

static bool
run(struct recount *c, enum support_recount how)
{
	if (!well(c, snapshots_load(c->r, false, NULL, NULL, &c->here), "snapshots") ||
	    !well(c, snapshots_load(c->r, true, NULL, NULL, &c->forgotten), "forgotten") ||
	    !well(c, index_load(c->r, &c->ix), "index") ||
	    !well(c, reader_new(c->r, c->ix, 8u << 20, &c->rd), "reader"))
		return false;
	if (!roots(c) || !follow(c) || !read_index(c) || !enough(c))
		return false;
	return how == SUPPORT_RECOUNT_SAFE || (counts_equal(c) && packs_equal(c) && sums_equal(c) && record_sum_equals(c) &&
	    names_equal(c));
}

bool
support_recount(struct repo *r, enum support_recount how, struct support_recount_result *res)
{
	struct recount c = { .r = r, .res = res };
	bool ok;

	*res = (struct support_recount_result){ 0 };
	ok = well(&c, io_lock(r->io, IO_SHARED, false), "lock") && run(&c, how);
	(void)!io_lock(r->io, IO_UNLOCKED, false);
	reader_free(c.rd);
	index_free(c.ix);
	snapshots_clear(&c.here);
	snapshots_clear(&c.forgotten);
	free(c.truth.p);
	free(c.truth.hash);
	free(c.index.p);
	free(c.index.hash);
	free(c.packs);
	free(c.frames);
	free(c.todo);
	return ok;
}
