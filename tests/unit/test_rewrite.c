/* rewrite: what lives moves, what only served as a base goes, a base is less deep than what stands on it (PB-6, PB-7).  Lost if it failed: disk space, or data. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail                              /* base/err.h has one too */

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "format/treenode.h"
#include "ops/prune.h"
#include "store/family.h"
#include "store/graves.h"
#include "store/index.h"
#include "store/reserve.h"
#include "store/settle.h"
#include "store/session.h"
#include "tests/unit/support_recount.h"
#include "tests/unit/support_store.h"

#define VERSIONS 8                      /* as many small packs as are merged, and a chain that is not full */
#define FILES 40

static const struct rewrite_policy merge = { .small_only = true, .max_bytes = 1u << 24 };
static const struct rewrite_policy dense = { .max_unused = 0, .max_bytes = 1u << 24 };

struct fixture {
	struct support_disk *disk;
	struct repo *r;
	struct name_sid sids[VERSIONS];
	struct name roots[VERSIONS];
};

/* Each version of a directory has one file that the one before does not have, and is stored as a difference to it; `branch` to `onto`. */
static int
make(void **state, size_t branch, size_t onto)
{
	const struct session_config cfg = { .jobs = 1, .level = 1 };
	struct fixture *f = calloc(1, sizeof(*f));
	struct name ids[FILES], root;
	const struct name *base;
	struct session *s;

	assert_non_null(f);
	f->disk = support_disk_new();
	assert_int_equal(support_store_init(f->disk, &f->r), OK);
	for (size_t v = 0; v < VERSIONS; v++) {
		assert_int_equal(session_begin(f->r, &cfg, &s), OK);
		for (size_t i = 0; i < FILES; i++)
			assert_int_equal(support_store_data(s, i <= v ? 1000 + i : i, 100, NULL, &ids[i]), OK);
		base = v == 0 ? NULL : &f->roots[v == branch ? onto : v - 1];
		assert_int_equal(support_store_tree(s, TREENODE_FILE, ids, FILES, base, &root), OK);
		assert_int_equal(support_store_commit(s, &root), OK);
		f->sids[v] = *session_sid(s);
		session_free(s);
		f->roots[v] = root;
	}
	*state = f;
	return 0;
}

static int
setup(void **state)
{
	return make(state, VERSIONS, 0);
}

static int
setup_branches(void **state)
{
	return make(state, 5, 0);
}

