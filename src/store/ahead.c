/*
 * ahead: a few packs are followed at a time, each as a run of frames.
 *
 *      pack    | 0 | 1 | 2 | 3 | 4 | 5 | 6 | ...
 *                      ^     ^           ^
 *                 asked for  first slot  next, off: the first that has no slot
 *
 * A run's window is 0 until a second frame in a row is asked for, and doubles with each further one.  Asking for any other frame of the
 * pack drops its slots and begins anew: little is read in vain.
 *
 * slot:  free -> queued -> running -> done -> free;  a queued one that is asked for is left to the caller
 *
 * Invariants: 1. slots are touched under `lock` only, except that a running one's box belongs to its thread.
 *             2. runs belong to the caller's thread, which changes none that has a slot running.
 */
#include "store/ahead.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "codec/squeeze.h"
#include "format/packfile.h"

#define RUNS 4
#define WINDOW_DATA 8
#define WINDOW_META 2                   /* nodes are few, and last long */
#define STALE 16                        /* frames asked for since */

enum slot_state { SLOT_FREE, SLOT_QUEUED, SLOT_RUNNING, SLOT_DONE };

struct run {
	struct packin pk;
	uint64_t last_use;              /* of the counter of takes */
	uint32_t wanted;                /* ordinal after the one asked for last */
	uint32_t next, off;             /* first frame without a slot; 0: none */
	unsigned window;                /* frames that may have slots */
};

struct slot {
	enum slot_state state;
	struct run *run;
	uint32_t ordinal, off, len;
	uint64_t order;                 /* queued ones are taken in this order */
	bool good;                      /* done: box is complete */
	struct framebox box;
};

struct ahead {
	struct repo *repo;
	struct run runs[RUNS];
	struct slot slots[AHEAD_FRAMES];
	uint64_t takes, orders;         /* counters */
	bool streaming;                 /* the newest run went through a pack */
	pthread_mutex_t lock;
	pthread_cond_t work, done;
	pthread_t *threads;
	unsigned thread_count;
	bool stop;
};

/* ---- in a thread ---- */

static struct slot *
next_queued(struct ahead *a)
{
	struct slot *best = NULL;

	for (size_t i = 0; i < AHEAD_FRAMES; i++) {
		struct slot *s = &a->slots[i];

		if (s->state == SLOT_QUEUED && (!best || s->order < best->order))
			best = s;
	}
	return best;
}

static bool
open_slot(struct ahead *a, struct slot *s, struct squeeze *sq,
    struct mem_buf *sealed)
{
	const struct packin *pk = &s->run->pk;

	if (packin_read(pk, a->repo, s->off, s->len, sealed) ||
	    framebox_open(&s->box, a->repo, pk, s->ordinal, sealed))
		return false;
	framebox_prove(&s->box, a->repo, sq);
	return true;
}

static void *
worker(void *arg)
{
	struct ahead *a = arg;
	struct mem_buf sealed = { 0 };
	struct squeeze *sq = NULL;
	struct slot *s;
	bool good, ready = squeeze_new(0, &sq) == OK;

	pthread_mutex_lock(&a->lock);
	while (!a->stop) {
		if (!(s = next_queued(a))) {
			pthread_cond_wait(&a->work, &a->lock);
			continue;
		}
		s->state = SLOT_RUNNING;
		pthread_mutex_unlock(&a->lock);
		good = ready && open_slot(a, s, sq, &sealed);
		pthread_mutex_lock(&a->lock);
		s->good = good;
		s->state = SLOT_DONE;
		pthread_cond_broadcast(&a->done);
	}
	pthread_mutex_unlock(&a->lock);
	squeeze_free(sq);
	mem_buf_clear(&sealed);
	return NULL;
}

/* ---- slots, under the lock ---- */

static void
slot_drop(struct ahead *a, struct slot *s)
{
	while (s->state == SLOT_RUNNING)
		pthread_cond_wait(&a->done, &a->lock);
	framebox_clear(&s->box);
	s->state = SLOT_FREE;
}

/* Slots of the run whose frame lies before `end`. */
static void
drop_until(struct ahead *a, const struct run *run, uint32_t end)
{
	for (size_t i = 0; i < AHEAD_FRAMES; i++) {
		struct slot *s = &a->slots[i];

		if (s->state != SLOT_FREE && s->run == run && s->ordinal < end)
			slot_drop(a, s);
	}
}

/* A free one, or one that was made for nobody. */
static struct slot *
free_slot(struct ahead *a)
{
	for (size_t i = 0; i < AHEAD_FRAMES; i++)
		if (a->slots[i].state == SLOT_FREE)
			return &a->slots[i];
	for (size_t i = 0; i < AHEAD_FRAMES; i++) {
		struct slot *s = &a->slots[i];

		if (a->takes - s->run->last_use > STALE) {
			slot_drop(a, s);
			return s;
		}
	}
	return NULL;
}

/* ---- runs ---- */

static struct run *
run_find(struct ahead *a, uint32_t pack_no)
{
	for (size_t i = 0; i < RUNS; i++)
		if (a->runs[i].pk.file && a->runs[i].pk.no == pack_no)
			return &a->runs[i];
	return NULL;
}

