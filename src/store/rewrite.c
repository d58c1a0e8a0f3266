/*
 * rewrite: every living chunk of the chosen packs is moved, family by family (family.h).
 *
 *     depth 0                                       stored anew (small chunks share blocks again)
 *     a delta of a family whose bases all live      its block is copied as it is
 *       on their own
 *     any other family                              as planned (pedigree.h): bases that nothing needs any more die with this
 *
 * A chunk is always deeper than its base, so that none stand on each other.  In a plan those that stand on others come first: no
 * chunk that was moved loses its last use by a later move.  What cannot be read stays where it is, and so does its pack.
 */
#include "store/rewrite.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "store/family.h"
#include "store/packer.h"
#include "store/pedigree.h"
#include "store/pick.h"
#include "sys/host.h"
#include "sys/signals.h"

#define FINE_FRAMES 4u                  /* in a pack, at least ... */
#define FINE_LEN (2u * PACKER_FINE)     /* ... and no longer: what does not compress, and differences */

struct spot {                           /* where the packer has put it */
	uint32_t cell, frame;
	uint16_t slot;
};

struct rewrite {
	struct counts *c;
	const struct rewrite_policy *policy;
	struct rewrite_stats *stats;
	struct pick pick;
	struct family_item *items;      /* living chunks of the chosen packs */
	size_t item_count, item_cap;
	struct spot *spots;
	size_t spot_count, spot_cap;
	int spot_rc;                    /* of the packer's callback */
	struct packer *packer;
	struct name *names;
	size_t name_count;
	struct pedigree *pedigree;
	uint32_t frame;                 /* being gathered */
	uint64_t plain;                 /* bytes of chunks in it that are no differences */
	bool fine;                      /* it is a small one */
};

/* ------------------------------------------------------------------------------------------------------ gathering */

/* A chunk that is found where the counts have it lives. */
static int
gather_chunk(void *arg, const struct reader_chunk *ch)
{
	struct rewrite *rw = arg;
	struct counts *c = rw->c;
	struct counts_bases bases;
	const struct counts_copy *copy;
	uint32_t cell;
	int rc = counts_find_cell(c, &ch->id, ch->type, &cell);

	rw->plain += ch->depth ? 0 : ch->len;
	if (rc != FOUND)
		return rc;
	copy = &c->copies[c->cells[cell].copies];
	if (copy->frame != rw->frame || copy->slot != ch->slot)
		return OK;
	if ((rc = counts_find_bases(c, &ch->bases, ch->type, &bases)))
		return rc;
	if ((rc = mem_grow((void **)&rw->items, &rw->item_cap, rw->item_count + 1, sizeof(*rw->items))))
		return rc;
	rw->items[rw->item_count++] = (struct family_item){ .cell = cell, .frame = rw->frame, .slot = ch->slot, .depth = ch->depth,
		.bases = bases, .len = ch->len };
	return OK;
}

static int
gather_frame(struct rewrite *rw, uint32_t pack)
{
	const struct indexfile_frame *f = &rw->c->frames[rw->frame].row;
	const struct indexfile_pack *p = &rw->c->packs[pack].row;
	struct index_place at = { .pack_name = p->name, .pack_kind = p->kind, .ordinal = f->ordinal, .off = f->off, .len = f->len };
	size_t first = rw->item_count;
	uint32_t frames = p->frames;
	int rc = index_pack_number(rw->c->index, p, &at.pack_no);

	if (rc)
		return rc;
	rw->stats->bytes_read += f->len;
	rw->plain = 0;
	/* Looking chunks up moves the tables that f and p point into. */
	rc = reader_frame(rw->c->reader, &at, gather_chunk, rw);
	/* The last one may be short because there was no more. */
	if (at.ordinal + 1 < frames)
		rw->fine = at.pack_kind == PACKFILE_DATA && frames >= FINE_FRAMES && rw->plain <= PACKER_FINE && at.len <= FINE_LEN;
	for (size_t i = first; i < rw->item_count; i++)
		rw->items[i].fine = rw->fine;
	return err_is_damage(rc) ? OK : rc;
}

static int
gather_pack(struct rewrite *rw, const struct indexfile_pack *row)
{
	uint32_t pack;
	int rc = counts_find_pack(rw->c, &row->name, &pack);

	if (rc != FOUND)
		return rc;
	rw->fine = false;
	for (uint32_t i = 0; i < row->frames; i++) {
		if ((rc = signals_check()) || (rc = counts_find_frame(rw->c, pack, i, &rw->frame)) < 0)
			return rc;
		/* Of dead frames tables may have no row any more. */
		if (rc == FOUND && rw->c->frames[rw->frame].row.live > 0 && (rc = gather_frame(rw, pack)))
			return rc;
	}
	return OK;
}

/* ------------------------------------------------------------------------------------------------------- pulling */