static int
setup_fork(void **state)
{
	return make(state, 5, 3);
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

/* Forget versions from ... to, and collect them. */
static void
forget(struct fixture *f, size_t from, size_t to)
{
	struct settle_prune o = { .wait = false };
	struct settle_stats stats = { 0 };

	assert_int_equal(graves_bury(f->r, f->sids + from, to - from + 1), OK);
	assert_int_equal(settle_collect(f->r, &o, &stats), OK);
	assert_int_equal(stats.snapshots_removed, to - from + 1);
}

static void
recount(struct fixture *f, struct support_recount_result *res)
{
	bool ok = support_recount(f->r, SUPPORT_RECOUNT_EXACT, res);

	assert_string_equal(res->why, "");
	assert_true(ok);
}

static void
rewrite(struct fixture *f, const struct rewrite_policy *policy, struct rewrite_stats *out)
{
	struct settle_stats stats = { 0 };

	assert_int_equal(settle_rewrite(f->r, policy, false, &stats), OK);
	*out = stats.rewrite;
}

/* Of a chain only the last one is kept: it is stored whole, all the others die. */
static void
test_last_of_chain(void **state)
{
	struct fixture *f = *state;
	struct support_recount_result res;
	struct rewrite_stats done;

	forget(f, 0, VERSIONS - 2);
	recount(f, &res);
	assert_int_equal(res.deltas, VERSIONS - 1);
	assert_int_equal(res.hollow, VERSIONS - 1);
	rewrite(f, &merge, &done);
	assert_int_equal(done.rebased, 1);
	assert_true(done.packs >= VERSIONS);
	recount(f, &res);
	assert_int_equal(res.deltas, 0);
	assert_int_equal(res.hollow, 0);
	assert_int_equal(res.chunks, FILES + 1);
	/* And then there is nothing to do. */
	rewrite(f, &dense, &done);
	assert_int_equal(done.chunks, 0);
}

/* First and last are kept: the last now stands on the first. */
static void
test_ends_of_chain(void **state)
{
	struct fixture *f = *state;
	struct support_recount_result res;
	struct rewrite_stats done;

	forget(f, 1, VERSIONS - 2);
	rewrite(f, &merge, &done);
	assert_int_equal(done.rebased, 1);
	recount(f, &res);
	assert_int_equal(res.deltas, 1);
	assert_int_equal(res.hollow, 0);
}

static uint8_t
depth_of(struct fixture *f, size_t v)
{
	struct index_place place;
	struct index *ix;

	assert_int_equal(index_load(f->r, &ix), OK);
	assert_int_equal(index_find(ix, &f->roots[v], &place, NULL), FOUND);
	index_free(ix);
	return place.depth;
}

/* 0-1-2-3-4 and 0-5-6-7, of which 0, 4 and 7 are kept: 7 has more in common with 4 than with 0. */
static void
test_branches(void **state)
{
	struct fixture *f = *state;
	struct support_recount_result res;
	struct rewrite_stats done;

	forget(f, 1, 3);
	forget(f, 5, 6);
	rewrite(f, &merge, &done);
	recount(f, &res);
	assert_int_equal(res.deltas, 2);
	assert_int_equal(res.hollow, 0);
	/* 0 and 7 are neighbours of 4, so one of them is the root, or both stand on it. */
	assert_int_equal(depth_of(f, 0) + depth_of(f, 4) + depth_of(f, 7), depth_of(f, 4) == 0 ? 2 : 3);
}

/* 0-1-2-3 are forgotten, and 4 and 5 both stand on 3: one of them takes its place. */
static void
test_fork(void **state)
{
	struct fixture *f = *state;
	struct support_recount_result res;
	struct rewrite_stats done;

	forget(f, 0, 3);
	recount(f, &res);
	assert_int_equal(res.hollow, 4);
	rewrite(f, &merge, &done);
	recount(f, &res);
	assert_int_equal(res.hollow, 0);
	assert_int_equal(res.deltas, 3);
	assert_true(depth_of(f, 4) == 0 || depth_of(f, 5) == 0 || depth_of(f, 6) == 0 || depth_of(f, 7) == 0);
}

/* One more version on the `base`th, in a pack of its own; with a directory that nothing names, if that pack is to be worth emptying. */
static void
add_on(struct fixture *f, size_t base, bool garbage)
{
	const struct session_config cfg = { .jobs = 1, .level = 1 };
	struct name ids[FILES], root, lost;
	struct session *s;

	assert_int_equal(session_begin(f->r, &cfg, &s), OK);
	for (size_t i = 0; i < FILES; i++)
		assert_int_equal(support_store_data(s, i < 2 ? 2000 + i : i <= base ? 1000 + i : i, 100, NULL, &ids[i]), OK);
	if (garbage)
		assert_int_equal(support_store_tree(s, TREENODE_FILE, ids, FILES / 2, NULL, &lost), OK);
	assert_int_equal(support_store_tree(s, TREENODE_FILE, ids, FILES, &f->roots[base], &root), OK);
	assert_int_equal(support_store_commit(s, &root), OK);
	session_free(s);
}

/* What stands on the first one is not moved: it may find another base, but none that makes it deeper than it was. */
static void
test_held_from_outside(void **state)
{
	struct fixture *f = *state;
	struct support_recount_result res;
	struct rewrite_stats done;

	rewrite(f, &merge, &done);
	assert_int_equal(depth_of(f, 0), 0);
	add_on(f, 0, false);
	forget(f, 1, 3);
	forget(f, 7, 7);
	rewrite(f, &dense, &done);
	assert_true(done.rebased > 0);
	recount(f, &res);
	assert_int_equal(res.hollow, 0);
	assert_int_equal(depth_of(f, 0), 0);
}

/* 5 lives for 6 and one that is in another pack.  When that is emptied, the pack of 5 is as well: nothing in it is dead, but it could be. */
static void
test_pulls(void **state)
{
	struct fixture *f = *state;
	struct support_recount_result res;
	struct settle_stats stats;
	struct rewrite_stats done;

	rewrite(f, &merge, &done);
	forget(f, 5, 5);
	rewrite(f, &dense, &done);
	recount(f, &res);
	assert_int_equal(res.hollow, 1);
	add_on(f, 5, true);
	assert_int_equal(settle_run(f->r, NULL, 0, false, &stats), OK);
	rewrite(f, &dense, &done);
	recount(f, &res);
	assert_int_equal(res.hollow, 0);
}

/* The same, but 5 is wanted for itself: its pack stays where it is. */
static void
test_pulls_no_more(void **state)
{
	struct fixture *f = *state;
	struct settle_stats stats;
	struct rewrite_stats done;

	rewrite(f, &merge, &done);
	add_on(f, 5, true);
	assert_int_equal(settle_run(f->r, NULL, 0, false, &stats), OK);
	rewrite(f, &dense, &done);
	assert_int_equal(done.packs, 1);
	assert_int_equal(done.chunks, 1);
	recount(f, &(struct support_recount_result){ .chunks = 0 });
}

/* All are kept: every block is copied as it is. */
static void
test_whole_chain(void **state)
{
	struct fixture *f = *state;
	struct support_recount_result res;
	struct rewrite_stats done;

	rewrite(f, &merge, &done);
	assert_int_equal(done.rebased, 0);
	recount(f, &res);
	assert_int_equal(res.deltas, VERSIONS - 1);
	assert_int_equal(res.chunks, FILES + (VERSIONS - 1) + VERSIONS);
}

/* A pack of which a part is dead is emptied, whatever its size; steps come to an end. */
static void
test_steps(void **state)
{
	struct rewrite_policy one = { .max_unused = 0, .max_bytes = 1 };
	struct fixture *f = *state;
	struct support_recount_result res;
	struct rewrite_stats done;
	unsigned steps = 0;

	forget(f, 0, 2);
	do {
		rewrite(f, &one, &done);
		recount(f, &res);
		assert_true(++steps < 20);
	} while (done.more);
	rewrite(f, &one, &done);
	assert_int_equal(done.chunks, 0);
}

/* Families follow each other as their least deep members were stored, whatever was gathered first; so a restore finds them in its order. */
static void
test_order_of_families(void **state)
{
	enum { A, B, C, A1, B1, A2, CELLS };
	struct family_item items[] = {
		{ .cell = A2, .bases = { { A1 }, 1 }, .depth = 2, .len = 1 }, { .cell = B1, .bases = { { B }, 1 }, .depth = 1, .len = 1 },
		{ .cell = C, .len = 1 }, { .cell = A, .len = 1 },
		{ .cell = B, .len = 1 }, { .cell = A1, .bases = { { A }, 1 }, .depth = 1, .len = 1 },
	};
	static const uint32_t wanted[CELLS] = { C, A2, A1, A, B1, B };

	(void)state;
	assert_int_equal(family_sort(items, CELLS, CELLS), OK);
	for (size_t i = 0; i < CELLS; i++)
		assert_int_equal(items[i].cell, wanted[i]);
	assert_true(items[0].family < items[1].family);
	assert_int_equal(items[1].family, items[3].family);
	assert_true(items[3].family < items[4].family);
}

/* A family of too many is cut: parts are whole numbers of members, and what stands on another comes no later than it. */
static void
test_large_families(void **state)
{
	enum { MANY = 5 * FAMILY_MOST / 2 };
	struct family_item items[MANY];
	uint32_t part_of[MANY], parts = 1;

	(void)state;
	for (uint32_t i = 0; i < MANY; i++)
		items[i] = (struct family_item){ .cell = i, .bases = { { i ? (i - 1) / 2 : 0 }, i > 0 }, .len = 1000,
			.depth = (uint8_t)(i ? items[(i - 1) / 2].depth + 1 : 0) };
	assert_int_equal(family_sort(items, MANY, MANY), OK);
	for (size_t i = 0, n = 0; i < MANY; i++) {
		bool begins = i && items[i].family != items[i - 1].family;

		parts += begins;
		n = begins ? 1 : n + 1;
		assert_true(n <= FAMILY_MOST);
		part_of[items[i].cell] = parts;
	}
	assert_int_equal(parts, 3);
	for (uint32_t i = 1; i < MANY; i++)
		assert_true(part_of[i] <= part_of[(i - 1) / 2]);
}

/* The image of a database lies in small frames, so that one chunk is read without its neighbours; it stays so when it is moved. */
static void
test_small_frames_stay_small(void **state)
{
	enum { CHUNKS = 12, LEN = 65536 };      /* two are all that a small frame holds */
	const struct session_config cfg = { .jobs = 1, .level = 1 };
	struct fixture *f = *state;
	struct name ids[CHUNKS], root;
	struct name_sid sids[2];
	struct index_place place;
	struct rewrite_stats done;
	struct settle_stats stats;
	struct session *s;
	struct index *ix;

	for (size_t n = 0; n < 2; n++) {
		assert_int_equal(session_begin(f->r, &cfg, &s), OK);
		assert_int_equal(session_fine(s, true), OK);
		for (size_t i = n; i < CHUNKS; i++)
			assert_int_equal(support_store_data(s, 5000 + i, LEN, NULL, &ids[i]), OK);
		assert_int_equal(session_fine(s, false), OK);
		assert_int_equal(support_store_tree(s, TREENODE_FILE, ids + n, CHUNKS - n, NULL, &root), OK);
		assert_int_equal(support_store_commit(s, &root), OK);
		sids[n] = *session_sid(s);
		session_free(s);
	}
	assert_int_equal(graves_bury(f->r, sids, 1), OK);
	assert_int_equal(settle_run(f->r, sids, 1, false, &stats), OK);
	rewrite(f, &dense, &done);
	assert_true(done.chunks >= CHUNKS - 1);
	assert_int_equal(index_load(f->r, &ix), OK);
	for (size_t i = 1; i < CHUNKS; i++) {
		assert_int_equal(index_find(ix, &ids[i], &place, NULL), FOUND);
		assert_true(place.len < 3 * LEN);
	}
	index_free(ix);
}

/* So do the differences of an image's hourly changes: the next snapshot reads a few of them, here and there. */
static void
test_small_frames_of_differences_stay_small(void **state)
{
	enum { CHUNKS = 12, LEN = 60000, CHANGED = 12000 };
	const struct session_config cfg = { .jobs = 1, .level = 1 };
	static uint8_t content[CHUNKS][LEN];
	struct fixture *f = *state;
	struct name ids[CHUNKS], root;
	struct index_place place;
	struct rewrite_stats done;
	struct session *s;
	struct index *ix;

	for (size_t i = 0; i < CHUNKS; i++)
		support_store_bytes(content[i], LEN, 6000 + i);
	for (size_t v = 0; v <= VERSIONS; v++) {
		assert_int_equal(session_begin(f->r, &cfg, &s), OK);
		assert_int_equal(session_fine(s, true), OK);
		for (size_t i = 0; i < CHUNKS; i++) {
			struct name base = ids[i];

			support_store_bytes(content[i] + v % 4 * CHANGED, CHANGED, 7000 + v * CHUNKS + i);
			assert_int_equal(session_put(s, FRAME_DATA, content[i], LEN, v ? &base : NULL, &ids[i], NULL), OK);
		}
		assert_int_equal(session_fine(s, false), OK);
		assert_int_equal(support_store_tree(s, TREENODE_FILE, ids, CHUNKS, NULL, &root), OK);
		assert_int_equal(support_store_commit(s, &root), OK);
		session_free(s);
	}
	rewrite(f, &merge, &done);
	assert_true(done.packs >= VERSIONS);
	assert_true(done.chunks >= VERSIONS * CHUNKS);
	assert_int_equal(index_load(f->r, &ix), OK);
	for (size_t i = 0; i < CHUNKS; i++) {
		assert_int_equal(index_find(ix, &ids[i], &place, NULL), FOUND);
		assert_true(place.depth > 0);
		assert_true(place.len < 5 * CHANGED);
	}
	index_free(ix);
}

/* Files that are no databases lie in large frames, and so they stay, though the last frame of a pack is short. */
static void
test_large_frames_stay_large(void **state)
{
	enum { CHUNKS = 60, LEN = 30000, BIG = 1 << 20, BIGS = 8 };
	const struct session_config cfg = { .jobs = 1, .level = 1 };
	static uint8_t content[LEN];
	struct fixture *f = *state;
	struct name ids[2 * CHUNKS + BIGS + 1], short_lived, root;
	struct name_sid sids[2];
	struct settle_stats stats;
	struct index_place place;
	struct rewrite_stats done;
	struct session *s;
	struct index *ix;
	size_t n = 0, whole = 0, old;

	/* All chunks; then large ones, and differences to them in the short frame that is the last; then all of these but one of each. */
	for (size_t v = 0; v < 2; v++) {
		assert_int_equal(session_begin(f->r, &cfg, &s), OK);
		old = n;
		for (size_t i = 0; v == 0 && i < CHUNKS; i++, n++)
			assert_int_equal(support_store_data(s, 8000 + i, LEN, NULL, &ids[n]), OK);
		for (size_t i = 0; v == 1 && i < BIGS; i++, n++)
			assert_int_equal(support_store_data(s, 8500 + i, BIG, NULL, &ids[n]), OK);
		assert_int_equal(support_store_data(s, 8900 + v, 90000, NULL, &short_lived), OK);
		for (size_t i = 0; v == 1 && i < CHUNKS; i += 2, n++) {
			support_store_bytes(content, LEN, 8000 + i);
			support_store_bytes(content + 1000, 40, 8600 + i);
			assert_int_equal(session_put(s, FRAME_DATA, content, LEN, &ids[i], &ids[n], NULL), OK);
		}
		ids[n] = short_lived;
		assert_int_equal(support_store_tree(s, TREENODE_FILE, ids + old, n + 1 - old, NULL, &root), OK);
		assert_int_equal(support_store_commit(s, &root), OK);
		sids[v] = *session_sid(s);
		session_free(s);
	}
	assert_int_equal(session_begin(f->r, &cfg, &s), OK);
	for (size_t i = 0; i < CHUNKS + BIGS; i++)
		assert_int_equal(support_store_data(s, i < CHUNKS ? 8000 + i : 8500 + i - CHUNKS, i < CHUNKS ? LEN : BIG, NULL, &ids[i]), OK);
	for (size_t i = CHUNKS + BIGS; i < n; i++) {
		support_store_bytes(content, LEN, 8000 + 2 * (i - CHUNKS - BIGS));
		support_store_bytes(content + 1000, 40, 8600 + 2 * (i - CHUNKS - BIGS));
		assert_int_equal(session_put(s, FRAME_DATA, content, LEN, NULL, &ids[i], NULL), OK);
	}
	assert_int_equal(support_store_tree(s, TREENODE_FILE, ids, n, NULL, &root), OK);
	assert_int_equal(support_store_commit(s, &root), OK);
	session_free(s);
	assert_int_equal(graves_bury(f->r, sids, 2), OK);
	assert_int_equal(settle_run(f->r, sids, 2, false, &stats), OK);
	rewrite(f, &dense, &done);
	assert_true(done.chunks >= n);
	assert_int_equal(index_load(f->r, &ix), OK);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(index_find(ix, &ids[i], &place, NULL), FOUND);
		whole += place.len > 4 * LEN;
	}
	assert_true(whole > n * 9 / 10);
	index_free(ix);
}

