/*
 * rebuild: packs -> candidates (every copy of every chunk) -> the copies that count -> one segment; a segment with nothing but the
 * root for each record; they take the place of the index (reindex.h); a settle.
 *
 * Order of candidates: by depth.  A difference counts only if its base does, and the base is seldom deeper than one less; so
 * one pass in this order, and another where it is, finds every chunk that can be read, and never a circle.
 */
#include "store/rebuild.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/keys.h"
#include "codec/seal.h"
#include "format/frame.h"
#include "format/indexfile.h"
#include "store/graves.h"
#include "store/index_file.h"
#include "store/objects.h"
#include "store/packcheck.h"
#include "store/reindex.h"
#include "store/reserve.h"
#include "store/settle.h"
#include "store/snapshots.h"
#include "sys/signals.h"

#define ASIDE_TABLE "index-"            /* before the names of what was index/ in damaged/; ".N" behind them from the second one on */
#define TABLES_MAX (UINT64_C(1) << 48)

struct candidate {
	struct name id;
	uint32_t frame;                 /* index into frames */
	uint32_t bases;                 /* index into bases of the first one */
	uint16_t slot;
	uint8_t type, depth, base_count;
};

struct rebuild {
	struct repo *r;
	const struct rebuild_options *o;
	struct rebuild_stats *stats;
	uint64_t above;                 /* the highest number of a table so far */
	struct indexfile_pack *packs;
	size_t pack_count, pack_cap;
	struct indexfile_frame *frames; /* .pack: index into packs */
	size_t frame_count, frame_cap;
	struct candidate *all;
	size_t count, cap;
	struct name *bases;
	size_t base_count, base_cap;
	struct indexfile_row *rows;     /* those that count */
	size_t row_count, row_cap;
	uint32_t *hash;                 /* row number + 1 */
	size_t hash_size;
	struct name_sid *sids;          /* of the records, and their roots */
	struct name *roots;
	size_t record_count, record_cap, root_cap;
	uint64_t bad_records;
};

static bool
is_damage(int rc)
{
	return (rc != ERR_ABSENT && err_is_lost(rc)) || rc == ERR_UNSUPPORTED;
}

static void
tell(struct rebuild *b, const char *path)
{
	if (b->o->bad)
		b->o->bad(b->o->arg, path);
}

/* ------------------------------------------------------------------------------------------------------- reading */

struct pack {
	struct io_file *f;
	struct name_sid id;
	uint8_t key[32];
	uint32_t kind;
};

static int
open_pack(struct rebuild *b, struct pack *p)
{
	uint8_t raw[PACKFILE_HEADER_LEN];
	struct packfile_header h;
	int rc;

	if ((rc = io_read_at(b->r->io, p->f, 0, raw, sizeof(raw))) ||
	    (rc = err_verdict(packfile_header_decode(&h, raw, sizeof(raw)), "pack header")) ||
	    (rc = keys_unwrap(p->key, &h.wrap, b->r->keys->pack, "varve pack key", &b->r->hdr.repo_id, raw, PACKFILE_WRAP_CONTEXT)))
		return rc;
	p->id = h.pack_id;
	p->kind = h.kind;
	return OK;
}

/* The head of a frame as plaintext.  Owns: *mem: caller frees. */
static int
read_head(struct rebuild *b, const struct pack *p, const struct indexfile_frame *at, uint8_t **mem, struct frame_head *head)
{
	uint8_t context[NAME_SID_LEN + FRAME_PREFIX_LEN], *box = NULL, *prefix = context + NAME_SID_LEN;
	struct seal_aad aad = { "varve frame head", &b->r->hdr.repo_id, context, sizeof(context) };
	struct frame_prefix pre;
	int rc;

	*mem = NULL;
	memcpy(context, p->id.b, NAME_SID_LEN);
	if ((rc = io_read_at(b->r->io, p->f, at->off, prefix, FRAME_PREFIX_LEN)) ||
	    (rc = err_verdict(frame_prefix_decode(&pre, prefix, FRAME_PREFIX_LEN), "frame")))
		return rc;
	if (pre.ordinal != at->ordinal || (uint64_t)FRAME_PREFIX_LEN + pre.head_len + pre.body_len != at->len ||
	    pre.head_len < SEAL_OVERHEAD)
		return fail(ERR_CORRUPT, "frame %u has another length than the footer says", at->ordinal);
	if ((rc = mem_new((void **)&box, pre.head_len)) || (rc = mem_new((void **)mem, pre.head_len)) ||
	    (rc = io_read_at(b->r->io, p->f, at->off + FRAME_PREFIX_LEN, box, pre.head_len)) ||
	    (rc = seal_open(*mem, box, pre.head_len, p->key, &aad)))
		goto out;
	rc = err_verdict(frame_head_decode(head, *mem, pre.head_len - SEAL_OVERHEAD), "frame head");
out:
	free(box);
	return rc;
}

