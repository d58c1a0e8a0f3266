/*
 * uncounted: does the index count every snapshot that there is?  A disk that
 * loses a segment or a table takes references away, and what they held would
 * be collected.  The catalogues of the tables (SPEC IX-10) and the segments
 * say which records were counted; the roots of all others are checked.
 */
#ifndef STORE_UNCOUNTED_H
#define STORE_UNCOUNTED_H

#include "format/recordsum.h"
#include "store/catalogue.h"
#include "store/counts.h"

/* What the head says of the records it counts (IX-12): FOUND, OK (it does not say), or an error; without a table there are none. */
int uncounted_sum(struct counts *c, struct recordsum *out) __attribute__((warn_unused_result));

/*
 * After counts_cascade; `now`: records whose segments are absorbed in this
 * settle, removes: in any order; counted: what the head and those segments
 * count, NULL if that is not known.  *good: the records that are counted.
 * Errors: ERR_CORRUPT  a root has fewer references than records that name it:
 *         nothing may be published
 * Cost:   lists snapshots/ and forgotten/; if they have something else than
 *         `counted` reads the catalogues, and opens records that none has (one
 *         that is damaged is passed over, and is not in *good)
 */
int uncounted_check(struct counts *c, const struct catalogue *now, const struct indexfile_remove *removes, size_t count,
    const struct recordsum *counted, struct recordsum *good) __attribute__((warn_unused_result));

#endif
