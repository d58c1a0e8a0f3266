/*
 * cuts: where the parent's content of a file is cut.  A page changed in place can move the cuts around it; then two chunks resemble two old
 * ones by half each.  If what follows the old cut is what followed it then, the old cut is made again.
 */
#ifndef OPS_CUTS_H
#define OPS_CUTS_H

#include <stdbool.h>
#include <stdint.h>

#include "store/tree.h"

#define CUTS_AHEAD 2                    /* what changed may lie on both sides of a cut */

struct cuts {
	struct tree_content *c;         /* NULL: nothing is known (any more) */
	struct tree_piece piece[CUTS_AHEAD + 1];        /* the first is the one asked for */
	unsigned have;
};

/* c: the parent's content, from its beginning; taken over.  NULL: none. */
void cuts_begin(struct cuts *k, struct tree_content *c);
void cuts_end(struct cuts *k);

/* piece[0] begins at off and is followed by others (have - 1); *there is false when that is not so, or one is a hole. */
int cuts_at(struct cuts *k, uint64_t off, bool *there) __attribute__((warn_unused_result));

#endif
