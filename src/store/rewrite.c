/*
 * rewrite: every living chunk of the chosen packs is moved, the deepest first.
 *
 *     depth 0                                   stored anew (small chunks share blocks again)
 *     a delta whose base lives on its own       its block is copied as it is
 *     a delta whose base only serves it         stored on the nearest ancestor that lives on its own, or on another version of
 *                                               it (rebase.h), or whole: the ancestors in between die with this
 *
 * No chunk gets deeper: an ancestor is less deep than what stands on it.  Since the deepest come first, no chunk that was moved
 * loses its last use by a later move.  What cannot be read stays where it is, and so does its pack.
 */
#include "store/rewrite.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "store/index_file.h"
#include "store/packer.h"
#include "store/rebase.h"
#include "store/sums.h"
#include "sys/host.h"
#include "sys/signals.h"

#define SMALL (4u << 20)                /* packs below this are small */
#define CLASSES 4                       /* below 64 KiB, 512 KiB, 2 MiB, 4 MiB */
#define SLACK 64u                       /* rounding of live bytes is no dead byte */

struct candidate {
	struct indexfile_pack row;
	uint64_t unused;
	bool chosen;
};

struct item {                           /* a living chunk of a chosen pack */
	uint32_t cell, frame, base;
	uint16_t slot;
	uint8_t depth;
};

struct spot {                           /* where the packer has put it */
	uint32_t cell, frame;
	uint16_t slot;
};

struct rewrite {
	struct counts *c;
	const struct rewrite_policy *policy;
	struct rewrite_stats *stats;
	struct candidate *cand;
	size_t cand_count, cand_cap;
	struct item *items;
	size_t item_count, item_cap;
	struct spot *spots;
	size_t spot_count, spot_cap;
	int spot_rc;                    /* of the packer's callback */
	struct packer *packer;
	struct name *names;
	size_t name_count;
	struct rebase rebase;
	uint32_t frame;                 /* being gathered */
	uint64_t total;                 /* bytes to move */
};

/* ------------------------------------------------------------------------------------------------------- choosing */

static uint64_t
overhead(const struct indexfile_pack *p)
{
	return PACKFILE_HEADER_LEN + packfile_footer_bound(p->frames, (uint32_t)(p->bytes / PACKFILE_BLOCK) + 1) + SLACK;
}

static int
add_candidate(struct rewrite *rw, const struct indexfile_pack *p)
{
	uint64_t used = p->live_bytes + overhead(p);
	int rc;

	if (p->live_frames == 0)
		return OK;
	if ((rc = mem_grow((void **)&rw->cand, &rw->cand_cap, rw->cand_count + 1, sizeof(*rw->cand))))
		return rc;
	rw->stats->pack_bytes += p->bytes;
	rw->cand[rw->cand_count++] = (struct candidate){ .row = *p, .unused = p->bytes > used ? p->bytes - used : 0 };
	return OK;
}

/* Every pack with its newest row. */
static int
gather_packs(struct rewrite *rw)
{
	struct counts *c = rw->c;
	struct mem_buf seen = { 0 };
	struct indexfile_pack p;
	uint32_t no;
	int rc = OK;

	for (size_t i = 0; rc == OK && i < c->pack_count; i++)
		rc = add_candidate(rw, &c->packs[i].row);
	for (size_t t = 0; rc == OK && t < index_table_count(c->index); t++) {
		struct index_file *f = index_table_at(c->index, t);

		for (uint32_t i = 0; rc == OK && i < index_file_header(f)->pack_count; i++) {
			if ((rc = index_file_pack(f, i, &p)) || counts_touched(c, &p.name) != COUNTS_NONE ||
			    (rc = index_pack_number(c->index, &p, &no)))
				continue;
			if (no >= seen.len) {
				size_t more = no + 1024u - seen.len;

				if ((rc = mem_buf_reserve(&seen, more)))
					continue;
				memset(seen.p + seen.len, 0, more);
				seen.len += more;
			}
			if (!seen.p[no]++)
				rc = add_candidate(rw, &p);
		}
	}
	mem_buf_clear(&seen);
	return rc;
}

