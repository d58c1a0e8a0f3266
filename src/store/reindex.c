/*
 * reindex: the order in which one index takes the place of another.
 *
 *     all new segments -> tmp/      what needs room comes first: until here nothing has changed
 *     an empty head -> index/       a bar: until it is gone nobody reads or settles what has too few counts (IX-11)
 *     intents in tmp/ are removed   the packs they name are indexed now
 *     old files -> damaged/
 *     the new segments -> index/
 *     the bar is removed
 *
 * Each of these can be done once more when the disk was full and had a reserve.
 *
 * In tmp/ no segment has the name of an index file: a sweep would take the packs of the large one for unpublished (PB-5).
 */
#include "store/reindex.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "format/indexfile.h"
#include "store/index_file.h"
#include "store/indexbuild.h"
#include "store/mend.h"
#include "store/objects.h"
#include "store/parity.h"
#include "store/reserve.h"
#include "sys/entropy.h"

#define TMP_NAME "rebuild"
#define TMP "tmp/" TMP_NAME             /* the bar; "-N" behind it: a segment */
#define BAR "index/ffffffffffffffff"

struct reindex {
	struct repo *r;
	const struct reindex_content *n;
	struct name_sid sid;            /* of the segment of all packs */
	size_t placed;                  /* segments that are in index/ */
};

static int
write_segment(struct reindex *b, const struct name_sid *sid, const struct name *root, const char *tmp)
{
	struct indexfile_header h = { .kind = INDEXFILE_SEGMENT, .sid = *sid };
	size_t packs = root ? 0 : b->n->pack_count, frames = root ? 0 : b->n->frame_count, rows = root ? 0 : b->n->row_count;
	struct indexbuild *w;
	uint64_t len;
	int rc;

	if (root) {
		h.root = *root;
		h.flags = INDEXFILE_LAST_PART;
	}
	if ((rc = indexbuild_begin(b->r, tmp, &h, rows, &w)))
		return rc;
	/* Packs were listed, and their frames read, in the order that the segment wants. */
	for (size_t i = 0; rc == OK && i < packs; i++)
		rc = indexbuild_pack(w, &b->n->packs[i]);
	for (size_t i = 0; rc == OK && i < frames; i++)
		rc = indexbuild_frame(w, &b->n->frames[i]);
	for (size_t i = 0; rc == OK && i < rows; i++)
		rc = indexbuild_row(w, &b->n->rows[i]);
	if (rc == OK)
		return indexbuild_end(w, &len);
	indexbuild_abort(w);
	return rc;
}

static void
tmp_path(char out[static INDEX_FILE_PATH], size_t i)
{
	snprintf(out, INDEX_FILE_PATH, TMP "-%zu", i);
}

static size_t
segment_count(const struct reindex *b)
{
	return b->n->record_count + (b->n->row_count > 0);
}

/* What is there already is of one that was killed, or that found the disk full. */
static int
unlink_old(struct reindex *b, const char *path)
{
	int rc = io_unlink(b->r->io, path);

	return rc == ERR_ABSENT ? OK : rc;
}

static int
write_segments(struct reindex *b)
{
	char path[INDEX_FILE_PATH];
	int rc = OK;

	for (size_t i = 0; rc == OK && i < segment_count(b); i++) {
		tmp_path(path, i);
		if ((rc = unlink_old(b, path)))
			break;
		if (i < b->n->record_count)
			rc = write_segment(b, &b->n->sids[i], &b->n->roots[i], path);
		else
			rc = write_segment(b, &b->sid, NULL, path);
	}
	return rc;
}

static int
make_dirs(struct reindex *b)
{
	int rc = io_mkdir(b->r->io, "index");

	if (rc == OK || rc == ERR_EXISTS)
		rc = io_mkdir(b->r->io, "damaged");
	return rc == ERR_EXISTS ? OK : rc;
}

/*
 * Cut short, a repair leaves a part of the old index: it would count too few references, and a prune would collect what other
 * snapshots need.  With the bar it cannot be opened.
 */
static int
put_bar(struct reindex *b)
{
	struct io *io = b->r->io;
	int rc = unlink_old(b, TMP);

	if (rc || (rc = io_write_file(io, TMP, "", 0)))
		return rc;
	rc = io_rename(io, TMP, BAR);
	if (rc)
		io_discard(io, TMP);
	if (rc == ERR_EXISTS)
		return io_sync_dir(io, "index");
	if (rc == OK && (rc = io_sync_dir(io, "index")))
		io_discard(io, BAR);            /* nothing is behind it yet */
	return rc;
}

/* A file of that name which is no bar is kept as all others are. */
static int
remove_bar(struct reindex *b)
{
	uint64_t size;
	int rc = io_stat(b->r->io, BAR, &size);

	if (rc == OK && size > 0)
		return mend_set_aside(b->r, BAR);
	if ((rc && rc != ERR_ABSENT) || (rc = unlink_old(b, BAR)))
		return rc;
	return io_sync_dir(b->r->io, "index");
}

/*
 * FOUND: it says nothing but the root of a record that is counted, as a segment of reindex_run itself.  To keep them would add one for
 * each record to damaged/ every time, all of the same names.
 */
