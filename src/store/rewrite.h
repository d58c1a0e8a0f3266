/*
 * rewrite: move what lives out of packs that are mostly dead, or small, into new ones (SPEC PB-4 (4), PB-6), while a settle has
 * its counts in memory.
 *
 * Which packs: those with the greatest share of dead bytes until no more than max_unused of all pack bytes are dead; and small
 * packs, once REWRITE_MERGE of a kind and size class have come together, so that a byte is moved at most once per class.
 */
#ifndef STORE_REWRITE_H
#define STORE_REWRITE_H

#include "store/counts.h"

#define REWRITE_UNUSED 50u              /* default of max_unused: 5 % */
#define REWRITE_STEP (128ull << 20)     /* bytes that one step moves */
#define REWRITE_MERGE 8u

struct rewrite_policy {
	unsigned max_unused;            /* dead bytes that may stay, in thousandths of all pack bytes */
	uint64_t max_bytes;             /* of living frames to move in this step */
	bool small_only;                /* only merge small packs */
	/* Told now and then how many bytes were moved and are to be moved in this step; may be NULL. */
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	void *arg;
};

struct rewrite_stats {
	uint64_t packs, chunks;         /* emptied; moved */
	uint64_t bytes_read, bytes_written;     /* of living frames; of new packs */
	uint64_t rebased;               /* differences stored anew, on another base or whole */
	uint64_t pack_bytes;            /* of all packs, as they were */
	bool more;                      /* the policy asks for another step */
};

struct rewrite;

/*
 * Would the policy move anything, as the tables are?  FOUND or OK; sets stats->pack_bytes.  So a prune with nothing to rewrite does
 * not sync and sweep a second time.
 */
int rewrite_wanted(struct repo *r, struct index *ix, const struct rewrite_policy *policy, struct rewrite_stats *stats)
    __attribute__((warn_unused_result));

/*
 * Choose and move; new packs are complete and synced under tmp/, and c counts as if they had been published.
 * *out is NULL when there is nothing to move.  Owns: *out: rewrite_free, which removes what was not published.
 * Cost: nothing if the sums say that there is nothing to do; else one row of 64 bytes for each pack, and what is moved, once.
 */
int rewrite_run(struct counts *c, const struct rewrite_policy *policy, struct rewrite_stats *stats, struct rewrite **out)
    __attribute__((warn_unused_result));

/* Names of the new packs, ascending; rw may be NULL. */
const struct name *rewrite_names(const struct rewrite *rw, size_t *count);

/* Rename them into packs/ and sync the directories.  rw may be NULL. */
int rewrite_publish(struct rewrite *rw) __attribute__((warn_unused_result));

struct rewrite *rewrite_free(struct rewrite *rw);

#endif
