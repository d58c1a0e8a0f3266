/*
 * reindex: new segments in the place of the whole index: one of all packs, and one with nothing but the root for each record.
 */
#ifndef STORE_REINDEX_H
#define STORE_REINDEX_H

#include "format/indexfile.h"
#include "store/repo.h"

/* What the new segments say: packs, frames and rows in the order that a segment wants. */
struct reindex_content {
	const struct indexfile_pack *packs;
	const struct indexfile_frame *frames;
	const struct indexfile_row *rows;
	const struct name_sid *sids;    /* of the records */
	const struct name *roots;       /* of each of these */
	size_t pack_count, frame_count, row_count, record_count;
};

/*
 * Replace the index; the old files move to damaged/, but for segments that say no more than a record.  The caller holds the exclusive
 * lock and the keys, and settles afterwards.
 *
 * Killed at any moment it leaves the old index, the new one, or one that nobody can open until it is replaced again (IX-11).  What
 * needs room is written first, with the reserve if there is no other: on a full disk nothing has changed.
 */
int reindex_run(struct repo *r, const struct reindex_content *n) __attribute__((warn_unused_result));

#endif
