/*
 * counts: cells, copies, frames and packs are found by open-addressing hashes over arrays; indices stay valid as arrays grow.
 *
 * Invariants after counts_cascade: 1. a cell with refs or uses above 0 has exactly one copy, the one index_find chose; others none.
 *                                  2. frame.live is the number of copies left in it, pack.live_frames of frames with live > 0.
 *                                  3. a node is counted if and only if refs > 0.
 */
#include "store/counts.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "store/children.h"
#include "store/index_file.h"

void
counts_init(struct counts *c, struct repo *r, struct index *ix, struct reader *rd)
{
	*c = (struct counts){ .repo = r, .index = ix, .reader = rd };
}

void
counts_clear(struct counts *c)
{
	free(c->cells);
	free(c->copies);
	free(c->frames);
	free(c->packs);
	free(c->cell_hash);
	free(c->frame_hash);
	free(c->pack_hash);
	free(c->todo);
	*c = (struct counts){ 0 };
}

/* ------------------------------------------------------------------------------------------------------- hashes */

static size_t
hash_name(const struct name *n)
{
	size_t h;

	memcpy(&h, n->b, sizeof(h));
	return h;
}

static size_t
hash_frame(uint32_t pack, uint32_t ordinal)
{
	return ((size_t)pack << 20 ^ ordinal) * 0x9e3779b97f4a7c15ull >> 17;
}

static size_t
cell_slot(const struct counts *c, const struct name *id)
{
	size_t h = hash_name(id) & (c->cell_size - 1);

	while (c->cell_hash[h] && name_cmp(&c->cells[c->cell_hash[h] - 1].id, id) != 0)
		h = (h + 1) & (c->cell_size - 1);
	return h;
}

static size_t
pack_slot(const struct counts *c, const struct name *name)
{
	size_t h = hash_name(name) & (c->pack_size - 1);

	while (c->pack_hash[h] && name_cmp(&c->packs[c->pack_hash[h] - 1].row.name, name) != 0)
		h = (h + 1) & (c->pack_size - 1);
	return h;
}

static size_t
frame_slot(const struct counts *c, uint32_t pack, uint32_t ordinal)
{
	size_t h = hash_frame(pack, ordinal) & (c->frame_size - 1);

	for (; c->frame_hash[h]; h = (h + 1) & (c->frame_size - 1)) {
		const struct indexfile_frame *f = &c->frames[c->frame_hash[h] - 1].row;

		if (f->pack == pack && f->ordinal == ordinal)
			break;
	}
	return h;
}

/* Empty hash of at least twice count slots; true when it was made anew and must be filled. */
static int
hash_room(uint32_t **hash, size_t *size, size_t count, bool *fresh)
{
	size_t n = *size ? *size : 256;

	*fresh = false;
	if (count * 2 < *size)
		return OK;
	while (count * 2 >= n)
		n *= 2;
	free(*hash);
	*size = n;
	*fresh = true;
	return mem_new((void **)hash, mem_array(n, sizeof(uint32_t)));
}

/* --------------------------------------------------------------------------------------------- packs and frames */

/* A pack as the newest table that has it says; *found false when none has. */
static int
settled_pack(struct counts *c, const struct name *name, struct indexfile_pack *p, bool *found)
{
	int rc = OK;

	for (size_t i = 0; rc == OK && i < index_table_count(c->index); i++)
		rc = index_file_find_pack(index_table_at(c->index, i), name, p, NULL);
	*found = rc == FOUND;
	return rc < 0 ? rc : OK;
}

