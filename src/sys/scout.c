/*
 * scout: one group of requests for each directory the walk is in, the innermost
 * on top.  Threads serve the top group first.
 *
 *      group of /      [taken] [taken] (here) [ready] [asked] ...
 *      group of /b     [taken] (here) [running] [asked] ...        <- top
 *
 * request: asked -> running -> ready -> taken;  the walk takes one that is
 * still asked to do it itself, and helps with others while its own is running.
 *
 * Bounds: READY_GROUP requests of a group and ready_most in all are running or
 * ready, each of at most STATS_MAX looked-at entries, ENTRIES_ALL together.
 *
 * Invariants: 1. everything of a group is touched under `lock` only, but a
 *                running request's dir, which belongs to who runs it.
 *             2. requests before `begun` are not asked.
 */
#include "sys/scout.h"

#include <dirent.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/mem.h"
#include "sys/clock.h"

#define READY_GROUP 16u
#define READY_ALL 256u
#define FILES_PART 8u                   /* of what the process may open */
#define STATS_MAX 4096u
#define ENTRIES_ALL 65536u

enum state { ASKED, RUNNING, READY, TAKEN };

struct request {
	const char *name;               /* of the walk's */
	enum state state;
	bool good;
	struct scout_dir dir;
};

struct scout_group {
	struct scout_group *older;
	int fd;                         /* of the walk's */
	unsigned ready;                 /* or running */
	size_t count, begun, next;      /* next: where the walk is */
	struct request req[];
};

struct scout {
	pthread_mutex_t lock;
	pthread_cond_t work, done;
	struct scout_group *top;
	unsigned ready, ready_most;     /* or running */
	size_t entries;                 /* of those that are ready */
	unsigned idle;                  /* threads that wait for work */
	bool stats, stop;
	pthread_t *threads;
	unsigned thread_count;
};

/* ---- anywhere ---- */

static void
dir_clear(struct scout_dir *d)
{
	fsys_names_clear(&d->names);
	free(d->stats);
	fsys_close(d->fd);
	*d = (struct scout_dir){ .fd = -1 };
}

/* All names, or none: who finds no memory leaves it to the walk. */
static void
look(struct scout_dir *d)
{
	size_t count = d->names.count;

	if (count == 0 || count > STATS_MAX)
		return;
	d->stats = malloc(mem_array(count, sizeof(*d->stats)));
	for (size_t i = 0; d->stats && i < count; i++)
		if (fsys_stat(d->fd, d->names.name[i], &d->stats[i]))
			d->stats[i].mode = 0;
}

/* A request to be worked on; NULL: none, or enough are ready. */
static struct request *
begin(struct scout *s, struct scout_group **group)
{
	struct scout_group *g;

	if (s->ready >= s->ready_most || s->entries >= ENTRIES_ALL)
		return NULL;
	for (g = s->top; g; g = g->older) {
		while (g->begun < g->count && g->req[g->begun].state != ASKED)
			g->begun++;
		if (g->begun == g->count || g->ready >= READY_GROUP)
			continue;
		g->req[g->begun].state = RUNNING;
		g->ready++;
		s->ready++;
		*group = g;
		return &g->req[g->begun++];
	}
	return NULL;
}

/* The lock is held, and given up meanwhile. */
static void
serve(struct scout *s, struct scout_group *g, struct request *q)
{
	bool stats = s->stats;
	int dirfd = g->fd;

	pthread_mutex_unlock(&s->lock);
	q->dir = (struct scout_dir){ .fd = -1, .since = clock_steady_ns() };
	q->good = fsys_open_dir(dirfd, q->name, &q->dir.fd) == OK &&
	    (!stats || fsys_stat(q->dir.fd, "", &q->dir.self) == OK) &&
	    scout_list(&q->dir) == OK;
	if (q->good && stats)
		look(&q->dir);
	pthread_mutex_lock(&s->lock);
	q->state = READY;
	s->entries += q->dir.names.count;
	pthread_cond_broadcast(&s->done);
}

