/* imagevfs and sql: SQLite must see the bytes of the file, or be told of the failure; never anything else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail                              /* base/err.h has one too */

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "format/frame.h"
#include "format/listnode.h"
#include "ops/sql.h"
#include "source/chunkcache.h"
#include "store/index.h"
#include "store/tree.h"
#include "tests/unit/support_store.h"

#define CACHE (8u << 20)
#define PIECE_MAX 3000
#define QUESTION "SELECT count(*), sum(length(b)), group_concat(quote(substr(b, 1, 9))) FROM t WHERE id % 7 = 3"

struct world {
	struct support_disk *disk;
	struct repo *r;
	struct index *ix;
	struct reader *rd;
	struct name root;               /* a tree with a.db, cut into pieces; b.db, one piece; c.db, no database */
	struct treenode_entry a;
	uint8_t *image;
	size_t len;
	char answer[4000];              /* to QUESTION */
};

static int
take_answer(void *arg, int count, char **values, char **names)
{
	char *out = arg;

	(void)names;
	for (int i = 0; i < count; i++)
		snprintf(out + strlen(out), 4000 - strlen(out), "%s|", values[i]);
	return 0;
}

/* A database in memory; half of its content are zeros, so that there are holes to be made. */
static void
make_image(struct world *w)
{
	sqlite3_int64 len = 0;
	unsigned char *p;
	sqlite3 *db;

	assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA page_size = 1024; CREATE TABLE t(id INTEGER PRIMARY KEY, b);"
	    "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c LIMIT 400) "
	    "INSERT INTO t SELECT x, iif(x % 2, zeroblob(x * 11), hex(randomblob(900)) || x) FROM c",
	    NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, QUESTION, take_answer, w->answer, NULL), SQLITE_OK);
	p = sqlite3_serialize(db, "main", &len, 0);
	assert_non_null(p);
	w->len = (size_t)len;
	w->image = malloc(w->len);
	assert_non_null(w->image);
	memcpy(w->image, p, w->len);
	sqlite3_free(p);
	sqlite3_close(db);
}

static bool
zeros(const uint8_t *p, size_t len)
{
	return p[0] == 0 && memcmp(p, p + 1, len - 1) == 0;
}

/* Pieces of odd lengths; what is all zero becomes a hole; runs of holes are one. */
static void
put_list(struct world *w, struct session *s, struct name *id)
{
	size_t cap = 1u << 20, len, holes = 0;
	uint8_t *node = malloc(cap);

	assert_non_null(node);
	len = listnode_head_encode(node, cap, 0);
	for (size_t off = 0, n, i = 0; off < w->len; off += n, i++) {
		struct listnode_row row = { .len = 0 };

		n = 1 + i * 769 % PIECE_MAX < w->len - off ? 1 + i * 769 % PIECE_MAX : w->len - off;
		while (zeros(w->image + off, n) && off + n < w->len && w->image[off + n] == 0)
			n++;
		row.len = n;
		if (zeros(w->image + off, n) && n > 1 && (holes == 0 || off != holes))
			holes = off + n;
		else
			assert_int_equal(session_put(s, FRAME_DATA, w->image + off, n, NULL, &row.id, NULL), OK);
		len += listnode_row_encode(node + len, cap - len, &row);
	}
	assert_true(holes > 0);
	assert_int_equal(session_put(s, FRAME_LIST, node, len, NULL, id, NULL), OK);
	free(node);
}

static void
put_tree(struct world *w, struct session *s)
{
	static const char text[] = "this is no database at all";
	struct treenode_entry e[3] = { { .name = (const uint8_t *)"a.db", .size = w->len, .flags = TREENODE_LIST },
	    { .name = (const uint8_t *)"b.db", .size = w->len }, { .name = (const uint8_t *)"c.db", .size = sizeof(text) } };
	uint8_t node[1024];
	size_t len = treenode_head_encode(node, sizeof(node), 0);

	put_list(w, s, &e[0].content);
	assert_int_equal(session_put(s, FRAME_DATA, w->image, w->len, NULL, &e[1].content, NULL), OK);
	assert_int_equal(session_put(s, FRAME_DATA, text, sizeof(text), NULL, &e[2].content, NULL), OK);
	for (size_t i = 0; i < 3; i++) {
		e[i].kind = TREENODE_FILE;
		e[i].name_len = 4;
		e[i].flags |= i == 1 ? TREENODE_CHANGED : 0;
		len += treenode_entry_encode(node + len, sizeof(node) - len, &e[i]);
	}
	w->a = e[0];
	assert_int_equal(session_put(s, FRAME_TREE, node, len, NULL, &w->root, NULL), OK);
}

static void
open_reader(struct world *w)
{
	assert_int_equal(index_load(w->r, &w->ix), OK);
	assert_int_equal(reader_new(w->r, w->ix, 1, &w->rd), OK);
}

