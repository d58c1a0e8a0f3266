/*
 * Differences to several bases (FR-4, IX-7): what moved from several chunks into one is stored as the way they lie in it; every base is
 * counted, through forgetting and moving.  Lost if it failed: disk space, or a base and with it data.
 */
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
#include "store/graves.h"
#include "store/index.h"
#include "store/session.h"
#include "store/settle.h"
#include "tests/unit/support_io.h"
#include "tests/unit/support_recount.h"
#include "tests/unit/support_store.h"

#define LEN 24000u
#define OLD 3u                          /* chunks of the first snapshot that are changed in the second */

struct fixture {
	struct support_disk *disk;
	struct repo *r;
	struct name_sid sids[2];
	struct name ids[OLD + 1];       /* of the second: each old one changed, and one that has a third of each */
};

static void
old_chunk(uint8_t p[static LEN], uint32_t i)
{
	support_store_bytes(p, LEN, 100 + i);
}

static void
new_chunk(uint8_t p[static LEN], uint32_t i)
{
	uint8_t q[LEN];

	old_chunk(p, i % OLD);
	p[LEN / 2] ^= 1;
	for (uint32_t k = 1; i == OLD && k < OLD; k++) {
		old_chunk(q, k);
		memcpy(p + k * (LEN / OLD), q + k * (LEN / OLD), LEN / OLD);
	}
}

static struct session *
begin(struct repo *r)
{
	const struct session_config cfg = { .jobs = 1, .level = 3 };
	struct session *s;

	assert_int_equal(session_begin(r, &cfg, &s), OK);
	return s;
}

