/*
 * test_fetch: a large file decoded by several threads.  Lost if it failed: the
 * order of a restored file's pieces, or damage that nobody is told of.
 */
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
#include "format/listnode.h"
#include "format/treenode.h"
#include "store/fetch.h"
#include "store/index.h"
#include "tests/unit/support_store.h"

#define PIECES 700
#define LEN 4000
#define HOLE 333                        /* a piece that is one */
#define HOLE_LEN (5u << 20)
#define LARGE_PIECES 160                /* of another file */
#define LARGE_LEN 40000

struct fixture {
	struct support_disk *disk;
	struct repo *r;
	struct index *ix;
	struct reader *rd;
	struct treenode_entry e;
};

/* What was handed out. */
struct seen {
	uint64_t off;
	unsigned count, most;           /* pieces; after so many it fails */
	bool wrong;
};

static uint64_t
len_of(unsigned i)
{
	return i == HOLE ? HOLE_LEN : LEN - i;
}

/* The file of this list, in a snapshot. */
static void
commit(struct fixture *f, struct session *s, const uint8_t *list, size_t len)
{
	uint8_t tree[300];
	struct name root;

	f->e.name = (const uint8_t *)"x";
	f->e.name_len = 1;
	f->e.kind = TREENODE_FILE;
	f->e.flags = TREENODE_LIST;
	assert_int_equal(session_put(s, FRAME_LIST, list, len, NULL,
	    &f->e.content, NULL), OK);
	len = treenode_head_encode(tree, sizeof(tree), 0);
	len += treenode_entry_encode(tree + len, sizeof(tree) - len, &f->e);
	assert_int_equal(session_put(s, FRAME_TREE, tree, len, NULL, &root,
	    NULL), OK);
	assert_int_equal(support_store_commit(s, &root), OK);
	session_free(s);
	assert_int_equal(index_load(f->r, &f->ix), OK);
	assert_int_equal(reader_new(f->r, f->ix, 1u << 20, &f->rd), OK);
}

typedef void put_piece(struct session *s, unsigned i, struct listnode_row *row);

static void
put_small(struct session *s, unsigned i, struct listnode_row *row)
{
	struct name base = row->id;

	*row = (struct listnode_row){ .len = len_of(i) };
	if (i != HOLE)
		assert_int_equal(support_store_data(s, 1000 + i, LEN - i,
		    i % 3 ? &base : NULL, &row->id), OK);
}

static void
put_large(struct session *s, unsigned i, struct listnode_row *row)
{
	row->len = LARGE_LEN;
	assert_int_equal(support_store_data(s, i, LARGE_LEN, NULL, &row->id),
	    OK);
}

/* A store with one file, of so many pieces; each is put over the row of the one before. */
static struct fixture *
build(unsigned pieces, put_piece *put)
{
	const struct session_config cfg = { .jobs = 1, .level = 1 };
	size_t cap = LISTNODE_HEAD_LEN + pieces * LISTNODE_ROW_LEN, len;
	struct fixture *f = calloc(1, sizeof(*f));
	uint8_t *list = malloc(cap);
	struct listnode_row row = { 0 };
	struct session *s;

	assert_non_null(f);
	assert_non_null(list);
	f->disk = support_disk_new();
	assert_int_equal(support_store_init(f->disk, &f->r), OK);
	assert_int_equal(session_begin(f->r, &cfg, &s), OK);
	len = listnode_head_encode(list, cap, 0);
	for (unsigned i = 0; i < pieces; i++) {
		put(s, i, &row);
		f->e.size += row.len;
		len += listnode_row_encode(list + len, cap - len, &row);
	}
	commit(f, s, list, len);
	free(list);
	return f;
}

static int
setup(void **state)
{
	*state = build(PIECES, put_small);
	return 0;
}

static int
setup_large(void **state)
{
	*state = build(LARGE_PIECES, put_large);
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	reader_free(f->rd);
	index_free(f->ix);
	repo_close(f->r);
	support_disk_free(f->disk);
	free(f);
	return 0;
}

static int
see(void *arg, const struct tree_piece *t, const uint8_t *p)
{
	struct seen *s = arg;
	uint8_t want[LEN];

	if (s->count == s->most)
		return fail(ERR_IO, "no more");
	s->wrong = s->wrong || t->off != s->off || t->len != len_of(s->count) ||
	    t->hole != (s->count == HOLE) || t->hole != !p;
	if (p && !s->wrong) {
		support_store_bytes(want, (size_t)t->len, 1000 + s->count);
		s->wrong = memcmp(want, p, (size_t)t->len) != 0;
	}
	s->off += t->len;
	s->count++;
	return OK;
}