/* The nth read fails, once or for ever: it stops before anything is published, or all is well; the next one does all of it. */
static bool
read_fails_at(uint64_t n, bool forever)
{
	struct rewrite_policy policy = merge;
	struct support_recount_result res;
	struct settle_prune o = { .wait = false };
	struct settle_stats stats = { 0 };
	struct fixture *f;
	bool failed;
	int rc;

	setup((void **)&f);
	forget(f, 1, VERSIONS - 2);
	support_disk_fail(f->disk, SUPPORT_BIT(SUPPORT_READ), n, EIO, forever);
	rc = settle_rewrite(f->r, &policy, false, &stats);
	failed = support_disk_failures(f->disk) > 0;
	support_disk_fail(f->disk, 0, 0, 0, false);
	assert_true(rc == OK || rc == ERR_IO);
	assert_true(support_recount(f->r, rc ? SUPPORT_RECOUNT_SAFE : SUPPORT_RECOUNT_EXACT, &res));
	assert_true(rc != OK || !forever || !failed);
	assert_int_equal(settle_collect(f->r, &o, &stats), OK);
	assert_int_equal(settle_rewrite(f->r, &policy, false, &stats), OK);
	recount(f, &res);
	assert_int_equal(res.hollow, 0);
	assert_int_equal(res.deltas, 1);
	teardown((void **)&f);
	return failed;
}

