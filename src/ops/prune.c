#include "ops/prune.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "store/pins.h"
#include "sys/clock.h"

/* The exclusive lock; it is taken again, without waiting, by what follows. */
static int
lock(struct repo *r, const struct prune_options *o)
{
	int rc = io_lock(r->io, IO_EXCLUSIVE, false);

	if (rc != ERR_LOCKED)
		return rc;
	if (o->waiting)
		o->waiting(o->arg);
	return io_lock(r->io, IO_EXCLUSIVE, true);
}

int
prune_run(struct repo *r, const struct prune_options *o, struct prune_result *res)
{
	struct settle_prune p = { .wait = true, .bad = o->bad, .arg = o->arg };
	int64_t begin = clock_steady_ns(), locked;
	int rc, rc2;

	*res = (struct prune_result){ .elapsed_ns = 0 };
	if ((rc = lock(r, o)))
		return rc;
	locked = clock_steady_ns();
	rc = settle_collect(r, &p, &res->stats);
	rc2 = io_lock(r->io, IO_UNLOCKED, false);
	res->locked_ns = clock_steady_ns() - locked;
	res->elapsed_ns = clock_steady_ns() - begin;
	return rc ? rc : rc2;
}

int
prune_preview(struct repo *r, const struct name_sid *gone, size_t count, struct settle_preview *out)
{
	struct graves all = { 0 }, pins = { 0 };
	size_t n = 0;
	int rc;

	if ((rc = graves_list(r, "forgotten", &all)) || (rc = pins_load(r, &pins)))
		goto out;
	for (size_t i = 0; i < all.count; i++)
		if (!pins_have(&pins, &all.p[i]))
			all.p[n++] = all.p[i];
	all.count = n;
	if ((rc = mem_grow((void **)&all.p, &all.cap, n + count + 1, sizeof(*all.p))))
		goto out;
	for (size_t i = 0; i < count; i++)
		all.p[all.count++] = gone[i];
	rc = settle_preview(r, all.p, all.count, out);
out:
	free(all.p);
	free(pins.p);
	return rc;
}