/* A run for this pack in the place of the one not used for longest; NULL when the pack cannot be opened. */
static struct run *
run_begin(struct ahead *a, const struct index_place *at)
{
	struct run *run = &a->runs[0];

	for (size_t i = 1; i < RUNS; i++)
		if (a->runs[i].last_use < run->last_use)
			run = &a->runs[i];
	pthread_mutex_lock(&a->lock);
	drop_until(a, run, UINT32_MAX);
	pthread_mutex_unlock(&a->lock);
	packin_close(&run->pk, a->repo);
	*run = (struct run){ .last_use = a->takes };
	return packin_open(&run->pk, a->repo, at) ? NULL : run;
}

/* What the frame asked for now says about those that will be. */
static void
run_step(struct ahead *a, struct run *run, const struct index_place *at)
{
	bool follows = at->ordinal == run->wanted;
	bool near = at->ordinal > run->wanted && at->ordinal < run->next;
	unsigned most = run->pk.kind == PACKFILE_DATA ? WINDOW_DATA :
	    WINDOW_META;

	if (follows && run->window < most)
		run->window = run->window ? 2 * run->window : 2;
	if (!follows && !near)
		run->window = 0;
	run->wanted = at->ordinal + 1;
	pthread_mutex_lock(&a->lock);
	drop_until(a, run, run->window ? run->wanted : UINT32_MAX);
	pthread_mutex_unlock(&a->lock);
	if (run->window == 0 || run->next < run->wanted) {
		run->next = run->wanted;
		run->off = at->off + at->len;
	}
}

/* Give the frames of the window slots, as far as there are any. */
static void
run_queue(struct ahead *a, struct run *run)
{
	struct slot *s = NULL;
	uint32_t len;

	while (run->off && run->next < run->wanted + run->window) {
		pthread_mutex_lock(&a->lock);
		s = free_slot(a);
		pthread_mutex_unlock(&a->lock);
		if (!s)
			return;
		if (packin_length(&run->pk, a->repo, run->off, run->next,
		    &len) != FOUND) {
			run->off = 0;
			return;
		}
		pthread_mutex_lock(&a->lock);
		*s = (struct slot){ .state = SLOT_QUEUED, .run = run,
		    .ordinal = run->next, .off = run->off, .len = len,
		    .order = ++a->orders };
		pthread_cond_signal(&a->work);
		pthread_mutex_unlock(&a->lock);
		run->next++;
		run->off = len > UINT32_MAX - run->off ? 0 : run->off + len;
	}
}

/* ---- for the caller ---- */

/* FOUND: the frame is in box.  A slot of it is free afterwards. */
static int
slot_take(struct ahead *a, const struct run *run, const struct index_place *at,
    struct framebox *box)
{
	int rc = OK;

	pthread_mutex_lock(&a->lock);
	for (size_t i = 0; i < AHEAD_FRAMES; i++) {
		struct slot *s = &a->slots[i];

		if (s->state == SLOT_FREE || s->run != run ||
		    s->ordinal != at->ordinal)
			continue;
		while (s->state == SLOT_RUNNING)
			pthread_cond_wait(&a->done, &a->lock);
		if (s->state == SLOT_DONE && s->good && s->off == at->off &&
		    s->len == at->len) {
			*box = s->box;
			s->box = (struct framebox){ 0 };
			rc = FOUND;
		}
		slot_drop(a, s);
		break;
	}
	pthread_mutex_unlock(&a->lock);
	return rc;
}

int
ahead_take(struct ahead *a, const struct index_place *at, struct framebox *box)
{
	struct run *run = run_find(a, at->pack_no);
	bool known = run != NULL;
	int rc = known ? slot_take(a, run, at, box) : OK;

	if (!known && (run = run_begin(a, at)) != NULL) {
		/* The beginning of a pack after the end of another. */
		run->window = a->streaming && at->ordinal == 0 ? 2 : 0;
		run->wanted = run->window ? 0 : UINT32_MAX;
	}
	if (!run)
		return rc;
	run->last_use = ++a->takes;
	run_step(a, run, at);
	run_queue(a, run);
	if (at->pack_kind == PACKFILE_DATA)
		a->streaming = run->window > 2;
	return rc;
}

int
ahead_new(struct repo *r, unsigned jobs, struct ahead **out)
{
	struct ahead *a;
	int rc;

	*out = NULL;
	if ((rc = MEM_NEW(a)))
		return rc;
	a->repo = r;
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->work, NULL);
	pthread_cond_init(&a->done, NULL);
	if ((rc = mem_new((void **)&a->threads,
	    mem_array(jobs, sizeof(*a->threads)))))
		goto out;
	for (; a->thread_count < jobs; a->thread_count++)
		if (pthread_create(&a->threads[a->thread_count], NULL, worker,
		    a) != 0)
			break;
	if (a->thread_count == 0)
		rc = fail(ERR_NOMEM, "cannot start a thread");
out:
	*out = rc ? ahead_free(a) : a;
	return rc;
}

struct ahead *
ahead_free(struct ahead *a)
{
	if (!a)
		return NULL;
	pthread_mutex_lock(&a->lock);
	a->stop = true;
	pthread_cond_broadcast(&a->work);
	pthread_mutex_unlock(&a->lock);
	for (unsigned i = 0; i < a->thread_count; i++)
		pthread_join(a->threads[i], NULL);
	for (size_t i = 0; i < AHEAD_FRAMES; i++)
		framebox_clear(&a->slots[i].box);
	for (size_t i = 0; i < RUNS; i++)
		packin_close(&a->runs[i].pk, a->repo);
	pthread_cond_destroy(&a->work);
	pthread_cond_destroy(&a->done);
	pthread_mutex_destroy(&a->lock);
	free(a->threads);
	free(a);
	return NULL;
}