static int
add_chunks(struct rebuild *b, const struct frame_head *head, uint32_t frame)
{
	struct frame_chunk c;
	struct frame_block block;
	struct frame_iter it;
	uint16_t slot = 0;
	int rc;

	if ((rc = mem_grow((void **)&b->all, &b->cap, b->count + head->chunk_count, sizeof(*b->all))))
		return rc;
	frame_iter_init(&it, head);
	while (frame_next_block(&it, &block)) {
		for (uint32_t i = 0; i < block.chunk_count && frame_next_chunk(&it, &c); i++)
			b->all[b->count++] = (struct candidate){ .id = c.id, .frame = frame, .bases = (uint32_t)b->base_count,
				.slot = slot++, .type = c.type, .depth = block.depth, .base_count = block.base_count };
		if ((rc = mem_grow((void **)&b->bases, &b->base_cap, b->base_count + FRAME_BASES_MAX, sizeof(*b->bases))))
			return rc;
		for (unsigned i = 0; i < block.base_count; i++)
			b->bases[b->base_count++] = block.base[i];
	}
	return OK;
}

static int
add_frame(struct rebuild *b, const struct pack *p, const struct indexfile_frame *at, const char *path)
{
	struct indexfile_frame row = *at;
	struct frame_head head;
	uint8_t *mem;
	int rc = read_head(b, p, at, &mem, &head);

	if (is_damage(rc)) {
		tell(b, path);
		b->stats->bad_frames++;
		rc = OK;
	} else if (rc == OK) {
		row.chunks = head.chunk_count;
		rc = mem_grow((void **)&b->frames, &b->frame_cap, b->frame_count + 1, sizeof(*b->frames));
		if (rc == OK && (rc = add_chunks(b, &head, (uint32_t)b->frame_count)) == OK)
			b->frames[b->frame_count++] = row;
	}
	free(mem);
	return rc;
}

static int
add_frames(struct rebuild *b, const struct pack *p, const struct name *name, const struct packcheck *pc, const char *path)
{
	struct indexfile_frame at = { .pack = (uint32_t)b->pack_count, .off = PACKFILE_HEADER_LEN };
	int rc = mem_grow((void **)&b->packs, &b->pack_cap, b->pack_count + 1, sizeof(*b->packs));

	if (rc)
		return rc;
	b->packs[b->pack_count++] = (struct indexfile_pack){ .name = *name, .bytes = pc->size, .frames = pc->footer.frame_count,
		.kind = p->kind };
	for (uint32_t i = 0; rc == OK && i < pc->footer.frame_count; i++, at.off += at.len) {
		at.ordinal = i;
		at.len = packfile_frame_len(&pc->footer, i);
		rc = add_frame(b, p, &at, path);
	}
	return rc;
}

static int
add_pack(struct rebuild *b, const char *path)
{
	struct pack p = { 0 };
	struct packcheck pc = { 0 };
	struct name name;
	int rc;

	if (!name_unhex(&name, objects_name(path)))
		return fail(ERR_FAILED, "'%s' has no name of a pack", path);
	if ((rc = io_open(b->r->io, path, &p.f)) == OK && (rc = packcheck_footer(b->r->io, p.f, &name, &pc)) == OK &&
	    (rc = open_pack(b, &p)) == OK)
		rc = add_frames(b, &p, &name, &pc, path);
	else if (is_damage(rc)) {
		tell(b, path);
		b->stats->bad_packs++;
		rc = OK;
	}
	packcheck_clear(&pc);
	explicit_bzero(p.key, sizeof(p.key));
	(void)io_close(b->r->io, p.f);
	return rc;
}

static int
read_packs(struct rebuild *b)
{
	struct objects packs = { 0 };
	char dir[16];
	int rc = OK;

	for (unsigned i = 0; rc == OK && i < 256; i++) {
		snprintf(dir, sizeof(dir), "packs/%02x", i);
		rc = objects_list_dir(b->r->io, dir, OBJECTS_PACK, &packs);
	}
	for (size_t i = 0; rc == OK && i < packs.count; i++) {
		if ((rc = signals_check()) == OK)
			rc = add_pack(b, packs.p[i].path);
		if (b->o->progress)
			b->o->progress(b->o->arg, i + 1, packs.count);
	}
	objects_clear(&packs);
	return rc;
}

