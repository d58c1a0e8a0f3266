/*
 * test_session: what a session stores, counts and publishes, and in which order.  Lost if it failed: a snapshot that was reported
 * and is not whole after a crash, or counts so low that a later prune removes what is needed.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef fail                             /* base/err.h has one too */

#include "base/err.h"
#include "format/frame.h"
#include "format/listnode.h"
#include "format/treenode.h"
#include "store/graves.h"
#include "store/index_file.h"
#include "store/packer.h"
#include "store/parity.h"
#include "store/session.h"
#include "store/settle.h"
#include "tests/unit/support_recount.h"
#include "tests/unit/support_store.h"

struct fixture {
	struct support_disk *disk;
	struct repo *r;
};

static const struct session_config quick = { .jobs = 1, .level = 1 };

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->disk = support_disk_new();
	assert_int_equal(support_store_init(f->disk, &f->r), OK);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	repo_close(f->r);
	support_disk_free(f->disk);
	free(f);
	return 0;
}

static void
recount(struct repo *r, enum support_recount how, struct support_recount_result *res)
{
	struct support_recount_result own;
	bool ok;

	res = res ? res : &own;
	ok = support_recount(r, how, res);
	assert_string_equal(res->why, "");
	assert_true(ok);
}

static void
settle_and_recount(struct repo *r, struct support_recount_result *res)
{
	struct settle_stats stats;

	assert_int_equal(settle_run(r, NULL, 0, false, &stats), OK);
	recount(r, SUPPORT_RECOUNT_EXACT, res);
}

static struct session *
begin(struct repo *r)
{
	struct session *s;

	assert_int_equal(session_begin(r, &quick, &s), OK);
	return s;
}

/* n files of 100 bytes each, content by seed. */
static int
put_files(struct session *s, uint64_t seed, size_t n, const struct name *base, struct name *root)
{
	struct name ids[100];
	int rc;

	for (size_t i = 0; i < n; i++)
		if ((rc = support_store_data(s, seed + i, 100, NULL, &ids[i])))
			return rc;
	return support_store_tree(s, TREENODE_FILE, ids, n, base, root);
}

static struct name
snapshot(struct repo *r, uint64_t seed, size_t n)
{
	struct session *s = begin(r);
	struct name root;

	assert_int_equal(put_files(s, seed, n, NULL, &root), OK);
	assert_int_equal(support_store_commit(s, &root), OK);
	session_free(s);
	return root;
}

/* --------------------------------------------------------------------------------------------------- order */

/* The first operation from i on of this kind whose path (of a rename: target) begins so; asserts that there is one. */
static size_t
find_op(const struct support_disk *d, size_t i, enum support_kind kind, const char *prefix)
{
	for (; i < support_disk_ops(d); i++) {
		const struct support_op *op = support_disk_op(d, i);

		if (op->kind == kind && strncmp(kind == SUPPORT_RENAME ? op->to : op->path, prefix, strlen(prefix)) == 0)
			return i;
	}
	assert_string_equal(prefix, "found in the log");
	return 0;
}

/* The last operation before n that concerns this file. */
static bool
synced_last(const struct support_disk *d, size_t n, uint32_t inode)
{
	while (n-- > 0) {
		const struct support_op *op = support_disk_op(d, n);

		if (op->inode == inode && (op->kind == SUPPORT_SYNC || op->kind == SUPPORT_APPEND || op->kind == SUPPORT_WRITE_AT))
			return op->kind == SUPPORT_SYNC;
	}
	return false;
}

/* Was this directory synced after operation i and before n? */
static bool
dir_synced(const struct support_disk *d, size_t i, size_t n, const char *dir)
{
	while (++i < n)
		if (support_disk_op(d, i)->kind == SUPPORT_SYNC_DIR && strcmp(support_disk_op(d, i)->path, dir) == 0)
			return true;
	return false;
}

/* Sidecars are redundant: they are made at any time and not synced (PA-4). */
static bool
of_sidecar(const struct support_op *op)
{
	return strncmp(op->path, "parity", 6) == 0 || strncmp(op->path, "tmp/parity-", 11) == 0 || strncmp(op->to, "parity/", 7) == 0;
}

/* PB-2 (1), (2): every pack renamed between from and segment was complete first and is durable then. */
static size_t
check_packs(const struct support_disk *d, size_t from, size_t segment, size_t tmp_synced)
{
	char dir[SUPPORT_IO_PATH];
	size_t packs = 0;

	for (size_t i = from; i < segment; i++) {
		const struct support_op *op = support_disk_op(d, i);

		if (op->kind != SUPPORT_RENAME || of_sidecar(op))
			continue;
		assert_int_equal(strncmp(op->to, "packs/", 6), 0);
		assert_true(i > tmp_synced);
		assert_true(synced_last(d, tmp_synced, op->inode));
		snprintf(dir, sizeof(dir), "%.8s", op->to);
		assert_true(dir_synced(d, i, segment, dir));
		packs++;
	}
	return packs;
}