static void
commit(struct fixture *f, struct session *s, const struct name *ids, size_t count, unsigned which)
{
	struct name root;

	assert_int_equal(support_store_tree(s, TREENODE_FILE, ids, count, NULL, &root), OK);
	assert_int_equal(support_store_commit(s, &root), OK);
	f->sids[which] = *session_sid(s);
	session_free(s);
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct name old[OLD + 1];
	uint8_t p[LEN];
	struct session *s;

	assert_non_null(f);
	f->disk = support_disk_new();
	assert_int_equal(support_store_init(f->disk, &f->r), OK);
	s = begin(f->r);
	for (uint32_t i = 0; i < OLD; i++) {
		old_chunk(p, i);
		assert_int_equal(session_put(s, FRAME_DATA, p, LEN, NULL, &old[i], NULL), OK);
	}
	assert_int_equal(support_store_data(s, 7, LEN, NULL, &old[OLD]), OK);
	commit(f, s, old, OLD + 1, 0);
	s = begin(f->r);
	assert_int_equal(session_fine(s, true), OK);
	for (uint32_t i = 0; i <= OLD; i++) {
		new_chunk(p, i);
		assert_int_equal(session_put(s, FRAME_DATA, p, LEN, &old[i % OLD], &f->ids[i], NULL), OK);
	}
	assert_int_equal(session_fine(s, false), OK);
	/* Nothing names this one: the pack will be worth emptying. */
	assert_int_equal(support_store_data(s, 8, LEN, NULL, &old[0]), OK);
	commit(f, s, f->ids, OLD + 1, 1);
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

/* The second snapshot reads back; the bases of the last chunk: how many, and how deep it is. */
static unsigned
read_all(struct fixture *f, unsigned *depth)
{
	struct reader_bases bases = { .count = 0 };
	struct index_place place;
	struct reader *rd;
	struct index *ix;
	const uint8_t *got;
	uint8_t want[LEN];
	size_t len;

	assert_int_equal(index_load(f->r, &ix), OK);
	assert_int_equal(reader_new(f->r, ix, 1u << 20, &rd), OK);
	for (uint32_t i = 0; i <= OLD; i++) {
		new_chunk(want, i);
		assert_int_equal(reader_get(rd, &f->ids[i], FRAME_DATA, &got, &len), OK);
		assert_int_equal(len, LEN);
		assert_memory_equal(got, want, LEN);
	}
	assert_int_equal(index_find(ix, &f->ids[OLD], &place, NULL), FOUND);
	*depth = place.depth;
	if (place.depth)
		assert_int_equal(reader_bases(rd, &place, &bases), OK);
	reader_free(rd);
	index_free(ix);
	return bases.count;
}

static void
recount(struct fixture *f, struct support_recount_result *res)
{
	bool ok = support_recount(f->r, SUPPORT_RECOUNT_EXACT, res);

	assert_string_equal(res->why, "");
	assert_true(ok);
}

static void
forget(struct fixture *f, unsigned which)
{
	struct settle_prune o = { .wait = false };
	struct settle_stats stats = { 0 };

	assert_int_equal(graves_bury(f->r, &f->sids[which], 1), OK);
	assert_int_equal(settle_collect(f->r, &o, &stats), OK);
	assert_int_equal(stats.snapshots_removed, 1);
}

/* Three bases, each counted. */
static void
test_three_bases(void **state)
{
	struct fixture *f = *state;
	struct support_recount_result res;
	struct settle_stats stats = { 0 };
	unsigned depth;

	assert_int_equal(read_all(f, &depth), OLD);
	assert_int_equal(depth, OLD);
	assert_true(support_recount(f->r, SUPPORT_RECOUNT_SAFE, &res));
	assert_int_equal(settle_run(f->r, NULL, 0, false, &stats), OK);
	recount(f, &res);
	assert_int_equal(res.deltas, OLD + 1);
}

/* What stood on them dies: nothing stands on them any more. */
static void
test_forget_newer(void **state)
{
	struct support_recount_result res;
	struct fixture *f = *state;

	forget(f, 1);
	recount(f, &res);
	assert_int_equal(res.hollow, 0);
	assert_int_equal(res.deltas, 0);
}

/* They live for others only; all of it is moved, and then nothing has to live for others. */
static void
test_forget_older(void **state)
{
	static const struct rewrite_policy dense = { .max_unused = 0, .max_bytes = 1u << 24 };
	struct support_recount_result res;
	struct settle_stats stats = { 0 };
	struct fixture *f = *state;
	unsigned depth;

	forget(f, 0);
	recount(f, &res);
	assert_int_equal(res.hollow, OLD);
	assert_int_equal(read_all(f, &depth), OLD);
	assert_int_equal(settle_rewrite(f->r, &dense, false, &stats), OK);
	assert_true(stats.rewrite.chunks > OLD);
	recount(f, &res);
	assert_int_equal(res.hollow, 0);
	assert_true(read_all(f, &depth) <= 1);
}

static void
put_whole(struct fixture *f, const uint8_t p[static LEN], struct name *id)
{
	struct session *s = begin(f->r);

	assert_int_equal(session_put(s, FRAME_DATA, p, LEN, NULL, id, NULL), OK);
	commit(f, s, id, 1, 0);
}

static void
find(struct fixture *f, const struct name *id, struct index_place *place)
{
	struct index *ix;

	assert_int_equal(index_load(f->r, &ix), OK);
	assert_int_equal(index_find(ix, id, place, NULL), FOUND);
	index_free(ix);
}

/* What stands on the copy that was lost finds the new one, which must not be deeper than the old one was. */
static void
test_lost_is_whole(void **state)
{
	char path[SUPPORT_IO_PATH];
	struct fixture *f = *state;
	struct index_place place;
	struct name ids[OLD], id;
	uint8_t p[LEN], q[LEN];
	struct session *s;

	new_chunk(q, OLD);
	q[5] ^= 1;
	put_whole(f, q, &id);
	find(f, &id, &place);
	assert_int_equal(place.depth, 0);
	support_store_pack_path(path, &place.pack_name);
	assert_true(support_disk_remove(f->disk, path));
	s = begin(f->r);
	assert_int_equal(session_fine(s, true), OK);
	for (uint32_t i = 0; i < OLD; i++) {
		new_chunk(p, i);
		p[9] ^= 1;
		assert_int_equal(session_put(s, FRAME_DATA, p, LEN, &f->ids[i], &ids[i], NULL), OK);
	}
	assert_int_equal(session_put(s, FRAME_DATA, q, LEN, &f->ids[0], &id, NULL), OK);
	assert_int_equal(session_fine(s, false), OK);
	commit(f, s, &id, 1, 0);
	find(f, &id, &place);
	assert_int_equal(place.depth, 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_three_bases, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forget_newer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forget_older, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost_is_whole, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
