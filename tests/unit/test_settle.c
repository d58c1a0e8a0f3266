/*
 * test_settle: the one operation that lowers counts and removes anything.  Lost if it failed: chunks that a snapshot needs are
 * removed, or chunks that nobody needs stay for ever.  The orders that crashes try are in tests/prop and tests/crash.
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
#include "format/treenode.h"
#include "store/graves.h"
#include "store/index_file.h"
#include "store/indexbuild.h"
#include "store/reserve.h"
#include "store/session.h"
#include "store/settle.h"
#include "store/uncounted.h"
#include "tests/unit/support_recount.h"
#include "tests/unit/support_store.h"

#define FILES 20

struct fixture {
	struct support_disk *disk;
	struct repo *r;
};

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

static struct settle_stats
settle(struct repo *r, const struct name_sid *collect, size_t n)
{
	struct settle_stats stats;

	assert_int_equal(settle_run(r, collect, n, false, &stats), OK);
	recount(r, SUPPORT_RECOUNT_EXACT, NULL);
	return stats;
}

/* FILES files with content by seed, stored on the tree of parent if there is one. */
static struct name_sid
snapshot(struct repo *r, uint64_t seed, const struct name *parent, struct name *root)
{
	const struct session_config cfg = { .jobs = 1, .level = 1 };
	struct name ids[FILES], own;
	struct name_sid sid;
	struct session *s;

	root = root ? root : &own;
	assert_int_equal(session_begin(r, &cfg, &s), OK);
	for (size_t i = 0; i < FILES; i++)
		assert_int_equal(support_store_data(s, seed + i, 100, NULL, &ids[i]), OK);
	assert_int_equal(support_store_tree(s, TREENODE_FILE, ids, FILES, parent, root), OK);
	assert_int_equal(support_store_commit(s, root), OK);
	sid = *session_sid(s);
	session_free(s);
	return sid;
}

static void
move_record(struct repo *r, const struct name_sid *sid, const char *from_dir, const char *to_dir)
{
	char from[SUPPORT_IO_PATH], to[SUPPORT_IO_PATH];

	support_store_record_path(from, from_dir, sid);
	support_store_record_path(to, to_dir, sid);
	assert_int_equal(io_rename(r->io, from, to), OK);
}

static void
forget(struct repo *r, const struct name_sid *sid)
{
	move_record(r, sid, "snapshots", "forgotten");
}

static void
check_syncs(const struct support_disk *d, size_t from, const char *first, const char *second)
{
	const char *want[] = { first, second };
	size_t n = 0;

	for (; from < support_disk_ops(d); from++)
		if (support_disk_op(d, from)->kind == SUPPORT_SYNC_DIR) {
			assert_true(n < 2);
			assert_string_equal(support_disk_op(d, from)->path, want[n++]);
		}
	assert_int_equal(n, 2);
}

/* A record that moves is durable in its new place before it is gone from the old one; twice is as good as once; whose is not there is said. */
static void
test_bury_and_raise(void **state)
{
	struct fixture *f = *state;
	struct name_sid sid = snapshot(f->r, 1, NULL, NULL);
	char hex[NAME_SID_HEX], said[100];
	size_t from;

	name_sid_hex(&sid, hex);
	for (int i = 0; i < 2; i++) {
		from = support_disk_ops(f->disk);
		assert_int_equal(graves_bury(f->r, &sid, 1), OK);
		check_syncs(f->disk, from, "forgotten", "snapshots");
	}
	from = support_disk_ops(f->disk);
	assert_int_equal(graves_raise(f->r, &sid), OK);
	check_syncs(f->disk, from, "snapshots", "forgotten");
	assert_int_equal(graves_raise(f->r, &sid), ERR_ABSENT);
	snprintf(said, sizeof(said), "snapshot %.8s is not among the forgotten ones", hex);
	assert_string_equal(err_text(), said);
	assert_int_equal(graves_bury(f->r, &sid, 1), OK);
	settle(f->r, &sid, 1);
	assert_int_equal(graves_raise(f->r, &sid), ERR_ABSENT);
	snprintf(said, sizeof(said), "snapshot %.8s was pruned: it cannot come back", hex);
	assert_string_equal(err_text(), said);
	assert_int_equal(graves_bury(f->r, &sid, 1), ERR_ABSENT);
}

