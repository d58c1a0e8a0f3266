#include "ops/prune.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "store/pins.h"
#include "store/reserve.h"
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

/* One time under the lock: what is forgotten first, since that gives room; then one step of rewriting each. */
static int
try_step(struct repo *r, const struct prune_options *o, struct rewrite_policy *policy, struct prune_result *res)
{
	struct settle_prune p = { .bad = o->bad, .arg = o->arg };
	int64_t begin, took;
	int rc = lock(r, o), rc2;

	res->steps++;
	if (rc)
		return rc;
	begin = clock_steady_ns();
	if (!policy)
		rc = settle_collect(r, &p, &res->stats);
	else
		rc = settle_rewrite(r, policy, false, &res->stats);
	rc2 = io_lock(r->io, IO_UNLOCKED, false);
	took = clock_steady_ns() - begin;
	if (took > res->locked_ns)
		res->locked_ns = took;
	return rc ? rc : rc2;
}

/* The second of two attempts found either everything still to do, or what the first had published already. */
static void
count_both(struct settle_stats *s, const struct settle_stats *first)
{
	if (s->snapshots_removed < first->snapshots_removed)
		s->snapshots_removed = first->snapshots_removed;
	if (s->chunks_removed < first->chunks_removed)
		s->chunks_removed = first->chunks_removed;
	if (s->packs_removed < first->packs_removed)
		s->packs_removed = first->packs_removed;
}

/* A full disk: the reserve is for this.  Of rewriting nothing depends, so it waits for better times. */
static int
step(struct repo *r, const struct prune_options *o, struct rewrite_policy *policy, struct prune_result *res)
{
	struct settle_stats before = res->stats, first;
	int rc = try_step(r, o, policy, res);

	if (!reserve_is_full(rc))
		return rc;
	res->full = true;
	first = res->stats;
	before.bytes_freed = res->stats.bytes_freed;
	res->stats = before;
	if (reserve_give(r->io) == FOUND && (rc = try_step(r, o, policy, res)) == OK)
		count_both(&res->stats, &first);
	if (!policy || !reserve_is_full(rc))
		return rc;
	before.bytes_freed = res->stats.bytes_freed;
	res->stats = before;
	return OK;
}

/* The space kept for the next time, under the shared lock: a sweep would take it for a leftover. */
static int
refill(struct repo *r, uint64_t pack_bytes)
{
	int rc = io_lock(r->io, IO_SHARED, true), rc2;

	if (rc)
		return rc;
	rc = reserve_make(r->io, reserve_want(pack_bytes));
	rc2 = io_lock(r->io, IO_UNLOCKED, false);
	return rc ? rc : rc2;
}

int
prune_run(struct repo *r, const struct prune_options *o, struct prune_result *res)
{
	struct rewrite_policy policy = { .max_unused = o->max_unused, .progress = o->progress, .arg = o->arg };
	const struct rewrite_stats *done = &res->stats.rewrite;
	int64_t begin = clock_steady_ns();
	int rc;

	*res = (struct prune_result){ .elapsed_ns = 0 };
	rc = step(r, o, NULL, res);
	do {
		uint64_t left = o->max_rewrite > done->bytes_read ? o->max_rewrite - done->bytes_read : 0;

		policy.max_bytes = left < REWRITE_STEP ? left : REWRITE_STEP;
		if (rc == OK && left)
			rc = step(r, o, &policy, res);
	} while (rc == OK && done->more && o->max_rewrite > done->bytes_read);
	if (rc == OK)
		rc = refill(r, done->pack_bytes);
	if (res->stats.bytes_freed > done->bytes_written)
		res->bytes_freed = res->stats.bytes_freed - done->bytes_written;
	res->elapsed_ns = clock_steady_ns() - begin;
	return rc;
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