static int
touch_pack(struct counts *c, const struct indexfile_pack *from, bool settled, uint32_t *out)
{
	struct indexfile_pack row = *from;
	bool fresh, known = false;
	size_t h;
	int rc;

	if ((rc = hash_room(&c->pack_hash, &c->pack_size, c->pack_count + 1, &fresh)))
		return rc;
	for (size_t i = 0; fresh && i < c->pack_count; i++)
		c->pack_hash[pack_slot(c, &c->packs[i].row.name)] = (uint32_t)i + 1;
	h = pack_slot(c, &from->name);
	if (!c->pack_hash[h]) {
		if ((settled && (rc = settled_pack(c, &from->name, &row, &known))) ||
		    (rc = mem_grow((void **)&c->packs, &c->pack_cap, c->pack_count + 1, sizeof(*c->packs))))
			return rc;
		c->packs[c->pack_count++] = (struct counts_pack){ .row = row, .known = known,
			.was_live_bytes = known ? row.live_bytes : 0, .was_live_frames = known ? row.live_frames : 0 };
		c->pack_hash[h] = (uint32_t)c->pack_count;
	}
	*out = c->pack_hash[h] - 1;
	return OK;
}

/* f->live as the newest table that has the frame says. */
static int
settled_frame(struct counts *c, const struct name *pack_name, struct indexfile_frame *f)
{
	struct indexfile_frame row;
	struct indexfile_pack p;
	uint32_t pack;
	int rc = OK;

	for (size_t i = 0; rc == OK && i < index_table_count(c->index); i++) {
		struct index_file *t = index_table_at(c->index, i);

		rc = index_file_find_pack(t, pack_name, &p, &pack);
		if (rc == FOUND)
			rc = index_file_find_frame(t, pack, f->ordinal, &row);
	}
	if (rc == FOUND)
		f->live = row.live;
	return rc < 0 ? rc : OK;
}

static int
touch_frame(struct counts *c, uint32_t pack, const struct indexfile_frame *from, bool settled, uint32_t *out)
{
	struct indexfile_frame row = *from;
	bool fresh;
	size_t h;
	int rc;

	if ((rc = hash_room(&c->frame_hash, &c->frame_size, c->frame_count + 1, &fresh)))
		return rc;
	for (size_t i = 0; fresh && i < c->frame_count; i++)
		c->frame_hash[frame_slot(c, c->frames[i].row.pack, c->frames[i].row.ordinal)] = (uint32_t)i + 1;
	h = frame_slot(c, pack, from->ordinal);
	if (!c->frame_hash[h]) {
		if ((settled && (rc = settled_frame(c, &c->packs[pack].row.name, &row))) ||
		    (rc = mem_grow((void **)&c->frames, &c->frame_cap, c->frame_count + 1, sizeof(*c->frames))))
			return rc;
		row.pack = pack;
		c->frames[c->frame_count++] = (struct counts_frame){ .row = row, .known = settled };
		c->frame_hash[h] = (uint32_t)c->frame_count;
	}
	*out = c->frame_hash[h] - 1;
	return OK;
}

/* ------------------------------------------------------------------------------------------------------- cells */

static int
add_copy(struct counts *c, struct counts_cell *cell, uint32_t frame, const struct indexfile_row *row)
{
	int rc = mem_grow((void **)&c->copies, &c->copy_cap, c->copy_count + 1, sizeof(*c->copies));

	if (rc)
		return rc;
	c->copies[c->copy_count] = (struct counts_copy){ .next = cell->copies, .frame = frame, .slot = row->slot, .depth = row->depth };
	cell->copies = (uint32_t)c->copy_count++;
	return OK;
}

/* Fill a new cell from the newest table that has a row for it. */
static int
load_cell(struct counts *c, struct counts_cell *cell)
{
	struct indexfile_row row;
	struct indexfile_frame f;
	struct indexfile_pack p;
	uint32_t pack, frame;
	int rc;

	for (size_t i = 0; i < index_table_count(c->index); i++) {
		struct index_file *t = index_table_at(c->index, i);

		if ((rc = index_file_find(t, &cell->id, &row)) < 0)
			return rc;
		if (rc != FOUND)
			continue;
		cell->known = true;
		if (row.frame == INDEXFILE_NO_FRAME)
			return OK;
		cell->refs = row.refs;
		cell->uses = row.uses;
		cell->counted = row.refs > 0;
		cell->type = row.type;
		if ((rc = index_file_frame(t, row.frame, &f)) || (rc = index_file_pack(t, f.pack, &p)) ||
		    (rc = touch_pack(c, &p, true, &pack)) || (rc = touch_frame(c, pack, &f, true, &frame)))
			return rc;
		return add_copy(c, cell, frame, &row);
	}
	return OK;
}