static void
check_order(const struct support_disk *d, size_t from, size_t want_packs)
{
	size_t segment = find_op(d, from, SUPPORT_RENAME, "index/");
	size_t tmp_synced = find_op(d, find_op(d, from, SUPPORT_CREATE, support_disk_op(d, segment)->path), SUPPORT_SYNC_DIR, "tmp");
	size_t record = find_op(d, segment, SUPPORT_RENAME, "snapshots/"), last_pack = from, end = support_disk_ops(d);

	for (size_t i = from; i < segment; i++)
		if (support_disk_op(d, i)->kind == SUPPORT_SYNC_DIR && support_disk_op(d, i)->path[0] == 'p')
			last_pack = i;
	assert_int_equal(check_packs(d, from, segment, tmp_synced), want_packs);
	assert_true(synced_last(d, tmp_synced, support_disk_op(d, segment)->inode));
	assert_true(dir_synced(d, last_pack, segment, "index"));
	assert_true(dir_synced(d, segment, record, "index"));
	assert_true(synced_last(d, record, support_disk_op(d, record)->inode));
	assert_true(dir_synced(d, record, end, "snapshots"));
	for (size_t i = from; i < end; i++)
		assert_false(of_sidecar(support_disk_op(d, i)) && (support_disk_op(d, i)->kind == SUPPORT_SYNC ||
		    support_disk_op(d, i)->kind == SUPPORT_SYNC_DIR));
	while (support_disk_op(d, end - 1)->kind > SUPPORT_SYNC_DIR || of_sidecar(support_disk_op(d, end - 1)))
		end--;
	assert_int_equal(support_disk_op(d, end - 1)->kind, SUPPORT_SYNC_DIR);
	assert_string_equal(support_disk_op(d, end - 1)->path, "snapshots");
}

/* PB-2, PB-3: the whole order, with packs and without. */
static void
test_order(void **state)
{
	struct fixture *f = *state;
	size_t from = support_disk_ops(f->disk);

	snapshot(f->r, 1, 20);
	check_order(f->disk, from, 2);
	from = support_disk_ops(f->disk);
	snapshot(f->r, 1, 20);
	check_order(f->disk, from, 0);
}

/* PB-1: nothing is listed before the lock is held; a settle does not run beside a session. */
static void
test_lock(void **state)
{
	struct fixture *f = *state;
	struct session *s = begin(f->r);
	struct settle_stats stats;
	struct repo *other;

	assert_int_equal(support_store_open(f->disk, &other), OK);
	assert_int_equal(settle_run(other, NULL, 0, false, &stats), ERR_LOCKED);
	session_free(s);
	assert_int_equal(io_lock(other->io, IO_EXCLUSIVE, false), OK);
	assert_int_equal(session_begin(f->r, &quick, &s), ERR_LOCKED);
	assert_null(s);
	repo_close(other);
	s = begin(f->r);
	session_free(s);
}

/* ------------------------------------------------------------------------------------------------- counting */

static struct index_file *
open_segment(struct repo *r, const struct session *s, uint32_t part)
{
	char path[INDEX_FILE_PATH];
	struct index_file *file;

	index_file_segment_path(path, "index", session_sid(s), part);
	assert_int_equal(index_file_open(r, path, &file), OK);
	return file;
}

static void
check_row(struct index_file *file, const struct name *id, uint32_t refs, uint32_t uses, bool placed)
{
	struct indexfile_row row;

	assert_int_equal(index_file_find(file, id, &row), FOUND);
	assert_int_equal(row.refs, refs);
	assert_int_equal(row.uses, uses);
	assert_true((row.frame != INDEXFILE_NO_FRAME) == placed);
}

/* IX-7: a segment has a row for each stored chunk and counts no references; a settle counts each distinct child once per node. */
static void
test_counts(void **state)
{
	struct fixture *f = *state;
	struct session *s = begin(f->r);
	struct name a, b, trees[2], root;
	struct index_file *file;

	assert_int_equal(support_store_data(s, 1, 100, NULL, &a), OK);
	assert_int_equal(support_store_data(s, 2, 100, NULL, &b), OK);
	assert_int_equal(support_store_tree(s, TREENODE_FILE, (struct name[]){ a, a, b }, 3, NULL, &trees[0]), OK);
	assert_int_equal(support_store_tree(s, TREENODE_FILE, (struct name[]){ a }, 1, NULL, &trees[1]), OK);
	assert_int_equal(support_store_tree(s, TREENODE_DIR, trees, 2, NULL, &root), OK);
	assert_int_equal(support_store_commit(s, &root), OK);
	file = open_segment(f->r, s, 0);
	assert_memory_equal(&index_file_header(file)->root, &root, NAME_LEN);
	assert_int_equal(index_file_header(file)->flags, INDEXFILE_LAST_PART);
	assert_int_equal(index_file_header(file)->row_count, 5);
	check_row(file, &a, 0, 0, true);
	check_row(file, &b, 0, 0, true);
	check_row(file, &trees[0], 0, 0, true);
	check_row(file, &trees[1], 0, 0, true);
	check_row(file, &root, 0, 0, true);
	index_file_close(file);
	session_free(s);
	recount(f->r, SUPPORT_RECOUNT_SAFE, NULL);
	settle_and_recount(f->r, NULL);
}

/* IX-7: a directory that is in two others gives its references once, whichever of them is looked at first. */
static void
test_counts_of_shared(void **state)
{
	struct fixture *f = *state;
	struct session *s = begin(f->r);
	struct name data[2], leaf[2], twice[3], root;

	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(support_store_data(s, i, 100, NULL, &data[i]), OK);
		assert_int_equal(support_store_tree(s, TREENODE_FILE, &data[i], 1, NULL, &leaf[i]), OK);
	}
	assert_int_equal(support_store_tree(s, TREENODE_DIR, (struct name[]){ leaf[0] }, 1, NULL, &twice[0]), OK);
	assert_int_equal(support_store_tree(s, TREENODE_DIR, (struct name[]){ leaf[0], leaf[1] }, 2, NULL, &twice[1]), OK);
	assert_int_equal(support_store_tree(s, TREENODE_DIR, (struct name[]){ leaf[1], twice[0], twice[1] }, 3, NULL, &twice[2]), OK);
	assert_int_equal(support_store_tree(s, TREENODE_DIR, (struct name[]){ twice[2], twice[0], leaf[0] }, 3, NULL, &root), OK);
	assert_int_equal(support_store_commit(s, &root), OK);
	session_free(s);
	settle_and_recount(f->r, NULL);
}