static void
test_read_fails(void **state)
{
	uint64_t n;

	(void)state;
	for (n = 1; read_fails_at(n, false); n++)
		;
	assert_true(n > 20);
	for (n = 1; read_fails_at(n, true); n++)
		;
}

/* The nth write finds the disk full, once: with a reserve prune goes on, and says what it would have said. */
static bool
prune_full_at(uint64_t n, struct settle_stats *out)
{
	const struct prune_options o = { .max_unused = 1000, .max_rewrite = 0 };
	struct prune_result res;
	struct fixture *f;
	bool failed;

	setup((void **)&f);
	assert_int_equal(reserve_make(f->r->io, reserve_want(0)), OK);
	assert_int_equal(graves_bury(f->r, f->sids, 4), OK);
	support_disk_fail(f->disk, SUPPORT_WRITES, n, ENOSPC, false);
	assert_int_equal(prune_run(f->r, &o, &res), OK);
	/* Less than an hour. */
	assert_true(res.locked_ns >= 0 && res.locked_ns <= res.elapsed_ns && res.elapsed_ns < 3600000000000);
	failed = support_disk_failures(f->disk) > 0;
	support_disk_fail(f->disk, 0, 0, 0, false);
	recount(f, &(struct support_recount_result){ .chunks = 0 });
	*out = res.stats;
	teardown((void **)&f);
	return failed;
}

