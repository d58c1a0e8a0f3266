/*
 * prove: two passes over the packs.
 *
 * A difference needs the plaintext of its base.  The heads tell which chunks are bases, and how many differences on each are still
 * to come; packs are then read so that bases come first, and the plaintext of a base waits on a shelf for the differences on it.
 * What does not fit there is fetched again by an ordinary reader.
 *
 *     frame --blocks--> arena --many at a time--> ids --compared--> counted; bases to the shelf; nodes: their children
 */
#include "ops/prove.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/lanes.h"
#include "codec/squeeze.h"
#include "ops/need.h"
#include "ops/packorder.h"
#include "store/children.h"
#include "store/packproof.h"
#include "store/reader.h"
#include "store/shelf.h"
#include "sys/crew.h"
#include "sys/host.h"
#include "sys/signals.h"

#define ARENA (4u << 20)
#define SHELF_BYTES (192u << 20)
#define READER_CACHE (16u << 20)
#define WORKERS_MAX 64u

struct chunk {                          /* hashed with the next batch */
	uint32_t cell;
	uint32_t off;                   /* in its block */
};

struct prove_worker {
	struct packproof pc;
	struct packproof_frame f;
	struct squeeze *sq;
	struct index *ix;               /* with rd: made when a base is not on the shelf */
	struct reader *rd;
	struct mem_buf base;            /* plaintexts of bases */
	unsigned base_failed;           /* which of them could not be had */
	uint8_t *arena;
	size_t arena_used;
	struct lanes_job *jobs;
	struct chunk *chunks;
	size_t job_count, job_cap, chunk_cap;
	uint32_t *kids;                 /* of the node at hand */
	size_t kid_count, kid_cap;
	uint32_t *deps;                 /* of the pack at hand */
	size_t dep_count, dep_cap;
	uint32_t pack;
	uint32_t node;                  /* cell of the node at hand */
	bool pack_bad;
	uint64_t read_before;
};

bool
prove_is_damage(int rc)
{
	return err_is_lost(rc) || rc == ERR_UNSUPPORTED;
}

uint32_t
prove_problem(const struct prove *p, const struct census_cell *cell)
{
	uint32_t no = census_flags(cell) & CENSUS_BAD ? damage_of(p->d, &cell->id) : 0;

	if (!no && cell->frame != CENSUS_NONE)
		no = p->c->packs[census_pack_of(p->c, cell->frame)].problem;
	if (!no && cell->frame != CENSUS_NONE)
		no = p->c->frames[cell->frame].problem;
	return no;
}

static void
tally(uint64_t *n, uint64_t more)
{
	__atomic_fetch_add(n, more, __ATOMIC_RELAXED);
}

/* ---- telling ---- */

static void
pack_problem(struct prove *p, uint32_t pack)
{
	char path[PACKPROOF_PATH];

	packproof_path(path, &p->c->packs[pack].name);
	p->c->packs[pack].problem = damage_add(p->d, DAMAGE_PACK, path, NULL, NULL, NULL);
}

static void
frame_place(char out[static 80], const struct prove_worker *w)
{
	snprintf(out, 80, "frame %u, bytes %llu to %llu", w->f.ordinal, (unsigned long long)w->f.off,
	    (unsigned long long)(w->f.off + w->f.len - 1));
}

static void
frame_problem(struct prove *p, struct prove_worker *w)
{
	struct census_frame *f = &p->c->frames[p->c->packs[w->pack].first + w->f.ordinal];
	char path[PACKPROOF_PATH], where[80];

	w->pack_bad = true;
	if (f->problem || f->spare)
		return;
	if (p->needs_known && !f->needed) {
		f->spare = true;
		tally(&p->spare, 1);
		return;
	}
	packproof_path(path, &p->c->packs[w->pack].name);
	frame_place(where, w);
	f->problem = damage_add(p->d, DAMAGE_PACK, path, where, NULL, NULL);
}