/* PB-4: a settle that has nothing to do writes no table. */
static void
test_nothing(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(settle(f->r, NULL, 0).head, 0);
	snapshot(f->r, 1, NULL, NULL);
	assert_int_equal(settle(f->r, NULL, 0).head, 1);
	assert_int_equal(settle(f->r, NULL, 0).head, 1);
}

/* PB-6: what only the collected snapshot had goes, shared things stay. */
static void
test_collect(void **state)
{
	struct fixture *f = *state;
	struct name_sid first = snapshot(f->r, 1, NULL, NULL), second;
	struct settle_stats stats;

	second = snapshot(f->r, 6, NULL, NULL);
	forget(f->r, &first);
	stats = settle(f->r, NULL, 0);
	assert_int_equal(stats.chunks_removed, 0);
	assert_int_equal(stats.segments, 2);
	stats = settle(f->r, &first, 1);
	assert_int_equal(stats.snapshots_removed, 1);
	assert_int_equal(stats.chunks_removed, 5 + 1);
	assert_int_equal(stats.nodes_read, 1);
	assert_int_equal(stats.packs_removed, 1);
	assert_true(stats.bytes_freed > 0);
	forget(f->r, &second);
	stats = settle(f->r, &second, 1);
	assert_int_equal(stats.packs_removed, 3);
}

/* The same, everything unsettled: born, counted and dead in one settle. */
static void
test_collect_unsettled(void **state)
{
	struct fixture *f = *state;
	struct name_sid first = snapshot(f->r, 1, NULL, NULL);

	snapshot(f->r, 6, NULL, NULL);
	forget(f->r, &first);
	assert_int_equal(settle(f->r, &first, 1).chunks_removed, 6);
}

/* Two snapshots with one root: collecting one leaves the other whole. */
static void
test_same_root(void **state)
{
	struct fixture *f = *state;
	struct name_sid first = snapshot(f->r, 1, NULL, NULL), second = snapshot(f->r, 1, NULL, NULL);

	settle(f->r, NULL, 0);
	forget(f->r, &first);
	assert_int_equal(settle(f->r, &first, 1).chunks_removed, 0);
	forget(f->r, &second);
	assert_int_equal(settle(f->r, &second, 1).chunks_removed, FILES + 1);
}

/* Brought back, collected by somebody else, never heard of, or in both places after a crash between link and unlink: passed over. */
static void
test_not_forgotten(void **state)
{
	struct fixture *f = *state;
	struct name_sid sids[4] = { snapshot(f->r, 1, NULL, NULL), snapshot(f->r, 100, NULL, NULL), { { 7 } },
		snapshot(f->r, 200, NULL, NULL) };
	char here[SUPPORT_IO_PATH], forgotten[SUPPORT_IO_PATH];
	struct settle_stats stats;
	uint8_t *raw;
	size_t len;

	forget(f->r, &sids[0]);
	assert_int_equal(settle(f->r, &sids[0], 1).snapshots_removed, 1);
	support_store_record_path(here, "snapshots", &sids[3]);
	support_store_record_path(forgotten, "forgotten", &sids[3]);
	assert_int_equal(io_read_file(f->r->io, here, 100000, &raw, &len), OK);
	assert_int_equal(io_write_file(f->r->io, forgotten, raw, len), OK);
	free(raw);
	assert_int_equal(settle_run(f->r, sids, 4, false, &stats), OK);
	assert_int_equal(stats.snapshots_removed, 0);
	assert_int_equal(stats.head, 1);
	assert_true(support_disk_remove(f->disk, forgotten));
	recount(f->r, SUPPORT_RECOUNT_EXACT, NULL);
}

