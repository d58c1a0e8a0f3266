/*
 * session: the chunks of one writer between two publications.
 *
 * rows[] holds one row per id stored since the last part (placed), and one per base that gained uses.  A part is
 * published in the order of PB-2; afterwards the segment is part of the index view and rows[] begins anew.
 */
#include "store/session.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/digest.h"
#include "format/frame.h"
#include "store/bases.h"
#include "store/byid.h"
#include "store/children.h"
#include "store/fine.h"
#include "store/index_file.h"
#include "store/indexbuild.h"
#include "store/packer.h"
#include "store/parity.h"
#include "store/settle.h"
#include "store/snapshots.h"
#include "sys/entropy.h"
#include "sys/host.h"

#define PART_BYTES (1ull << 30)
#define PART_ROWS (1u << 18)
#define MERGE_BYTES (32u << 20)         /* of small packs, merged when segments are settled */
#define READER_CACHE (16u << 20)

struct row {
	struct indexfile_row r;         /* frame: the packer's number until the part is published */
	bool placed;
};

struct session {
	struct repo *repo;
	struct session_config cfg;
	struct index *index;
	struct reader *reader;
	struct packer *packer;          /* NULL in a dry run */
	struct name_sid sid;
	uint32_t part;
	struct row *rows;
	size_t row_count, row_cap;
	uint32_t *hash;                 /* row index + 1 */
	size_t hash_size;
	uint64_t part_start;            /* packer_bytes when this part began */
	uint64_t segment_bytes;
	struct session_stats stats;
	struct fine *fine;              /* NULL: session_fine is off */
	struct bases bases;
	bool locked;
	enum { PACKS_UNKNOWN, PACKS_WHOLE, PACKS_MISSING } packs;       /* of the view when the session began */
};

/* --------------------------------------------------------------------------------------------------------- rows */

static size_t
row_slot(const struct session *s, const struct name *id)
{
	size_t h;

	memcpy(&h, id->b, sizeof(h));
	for (h &= s->hash_size - 1; s->hash[h]; h = (h + 1) & (s->hash_size - 1))
		if (name_cmp(&s->rows[s->hash[h] - 1].r.id, id) == 0)
			break;
	return h;
}

static struct row *
row_find(const struct session *s, const struct name *id)
{
	uint32_t n = s->hash_size ? s->hash[row_slot(s, id)] : 0;

	return n ? &s->rows[n - 1] : NULL;
}

/* The row of this id, made if it is not there. */
static int
row_get(struct session *s, const struct name *id, uint8_t type, struct row **out)
{
	size_t h;
	int rc;

	if (s->row_count * 2 >= s->hash_size) {
		free(s->hash);
		s->hash_size = s->hash_size ? s->hash_size * 2 : 1024;
		if ((rc = mem_new((void **)&s->hash, mem_array(s->hash_size, sizeof(*s->hash))))) {
			s->hash_size = 0;
			return rc;
		}
		for (size_t i = 0; i < s->row_count; i++)
			s->hash[row_slot(s, &s->rows[i].r.id)] = (uint32_t)i + 1;
	}
	h = row_slot(s, id);
	if (!s->hash[h]) {
		if ((rc = mem_grow((void **)&s->rows, &s->row_cap, s->row_count + 1, sizeof(*s->rows))))
			return rc;
		s->rows[s->row_count++] = (struct row){ .r = { .id = *id, .type = type, .frame = INDEXFILE_NO_FRAME } };
		s->hash[h] = (uint32_t)s->row_count;
	}
	*out = &s->rows[s->hash[h] - 1];
	return OK;
}

static void
rows_clear(struct session *s)
{
	s->row_count = 0;
	if (s->hash)
		memset(s->hash, 0, s->hash_size * sizeof(*s->hash));
}

/* The packer has closed a frame. */
static void
placed(void *arg, uint32_t row, uint32_t frame, uint16_t slot)
{
	struct session *s = arg;

	s->rows[row].r.frame = frame;
	s->rows[row].r.slot = slot;
}

/* --------------------------------------------------------------------------------------------------- begin, end */