/* A chunk of the frame at hand cannot be had, for the reason in the note. */
static uint32_t
chunk_problem(struct prove *p, struct prove_worker *w, uint32_t cell)
{
	struct census_cell *c = &p->c->cells[cell];
	char path[PACKPROOF_PATH], where[128], place[80], why[512];

	snprintf(why, sizeof(why), "%s", err_text());
	packproof_path(path, &p->c->packs[w->pack].name);
	frame_place(place, w);
	snprintf(where, sizeof(where), "%s, slot %u", place, c->slot);
	census_mark(c, CENSUS_BAD);
	w->pack_bad = true;
	if (p->needs_known && !(census_flags(c) & CENSUS_NEEDED))
		return 0;               /* a base of what has another copy */
	if (c->type != FRAME_DATA)
		tally(&p->nodes_lost, 1);
	return damage_add(p->d, DAMAGE_PACK, path, where, &c->id, "%s", why);
}

/* ---- heads ---- */

static int
add_dep(struct prove_worker *w, uint32_t pack)
{
	int rc;

	if (pack == w->pack || (w->dep_count && w->deps[w->dep_count - 1] == pack))
		return OK;
	if ((rc = mem_grow((void **)&w->deps, &w->dep_cap, w->dep_count + 1, sizeof(*w->deps))))
		return rc;
	w->deps[w->dep_count++] = pack;
	return OK;
}

/* The chunk in this slot is a difference to this one, and perhaps to others. */
static int
see_difference(struct prove *p, struct prove_worker *w, uint32_t cell, uint32_t frame, uint32_t slot, const struct name *base)
{
	struct census_cell *c = &p->c->cells[cell], *b;
	uint32_t n = census_find(p->c, base);
	bool found = n != CENSUS_NONE && p->c->cells[n].frame != CENSUS_NONE;
	char hex[NAME_HEX];
	int rc;

	b = found ? &p->c->cells[n] : NULL;
	if (n != CENSUS_NONE && c->table_frame == frame && c->table_slot == slot && census_flags(c) & (CENSUS_LIVE | CENSUS_USED))
		census_add(&p->c->cells[n].uses, 1);
	if (c->frame != frame || c->slot != slot)
		return OK;
	if (!found) {
		name_hex(base, hex);
		(void)fail(ERR_CORRUPT, "it is stored as a difference to chunk %s, which is not in the index", hex);
		if (!(census_flags(c) & CENSUS_BAD))
			chunk_problem(p, w, cell);
		return OK;
	}
	(void)census_wait(&b->waiting, 1);
	if ((rc = need_note(&p->need[w - p->w], p->c, cell, n)))
		return rc;
	return add_dep(w, census_pack_of(p->c, b->frame));
}

/* What the head of the frame at hand has, against what the index says of it. */
static int
check_head(struct prove *p, struct prove_worker *w)
{
	uint32_t frame = p->c->packs[w->pack].first + w->f.ordinal, slot = 0, matched = 0;
	struct census_frame *cf = &p->c->frames[frame];
	struct frame_iter it;
	struct frame_block b;
	struct frame_chunk ch;
	int rc = OK;

	frame_iter_init(&it, &w->f.head);
	while (rc == OK && frame_next_block(&it, &b))
		for (uint32_t i = 0; rc == OK && i < b.chunk_count && frame_next_chunk(&it, &ch); i++, slot++) {
			uint32_t cell = census_find(p->c, &ch.id);
			const struct census_cell *c = &p->c->cells[cell == CENSUS_NONE ? 0 : cell];

			if (cell == CENSUS_NONE)
				continue;
			matched += c->frame == frame && c->slot == slot && c->type == ch.type;
			for (unsigned k = 0; rc == OK && k < b.base_count; k++)
				rc = see_difference(p, w, cell, frame, slot, &b.base[k]);
		}
	if (rc == OK && cf->known && (matched != cf->placed || cf->chunks != w->f.head.chunk_count || cf->off != w->f.off ||
	    cf->len != w->f.len)) {
		(void)fail(ERR_CORRUPT, "the index places %u chunks of %u here, the frame has %u of them among %u", cf->placed, cf->chunks,
		    matched, w->f.head.chunk_count);
		frame_problem(p, w);
	}
	tally(&p->frames, 1);
	return rc;
}

/* Is the frame of the pack at hand asked for? */
static bool
frame_wanted(const struct prove *p, const struct prove_worker *w, uint32_t ordinal)
{
	return p->todo[w->pack] & PROVE_WHOLE || p->c->frames[p->c->packs[w->pack].first + ordinal].wanted;
}

static void
bytes_seen(struct prove *p, struct prove_worker *w)
{
	tally(&p->bytes_read, w->pc.bytes_read - w->read_before);
	w->read_before = w->pc.bytes_read;
}