/* IX-7, PB-6: a node that only serves as a base keeps its bytes and not its children; it goes with the last difference on it. */
static void
hollow(struct fixture *f, size_t on)
{
	struct support_recount_result res;
	struct name_sid sids[3];
	struct name roots[3];

	sids[0] = snapshot(f->r, 1, NULL, &roots[0]);
	sids[1] = snapshot(f->r, 2, &roots[0], &roots[1]);
	forget(f->r, &sids[0]);
	settle(f->r, &sids[0], 1);
	recount(f->r, SUPPORT_RECOUNT_EXACT, &res);
	assert_int_equal(res.hollow, 1);
	assert_int_equal(res.chunks, FILES + 2);
	/* It returns: stored again, since its children were not counted any more. */
	sids[2] = snapshot(f->r, 1, &roots[on], &roots[2]);
	assert_memory_equal(&roots[0], &roots[2], NAME_LEN);
	settle(f->r, NULL, 0);
	recount(f->r, SUPPORT_RECOUNT_EXACT, &res);
	assert_int_equal(res.hollow, 0);
	forget(f->r, &sids[2]);
	forget(f->r, &sids[1]);
	settle(f->r, (struct name_sid[]){ sids[2], sids[1] }, 2);
	recount(f->r, SUPPORT_RECOUNT_EXACT, &res);
	assert_int_equal(res.chunks, 0);
}

static void
test_hollow(void **state)
{
	hollow(*state, 1);
}

/* Its own name is no base, though that is in the index. */
static void
test_hollow_itself(void **state)
{
	hollow(*state, 0);
}

/* PB-6: twins store the same twice: one copy stays, the surplus node gives its children back. */
static void
test_twins(void **state)
{
	const struct session_config cfg = { .jobs = 1, .level = 1 };
	struct fixture *f = *state;
	struct support_recount_result res;
	struct session *s[2];
	struct repo *other;
	struct name id, root;

	assert_int_equal(support_store_open(f->disk, &other), OK);
	assert_int_equal(session_begin(f->r, &cfg, &s[0]), OK);
	assert_int_equal(session_begin(other, &cfg, &s[1]), OK);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(support_store_data(s[i], 1, 100, NULL, &id), OK);
		assert_int_equal(support_store_tree(s[i], TREENODE_FILE, &id, 1, NULL, &root), OK);
	}
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(support_store_commit(s[i], &root), OK);
		session_free(s[i]);
	}
	assert_int_equal(settle(f->r, NULL, 0).chunks_removed, 2);
	recount(f->r, SUPPORT_RECOUNT_EXACT, &res);
	assert_int_equal(res.chunks, 2);
	repo_close(other);
}

static int
count_table(void *arg, const char *name)
{
	uint64_t number;

	*(unsigned *)arg += index_file_parse_table(name, &number);
	return OK;
}

/* PB-7: many settles leave few tables, and rows of the dead hide those of older tables until these are absorbed. */
static void
test_folding(void **state)
{
	struct fixture *f = *state;
	struct name_sid sids[40];
	unsigned tables, most = 0;

	for (unsigned i = 0; i < 40; i++) {
		bool collects = i % 3 == 2;

		sids[i] = snapshot(f->r, 7 * i, NULL, NULL);
		if (collects)
			forget(f->r, &sids[i - 2]);
		assert_int_equal(settle(f->r, collects ? &sids[i - 2] : NULL, collects).head, i + 1);
		tables = 0;
		assert_int_equal(io_list(f->r->io, "index", count_table, &tables), OK);
		most = tables > most ? tables : most;
	}
	assert_true(most > 1 && most <= 6);
}

/* A session settles when many segments wait. */
static void
test_many_sessions(void **state)
{
	struct fixture *f = *state;
	struct index *ix;

	for (unsigned i = 0; i < SETTLE_SEGMENTS + 5; i++)
		snapshot(f->r, i, NULL, NULL);
	assert_int_equal(index_load(f->r, &ix), OK);
	assert_int_equal(index_head_number(ix), 1);
	assert_int_equal(index_segment_count(ix), 4);
	index_free(ix);
	recount(f->r, SUPPORT_RECOUNT_SAFE, NULL);
	settle(f->r, NULL, 0);
}