/* IX-7: lists count their chunks, holes are none; what was there before has no row in the segment. */
static void
test_counts_of_lists(void **state)
{
	struct fixture *f = *state;
	struct name root = snapshot(f->r, 1, 3), a, fresh, list, top;
	struct session *s = begin(f->r);
	uint8_t raw[LISTNODE_HEAD_LEN + 4 * LISTNODE_ROW_LEN];
	struct listnode_row rows[4] = { { .len = 100 }, { .len = 5000 }, { .len = 100 }, { .len = 100 } };
	struct treenode_entry e = { .name = (const uint8_t *)"x", .name_len = 1, .kind = TREENODE_FILE, .flags = TREENODE_LIST,
		.size = 5300 };
	uint8_t node[300];
	size_t len = listnode_head_encode(raw, sizeof(raw), 0);
	struct index_file *file;
	struct indexfile_row row;

	assert_int_equal(support_store_data(s, 1, 100, NULL, &a), OK);
	assert_int_equal(support_store_data(s, 99, 100, NULL, &fresh), OK);
	rows[0].id = rows[2].id = a;
	rows[3].id = fresh;
	for (size_t i = 0; i < 4; i++)
		len += listnode_row_encode(raw + len, sizeof(raw) - len, &rows[i]);
	assert_int_equal(session_put(s, FRAME_LIST, raw, len, NULL, &list, NULL), OK);
	e.content = list;
	len = treenode_head_encode(node, sizeof(node), 0);
	len += treenode_entry_encode(node + len, sizeof(node) - len, &e);
	assert_int_equal(session_put(s, FRAME_TREE, node, len, NULL, &top, NULL), OK);
	assert_int_equal(support_store_commit(s, &top), OK);
	file = open_segment(f->r, s, 0);
	assert_int_equal(index_file_find(file, &a, &row), OK);
	check_row(file, &fresh, 0, 0, true);
	check_row(file, &list, 0, 0, true);
	index_file_close(file);
	session_free(s);
	assert_true(name_cmp(&root, &top) != 0);
	recount(f->r, SUPPORT_RECOUNT_SAFE, NULL);
	settle_and_recount(f->r, NULL);
}

/* A node that does not decode is refused: its children could not be counted. */
static void
test_bad_node(void **state)
{
	struct fixture *f = *state;
	struct session *s = begin(f->r);
	struct name id;

	assert_int_equal(session_put(s, FRAME_TREE, "not a tree", 10, NULL, &id, NULL), ERR_CORRUPT);
	session_abort(s);
	session_free(s);
	settle_and_recount(f->r, NULL);
}

/* -------------------------------------------------------------------------------------------- parts and reuse */

/* PB-2: a session in three parts; only the last names the root; its own earlier parts are found again. */
static void
test_parts(void **state)
{
	struct fixture *f = *state;
	struct session *s = begin(f->r);
	struct support_recount_result res;
	struct index_file *file;
	struct name trees[3], root;

	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(put_files(s, 10 * i, 15, NULL, &trees[i]), OK);
		assert_int_equal(session_checkpoint(s), OK);
	}
	assert_int_equal(session_checkpoint(s), OK);
	assert_int_equal(support_store_tree(s, TREENODE_DIR, trees, 3, NULL, &root), OK);
	assert_int_equal(support_store_commit(s, &root), OK);
	for (uint32_t i = 0; i < 4; i++) {
		file = open_segment(f->r, s, i);
		assert_int_equal(index_file_header(file)->number, i);
		assert_true(name_is_zero(&index_file_header(file)->root) == (i < 3));
		assert_true((index_file_header(file)->flags == INDEXFILE_LAST_PART) == (i == 3));
		index_file_close(file);
	}
	session_free(s);
	recount(f->r, SUPPORT_RECOUNT_SAFE, &res);
	assert_int_equal(res.chunks, 35 + 3 + 1);
	settle_and_recount(f->r, NULL);
}

/* What compresses is stored compressed, what does not as it is. */
static void
test_compression(void **state)
{
	static const uint8_t zeros[16000];
	struct fixture *f = *state;
	struct name id, root;

	for (unsigned i = 0; i < 2; i++) {
		struct session *s = begin(f->r);
		uint64_t stored;

		for (unsigned k = 0; k < 50; k++)
			if (i == 0)
				assert_int_equal(session_put(s, FRAME_DATA, zeros, sizeof(zeros) - k, NULL, &id, NULL), OK);
			else
				assert_int_equal(support_store_data(s, k, sizeof(zeros), NULL, &id), OK);
		assert_int_equal(support_store_tree(s, TREENODE_FILE, &id, 1, NULL, &root), OK);
		assert_int_equal(support_store_commit(s, &root), OK);
		stored = session_stats(s)->bytes_stored;
		assert_true(i == 0 ? stored < 20000 : stored > 800000 && stored < 820000);
		session_free(s);
	}
}

/* PB-2: a session that stores much publishes parts by itself. */
static void
test_part_bytes(void **state)
{
	const struct session_config cfg = { .jobs = 2, .level = 1, .part_bytes = 1 };
	struct fixture *f = *state;
	struct support_recount_result res;
	size_t from = support_disk_ops(f->disk), parts = 0;
	struct name ids[50], root;
	struct index_file *file;
	struct session *s;

	assert_int_equal(session_begin(f->r, &cfg, &s), OK);
	for (unsigned i = 0; i < 50; i++)
		assert_int_equal(support_store_data(s, i, 1000000, NULL, &ids[i]), OK);
	assert_int_equal(support_store_tree(s, TREENODE_FILE, ids, 50, NULL, &root), OK);
	assert_int_equal(support_store_commit(s, &root), OK);
	assert_int_equal(session_stats(s)->chunks_new, 51);
	assert_true(session_stats(s)->bytes_stored > 50000000 && session_stats(s)->bytes_stored < 50200000);
	file = open_segment(f->r, s, 1);
	index_file_close(file);
	session_free(s);
	/* One for each pack that became full, not for each chunk. */
	for (; from < support_disk_ops(f->disk); from++)
		parts += support_disk_op(f->disk, from)->kind == SUPPORT_RENAME &&
		    strncmp(support_disk_op(f->disk, from)->to, "index/", 6) == 0;
	assert_true(parts <= 5);
	recount(f->r, SUPPORT_RECOUNT_SAFE, &res);
	assert_int_equal(res.chunks, 51);
	settle_and_recount(f->r, NULL);
}