/* The greatest share of dead bytes first. */
static int
share_cmp(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;
	double sx = (double)x->unused / (double)x->row.bytes, sy = (double)y->unused / (double)y->row.bytes;

	return sx > sy ? -1 : sx < sy ? 1 : name_cmp(&x->row.name, &y->row.name);
}

/* False when the step is full. */
static bool
choose(struct rewrite *rw, struct candidate *k)
{
	if (rw->total && rw->total + k->row.live_bytes > rw->policy->max_bytes) {
		rw->stats->more = true;
		return false;
	}
	k->chosen = true;
	rw->total += k->row.live_bytes;
	return true;
}

static void
choose_dead(struct rewrite *rw)
{
	uint64_t all = 0, unused = 0;

	for (size_t i = 0; i < rw->cand_count; i++) {
		all += rw->cand[i].row.bytes;
		unused += rw->cand[i].unused;
	}
	for (size_t i = 0; i < rw->cand_count && unused > all / 1000 * rw->policy->max_unused; i++) {
		if (rw->cand[i].unused == 0 || !choose(rw, &rw->cand[i]))
			return;
		unused -= rw->cand[i].unused;
	}
}

static int
class_of(const struct indexfile_pack *p)
{
	static const uint64_t limits[CLASSES] = { 64u << 10, 512u << 10, 2u << 20, SMALL };

	for (int i = 0; i < CLASSES; i++)
		if (p->bytes < limits[i])
			return i;
	return CLASSES;
}

/* The small packs of one kind and class, if at least REWRITE_MERGE of them fit: fewer would only be moved about. */
static void
merge_class(struct rewrite *rw, uint32_t kind, int class)
{
	uint64_t bytes = rw->total;
	size_t count = 0, fits = 0;

	for (size_t i = 0; i < rw->cand_count; i++) {
		const struct candidate *k = &rw->cand[i];

		if (k->chosen || k->row.kind != kind || class_of(&k->row) != class)
			continue;
		count++;
		bytes += k->row.live_bytes;
		if (bytes <= rw->policy->max_bytes)
			fits = count;
	}
	rw->stats->more = rw->stats->more || (fits < count && fits >= REWRITE_MERGE);
	if (fits < REWRITE_MERGE)
		return;
	for (size_t i = 0; i < rw->cand_count && fits > 0; i++) {
		struct candidate *k = &rw->cand[i];

		if (k->chosen || k->row.kind != kind || class_of(&k->row) != class)
			continue;
		k->chosen = true;
		rw->total += k->row.live_bytes;
		fits--;
	}
}

static void
choose_small(struct rewrite *rw)
{
	for (uint32_t kind = PACKFILE_DATA; kind <= PACKFILE_META; kind++)
		for (int class = 0; class < CLASSES; class++)
			merge_class(rw, kind, class);
}

/* ------------------------------------------------------------------------------------------------------ gathering */

/* A chunk that is found where the counts have it lives. */
static int
gather_chunk(void *arg, const struct reader_chunk *ch)
{
	struct rewrite *rw = arg;
	struct counts *c = rw->c;
	uint32_t cell, base = COUNTS_NONE;
	const struct counts_copy *copy;
	int rc = counts_find_cell(c, &ch->id, ch->type, &cell);

	if (rc != FOUND)
		return rc;
	copy = &c->copies[c->cells[cell].copies];
	if (copy->frame != rw->frame || copy->slot != ch->slot)
		return OK;
	if (ch->depth && (rc = counts_find_cell(c, &ch->base, ch->type, &base)) < 0)
		return rc;
	if ((rc = mem_grow((void **)&rw->items, &rw->item_cap, rw->item_count + 1, sizeof(*rw->items))))
		return rc;
	rw->items[rw->item_count++] = (struct item){ .cell = cell, .frame = rw->frame, .slot = ch->slot, .depth = ch->depth,
		.base = base };
	return OK;
}

