/* Jobs in other threads: each is done once and heard of in order, whatever the ring does; a failure drops what follows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail                              /* base/err.h has one too */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "sys/hands.h"

#define RING 65536
#define PATIENCE 60                     /* seconds */

struct meeting {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned here, reaped, dropped, fail_at;
	bool open;
};

struct job {
	struct meeting *m;
	unsigned number;
	size_t len;
	bool done;
	uint8_t bytes[];
};

static void
meeting_init(struct meeting *m)
{
	*m = (struct meeting){ .fail_at = UINT32_MAX };
	pthread_mutex_init(&m->lock, NULL);
	pthread_cond_init(&m->changed, NULL);
}

static void
invert(void *p)
{
	struct job *j = p;

	assert_false(j->done);
	for (size_t i = 0; i < j->len; i++)
		j->bytes[i] ^= 0xff;
	j->done = true;
}

/* Until `count` of them are here at once. */
static bool
meet(struct meeting *m, unsigned count)
{
	struct timespec until;
	int r = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE;
	pthread_mutex_lock(&m->lock);
	m->here++;
	pthread_cond_broadcast(&m->changed);
	while (m->here < count && !m->open && r == 0)
		r = pthread_cond_timedwait(&m->changed, &m->lock, &until);
	pthread_mutex_unlock(&m->lock);
	return r == 0;
}

static void
meet_two(void *p)
{
	struct job *j = p;

	j->done = meet(j->m, 2);
}

static void
meet_never(void *p)
{
	struct job *j = p;

	j->done = meet(j->m, UINT32_MAX);
}

static int
hear(void *arg, void *p, bool dropped)
{
	struct meeting *m = arg;
	struct job *j = p;

	assert_int_equal(j->number, m->reaped++);
	if (dropped) {
		assert_true(!j->done || j->number % 5 == 0);
		m->dropped++;
		return OK;
	}
	assert_true(j->done);
	for (size_t i = 0; i < j->len; i++)
		assert_int_equal(j->bytes[i], (uint8_t)~(j->number + i));
	return j->number == m->fail_at ? fail(ERR_FAILED, "job %u", j->number) : OK;
}

static int
give(struct hands *h, struct meeting *m, unsigned number, size_t len, hands_run run, uint64_t place)
{
	struct job *j;
	void *p;
	int rc = hands_room(h, sizeof(*j) + len, &p);

	if (rc)
		return rc;
	assert_int_equal((uintptr_t)p % 16, 0);
	j = p;
	*j = (struct job){ .m = m, .number = number, .len = len };
	for (size_t i = 0; i < len; i++)
		j->bytes[i] = (uint8_t)(number + i);
	if (!run)
		invert(j);
	hands_give(h, run, hear, place);
	return OK;
}

static void
test_all_are_heard_of_in_order(void **state)
{
	struct meeting m;
	struct hands *h;
	size_t len = 1;

	(void)state;
	for (unsigned threads = 1; threads <= 4; threads++) {
		meeting_init(&m);
		assert_int_equal(hands_new(threads, RING, &m, &h), OK);
		for (unsigned i = 0; i < 20000; i++) {
			len = (len * 1103515245 + 12345) % (i % 97 == 0 ? RING / 4 - 64 : i % 3 == 0 ? 900 : 20);
			assert_int_equal(give(h, &m, i, len, i % 5 ? invert : NULL, i / 7), OK);
		}
		assert_int_equal(hands_drain(h), OK);
		assert_false(hands_pending(h));
		assert_int_equal(m.reaped, 20000);
		assert_int_equal(m.dropped, 0);
		hands_free(h);
	}
}

/* Room that is asked for and given back is there for others: none has to be reaped for them. */
static void
test_trimmed_room_is_free(void **state)
{
	struct meeting m;
	struct hands *h;
	void *p;

	(void)state;
	meeting_init(&m);
	assert_int_equal(hands_new(1, RING, &m, &h), OK);
	for (unsigned i = 0; i < 20; i++) {
		struct job *j;

		assert_int_equal(hands_room(h, RING / 4 - 64, &p), OK);
		j = p;
		*j = (struct job){ .m = &m, .number = i, .done = true, .len = 40 };
		for (size_t k = 0; k < j->len; k++)
			j->bytes[k] = (uint8_t)~(i + k);
		hands_trim(h, sizeof(*j) + j->len);
		hands_give(h, NULL, hear, 0);
		assert_int_equal(m.reaped, 0);
	}
	assert_int_equal(hands_drain(h), OK);
	assert_int_equal(m.reaped, 20);
	hands_free(h);
}