/* The cost of collecting one of n snapshots: what dies is read; packs/ is never listed, and no record of another is opened. */
static void
cost_of(unsigned n, struct settle_stats *stats, size_t *packs_opened)
{
	struct fixture *f;
	struct name_sid first;
	size_t from;

	setup((void **)&f);
	first = snapshot(f->r, 100000, NULL, NULL);
	for (unsigned i = 0; i < n; i++) {
		snapshot(f->r, 3 * i, NULL, NULL);
		if (i % 10 == 9)
			settle(f->r, NULL, 0);
	}
	forget(f->r, &first);
	settle(f->r, NULL, 0);
	from = support_disk_ops(f->disk);
	assert_int_equal(settle_run(f->r, &first, 1, false, stats), OK);
	*packs_opened = 0;
	for (; from < support_disk_ops(f->disk); from++) {
		const struct support_op *op = support_disk_op(f->disk, from);

		if (op->kind == SUPPORT_LIST)
			assert_true(strncmp(op->path, "packs", 5) != 0);
		if (op->kind == SUPPORT_OPEN)
			assert_true(strncmp(op->path, "snapshots/", 10) != 0);
		*packs_opened += op->kind == SUPPORT_OPEN && strncmp(op->path, "packs/", 6) == 0;
	}
	recount(f->r, SUPPORT_RECOUNT_EXACT, NULL);
	teardown((void **)&f);
}

static void
test_cost(void **state)
{
	struct settle_stats few, many;
	size_t packs_few, packs_many;

	(void)state;
	cost_of(10, &few, &packs_few);
	cost_of(60, &many, &packs_many);
	assert_int_equal(few.nodes_read, 1);
	assert_int_equal(many.nodes_read, 1);
	assert_int_equal(packs_few, 1);
	assert_int_equal(packs_many, 1);
	assert_int_equal(few.chunks_removed, FILES + 1);
	assert_int_equal(many.chunks_removed, FILES + 1);
}

/* Flip a bit in the pack with the nodes that the n-th session published: it is renamed right after the one with the data. */
static void
damage_nodes(struct fixture *f, size_t n)
{
	size_t packs = 0;

	for (size_t i = 1; i < support_disk_ops(f->disk); i++) {
		const struct support_op *op = support_disk_op(f->disk, i);

		if (op->kind == SUPPORT_RENAME && strncmp(op->to, "packs/", 6) == 0 && ++packs % 2 == 0 && n-- == 0) {
			assert_true(support_disk_flip(f->disk, op->to, 300));
			return;
		}
	}
	assert_true(false);
}

/* A dead node that cannot be read releases nothing: counts stay too high, never too low; the settle goes on. */
static void
test_damaged_node(void **state)
{
	struct fixture *f = *state;
	struct name_sid first = snapshot(f->r, 1, NULL, NULL);
	struct settle_stats stats;

	assert_int_equal(settle_run(f->r, NULL, 0, false, &stats), OK);
	damage_nodes(f, 0);
	forget(f->r, &first);
	assert_int_equal(settle_run(f->r, &first, 1, false, &stats), OK);
	assert_int_equal(stats.nodes_read, 0);
	recount(f->r, SUPPORT_RECOUNT_SAFE, NULL);
}

/* PB-6: a node stored lately that cannot be read stops the settle: without its counts, what it names would be collected. */
static void
test_damaged_new_node(void **state)
{
	struct fixture *f = *state;
	struct settle_stats stats;
	uint64_t head;

	snapshot(f->r, 1, NULL, NULL);
	assert_int_equal(settle_run(f->r, NULL, 0, false, &stats), OK);
	head = stats.head;
	snapshot(f->r, 6, NULL, NULL);
	damage_nodes(f, 1);
	assert_true(settle_run(f->r, NULL, 0, false, &stats) < 0);
	assert_int_equal(stats.head, head);
	assert_true(settle_run(f->r, NULL, 0, false, &stats) < 0);
}

