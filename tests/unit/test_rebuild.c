/*
 * The index made anew while something lies in tmp/ that was cut short.  Lost
 * if it failed: chunks that the new index has found in a pack that the next
 * sweep takes for unpublished, and with them snapshots.  And on a full disk.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef fail                              /* base/err.h has one too */

#include "base/err.h"
#include "format/treenode.h"
#include "store/graves.h"
#include "store/mend.h"
#include "store/rebuild.h"
#include "store/reserve.h"
#include "store/session.h"
#include "store/settle.h"
#include "tests/unit/support_recount.h"
#include "tests/unit/support_store.h"

#define ROUNDS 6u                       /* whose pack is met first is random */
#define CHUNKS 4u
#define ASIDE 1005u                     /* objects of one name that are set aside */

static struct session *
begin(struct repo *r)
{
	const struct session_config cfg = { .jobs = 1, .level = 1 };
	struct session *s;

	assert_int_equal(session_begin(r, &cfg, &s), OK);
	return s;
}

static void
commit(struct session *s, uint64_t seed)
{
	struct name ids[CHUNKS], root;

	for (unsigned i = 0; i < CHUNKS; i++)
		assert_int_equal(support_store_data(s, seed + i, 900, NULL,
		    &ids[i]), OK);
	assert_int_equal(support_store_tree(s, TREENODE_FILE, ids, CHUNKS,
	    NULL, &root), OK);
	assert_int_equal(support_store_commit(s, &root), OK);
}

/* Killed after n operations: the index is made anew, and all can be read. */
static void
rebuild(const struct support_disk *whole, size_t n)
{
	const struct rebuild_options o = { .above = 0 };
	struct support_disk *d = support_disk_kill(whole, n);
	struct support_recount_result res;
	struct settle_stats settled;
	struct rebuild_stats stats;
	struct repo *r;

	assert_int_equal(support_store_open(d, &r), OK);
	assert_int_equal(io_lock(r->io, IO_EXCLUSIVE, false), OK);
	assert_int_equal(rebuild_index(r, &o, &stats), OK);
	assert_int_equal(io_lock(r->io, IO_UNLOCKED, false), OK);
	for (int i = 0; i < 2; i++) {
		(void)support_recount(r, SUPPORT_RECOUNT_SAFE, &res);
		assert_string_equal(res.why, "");
		assert_int_equal(settle_run(r, NULL, 0, false, &settled), OK);
	}
	repo_close(r);
	support_disk_free(d);
}

/* Two sessions store the same; the second one is cut short. */
static void
test_session(void **state)
{
	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct support_disk *d = support_disk_new();
		struct session *a, *b;
		struct repo *r, *r2;
		size_t from;

		assert_int_equal(support_store_init(d, &r), OK);
		assert_int_equal(support_store_open(d, &r2), OK);
		a = begin(r);
		b = begin(r2);
		commit(a, 1);
		session_free(a);
		from = support_disk_ops(d);
		commit(b, 1);
		session_free(b);
		for (size_t n = from; n <= support_disk_ops(d); n++)
			rebuild(d, n);
		repo_close(r2);
		repo_close(r);
		support_disk_free(d);
	}
}

/* A settle that moves what lives to another pack is cut short. */
static void
test_rewrite(void **state)
{
	static const struct rewrite_policy dense = { .max_bytes = 1u << 24 };
	struct settle_prune prune = { .wait = false };

	(void)state;
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct support_disk *d = support_disk_new();
		struct settle_stats stats = { 0 };
		struct name_sid first;
		struct session *s;
		struct repo *r;
		size_t from;

		assert_int_equal(support_store_init(d, &r), OK);
		s = begin(r);
		commit(s, 1);
		first = *session_sid(s);
		session_free(s);
		s = begin(r);
		commit(s, 3);
		session_free(s);
		assert_int_equal(graves_bury(r, &first, 1), OK);
		assert_int_equal(settle_collect(r, &prune, &stats), OK);
		from = support_disk_ops(d);
		assert_int_equal(settle_rewrite(r, &dense, false, &stats), OK);
		assert_true(stats.rewrite.chunks > 0);
		for (size_t n = from; n <= support_disk_ops(d); n++)
			rebuild(d, n);
		repo_close(r);
		support_disk_free(d);
	}
}

/* What was removed before does not come back with the power. */
static void
test_removed(void **state)
{
	const struct support_loss loss = { .kind = SUPPORT_LOSE_ALL };
	const struct rebuild_options o = { .above = 0 };
	struct support_disk *d = support_disk_new(), *after;
	struct settle_prune prune = { .wait = false };
	struct support_recount_result res;
	struct graves forgotten;
	struct rebuild_stats built;
	struct settle_stats stats;
	struct name_sid sid;
	struct session *s;
	struct repo *r;

	(void)state;
	assert_int_equal(support_store_init(d, &r), OK);
	s = begin(r);
	commit(s, 1);
	sid = *session_sid(s);
	session_free(s);
	assert_int_equal(graves_bury(r, &sid, 1), OK);
	assert_int_equal(settle_collect(r, &prune, &stats), OK);
	assert_int_equal(io_lock(r->io, IO_EXCLUSIVE, false), OK);
	assert_int_equal(rebuild_index(r, &o, &built), OK);
	repo_close(r);
	after = support_disk_loss(d, support_disk_ops(d), &loss);
	assert_int_equal(support_store_open(after, &r), OK);
	assert_int_equal(settle_run(r, NULL, 0, false, &stats), OK);
	assert_int_equal(graves_list(r, "forgotten", &forgotten), OK);
	assert_int_equal(forgotten.count, 0);
	free(forgotten.p);
	(void)support_recount(r, SUPPORT_RECOUNT_EXACT, &res);
	assert_string_equal(res.why, "");
	repo_close(r);
	support_disk_free(after);
	support_disk_free(d);
}

