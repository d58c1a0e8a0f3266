/*
 * cuts: where the parent's content of a file is cut.  A page changed in place can move the cuts around it; then two chunks resemble two old
 * ones by half each.  If something not far behind the old cut is where it was, the old cut is made again.
 */
#ifndef OPS_CUTS_H
#define OPS_CUTS_H

#include <stdbool.h>
#include <stdint.h>

#include "store/tree.h"

/* Chunks behind a cut that are looked at.  With two, of 100 pages changed in 96 MiB one in three keys had a cut that stayed moved. */
#define CUTS_AHEAD 16

struct cuts {
	struct tree_content *c;         /* NULL: nothing is known (any more) */
	struct tree_piece piece[CUTS_AHEAD + 1];        /* the first is the one asked for */
	unsigned have;
};

/* c: the parent's content, from its beginning; taken over.  NULL: none. */
void cuts_begin(struct cuts *k, struct tree_content *c);
void cuts_end(struct cuts *k);

/* piece[0 .. *count - 1] begin at off; 0: none begins there.  *last: after them the file ends, or there is a hole. */
int cuts_at(struct cuts *k, uint64_t off, unsigned *count, bool *last) __attribute__((warn_unused_result));

#endif
