/*
 * test_catalogue: what tables say of snapshots stands for their records, and for nothing that does not exist (IX-10).  Lost if it
 * failed: snapshots are left out of a list, or of a policy's choice, or come back from the dead.
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
#include "format/frame.h"
#include "format/treenode.h"
#include "store/aside.h"
#include "store/catalogue.h"
#include "store/index.h"
#include "store/index_file.h"
#include "store/session.h"
#include "store/settle.h"
#include "store/snapshots.h"
#include "tests/unit/support_store.h"

enum { COUNT = 100, GONE = 8, LATE = 5, MANY = 1300 };

struct fixture {
	struct support_disk *disk;
	struct repo *r;
	struct name_sid sids[MANY];
	struct name roots[MANY];
};

static void
commit(struct fixture *f, size_t i)
{
	const struct session_config cfg = { .jobs = 1, .level = 1 };
	struct session *s;
	struct name id;

	assert_int_equal(session_begin(f->r, &cfg, &s), OK);
	assert_int_equal(support_store_data(s, i, 100, NULL, &id), OK);
	assert_int_equal(support_store_tree(s, TREENODE_FILE, &id, 1, NULL, &f->roots[i]), OK);
	assert_int_equal(support_store_commit(s, &f->roots[i]), OK);
	f->sids[i] = *session_sid(s);
	session_free(s);
}

static void
settle(struct fixture *f, const struct name_sid *collect, size_t n)
{
	struct settle_stats stats;

	assert_int_equal(settle_run(f->r, collect, n, false, &stats), OK);
}

/* COUNT snapshots, settled a few at a time, so that catalogues are folded. */
static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->disk = support_disk_new();
	assert_int_equal(support_store_init(f->disk, &f->r), OK);
	for (size_t i = 0; i < COUNT; i++) {
		commit(f, i);
		if (i % 9 == 0 || i == COUNT - 1)
			settle(f, NULL, 0);
	}
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

/* Damage all records, or mend them. */
static void
flip_records(struct fixture *f, size_t first, size_t end)
{
	char path[SUPPORT_IO_PATH];

	for (size_t i = first; i < end; i++) {
		support_store_record_path(path, "snapshots", &f->sids[i]);
		assert_true(support_disk_flip(f->disk, path, 200));
	}
}

/* Exactly the snapshots first ... end - 1, each with its root. */
static void
expect(struct fixture *f, size_t first, size_t end)
{
	struct snapshots all;

	assert_int_equal(snapshots_load(f->r, false, NULL, NULL, &all), OK);
	assert_int_equal(all.damaged, 0);
	assert_int_equal(all.count, end - first);
	for (size_t i = first; i < end; i++) {
		size_t k = 0;

		while (k < all.count && name_sid_cmp(&all.items[k].sid, &f->sids[i]) != 0)
			k++;
		assert_true(k < all.count);
		assert_true(name_cmp(&all.items[k].rec.root, &f->roots[i]) == 0);
		assert_int_equal(all.items[k].rec.sequence, 1);
		assert_true(all.items[k].file_bytes > 200);
	}
	snapshots_clear(&all);
}

/* Records are not opened; names decide what exists; what no table has yet is read from its record. */
static void
test_stands_for_records(void **state)
{
	struct fixture *f = *state;
	char from[SUPPORT_IO_PATH], to[SUPPORT_IO_PATH];

	expect(f, 0, COUNT);
	flip_records(f, GONE, COUNT);
	expect(f, 0, COUNT);
	for (size_t i = 0; i < GONE; i++) {
		support_store_record_path(from, "snapshots", &f->sids[i]);
		support_store_record_path(to, "forgotten", &f->sids[i]);
		assert_int_equal(io_rename(f->r->io, from, to), OK);
	}
	expect(f, GONE, COUNT);
	settle(f, f->sids, GONE);
	expect(f, GONE, COUNT);
	for (size_t i = 0; i < LATE; i++)
		commit(f, COUNT + i);
	expect(f, GONE, COUNT + LATE);
}

/* list and stats add up the lengths of records. */
static void
test_same_length_as_record(void **state)
{
	struct fixture *f = *state;
	struct snapshots all;
	char path[SUPPORT_IO_PATH];
	uint64_t size;

	assert_int_equal(snapshots_load(f->r, false, NULL, NULL, &all), OK);
	for (size_t i = 0; i < all.count; i++) {
		support_store_record_path(path, "snapshots", &all.items[i].sid);
		assert_int_equal(io_stat(f->r->io, path, &size), OK);
		assert_int_equal(all.items[i].file_bytes, size);
	}
	snapshots_clear(&all);
}

/* Without the index there are still the records. */
static void
test_damaged(void **state)
{
	struct fixture *f = *state;
	char path[INDEX_FILE_PATH];
	struct catalogue c = { .count = 0 };
	struct indexfile_layout l;
	struct index *ix;
	size_t count;

	assert_int_equal(index_load(f->r, &ix), OK);
	assert_int_equal(catalogue_load(&c, f->r, ix), OK);
	assert_int_equal(c.count, COUNT);
	catalogue_clear(&c);
	count = index_table_count(ix);
	assert_true(count > 0);
	for (size_t i = 0; i < count; i++) {
		const struct indexfile_header *h = index_file_header(index_table_at(ix, i));

		indexfile_layout(h, &l);
		index_file_table_path(path, "index", h->number);
		assert_true(support_disk_flip(f->disk, path, l.body_off + l.end - 1));
	}
	index_free(ix);
	expect(f, 0, COUNT);
}

