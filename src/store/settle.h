/*
 * settle: fold all session segments into the next head and drop what is dead (SPEC PB-4 ... PB-7; the protocol of counts).
 */
#ifndef STORE_SETTLE_H
#define STORE_SETTLE_H

#include "store/repo.h"
#include "store/rewrite.h"

struct settle_stats {
	uint64_t segments, rows, nodes_read;
	uint64_t chunks_removed, packs_removed, bytes_freed, snapshots_removed;     /* bytes of packs unlinked */
	uint64_t bytes_dead;            /* of packs that the head declares dead */
	uint64_t head;                  /* number of the head afterwards */
	struct rewrite_stats rewrite;
};

/*
 * Take the exclusive lock, sweep, sum, follow zeros, publish the next head, sweep.
 * collect: sids of forgotten snapshots to collect, each once; those that are not in forgotten/ (any more) are passed over.
 * wait: wait for the lock, else ERR_LOCKED.
 * With nothing to do no head is written.
 */
int settle_run(struct repo *r, const struct name_sid *collect, size_t collect_count, bool wait, struct settle_stats *stats)
    __attribute__((warn_unused_result));

/* A prune: settle and collect everything in forgotten/ that is not pinned. */
struct settle_prune {
	bool wait;                      /* for the lock, else ERR_LOCKED */
	/* Told of a record in forgotten/ that cannot be read: it stays, and so does what it holds.  May be NULL. */
	void (*bad)(void *arg, const char *sid_hex);
	void *arg;
};

/* Both add to *stats. */
int settle_collect(struct repo *r, const struct settle_prune *o, struct settle_stats *stats) __attribute__((warn_unused_result));

/* One bounded step of rewriting packs; stats->rewrite.more says whether another one is worth while. */
int settle_rewrite(struct repo *r, const struct rewrite_policy *policy, bool wait, struct settle_stats *stats)
    __attribute__((warn_unused_result));

/*
 * Fold and count, but unlink nothing that was live before: the next settle does.  The head's number is above `above`.  The caller
 * holds the exclusive lock.
 */
int settle_count(struct repo *r, uint64_t above, struct settle_stats *stats) __attribute__((warn_unused_result));

/*
 * What collecting these snapshots (of snapshots/ or forgotten/) would free, from the counts alone.  The caller holds the shared
 * lock; nothing is written.
 */
struct settle_preview {
	uint64_t chunks, packs;         /* that would die */
	uint64_t bytes_freed;           /* of packs of which nothing would be left */
	uint64_t bytes_unused;          /* dead bytes in the other packs: rewriting these frees most of them */
};

int settle_preview(struct repo *r, const struct name_sid *sids, size_t count, struct settle_preview *out)
    __attribute__((warn_unused_result));

/* Segments above which a session settles when it ends. */
#define SETTLE_SEGMENTS 32

#endif