int
session_begin(struct repo *r, const struct session_config *cfg, struct session **out)
{
	struct session *s;
	int rc;

	*out = NULL;
	if (r->read_only)
		return fail(ERR_UNSUPPORTED, "this repository has features this version of varve may read but not write");
	if ((rc = MEM_NEW(s)))
		return rc;
	s->repo = r;
	s->cfg = *cfg;
	s->cfg.jobs = packer_jobs(s->cfg.jobs ? s->cfg.jobs : host_cpus(), s->cfg.memory);
	s->cfg.level = cfg->level ? cfg->level : 3;
	s->cfg.part_bytes = cfg->part_bytes ? cfg->part_bytes : PART_BYTES;
	entropy_fill(s->sid.b, sizeof(s->sid.b));
	if ((rc = io_lock(r->io, IO_SHARED, true)))
		goto out;
	s->locked = true;
	parity_forget(r);
	if ((rc = index_load(r, &s->index)) || (rc = reader_new(r, s->index, READER_CACHE, &s->reader)))
		goto out;
	s->bases = (struct bases){ .ix = s->index, .rd = s->reader };
	if (!cfg->dry_run)
		rc = packer_new(r, s->cfg.jobs, s->cfg.level, placed, s, &s->packer);
out:
	*out = rc ? session_free(s) : s;
	return rc;
}

void
session_abort(struct session *s)
{
	s->packer = packer_free(s->packer);
}

struct session *
session_free(struct session *s)
{
	if (!s)
		return NULL;
	fine_free(s->fine);
	packer_free(s->packer);
	reader_free(s->reader);
	index_free(s->index);
	if (s->locked)
		(void)!io_lock(s->repo->io, IO_UNLOCKED, false);
	bases_clear(&s->bases);
	free(s->rows);
	free(s->hash);
	free(s);
	return NULL;
}

struct index *
session_index(struct session *s)
{
	return s->index;
}

struct reader *
session_reader(struct session *s)
{
	return s->reader;
}

const struct name_sid *
session_sid(const struct session *s)
{
	return &s->sid;
}

const struct session_stats *
session_stats(const struct session *s)
{
	return &s->stats;
}

/* ------------------------------------------------------------------------------------------------------- looking */

int
session_packs_whole(struct session *s)
{
	int rc;

	if (s->packs == PACKS_UNKNOWN) {
		if ((rc = index_packs_whole(s->index)) < 0)
			return rc;
		s->packs = rc == FOUND ? PACKS_WHOLE : PACKS_MISSING;
	}
	return s->packs == PACKS_WHOLE ? FOUND : OK;
}

/* FOUND when a chunk that is stored as a difference can be read: its pack is there, but what lies underneath may not be. */
static int
base_there(struct session *s, const struct name *id, uint8_t type)
{
	const uint8_t *p;
	size_t len;
	int rc = session_packs_whole(s);

	if (rc)
		return rc;
	rc = reader_get(s->reader, id, type, &p, &len);
	return err_is_damage(rc) ? OK : rc ? rc : FOUND;
}

/* A hit counts only if its pack is there.  *gone: the index has copies, but not the disk. */
static int
look(struct session *s, const struct name *id, bool *gone)
{
	struct row *row = row_find(s, id);
	struct index_place place;
	bool reusable;
	int rc;

	*gone = false;
	if (row && row->placed)
		return FOUND;
	rc = index_find(s->index, id, &place, &reusable);
	if (rc != FOUND)
		return rc;
	if ((rc = index_pack_there(s->index, place.pack_no)) < 0)
		return rc;
	if (rc == FOUND && place.depth)
		rc = base_there(s, id, place.type);
	*gone = rc == OK;
	return rc < 0 || reusable ? rc : OK;
}

int
session_has(struct session *s, const struct name *id)
{
	bool gone;

	return look(s, id, &gone);
}

/* ------------------------------------------------------------------------------------------------------- storing */

static int
child_ok(void *arg, const struct name *id, uint8_t type)
{
	return (void)arg, (void)id, (void)type, OK;
}