static void
count_bad(void *arg, const char *sid, int rc)
{
	char *last = arg;

	assert_true(rc == ERR_CORRUPT || rc == ERR_AUTH);
	assert_string_equal(last, "");
	strcpy(last, sid);
}

/* A record that cannot be read is counted and named, and the others come all the same. */
static void
test_damaged_record(void **state)
{
	struct fixture *f = *state;
	char hex[NAME_SID_HEX], bad[NAME_SID_HEX] = "";
	struct snapshots all;

	commit(f, COUNT);
	commit(f, COUNT + 1);
	flip_records(f, COUNT, COUNT + 1);
	assert_int_equal(snapshots_load(f->r, false, count_bad, bad, &all), OK);
	assert_int_equal(all.count, COUNT + 1);
	assert_int_equal(all.damaged, 1);
	snapshots_clear(&all);
	name_sid_hex(&f->sids[COUNT], hex);
	assert_string_equal(bad, hex);
	assert_int_equal(snapshots_load(f->r, false, NULL, NULL, &all), OK);
	assert_int_equal(all.damaged, 1);
	snapshots_clear(&all);
	/* Without names there is nothing to go on with. */
	support_disk_fail(f->disk, SUPPORT_BIT(SUPPORT_LIST), 1, EIO, true);
	assert_int_equal(snapshots_load(f->r, false, NULL, NULL, &all), ERR_IO);
	assert_int_equal(all.count, 0);
	assert_int_equal(snapshots_load_files(f->r, false, NULL, NULL, &all), ERR_IO);
	assert_int_equal(snapshots_load_some(f->r, false, (const char *const []){ "00" }, 1, NULL, NULL, &all), ERR_IO);
	support_disk_fail(f->disk, 0, 0, 0, false);
}

/* A record that nobody could read again is not written: more paths than fit, or one that is too long. */
static void
test_too_long(void **state)
{
	enum { PATHS = 9000 };
	struct fixture *f = *state;
	struct snaprec_string *paths = calloc(PATHS, sizeof(*paths));
	uint8_t *text = malloc(1 << 17), *raw;
	struct snaprec rec = { .root = f->roots[0], .sequence = 1, .paths = paths };
	size_t len;

	assert_true(text && paths);
	memset(text, 'x', 1 << 17);
	for (size_t i = 0; i < PATHS; i++)
		paths[i] = (struct snaprec_string){ .p = text, .len = (uint16_t)(i + 1) };
	rec.path_count = 100;
	assert_int_equal(snapshots_seal(f->r, &f->sids[0], &rec, &raw, &len), OK);
	free(raw);
	rec.path_count = PATHS;
	assert_int_equal(snapshots_seal(f->r, &f->sids[0], &rec, &raw, &len), ERR_USAGE);
	assert_null(raw);
	free(text);
	free(paths);
}

/* Who writes is told by the host's name, too, up to some length. */
static void
test_writers(void **state)
{
	struct fixture *f = *state;
	struct name_sid one, two, again;
	char longer[600];

	snapshots_writer(f->r, "one", &one);
	snapshots_writer(f->r, "two", &two);
	snapshots_writer(f->r, "one", &again);
	assert_true(name_sid_cmp(&one, &again) == 0 && name_sid_cmp(&one, &two) != 0);
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	snapshots_writer(f->r, longer, &one);
	longer[255] = '\0';
	snapshots_writer(f->r, longer, &two);
	longer[254] = '\0';
	snapshots_writer(f->r, longer, &again);
	assert_true(name_sid_cmp(&one, &two) == 0 && name_sid_cmp(&one, &again) != 0);
}

/* What was collected, and what went before, is not carried on. */
static void
test_drop(void **state)
{
	struct fixture *f = *state;
	struct indexfile_remove dead[2] = { { .kind = INDEXFILE_DEAD_SEGMENT }, { .kind = INDEXFILE_DEAD_RECORD } };
	struct name_sid nobody = { { 1 } };
	struct catalogue c = { .count = 0 };

	memcpy(dead[1].name.b, f->sids[0].b, NAME_SID_LEN);
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(catalogue_add(&c, i < 2 ? &f->sids[i] : &nobody, "payload", 7), OK);
	c.rows[1].folded = c.rows[2].folded = true;
	assert_int_equal(catalogue_drop(&c, f->r, dead, 2), OK);
	assert_int_equal(c.count, 1);
	assert_true(name_sid_cmp(&c.rows[0].sid, &f->sids[1]) == 0);
	catalogue_clear(&c);
}

