/* sweep: unlink what is dead (SPEC PB-5).  The caller holds the exclusive lock. */
#ifndef STORE_SWEEP_H
#define STORE_SWEEP_H

#include "store/index.h"
#include "store/repo.h"

/*
 * ix: of the head that counts.  first: before anything is counted: names seen are made durable, and what is unlinked too.
 * *freed grows by the bytes of packs unlinked.
 */
int sweep_run(struct repo *r, struct index *ix, bool first, uint64_t *freed) __attribute__((warn_unused_result));

#endif