/* Copy the head as table number + 1, with one reference less on every chunk of data: what no settle may believe. */
static void
lower_counts(struct fixture *f, uint64_t number)
{
	const struct indexfile_header h = { .kind = INDEXFILE_TABLE, .number = number + 1 };
	char path[INDEX_FILE_PATH], tmp[INDEX_FILE_PATH], next[INDEX_FILE_PATH];
	struct indexfile_frame fr;
	struct indexfile_pack p;
	struct indexfile_row row;
	struct index_file *old;
	struct indexbuild *b;
	uint64_t len;

	index_file_table_path(path, "index", number);
	index_file_table_path(tmp, "tmp", number + 1);
	index_file_table_path(next, "index", number + 1);
	assert_int_equal(index_file_open(f->r, path, &old), OK);
	assert_int_equal(indexbuild_begin(f->r, tmp, &h, index_file_header(old)->row_count, &b), OK);
	for (uint32_t i = 0; i < index_file_header(old)->pack_count; i++) {
		assert_int_equal(index_file_pack(old, i, &p), OK);
		assert_int_equal(indexbuild_pack(b, &p), OK);
	}
	for (uint32_t i = 0; i < index_file_header(old)->frame_count; i++) {
		assert_int_equal(index_file_frame(old, i, &fr), OK);
		assert_int_equal(indexbuild_frame(b, &fr), OK);
	}
	for (uint64_t i = 0; i < index_file_header(old)->row_count; i++) {
		assert_int_equal(index_file_row(old, i, &row), OK);
		row.refs -= row.type == FRAME_DATA;
		assert_int_equal(indexbuild_row(b, &row), OK);
	}
	assert_int_equal(indexbuild_end(b, &len), OK);
	assert_int_equal(io_rename(f->r->io, tmp, next), OK);
	index_file_close(old);
}

/* PB-6: a count that would fall below zero is damage: nothing is published, nothing removed. */
static void
test_below_zero(void **state)
{
	struct fixture *f = *state;
	struct name_sid sid = snapshot(f->r, 1, NULL, NULL);
	char path[SUPPORT_IO_PATH];
	struct settle_stats stats;
	struct index *ix;
	uint64_t size;

	settle(f->r, NULL, 0);
	lower_counts(f, 1);
	forget(f->r, &sid);
	assert_int_equal(settle_run(f->r, &sid, 1, false, &stats), ERR_CORRUPT);
	assert_int_equal(index_load(f->r, &ix), OK);
	assert_int_equal(index_head_number(ix), 2);
	index_free(ix);
	support_store_record_path(path, "forgotten", &sid);
	assert_int_equal(io_stat(f->r->io, path, &size), OK);
	move_record(f->r, &sid, "forgotten", "snapshots");
	assert_int_equal(settle_run(f->r, NULL, 0, false, &stats), OK);
}

/* A record that cannot be read is in no catalogue, and keeps nobody from settling. */
static void
test_damaged_record(void **state)
{
	struct fixture *f = *state;
	struct name_sid sid = snapshot(f->r, 1, NULL, NULL), lost, other;
	struct settle_stats stats;
	char path[SUPPORT_IO_PATH];

	support_store_record_path(path, "snapshots", &sid);
	assert_true(support_disk_flip(f->disk, path, 200));
	assert_int_equal(settle_run(f->r, NULL, 0, false, &stats), OK);
	assert_int_equal(stats.segments, 1);
	assert_true(support_disk_flip(f->disk, path, 200));
	recount(f->r, SUPPORT_RECOUNT_SAFE, NULL);
	/* Whole again, and one is gone that was counted: of what is there each root has the references that it needs. */
	lost = snapshot(f->r, 150, NULL, NULL);
	other = snapshot(f->r, 50, NULL, NULL);
	settle(f->r, NULL, 0);
	support_store_record_path(path, "snapshots", &lost);
	assert_true(support_disk_remove(f->disk, path));
	forget(f->r, &other);
	assert_int_equal(settle_run(f->r, &other, 1, false, &stats), OK);
	assert_int_equal(stats.chunks_removed, FILES + 1);
	recount(f->r, SUPPORT_RECOUNT_SAFE, NULL);
}

