/*
 * repack: every pack is proven; damaged ones are mended from their parity; what still authenticates of the others goes into new packs;
 * then the index is made anew.
 */
#ifndef OPS_REPACK_H
#define OPS_REPACK_H

#include "store/rebuild.h"
#include "store/salvage.h"

struct repack_options {
	/* Told of each damaged pack: what was saved of it; NULL: parity brought back all of it. */
	void (*pack)(void *arg, const char *path, const struct salvage_stats *saved);
	void (*progress)(void *arg, uint64_t done, uint64_t total);
	struct rebuild_options rebuild;
	void *arg;
};

struct repack_stats {
	uint64_t packs, damaged, mended, frames_saved;
	struct rebuild_stats rebuild;
};

/* Takes the exclusive lock. */
int repack_run(struct repo *r, const struct repack_options *o, struct repack_stats *stats) __attribute__((warn_unused_result));

#endif