static int
touch(struct counts *c, const struct name *id, uint8_t type, struct counts_cell **out)
{
	struct counts_cell *cell;
	bool fresh;
	size_t h;
	int rc;

	if ((rc = hash_room(&c->cell_hash, &c->cell_size, c->cell_count + 1, &fresh)))
		return rc;
	for (size_t i = 0; fresh && i < c->cell_count; i++)
		c->cell_hash[cell_slot(c, &c->cells[i].id)] = (uint32_t)i + 1;
	h = cell_slot(c, id);
	if (!c->cell_hash[h]) {
		if ((rc = mem_grow((void **)&c->cells, &c->cell_cap, c->cell_count + 1, sizeof(*c->cells))))
			return rc;
		cell = &c->cells[c->cell_count];
		*cell = (struct counts_cell){ .id = *id, .type = type, .copies = COUNTS_NONE };
		if ((rc = load_cell(c, cell)))
			return rc;
		c->cell_hash[h] = (uint32_t)++c->cell_count;
	}
	*out = &c->cells[c->cell_hash[h] - 1];
	return OK;
}

static int
enqueue(struct counts *c, struct counts_cell *cell)
{
	int rc = cell->queued ? FOUND : mem_grow((void **)&c->todo, &c->todo_cap, c->todo_count + 1, sizeof(*c->todo));

	if (rc)
		return rc < 0 ? rc : OK;
	c->todo[c->todo_count++] = (uint32_t)(cell - c->cells);
	cell->queued = true;
	return OK;
}

static int
add_refs(struct counts *c, const struct name *id, uint8_t type, int64_t n)
{
	struct counts_cell *cell;
	int rc = touch(c, id, type, &cell);

	if (rc == OK)
		cell->refs += n;
	return rc ? rc : enqueue(c, cell);
}

/* ------------------------------------------------------------------------------------------------------ summing */

static int
absorb_rows(struct counts *c, struct index_file *seg, const uint32_t *frame_of)
{
	const struct indexfile_header *h = index_file_header(seg);
	struct counts_cell *cell;
	struct indexfile_row row;
	int rc;

	for (uint64_t i = 0; i < h->row_count; i++) {
		if ((rc = index_file_row(seg, i, &row)) || (rc = touch(c, &row.id, row.type, &cell)))
			return rc;
		if (row.refs)
			return fail(ERR_CORRUPT, "a segment counts references");
		cell->uses += row.uses;
		if (row.frame != INDEXFILE_NO_FRAME) {
			if (row.frame >= h->frame_count)
				return fail(ERR_CORRUPT, "a segment places a chunk in a frame it does not have");
			if ((rc = add_copy(c, cell, frame_of[row.frame], &row)))
				return rc;
		}
		if ((rc = enqueue(c, cell)))
			return rc;
	}
	return OK;
}

int
counts_absorb(struct counts *c, struct index_file *seg)
{
	const struct indexfile_header *h = index_file_header(seg);
	struct indexfile_frame f;
	struct indexfile_pack p;
	uint32_t *frame_of = NULL, pack;
	int rc = mem_new((void **)&frame_of, mem_array(h->frame_count, sizeof(uint32_t)));

	for (uint32_t i = 0; rc == OK && i < h->frame_count; i++)
		if ((rc = index_file_frame(seg, i, &f)) == OK && (rc = index_file_pack(seg, f.pack, &p)) == OK &&
		    (rc = touch_pack(c, &p, false, &pack)) == OK)
			rc = touch_frame(c, pack, &f, false, &frame_of[i]);
	if (rc == OK)
		rc = absorb_rows(c, seg, frame_of);
	free(frame_of);
	return rc;
}

int
counts_root(struct counts *c, const struct name *root, int n)
{
	return add_refs(c, root, FRAME_TREE, n);
}