/* The segment of a snapshot is lost, its record is not: nothing is collected, whether its root is in the index or was counted once too few. */
static void
lost_segment(uint64_t seed)
{
	struct name_sid lost, other;
	struct settle_stats stats;
	char path[SUPPORT_IO_PATH], hex[NAME_SID_HEX];
	struct fixture *f;

	setup((void **)&f);
	snapshot(f->r, 1, NULL, NULL);
	settle(f->r, NULL, 0);
	lost = snapshot(f->r, seed, NULL, NULL);
	other = snapshot(f->r, 50, NULL, NULL);
	index_file_segment_path(path, "index", &lost, 0);
	assert_true(support_disk_remove(f->disk, path));
	forget(f->r, &other);
	assert_int_equal(settle_run(f->r, &other, 1, false, &stats), ERR_CORRUPT);
	name_sid_hex(&lost, hex);
	hex[12] = '\0';
	if (seed != 1)
		assert_non_null(strstr(err_text(), hex));
	support_store_record_path(path, "forgotten", &other);
	assert_int_equal(io_stat(f->r->io, path, &(uint64_t){ 0 }), OK);
	teardown((void **)&f);
}

static void
test_lost_segment(void **state)
{
	(void)state;
	lost_segment(1);
	lost_segment(100);
}

/* What a prune that was cut short left is swept by the next one, durably before there is a head that does not name it any more. */
static void
test_left_over(void **state)
{
	struct fixture *f = *state;
	struct name_sid sid = snapshot(f->r, 1, NULL, NULL);
	size_t from, unlinked = 0, synced = 0, head = 0;
	struct settle_stats stats;

	snapshot(f->r, 50, NULL, NULL);
	forget(f->r, &sid);
	support_disk_fail(f->disk, SUPPORT_BIT(SUPPORT_UNLINK), 1, EIO, true);
	assert_int_equal(settle_run(f->r, &sid, 1, false, &stats), ERR_IO);
	support_disk_fail(f->disk, 0, 0, 0, false);
	snapshot(f->r, 100, NULL, NULL);
	from = support_disk_ops(f->disk);
	settle(f->r, NULL, 0);
	for (size_t i = from; i < support_disk_ops(f->disk); i++) {
		const struct support_op *op = support_disk_op(f->disk, i);

		if (head == 0 && op->kind == SUPPORT_UNLINK && strncmp(op->path, "index/", 6) == 0)
			unlinked = i;
		if (head == 0 && op->kind == SUPPORT_SYNC_DIR && strcmp(op->path, "index") == 0)
			synced = i;
		if (op->kind == SUPPORT_RENAME && strncmp(op->to, "index/", 6) == 0)
			head = i;
	}
	assert_true(from <= unlinked && unlinked < synced && synced < head);
}

/* PB-5: a segment in tmp/ that is not complete names nothing; strange files in tmp/ go, elsewhere they stay (GN-4). */
static void
test_sweep(void **state)
{
	struct fixture *f = *state;
	uint64_t size;

	snapshot(f->r, 1, NULL, NULL);
	assert_int_equal(io_write_file(f->r->io, "tmp/junk", "x", 1), OK);
	assert_int_equal(io_write_file(f->r->io, "tmp/01020000000000000000000000000000-00000000", "x", 1), OK);
	assert_int_equal(io_write_file(f->r->io, "tmp/0000000000000001", "x", 1), OK);
	assert_int_equal(io_write_file(f->r->io, "snapshots/README", "x", 1), OK);
	settle(f->r, NULL, 0);
	assert_int_equal(io_stat(f->r->io, "snapshots/README", &size), OK);
}

/* The nth write (or look) of a settle fails: an error or success, all is still there, and the next settle completes it. */
static bool
fail_nth(uint32_t kinds, uint64_t n, bool forever)
{
	struct settle_stats stats;
	struct name_sid sids[2];
	struct fixture *f;
	struct name root;
	uint64_t failures;
	int rc;

	setup((void **)&f);
	sids[0] = snapshot(f->r, 1, NULL, &root);
	sids[1] = snapshot(f->r, 50, NULL, NULL);
	snapshot(f->r, 5, &root, NULL);
	forget(f->r, &sids[0]);
	assert_int_equal(settle_run(f->r, &sids[0], 1, false, &stats), OK);
	snapshot(f->r, 5, NULL, NULL);
	forget(f->r, &sids[1]);
	support_disk_fail(f->disk, kinds, n, EIO, forever);
	rc = settle_run(f->r, &sids[1], 1, false, &stats);
	failures = support_disk_failures(f->disk);
	support_disk_fail(f->disk, 0, 0, 0, false);
	assert_true(rc == OK || rc == ERR_IO);
	assert_true(failures || rc == OK);
	recount(f->r, rc ? SUPPORT_RECOUNT_SAFE : SUPPORT_RECOUNT_EXACT, NULL);
	settle(f->r, &sids[1], 1);
	teardown((void **)&f);
	return failures > 0;
}