static int
add_record(struct rebuild *b, const struct name_sid *sid, bool forgotten)
{
	char path[64], hex[NAME_SID_HEX];
	struct snapshots_item it;
	int rc = snapshots_read(b->r, forgotten, sid, &it);

	if (is_damage(rc)) {
		name_sid_hex(sid, hex);
		snprintf(path, sizeof(path), "%s/%s", forgotten ? "forgotten" : "snapshots", hex);
		tell(b, path);
		b->bad_records++;
		return OK;
	}
	if (rc)
		return rc;
	if ((rc = mem_grow((void **)&b->sids, &b->record_cap, b->record_count + 1, sizeof(*b->sids))) == OK &&
	    (rc = mem_grow((void **)&b->roots, &b->root_cap, b->record_count + 1, sizeof(*b->roots))) == OK) {
		b->sids[b->record_count] = *sid;
		b->roots[b->record_count++] = it.rec.root;
	}
	snapshots_item_clear(&it);
	return rc;
}

/* A crash between link and unlink may have left a forgotten one in both places: then it is not forgotten. */
static int
is_snapshot(struct rebuild *b, const struct name_sid *sid)
{
	char path[64], hex[NAME_SID_HEX];
	uint64_t size;
	int rc;

	name_sid_hex(sid, hex);
	snprintf(path, sizeof(path), "snapshots/%s", hex);
	rc = io_stat(b->r->io, path, &size);
	return rc == ERR_ABSENT ? OK : rc ? rc : FOUND;
}

/* Each record itself: what a catalogue says of it will be gone with the old index (IX-10). */
static int
read_records(struct rebuild *b)
{
	struct graves list;
	int rc = OK;

	for (int forgotten = 0; rc == OK && forgotten < 2; forgotten++) {
		rc = graves_list(b->r, forgotten ? "forgotten" : "snapshots", &list);
		for (size_t i = 0; rc == OK && i < list.count; i++)
			if (!forgotten || (rc = is_snapshot(b, &list.p[i])) == OK)
				rc = add_record(b, &list.p[i], forgotten);
			else if (rc == FOUND)
				rc = OK;
		free(list.p);
	}
	if (rc == OK && b->bad_records)
		return fail(ERR_CORRUPT, "%ju snapshot record%s cannot be read: 'varve scrub --repair' brings back what has a copy, "
		    "'varve repair snapshots' sets the others aside", (uintmax_t)b->bad_records, b->bad_records == 1 ? "" : "s");
	return rc;
}

/* ------------------------------------------------------------------------------------------------------ choosing */

static size_t
row_slot(const struct rebuild *b, const struct name *id)
{
	size_t h;

	memcpy(&h, id->b, sizeof(h));
	for (h &= b->hash_size - 1; b->hash[h]; h = (h + 1) & (b->hash_size - 1))
		if (name_cmp(&b->rows[b->hash[h] - 1].id, id) == 0)
			break;
	return h;
}

static int
by_depth(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->depth != y->depth)
		return x->depth < y->depth ? -1 : 1;
	return x->frame != y->frame ? (x->frame < y->frame ? -1 : 1) : x->slot < y->slot ? -1 : x->slot > y->slot;
}

/* False: not all that it stands on is chosen (yet). */
static bool
choose_one(struct rebuild *b, const struct candidate *c)
{
	size_t h = row_slot(b, &c->id), on[FRAME_BASES_MAX];

	if (b->hash[h])
		return true;
	for (unsigned i = 0; i < c->base_count; i++) {
		on[i] = row_slot(b, &b->bases[c->bases + i]);
		if (!b->hash[on[i]] || b->rows[b->hash[on[i]] - 1].type != c->type)
			return false;
	}
	for (unsigned i = 0; i < c->base_count; i++)
		b->rows[b->hash[on[i]] - 1].uses++;
	b->rows[b->row_count] = (struct indexfile_row){ .id = c->id, .frame = c->frame, .slot = c->slot, .type = c->type, .depth = c->depth };
	b->hash[h] = (uint32_t)++b->row_count;
	b->frames[c->frame].live++;
	return true;
}

