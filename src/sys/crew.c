#include "sys/crew.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/err.h"
#include "base/mem.h"

#define LOOK_NS 100000000l

struct crew {
	const struct crew_work *w;
	pthread_mutex_t lock;           /* of what follows */
	pthread_cond_t done;
	size_t next, count;
	unsigned running;
	int rc;                         /* the first failure ... */
	char note[1024];                /* ... and its words */
};

struct member {
	struct crew *c;
	pthread_t thread;
	unsigned number;
};

static void
keep_failure(struct crew *c, int rc)
{
	if (rc < 0 && c->rc == OK) {
		c->rc = rc;
		snprintf(c->note, sizeof(c->note), "%s", err_text());
	}
}

static void *
work(void *arg)
{
	struct member *m = arg;
	struct crew *c = m->c;

	pthread_mutex_lock(&c->lock);
	while (c->rc == OK && c->next < c->count) {
		size_t job = c->next++;
		int rc;

		pthread_mutex_unlock(&c->lock);
		rc = c->w->run(c->w->arg, m->number, job);
		pthread_mutex_lock(&c->lock);
		keep_failure(c, rc);
	}
	c->running--;
	pthread_cond_signal(&c->done);
	pthread_mutex_unlock(&c->lock);
	return NULL;
}

/* Until all threads have ended; the lock is held. */
static void
wait_for_all(struct crew *c)
{
	struct timespec ts;

	while (c->running > 0) {
		clock_gettime(CLOCK_MONOTONIC, &ts);
		ts.tv_nsec += LOOK_NS;
		if (ts.tv_nsec >= 1000000000l) {
			ts.tv_nsec -= 1000000000l;
			ts.tv_sec++;
		}
		pthread_cond_timedwait(&c->done, &c->lock, &ts);
		if (c->w->look && c->rc == OK) {
			int rc;

			pthread_mutex_unlock(&c->lock);
			rc = c->w->look(c->w->arg);
			pthread_mutex_lock(&c->lock);
			keep_failure(c, rc);
		}
	}
}

/* Signals are for the thread that looks at them. */
static unsigned
start(struct crew *c, struct member *m, unsigned workers)
{
	sigset_t all, before;
	unsigned n = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (; n < workers; n++) {
		m[n] = (struct member){ .c = c, .number = n };
		pthread_mutex_lock(&c->lock);
		c->running++;
		pthread_mutex_unlock(&c->lock);
		if (pthread_create(&m[n].thread, NULL, work, &m[n]) != 0) {
			pthread_mutex_lock(&c->lock);
			c->running--;
			pthread_mutex_unlock(&c->lock);
			break;
		}
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return n;
}

static int
run_alone(const struct crew_work *w, size_t count)
{
	int rc = OK;

	for (size_t i = 0; rc >= 0 && i < count; i++)
		if ((rc = w->run(w->arg, 0, i)) >= 0 && w->look)
			rc = w->look(w->arg);
	return rc < 0 ? rc : OK;
}

int
crew_run(const struct crew_work *w, unsigned workers, size_t count)
{
	struct crew c = { .w = w, .count = count };
	pthread_condattr_t steady;
	struct member *m;
	unsigned started;
	int rc;

	if (workers > count)
		workers = (unsigned)count;
	if (workers <= 1)
		return run_alone(w, count);
	if ((rc = mem_new((void **)&m, mem_array(workers, sizeof(*m)))))
		return rc;
	pthread_condattr_init(&steady);
	pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
	pthread_mutex_init(&c.lock, NULL);
	pthread_cond_init(&c.done, &steady);
	pthread_condattr_destroy(&steady);
	started = start(&c, m, workers);
	pthread_mutex_lock(&c.lock);
	wait_for_all(&c);
	pthread_mutex_unlock(&c.lock);
	for (unsigned i = 0; i < started; i++)
		pthread_join(m[i].thread, NULL);
	pthread_cond_destroy(&c.done);
	pthread_mutex_destroy(&c.lock);
	free(m);
	if (started == 0)
		return fail(ERR_FAILED, "cannot start a thread");
	if (c.rc)
		err_set(c.rc, c.note);
	return c.rc;
}
