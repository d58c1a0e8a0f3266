#include "sys/watch.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "base/err.h"
#include "base/mem.h"
#include "sys/clock.h"
#include "sys/signals.h"

#define TICK_NS (CLOCK_NS / 10)

struct watch {
	void (*stop)(void *arg);
	void *arg;
	pthread_t thread;
	pthread_mutex_t lock;           /* of what follows */
	pthread_cond_t wake;
	bool looking, over;
	int64_t deadline_ns;
};

static void
sleep_tick(struct watch *w)
{
	int64_t until = clock_steady_ns() + TICK_NS;
	struct timespec ts = { until / CLOCK_NS, until % CLOCK_NS };

	pthread_cond_timedwait(&w->wake, &w->lock, &ts);
}

static void *
look(void *arg)
{
	struct watch *w = arg;

	pthread_mutex_lock(&w->lock);
	while (!w->over) {
		if (!w->looking) {
			pthread_cond_wait(&w->wake, &w->lock);
			continue;
		}
		if (signals_stop_asked() ||
		    (w->deadline_ns && clock_steady_ns() >= w->deadline_ns))
			w->stop(w->arg);
		sleep_tick(w);
	}
	pthread_mutex_unlock(&w->lock);
	return NULL;
}

/* Signals are for the main thread, which may be waiting for a line. */
static int
start(struct watch *w)
{
	sigset_t all, before;
	int failed;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&w->thread, NULL, look, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return failed ? fail(ERR_NOMEM, "cannot start a thread") : OK;
}

int
watch_new(void (*stop)(void *arg), void *arg, struct watch **out)
{
	struct watch *w;
	pthread_condattr_t steady;
	int rc;

	*out = NULL;
	if ((rc = MEM_NEW(w)))
		return rc;
	w->stop = stop;
	w->arg = arg;
	pthread_condattr_init(&steady);
	pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, &steady);
	pthread_condattr_destroy(&steady);
	if ((rc = start(w))) {
		pthread_cond_destroy(&w->wake);
		pthread_mutex_destroy(&w->lock);
		free(w);
		return rc;
	}
	*out = w;
	return OK;
}

static void
tell(struct watch *w, bool looking, bool over, int64_t deadline_ns)
{
	pthread_mutex_lock(&w->lock);
	w->looking = looking;
	w->over = over;
	w->deadline_ns = deadline_ns;
	pthread_cond_signal(&w->wake);
	pthread_mutex_unlock(&w->lock);
}

struct watch *
watch_free(struct watch *w)
{
	if (!w)
		return NULL;
	tell(w, false, true, 0);
	pthread_join(w->thread, NULL);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	free(w);
	return NULL;
}

void
watch_begin(struct watch *w, int64_t deadline_ns)
{
	tell(w, true, false, deadline_ns);
}

void
watch_end(struct watch *w)
{
	tell(w, false, false, 0);
}