/* IX-8: what an interrupted session published is reused by the next one, nodes included, and survives the settle. */
static void
test_checkpoint_reuse(void **state)
{
	struct fixture *f = *state;
	struct session *s = begin(f->r);
	struct name tree, root;
	bool was_new;

	assert_int_equal(put_files(s, 1, 20, NULL, &tree), OK);
	assert_int_equal(session_checkpoint(s), OK);
	assert_int_equal(put_files(s, 500, 20, NULL, &root), OK);
	session_abort(s);
	session_free(s);
	s = begin(f->r);
	assert_int_equal(session_has(s, &tree), FOUND);
	assert_int_equal(session_has(s, &root), OK);
	assert_int_equal(put_files(s, 1, 20, NULL, &root), OK);
	assert_int_equal(session_stats(s)->chunks_new, 0);
	assert_int_equal(session_put(s, FRAME_DATA, "fresh", 5, NULL, &root, &was_new), OK);
	assert_true(was_new);
	assert_int_equal(support_store_tree(s, TREENODE_DIR, &tree, 1, NULL, &root), OK);
	assert_int_equal(support_store_commit(s, &root), OK);
	session_free(s);
	recount(f->r, SUPPORT_RECOUNT_SAFE, NULL);
	settle_and_recount(f->r, NULL);
}

/* A node is read with its neighbours, so a frame of nodes is short. */
static void
test_node_frames(void **state)
{
	enum { NODES = 8, ENTRIES = 900 };
	struct fixture *f = *state;
	struct name ids[NODES], entries[ENTRIES];
	struct index_place place;
	struct session *s;
	struct index *ix;

	assert_int_equal(session_begin(f->r, &quick, &s), OK);
	for (size_t i = 0; i < NODES; i++) {
		support_store_bytes(entries[0].b, sizeof(entries), i);
		assert_int_equal(support_store_tree(s, TREENODE_FILE, entries, ENTRIES, NULL, &ids[i]), OK);
	}
	assert_int_equal(session_checkpoint(s), OK);
	session_free(s);
	assert_int_equal(index_load(f->r, &ix), OK);
	assert_int_equal(index_find(ix, &ids[NODES - 1], &place, NULL), FOUND);
	assert_true(place.ordinal >= 1);
	for (size_t i = 0; i < NODES; i++) {
		assert_int_equal(index_find(ix, &ids[i], &place, NULL), FOUND);
		assert_true(place.len <= 260u << 10);
	}
	index_free(ix);
}

/* What nobody reused is gone with the next settle, packs and all. */
static void
test_abandoned(void **state)
{
	struct fixture *f = *state;
	struct support_recount_result res;
	struct session *s = begin(f->r);
	struct name root;

	assert_int_equal(put_files(s, 1, 20, NULL, &root), OK);
	assert_int_equal(session_checkpoint(s), OK);
	session_abort(s);
	session_free(s);
	settle_and_recount(f->r, &res);
	assert_int_equal(res.chunks, 0);
}

static void
count_writes(const struct support_disk *d, size_t from, size_t *writes)
{
	*writes = 0;
	for (; from < support_disk_ops(d); from++)
		*writes += support_disk_op(d, from)->kind <= SUPPORT_SYNC_DIR;
}

/* A dry run counts as a real one does and changes nothing. */
static void
test_dry_run(void **state)
{
	const struct session_config cfg = { .jobs = 1, .level = 1, .dry_run = true };
	struct fixture *f = *state;
	size_t from, writes;
	struct session *s;
	struct name root;

	snapshot(f->r, 1, 10);
	from = support_disk_ops(f->disk);
	assert_int_equal(session_begin(f->r, &cfg, &s), OK);
	assert_int_equal(put_files(s, 1, 15, NULL, &root), OK);
	assert_int_equal(put_files(s, 1, 15, NULL, &root), OK);
	assert_int_equal(session_stats(s)->chunks_new, 6);
	assert_int_equal(session_checkpoint(s), OK);
	session_abort(s);
	session_free(s);
	count_writes(f->disk, from, &writes);
	assert_int_equal(writes, 0);
}

/* The paths of all packs under packs/, by the log. */
static size_t
pack_paths(const struct support_disk *d, char out[][SUPPORT_IO_PATH], size_t cap)
{
	size_t n = 0;

	for (size_t i = 0; i < support_disk_ops(d); i++)
		if (support_disk_op(d, i)->kind == SUPPORT_RENAME && strncmp(support_disk_op(d, i)->to, "packs/", 6) == 0 && n < cap)
			memcpy(out[n++], support_disk_op(d, i)->to, SUPPORT_IO_PATH);
	return n;
}

/*
 * A pack that is missing: what was in it is stored again, whole, and from then on the new copy is the one that is read and kept.
 * Lost if it failed: a snapshot reported as made although its content is not there.
 */
static void
missing_pack(struct fixture *f, bool settled)
{
	char packs[2][SUPPORT_IO_PATH];
	struct settle_stats stats;
	struct session *s;
	struct name root;

	snapshot(f->r, 1, 20);
	if (settled)
		assert_int_equal(settle_run(f->r, NULL, 0, false, &stats), OK);
	assert_int_equal(pack_paths(f->disk, packs, 2), 2);
	for (size_t i = 0; i < 2; i++)
		assert_true(support_disk_remove(f->disk, packs[i]));
	s = begin(f->r);
	assert_int_equal(put_files(s, 1, 20, NULL, &root), OK);
	assert_int_equal(session_stats(s)->chunks_new, 21);
	assert_int_equal(support_store_commit(s, &root), OK);
	session_free(s);
}