static void
close_reader(struct world *w)
{
	w->rd = reader_free(w->rd);
	index_free(w->ix);
}

static struct world *
world_new(void)
{
	const struct session_config cfg = { .level = 3 };
	struct world *w;
	struct session *s;

	assert_int_equal(MEM_NEW(w), OK);
	make_image(w);
	w->disk = support_disk_new();
	assert_int_equal(support_store_init(w->disk, &w->r), OK);
	assert_int_equal(session_begin(w->r, &cfg, &s), OK);
	put_tree(w, s);
	assert_int_equal(support_store_commit(s, &w->root), OK);
	session_free(s);
	open_reader(w);
	return w;
}

static void
world_free(struct world *w)
{
	close_reader(w);
	repo_close(w->r);
	support_disk_free(w->disk);
	free(w->image);
	free(w);
}

/* ---- a sink that writes the answer down ---- */

static int
begin(void *arg, const char *const *columns, unsigned count)
{
	(void)columns, (void)count;
	*(char *)arg = 0;
	return OK;
}

static int
row(void *arg, const struct sql_value *v, unsigned count)
{
	char *out = arg;

	for (unsigned i = 0; i < count; i++)
		snprintf(out + strlen(out), 4000 - strlen(out), "%s|", v[i].p);
	return OK;
}

static int
end(void *arg)
{
	(void)arg;
	return OK;
}

static int
ask(struct sql *s, char *answer)
{
	const struct sql_sink sink = { begin, row, end, answer };

	return sql_run(s, QUESTION, &sink);
}

static int
open_sql(struct world *w, const char *path, struct sql **out)
{
	int rc = sql_new(w->rd, &(struct sql_options){ 0 }, out);

	if (rc == OK && ((rc = sql_add(*out, "main", &w->root, path, NULL)) || (rc = sql_seal(*out))))
		*out = sql_free(*out);
	return rc;
}

/* ---- tests ---- */

/* A file that changed while it was read may be no state that there ever was: whoever asks it must know. */
static void
test_remarks(void **state)
{
	struct world *w = world_new();
	struct sql_remarks remarks;
	struct sql *s;

	(void)state;
	assert_int_equal(sql_new(w->rd, &(struct sql_options){ 0 }, &s), OK);
	assert_int_equal(sql_add(s, "main", &w->root, "/a.db", &remarks), OK);
	assert_false(remarks.changed);
	assert_null(remarks.beside);
	assert_int_equal(sql_add(s, "b", &w->root, "/b.db", &remarks), OK);
	assert_true(remarks.changed);
	sql_free(s);
	world_free(w);
}

static void
test_every_byte_is_served(void **state)
{
	struct world *w = world_new();
	char file[IMAGEVFS_FILE_MAX];
	struct imagevfs *v;
	sqlite3_file *f;
	sqlite3_vfs *vfs;
	uint8_t *got = malloc(w->len + 100);
	int flags;

	(void)state;
	/* A cache that holds one chunk at a time. */
	assert_int_equal(imagevfs_new(w->rd, 1, &v), OK);
	assert_int_equal(imagevfs_add(v, &w->a, file), OK);
	vfs = sqlite3_vfs_find(imagevfs_name(v));
	assert_non_null(vfs);
	f = calloc(1, (size_t)vfs->szOsFile);
	assert_int_equal(vfs->xOpen(vfs, file, f, SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_READONLY, &flags), SQLITE_OK);
	assert_true(flags & SQLITE_OPEN_READONLY);
	assert_true(f->pMethods->xDeviceCharacteristics(f) & SQLITE_IOCAP_IMMUTABLE);
	for (size_t n = 1; n < w->len; n = n * 3 + 1)
		for (size_t off = 0; off < w->len; off += n * 7 + 1) {
			bool whole = n <= w->len - off;

			memset(got, 0x55, n);
			assert_int_equal(f->pMethods->xRead(f, got, (int)n, (sqlite3_int64)off),
			    whole ? SQLITE_OK : SQLITE_IOERR_SHORT_READ);
			assert_memory_equal(got, w->image + off, whole ? n : w->len - off);
			assert_true(whole || zeros(got + (w->len - off), n - (w->len - off)));
		}
	assert_int_equal(f->pMethods->xRead(f, got, 100, (sqlite3_int64)w->len + 5), SQLITE_IOERR_SHORT_READ);
	assert_int_equal(f->pMethods->xWrite(f, got, 100, 0), SQLITE_READONLY);
	assert_int_equal(f->pMethods->xTruncate(f, 0), SQLITE_READONLY);
	/* Temporary files would be written in the clear. */
	assert_int_equal(vfs->xOpen(vfs, NULL, f, SQLITE_OPEN_TEMP_DB | SQLITE_OPEN_READWRITE, &flags), SQLITE_CANTOPEN);
	assert_int_equal(vfs->xOpen(vfs, file, f, SQLITE_OPEN_MAIN_JOURNAL, &flags), SQLITE_CANTOPEN);
	assert_int_equal(vfs->xOpen(vfs, "/image-9", f, SQLITE_OPEN_MAIN_DB, &flags), SQLITE_CANTOPEN);
	assert_int_equal(imagevfs_failure(v), OK);
	free(f);
	free(got);
	imagevfs_free(v);
	world_free(w);
}

