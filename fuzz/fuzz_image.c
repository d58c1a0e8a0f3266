/*
 * fuzz_image: the input is the content of a file of a snapshot that says it is an SQLite database; it is looked at (what `snapshot` and
 * `find` do to any file) and opened in place through the VFS, as `varve sql` does, and read from end to end.
 */
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "format/treenode.h"
#include "source/imagevfs.h"
#include "tests/unit/support_store.h"

#define STEPS 200000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int
enough(void *arg)
{
	unsigned *left = arg;

	return --*left == 0;
}

static void
query(struct imagevfs *v, const char *file)
{
	static const char *const all[] = { "select name, sql from sqlite_schema", "pragma integrity_check(10)", "select * from t" };
	unsigned left = 40;
	sqlite3 *db;

	if (sqlite3_open_v2(file, &db, SQLITE_OPEN_READONLY, imagevfs_name(v)) == SQLITE_OK) {
		sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, (int *)NULL);
		sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, (int *)NULL);
		sqlite3_progress_handler(db, STEPS / 40, enough, &left);
		for (size_t i = 0; i < 3; i++)
			(void)sqlite3_exec(db, all[i], NULL, NULL, NULL);
	}
	sqlite3_close(db);
	(void)!imagevfs_failure(v);
}

static void
look(struct repo *r, const struct treenode_entry *e)
{
	char file[IMAGEVFS_FILE_MAX];
	struct imagevfs *v = NULL;
	struct reader *rd = NULL;
	struct index *ix = NULL;

	if (index_load(r, &ix) || reader_new(r, ix, 1u << 20, &rd) || imagevfs_new(rd, 1u << 20, &v))
		abort();
	(void)!imagevfs_probe(rd, e);
	if (imagevfs_add(v, e, file) == OK)
		query(v, file);
	imagevfs_free(v);
	reader_free(rd);
	index_free(ix);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct session_config cfg = { .jobs = 1, .level = 1 };
	struct treenode_entry e = { .name = (const uint8_t *)"db", .name_len = 2, .kind = TREENODE_FILE, .size = size };
	struct support_disk *d;
	struct session *s;
	struct repo *r;

	if (size == 0 || size > 65536)
		return 0;
	d = support_disk_new();
	if (support_store_init(d, &r) || session_begin(r, &cfg, &s) ||
	    session_put(s, 'D', data, size, NULL, &e.content, NULL) || session_checkpoint(s))
		abort();
	session_free(s);
	if (io_lock(r->io, IO_SHARED, false))
		abort();
	look(r, &e);
	(void)!io_lock(r->io, IO_UNLOCKED, false);
	repo_close(r);
	support_disk_free(d);
	return 0;
}