/* OK with the pack open, or FOUND when it is damaged. */
static int
open_pack(struct prove *p, struct prove_worker *w, uint32_t pack)
{
	struct census_pack *cp = &p->c->packs[pack];
	int rc;

	w->pack = pack;
	w->dep_count = 0;
	w->pack_bad = false;
	w->f.off = PACKFILE_HEADER_LEN;
	rc = packproof_open(&w->pc, p->r, &cp->name);
	if (rc == OK && (w->pc.bytes != cp->bytes || w->pc.h.kind != cp->kind || w->pc.f.frame_count != cp->frames))
		rc = fail(ERR_CORRUPT, "it is not what the index says: %llu bytes, %u frames; the index has %llu and %u",
		    (unsigned long long)w->pc.bytes, w->pc.f.frame_count, (unsigned long long)cp->bytes, cp->frames);
	if (rc == ERR_ABSENT)
		rc = fail(ERR_ABSENT, "the pack is missing");
	if (!prove_is_damage(rc))
		return rc;
	if (!cp->problem)
		pack_problem(p, pack);
	packproof_close(&w->pc);
	if (cp->kind == PACKFILE_META)
		tally(&p->nodes_lost, 1);
	return FOUND;
}

static int
heads_of(struct prove *p, struct prove_worker *w)
{
	int rc = OK;

	for (uint32_t i = 0; rc == OK && i < w->pc.f.frame_count; i++, w->f.off += packfile_frame_len(&w->pc.f, i - 1)) {
		if (!frame_wanted(p, w, i))
			continue;
		rc = packproof_frame(&w->pc, i, false, &w->f);
		if (rc == OK)
			rc = check_head(p, w);
		else if (prove_is_damage(rc)) {
			frame_problem(p, w);
			rc = OK;
		}
	}
	return rc;
}

