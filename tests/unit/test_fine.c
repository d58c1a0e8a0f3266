/*
 * How the chunks of a database are stored (store/fine.h) does not depend on the
 * number of threads: the same frames, bases and depths.  Lost if it failed:
 * data, when a difference is put beneath another chunk's name; or the growth
 * that DESIGN §8 says.
 */
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
#include "store/index.h"
#include "store/reader.h"
#include "store/session.h"
#include "store/settle.h"
#include "tests/unit/support_io.h"
#include "tests/unit/support_recount.h"
#include "tests/unit/support_store.h"

#define LEN 16000u
#define OLD 80u
#define NEW 120u

struct fixture {
	struct support_disk *disk;
	struct repo *r;
	struct name old[OLD], ids[NEW];
};

static void
old_chunk(uint8_t p[static LEN], uint32_t i)
{
	support_store_bytes(p, LEN, 100 + i);
}

/* Changed a little; of quarters of others; what there was; or new. */
static void
new_chunk(uint8_t p[static LEN], uint32_t i)
{
	uint8_t q[LEN];

	if (i >= OLD || i % 13 == 7) {
		support_store_bytes(p, LEN, 5000 + i);
		return;
	}
	old_chunk(p, i % 11 == 5 ? i + 1 : i);
	if (i % 11 == 5)
		return;
	for (uint32_t k = 1; k < 4 && i % 7 == 3; k++) {
		old_chunk(q, (i + k * 5) % OLD);
		memcpy(p + k * (LEN / 4), q + k * (LEN / 4), LEN / 4);
	}
	support_store_bytes(p + i * 50, 40, i);
}

static struct session *
begin(struct fixture *f, unsigned jobs)
{
	const struct session_config cfg = { .jobs = jobs, .level = 3 };
	struct session *s;

	assert_int_equal(session_begin(f->r, &cfg, &s), OK);
	return s;
}

static void
commit(struct session *s, const struct name *ids, size_t count)
{
	struct name root;

	assert_int_equal(support_store_tree(s, TREENODE_FILE, ids, count, NULL,
	    &root), OK);
	assert_int_equal(support_store_commit(s, &root), OK);
	session_free(s);
}