static void *
worker(void *arg)
{
	struct scout *s = arg;
	struct scout_group *g;
	struct request *q;

	pthread_mutex_lock(&s->lock);
	while (!s->stop) {
		if ((q = begin(s, &g))) {
			serve(s, g, q);
			continue;
		}
		s->idle++;
		pthread_cond_wait(&s->work, &s->lock);
		s->idle--;
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* ---- the walk ---- */

/* No longer running; if `help`, others are served meanwhile.  The lock is held. */
static void
await(struct scout *s, const struct request *q, bool help)
{
	struct scout_group *g;
	struct request *other;

	while (q->state == RUNNING) {
		if (help && (other = begin(s, &g)))
			serve(s, g, other);
		else
			pthread_cond_wait(&s->done, &s->lock);
	}
}

static void
take(struct scout *s, struct scout_group *g, struct request *q)
{
	if (q->state == READY) {
		g->ready--;
		s->ready--;
		s->entries -= q->dir.names.count;
	}
	q->state = TAKEN;
}

static struct request *
find(struct scout_group *g, int dirfd, const char *name)
{
	size_t i;

	if (!g || g->fd != dirfd)
		return NULL;
	for (i = g->next; i < g->count; i++)
		if (g->req[i].name == name) {
			g->next = i + 1;
			return &g->req[i];
		}
	return NULL;
}

static bool
is_fresh(const struct scout_dir *d)
{
	return clock_steady_ns() - d->since < SCOUT_FRESH_NS;
}

const struct fsys_stat *
scout_stat(const struct scout_dir *d, size_t i)
{
	return d->stats && d->stats[i].mode && is_fresh(d) ? &d->stats[i] : NULL;
}

int
scout_open(struct scout *s, int dirfd, const char *name, struct scout_dir *d)
{
	struct request *q;
	bool ready = false;

	*d = (struct scout_dir){ .fd = -1 };
	if (s && (q = find(s->top, dirfd, name))) {
		pthread_mutex_lock(&s->lock);
		await(s, q, true);
		ready = q->state == READY;
		take(s, s->top, q);
		if (s->idle > 0 && s->ready <= READY_GROUP / 2)
			pthread_cond_signal(&s->work);
		pthread_mutex_unlock(&s->lock);
	}
	if (ready && q->good && is_fresh(&q->dir)) {
		*d = q->dir;
		return OK;
	}
	if (ready)
		dir_clear(&q->dir);
	return fsys_open_dir(dirfd, name, &d->fd);
}

int
scout_list(struct scout_dir *d)
{
	int rc = d->listed ? OK : fsys_list(d->fd, &d->names);

	d->listed = rc == OK;
	return rc;
}

static bool
is_dir(const struct scout_dir *d, size_t i)
{
	if (d->stats && d->stats[i].mode)
		return S_ISDIR(d->stats[i].mode);
	return (unsigned char)d->names.name[i][-1] == DT_DIR;
}

void
scout_ahead(struct scout *s, struct scout_dir *d,
    bool (*wants)(void *arg, const char *name), void *arg)
{
	struct scout_group *g;
	size_t dirs = 0;

	if (!s)
		return;
	for (size_t i = 0; i < d->names.count; i++)
		dirs += is_dir(d, i);
	g = dirs ? malloc(sizeof(*g) + mem_array(dirs, sizeof(g->req[0]))) :
	    NULL;
	if (!g)
		return;
	*g = (struct scout_group){ .fd = d->fd };
	for (size_t i = 0; i < d->names.count; i++)
		if (is_dir(d, i) && wants(arg, d->names.name[i]))
			g->req[g->count++] = (struct request){
				.name = d->names.name[i], .state = ASKED };
	d->group = g;
	pthread_mutex_lock(&s->lock);
	g->older = s->top;
	s->top = g;
	if (s->idle > 0)
		pthread_cond_signal(&s->work);
	pthread_mutex_unlock(&s->lock);
}

void
scout_close(struct scout *s, struct scout_dir *d)
{
	struct scout_group *g = d->group;
	bool ready;

	if (g) {
		pthread_mutex_lock(&s->lock);
		g->begun = g->count;
		for (size_t i = 0; i < g->count; i++) {
			await(s, &g->req[i], false);
			ready = g->req[i].state == READY;
			take(s, g, &g->req[i]);
			if (ready)
				dir_clear(&g->req[i].dir);
		}
		s->top = g->older;
		pthread_mutex_unlock(&s->lock);
		free(g);
	}
	dir_clear(d);
}

void
scout_set_stats(struct scout *s, bool stats)
{
	if (!s)
		return;
	pthread_mutex_lock(&s->lock);
	s->stats = stats;
	pthread_mutex_unlock(&s->lock);
}

int
scout_new(unsigned threads, struct scout **out)
{
	sigset_t all, before;
	struct scout *s;
	int rc;

	*out = NULL;
	if (threads == 0 || (rc = MEM_NEW(s)))
		return threads == 0 ? OK : rc;
	s->ready_most = fsys_files_most() / FILES_PART;
	if (s->ready_most > READY_ALL)
		s->ready_most = READY_ALL;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->work, NULL);
	pthread_cond_init(&s->done, NULL);
	rc = mem_new((void **)&s->threads,
	    mem_array(threads, sizeof(*s->threads)));
	/* Signals are for the walk. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (; rc == OK && s->thread_count < threads; s->thread_count++)
		if (pthread_create(&s->threads[s->thread_count], NULL, worker,
		    s) != 0)
			break;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	*out = rc || s->thread_count == 0 ? scout_free(s) : s;
	return rc;
}

struct scout *
scout_free(struct scout *s)
{
	if (!s)
		return NULL;
	pthread_mutex_lock(&s->lock);
	s->stop = true;
	pthread_cond_broadcast(&s->work);
	pthread_mutex_unlock(&s->lock);
	for (unsigned i = 0; i < s->thread_count; i++)
		pthread_join(s->threads[i], NULL);
	pthread_cond_destroy(&s->work);
	pthread_cond_destroy(&s->done);
	pthread_mutex_destroy(&s->lock);
	free(s->threads);
	free(s);
	return NULL;
}
