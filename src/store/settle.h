/*
 * settle: fold all session segments into the next head and drop what is dead (SPEC PB-4 ... PB-7; the protocol of counts).
 */
#ifndef STORE_SETTLE_H
#define STORE_SETTLE_H

#include "store/repo.h"

struct settle_stats {
	uint64_t segments, rows, nodes_read;
	uint64_t chunks_removed, packs_removed, bytes_freed, snapshots_removed;
	uint64_t head;                  /* number of the head afterwards */
};

/*
 * Take the exclusive lock, sweep, sum, follow zeros, publish the next head, sweep.
 * collect: sids of forgotten snapshots to collect, each once; those that are not in forgotten/ (any more) are passed over.
 * wait: wait for the lock, else ERR_LOCKED.
 * With nothing to do no head is written.
 */
int settle_run(struct repo *r, const struct name_sid *collect, size_t collect_count, bool wait, struct settle_stats *stats)
    __attribute__((warn_unused_result));

/* Segments above which a session settles when it ends. */
#define SETTLE_SEGMENTS 32

#endif