/* ------------------------------------------------------------------------------------------------------ cascade */

static int
name_order(const void *a, const void *b)
{
	return name_cmp(a, b);
}

struct child {
	struct name id;                 /* first, for name_order */
	uint8_t type;
};

struct children {
	struct child *p;
	size_t count, cap;
};

static int
child_add(void *arg, const struct name *id, uint8_t type)
{
	struct children *k = arg;
	int rc = mem_grow((void **)&k->p, &k->cap, k->count + 1, sizeof(*k->p));

	if (rc == OK)
		k->p[k->count++] = (struct child){ .id = *id, .type = type };
	return rc;
}

/* Each distinct child of the node gains n references. */
static int
add_children(struct counts *c, uint32_t cell, int64_t n)
{
	struct children k = { 0 };
	const struct name id = c->cells[cell].id;
	const uint8_t *p;
	size_t len;
	int rc = reader_get(c->reader, &id, c->cells[cell].type, &p, &len);

	if (rc == OK)
		rc = children_each(c->cells[cell].type, p, len, child_add, &k);
	if (rc)
		goto out;
	c->nodes_read++;
	if (k.count)
		qsort(k.p, k.count, sizeof(*k.p), name_order);
	for (size_t i = 0; rc == OK && i < k.count; i++)
		if (i == 0 || name_cmp(&k.p[i].id, &k.p[i - 1].id) != 0)
			rc = add_refs(c, &k.p[i].id, k.p[i].type, n);
out:
	free(k.p);
	return rc;
}

static int
place_of(struct counts *c, const struct counts_copy *copy, uint8_t type, struct index_place *place)
{
	const struct indexfile_frame *f = &c->frames[copy->frame].row;
	const struct indexfile_pack *p = &c->packs[f->pack].row;

	*place = (struct index_place){ .pack_name = p->name, .pack_kind = p->kind, .ordinal = f->ordinal,
		.off = f->off, .len = f->len, .slot = copy->slot, .depth = copy->depth, .type = type };
	return index_pack_number(c->index, p, &place->pack_no);
}

static int
lose_uses(struct counts *c, const struct counts_bases *bases)
{
	int rc = OK;

	for (unsigned i = 0; rc == OK && i < bases->count; i++) {
		c->cells[bases->cell[i]].uses--;
		rc = enqueue(c, &c->cells[bases->cell[i]]);
	}
	return rc;
}

/* A delta block dies: its bases lose a use. */
static int
release_bases(struct counts *c, const struct counts_copy *copy, uint8_t type)
{
	struct reader_bases names;
	struct counts_bases bases = copy->bases;
	struct index_place place;
	int rc;

	if (bases.count)
		return lose_uses(c, &bases);
	if ((rc = place_of(c, copy, type, &place)))
		return rc;
	if ((rc = reader_bases(c->reader, &place, &names)))
		return err_is_damage(rc) ? OK : rc;
	return (rc = counts_find_bases(c, &names, type, &bases)) ? rc : lose_uses(c, &bases);
}

static uint64_t
live_bytes(const struct indexfile_frame *f)
{
	return (uint64_t)f->len * f->live / f->chunks;
}

/* One chunk less in the frame. */
static int
leave_frame(struct counts *c, uint32_t frame)
{
	struct indexfile_frame *f = &c->frames[frame].row;
	struct indexfile_pack *p = &c->packs[f->pack].row;
	uint64_t before = p->live_bytes;

	if (f->live == 0 || p->live_frames == 0)
		return fail(ERR_CORRUPT, "the index's count of live chunks is too low");
	p->live_bytes -= live_bytes(f);
	f->live--;
	p->live_bytes += live_bytes(f);
	c->packs[f->pack].dropped += before - p->live_bytes;
	if (f->live == 0)
		p->live_frames--;
	return OK;
}

static int
drop_copy(struct counts *c, const struct counts_copy *copy, uint8_t type)
{
	int rc = copy->frame == COUNTS_NONE ? OK : leave_frame(c, copy->frame);

	return rc == OK && copy->depth ? release_bases(c, copy, type) : rc;
}