static void
count_tmp(void *arg, const char *path, uint32_t inode, const uint8_t *p, size_t len)
{
	(void)p, (void)len;
	*(unsigned *)arg += inode && strncmp(path, "tmp/rebuild", 11) == 0;
}

/* What needs room fails the nth time, or from then on: the index can be read, the old one or the new one. */
static bool
full(struct support_disk *d, struct repo *r, uint64_t n, bool forever)
{
	const uint32_t kinds = SUPPORT_BIT(SUPPORT_CREATE) | SUPPORT_BIT(SUPPORT_APPEND) | SUPPORT_BIT(SUPPORT_WRITE_AT) |
	    SUPPORT_BIT(SUPPORT_MKDIR) | (forever ? 0 : SUPPORT_BIT(SUPPORT_SYNC_DIR));
	const struct rebuild_options o = { .above = 0 };
	struct support_recount_result res;
	struct settle_stats settled;
	struct rebuild_stats stats;
	unsigned left = 0;
	bool failed;
	int rc;

	if (!forever)
		assert_int_equal(reserve_make(r->io, 100), OK);
	assert_int_equal(io_lock(r->io, IO_EXCLUSIVE, false), OK);
	support_disk_fail(d, kinds, n, ENOSPC, forever);
	rc = rebuild_index(r, &o, &stats);
	failed = support_disk_failures(d) > 0;
	support_disk_fail(d, 0, 1, 0, false);
	assert_int_equal(io_lock(r->io, IO_UNLOCKED, false), OK);
	support_disk_each(d, count_tmp, &left);
	assert_int_equal(left, 0);
	if (!forever)
		assert_int_equal(rc, OK);
	else if (rc)
		assert_true(reserve_is_full(rc));
	(void)support_recount(r, SUPPORT_RECOUNT_SAFE, &res);
	assert_string_equal(res.why, "");
	assert_int_equal(settle_run(r, NULL, 0, false, &settled), OK);
	return failed;
}

/* No room: the repository is no worse than before; with a reserve it is done at once. */
static void
test_full(void **state)
{
	(void)state;
	for (int forever = 0; forever < 2; forever++) {
		struct support_disk *d = support_disk_new();
		struct session *s;
		struct repo *r;

		assert_int_equal(support_store_init(d, &r), OK);
		for (uint64_t i = 0; i < 3; i++) {
			s = begin(r);
			commit(s, 2 * i);
			session_free(s);
		}
		for (uint64_t n = 1; full(d, r, n, forever); n++)
			continue;
		repo_close(r);
		support_disk_free(d);
	}
}

static void
count_aside(void *arg, const char *path, uint32_t inode, const uint8_t *p, size_t len)
{
	(void)p, (void)len;
	*(unsigned *)arg += inode && strncmp(path, "damaged/", 8) == 0;
}

/* Run again and again it keeps the large segment and the table of each time, not one for each record. */
static void
test_again(void **state)
{
	const struct rebuild_options o = { .above = 0 };
	struct support_disk *d = support_disk_new();
	struct rebuild_stats stats;
	unsigned before, after = 0;
	struct session *s;
	struct repo *r;

	(void)state;
	assert_int_equal(support_store_init(d, &r), OK);
	for (uint64_t i = 0; i < 3; i++) {
		s = begin(r);
		commit(s, i);
		session_free(s);
	}
	for (unsigned i = 0; i < 4; i++) {
		before = after;
		after = 0;
		assert_int_equal(io_lock(r->io, IO_EXCLUSIVE, false), OK);
		assert_int_equal(rebuild_index(r, &o, &stats), OK);
		assert_int_equal(io_lock(r->io, IO_UNLOCKED, false), OK);
		support_disk_each(d, count_aside, &after);
		assert_int_equal(after - before, i ? 2 : 3);
	}
	repo_close(r);
	support_disk_free(d);
}

/* There is always another name for what is kept. */
static void
test_aside(void **state)
{
	struct support_disk *d = support_disk_new();
	unsigned n = 0;
	struct repo *r;

	(void)state;
	assert_int_equal(support_store_init(d, &r), OK);
	for (unsigned i = 0; i < ASIDE; i++) {
		assert_true(support_disk_whole(d, "index/it", "", 0));
		assert_int_equal(mend_set_aside(r, "index/it"), OK);
	}
	support_disk_each(d, count_aside, &n);
	assert_int_equal(n, ASIDE);
	repo_close(r);
	support_disk_free(d);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_session),
		cmocka_unit_test(test_rewrite),
		cmocka_unit_test(test_removed),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_aside),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