/* The second one that is begun is that of another place, though others came before it. */
static void
test_different_places_are_worked_on_at_once(void **state)
{
	struct meeting m;
	struct hands *h;

	(void)state;
	meeting_init(&m);
	assert_int_equal(hands_new(2, RING, &m, &h), OK);
	assert_int_equal(give(h, &m, 0, 0, meet_two, 1), OK);
	assert_int_equal(give(h, &m, 1, 0, meet_two, 2), OK);
	assert_int_equal(hands_drain(h), OK);
	assert_int_equal(m.here, 2);
	hands_free(h);
}

/* A single place, too, if there is nothing else to do. */
static void
test_one_place_has_room_for_two(void **state)
{
	struct meeting m;
	struct hands *h;

	(void)state;
	meeting_init(&m);
	assert_int_equal(hands_new(2, RING, &m, &h), OK);
	assert_int_equal(give(h, &m, 0, 0, meet_two, 1), OK);
	assert_int_equal(give(h, &m, 1, 0, meet_two, 1), OK);
	assert_int_equal(hands_drain(h), OK);
	hands_free(h);
}

static void
test_a_failure_drops_the_rest(void **state)
{
	struct meeting m;
	struct hands *h;
	unsigned given = 0;

	(void)state;
	meeting_init(&m);
	m.fail_at = 100;
	assert_int_equal(hands_new(3, RING, &m, &h), OK);
	while (given < 5000 && give(h, &m, given, 50, given % 5 ? invert : NULL, given) == OK)
		given++;
	assert_in_range(given, 100, 700);
	assert_int_equal(hands_check(h), ERR_FAILED);
	err_set(ERR_IO, "something else");
	assert_int_equal(hands_drain(h), ERR_FAILED);
	assert_string_equal(err_text(), "job 100");
	assert_int_equal(m.reaped, given);
	hands_free(h);
}

static void
test_what_is_left_is_dropped(void **state)
{
	struct meeting m;
	struct hands *h;

	(void)state;
	meeting_init(&m);
	assert_int_equal(hands_new(1, RING, &m, &h), OK);
	assert_int_equal(give(h, &m, 0, 0, meet_never, 1), OK);
	pthread_mutex_lock(&m.lock);
	while (m.here == 0)
		pthread_cond_wait(&m.changed, &m.lock);
	pthread_mutex_unlock(&m.lock);
	for (unsigned i = 1; i < 10; i++)
		assert_int_equal(give(h, &m, i, 10, invert, 1), OK);
	err_set(ERR_IO, "the reason");
	pthread_mutex_lock(&m.lock);
	m.open = true;
	pthread_cond_broadcast(&m.changed);
	pthread_mutex_unlock(&m.lock);
	hands_free(h);
	assert_int_equal(m.reaped, 10);
	assert_string_equal(err_text(), "the reason");
}

/* More than a ring of jobs with nothing to do, while the threads sleep, then one with: it is done once (a race, told by TSan). */
static void
test_after_many_with_nothing_to_do(void **state)
{
	struct meeting m;
	struct hands *h;

	(void)state;
	meeting_init(&m);
	assert_int_equal(hands_new(2, RING, &m, &h), OK);
	for (unsigned i = 0; i < 8000; i++)
		assert_int_equal(give(h, &m, i, 10, i % 700 > 690 ? invert : NULL, 1), OK);
	assert_int_equal(hands_drain(h), OK);
	assert_int_equal(m.reaped, 8000);
	hands_free(h);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_are_heard_of_in_order),
		cmocka_unit_test(test_trimmed_room_is_free),
		cmocka_unit_test(test_different_places_are_worked_on_at_once),
		cmocka_unit_test(test_one_place_has_room_for_two),
		cmocka_unit_test(test_a_failure_drops_the_rest),
		cmocka_unit_test(test_what_is_left_is_dropped),
		cmocka_unit_test(test_after_many_with_nothing_to_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