/* FOUND or OK. */
static int
copy_there(struct counts *c, uint32_t copy)
{
	uint32_t no, pack = c->frames[c->copies[copy].frame].row.pack;
	int rc = index_pack_number(c->index, &c->packs[pack].row, &no);

	return rc ? rc : index_pack_there(c->index, no);
}

/* The copy to keep of a list that is sorted newest first, as index_find chooses. */
static int
choose_copy(struct counts *c, uint32_t list, uint32_t *best)
{
	int there, rc;

	*best = list;
	if (list == COUNTS_NONE || c->copies[list].next == COUNTS_NONE)
		return OK;
	if ((there = copy_there(c, list)) < 0)
		return there;
	for (uint32_t i = c->copies[list].next; i != COUNTS_NONE; i = c->copies[i].next) {
		if ((rc = copy_there(c, i)) < 0)
			return rc;
		if (rc == there ? c->copies[i].depth < c->copies[*best].depth : rc == FOUND) {
			*best = i;
			there = rc;
		}
	}
	return OK;
}

/* Keep one copy if the chunk lives, none if not. */
static int
trim_copies(struct counts *c, uint32_t cell)
{
	uint32_t best = COUNTS_NONE, list = c->cells[cell].copies, next;
	bool lives = c->cells[cell].refs > 0 || c->cells[cell].uses > 0;
	struct counts_copy copy;
	int rc;

	if (lives && (rc = choose_copy(c, list, &best)))
		return rc;
	c->cells[cell].copies = best;
	for (uint32_t i = list; i != COUNTS_NONE; i = next) {
		next = c->copies[i].next;
		if (i == best)
			continue;
		copy = c->copies[i];
		c->chunks_removed++;
		if ((rc = drop_copy(c, &copy, c->cells[cell].type)))
			return rc;
	}
	if (best != COUNTS_NONE)
		c->copies[best].next = COUNTS_NONE;
	return OK;
}

int
counts_acquire(struct counts *c)
{
	struct counts_cell *cell;
	uint32_t *again = NULL, i;
	size_t again_count = 0, again_cap = 0;
	int rc = OK;

	while (rc == OK && c->todo_count) {
		i = c->todo[--c->todo_count];
		cell = &c->cells[i];
		cell->queued = false;
		if ((rc = mem_grow((void **)&again, &again_cap, again_count + 1, sizeof(*again))))
			break;
		again[again_count++] = i;
		if (cell->type == FRAME_DATA || cell->counted || cell->refs <= 0)
			continue;
		cell->counted = true;
		rc = err_context(add_children(c, i, 1), "a directory or list stored lately cannot be read");
	}
	/* All of them are looked at again for zeros. */
	for (size_t n = 0; rc == OK && n < again_count; n++)
		rc = enqueue(c, &c->cells[again[n]]);
	free(again);
	return rc;
}

/* Damage keeps counts too high until they are recounted; it never makes a settle lose anything. */
int
counts_cascade(struct counts *c)
{
	struct counts_cell *cell;
	uint32_t i;
	int rc;

	while (c->todo_count) {
		i = c->todo[--c->todo_count];
		cell = &c->cells[i];
		cell->queued = false;
		if (cell->counted && cell->refs <= 0) {
			cell->counted = false;
			if (cell->type != FRAME_DATA && (rc = add_children(c, i, -1)) && !err_is_damage(rc))
				return rc;
		}
		if (c->cells[i].refs < 0 || c->cells[i].uses < 0)
			return fail(ERR_CORRUPT, "a reference count fell below zero: run 'varve repair index'");
		if ((rc = trim_copies(c, i)))
			return rc;
	}
	return OK;
}

/* ------------------------------------------------------------------------------------------------------- moving */

uint32_t
counts_touched(const struct counts *c, const struct name *pack)
{
	return c->pack_size ? c->pack_hash[pack_slot(c, pack)] - 1 : COUNTS_NONE;
}

