/* trace: which files of which snapshots need what was found damaged. */
#ifndef OPS_TRACE_H
#define OPS_TRACE_H

#include "ops/prove.h"
#include "store/reader.h"
#include "store/snapshots.h"

/*
 * Adds to the files of p->d.  snaps: sorted by time; NULL ones are passed over; their places are the numbers of damage_file.
 * rd: of the same lock.
 * Cost: reads every distinct node beneath the snapshots once, and again what leads to damage.
 */
int trace_run(const struct prove *p, struct reader *rd, const struct snapshots_item *const *snaps, size_t count)
    __attribute__((warn_unused_result));

#endif