static void
test_full_disk(void **state)
{
	struct settle_stats whole, stats;
	uint64_t n = 1;

	(void)state;
	assert_false(prune_full_at(UINT64_MAX, &whole));
	assert_int_equal(whole.snapshots_removed, 4);
	for (; prune_full_at(n, &stats); n++) {
		assert_int_equal(stats.snapshots_removed, whole.snapshots_removed);
		assert_int_equal(stats.chunks_removed, whole.chunks_removed);
		assert_int_equal(stats.packs_removed, whole.packs_removed);
	}
	assert_true(n > 10);
}

/* The preview says what collecting frees, and changes nothing. */
static void
preview(struct fixture *f)
{
	struct settle_preview p;
	struct settle_stats stats;

	assert_int_equal(io_lock(f->r->io, IO_SHARED, false), OK);
	support_disk_fail(f->disk, SUPPORT_WRITES, UINT64_MAX, 5, false);
	assert_int_equal(settle_preview(f->r, f->sids, VERSIONS, &p), OK);
	assert_int_equal(support_disk_asked(f->disk), 0);
	assert_int_equal(io_lock(f->r->io, IO_UNLOCKED, false), OK);
	assert_int_equal(graves_bury(f->r, f->sids, VERSIONS), OK);
	assert_int_equal(settle_run(f->r, f->sids, VERSIONS, false, &stats), OK);
	assert_int_equal(p.bytes_freed, stats.bytes_freed);
	assert_int_equal(p.chunks, stats.chunks_removed);
	assert_int_equal(p.packs, stats.packs_removed);
	assert_true(p.chunks > 0);
	assert_int_equal(p.bytes_unused, 0);
}