static int
only_root(struct reindex *b, const char *path)
{
	const struct indexfile_header *h;
	struct index_file *f;
	int rc = index_file_open(b->r, path, &f);

	if (rc)
		return rc == ERR_NOMEM ? rc : OK;
	h = index_file_header(f);
	if (h->kind == INDEXFILE_SEGMENT && h->pack_count == 0 && h->row_count == 0)
		for (size_t i = 0; rc == OK && i < b->n->record_count; i++)
			if (memcmp(&h->sid, &b->n->sids[i], sizeof(h->sid)) == 0 && name_cmp(&h->root, &b->n->roots[i]) == 0)
				rc = FOUND;
	index_file_close(f);
	return rc;
}

static int
remove_old(struct reindex *b, const char *path)
{
	int rc = only_root(b, path);

	if (rc == FOUND)
		return unlink_old(b, path);
	return rc ? rc : mend_move_aside(b->r, path);
}

/*
 * The old index: its sidecars first, durably, so that none of its files can come back from one.  Synced in any case: what is gone
 * already may be so only since an attempt that was killed before it synced.
 */
static int
set_old_aside(struct reindex *b)
{
	struct objects old = { 0 };
	bool dropped = false;
	int rc = objects_list_dir(b->r->io, "index", OBJECTS_INDEX, &old);

	for (size_t i = 0; rc == OK && i < old.count; i++)
		rc = parity_drop(b->r->io, OBJECTS_INDEX, objects_name(old.p[i].path), &dropped);
	if (rc == OK && dropped)
		rc = io_sync_dir(b->r->io, "parity/index");
	for (size_t i = 0; rc == OK && i < old.count; i++)
		if (strcmp(old.p[i].path, BAR) != 0)
			rc = remove_old(b, old.p[i].path);
	objects_clear(&old);
	if (rc || (rc = io_sync_dir(b->r->io, "damaged")))
		return rc;
	return io_sync_dir(b->r->io, "index");
}

static int
place_segments(struct reindex *b)
{
	char tmp[INDEX_FILE_PATH], path[INDEX_FILE_PATH];
	int rc;

	for (; b->placed < segment_count(b); b->placed++) {
		tmp_path(tmp, b->placed);
		index_file_segment_path(path, "index", b->placed < b->n->record_count ? &b->n->sids[b->placed] : &b->sid, 0);
		if ((rc = io_rename(b->r->io, tmp, path)))
			return rc;
	}
	return io_sync_dir(b->r->io, "index");
}

static int
intent_name(void *arg, const char *name)
{
	struct name_sid sid;
	uint64_t number;
	uint32_t part;

	if (!index_file_parse_segment(name, &sid, &part) &&
	    !index_file_parse_table(name, &number))
		return OK;
	return mem_buf_add(arg, name, strlen(name) + 1);
}

/*
 * A session or settle that was cut short has left there the names of the packs it published.  They are indexed now, as all others: a
 * sweep must not take them (PB-5), not even after a power loss.
 */
static int
forget_intents(struct reindex *b)
{
	struct mem_buf names = { 0 };
	char path[INDEX_FILE_PATH];
	int rc = io_list(b->r->io, "tmp", intent_name, &names);

	for (size_t at = 0; rc == OK && at < names.len;) {
		const char *name = (const char *)names.p + at;

		at += strlen(name) + 1;
		snprintf(path, sizeof(path), "tmp/%.48s", name);
		rc = unlink_old(b, path);
	}
	mem_buf_clear(&names);
	return rc ? rc : io_sync_dir(b->r->io, "tmp");
}

/* Records and packs that were removed lately: after a power loss they would be back, and no index would count or name them. */
static int
sync_removed(struct reindex *b)
{
	static const char *const records[] = { "snapshots", "forgotten" };
	char dir[16];
	int rc = OK;

	for (unsigned i = 0; rc == OK && i < 256 + 2; i++) {
		snprintf(dir, sizeof(dir), "packs/%02x", i);
		rc = io_sync_dir(b->r->io, i < 256 ? dir : records[i - 256]);
		if (rc == ERR_ABSENT)
			rc = OK;
	}
	return rc;
}

/* The reserve is for a disk that is full (reserve.h); the next prune makes it again. */
static int
with_reserve(struct reindex *b, int (*step)(struct reindex *b))
{
	int rc = step(b);

	return reserve_is_full(rc) && reserve_give(b->r->io) == FOUND ? step(b) : rc;
}

int
reindex_run(struct repo *r, const struct reindex_content *n)
{
	static int (*const steps[])(struct reindex *b) = { make_dirs, write_segments, put_bar, forget_intents, sync_removed, set_old_aside,
		place_segments, remove_bar };
	struct reindex b = { .r = r, .n = n };
	char path[INDEX_FILE_PATH];
	int rc = OK;

	entropy_fill(b.sid.b, sizeof(b.sid.b));
	for (size_t i = 0; rc == OK && i < sizeof(steps) / sizeof(*steps); i++)
		rc = with_reserve(&b, steps[i]);
	for (size_t i = b.placed; rc && i < segment_count(&b); i++) {
		tmp_path(path, i);
		io_discard(r->io, path);
	}
	return rc;
}