static void
test_answers_are_those_of_the_file(void **state)
{
	struct world *w = world_new();
	char answer[4000];
	struct sql *s;

	(void)state;
	for (int one = 0; one < 2; one++) {
		assert_int_equal(open_sql(w, one ? "/b.db" : "/a.db", &s), OK);
		assert_int_equal(ask(s, answer), OK);
		assert_string_equal(answer, w->answer);
		sql_free(s);
	}
	assert_int_equal(open_sql(w, "/c.db", &s), ERR_FAILED);
	assert_non_null(strstr(err_text(), "not an SQLite database"));
	assert_int_equal(open_sql(w, "/d.db", &s), ERR_ABSENT);
	assert_int_equal(open_sql(w, "/", &s), ERR_FAILED);
	world_free(w);
}

/* Every read fails once; the connection is good again afterwards. */
static void
test_a_failed_read_is_told_and_does_not_stay(void **state)
{
	struct world *w = world_new();
	char answer[4000];
	struct sql *s;
	uint64_t n = 1;
	int rc;

	(void)state;
	for (rc = ERR_IO; rc != OK; n++) {
		assert_int_equal(open_sql(w, "/a.db", &s), OK);
		/* What opening has read is not cached: that of the index neither. */
		sql_set_reader(s, NULL);
		close_reader(w);
		open_reader(w);
		sql_set_reader(s, w->rd);
		support_disk_fail(w->disk, SUPPORT_READS, n, EIO, false);
		rc = ask(s, answer);
		if (support_disk_failures(w->disk) > 0) {
			assert_int_equal(rc, ERR_IO);
			assert_non_null(strstr(err_text(), strerror(EIO)));
		}
		support_disk_fail(w->disk, 0, 0, 0, false);
		assert_int_equal(ask(s, answer), OK);
		assert_string_equal(answer, w->answer);
		sql_free(s);
	}
	assert_true(n > 4);
	world_free(w);
}

static int
remove_pack(void *arg, const char *name)
{
	char path[SUPPORT_IO_PATH];

	snprintf(path, sizeof(path), "packs/%.2s/%s", name, name);
	support_disk_remove(arg, path);
	return OK;
}

static void
test_a_missing_pack_is_damage(void **state)
{
	struct world *w = world_new();
	char answer[4000], dir[16];
	struct sql *s;

	(void)state;
	assert_int_equal(open_sql(w, "/a.db", &s), OK);
	close_reader(w);
	open_reader(w);
	sql_set_reader(s, w->rd);
	for (unsigned i = 0; i < 256; i++) {
		snprintf(dir, sizeof(dir), "packs/%02x", i);
		assert_int_equal(io_list(w->r->io, dir, remove_pack, w->disk), OK);
	}
	assert_int_equal(ask(s, answer), ERR_CORRUPT);
	assert_non_null(strstr(err_text(), "is missing"));
	sql_free(s);
	world_free(w);
}

/* What a prompt does while it waits: the reader goes, another one comes. */
static void
test_another_reader_takes_over(void **state)
{
	struct world *w = world_new();
	char answer[4000];
	struct sql *s;

	(void)state;
	assert_int_equal(open_sql(w, "/a.db", &s), OK);
	for (int i = 0; i < 3; i++) {
		sql_set_reader(s, NULL);
		close_reader(w);
		open_reader(w);
		sql_set_reader(s, w->rd);
		assert_int_equal(ask(s, answer), OK);
		assert_string_equal(answer, w->answer);
	}
	sql_free(s);
	world_free(w);
}

