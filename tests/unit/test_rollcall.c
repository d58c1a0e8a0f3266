/*
 * test_rollcall: the names of many records are taken by another thread while
 * a prune does what comes first.  Lost if it failed: prune deletes what a
 * snapshot needs that the index does not count, or stops for no reason.
 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef fail                             /* base/err.h has one too */

#include "base/err.h"
#include "format/treenode.h"
#include "store/aside.h"
#include "store/rollcall.h"
#include "store/settle.h"
#include "tests/unit/support_recount.h"
#include "tests/unit/support_store.h"

#define SNAPSHOTS 5

/* The disk's own operations, but for these two. */
static struct io_ops plain, bent;
static pthread_t self;
static uint64_t dir_bytes;              /* what stat says of snapshots/ */
static unsigned by_us, by_another;      /* listings of snapshots/ */
static bool hides, fails;               /* from another thread */

struct fixture {
	struct support_disk *disk;
	struct repo *r;
	struct name_sid first;
};

static int
bent_stat(struct io *io, const char *path, uint64_t *size)
{
	if (strcmp(path, "snapshots") != 0)
		return plain.stat(io, path, size);
	*size = dir_bytes;
	return OK;
}

struct partly {
	io_list_fn fn;
	void *arg;
	bool seen;
};

static int
all_but_one(void *arg, const char *name)
{
	struct partly *p = arg;

	if (p->seen)
		return p->fn(p->arg, name);
	p->seen = true;
	return OK;
}

static int
bent_list(struct io *io, const char *path, io_list_fn fn, void *arg)
{
	struct partly p = { fn, arg, false };

	if (strcmp(path, "snapshots") != 0)
		return plain.list(io, path, fn, arg);
	if (pthread_equal(pthread_self(), self)) {
		by_us++;
		return plain.list(io, path, fn, arg);
	}
	by_another++;
	if (fails)
		return fail(ERR_IO, "a bad disk");
	return hides ? plain.list(io, path, all_but_one, &p) :
	    plain.list(io, path, fn, arg);
}

static struct name_sid
snapshot(struct repo *r, uint64_t seed)
{
	const struct session_config cfg = { .jobs = 1, .level = 1 };
	struct name id, root;
	struct name_sid sid;
	struct session *s;

	assert_int_equal(session_begin(r, &cfg, &s), OK);
	assert_int_equal(support_store_data(s, seed, 100, NULL, &id), OK);
	assert_int_equal(support_store_tree(s, TREENODE_FILE, &id, 1, NULL,
	    &root), OK);
	assert_int_equal(support_store_commit(s, &root), OK);
	sid = *session_sid(s);
	session_free(s);
	return sid;
}

static int
setup(void **state)
{
	char from[SUPPORT_IO_PATH], to[SUPPORT_IO_PATH];
	struct fixture *f = calloc(1, sizeof(*f));
	struct settle_stats stats;

	assert_non_null(f);
	f->disk = support_disk_new();
	assert_int_equal(support_store_init(f->disk, &f->r), OK);
	f->first = snapshot(f->r, 1);
	for (uint64_t i = 2; i <= SNAPSHOTS; i++)
		snapshot(f->r, i);
	assert_int_equal(settle_run(f->r, NULL, 0, false, &stats), OK);
	support_store_record_path(from, "snapshots", &f->first);
	support_store_record_path(to, "forgotten", &f->first);
	assert_int_equal(io_rename(f->r->io, from, to), OK);
	plain = bent = *f->r->io->ops;
	bent.stat = bent_stat;
	bent.list = bent_list;
	f->r->io->ops = &bent;
	self = pthread_self();
	dir_bytes = ASIDE_DIR_BYTES;
	by_us = by_another = 0;
	hides = fails = false;
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	f->r->io->ops = &plain;
	repo_close(f->r);
	support_disk_free(f->disk);
	free(f);
	return 0;
}

static void
prune(struct fixture *f)
{
	const struct settle_prune o = { .wait = false };
	struct settle_stats stats = { 0 };
	struct support_recount_result res;

	assert_int_equal(settle_collect(f->r, &o, &stats), OK);
	assert_int_equal(stats.snapshots_removed, 1);
	f->r->io->ops = &plain;
	assert_true(support_recount(f->r, SUPPORT_RECOUNT_EXACT, &res));
}

/* Another thread's listing is all that it takes. */
static void
test_ahead(void **state)
{
	prune(*state);
	assert_int_equal(by_another, 1);
	assert_int_equal(by_us, 0);
}

/* A thread costs more than a few names. */
static void
test_few(void **state)
{
	dir_bytes = ASIDE_DIR_BYTES - 1;
	prune(*state);
	assert_int_equal(by_another, 0);
	assert_int_equal(by_us, 1);
}

/* Another sum than the one expected is no verdict, but asked again. */
static void
test_another_sum(void **state)
{
	hides = true;
	prune(*state);
	assert_int_equal(by_another, 1);
	assert_int_equal(by_us, 1);
}

/* Nor is a failure. */
static void
test_failure(void **state)
{
	fails = true;
	prune(*state);
	assert_int_equal(by_another, 1);
	assert_int_equal(by_us, 1);
}

/* IX-12: it sees what there is; to give it up early is no failure. */
static void
test_sum(void **state)
{
	struct fixture *f = *state;
	struct recordsum now;
	struct rollcall *c;

	assert_int_equal(rollcall_now(f->r, &now), OK);
	assert_int_equal(now.count, SNAPSHOTS);
	c = rollcall_ahead(f->r->io);
	assert_non_null(c);
	assert_true(rollcall_is(c, &now));
	recordsum_take(&now, &f->first);
	assert_false(rollcall_is(c, &now));
	assert_null(rollcall_free(c));
	for (int i = 0; i < 50; i++)
		assert_null(rollcall_free(rollcall_ahead(f->r->io)));
}

/* What was begun before the lock saw fewer records than there are now: asked again. */
static void
test_too_early(void **state)
{
	const struct settle_prune empty = { .wait = false };
	struct fixture *f = *state;
	struct settle_stats stats = { 0 };
	struct settle_prune o = { .ahead = rollcall_ahead(f->r->io) };
	struct recordsum now;

	assert_int_equal(rollcall_now(f->r, &now), OK);
	assert_true(rollcall_is(o.ahead, &now));
	snapshot(f->r, 1000);
	by_us = by_another = 0;
	assert_int_equal(settle_collect(f->r, &o, &stats), OK);
	assert_int_equal(stats.snapshots_removed, 1);
	assert_int_equal(by_us, 1);
	assert_int_equal(by_another, 0);
	rollcall_free(o.ahead);
	/* Nothing is forgotten any more: nobody is asked. */
	assert_null(rollcall_ahead(f->r->io));
	assert_int_equal(settle_collect(f->r, &empty, &stats), OK);
	assert_int_equal(by_us + by_another, 1);
	f->r->io->ops = &plain;
	assert_true(support_recount(f->r, SUPPORT_RECOUNT_EXACT,
	    &(struct support_recount_result){ 0 }));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ahead, setup, teardown),
		cmocka_unit_test_setup_teardown(test_few, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_sum, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_failure, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sum, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_early, setup,
		    teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
