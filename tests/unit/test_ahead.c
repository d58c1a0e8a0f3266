/* Frames opened ahead: they are foreseen, they are the right ones, and nothing wrong passes for proved. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>
#undef fail                              /* base/err.h has one too */

#include "fakepack.h"
#include "store/ahead.h"

#define FRAMES 24
#define CHUNK 5000

static void
text(uint8_t *p, unsigned seed)
{
	for (unsigned i = 0; i < CHUNK; i++)
		p[i] = (uint8_t)((i / 7 * 31 + seed * 101) ^ (i * seed >> 9));
}

/* A pack of FRAMES frames, one chunk each, every third stored raw; `lie`: the chunk of this frame is named wrongly. */
static void
fill(struct fake *f, uint32_t kind, unsigned lie)
{
	const struct name wrong = { { 9 } };
	uint8_t p[CHUNK];
	struct name id;

	fake_begin(f, kind);
	for (unsigned i = 0; i < FRAMES; i++) {
		text(p, i);
		if (i == lie)
			fake_put_as(f, kind == PACKFILE_DATA ? FRAME_DATA : FRAME_TREE, p, CHUNK, &wrong);
		else
			fake_put(f, kind == PACKFILE_DATA ? FRAME_DATA : FRAME_TREE, p, CHUNK, &id);
		fake_block(f, i % 3 ? FRAME_ZSTD : FRAME_RAW, NULL, NULL, 0, 0);
		fake_frame(f);
	}
	fake_end(f);
}

static void
nap(unsigned ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000l };

	nanosleep(&t, NULL);
}

/* Take the frames from `from` on in order, waiting before each; how many were foreseen?  All that were are checked. */
static unsigned
walk(struct fake *f, struct ahead *a, unsigned from, unsigned count, unsigned ms, unsigned unproved)
{
	unsigned found = 0;

	for (unsigned i = from; i < from + count; i++) {
		struct framebox box = { 0 };
		uint8_t p[CHUNK];
		int rc;

		nap(ms);
		rc = ahead_take(a, &f->ix.row[i].place, &box);
		assert_true(rc == OK || rc == FOUND);
		if (rc == FOUND) {
			text(p, i % FRAMES);
			assert_int_equal(box.head.chunk_count, 1);
			assert_memory_equal(framebox_raw(&box, &box.blocks[0]), p, CHUNK);
			assert_int_equal(box.spots[0].proved, i != unproved);
			found++;
		}
		framebox_clear(&box);
	}
	return found;
}

/* All but the first two of a pack; the threads are given ever more time. */
static void
test_what_follows_is_foreseen(void **state)
{
	struct fake *f = fake_new(1);
	struct ahead *a;
	unsigned found = 0;

	(void)state;
	fill(f, PACKFILE_DATA, FRAMES);
	for (unsigned ms = 0; ms < 12 && found < FRAMES - 2; ms++) {
		assert_int_equal(ahead_new(&f->repo, 2, &a), OK);
		found = walk(f, a, 0, FRAMES, 1u << ms, FRAMES);
		assert_true(found <= FRAMES - 2);
		ahead_free(a);
	}
	assert_int_equal(found, FRAMES - 2);
	fake_free(f);
}

/* A pack of nodes, read at the same time, takes no frames away from the data. */
static void
test_two_packs_at_once(void **state)
{
	struct fake *f = fake_new(1);
	struct ahead *a;
	unsigned found = 0;

	(void)state;
	fill(f, PACKFILE_META, FRAMES);
	fill(f, PACKFILE_DATA, FRAMES);
	for (unsigned ms = 0; ms < 12 && found < 2 * FRAMES - 4; ms++) {
		assert_int_equal(ahead_new(&f->repo, 2, &a), OK);
		found = 0;
		for (unsigned i = 0; i < FRAMES; i++)
			found += walk(f, a, i, 1, 1u << ms, FRAMES) + walk(f, a, FRAMES + i, 1, 1u << ms, FRAMES);
		ahead_free(a);
	}
	assert_int_equal(found, 2 * FRAMES - 4);
	fake_free(f);
}

/* Runs that were left behind do not keep others from being foreseen. */
static void
test_abandoned_runs_give_way(void **state)
{
	struct fake *f = fake_new(1);
	struct ahead *a;
	unsigned found = 0;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		fill(f, PACKFILE_DATA, FRAMES);
	for (unsigned ms = 0; ms < 12 && !found; ms++) {
		assert_int_equal(ahead_new(&f->repo, 2, &a), OK);
		walk(f, a, 0, 6, 1u << ms, FRAMES);
		walk(f, a, FRAMES, 6, 1u << ms, FRAMES);
		/* by now nothing is free */
		walk(f, a, 2 * FRAMES, 18, 1u << ms, FRAMES);
		found = walk(f, a, 2 * FRAMES + 22, 2, 1u << ms, FRAMES);
		ahead_free(a);
	}
	assert_true(found > 0);
	fake_free(f);
}

/* FR-5: a chunk that is not what the head says is not proved.  A frame that does not open is left to the caller. */
static void
test_wrong_ones_are_not_proved(void **state)
{
	struct fake *f = fake_new(1);
	struct ahead *a;

	(void)state;
	fill(f, PACKFILE_DATA, 7);
	fake_flip(f, &f->pack_name, f->ix.row[10].place.off + 200, 1);
	for (unsigned ms = 0; ms < 5; ms++) {
		assert_int_equal(ahead_new(&f->repo, 2, &a), OK);
		walk(f, a, 0, 10, ms, 7);
		assert_int_equal(walk(f, a, 10, 1, ms, 7), 0);
		walk(f, a, 11, FRAMES - 11, ms, 7);
		ahead_free(a);
	}
	fake_free(f);
}

/* Any order at all, and an end at any moment. */
static void
test_any_order(void **state)
{
	struct fake *f = fake_new(1);
	unsigned seed = 1;

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		fill(f, i % 2 ? PACKFILE_META : PACKFILE_DATA, FRAMES);
	for (unsigned round = 0; round < 20; round++) {
		struct ahead *a;

		assert_int_equal(ahead_new(&f->repo, 3, &a), OK);
		for (unsigned n = 0; n < 60; n++) {
			unsigned at = (seed = seed * 1103515245 + 12345) >> 8, run = at % 5 + 1;

			at %= 6 * FRAMES - 5;
			walk(f, a, at, run, 0, FRAMES);
		}
		ahead_free(a);
	}
	fake_free(f);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_follows_is_foreseen),
		cmocka_unit_test(test_two_packs_at_once),
		cmocka_unit_test(test_abandoned_runs_give_way),
		cmocka_unit_test(test_wrong_ones_are_not_proved),
		cmocka_unit_test(test_any_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
