/*
 * rebuild: the index made anew from the packs alone: footers say where frames lie, heads of frames what is in them; the settle that
 * follows counts references from the records.
 */
#ifndef STORE_REBUILD_H
#define STORE_REBUILD_H

#include "store/repo.h"

struct rebuild_options {
	uint64_t above;                 /* a number of a table that somebody has seen; 0: none */
	/* Told of a pack, or a part of one, that cannot be used; err_text() says why.  May be NULL. */
	void (*bad)(void *arg, const char *path);
	void (*progress)(void *arg, uint64_t done, uint64_t total);     /* packs; may be NULL */
	void *arg;
};

struct rebuild_stats {
	uint64_t packs, frames, chunks; /* indexed */
	uint64_t bad_packs, bad_frames; /* left out */
	uint64_t stranded;              /* differences of chunks that are not there: no damage, a prune leaves such when the base was dead, too */
	uint64_t snapshots;             /* counted, forgotten ones among them */
	uint64_t garbage;               /* bytes of packs that no snapshot needs: the next prune collects them */
	bool counted;                   /* else note says why: directories are lost that snapshots need */
	char note[256];
};

/*
 * Replace the index; the old files move to damaged/ (but see reindex.h).  The new head has a number above those of all tables in index/ and damaged/, so
 * that who saw one of these does not take the repository for an older copy.  The caller holds the exclusive lock and the keys.
 *
 * An interrupted one leaves an index that is empty or lacks counts; nothing is collected by such an index, and the next rebuild
 * makes a whole one.  What needs room is written first, with the reserve if there is no other: on a full disk nothing has changed.
 * Errors: ERR_CORRUPT  a snapshot record cannot be read: what only it holds would be taken for garbage.  Nothing was changed.
 * Cost: reads footers and heads of frames, then every node once; memory for 72 bytes of each chunk.
 */
int rebuild_index(struct repo *r, const struct rebuild_options *o, struct rebuild_stats *stats)
    __attribute__((warn_unused_result));

#endif