static int
number_cmp(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static size_t
unique(uint32_t *v, size_t count)
{
	size_t n = 0;

	if (count)
		qsort(v, count, sizeof(*v), number_cmp);
	for (size_t i = 0; i < count; i++)
		if (n == 0 || v[i] != v[n - 1])
			v[n++] = v[i];
	return n;
}

static int
keep_deps(struct prove *p, struct prove_worker *w)
{
	size_t n = unique(w->deps, w->dep_count);
	int rc;

	if (n == 0)
		return OK;
	if ((rc = mem_new((void **)&p->deps[w->pack], mem_array(n + 1, sizeof(uint32_t)))))
		return rc;
	p->deps[w->pack][0] = (uint32_t)n;
	memcpy(p->deps[w->pack] + 1, w->deps, n * sizeof(uint32_t));
	return OK;
}

static int
run_heads(void *arg, unsigned worker, size_t job)
{
	struct prove *p = arg;
	struct prove_worker *w = &p->w[worker];
	uint32_t pack = (uint32_t)job;
	int rc;

	if (!p->todo[pack])
		return OK;
	rc = open_pack(p, w, pack);
	tally(&p->packs, 1);
	if (rc == OK && p->todo[pack] & PROVE_HEADS && (rc = heads_of(p, w)) == OK)
		rc = keep_deps(p, w);
	packproof_close(&w->pc);
	bytes_seen(p, w);
	return rc < 0 ? rc : OK;
}

/* ---- content ---- */

static int
add_kid(void *arg, const struct name *id, uint8_t type)
{
	void **pair = arg;
	struct prove *p = pair[0];
	struct prove_worker *w = pair[1];
	uint32_t n = census_find(p->c, id);
	const struct census_cell *node = &p->c->cells[w->node];
	char object[96], hex[NAME_HEX];
	int rc;

	if (n != CENSUS_NONE && p->c->cells[n].frame != CENSUS_NONE && p->c->cells[n].type == type) {
		if ((rc = mem_grow((void **)&w->kids, &w->kid_cap, w->kid_count + 1, sizeof(*w->kids))))
			return rc;
		w->kids[w->kid_count++] = n;
		return OK;
	}
	name_hex(&node->id, hex);
	snprintf(object, sizeof(object), "%s %s", node->type == FRAME_LIST ? "list" : "tree", hex);
	name_hex(id, hex);
	damage_add(p->d, DAMAGE_NODE, object, NULL, id, "it names chunk %s, which the index does not have%s", hex,
	    n != CENSUS_NONE && p->c->cells[n].frame != CENSUS_NONE ? " as what it should be" : "");
	return OK;
}

/* A node that was proved: are its children there, and how often are they named? */
static int
see_node(struct prove *p, struct prove_worker *w, uint32_t cell, const uint8_t *raw, size_t len)
{
	struct census_cell *c = &p->c->cells[cell];
	void *pair[2] = { p, w };
	int rc;

	if (!(census_flags(c) & (CENSUS_LIVE | CENSUS_FRESH)))
		return OK;              /* hollow: only a base */
	w->node = cell;
	w->kid_count = 0;
	rc = children_each(c->type, raw, len, add_kid, pair);
	if (prove_is_damage(rc)) {
		chunk_problem(p, w, cell);
		return OK;
	}
	w->kid_count = unique(w->kids, w->kid_count);
	for (size_t i = 0; rc == OK && census_flags(c) & CENSUS_LIVE && i < w->kid_count; i++)
		census_add(&p->c->cells[w->kids[i]].refs, 1);
	return rc;
}

/* Hash what has gathered. */
static int
flush(struct prove *p, struct prove_worker *w)
{
	uint64_t bytes = 0;
	int rc = OK;

	lanes_chunk_ids(p->r->keys->id, w->jobs, w->job_count);
	for (size_t i = 0; rc == OK && i < w->job_count; i++) {
		const struct lanes_job *j = &w->jobs[i];
		struct census_cell *c = &p->c->cells[w->chunks[i].cell];

		bytes += j->len;
		if (name_cmp(&j->id, &c->id) != 0) {
			(void)fail(ERR_AUTH, "it does not have the content that its id says");
			chunk_problem(p, w, w->chunks[i].cell);
			continue;
		}
		if (__atomic_load_n(&c->waiting, __ATOMIC_RELAXED))
			shelf_put(p->shelf, w->chunks[i].cell, j->p, j->len);
		if (c->type != FRAME_DATA)
			rc = see_node(p, w, w->chunks[i].cell, j->p, j->len);
	}
	tally(&p->chunks, w->job_count);
	tally(&p->bytes_decoded, bytes);
	w->job_count = 0;
	w->arena_used = 0;
	return rc;
}

/* None of the block's chunks, the last `n` gathered, can be had: perhaps because of its base, which may be looked at only later. */
static void
block_problem(struct prove *p, struct prove_worker *w, const struct frame_block *b, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t no = chunk_problem(p, w, w->chunks[w->job_count + i].cell);

		if (b->codec == FRAME_DELTA)
			damage_because(p->d, no, &b->base[w->base_failed]);
	}
}

static int
worker_reader(struct prove *p, struct prove_worker *w)
{
	int rc;

	if (w->rd)
		return OK;
	if ((rc = index_load(p->r, &w->ix)))
		return rc;
	return reader_new(p->r, w->ix, READER_CACHE, &w->rd);
}

/* The plaintext of a base behind those of the others that are there. */
static int
get_base(struct prove *p, struct prove_worker *w, const struct name *id)
{
	const uint8_t *base;
	size_t len;
	uint32_t n = census_find(p->c, id);
	struct census_cell *b = &p->c->cells[n == CENSUS_NONE ? 0 : n];
	uint32_t left;
	int rc;

	if (n == CENSUS_NONE)
		return fail(ERR_CORRUPT, "its base is not in the index");
	left = census_wait(&b->waiting, -1);
	if ((rc = shelf_get(p->shelf, n, left == 0, &w->base)))
		return rc < 0 ? rc : OK;
	if ((rc = worker_reader(p, w)) || (rc = reader_get(w->rd, id, b->type, &base, &len)))
		return rc;
	if (left > 0 && left < UINT32_MAX / 2)
		shelf_put(p->shelf, n, base, len);
	return mem_buf_add(&w->base, base, len);
}

/* All of them, in their order. */
static int
get_bases(struct prove *p, struct prove_worker *w, const struct frame_block *b)
{
	int rc = OK;

	w->base.len = 0;
	for (w->base_failed = 0; w->base_failed < b->base_count; w->base_failed++)
		if ((rc = get_base(p, w, &b->base[w->base_failed])))
			return rc;
	w->base_failed = 0;
	return OK;
}

