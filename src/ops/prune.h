/* prune: give back what only forgotten snapshots hold. */
#ifndef OPS_PRUNE_H
#define OPS_PRUNE_H

#include "store/repo.h"
#include "store/settle.h"

struct prune_options {
	unsigned max_unused;            /* as in rewrite_policy */
	uint64_t max_rewrite;           /* bytes of living frames to move at most */
	void (*progress)(void *arg, uint64_t done, uint64_t total);     /* of one step of rewriting; may be NULL */
	/* Called once when other processes hold the lock, before waiting for them; may be NULL. */
	void (*waiting)(void *arg);
	/* Of a forgotten record that cannot be read and therefore stays; may be NULL. */
	void (*bad)(void *arg, const char *sid_hex);
	void *arg;
};

struct prune_result {
	struct settle_stats stats;
	uint64_t bytes_freed;           /* by which the packs shrank */
	bool full;                      /* the disk was full meanwhile */
	unsigned steps;                 /* times that the exclusive lock was held */
	int64_t elapsed_ns;
	int64_t locked_ns;              /* the longest time for which others had to wait */
};

/* Interruptible anywhere; what was done stays done, and the next prune goes on. */
int prune_run(struct repo *r, const struct prune_options *o, struct prune_result *res) __attribute__((warn_unused_result));

/* What prune would free now, with these snapshots forgotten as well.  The caller holds the shared lock. */
int prune_preview(struct repo *r, const struct name_sid *gone, size_t count, struct settle_preview *out)
    __attribute__((warn_unused_result));

#endif
