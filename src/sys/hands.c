/*
 * hands: jobs are numbered; the ring holds those from `oldest` to `count`.
 *
 *      oldest        untouched                 count
 *        | done | run | done | wait | run | wait |
 *
 *      bytes  |......|===========jobs===========|......|
 *                    begin of oldest            end
 *
 * Invariants: 1. states are touched under `lock` only; a running job's bytes
 *                belong to its thread, all others to the caller.
 *             2. jobs before `untouched` are not waiting, and it is not before
 *                `oldest` when a job is given: its slot may be looked at then.
 *             3. oldest, count, rc and the bytes' ends are the caller's own;
 *                threads see `count` under the lock, where it grows.
 */
#include "sys/hands.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"

#define JOBS 512u                       /* pending at once; a power of two */
#define ALIGN 16u
#define NOWHERE UINT64_MAX
#define NONE UINT64_MAX

enum state { WAITING, RUNNING, DONE };

struct job {
	enum state state;
	hands_run run;
	hands_reap reap;
	uint64_t place;
	size_t begin, end;              /* its bytes */
};

struct hand {
	struct hands *h;
	pthread_t thread;
	uint64_t place;                 /* of the job it is at, or NOWHERE */
};

struct hands {
	void *arg;
	uint8_t *bytes;
	size_t size;
	size_t room_begin, room_end;    /* asked for, not given away yet */
	struct job jobs[JOBS];
	uint64_t oldest, count, untouched;      /* numbers of jobs */
	uint64_t awaited;               /* by the caller; NONE */
	unsigned idle;                  /* threads that wait for work */
	bool stop;
	pthread_mutex_t lock;
	pthread_cond_t work, done;
	struct hand *hands;
	unsigned hand_count;
	int rc, sys_errno;              /* the failure that ended it */
	char note[1024];
};

static struct job *
job_at(struct hands *h, uint64_t number)
{
	return &h->jobs[number & (JOBS - 1)];
}

/* ---- in a thread ---- */

static bool
is_busy(const struct hands *h, uint64_t place)
{
	for (unsigned i = 0; i < h->hand_count; i++)
		if (h->hands[i].place == place)
			return true;
	return false;
}

/* The oldest one in a place where nobody is, else the oldest one. */
static struct job *
next_job(struct hands *h)
{
	struct job *first = NULL;

	while (h->untouched < h->count &&
	    job_at(h, h->untouched)->state != WAITING)
		h->untouched++;
	for (uint64_t n = h->untouched; n < h->count; n++) {
		struct job *j = job_at(h, n);

		if (j->state != WAITING)
			continue;
		if (!is_busy(h, j->place))
			return j;
		if (!first)
			first = j;
	}
	return first;
}

