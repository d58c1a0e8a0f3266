/*
 * pick: which packs a step of rewriting empties, by what their rows say (policy: rewrite.h).
 */
#ifndef STORE_PICK_H
#define STORE_PICK_H

#include "store/counts.h"
#include "store/rewrite.h"

struct pick_pack {
	struct indexfile_pack row;
	uint64_t unused;                /* dead bytes */
	uint64_t hollow;                /* bytes of bases that live for others only, as far as they were met */
	bool chosen;
};

struct pick {
	struct counts *c;               /* these are borrowed */
	const struct rewrite_policy *policy;
	struct rewrite_stats *stats;    /* .pack_bytes and .more are set */
	struct pick_pack *packs;        /* all that have live frames; none if it is not worth while to look */
	size_t count, cap;
	uint64_t total;                 /* living bytes of those chosen */
};

/* Fill packs and choose among them.  Cost: one row of 64 bytes for each pack, or none. */
int pick_packs(struct pick *k) __attribute__((warn_unused_result));
void pick_clear(struct pick *k);

#endif