static void
test_missing_pack(void **state)
{
	struct fixture *f = *state;

	missing_pack(f, true);
	recount(f->r, SUPPORT_RECOUNT_SAFE, NULL);
	settle_and_recount(f->r, NULL);
}

/* The same before anything was settled: the order of two segments says nothing about their age. */
static void
test_missing_pack_unsettled(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		struct fixture *f;

		setup((void **)&f);
		missing_pack(f, false);
		recount(f->r, SUPPORT_RECOUNT_SAFE, NULL);
		settle_and_recount(f->r, NULL);
		teardown((void **)&f);
	}
}

/* ---------------------------------------------------------------------------------------------------- deltas */

/* Bytes of seed with one byte changed. */
static int
put_version(struct session *s, uint32_t version, const struct name *base, struct name *id)
{
	uint8_t p[2000];

	support_store_bytes(p, sizeof(p), 4711);
	memcpy(p + 100, &version, sizeof(version));
	return session_put(s, FRAME_DATA, p, sizeof(p), base, id, NULL);
}

static void
commit_one(struct session *s, const struct name *data)
{
	struct name root;

	assert_int_equal(support_store_tree(s, TREENODE_FILE, data, 1, NULL, &root), OK);
	assert_int_equal(support_store_commit(s, &root), OK);
}

/*
 * FR-4, IX-7: a chunk like its base is stored as a difference, one deeper, and counts a use; where the base is too deep an ancestor
 * near the root serves: chains stay short of the limit, and none is stored whole.
 */
static void
test_delta_chain(void **state)
{
	struct fixture *f = *state;
	struct name prev = { { 0 } }, id, ids[20];
	struct support_recount_result res;
	unsigned deepest = 0, depths[20];

	for (uint32_t version = 0; version < 20; version++) {
		uint32_t base = version - 1;

		struct session *s = begin(f->r);
		struct index_file *file;
		struct indexfile_row row;

		assert_int_equal(put_version(s, version, version ? &prev : NULL, &id), OK);
		commit_one(s, &id);
		file = open_segment(f->r, s, 0);
		assert_int_equal(index_file_find(file, &id, &row), FOUND);
		if (version) {
			assert_true(session_stats(s)->bytes_stored < 2000);
			while (depths[base] + 1 != row.depth)
				assert_true(base-- > 0);
			assert_true(base == version - 1 || depths[version - 1] == 8);
			check_row(file, &ids[base], 0, 1, false);
		} else {
			assert_int_equal(row.depth, 0);
		}
		ids[version] = id;
		depths[version] = row.depth;
		deepest = row.depth > deepest ? row.depth : deepest;
		index_file_close(file);
		session_free(s);
		prev = id;
	}
	assert_int_equal(deepest, 8);
	recount(f->r, SUPPORT_RECOUNT_SAFE, &res);
	assert_true(res.deltas >= 19);
	settle_and_recount(f->r, NULL);
}

/* A base is a help, never a need: itself, one of another type, one not published, one that is missing, one that does not resemble. */
static void
test_delta_declined(void **state)
{
	struct fixture *f = *state;
	struct support_recount_result res;
	struct name root = snapshot(f->r, 1, 3), a, b, none = { { 1, 2, 3 } };
	struct session *s = begin(f->r);

	assert_int_equal(put_version(s, 1, &root, &a), OK);
	assert_int_equal(put_version(s, 2, &a, &b), OK);
	assert_int_equal(put_version(s, 3, &none, &b), OK);
	assert_int_equal(put_version(s, 4, &b, &b), OK);
	assert_int_equal(session_checkpoint(s), OK);
	assert_int_equal(support_store_data(s, 77, 2000, &a, &b), OK);
	assert_int_equal(put_version(s, 5, &a, &b), OK);
	commit_one(s, &b);
	session_free(s);
	recount(f->r, SUPPORT_RECOUNT_SAFE, &res);
	assert_int_equal(res.deltas, 1);
	settle_and_recount(f->r, &res);
	assert_int_equal(res.hollow, 1);
}

/* Its pack being gone, a chunk is not stored as a difference: a copy without bases is the one that every reader prefers. */
static void
test_missing_pack_no_delta(void **state)
{
	struct fixture *f = *state;
	char packs[4][SUPPORT_IO_PATH];
	struct support_recount_result res;
	struct session *s = begin(f->r);
	struct name a, b;

	assert_int_equal(put_version(s, 1, NULL, &a), OK);
	commit_one(s, &a);
	session_free(s);
	s = begin(f->r);
	assert_int_equal(support_store_data(s, 5, 100, NULL, &b), OK);
	assert_int_equal(put_version(s, 2, NULL, &b), OK);
	commit_one(s, &b);
	session_free(s);
	assert_int_equal(pack_paths(f->disk, packs, 4), 4);
	for (size_t i = 0; i < 2; i++)
		assert_true(support_disk_remove(f->disk, packs[i]));
	s = begin(f->r);
	assert_int_equal(put_version(s, 1, &b, &a), OK);
	commit_one(s, &a);
	session_free(s);
	recount(f->r, SUPPORT_RECOUNT_SAFE, &res);
	assert_int_equal(res.deltas, 0);
	settle_and_recount(f->r, NULL);
}

/* --------------------------------------------------------------------------------------------------- threads */

static void
many_chunks(struct repo *r, unsigned jobs, struct name *root)
{
	const struct session_config cfg = { .jobs = jobs, .level = 1 };
	struct name ids[200];
	struct session *s;

	assert_int_equal(session_begin(r, &cfg, &s), OK);
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(support_store_data(s, i, 1 + i * 997, NULL, &ids[i]), OK);
	assert_int_equal(support_store_tree(s, TREENODE_FILE, ids, 200, NULL, root), OK);
	assert_int_equal(support_store_commit(s, root), OK);
	session_free(s);
}

