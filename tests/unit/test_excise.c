/*
 * Snapshots without what is lost: more of them than a session leaves
 * segments unsettled; nobody else gives them successors meanwhile.
 */
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
#include "ops/excise.h"
#include "store/graves.h"
#include "store/rebuild.h"
#include "store/session.h"
#include "store/settle.h"
#include "tests/unit/support_recount.h"
#include "tests/unit/support_store.h"

#define COUNT (SETTLE_SEGMENTS + 2u)
#define LOST_LEN 12000u                 /* no other pack is as large */

/* Each has a file that all have, and one of its own. */
static void
take(struct repo *r, uint64_t seed)
{
	const struct session_config cfg = { .jobs = 1, .level = 1 };
	struct name ids[2], root;
	struct session *s;

	assert_int_equal(session_begin(r, &cfg, &s), OK);
	assert_int_equal(support_store_data(s, 0, LOST_LEN, NULL, &ids[0]), OK);
	assert_int_equal(support_store_data(s, seed, 100, NULL, &ids[1]), OK);
	assert_int_equal(support_store_tree(s, TREENODE_FILE, ids, 2, NULL, &root), OK);
	assert_int_equal(support_store_commit(s, &root), OK);
	session_free(s);
}

static void
look_for_large(void *arg, const char *path, uint32_t inode, const uint8_t *p, size_t len)
{
	(void)p;
	if (inode && len > LOST_LEN && strncmp(path, "packs/", 6) == 0)
		memcpy(arg, path, strlen(path) + 1);
}

static void
rebuild(struct repo *r, bool counted)
{
	const struct rebuild_options o = { .above = 0 };
	struct rebuild_stats stats;

	assert_int_equal(io_lock(r->io, IO_EXCLUSIVE, false), OK);
	assert_int_equal(rebuild_index(r, &o, &stats), OK);
	assert_int_equal(io_lock(r->io, IO_UNLOCKED, false), OK);
	assert_int_equal(stats.counted, counted);
}

static void
test_many(void **state)
{
	const struct excise_options o = { .arg = NULL };
	struct support_disk *d = support_disk_new();
	struct support_recount_result res;
	struct excise_stats stats = { 0 };
	struct settle_stats settled;
	char lost[SUPPORT_IO_PATH] = "";
	struct repo *r, *other;
	struct graves left;

	(void)state;
	assert_int_equal(support_store_init(d, &r), OK);
	for (uint64_t i = 1; i <= COUNT; i++)
		take(r, i);
	support_disk_each(d, look_for_large, lost);
	assert_true(support_disk_remove(d, lost));
	rebuild(r, false);
	assert_int_equal(support_store_open(d, &other), OK);
	assert_int_equal(io_lock(other->io, IO_SHARED, false), OK);
	assert_int_equal(excise_run(r, &o, &stats), ERR_LOCKED);
	assert_int_equal(io_lock(other->io, IO_UNLOCKED, false), OK);
	assert_int_equal(excise_run(r, &o, &stats), OK);
	assert_int_equal(stats.snapshots, COUNT);
	assert_int_equal(excise_run(other, &o, &stats), OK);
	assert_int_equal(stats.snapshots, COUNT);
	assert_int_equal(graves_list(r, "snapshots", &left), OK);
	assert_int_equal(left.count, COUNT);
	free(left.p);
	rebuild(r, true);
	assert_int_equal(settle_run(r, NULL, 0, false, &settled), OK);
	(void)support_recount(r, SUPPORT_RECOUNT_EXACT, &res);
	assert_string_equal(res.why, "");
	repo_close(other);
	repo_close(r);
	support_disk_free(d);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
