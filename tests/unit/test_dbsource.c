/*
 * dbsource reads pages that follow each other at once, ahead of SQLite.  Lost if
 * it failed: a snapshot of a database with pages of two states.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail                              /* base/err.h has one too */

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "source/dbsource.h"

#define ROWS 900                        /* of a page each ... */
#define SOME "id BETWEEN 301 AND 400"   /* ... of which these are read at once */
#define SOME_COUNT 100

struct fixture {
	char dir[64], path[80];
	sqlite3 *own, *seen;            /* who writes; through dbsource */
};

static void
run(sqlite3 *db, const char *sql)
{
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	snprintf(f->dir, sizeof(f->dir), "/tmp/varve-dbsource-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/db", f->dir);
	assert_int_equal(sqlite3_open(f->path, &f->own), SQLITE_OK);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	static const char *const part[] = { "", "-wal", "-shm", "-journal" };
	struct fixture *f = *state;
	char path[96];

	sqlite3_close(f->seen);
	sqlite3_close(f->own);
	for (int i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s%s", f->path, part[i]);
		unlink(path);
	}
	rmdir(f->dir);
	free(f);
	return 0;
}

static void
make(struct fixture *f, const char *mode)
{
	char sql[400];

	snprintf(sql, sizeof(sql), "PRAGMA page_size = 512; PRAGMA journal_mode = "
	    "%s; CREATE TABLE t(id INTEGER PRIMARY KEY, n, b); WITH RECURSIVE "
	    "c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT %d) INSERT "
	    "INTO t SELECT x, 1, zeroblob(400) FROM c", mode, ROWS);
	run(f->own, sql);
	assert_int_equal(sqlite3_open_v2(f->path, &f->seen,
	    SQLITE_OPEN_READONLY, DBSOURCE_IN_PLACE), SQLITE_OK);
	/* Nothing is kept but the window: every look reads the file. */
	run(f->seen, "PRAGMA mmap_size = 0; PRAGMA cache_size = 5");
}

static int64_t
sum(sqlite3 *db)
{
	sqlite3_stmt *s;
	int64_t n;

	assert_int_equal(sqlite3_prepare_v2(db, "SELECT sum(n) FROM t WHERE "
	    SOME, -1, &s, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(s), SQLITE_ROW);
	n = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return n;
}

/* Other processes' changes are seen in the next transaction, at once. */
static void
expect_fresh(struct fixture *f)
{
	char sql[80];

	assert_int_equal(sum(f->seen), SOME_COUNT);
	for (int n = 2; n < 30; n++) {
		snprintf(sql, sizeof(sql), "UPDATE t SET n = %d WHERE " SOME
		    " AND id %% 3 < 2", n);
		run(f->own, sql);
		assert_int_equal(sum(f->seen), sum(f->own));
	}
}

static void
test_rollback(void **state)
{
	make(*state, "DELETE");
	expect_fresh(*state);
}

/* Pages go from the WAL to the file between transactions. */
static void
test_wal(void **state)
{
	struct fixture *f = *state;

	make(f, "WAL");
	run(f->own, "PRAGMA wal_autocheckpoint = 1");
	expect_fresh(f);
}

/* A transaction sees what it saw first, while others commit and move pages to the file. */
static void
test_one_state(void **state)
{
	struct fixture *f = *state;
	char sql[80];

	make(f, "WAL");
	run(f->own, "PRAGMA wal_checkpoint");
	run(f->seen, "BEGIN");
	assert_int_equal(sum(f->seen), SOME_COUNT);
	for (int n = 2; n < 30; n++) {
		snprintf(sql, sizeof(sql), "UPDATE t SET n = %d", n);
		run(f->own, sql);
		run(f->own, "PRAGMA wal_checkpoint(PASSIVE)");
		assert_int_equal(sum(f->seen), SOME_COUNT);
	}
	run(f->seen, "COMMIT");
	assert_int_equal(sum(f->seen), 29 * SOME_COUNT);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rollback, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_state, setup, teardown),
	};

	if (dbsource_register())
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