/* FR-1, PK-2, PK-4: 20 MiB through one, two and eight threads: several packs, every chunk reads back. */
static void
test_jobs(void **state)
{
	static const unsigned jobs[] = { 1, 2, 8 };
	struct name root, first = { { 0 } };

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct support_recount_result res;
		struct fixture *f;

		setup((void **)&f);
		many_chunks(f->r, jobs[i], &root);
		assert_true(i == 0 || name_cmp(&first, &root) == 0);
		first = root;
		recount(f->r, SUPPORT_RECOUNT_SAFE, &res);
		assert_int_equal(res.chunks, 201);
		settle_and_recount(f->r, NULL);
		teardown((void **)&f);
	}
}

/* Threads as asked for, as far as they fit, and always one. */
static void
test_memory(void **state)
{
	(void)state;
	assert_int_equal(packer_jobs(2, 0), 2);
	assert_in_range(packer_jobs(1000, 0), 8, 64);
	assert_int_equal(packer_jobs(8, 64u << 20), 3);
	assert_int_equal(packer_jobs(8, 1u << 20), 1);
	assert_int_equal(packer_jobs(8, 1), 1);
	assert_int_equal(packer_jobs(3, UINT64_MAX), 3);
}

/* Data shares frames of 2 MiB, no more; session_fine makes them small. */
static void
test_frame_sizes(void **state)
{
	struct fixture *f = *state;
	struct name ids[8], root;
	struct index_place at[8];
	struct session *s = begin(f->r);
	struct index *ix;

	for (unsigned i = 0; i < 8; i++) {
		if (i == 6)
			assert_int_equal(session_fine(s, true), OK);
		assert_int_equal(support_store_data(s, i, i < 6 ? 520000 : 200000, NULL, &ids[i]), OK);
	}
	assert_int_equal(session_fine(s, false), OK);
	assert_int_equal(support_store_tree(s, TREENODE_FILE, ids, 8, NULL, &root), OK);
	assert_int_equal(support_store_commit(s, &root), OK);
	session_free(s);
	assert_int_equal(index_load(f->r, &ix), OK);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(index_find(ix, &ids[i], &at[i], NULL), FOUND);
	index_free(ix);
	assert_int_equal(at[3].ordinal, at[0].ordinal);
	assert_true(at[4].ordinal != at[3].ordinal);
	assert_int_equal(at[5].ordinal, at[4].ordinal);
	assert_true(at[6].ordinal != at[5].ordinal && at[7].ordinal != at[6].ordinal);
}

/* A session thrown away with frames under way leaves nothing in tmp/ but what a sweep knows. */
static void
test_abort_busy(void **state)
{
	const struct session_config cfg = { .jobs = 3, .level = 1 };
	struct fixture *f = *state;
	struct session *s;
	struct name id;

	for (unsigned n = 1; n < 60; n += 7) {
		assert_int_equal(session_begin(f->r, &cfg, &s), OK);
		for (unsigned i = 0; i < n; i++)
			assert_int_equal(support_store_data(s, i, 300000, NULL, &id), OK);
		session_abort(s);
		session_free(s);
		recount(f->r, SUPPORT_RECOUNT_EXACT, NULL);
	}
}

/* ----------------------------------------------------------------------------------- names that are not durable */

/* A directory with the directory of put_files(1) in it. */
static void
commit_above(struct support_disk *d)
{
	struct name tree, root;
	struct session *s;
	struct repo *r;

	assert_int_equal(support_store_open(d, &r), OK);
	s = begin(r);
	assert_int_equal(put_files(s, 1, 20, NULL, &tree), OK);
	assert_int_equal(support_store_tree(s, TREENODE_DIR, &tree, 1, NULL, &root), OK);
	assert_int_equal(support_store_commit(s, &root), OK);
	recount(r, SUPPORT_RECOUNT_SAFE, NULL);
	session_free(s);
	repo_close(r);
}

/*
 * PB-2 (3): a session was killed between the rename of its segment and the sync; a second one builds on it, and the power fails
 * while its own segment is not durable yet.  Lost if index/ were not synced before: a third session finds the second's node, whose
 * children no index has any more.
 */
static void
test_unsynced_segment(void **state)
{
	struct fixture *f = *state;
	size_t first = support_disk_ops(f->disk), second;
	struct support_disk *killed;

	snapshot(f->r, 1, 20);
	first = find_op(f->disk, first, SUPPORT_RENAME, "index/") + 1;
	killed = support_disk_kill(f->disk, first);
	commit_above(killed);
	second = find_op(killed, first, SUPPORT_RENAME, "index/") + 1;
	for (size_t i = 0; i < 2 * support_disk_pending(killed, second); i++) {
		const struct support_loss loss = { i % 2 ? SUPPORT_KEEP_NAME : SUPPORT_LOSE_NAME, i / 2 };
		struct support_disk *lost = support_disk_loss(killed, second, &loss);

		commit_above(lost);
		support_disk_free(lost);
	}
	support_disk_free(killed);
}

/* --------------------------------------------------------------------------------------------------- failures */

/* The second snapshot: changes, a difference, a part. */
static int
second(struct repo *r, unsigned jobs, const struct name *parent)
{
	const struct session_config cfg = { .jobs = jobs, .level = 1 };
	struct session *s;
	struct name root;
	int rc = session_begin(r, &cfg, &s);

	if (rc)
		return rc;
	if ((rc = put_files(s, 5, 20, parent, &root)) == OK &&
	    (rc = session_checkpoint(s)) == OK &&
	    (rc = put_files(s, 8, 20, parent, &root)) == OK)
		rc = support_store_commit(s, &root);
	if (rc)
		session_abort(s);
	session_free(s);
	return rc;
}