static int
gather_frame(struct rewrite *rw, uint32_t pack)
{
	const struct indexfile_frame *f = &rw->c->frames[rw->frame].row;
	const struct indexfile_pack *p = &rw->c->packs[pack].row;
	struct index_place at = { .pack_name = p->name, .pack_kind = p->kind, .ordinal = f->ordinal, .off = f->off, .len = f->len };
	int rc = index_pack_number(rw->c->index, p, &at.pack_no);

	if (rc)
		return rc;
	rw->stats->bytes_read += f->len;
	rc = reader_frame(rw->c->reader, &at, gather_chunk, rw);
	return err_is_damage(rc) ? OK : rc;
}

static int
gather_pack(struct rewrite *rw, const struct indexfile_pack *row)
{
	uint32_t pack;
	int rc = counts_find_pack(rw->c, &row->name, &pack);

	if (rc != FOUND)
		return rc;
	for (uint32_t i = 0; i < row->frames; i++) {
		if ((rc = signals_check()) || (rc = counts_find_frame(rw->c, pack, i, &rw->frame)) < 0)
			return rc;
		/* Of dead frames tables may have no row any more. */
		if (rc == FOUND && rw->c->frames[rw->frame].row.live > 0 && (rc = gather_frame(rw, pack)))
			return rc;
	}
	return OK;
}