/* It was stored as a delta on these. */
static int
count_uses(struct session *s, uint8_t type, const struct packer_base *b, uint32_t row)
{
	struct row *r;
	int rc = OK;

	s->rows[row].r.depth = b->depth;
	for (unsigned i = 0; i < b->count && (rc = row_get(s, &b->id[i], type, &r)) == OK; i++)
		r->r.uses++;
	return rc;
}

static int
data_uses(void *arg, const struct packer_base *b, uint32_t row)
{
	return count_uses(arg, FRAME_DATA, b, row);
}

/* whole: not as a difference, whatever it resembles. */
static int
store(struct session *s, uint8_t type, const struct name *id, const void *p, size_t len, const struct name *base, bool whole)
{
	struct packer_base b;
	struct row *row;
	uint32_t n;
	uint8_t depth = 0;
	bool use = false;
	int rc;

	/* A node that does not decode could never be counted. */
	if (type != FRAME_DATA && (rc = children_each(type, p, len, child_ok, NULL)))
		return rc;
	if ((rc = row_get(s, id, type, &row)))
		return rc;
	n = (uint32_t)(row - s->rows);
	row->placed = true;
	if (s->fine && type == FRAME_DATA && !whole)
		rc = fine_put(s->fine, &(struct packer_item){ .id = *id, .p = p, .len = len, .row = n }, base);
	if (rc < 0)
		return rc;
	if (s->packer && rc != FOUND) {
		if (base && (rc = bases_one(&s->bases, type, id, base, &b)) < 0)
			return rc;
		use = base && rc == FOUND;
		if ((rc = packer_add(s->packer, type, id, p, len, use ? &b : NULL, n, &depth)) ||
		    (depth && (rc = count_uses(s, type, &b, n))))
			return rc;
	}
	s->stats.chunks_new++;
	s->stats.bytes_new += len;
	return OK;
}

int
session_put(struct session *s, uint8_t type, const void *p, size_t len, const struct name *base, struct name *id, bool *was_new)
{
	digest_chunk_id(id, s->repo->keys->id, type, p, len);
	return session_put_named(s, type, p, len, base, id, was_new);
}

int
session_put_named(struct session *s, uint8_t type, const void *p, size_t len, const struct name *base, const struct name *id,
    bool *was_new)
{
	bool gone;
	int rc;

	assert(len > 0 && len <= FRAME_CHUNK_MAX);
	if (was_new)
		*was_new = false;
	if ((rc = look(s, id, &gone)) < 0)
		return rc;
	if (rc == FOUND)
		return s->fine && base && type == FRAME_DATA ? fine_replaced(s->fine, base) : OK;
	if (s->packer && (packer_bytes(s->packer) - s->part_start >= s->cfg.part_bytes || s->row_count >= PART_ROWS) &&
	    (rc = session_checkpoint(s)))
		return rc;
	if (was_new)
		*was_new = true;
	/* Should what is gone come back, a copy without a base is no deeper, and part of no circle. */
	return store(s, type, id, p, len, gone ? NULL : base, gone);
}

static int
settle_fine(struct session *s)
{
	return s->fine ? fine_settle(s->fine) : OK;
}

int
session_fine(struct session *s, bool on)
{
	const struct fine_config c = { .repo = s->repo, .packer = s->packer, .ix = s->index, .rd = s->reader,
		.jobs = s->cfg.jobs, .level = s->cfg.level, .uses = data_uses, .arg = s };
	int rc = OK;

	if (!s->packer)
		return OK;
	if (on)
		rc = s->fine ? OK : fine_new(&c, &s->fine);
	else if ((rc = settle_fine(s)) == OK)
		s->fine = fine_free(s->fine);
	return rc ? rc : packer_fine(s->packer, on);
}

/* ---------------------------------------------------------------------------------------------------- publishing */

/* Packs and frames in the order the segment wants them. */
struct order {
	uint32_t *pack;                 /* rank -> packer's number */
	uint32_t *pack_rank;            /* packer's number -> rank */
	uint32_t *frame, *frame_rank;
	uint32_t *row;                  /* rows by id */
	const struct packer_pack *packs;
	const struct packer_frame *frames;
	uint32_t pack_count, frame_count;
	const struct session *s;
};