static void *
hand(void *arg)
{
	struct hand *me = arg;
	struct hands *h = me->h;
	struct job *j;

	pthread_mutex_lock(&h->lock);
	while (!h->stop) {
		if (!(j = next_job(h))) {
			h->idle++;
			pthread_cond_wait(&h->work, &h->lock);
			h->idle--;
			continue;
		}
		j->state = RUNNING;
		me->place = j->place;
		pthread_mutex_unlock(&h->lock);
		j->run(h->bytes + j->begin);
		pthread_mutex_lock(&h->lock);
		me->place = NOWHERE;
		j->state = DONE;
		if (h->awaited != NONE && j == job_at(h, h->awaited))
			pthread_cond_signal(&h->done);
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

/* ---- the caller ---- */

/* FOUND: it is done, AT_END: it is not, and never will be. */
static int
await(struct hands *h, uint64_t number)
{
	struct job *j = job_at(h, number);

	pthread_mutex_lock(&h->lock);
	h->awaited = number;
	if (h->rc && j->state == WAITING)
		j->state = DONE, number = NONE;
	while (j->state != DONE)
		pthread_cond_wait(&h->done, &h->lock);
	h->awaited = NONE;
	pthread_mutex_unlock(&h->lock);
	return number == NONE ? AT_END : FOUND;
}

static void
reap_oldest(struct hands *h)
{
	struct job *j = job_at(h, h->oldest);
	bool dropped = await(h, h->oldest) == AT_END || (h->rc && !j->run);
	int rc = j->reap(h->arg, h->bytes + j->begin, dropped);

	h->oldest++;
	if (rc < 0 && h->rc == OK) {
		h->rc = rc;
		h->sys_errno = err_errno();
		snprintf(h->note, sizeof(h->note), "%s", err_text());
	}
}

/* Not one at a time: the caller sleeps until there is room for a while. */
static void
reap_some(struct hands *h)
{
	uint64_t until = h->oldest + (h->count - h->oldest + 3) / 4;

	if (h->rc == OK)
		(void)await(h, until - 1);
	while (h->oldest < until)
		reap_oldest(h);
}

int
hands_check(const struct hands *h)
{
	if (h->rc == OK)
		return OK;
	err_set(h->rc, h->note);
	err_set_errno(h->sys_errno);
	return h->rc;
}

bool
hands_pending(const struct hands *h)
{
	return h->oldest < h->count;
}

int
hands_drain(struct hands *h)
{
	if (hands_pending(h) && h->rc == OK)
		(void)await(h, h->count - 1);
	while (hands_pending(h))
		reap_oldest(h);
	return hands_check(h);
}

/* Where len bytes fit behind the newest job; SIZE_MAX: nowhere yet. */
static size_t
fit(struct hands *h, size_t len)
{
	size_t begin, end;

	if (!hands_pending(h))
		return 0;
	begin = job_at(h, h->oldest)->begin;
	end = job_at(h, h->count - 1)->end;
	if (end > begin && h->size - end >= len)
		return end;
	if (end > begin)
		return len < begin ? 0 : SIZE_MAX;
	return begin - end > len ? end : SIZE_MAX;
}

static size_t
aligned(size_t len)
{
	return (len + ALIGN) / ALIGN * ALIGN;
}

int
hands_room(struct hands *h, size_t len, void **job)
{
	size_t at;

	len = aligned(len);
	assert(len <= h->size / 4);
	while (h->count - h->oldest == JOBS || (at = fit(h, len)) == SIZE_MAX)
		reap_some(h);
	h->room_begin = at;
	h->room_end = at + len;
	*job = h->bytes + at;
	return hands_check(h);
}

void
hands_trim(struct hands *h, size_t len)
{
	len = aligned(len);
	assert(len <= h->room_end - h->room_begin);
	h->room_end = h->room_begin + len;
}

void
hands_give(struct hands *h, hands_run run, hands_reap reap, uint64_t place)
{
	assert(h->room_end > 0);
	pthread_mutex_lock(&h->lock);
	if (h->untouched < h->oldest)
		h->untouched = h->oldest;
	*job_at(h, h->count) = (struct job){ .state = run ? WAITING : DONE, .run = run,
	    .reap = reap, .place = place, .begin = h->room_begin,
	    .end = h->room_end };
	h->room_end = 0;
	h->count++;
	if (run && h->idle > 0)
		pthread_cond_signal(&h->work);
	pthread_mutex_unlock(&h->lock);
}

/* Signals are for the caller's thread. */
static int
start(struct hands *h, unsigned threads)
{
	sigset_t all, before;
	struct hand *it;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (unsigned i = 0; i < threads; i++) {
		it = &h->hands[i];
		pthread_mutex_lock(&h->lock);
		*it = (struct hand){ .h = h, .place = NOWHERE };
		h->hand_count++;
		pthread_mutex_unlock(&h->lock);
		if (pthread_create(&it->thread, NULL, hand, it) == 0)
			continue;
		pthread_mutex_lock(&h->lock);
		h->hand_count--;
		pthread_mutex_unlock(&h->lock);
		break;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return h->hand_count > 0 ? OK :
	    fail(ERR_NOMEM, "cannot start a thread");
}

int
hands_new(unsigned threads, size_t ring_bytes, void *arg, struct hands **out)
{
	struct hands *h;
	int rc;

	*out = NULL;
	if ((rc = MEM_NEW(h)))
		return rc;
	h->arg = arg;
	h->size = ring_bytes / ALIGN * ALIGN;
	h->awaited = NONE;
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->work, NULL);
	pthread_cond_init(&h->done, NULL);
	if ((rc = mem_new((void **)&h->bytes, h->size)) == OK &&
	    (rc = mem_new((void **)&h->hands,
	    mem_array(threads, sizeof(*h->hands)))) == OK)
		rc = start(h, threads);
	*out = rc ? hands_free(h) : h;
	return rc;
}

struct hands *
hands_free(struct hands *h)
{
	char note[sizeof(h->note)];
	int sys_errno = err_errno();

	if (!h)
		return NULL;
	snprintf(note, sizeof(note), "%s", err_text());
	h->rc = ERR_INTERRUPTED;        /* drops what nobody has begun */
	while (hands_pending(h))
		reap_oldest(h);
	err_set(ERR_INTERRUPTED, note);
	err_set_errno(sys_errno);
	pthread_mutex_lock(&h->lock);
	h->stop = true;
	pthread_cond_broadcast(&h->work);
	pthread_mutex_unlock(&h->lock);
	for (unsigned i = 0; i < h->hand_count; i++)
		pthread_join(h->hands[i].thread, NULL);
	pthread_cond_destroy(&h->work);
	pthread_cond_destroy(&h->done);
	pthread_mutex_destroy(&h->lock);
	free(h->hands);
	free(h->bytes);
	free(h);
	return NULL;
}
