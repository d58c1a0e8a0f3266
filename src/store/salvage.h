/* salvage: the frames of a damaged pack that still authenticate, sealed anew in a pack of their own. */
#ifndef STORE_SALVAGE_H
#define STORE_SALVAGE_H

#include "format/name.h"
#include "store/repo.h"

struct salvage_stats {
	uint64_t frames, bytes;         /* saved; of the damaged pack's frames */
	uint64_t lost;                  /* frames that the footer speaks of and that were not saved; 0 if there is no good footer */
	bool given_up;                  /* the search for frames, before its end */
};

/*
 * Is the pack at `path` what its name says, every byte?  FOUND or OK (it is damaged; err_text() says how), or an error.
 */
int salvage_whole(struct repo *r, const char *path) __attribute__((warn_unused_result));

/*
 * Save what there is, publish it, and set the damaged pack aside.  The caller holds the exclusive lock, and makes the index anew.
 * FOUND: there is a new pack; OK: nothing of it could be saved (its header is lost, say).
 * Frames are found by the footer; without a good one by their lengths, and by their magic behind a bad place.  Who can write to the
 * storage can put magic everywhere: when what was read in vain is more than the pack and 64 frames with damaged lengths could cost,
 * the rest of it is given up, as if it had no frames.
 * Errors: ERR_INTERRUPTED  nothing was changed
 */
int salvage_pack(struct repo *r, const char *path, struct salvage_stats *stats) __attribute__((warn_unused_result));

#endif