/* Where the copy that a difference was made on is lost, it may stand on one that is deeper than itself: such wait for the next round. */
static void
choose_all(struct rebuild *b)
{
	size_t left = b->count, before, n;
	unsigned rounds = 0;

	do {
		before = left;
		n = 0;
		for (size_t i = 0; i < before; i++)
			if (!choose_one(b, &b->all[i]))
				b->all[n++] = b->all[i];
		left = n;
	} while (left > 0 && left < before && ++rounds <= FRAME_DEPTH_MAX);
	b->stats->stranded = left;
}

static int
choose(struct rebuild *b)
{
	int rc;

	for (b->hash_size = 64; b->hash_size < 2 * b->count; b->hash_size *= 2)
		continue;
	if ((rc = mem_new((void **)&b->hash, mem_array(b->hash_size, sizeof(*b->hash)))) ||
	    (rc = mem_new((void **)&b->rows, mem_array(b->count + 1, sizeof(*b->rows)))))
		return rc;
	if (b->count)
		qsort(b->all, b->count, sizeof(*b->all), by_depth);
	choose_all(b);
	for (size_t i = 0; i < b->frame_count; i++) {
		struct indexfile_frame *f = &b->frames[i];

		b->packs[f->pack].live_frames += f->live > 0;
		b->packs[f->pack].live_bytes += (uint64_t)f->len * f->live / f->chunks;
	}
	b->stats->packs = b->pack_count;
	b->stats->frames = b->frame_count;
	b->stats->chunks = b->row_count;
	return OK;
}

/* --------------------------------------------------------------------------------------------------- replacing */

static int
row_cmp(const void *a, const void *b)
{
	return name_cmp(&((const struct indexfile_row *)a)->id, &((const struct indexfile_row *)b)->id);
}

static int
replace(struct rebuild *b)
{
	const struct reindex_content n = { .packs = b->packs, .frames = b->frames, .rows = b->rows, .sids = b->sids, .roots = b->roots,
		.pack_count = b->pack_count, .frame_count = b->frame_count, .row_count = b->row_count, .record_count = b->record_count };

	if (b->row_count)
		qsort(b->rows, b->row_count, sizeof(*b->rows), row_cmp);
	return reindex_run(b->r, &n);
}

/* A name proves nothing, and one of index/ may be somebody's whim: no repository comes near such a number by itself. */
static int
table_name(void *arg, const char *name)
{
	struct rebuild *b = arg;
	char hex[17];
	uint64_t number;

	if (strncmp(name, ASIDE_TABLE, strlen(ASIDE_TABLE)) == 0)
		name += strlen(ASIDE_TABLE);
	snprintf(hex, sizeof(hex), "%s", name);
	if (strlen(name) > 16 && name[16] != '.')
		return OK;
	if (index_file_parse_table(hex, &number) && number < TABLES_MAX && number > b->above)
		b->above = number;
	return OK;
}

/* The highest number that a table had; after an interrupted rebuild the tables are in damaged/ already. */
static int
find_newest(struct rebuild *b)
{
	int rc, rc2;

	b->above = b->o->above < TABLES_MAX ? b->o->above : 0;
	rc = io_list(b->r->io, "index", table_name, b);
	rc2 = io_list(b->r->io, "damaged", table_name, b);
	if (rc && rc != ERR_ABSENT)
		return rc;
	return rc2 == ERR_ABSENT ? OK : rc2;
}

static int
count(struct rebuild *b)
{
	struct settle_stats s = { 0 };
	int rc = settle_count(b->r, b->above, &s);

	b->stats->counted = rc == OK;
	b->stats->garbage = s.bytes_dead;
	if (rc == OK || rc == ERR_IO || rc == ERR_NOMEM || rc == ERR_INTERRUPTED)
		return rc;
	snprintf(b->stats->note, sizeof(b->stats->note), "%s", err_text());
	return OK;
}

int
rebuild_index(struct repo *r, const struct rebuild_options *o, struct rebuild_stats *stats)
{
	struct rebuild b = { .r = r, .o = o, .stats = stats };
	int rc;

	*stats = (struct rebuild_stats){ 0 };
	if ((rc = find_newest(&b)) || (rc = read_records(&b)) || (rc = read_packs(&b)) || (rc = choose(&b)))
		goto out;
	stats->snapshots = b.record_count;
	if ((rc = replace(&b)))
		goto out;
	rc = count(&b);
	if (reserve_is_full(rc) && reserve_give(r->io) == FOUND)
		rc = count(&b);
out:
	free(b.packs);
	free(b.frames);
	free(b.all);
	free(b.bases);
	free(b.rows);
	free(b.hash);
	free(b.sids);
	free(b.roots);
	return rc;
}