/* Success means that it is there, also after a power loss; failure that what was there before still is; and it goes on. */
static void
after_failure(struct support_disk *d, bool success)
{
	const struct support_loss loss = { .kind = SUPPORT_LOSE_ALL };
	struct support_disk *lost = support_disk_loss(d, support_disk_ops(d), &loss);
	struct support_recount_result res;
	struct repo *r;

	assert_int_equal(support_store_open(lost, &r), OK);
	recount(r, SUPPORT_RECOUNT_SAFE, &res);
	assert_true(res.snapshots == 2 || (res.snapshots == 1 && !success));
	repo_close(r);
	support_disk_free(lost);
	assert_int_equal(support_store_open(d, &r), OK);
	recount(r, SUPPORT_RECOUNT_SAFE, &res);
	assert_true(res.snapshots == 2 || (res.snapshots == 1 && !success));
	snapshot(r, 12, 20);
	settle_and_recount(r, NULL);
	repo_close(r);
}

/* One failure of these kinds, the nth asked for; false when there are fewer than n. */
static bool
fail_nth(uint32_t kinds, uint64_t n, int err, bool forever, unsigned jobs)
{
	struct fixture *f;
	struct name root;
	uint64_t failures;
	int rc;

	setup((void **)&f);
	root = snapshot(f->r, 1, 20);
	support_disk_fail(f->disk, kinds, n, err, forever);
	rc = second(f->r, jobs, &root);
	/* Whichever thread met it: who asks for the reserve of a full disk wants to know. */
	assert_int_equal(rc ? err_errno() : err, err);
	failures = support_disk_failures(f->disk);
	support_disk_fail(f->disk, 0, 0, 0, false);
	assert_true(rc == OK || rc == ERR_IO);
	assert_true(failures || rc == OK);
	after_failure(f->disk, rc == OK);
	teardown((void **)&f);
	return failures > 0;
}

/* GN-5, PB-8: every change fails once, and from then on. */
static void
test_write_fails(void **state)
{
	uint64_t n;

	(void)state;
	for (n = 1; fail_nth(SUPPORT_WRITES, n, EIO, false, 1); n++)
		;
	assert_true(n > 40);
	for (n = 1; fail_nth(SUPPORT_WRITES, n, ENOSPC, true, 2); n++)
		;
	assert_true(n > 40);
}

/* What was lost once is lost: a session that failed does not succeed later, though the disk is well again. */
static void
test_failure_stays(void **state)
{
	struct fixture *f = *state;
	struct session *s = begin(f->r);
	struct name id, root;

	assert_int_equal(put_files(s, 1, 20, NULL, &root), OK);
	support_disk_fail(f->disk, SUPPORT_BIT(SUPPORT_CREATE), 1, EIO, false);
	assert_int_equal(session_checkpoint(s), ERR_IO);
	assert_int_equal(support_disk_failures(f->disk), 1);
	for (uint64_t i = 0; i < 2; i++) {
		assert_int_equal(session_checkpoint(s), ERR_IO);
		assert_non_null(strstr(err_text(), "tmp/"));
		assert_int_equal(support_store_data(s, 77 + i, 100, NULL, &id), ERR_IO);
		assert_int_equal(support_store_commit(s, &root), ERR_IO);
	}
	session_free(s);
	snapshot(f->r, 1, 20);
	settle_and_recount(f->r, NULL);
}

/* The nth rename fails while a session publishes a part because it has become large: it ends there, or nothing is missing. */
static bool
part_fails(uint64_t n)
{
	const struct session_config cfg = { .jobs = 2, .level = 1, .part_bytes = 1 };
	struct name ids[20], root;
	struct session *s;
	struct fixture *f;
	uint64_t failures;
	int rc = OK;

	setup((void **)&f);
	snapshot(f->r, 1, 20);
	support_disk_fail(f->disk, SUPPORT_BIT(SUPPORT_RENAME), n, EIO, false);
	assert_int_equal(session_begin(f->r, &cfg, &s), OK);
	for (unsigned i = 0; rc == OK && i < 20; i++)
		rc = support_store_data(s, i, 1000000, NULL, &ids[i]);
	if (rc == OK && (rc = support_store_tree(s, TREENODE_FILE, ids, 20, NULL, &root)) == OK)
		rc = support_store_commit(s, &root);
	failures = support_disk_failures(f->disk);
	support_disk_fail(f->disk, 0, 0, 0, false);
	session_abort(s);
	session_free(s);
	after_failure(f->disk, rc == OK);
	teardown((void **)&f);
	return failures > 0;
}

static void
test_part_fails(void **state)
{
	uint64_t n;

	(void)state;
	for (n = 1; part_fails(n); n++)
		;
	assert_true(n > 6);
}

/* So many segments that they should be folded, and somebody is at work: that is no failure, and the next one does it. */
static void
test_fold_later(void **state)
{
	struct fixture *f = *state;
	struct session *s, *other_s;
	struct repo *other;
	struct name root;

	for (uint64_t i = 0; i < SETTLE_SEGMENTS; i++)
		root = snapshot(f->r, i, 2);
	assert_int_equal(support_store_open(f->disk, &other), OK);
	other_s = begin(other);
	for (int i = 0; i < 2; i++) {
		s = begin(f->r);
		assert_int_equal(support_store_commit(s, &root), OK);
		assert_int_equal(session_stats(s)->settle_rc, OK);
		assert_string_equal(session_stats(s)->settle_note, "");
		session_free(s);
		other_s = session_free(other_s);
	}
	repo_close(other);
	recount(f->r, SUPPORT_RECOUNT_EXACT, NULL);
}