static int
put_new(struct fixture *f, struct session *s)
{
	uint8_t p[LEN];
	int rc = session_fine(s, true);

	for (uint32_t i = 0; rc == OK && i < NEW; i++) {
		new_chunk(p, i);
		rc = session_put(s, FRAME_DATA, p, LEN, i < OLD ? &f->old[i] :
		    NULL, &f->ids[i], NULL);
	}
	return rc ? rc : session_fine(s, false);
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct session *s;
	uint8_t p[LEN];

	assert_non_null(f);
	f->disk = support_disk_new();
	assert_int_equal(support_store_init(f->disk, &f->r), OK);
	s = begin(f, 1);
	for (uint32_t i = 0; i < OLD; i++) {
		old_chunk(p, i);
		assert_int_equal(session_put(s, FRAME_DATA, p, LEN, NULL,
		    &f->old[i], NULL), OK);
	}
	commit(s, f->old, OLD);
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

/* Where and how it is stored. */
struct how {
	struct index_place at;
	struct reader_bases bases;
};

/* All reads back. */
static void
look(struct fixture *f, struct how *how)
{
	uint8_t want[LEN];
	const uint8_t *got;
	struct reader *rd;
	struct index *ix;
	size_t len;

	memset(how, 0, NEW * sizeof(*how));
	assert_int_equal(index_load(f->r, &ix), OK);
	assert_int_equal(reader_new(f->r, ix, 1u << 20, &rd), OK);
	for (uint32_t i = 0; i < NEW; i++) {
		new_chunk(want, i);
		assert_int_equal(reader_get(rd, &f->ids[i], FRAME_DATA, &got,
		    &len), OK);
		assert_int_equal(len, LEN);
		assert_memory_equal(got, want, LEN);
		assert_int_equal(index_find(ix, &f->ids[i], &how[i].at, NULL),
		    FOUND);
		if (how[i].at.depth)
			assert_int_equal(reader_bases(rd, &how[i].at,
			    &how[i].bases), OK);
	}
	reader_free(rd);
	index_free(ix);
}

/* The same of two repositories: lengths, places and bases, by names that both have. */
static void
expect_same(const struct how *a, const struct how *b)
{
	for (uint32_t i = 0; i < NEW; i++) {
		assert_int_equal(a[i].at.depth, b[i].at.depth);
		assert_int_equal(a[i].at.ordinal, b[i].at.ordinal);
		assert_int_equal(a[i].at.off, b[i].at.off);
		assert_int_equal(a[i].at.len, b[i].at.len);
		assert_int_equal(a[i].at.slot, b[i].at.slot);
		assert_int_equal(a[i].bases.count, b[i].bases.count);
		assert_memory_equal(a[i].bases.id, b[i].bases.id,
		    a[i].bases.count * sizeof(struct name));
	}
}

static void
test_any_number_of_threads(void **state)
{
	static const unsigned jobs[] = { 1, 2, 4, 8 };
	static struct how first[NEW], it[NEW];
	unsigned deltas = 0, several = 0;

	(void)state;
	for (unsigned k = 0; k < 4; k++) {
		struct support_recount_result res;
		struct fixture *f;
		struct session *s;

		setup((void **)&f);
		s = begin(f, jobs[k]);
		assert_int_equal(put_new(f, s), OK);
		commit(s, f->ids, NEW);
		look(f, k == 0 ? first : it);
		if (k > 0)
			expect_same(first, it);
		assert_true(support_recount(f->r, SUPPORT_RECOUNT_SAFE, &res));
		teardown((void **)&f);
	}
	for (uint32_t i = 0; i < NEW; i++) {
		deltas += first[i].bases.count > 0;
		several += first[i].bases.count > 1;
	}
	assert_in_range(deltas, 60, OLD);
	assert_in_range(several, 8, 12);
}

/* A base that cannot be read, or is not what it should be, is none. */
static void
test_damaged_bases(void **state)
{
	static struct how how[NEW];
	char path[SUPPORT_IO_PATH];
	struct index_place place;
	struct fixture *f = *state;
	struct session *s;
	struct index *ix;

	assert_int_equal(index_load(f->r, &ix), OK);
	assert_int_equal(index_find(ix, &f->old[0], &place, NULL), FOUND);
	index_free(ix);
	support_store_pack_path(path, &place.pack_name);
	assert_true(support_disk_flip(f->disk, path, place.off + place.len - 9));
	s = begin(f, 4);
	for (uint32_t i = 0; i < OLD; i++)
		if (i % 11 == 5)                /* would be found, and not stored */
			f->old[i + 1] = f->old[0];
	assert_int_equal(put_new(f, s), OK);
	commit(s, f->ids, NEW);
	assert_int_equal(index_load(f->r, &ix), OK);
	assert_int_equal(index_find(ix, &f->ids[0], &how[0].at, NULL), FOUND);
	index_free(ix);
	assert_int_equal(how[0].at.depth, 0);
}

/* The first failure ends it, wherever it is met; nothing is lost but the session. */
static void
test_failing_disk(void **state)
{
	struct fixture *f = *state;
	struct session *s;
	int rc;

	for (unsigned nth = 1; nth < 40; nth += 3) {
		s = begin(f, 3);
		support_disk_fail(f->disk, SUPPORT_BIT(SUPPORT_READ), nth, EIO,
		    true);
		rc = put_new(f, s);
		if (support_disk_failures(f->disk))
			assert_int_equal(rc, ERR_IO);
		support_disk_fail(f->disk, SUPPORT_BIT(SUPPORT_READ), 1u << 30,
		    EIO, false);
		session_abort(s);
		session_free(s);
	}
	s = begin(f, 3);
	assert_int_equal(put_new(f, s), OK);
	commit(s, f->ids, NEW);
}

/* Whoever goes on all the same hears of it again: nothing that came after was stored. */
static void
test_failure_stays(void **state)
{
	struct fixture *f = *state;
	struct session *s;
	struct name root;

	for (unsigned jobs = 1; jobs < 4; jobs += 2) {
		s = begin(f, jobs);
		/* Of the session's own reads none is left to fail. */
		for (uint32_t i = 0; i < OLD; i++)
			assert_int_equal(session_has(s, &f->old[i]), FOUND);
		support_disk_fail(f->disk, SUPPORT_BIT(SUPPORT_READ), 1, EIO,
		    false);
		assert_int_equal(put_new(f, s), ERR_IO);
		assert_int_equal(support_disk_failures(f->disk), 1);
		/* Content that no chunk had. */
		assert_int_equal(support_store_data(s, 9000, LEN, &f->old[0],
		    &root), ERR_IO);
		assert_int_equal(session_fine(s, false), ERR_IO);
		assert_int_equal(err_errno(), EIO);
		assert_int_equal(support_store_tree(s, TREENODE_FILE, f->old,
		    OLD, NULL, &root), OK);
		assert_int_equal(support_store_commit(s, &root), ERR_IO);
		session_free(s);
	}
}

/* Given up while much is under way. */
static void
test_given_up(void **state)
{
	struct fixture *f = *state;
	struct support_recount_result res;
	struct session *s;
	uint8_t p[LEN];

	for (uint32_t n = 1; n < OLD; n += 9) {
		s = begin(f, 4);
		assert_int_equal(session_fine(s, true), OK);
		for (uint32_t i = 0; i < n; i++) {
			new_chunk(p, i);
			assert_int_equal(session_put(s, FRAME_DATA, p, LEN,
			    &f->old[i], &f->ids[i], NULL), OK);
		}
		if (n % 2)
			session_abort(s);
		session_free(s);
		assert_true(support_recount(f->r, SUPPORT_RECOUNT_SAFE, &res));
	}
}

/* Parts are published meanwhile: what waits goes into the part it came for. */
static void
test_parts(void **state)
{
	static const unsigned jobs[] = { 1, 4 };

	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		static struct how how[NEW];
		struct support_recount_result res;
		struct settle_stats stats;
		struct fixture *f;
		struct session *s;
		uint8_t p[LEN];

		setup((void **)&f);
		s = begin(f, jobs[k]);
		assert_int_equal(session_fine(s, true), OK);
		for (uint32_t i = 0; i < NEW; i++) {
			if (i % 20 == 13)
				assert_int_equal(session_checkpoint(s), OK);
			new_chunk(p, i);
			assert_int_equal(session_put(s, FRAME_DATA, p, LEN,
			    i < OLD ? &f->old[i] : NULL, &f->ids[i], NULL), OK);
		}
		assert_int_equal(session_fine(s, false), OK);
		commit(s, f->ids, NEW);
		look(f, how);
		assert_true(support_recount(f->r, SUPPORT_RECOUNT_SAFE, &res));
		assert_int_equal(settle_run(f->r, NULL, 0, true, &stats), OK);
		assert_int_equal(stats.segments, 8);
		look(f, how);
		assert_true(support_recount(f->r, SUPPORT_RECOUNT_EXACT, &res));
		teardown((void **)&f);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_number_of_threads),
		cmocka_unit_test(test_parts),
		cmocka_unit_test_setup_teardown(test_damaged_bases, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failing_disk, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failure_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(test_given_up, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