/* The raw bytes of a block of the frame at hand, into the arena unless they lie in the body. */
static int
decode(struct prove *p, struct prove_worker *w, const struct frame_block *b, const uint8_t *stored, const uint8_t **raw)
{
	int rc;

	*raw = stored;
	if (b->codec == FRAME_RAW)
		return OK;
	if ((rc = get_bases(p, w, b)))
		return rc;
	*raw = w->arena + w->arena_used;
	if ((rc = squeeze_unpack(w->sq, w->arena + w->arena_used, b->raw_len, stored, b->stored_len, w->base.p, w->base.len)))
		return rc;
	w->arena_used += b->raw_len;
	return OK;
}

/* Cells of the block's chunks that readers find here and that are wanted, from first on; w->chunks has room. */
static size_t
owned(struct prove *p, struct prove_worker *w, const struct frame_block *b, struct frame_iter *it, uint32_t slot)
{
	uint32_t frame = p->c->packs[w->pack].first + w->f.ordinal;
	bool all = p->todo[w->pack] & PROVE_WHOLE;
	struct frame_chunk ch;
	uint32_t off = 0;
	size_t n = 0;

	for (uint32_t i = 0; i < b->chunk_count && frame_next_chunk(it, &ch); i++, slot++, off += ch.len) {
		uint32_t cell = census_find(p->c, &ch.id);
		const struct census_cell *c = &p->c->cells[cell == CENSUS_NONE ? 0 : cell];

		if (cell == CENSUS_NONE || c->frame != frame || c->slot != slot || census_flags(c) & CENSUS_BAD ||
		    (!all && !(census_flags(c) & CENSUS_WANTED)))
			continue;
		w->chunks[w->job_count + n] = (struct chunk){ cell, off };
		w->jobs[w->job_count + n++] = (struct lanes_job){ .len = ch.len, .type = ch.type };
	}
	return n;
}

static int
decode_block(struct prove *p, struct prove_worker *w, const struct frame_block *b, struct frame_iter *it, uint32_t slot,
    const uint8_t *stored)
{
	const uint8_t *raw;
	size_t n;
	int rc;

	if (w->arena_used + b->raw_len > ARENA && (rc = flush(p, w)))
		return rc;
	if ((rc = mem_grow((void **)&w->jobs, &w->job_cap, w->job_count + b->chunk_count, sizeof(*w->jobs))) ||
	    (rc = mem_grow((void **)&w->chunks, &w->chunk_cap, w->job_count + b->chunk_count, sizeof(*w->chunks))))
		return rc;
	if ((n = owned(p, w, b, it, slot)) == 0)
		return OK;
	rc = decode(p, w, b, stored, &raw);
	if (prove_is_damage(rc)) {
		block_problem(p, w, b, n);
		return OK;
	}
	for (size_t i = 0; rc == OK && i < n; i++)
		w->jobs[w->job_count + i].p = raw + w->chunks[w->job_count + i].off;
	w->job_count += rc == OK ? n : 0;
	return rc;
}

static int
decode_frame(struct prove *p, struct prove_worker *w)
{
	struct frame_iter it;
	struct frame_block b;
	struct cursor body;
	uint32_t slot = 0;
	int rc = OK;

	frame_iter_init(&it, &w->f.head);
	cursor_init(&body, w->f.body, w->f.head.body_len);
	while (rc == OK && frame_next_block(&it, &b)) {
		rc = decode_block(p, w, &b, &it, slot, cursor_bytes(&body, b.stored_len));
		slot += b.chunk_count;
	}
	/* Raw blocks lie in the frame's body. */
	return rc ? rc : flush(p, w);
}

static int
one_frame(struct prove *p, struct prove_worker *w, uint32_t ordinal)
{
	bool done_before = p->todo[w->pack] & PROVE_HEADS;
	struct census_frame *cf = &p->c->frames[p->c->packs[w->pack].first + ordinal];
	int rc = packproof_frame(&w->pc, ordinal, true, &w->f);

	if (rc == OK && !done_before)
		rc = check_head(p, w);
	if (rc == OK && !cf->problem)
		return decode_frame(p, w);
	if (rc && !prove_is_damage(rc))
		return rc;
	if (rc)
		frame_problem(p, w);
	if (p->c->packs[w->pack].kind == PACKFILE_META && !cf->spare)
		tally(&p->nodes_lost, 1);
	return OK;
}