/* A repository of a later version may be read only: nobody writes to it. */
static void
test_read_only(void **state)
{
	struct fixture *f = *state;
	struct settle_stats stats;
	struct name_sid sid;
	struct session *s = begin(f->r);
	size_t from, writes;

	sid = *session_sid(s);
	session_free(s);
	f->r->read_only = true;
	from = support_disk_ops(f->disk);
	assert_int_equal(session_begin(f->r, &quick, &s), ERR_UNSUPPORTED);
	assert_null(s);
	assert_int_equal(settle_run(f->r, NULL, 0, false, &stats), ERR_UNSUPPORTED);
	assert_int_equal(graves_bury(f->r, &sid, 1), ERR_UNSUPPORTED);
	assert_int_equal(graves_raise(f->r, &sid), ERR_UNSUPPORTED);
	count_writes(f->disk, from, &writes);
	assert_int_equal(writes, 0);
}

/* A shape that no sidecar can have is refused, and the policy stays. */
static void
test_policy_refused(void **state)
{
	const struct sidecar_shape good = PARITY_DEFAULT;
	struct sidecar_shape bad = good, is;
	struct fixture *f = *state;

	assert_int_equal(parity_set_policy(f->r, &good), OK);
	bad.parity = 33;
	assert_int_equal(parity_set_policy(f->r, &bad), ERR_USAGE);
	bad = (struct sidecar_shape){ 0 };
	assert_int_equal(parity_set_policy(f->r, &bad), ERR_USAGE);
	assert_int_equal(repo_check_params(&(struct repo_params){ .parity = true, .shape = bad }), ERR_USAGE);
	assert_int_equal(parity_policy(f->r, &is), FOUND);
	assert_int_equal(is.parity, good.parity);
}

/* Another process sets a policy of parity between two sessions of this one. */
static void
test_policy_of_others(void **state)
{
	const struct sidecar_shape shape = PARITY_DEFAULT;
	struct fixture *f = *state;
	struct repo *other;
	size_t from, packs = 0;

	snapshot(f->r, 1, 20);
	assert_int_equal(support_store_open(f->disk, &other), OK);
	assert_int_equal(parity_set_policy(other, &shape), OK);
	repo_close(other);
	from = support_disk_ops(f->disk);
	snapshot(f->r, 50, 20);
	find_op(f->disk, from, SUPPORT_RENAME, "parity/index/");
	find_op(f->disk, from, SUPPORT_RENAME, "parity/snapshots/");
	for (; from < support_disk_ops(f->disk); from++) {
		const struct support_op *op = support_disk_op(f->disk, from);

		packs += op->kind == SUPPORT_RENAME && strncmp(op->to, "parity/", 7) == 0 && op->to[9] == '/';
	}
	assert_int_equal(packs, 2);
}

/* GN-5: every look fails once, and from then on. */
static void
test_read_fails(void **state)
{
	uint64_t n;

	(void)state;
	for (n = 1; fail_nth(SUPPORT_READS, n, EIO, false, 1); n++)
		;
	assert_true(n > 10);
	for (n = 1; fail_nth(SUPPORT_READS, n, EIO, true, 1); n++)
		;
}

/* Who goes on after a chunk could not be stored gets no snapshot without it. */
static void
test_failed_put(void **state)
{
	const struct session_config cfg = { .jobs = 1, .level = 1 };
	struct fixture *f = *state;
	struct name base, ids[1], root;
	struct session *s;

	assert_int_equal(session_begin(f->r, &cfg, &s), OK);
	assert_int_equal(support_store_data(s, 1, 5000, NULL, &base), OK);
	assert_int_equal(support_store_tree(s, TREENODE_FILE, &base, 1, NULL, &root), OK);
	assert_int_equal(support_store_commit(s, &root), OK);
	session_free(s);
	assert_int_equal(session_begin(f->r, &cfg, &s), OK);
	assert_int_equal(session_has(s, &base), FOUND);
	support_disk_fail(f->disk, SUPPORT_BIT(SUPPORT_OPEN), 1, EIO, false);
	assert_int_equal(support_store_data(s, 2, 5000, &base, ids), ERR_IO);
	assert_int_equal(support_store_tree(s, TREENODE_FILE, ids, 1, NULL, &root), OK);
	assert_int_equal(support_store_commit(s, &root), ERR_FAILED);
	session_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lock, setup, teardown),
		cmocka_unit_test_setup_teardown(test_counts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_counts_of_shared, setup, teardown),
		cmocka_unit_test_setup_teardown(test_counts_of_lists, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_node, setup, teardown),
		cmocka_unit_test_setup_teardown(test_parts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_compression, setup, teardown),
		cmocka_unit_test_setup_teardown(test_part_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_checkpoint_reuse, setup, teardown),
		cmocka_unit_test_setup_teardown(test_node_frames, setup, teardown),
		cmocka_unit_test_setup_teardown(test_abandoned, setup, teardown),
		cmocka_unit_test_setup_teardown(test_dry_run, setup, teardown),
		cmocka_unit_test_setup_teardown(test_missing_pack, setup, teardown),
		cmocka_unit_test(test_missing_pack_unsettled),
		cmocka_unit_test_setup_teardown(test_delta_chain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_delta_declined, setup, teardown),
		cmocka_unit_test_setup_teardown(test_missing_pack_no_delta, setup, teardown),
		cmocka_unit_test(test_jobs),
		cmocka_unit_test(test_memory),
		cmocka_unit_test_setup_teardown(test_frame_sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_abort_busy, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unsynced_segment, setup, teardown),
		cmocka_unit_test(test_write_fails),
		cmocka_unit_test_setup_teardown(test_failure_stays, setup, teardown),
		cmocka_unit_test(test_part_fails),
		cmocka_unit_test_setup_teardown(test_fold_later, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read_only, setup, teardown),
		cmocka_unit_test_setup_teardown(test_policy_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_policy_of_others, setup, teardown),
		cmocka_unit_test(test_read_fails),
		cmocka_unit_test_setup_teardown(test_failed_put, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