static int
cell_order(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Candidates by number of the pack in counts. */
static int
map_candidates(struct rewrite *rw, struct pick_pack ***out)
{
	uint32_t pack;
	int rc = mem_new((void **)out, mem_array(rw->c->pack_count + 1, sizeof(**out)));

	for (size_t i = 0; rc == OK && i < rw->pick.count; i++) {
		rw->pick.packs[i].hollow = 0;
		if ((pack = counts_touched(rw->c, &rw->pick.packs[i].row.name)) != COUNTS_NONE)
			(*out)[pack] = &rw->pick.packs[i];
	}
	return rc;
}

/* It lives for others only. */
static bool
is_hollow(const struct counts *c, uint32_t cell)
{
	return c->cells[cell].refs <= 0 && c->cells[cell].copies != COUNTS_NONE;
}

/* Each such base, once; how many. */
static int
hollow_bases(const struct rewrite *rw, uint32_t **out, size_t *count)
{
	const struct counts *c = rw->c;
	uint32_t *list = NULL;
	size_t n = 0, unique = 0;
	int rc = mem_new((void **)&list, mem_array(FRAME_BASES_MAX * rw->item_count + 1, sizeof(*list)));

	for (size_t i = 0; rc == OK && i < rw->item_count; i++) {
		const struct counts_bases *b = &rw->items[i].bases;

		for (unsigned k = 0; k < b->count; k++)
			if (is_hollow(c, b->cell[k]))
				list[n++] = b->cell[k];
	}
	if (n)
		qsort(list, n, sizeof(*list), cell_order);
	for (size_t i = 0; i < n; i++)
		if (unique == 0 || list[unique - 1] != list[i])
			list[unique++] = list[i];
	*out = list;
	*count = unique;
	return rc;
}

/* How many bytes of them are in which pack, about. */
static int
weigh_hollow(struct rewrite *rw)
{
	const struct counts *c = rw->c;
	struct pick_pack **of = NULL;
	uint32_t *bases = NULL;
	size_t count;
	int rc;

	if ((rc = map_candidates(rw, &of)) || (rc = hollow_bases(rw, &bases, &count)))
		goto out;
	for (size_t i = 0; i < count; i++) {
		const struct indexfile_frame *f = &c->frames[c->copies[c->cells[bases[i]].copies].frame].row;

		if (of[f->pack])
			of[f->pack]->hollow += f->len / f->chunks;
	}
out:
	free(of);
	free(bases);
	return rc;
}

/*
 * What is moved may stand on bases in packs that are not: these could go, but for where they are.  A pack with a share of such bytes as one
 * of dead bytes would have to have is moved, too.
 */
static int
pull_packs(struct rewrite *rw)
{
	bool again = !rw->policy->small_only;
	int rc = OK;

	while (again && (rc = weigh_hollow(rw)) == OK) {
		again = false;
		for (size_t i = 0; rc == OK && i < rw->pick.count; i++) {
			struct pick_pack *k = &rw->pick.packs[i];

			if (k->chosen || !k->hollow || rw->pick.total + k->row.live_bytes > rw->policy->max_bytes ||
			    k->unused + k->hollow < k->row.bytes / 1000 * rw->policy->max_unused)
				continue;
			k->chosen = again = true;
			rw->pick.total += k->row.live_bytes;
			rc = gather_pack(rw, &k->row);
		}
	}
	return rc;
}

/* --------------------------------------------------------------------------------------------------------- moving */

/* Told by the packer when a frame is closed. */
static void
placed(void *arg, uint32_t cell, uint32_t frame, uint16_t slot)
{
	struct rewrite *rw = arg;
	int rc = mem_grow((void **)&rw->spots, &rw->spot_cap, rw->spot_count + 1, sizeof(*rw->spots));

	if (rc)
		rw->spot_rc = rc;
	else
		rw->spots[rw->spot_count++] = (struct spot){ cell, frame, slot };
}

/* A difference, on the bases it has. */
static int
copy_delta(struct rewrite *rw, const struct family_item *it, uint8_t depth)
{
	struct counts_cell *cell = &rw->c->cells[it->cell];
	struct index_place place;
	struct frame_block b;
	const uint8_t *stored;
	int rc;

	if ((rc = counts_place(rw->c, it->cell, &place)) || (rc = reader_delta(rw->c->reader, &place, &b, &stored)))
		return rc;
	b.depth = depth;
	if ((rc = packer_copy(rw->packer, cell->type, &cell->id, &b, stored, it->cell)))
		return rc;
	return counts_move(rw->c, it->cell, &it->bases, depth, &it->bases);
}

static int
store_whole(struct rewrite *rw, const struct family_item *it)
{
	const struct counts_cell *cell = &rw->c->cells[it->cell];
	const uint8_t *p;
	uint8_t depth;
	size_t len;
	int rc;

	if ((rc = reader_get(rw->c->reader, &cell->id, cell->type, &p, &len)) ||
	    (rc = packer_add(rw->packer, cell->type, &cell->id, p, len, NULL, it->cell, &depth)))
		return rc;
	return counts_move(rw->c, it->cell, NULL, 0, NULL);
}

/* As it is; but what it stands on may have come up meanwhile. */
static int
move_as_is(struct rewrite *rw, const struct family_item *it)
{
	const struct counts *c = rw->c;
	unsigned depth = 0;

	if (it->bases.count == 0)
		return store_whole(rw, it);
	for (unsigned i = 0; i < it->bases.count; i++) {
		uint32_t copy = c->cells[it->bases.cell[i]].copies;

		depth += copy == COUNTS_NONE ? it->depth : 1u + c->copies[copy].depth;
	}
	return copy_delta(rw, it, depth < it->depth ? (uint8_t)depth : it->depth);
}

static int
move_planned(struct rewrite *rw, const struct family_item *it, const struct pedigree_choice *ch)
{
	struct counts *c = rw->c;
	const struct counts_cell *cell = &c->cells[it->cell];
	struct packer_base b = { .p = ch->base_p, .len = ch->base_len, .count = 1, .depth = (uint8_t)(ch->base_depth + 1) };
	const struct counts_bases on = { { ch->base }, 1 };
	bool whole = ch->base == COUNTS_NONE;
	uint8_t depth;
	int rc;

	if (!whole && it->bases.count == 1 && ch->base == it->bases.cell[0])
		return copy_delta(rw, it, ch->depth);
	if (!whole)
		b.id[0] = c->cells[ch->base].id;
	if ((rc = packer_add(rw->packer, cell->type, &cell->id, ch->p, ch->len, whole ? NULL : &b, it->cell, &depth)))
		return rc;
	assert(depth <= ch->depth);
	rw->stats->rebased += it->depth > 0;
	return counts_move(c, it->cell, &it->bases, depth, depth ? &on : NULL);
}

/* What does not live in its old place any more died with what stood on it. */
static size_t
still_there(const struct rewrite *rw, struct family_item *items, size_t count)
{
	const struct counts *c = rw->c;
	size_t n = 0;

	for (size_t i = 0; i < count; i++)
		if (c->cells[items[i].cell].copies != COUNTS_NONE && c->copies[c->cells[items[i].cell].copies].frame == items[i].frame)
			items[n++] = items[i];
	return n;
}

static int
move_family(struct rewrite *rw, struct family_item *items, size_t count)
{
	struct pedigree_choice ch;
	bool fine = true;
	int rc;

	for (size_t i = 0; i < count; i++)
		fine = fine && items[i].fine;
	if ((rc = packer_fine(rw->packer, fine)))
		return rc;
	count = still_there(rw, items, count);
	if ((rc = pedigree_plan(rw->pedigree, items, count)) < 0)
		return rc;
	if (rc == FOUND) {
		/* All or nothing: with a part of it chunks could be less deep than what they stand on. */
		for (size_t i = 0; pedigree_choice(rw->pedigree, i, &ch); i++) {
			if ((rc = move_planned(rw, &items[ch.item], &ch)))
				return rc;
			rw->stats->chunks++;
		}
		return counts_cascade(rw->c);
	}
	for (size_t i = 0; i < count; i++) {
		rc = move_as_is(rw, &items[i]);
		if (rc && !err_is_damage(rc))
			return rc;
		rw->stats->chunks += rc == OK;
	}
	return counts_cascade(rw->c);
}

static int
move_all(struct rewrite *rw)
{
	size_t end;
	int rc;

	reader_copying(rw->c->reader);
	if ((rc = family_sort(rw->items, rw->item_count, rw->c->cell_count)) ||
	    (rc = pedigree_new(rw->c, &rw->pedigree)) ||
	    (rc = packer_new(rw->c->repo, host_cpus(), 3, placed, rw, &rw->packer)))
		return rc;
	for (size_t i = 0; rc == OK && i < rw->item_count; i = end) {
		for (end = i + 1; end < rw->item_count && rw->items[end].family == rw->items[i].family; end++)
			continue;
		if ((rc = signals_check()) == OK)
			rc = move_family(rw, rw->items + i, end - i);
		if (rw->policy->progress && (i % 64 == 0 || end - i > 1))
			rw->policy->progress(rw->policy->arg, packer_bytes(rw->packer), rw->pick.total);
	}
	if (rc == OK)
		rc = packer_flush(rw->packer);
	return rc ? rc : rw->spot_rc;
}

static int
names_order(const void *a, const void *b)
{
	return name_cmp(a, b);
}

/* The packer's packs and frames are counted, and every moved chunk gets its place. */
static int
adopt(struct rewrite *rw)
{
	const struct packer_pack *packs;
	const struct packer_frame *frames;
	uint32_t pack_count, frame_count, *pack_of = NULL, *frame_of = NULL;
	int rc;

	packs = packer_packs(rw->packer, &pack_count);
	frames = packer_frames(rw->packer, &frame_count);
	if ((rc = mem_new((void **)&pack_of, mem_array(pack_count, sizeof(*pack_of)))) ||
	    (rc = mem_new((void **)&frame_of, mem_array(frame_count, sizeof(*frame_of)))) ||
	    (rc = mem_new((void **)&rw->names, mem_array(pack_count, sizeof(*rw->names)))))
		goto out;
	for (uint32_t i = 0; rc == OK && i < pack_count; i++) {
		struct indexfile_pack row = { .name = packs[i].name, .bytes = packs[i].bytes, .frames = packs[i].frames,
			.kind = packs[i].kind };

		rw->names[rw->name_count++] = packs[i].name;
		rw->stats->bytes_written += packs[i].bytes;
		rc = counts_add_pack(rw->c, &row, &pack_of[i]);
	}
	for (uint32_t i = 0; rc == OK && i < frame_count; i++) {
		struct indexfile_frame row = { .pack = pack_of[frames[i].pack], .ordinal = frames[i].ordinal, .off = frames[i].off,
			.len = frames[i].len, .chunks = frames[i].chunks };

		rc = counts_add_frame(rw->c, &row, &frame_of[i]);
	}
	for (size_t i = 0; rc == OK && i < rw->spot_count; i++)
		counts_moved(rw->c, rw->spots[i].cell, frame_of[rw->spots[i].frame], rw->spots[i].slot);
	if (rw->name_count)
		qsort(rw->names, rw->name_count, sizeof(*rw->names), names_order);
out:
	free(pack_of);
	free(frame_of);
	return rc;
}

/* ------------------------------------------------------------------------------------------------------ the whole */

int
rewrite_wanted(struct repo *r, struct index *ix, const struct rewrite_policy *policy, struct rewrite_stats *stats)
{
	struct counts c;
	struct pick pick = { .c = &c, .policy = policy, .stats = stats };
	int rc;

	counts_init(&c, r, ix, NULL);
	rc = pick_packs(&pick);
	stats->more = false;
	rc = rc ? rc : pick.total ? FOUND : OK;
	pick_clear(&pick);
	return rc;
}

static int
run(struct rewrite *rw)
{
	int rc;

	if ((rc = pick_packs(&rw->pick)))
		return rc;
	for (size_t i = 0; i < rw->pick.count; i++)
		if (rw->pick.packs[i].chosen && (rc = gather_pack(rw, &rw->pick.packs[i].row)))
			return rc;
	if (rw->item_count == 0)
		return OK;
	if ((rc = pull_packs(rw)))
		return rc;
	rc = move_all(rw);
	return rc ? rc : adopt(rw);
}

/* Packs of which nothing is left. */
static uint64_t
emptied(const struct rewrite *rw)
{
	uint64_t n = 0;
	uint32_t pack;

	for (size_t i = 0; i < rw->pick.count; i++) {
		pack = counts_touched(rw->c, &rw->pick.packs[i].row.name);
		n += rw->pick.packs[i].chosen && pack != COUNTS_NONE && rw->c->packs[pack].row.live_frames == 0;
	}
	return n;
}

int
rewrite_run(struct counts *c, const struct rewrite_policy *policy, struct rewrite_stats *stats, struct rewrite **out)
{
	struct rewrite *rw;
	uint64_t packs;
	int rc;

	*out = NULL;
	if ((rc = MEM_NEW(rw)))
		return rc;
	rw->c = c;
	rw->policy = policy;
	rw->stats = stats;
	rw->pick = (struct pick){ .c = c, .policy = policy, .stats = stats };
	if ((rc = run(rw)) || rw->item_count == 0)
		goto out;
	packs = emptied(rw);
	stats->packs += packs;
	/* What cannot be read keeps its pack: another step would do the same again. */
	stats->more = stats->more && packs > 0;
out:
	if (rc || rw->item_count == 0)
		rw = rewrite_free(rw);
	*out = rw;
	return rc;
}

const struct name *
rewrite_names(const struct rewrite *rw, size_t *count)
{
	*count = rw ? rw->name_count : 0;
	return rw ? rw->names : NULL;
}

int
rewrite_publish(struct rewrite *rw)
{
	return rw ? packer_publish(rw->packer) : OK;
}

struct rewrite *
rewrite_free(struct rewrite *rw)
{
	if (!rw)
		return NULL;
	packer_free(rw->packer);
	pedigree_free(rw->pedigree);
	pick_clear(&rw->pick);
	free(rw->items);
	free(rw->spots);
	free(rw->names);
	free(rw);
	return NULL;
}
