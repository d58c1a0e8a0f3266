/*
 * uncounted: does the index count every snapshot that there is?  A disk that
 * loses a segment or a table takes references away, and what they held would
 * be collected.  The catalogues of the tables (SPEC IX-10) and the segments
 * say which records were counted; the roots of all others are checked.
 */
#ifndef STORE_UNCOUNTED_H
#define STORE_UNCOUNTED_H

#include "store/catalogue.h"
#include "store/counts.h"

/*
 * After counts_cascade; `now`: records whose segments are absorbed in this
 * settle, removes: sorted as SPEC §9 says.
 * Errors: ERR_CORRUPT  a root has fewer references than records that name it:
 *         nothing may be published
 * Cost:   lists snapshots/ and forgotten/ and reads the catalogues; opens only
 *         records that no catalogue has (one that cannot be read is passed over)
 */
int uncounted_check(struct counts *c, const struct catalogue *now, const struct indexfile_remove *removes, size_t count)
    __attribute__((warn_unused_result));

#endif
