/*
 * pick: which packs are emptied, decided from rows alone.  Lost if it failed: disk space that does not come back, or the same bytes moved
 * by every prune.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#undef fail                              /* base/err.h has one too */

#include "base/err.h"
#include "format/packfile.h"
#include "store/pick.h"
#include "store/sums.h"
#include "tests/unit/support_store.h"

#define MOST 64
#define LARGE (16u << 20)

struct fixture {
	struct support_disk *disk;
	struct repo *r;
	struct counts c;
	struct counts_pack packs[MOST];
	struct rewrite_stats stats;
	struct pick k;
};

static struct fixture fixture;

static int
setup(void **state)
{
	struct fixture *f = &fixture;

	memset(f, 0, sizeof(*f));
	f->disk = support_disk_new();
	assert_int_equal(support_store_init(f->disk, &f->r), OK);
	f->c.repo = f->r;
	f->c.packs = f->packs;
	assert_int_equal(index_load(f->r, &f->c.index), OK);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	pick_clear(&f->k);
	index_free(f->c.index);
	repo_close(f->r);
	support_disk_free(f->disk);
	return 0;
}

/* What a pack of this length takes beside its frames. */
static uint64_t
beside(uint64_t bytes, uint32_t frames)
{
	return PACKFILE_HEADER_LEN + packfile_footer_bound(frames, (uint32_t)(bytes / PACKFILE_BLOCK) + 1);
}

/* n packs of which each has this many dead bytes. */
static void
add(struct fixture *f, size_t n, uint32_t kind, uint64_t bytes, uint64_t dead)
{
	while (n-- > 0) {
		struct indexfile_pack *p = &f->packs[f->c.pack_count].row;

		assert_true(f->c.pack_count < MOST);
		*p = (struct indexfile_pack){ .bytes = bytes, .live_bytes = bytes - dead - beside(bytes, 4), .frames = 4, .live_frames = 4,
			.kind = (uint8_t)kind };
		p->name.b[0] = (uint8_t)f->c.pack_count++;
	}
}

/* How many are chosen, and in which pick_clear() finds nothing left over from before. */
static size_t
pick(struct fixture *f, const struct rewrite_policy *policy)
{
	size_t chosen = 0;

	pick_clear(&f->k);
	f->stats = (struct rewrite_stats){ .more = true };
	f->k = (struct pick){ .c = &f->c, .policy = policy, .stats = &f->stats };
	assert_int_equal(pick_packs(&f->k), OK);
	for (size_t i = 0; i < f->k.count; i++)
		chosen += f->k.packs[i].chosen;
	return chosen;
}

/* Was the nth that was added chosen? */
static bool
is_chosen(const struct fixture *f, size_t n)
{
	for (size_t i = 0; i < f->k.count; i++)
		if (f->k.packs[i].row.name.b[0] == n)
			return f->k.packs[i].chosen;
	return false;
}

/* The greatest shares go first, and no more of them than it takes. */
static void
test_greatest_share(void **state)
{
	const struct rewrite_policy p = { .max_unused = 50, .max_bytes = 1u << 30 };
	struct fixture *f = *state;

	add(f, 1, PACKFILE_DATA, LARGE, LARGE / 8);
	add(f, 1, PACKFILE_META, LARGE / 2, LARGE / 4);
	add(f, 1, PACKFILE_DATA, LARGE, LARGE / 5);
	add(f, 5, PACKFILE_DATA, LARGE, 0);
	assert_int_equal(pick(f, &p), 1);
	assert_true(is_chosen(f, 1));
	assert_false(f->stats.more);
	assert_int_equal(f->stats.pack_bytes, 7 * LARGE + LARGE / 2);
	assert_int_equal(f->k.total, f->packs[1].row.live_bytes);
	f->packs[0].row.live_bytes -= LARGE / 8;
	assert_int_equal(pick(f, &p), 2);
	assert_true(is_chosen(f, 1) && is_chosen(f, 0));
}

/* As much as may stay stays, to the byte. */
static void
test_what_may_stay(void **state)
{
	struct rewrite_policy p = { .max_unused = 50, .max_bytes = 1u << 30 };
	struct fixture *f = *state;

	add(f, 10, PACKFILE_DATA, 10000000, 0);
	f->packs[4].row.live_bytes -= 5000064;
	assert_int_equal(pick(f, &p), 0);
	f->packs[4].row.live_bytes--;
	assert_int_equal(pick(f, &p), 1);
	/* Rounding of sizes is no dead byte, and packs without any are not worth a look. */
	p.max_unused = 0;
	f->packs[4].row.live_bytes = f->packs[3].row.live_bytes - 64;
	assert_int_equal(pick(f, &p), 0);
	f->packs[4].row.live_bytes--;
	assert_int_equal(pick(f, &p), 1);
	assert_true(is_chosen(f, 4));
	/* What is dead as a whole is for a settle. */
	f->packs[4].row.live_frames = 0;
	assert_int_equal(pick(f, &p), 0);
	assert_int_equal(f->stats.pack_bytes, 90000000);
}

