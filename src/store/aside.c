/* aside: see the header. */
#include "store/aside.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "sys/hands.h"

#define RING 4096u

struct aside {
	struct io *io;
	const char *const *dirs;
	size_t count;
	io_list_fn fn;
	void *arg;
	struct hands *hands;
	bool stop;                      /* atomic */
	bool good;
};

/* In the ring. */
struct job {
	struct aside *a;
	int rc;
};

static int
one_name(void *arg, const char *name)
{
	struct aside *a = arg;

	/* Nobody hears of it. */
	if (__atomic_load_n(&a->stop, __ATOMIC_RELAXED))
		return ERR_INTERRUPTED;
	return a->fn(a->arg, name);
}

static void
run(void *job)
{
	struct job *j = job;
	struct aside *a = j->a;

	for (size_t i = 0; j->rc == OK && i < a->count; i++)
		j->rc = io_list(a->io, a->dirs[i], one_name, a);
}

static int
reap(void *arg, void *job, bool dropped)
{
	struct aside *a = arg;

	a->good = !dropped && ((const struct job *)job)->rc == OK;
	return OK;
}

struct aside *
aside_begin(struct io *io, const char *const *dirs, size_t count,
    io_list_fn fn, void *arg)
{
	struct aside *a;
	uint64_t bytes = 0;
	void *job;

	if (io_stat(io, dirs[0], &bytes) || bytes < ASIDE_DIR_BYTES ||
	    MEM_NEW(a))
		return NULL;
	*a = (struct aside){ io, dirs, count, fn, arg, NULL, false, false };
	if (hands_new(1, RING, a, &a->hands) ||
	    hands_room(a->hands, sizeof(struct job), &job))
		return aside_free(a);
	*(struct job *)job = (struct job){ a, OK };
	hands_give(a->hands, run, reap, 0);
	return a;
}

bool
aside_done(struct aside *a)
{
	return a && hands_drain(a->hands) == OK && a->good;
}

struct aside *
aside_free(struct aside *a)
{
	if (!a)
		return NULL;
	__atomic_store_n(&a->stop, true, __ATOMIC_RELAXED);
	hands_free(a->hands);
	free(a);
	return NULL;
}