/* The deepest first, then as they lie in the packs. */
static int
item_cmp(const void *a, const void *b)
{
	const struct item *x = a, *y = b;

	if (x->depth != y->depth)
		return x->depth > y->depth ? -1 : 1;
	if (x->frame != y->frame)
		return x->frame < y->frame ? -1 : 1;
	return x->slot < y->slot ? -1 : x->slot > y->slot;
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

static int
copy_delta(struct rewrite *rw, const struct item *it)
{
	struct counts_cell *cell = &rw->c->cells[it->cell];
	struct index_place place;
	struct frame_block b;
	const uint8_t *stored;
	int rc;

	if ((rc = counts_place(rw->c, it->cell, &place)) || (rc = reader_delta(rw->c->reader, &place, &b, &stored)) ||
	    (rc = packer_copy(rw->packer, cell->type, &cell->id, &b, stored, it->cell)))
		return rc;
	return counts_move(rw->c, it->cell, it->base, it->depth, it->base);
}

/* Store it anew, on the best base there is and if that pays. */
static int
store(struct rewrite *rw, const struct rebase_chunk *ch)
{
	struct counts *c = rw->c;
	struct rebase *rb = &rw->rebase;
	struct packer_base b;
	uint32_t chosen;
	uint8_t depth;
	int rc = rebase_choose(rb, ch, &chosen, &b);

	if (rc || (rc = packer_add(rw->packer, c->cells[ch->cell].type, &c->cells[ch->cell].id, rb->item.p, rb->item.len,
	    chosen == COUNTS_NONE ? NULL : &b, ch->cell, &depth)))
		return rc;
	assert(depth <= ch->depth);
	if (ch->depth)
		rw->stats->rebased++;
	return counts_move(c, ch->cell, ch->base, depth, depth ? chosen : COUNTS_NONE);
}

static int
move_item(struct rewrite *rw, const struct item *it)
{
	const struct counts_cell *cell = &rw->c->cells[it->cell];
	struct rebase_chunk ch = { .cell = it->cell, .base = it->base, .depth = it->depth };
	int rc;

	if (cell->copies == COUNTS_NONE || rw->c->copies[cell->copies].frame != it->frame)
		return OK;                      /* it died with what stood on it */
	if ((rc = rebase_ancestor(&rw->rebase, &ch)))
		return rc;
	rc = rebase_keeps(&rw->rebase, &ch) ? copy_delta(rw, it) : store(rw, &ch);
	if (err_is_damage(rc))
		return OK;
	rw->stats->chunks += rc == OK;
	if (rc || (rc = rebase_moved(&rw->rebase, &ch)))
		return rc;
	return counts_cascade(rw->c);
}

static int
move_all(struct rewrite *rw)
{
	int rc = packer_new(rw->c->repo, host_cpus(), 3, placed, rw, &rw->packer);

	if (rw->item_count)
		qsort(rw->items, rw->item_count, sizeof(*rw->items), item_cmp);
	for (size_t i = 0; rc == OK && i < rw->item_count; i++) {
		if ((rc = signals_check()) == OK)
			rc = move_item(rw, &rw->items[i]);
		if (rw->policy->progress && i % 64 == 0)
			rw->policy->progress(rw->policy->arg, packer_bytes(rw->packer), rw->total);
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

/* Can there be anything to move?  FOUND: look at the packs; OK: no; or an error. */
static int
worth_looking(struct rewrite *rw)
{
	static const int top[CLASSES] = { 15, 18, 20, 21 };     /* highest bits of the lengths in a class */
	struct tablesums s;
	uint64_t count;
	int rc = sums_now(rw->c, &s), bit;

	if (rc != FOUND)
		return rc ? rc : FOUND;
	rw->stats->pack_bytes = s.bytes;
	if (!rw->policy->small_only && sums_unused_bound(&s) > s.bytes / 1000 * rw->policy->max_unused)
		return FOUND;
	for (int kind = 0; kind < 2; kind++) {
		bit = 0;
		for (int class = 0; class < CLASSES; class++) {
			for (count = 0; bit <= top[class]; bit++)
				count += s.packs[kind][bit];
			if (count >= REWRITE_MERGE)
				return FOUND;
		}
	}
	return OK;
}

static int
choose_packs(struct rewrite *rw)
{
	int rc;

	rw->stats->more = false;
	if ((rc = worth_looking(rw)) != FOUND)
		return rc;
	rw->stats->pack_bytes = 0;
	if ((rc = gather_packs(rw)))
		return rc;
	if (rw->cand_count)
		qsort(rw->cand, rw->cand_count, sizeof(*rw->cand), share_cmp);
	if (!rw->policy->small_only)
		choose_dead(rw);
	if (!rw->stats->more)
		choose_small(rw);
	return OK;
}

int
rewrite_wanted(struct repo *r, struct index *ix, const struct rewrite_policy *policy, struct rewrite_stats *stats)
{
	struct counts c;
	struct rewrite rw = { .c = &c, .policy = policy, .stats = stats };
	int rc;

	counts_init(&c, r, ix, NULL);
	rc = choose_packs(&rw);
	stats->more = false;
	free(rw.cand);
	return rc ? rc : rw.total ? FOUND : OK;
}

static int
run(struct rewrite *rw)
{
	int rc;

	if ((rc = choose_packs(rw)))
		return rc;
	for (size_t i = 0; i < rw->cand_count; i++)
		if (rw->cand[i].chosen && (rc = gather_pack(rw, &rw->cand[i].row)))
			return rc;
	if (rw->item_count == 0)
		return OK;
	rc = move_all(rw);
	return rc ? rc : adopt(rw);
}

/* Packs of which nothing is left. */
static uint64_t
emptied(const struct rewrite *rw)
{
	uint64_t n = 0;
	uint32_t pack;

	for (size_t i = 0; i < rw->cand_count; i++) {
		pack = counts_touched(rw->c, &rw->cand[i].row.name);
		n += rw->cand[i].chosen && pack != COUNTS_NONE && rw->c->packs[pack].row.live_frames == 0;
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
	if ((rc = rebase_begin(&rw->rebase, c)) || (rc = run(rw)) || rw->item_count == 0)
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
	rebase_clear(&rw->rebase);
	free(rw->cand);
	free(rw->items);
	free(rw->spots);
	free(rw->names);
	free(rw);
	return NULL;
}