static void
test_preview(void **state)
{
	struct fixture *f = *state;
	struct settle_stats stats;

	assert_int_equal(settle_run(f->r, NULL, 0, false, &stats), OK);
	preview(f);
}

/* What only segments have is counted for it. */
static void
test_preview_unsettled(void **state)
{
	preview(*state);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_last_of_chain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ends_of_chain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_branches, setup_branches, teardown),
		cmocka_unit_test_setup_teardown(test_fork, setup_fork, teardown),
		cmocka_unit_test_setup_teardown(test_held_from_outside, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pulls, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pulls_no_more, setup, teardown),
		cmocka_unit_test(test_order_of_families),
		cmocka_unit_test(test_large_families),
		cmocka_unit_test_setup_teardown(test_small_frames_stay_small, setup, teardown),
		cmocka_unit_test_setup_teardown(test_small_frames_of_differences_stay_small, setup, teardown),
		cmocka_unit_test_setup_teardown(test_large_frames_stay_large, setup, teardown),
		cmocka_unit_test_setup_teardown(test_whole_chain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_steps, setup, teardown),
		cmocka_unit_test(test_read_fails),
		cmocka_unit_test(test_full_disk),
		cmocka_unit_test_setup_teardown(test_preview, setup, teardown),
		cmocka_unit_test_setup_teardown(test_preview_unsettled, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