static int
pack_cmp(const void *a, const void *b, void *arg)
{
	const struct order *o = arg;

	return name_cmp(&o->packs[*(const uint32_t *)a].name, &o->packs[*(const uint32_t *)b].name);
}

static int
frame_cmp(const void *a, const void *b, void *arg)
{
	const struct order *o = arg;
	const struct packer_frame *x = &o->frames[*(const uint32_t *)a], *y = &o->frames[*(const uint32_t *)b];
	uint32_t px = o->pack_rank[x->pack], py = o->pack_rank[y->pack];

	if (px != py)
		return px < py ? -1 : 1;
	return x->ordinal < y->ordinal ? -1 : x->ordinal > y->ordinal;
}

static const struct name *
row_id(const void *arg, uint32_t row)
{
	return &((const struct session *)arg)->rows[row].r.id;
}

static int
order_one(uint32_t **list, uint32_t **rank, uint32_t count, int (*cmp)(const void *, const void *, void *), struct order *o)
{
	int rc = mem_new((void **)list, mem_array(count, sizeof(uint32_t)));

	if (rc)
		return rc;
	for (uint32_t i = 0; i < count; i++)
		(*list)[i] = i;
	qsort_r(*list, count, sizeof(uint32_t), cmp, o);
	if ((rc = mem_new((void **)rank, mem_array(count, sizeof(uint32_t)))))
		return rc;
	for (uint32_t i = 0; i < count; i++)
		(*rank)[(*list)[i]] = i;
	return OK;
}

static int
put_tables(struct indexbuild *b, const struct order *o)
{
	int rc;

	for (uint32_t i = 0; i < o->pack_count; i++) {
		const struct packer_pack *k = &o->packs[o->pack[i]];
		struct indexfile_pack row = { .name = k->name, .bytes = k->bytes, .live_bytes = k->frame_bytes,
			.frames = k->frames, .live_frames = k->frames, .kind = k->kind };

		if ((rc = indexbuild_pack(b, &row)))
			return rc;
	}
	for (uint32_t i = 0; i < o->frame_count; i++) {
		const struct packer_frame *f = &o->frames[o->frame[i]];
		struct indexfile_frame row = { .pack = o->pack_rank[f->pack], .ordinal = f->ordinal, .off = f->off,
			.len = f->len, .chunks = f->chunks, .live = f->chunks };

		if ((rc = indexbuild_frame(b, &row)))
			return rc;
	}
	for (size_t i = 0; i < o->s->row_count; i++) {
		struct indexfile_row row = o->s->rows[o->row[i]].r;

		/* A put that failed, and whose caller went on. */
		if (row.frame == INDEXFILE_NO_FRAME && o->s->rows[o->row[i]].placed)
			return fail(ERR_FAILED, "a chunk was not stored");
		if (row.frame != INDEXFILE_NO_FRAME)
			row.frame = o->frame_rank[row.frame];
		if ((rc = indexbuild_row(b, &row)))
			return rc;
	}
	return OK;
}

/* The complete segment under tmp/. */
static int
write_segment(struct session *s, const struct name *root, const char *tmp)
{
	struct indexfile_header h = { .kind = INDEXFILE_SEGMENT, .sid = s->sid, .number = s->part };
	struct order o = { .s = s };
	struct indexbuild *b = NULL;
	uint64_t len = 0;
	int rc;

	if (root) {
		h.root = *root;
		h.flags = INDEXFILE_LAST_PART;
	}
	o.packs = packer_packs(s->packer, &o.pack_count);
	o.frames = packer_frames(s->packer, &o.frame_count);
	if ((rc = order_one(&o.pack, &o.pack_rank, o.pack_count, pack_cmp, &o)) ||
	    (rc = order_one(&o.frame, &o.frame_rank, o.frame_count, frame_cmp, &o)) ||
	    (rc = byid_order((uint32_t)s->row_count, row_id, s, &o.row)) ||
	    (rc = indexbuild_begin(s->repo, tmp, &h, s->row_count, &b)))
		goto out;
	rc = put_tables(b, &o);
	if (rc)
		indexbuild_abort(b);
	else
		rc = indexbuild_end(b, &len);
	s->segment_bytes += len;
out:
	free(o.pack);
	free(o.pack_rank);
	free(o.frame);
	free(o.frame_rank);
	free(o.row);
	return rc;
}