int
counts_find_pack(struct counts *c, const struct name *name, uint32_t *pack)
{
	struct indexfile_pack row;
	bool found;
	int rc;

	*pack = counts_touched(c, name);
	if (*pack != COUNTS_NONE)
		return FOUND;
	if ((rc = settled_pack(c, name, &row, &found)) || !found)
		return rc;
	rc = touch_pack(c, &row, true, pack);
	return rc ? rc : FOUND;
}

int
counts_find_frame(struct counts *c, uint32_t pack, uint32_t ordinal, uint32_t *frame)
{
	struct indexfile_frame row;
	struct indexfile_pack p;
	uint32_t at;
	int rc = OK;

	*frame = c->frame_size ? c->frame_hash[frame_slot(c, pack, ordinal)] - 1 : COUNTS_NONE;
	if (*frame != COUNTS_NONE)
		return FOUND;
	for (size_t i = 0; rc == OK && i < index_table_count(c->index); i++) {
		struct index_file *t = index_table_at(c->index, i);

		rc = index_file_find_pack(t, &c->packs[pack].row.name, &p, &at);
		if (rc == FOUND)
			rc = index_file_find_frame(t, at, ordinal, &row);
	}
	if (rc != FOUND)
		return rc;
	rc = touch_frame(c, pack, &row, true, frame);
	return rc ? rc : FOUND;
}

int
counts_find_cell(struct counts *c, const struct name *id, uint8_t type, uint32_t *cell)
{
	struct counts_cell *p;
	int rc = touch(c, id, type, &p);

	if (rc)
		return rc;
	*cell = (uint32_t)(p - c->cells);
	return p->copies == COUNTS_NONE ? OK : FOUND;
}

int
counts_find_bases(struct counts *c, const struct reader_bases *names, uint8_t type, struct counts_bases *out)
{
	int rc;

	for (out->count = 0; out->count < names->count; out->count++)
		if ((rc = counts_find_cell(c, &names->id[out->count], type, &out->cell[out->count])) < 0)
			return rc;
	return OK;
}

int
counts_place(struct counts *c, uint32_t cell, struct index_place *place)
{
	return place_of(c, &c->copies[c->cells[cell].copies], c->cells[cell].type, place);
}

int
counts_move(struct counts *c, uint32_t cell, const struct counts_bases *old, uint8_t depth, const struct counts_bases *bases)
{
	int rc = mem_grow((void **)&c->copies, &c->copy_cap, c->copy_count + 1, sizeof(*c->copies));

	if (rc || (rc = leave_frame(c, c->copies[c->cells[cell].copies].frame)))
		return rc;
	c->copies[c->copy_count] = (struct counts_copy){ .next = COUNTS_NONE, .frame = COUNTS_NONE, .depth = depth };
	if (bases)
		c->copies[c->copy_count].bases = *bases;
	c->cells[cell].copies = (uint32_t)c->copy_count++;
	for (unsigned i = 0; bases && i < bases->count; i++)
		c->cells[bases->cell[i]].uses++;
	return old ? lose_uses(c, old) : OK;
}

int
counts_add_pack(struct counts *c, const struct indexfile_pack *row, uint32_t *pack)
{
	return touch_pack(c, row, false, pack);
}

int
counts_add_frame(struct counts *c, const struct indexfile_frame *row, uint32_t *frame)
{
	return touch_frame(c, row->pack, row, false, frame);
}

void
counts_moved(struct counts *c, uint32_t cell, uint32_t frame, uint16_t slot)
{
	struct indexfile_frame *f = &c->frames[frame].row;
	struct indexfile_pack *p = &c->packs[f->pack].row;
	struct counts_copy *copy;

	if (c->cells[cell].copies == COUNTS_NONE)       /* it died meanwhile */
		return;
	copy = &c->copies[c->cells[cell].copies];
	copy->frame = frame;
	copy->slot = slot;
	p->live_bytes -= live_bytes(f);
	if (f->live++ == 0)
		p->live_frames++;
	p->live_bytes += live_bytes(f);
}