static struct fetch *
begin(struct fixture *f, unsigned jobs)
{
	struct fetch *it;

	assert_int_equal(fetch_new(f->rd, jobs, &it), OK);
	return it;
}

/* LN-2: all pieces, once, in order, however many threads; and again. */
static void
test_in_order(void **state)
{
	struct fixture *f = *state;

	for (unsigned jobs = 1; jobs <= 8; jobs *= 2) {
		struct fetch *it = begin(f, jobs);

		for (unsigned round = 0; round < 2; round++) {
			struct seen s = { .most = PIECES };

			assert_int_equal(fetch_content(it, &f->e, see, &s), OK);
			assert_false(s.wrong);
			assert_int_equal(s.count, PIECES);
		}
		fetch_free(it);
	}
}

/* The caller's failure (a full disk) ends it and is what he hears; the next file is fetched as if nothing had been. */
static void
test_caller_fails(void **state)
{
	static const unsigned after[] = { 0, 1, 63, 64, HOLE, PIECES - 1 };
	struct fixture *f = *state;
	struct fetch *it = begin(f, 2);

	for (size_t i = 0; i < sizeof(after) / sizeof(after[0]); i++) {
		struct seen s = { .most = after[i] }, all = { .most = PIECES };

		assert_int_equal(fetch_content(it, &f->e, see, &s), ERR_IO);
		assert_string_equal(err_text(), "no more");
		assert_int_equal(s.count, after[i]);
		assert_int_equal(fetch_content(it, &f->e, see, &all), OK);
		assert_int_equal(all.count, PIECES);
	}
	fetch_free(it);
}

static bool
is_data(const char *path)
{
	return strncmp(path, "packs/", 6) == 0 && strlen(path) > 20;
}

/* FR-5: what is before the damage is handed out, nothing of it or after, and the failure names a chunk. */
static void
test_damage(void **state)
{
	struct fixture *f = *state;
	struct fetch *it;
	unsigned flipped = 0;

	for (size_t i = 0; i < support_disk_ops(f->disk) && !flipped; i++) {
		const struct support_op *op = support_disk_op(f->disk, i);

		if (op->kind == SUPPORT_RENAME && is_data(op->to))
			flipped += support_disk_flip(f->disk, op->to, 2400000);
	}
	assert_int_equal(flipped, 1);
	it = begin(f, 2);
	for (unsigned round = 0; round < 3; round++) {
		struct seen s = { .most = PIECES };
		int rc = fetch_content(it, &f->e, see, &s);

		assert_true(rc == ERR_AUTH || rc == ERR_CORRUPT);
		assert_non_null(strstr(err_text(), "chunk "));
		assert_false(s.wrong);
		assert_in_range(s.count, 100, PIECES - 1);
	}
	fetch_free(it);
}

/* A content that its list does not describe. */
static void
test_other_length(void **state)
{
	struct fixture *f = *state;
	struct fetch *it = begin(f, 2);
	struct seen s = { .most = PIECES };

	f->e.size++;
	assert_int_equal(fetch_content(it, &f->e, see, &s), ERR_CORRUPT);
	fetch_free(it);
}

/* Of long reads. */
static uint64_t bytes_read;
static int (*real_read)(struct io_file *f, uint64_t off, void *buf, size_t len);

static int
counted_read(struct io_file *f, uint64_t off, void *buf, size_t len)
{
	if (len > LARGE_LEN)
		__atomic_fetch_add(&bytes_read, len, __ATOMIC_RELAXED);
	return real_read(f, off, buf, len);
}

static int
count_pieces(void *arg, const struct tree_piece *t, const uint8_t *p)
{
	assert_int_equal(t->len, LARGE_LEN);
	assert_non_null(p);
	++*(unsigned *)arg;
	return OK;
}

/* The work is cut where frames end: none is read and decoded by two threads. */
static void
test_frames_once(void **state)
{
	struct fixture *f = *state;
	const struct io_ops *before = f->r->io->ops;
	struct io_ops ops = *before;

	real_read = ops.read_at;
	ops.read_at = counted_read;
	f->r->io->ops = &ops;
	for (unsigned jobs = 1; jobs <= 4; jobs *= 2) {
		struct fetch *it = begin(f, jobs);
		unsigned count = 0;

		bytes_read = 0;
		assert_int_equal(fetch_content(it, &f->e, count_pieces, &count),
		    OK);
		assert_int_equal(count, LARGE_PIECES);
		assert_in_range(bytes_read, LARGE_PIECES * LARGE_LEN,
		    LARGE_PIECES * LARGE_LEN * 11 / 10);
		fetch_free(it);
	}
	f->r->io->ops = before;
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_caller_fails, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_damage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_length, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(test_frames_once, setup_large,
		    teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