/* A step is full when one more would be too much; but it has one at least. */
static void
test_steps(void **state)
{
	struct rewrite_policy p = { .max_unused = 0, .max_bytes = 1 };
	struct fixture *f = *state;

	add(f, 4, PACKFILE_DATA, LARGE, LARGE / 2);
	add(f, 20, PACKFILE_DATA, 10000, 0);
	assert_int_equal(pick(f, &p), 1);
	assert_true(f->stats.more);
	p.max_bytes = 3 * f->packs[0].row.live_bytes;
	assert_int_equal(pick(f, &p), 3);
	assert_true(f->stats.more);
	p.max_bytes = 4 * f->packs[0].row.live_bytes;
	assert_int_equal(pick(f, &p), 4);
	assert_false(f->stats.more);
	p.max_bytes = 1u << 30;
	assert_int_equal(pick(f, &p), 24);
	assert_false(f->stats.more);
	p.small_only = true;
	assert_int_equal(pick(f, &p), 20);
}

/* Small ones of a kind and class are merged once there are enough of them. */
static void
test_small(void **state)
{
	static const uint64_t limits[] = { 64u << 10, 512u << 10, 2u << 20, 4u << 20 };
	const struct rewrite_policy p = { .max_unused = 1000, .max_bytes = 1u << 30 };
	struct fixture *f = *state;

	for (size_t i = 0; i < 4; i++)
		for (uint32_t kind = PACKFILE_DATA; kind <= PACKFILE_META; kind++) {
			f->c.pack_count = 0;
			add(f, REWRITE_MERGE - 1, kind, limits[i] - 1, 0);
			add(f, 1, kind, limits[i], 0);
			add(f, 1, kind == PACKFILE_DATA ? PACKFILE_META : PACKFILE_DATA, limits[i] - 1, 0);
			assert_int_equal(pick(f, &p), 0);
			add(f, 1, kind, i ? limits[i - 1] : 4096, 0);
			assert_int_equal(pick(f, &p), REWRITE_MERGE);
			assert_false(is_chosen(f, REWRITE_MERGE - 1) || is_chosen(f, REWRITE_MERGE));
			assert_false(f->stats.more);
		}
	f->c.pack_count = 0;
	add(f, 2 * REWRITE_MERGE, PACKFILE_DATA, 4u << 20, 0);
	assert_int_equal(pick(f, &p), 0);
}

/* As many of them as fit, if that are enough; then there is more to do. */
static void
test_small_that_fit(void **state)
{
	struct rewrite_policy p = { .max_unused = 1000 };
	struct fixture *f = *state;
	uint64_t live;

	add(f, 12, PACKFILE_META, 10000, 0);
	live = f->packs[0].row.live_bytes;
	p.max_bytes = 9 * live;
	assert_int_equal(pick(f, &p), 9);
	assert_true(f->stats.more);
	assert_int_equal(f->k.total, 9 * live);
	p.max_bytes = REWRITE_MERGE * live - 1;
	assert_int_equal(pick(f, &p), 0);
	assert_false(f->stats.more);
	p.max_bytes = 12 * live;
	assert_int_equal(pick(f, &p), 12);
	assert_false(f->stats.more);
	/* Those of another kind come into the same step. */
	add(f, 10, PACKFILE_DATA, 10000, 0);
	assert_int_equal(pick(f, &p), 10);
	p.max_bytes = 19 * live;
	assert_int_equal(pick(f, &p), 19);
	assert_true(f->stats.more);
	p.max_bytes = 17 * live;
	assert_int_equal(pick(f, &p), 10);
}

/* The sums let nobody look in vain, and nothing dead be overlooked: what they allow is what the packs' own rows do, but for SLACK. */
static void
test_sums(void **state)
{
	static const uint64_t dead[] = { 0, 1, 700, 65536 };
	struct fixture *f = *state;

	for (size_t i = 0; i < 4; i++) {
		struct tablesums s = { 0 };
		uint64_t bound;

		f->c.pack_count = 0;
		add(f, 3, PACKFILE_DATA, LARGE, dead[i]);
		add(f, 4, PACKFILE_META, 3 * PACKFILE_BLOCK, dead[i]);
		for (size_t k = 0; k < f->c.pack_count; k++)
			sums_add(&s, &f->packs[k].row, 1);
		bound = sums_unused_bound(&s);
		assert_true(bound >= 7 * dead[i]);
		assert_true(bound <= 7 * (dead[i] + 16));
		for (size_t k = 0; k < f->c.pack_count; k++)
			sums_add(&s, &f->packs[k].row, -1);
		assert_memory_equal(&s, &(struct tablesums){ 0 }, sizeof(s));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_greatest_share, setup, teardown),
		cmocka_unit_test_setup_teardown(test_what_may_stay, setup, teardown),
		cmocka_unit_test_setup_teardown(test_steps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_small, setup, teardown),
		cmocka_unit_test_setup_teardown(test_small_that_fit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sums, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