static int
run_content(void *arg, unsigned worker, size_t job)
{
	struct prove *p = arg;
	struct prove_worker *w = &p->w[worker];
	uint32_t pack = p->order[job];
	bool whole = p->todo[pack] & PROVE_WHOLE;
	int rc = open_pack(p, w, pack);

	if (rc == OK && whole)
		rc = packproof_sums_begin(&w->pc);
	for (uint32_t i = 0; rc == OK && i < w->pc.f.frame_count; i++, w->f.off += packfile_frame_len(&w->pc.f, i - 1)) {
		if (frame_wanted(p, w, i))
			rc = one_frame(p, w, i);
		bytes_seen(p, w);
	}
	if (rc == OK && whole && !w->pack_bad && packproof_sums(&w->pc) != FOUND) {
		char path[PACKPROOF_PATH];

		packproof_path(path, &p->c->packs[pack].name);
		damage_add(p->d, DAMAGE_PACK, path, NULL, NULL,
		    "the footer's checksum of block %u is not that of the block; the content is intact", w->pc.bad_sum);
		w->pack_bad = true;
	}
	if (rc == OK && w->pack_bad)
		p->todo[pack] = (uint8_t)((p->todo[pack] & ~PROVE_CONTENT) | PROVE_BAD);
	packproof_close(&w->pc);
	return rc < 0 ? rc : OK;
}

static int
look(void *arg)
{
	struct prove *p = arg;
	int rc = signals_check();

	return rc ? rc : p->progress ? p->progress(p->arg, p) : OK;
}

/* ---- both ---- */

int
prove_init(struct prove *p)
{
	int rc;

	if (!p->workers)
		p->workers = host_cpus() < WORKERS_MAX ? host_cpus() : WORKERS_MAX;
	if ((rc = mem_new((void **)&p->todo, p->c->pack_count + 1)) ||
	    (rc = mem_new((void **)&p->deps, mem_array(p->c->pack_count + 1, sizeof(*p->deps)))) ||
	    (rc = mem_new((void **)&p->w, mem_array(p->workers, sizeof(*p->w)))) ||
	    (rc = mem_new((void **)&p->need, mem_array(p->workers, sizeof(*p->need)))) || (rc = shelf_new(SHELF_BYTES, &p->shelf)))
		return rc;
	for (unsigned i = 0; i < p->workers; i++)
		if ((rc = squeeze_new(0, &p->w[i].sq)) || (rc = mem_new((void **)&p->w[i].arena, ARENA)))
			return rc;
	return OK;
}

void
prove_clear(struct prove *p)
{
	for (unsigned i = 0; p->w && i < p->workers; i++) {
		struct prove_worker *w = &p->w[i];

		packproof_clear(&w->pc);
		packproof_frame_clear(&w->f);
		squeeze_free(w->sq);
		reader_free(w->rd);
		index_free(w->ix);
		mem_buf_clear(&w->base);
		free(w->arena);
		free(w->jobs);
		free(w->chunks);
		free(w->kids);
		free(w->deps);
	}
	for (size_t i = 0; p->deps && i < p->c->pack_count; i++)
		free(p->deps[i]);
	need_clear(p);
	free(p->deps);
	free(p->order);
	free(p->todo);
	free(p->w);
	shelf_free(p->shelf);
	p->deps = NULL;
	p->order = NULL;
	p->todo = NULL;
	p->w = NULL;
	p->shelf = NULL;
}

int
prove_heads(struct prove *p)
{
	const struct crew_work w = { .run = run_heads, .look = look, .arg = p };
	int rc = crew_run(&w, p->workers, p->c->pack_count);

	if (rc == OK)
		need_forgive(p);
	return rc;
}

int
prove_content(struct prove *p)
{
	const struct crew_work w = { .run = run_content, .look = look, .arg = p };
	size_t count = 0;
	int rc;

	if ((rc = mem_new((void **)&p->order, mem_array(p->c->pack_count + 1, sizeof(*p->order)))) ||
	    (rc = packorder_make(p->deps, p->c->pack_count, p->order)))
		return rc;
	for (size_t i = 0; i < p->c->pack_count; i++)
		if (p->todo[p->order[i]] & PROVE_CONTENT && !p->c->packs[p->order[i]].problem)
			p->order[count++] = p->order[i];
	return crew_run(&w, p->workers, count);
}