/* GN-5, PB-8 */
static void
test_failures(void **state)
{
	uint64_t n;

	(void)state;
	for (n = 1; fail_nth(SUPPORT_WRITES, n, false); n++)
		;
	assert_true(n > 15);
	for (n = 1; fail_nth(SUPPORT_WRITES, n, true); n++)
		;
	for (n = 1; fail_nth(SUPPORT_READS, n, false); n++)
		;
	assert_true(n > 10);
	for (n = 1; fail_nth(SUPPORT_READS, n, true); n++)
		;
}

/* IX-12: while the names in snapshots/ and forgotten/ are those that the head counts, nothing else is read to know that. */
static void
test_records_are_known(void **state)
{
	struct fixture *f = *state;
	struct catalogue none = { .count = 0 };
	struct recordsum sum, exist;
	struct name_sid sid;
	struct counts c;
	struct index *ix;

	/* So many that their catalogue is longer than what is read of the table to find the sum behind it. */
	for (uint64_t i = 0; i < 120; i++)
		sid = snapshot(f->r, i % 4, NULL, NULL);
	forget(f->r, &sid);
	settle(f->r, NULL, 0);
	assert_int_equal(index_load(f->r, &ix), OK);
	counts_init(&c, f->r, ix, NULL);
	assert_int_equal(uncounted_sum(&c, &sum), FOUND);
	assert_int_equal(sum.count, 120);
	support_disk_fail(f->disk, SUPPORT_BIT(SUPPORT_READ), UINT64_MAX, EIO, false);
	assert_int_equal(uncounted_check(&c, &none, NULL, 0, &sum, &exist), OK);
	assert_int_equal(support_disk_asked(f->disk), 0);
	assert_true(recordsum_equal(&sum, &exist));
	recordsum_take(&sum, &sid);
	assert_int_equal(uncounted_check(&c, &none, NULL, 0, &sum, &exist), OK);
	assert_true(support_disk_asked(f->disk) > 0);
	assert_int_equal(exist.count, 120);
	support_disk_fail(f->disk, 0, 0, 0, false);
	counts_clear(&c);
	index_free(ix);
	/* The one that is collected is taken out. */
	settle(f->r, &sid, 1);
}

/* Without a reserve the failure is still told, and known, as one of a full disk. */
static void
test_no_reserve(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(reserve_make(f->r->io, reserve_want(0)), OK);
	assert_int_equal(reserve_give(f->r->io), FOUND);
	errno = ENOSPC;
	assert_int_equal(fail_io("cannot write"), ERR_IO);
	assert_int_equal(reserve_give(f->r->io), OK);
	assert_string_equal(err_text(), "cannot write: No space left on device");
	assert_int_equal(err_errno(), ENOSPC);
	assert_true(reserve_is_full(ERR_IO));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bury_and_raise, setup, teardown),
		cmocka_unit_test_setup_teardown(test_collect, setup, teardown),
		cmocka_unit_test_setup_teardown(test_collect_unsettled, setup, teardown),
		cmocka_unit_test_setup_teardown(test_same_root, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_forgotten, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hollow, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hollow_itself, setup, teardown),
		cmocka_unit_test_setup_teardown(test_twins, setup, teardown),
		cmocka_unit_test_setup_teardown(test_folding, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many_sessions, setup, teardown),
		cmocka_unit_test(test_cost),
		cmocka_unit_test_setup_teardown(test_damaged_node, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged_new_node, setup, teardown),
		cmocka_unit_test_setup_teardown(test_below_zero, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sweep, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged_record, setup, teardown),
		cmocka_unit_test(test_lost_segment),
		cmocka_unit_test_setup_teardown(test_left_over, setup, teardown),
		cmocka_unit_test_setup_teardown(test_records_are_known, setup, teardown),
		cmocka_unit_test(test_failures),
		cmocka_unit_test_setup_teardown(test_no_reserve, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