/* Two lists, of which one is bad: what the other one names can be read nevertheless. */
static void
test_a_bad_list_costs_its_own_range_only(void **state)
{
	struct world *w = world_new();
	struct listnode_row row = { .len = 100 };
	struct treenode_entry e = w->a;
	uint8_t node[256], got[16];
	char file[IMAGEVFS_FILE_MAX];
	struct session_config cfg = { .level = 3 };
	struct session *s;
	struct imagevfs *v;
	sqlite3_file *f;
	sqlite3_vfs *vfs;
	size_t len;
	int flags;

	(void)state;
	/* In front of it 100 bytes of another list: their rows are fetched together. */
	assert_int_equal(session_begin(w->r, &cfg, &s), OK);
	assert_int_equal(session_put(s, FRAME_DATA, w->image, 100, NULL, &row.id, NULL), OK);
	len = listnode_head_encode(node, sizeof(node), 0);
	len += listnode_row_encode(node + len, sizeof(node) - len, &row);
	assert_int_equal(session_put(s, FRAME_LIST, node, len, NULL, &row.id, NULL), OK);
	len = listnode_head_encode(node, sizeof(node), 1);
	len += listnode_row_encode(node + len, sizeof(node) - len, &row);
	/* The other one has another length than its row says. */
	row = (struct listnode_row){ .id = w->a.content, .len = w->len + 1 };
	len += listnode_row_encode(node + len, sizeof(node) - len, &row);
	assert_int_equal(session_put(s, FRAME_LIST, node, len, NULL, &e.content, NULL), OK);
	assert_int_equal(support_store_commit(s, &w->root), OK);
	session_free(s);
	close_reader(w);
	open_reader(w);
	e.size = w->len + 101;
	assert_int_equal(imagevfs_new(w->rd, 1, &v), OK);
	assert_int_equal(imagevfs_add(v, &e, file), OK);
	vfs = sqlite3_vfs_find(imagevfs_name(v));
	f = calloc(1, (size_t)vfs->szOsFile);
	assert_int_equal(vfs->xOpen(vfs, file, f, SQLITE_OPEN_MAIN_DB, &flags), SQLITE_OK);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(f->pMethods->xRead(f, got, 16, 40), SQLITE_OK);
		assert_memory_equal(got, w->image + 40, 16);
		assert_int_equal(imagevfs_failure(v), OK);
		assert_int_equal(f->pMethods->xRead(f, got, 16, 1000), SQLITE_IOERR_READ);
		assert_int_equal(imagevfs_failure(v), ERR_CORRUPT);
	}
	free(f);
	imagevfs_free(v);
	world_free(w);
}

/* LN-2: a list that lies about the length of a chunk. */
static void
test_a_chunk_of_another_length_is_damage(void **state)
{
	struct world *w = world_new();
	struct treenode_entry e = { .kind = TREENODE_FILE, .size = 5 };
	struct chunkcache *cc;
	struct tree_entry c;
	const uint8_t *p;

	(void)state;
	assert_int_equal(tree_lookup(w->rd, &w->root, "c.db", 4, &c), FOUND);
	assert_int_equal(chunkcache_new(w->rd, CACHE, &cc), OK);
	assert_int_equal(chunkcache_get(cc, &c.e.content, c.e.size + 1, &p), ERR_CORRUPT);
	assert_int_equal(chunkcache_get(cc, &c.e.content, c.e.size, &p), OK);
	assert_int_equal(chunkcache_get(cc, &c.e.content, c.e.size - 1, &p), ERR_CORRUPT);
	e.content = c.e.content;
	assert_int_equal(imagevfs_probe(w->rd, &e), OK);
	chunkcache_free(cc);
	tree_entry_clear(&c);
	world_free(w);
}

/* Chunks that were read elsewhere, more than fit: the newest are there, among others that were read one by one. */
static void
test_more_than_fits(void **state)
{
	enum { LEN = 30000, COUNT = 1500 };
	struct world *w = world_new();
	struct chunkcache *cc;
	struct name id = { { 0 } };
	uint8_t *p = malloc(LEN);
	const uint8_t *got;

	(void)state;
	assert_non_null(p);
	assert_int_equal(chunkcache_new(w->rd, 14u << 20, &cc), OK);
	for (unsigned round = 0; round < 2; round++)
		for (unsigned i = 0; i < COUNT; i++) {
			memcpy(id.b, &i, sizeof(i));
			support_store_bytes(p, LEN, i);
			assert_int_equal(chunkcache_put(cc, &id, p, LEN), OK);
			if (i < 200 || i % 50)
				continue;
			for (unsigned k = i - 150; k <= i; k += 30) {
				memcpy(id.b, &k, sizeof(k));
				support_store_bytes(p, LEN, k);
				assert_int_equal(chunkcache_get(cc, &id, LEN, &got), OK);
				assert_memory_equal(got, p, LEN);
			}
		}
	chunkcache_free(cc);
	free(p);
	world_free(w);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_remarks),
		cmocka_unit_test(test_every_byte_is_served),
		cmocka_unit_test(test_answers_are_those_of_the_file),
		cmocka_unit_test(test_a_failed_read_is_told_and_does_not_stay),
		cmocka_unit_test(test_a_missing_pack_is_damage),
		cmocka_unit_test(test_another_reader_takes_over),
		cmocka_unit_test(test_a_bad_list_costs_its_own_range_only),
		cmocka_unit_test(test_more_than_fits),
		cmocka_unit_test(test_a_chunk_of_another_length_is_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