/* Some by the beginnings of their names, or whole ones: each once, however often it is asked for, and however many there are. */
static void
test_some(void **state)
{
	struct fixture *f = *state;
	char hex[COUNT][NAME_SID_HEX], begins[5];
	const char *ids[COUNT + 1];
	struct snapshots some;
	size_t alike = 0;

	for (size_t i = 0; i < COUNT; i++) {
		name_sid_hex(&f->sids[i], hex[i]);
		ids[i] = hex[i];
	}
	ids[COUNT] = hex[0];
	memcpy(begins, hex[0], 4);
	begins[4] = '\0';
	for (size_t i = 0; i < COUNT; i++)
		alike += strncmp(hex[i], begins, 4) == 0;
	for (size_t n = 1; n <= COUNT; n += n < 4 ? 1 : 32) {
		/* The first one twice. */
		ids[n] = hex[0];
		assert_int_equal(snapshots_load_some(f->r, false, ids, n + 1, NULL, NULL, &some), OK);
		assert_int_equal(some.count, n);
		snapshots_clear(&some);
		if (n < COUNT)
			ids[n] = hex[n];
	}
	ids[1] = ids[0] = begins;
	assert_int_equal(snapshots_load_some(f->r, false, ids, 2, NULL, NULL, &some), OK);
	assert_int_equal(some.count, alike);
	snapshots_clear(&some);
	ids[1] = hex[1];
	assert_int_equal(snapshots_load_some(f->r, false, ids, 2, NULL, NULL, &some), OK);
	assert_int_equal(some.count, alike + (strncmp(hex[1], begins, 4) != 0));
	snapshots_clear(&some);
}

/* The order is that of time, whatever the names are; those of one moment are told apart by them. */
static void
test_by_time(void **state)
{
	static const int64_t begin[] = { 300, 100, 200, 100, -5, 300, 0 };
	const struct session_config cfg = { .jobs = 1, .level = 1 };
	enum { TIMES = sizeof(begin) / sizeof(begin[0]) };
	struct fixture *f = *state;
	struct snapshots all;
	struct session *s;
	size_t late = 0;

	for (size_t i = 0; i < TIMES; i++) {
		const struct snaprec rec = { .root = f->roots[0], .sequence = 1, .begin_ns = begin[i] };

		assert_int_equal(session_begin(f->r, &cfg, &s), OK);
		assert_int_equal(session_commit(s, &rec), OK);
		session_free(s);
	}
	for (int settled = 0; settled < 2; settled++) {
		assert_int_equal(snapshots_load(f->r, false, NULL, NULL, &all), OK);
		assert_int_equal(all.count, COUNT + TIMES);
		for (size_t i = 1; i < all.count; i++) {
			const struct snapshots_item *x = &all.items[i - 1], *y = &all.items[i];

			assert_true(x->rec.begin_ns < y->rec.begin_ns ||
			    (x->rec.begin_ns == y->rec.begin_ns && name_sid_cmp(&x->sid, &y->sid) < 0));
			late += y->rec.begin_ns == 300;
		}
		assert_int_equal(late, 2 * (settled + 1));
		snapshots_clear(&all);
		settle(f, NULL, 0);
	}
}

/* The disk's own operations, but for these two. */
static struct io_ops plain, bent;
static pthread_t self;
static unsigned by_us, by_another;      /* listings of snapshots/ */
static bool fails;                      /* in another thread */

static int
bent_stat(struct io *io, const char *path, uint64_t *size)
{
	if (strcmp(path, "snapshots") != 0)
		return plain.stat(io, path, size);
	*size = ASIDE_DIR_BYTES;
	return OK;
}

static int
bent_list(struct io *io, const char *path, io_list_fn fn, void *arg)
{
	int rc;

	if (strcmp(path, "snapshots") != 0)
		return plain.list(io, path, fn, arg);
	if (pthread_equal(pthread_self(), self)) {
		by_us++;
		return plain.list(io, path, fn, arg);
	}
	by_another++;
	rc = plain.list(io, path, fn, arg);
	return rc == OK && fails ? fail(ERR_IO, "a bad disk") : rc;
}

/* So many that threads list the names and decode the records. */
static void
test_many(void **state)
{
	struct fixture *f = *state;

	for (size_t i = COUNT; i < MANY; i++) {
		commit(f, i);
		if (i % 99 == 0)
			settle(f, NULL, 0);
	}
	flip_records(f, 0, COUNT);
	plain = bent = *f->r->io->ops;
	bent.stat = bent_stat;
	bent.list = bent_list;
	self = pthread_self();
	by_us = by_another = 0;
	f->r->io->ops = &bent;
	expect(f, 0, MANY);
	assert_int_equal(by_another, 1);
	assert_int_equal(by_us, 0);
	/* What it listed before it failed is not listed twice. */
	fails = true;
	expect(f, 0, MANY);
	assert_int_equal(by_another, 2);
	assert_int_equal(by_us, 1);
	fails = false;
	f->r->io->ops = &plain;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_stands_for_records, setup, teardown),
		cmocka_unit_test_setup_teardown(test_same_length_as_record, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged_record, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_long, setup, teardown),
		cmocka_unit_test_setup_teardown(test_writers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_drop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_some, setup, teardown),
		cmocka_unit_test_setup_teardown(test_by_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
