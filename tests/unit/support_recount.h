/*
 * support_recount: count everything anew from the snapshots, as slowly and plainly as it can be done, and compare with what the
 * index says.  Reads every chunk that a snapshot reaches, so it is also the proof that all of them can be restored.
 */
#ifndef TESTS_UNIT_SUPPORT_RECOUNT_H
#define TESTS_UNIT_SUPPORT_RECOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "store/repo.h"

enum support_recount {
	/* After any crash: every record opens; all that a record of snapshots/, or of forgotten/ and not collected, reaches is there
	 * and reads back, bases included; no count is below the truth. */
	SUPPORT_RECOUNT_SAFE,
	/* After a settle with nothing else running, besides: counts are the truth; no dead row, segment, table, record, pack or
	 * unfinished file is left; the packs on the disk are those with live frames. */
	SUPPORT_RECOUNT_EXACT
};

struct support_recount_result {
	char why[400];                  /* the first thing that is wrong */
	uint64_t chunks, deltas, hollow, snapshots;     /* what was found */
	uint64_t several;               /* of the differences: to more than one base */
};

/* True when all is well.  r is unlocked and nobody else holds the exclusive lock. */
bool support_recount(struct repo *r, enum support_recount how, struct support_recount_result *res);

#endif
