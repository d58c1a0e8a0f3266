/* slice: which packs a verify reads this time, and what that proves. */
#ifndef OPS_SLICE_H
#define OPS_SLICE_H

#include "store/census.h"
#include "store/proofs.h"

struct slice_ask {
	uint64_t part, of;              /* this share of all pack bytes, read longest ago first; of 0: all */
	int64_t older_ns;               /* only what was last read before this time; 0: all */
};

/* chosen: by pack, set to 1 for those to be read.  At least one pack is, if any is left to be read. */
int slice_choose(const struct census *c, const struct proofs *p, const struct slice_ask *ask, uint8_t *chosen)
    __attribute__((warn_unused_result));

/*
 * good, bad: by pack: proved now, found damaged.  Rows of packs that the index does not have are left out.  *all_ns: the time since when
 * every pack has been read and found right; 0: some were never.
 */
int slice_note(const struct census *c, const uint8_t *good, const uint8_t *bad, int64_t now_ns, struct proofs *p, int64_t *all_ns)
    __attribute__((warn_unused_result));

#endif