/* PB-2 (1) to (4). */
static int
publish_part(struct session *s, const struct name *root)
{
	char tmp[INDEX_FILE_PATH], path[INDEX_FILE_PATH];
	struct io *io = s->repo->io;
	int rc;

	index_file_segment_path(tmp, "tmp", &s->sid, s->part);
	index_file_segment_path(path, "index", &s->sid, s->part);
	if ((rc = settle_fine(s)) || (rc = packer_flush(s->packer)) || (rc = write_segment(s, root, tmp)))
		return rc;
	if ((rc = io_sync_dir(io, "tmp")) ||
	    (rc = packer_publish(s->packer)) ||
	    (rc = io_sync_dir(io, "index")) ||
	    (rc = io_rename(io, tmp, path)) ||
	    (rc = io_sync_dir(io, "index")))
		return rc;
	parity_keep(s->repo, OBJECTS_INDEX, path);
	s->stats.bytes_stored = packer_bytes(s->packer) + s->segment_bytes;
	s->part_start = packer_bytes(s->packer);
	s->part++;
	rows_clear(s);
	return root ? OK : index_add_segment(s->index, path);
}

int
session_checkpoint(struct session *s)
{
	return s->packer && s->row_count ? publish_part(s, NULL) : OK;
}

static int
publish_record(struct session *s, const struct snaprec *rec)
{
	char tmp[64], path[64], hex[NAME_SID_HEX];
	struct io *io = s->repo->io;
	uint8_t *raw;
	size_t len;
	int rc;

	name_sid_hex(&s->sid, hex);
	snprintf(tmp, sizeof(tmp), "tmp/%s", hex);
	snprintf(path, sizeof(path), "snapshots/%s", hex);
	if ((rc = snapshots_seal(s->repo, &s->sid, rec, &raw, &len)))
		return rc;
	rc = io_write_file(io, tmp, raw, len);
	free(raw);
	if (rc)
		return rc;
	if ((rc = io_rename(io, tmp, path))) {
		io_discard(io, tmp);
		return rc;
	}
	s->stats.bytes_stored += len;
	if ((rc = io_sync_dir(io, "snapshots")) == OK)
		parity_keep(s->repo, OBJECTS_RECORD, path);
	return rc;
}

int
session_commit(struct session *s, const struct snaprec *rec)
{
	struct snaprec full = *rec;
	size_t segments;
	int rc;

	assert(s->packer);
	if ((rc = publish_part(s, &rec->root)))
		return rc;
	full.stats[SNAPREC_BYTES_STORED] = s->stats.bytes_stored;
	full.stats[SNAPREC_BYTES_NEW] = s->stats.bytes_new;
	full.stats[SNAPREC_CHUNKS_NEW] = s->stats.chunks_new;
	if ((rc = publish_record(s, &full)))
		return rc;
	segments = index_segment_count(s->index) + 1;
	if (!(rc = io_lock(s->repo->io, IO_UNLOCKED, false)))
		s->locked = false;
	if (segments > SETTLE_SEGMENTS && !s->cfg.no_settle) {
		/* The snapshot is durable; folding is housekeeping, and whoever comes next can do it too. */
		struct rewrite_policy small = { .small_only = true, .max_bytes = MERGE_BYTES };
		struct settle_stats stats = { 0 };

		rc = settle_rewrite(s->repo, &small, false, &stats);
		if (rc != OK && rc != ERR_LOCKED) {
			s->stats.settle_rc = rc;
			snprintf(s->stats.settle_note, sizeof(s->stats.settle_note), "%s", err_text());
		}
	}
	return OK;
}
