/*
 * need: which chunks something still needs at the place where readers find them: what is counted, what was stored lately, and the bases
 * that such chunks stand on there.  Other copies, and bases of copies that nobody reads, may be lost without harm (FR-6).
 */
#ifndef OPS_NEED_H
#define OPS_NEED_H

#include "ops/prove.h"

/* One thread's notes of bases that may be needed. */
struct need {
	struct need_base {
		uint32_t cell, base;
	} *v;                           /* owned */
	size_t count, cap;
};

/* Readers find `cell` as a difference on `base`.  Safe in several threads, each with a list of its own. */
int need_note(struct need *n, struct census *c, uint32_t cell, uint32_t base) __attribute__((warn_unused_result));

/*
 * After all heads: sets CENSUS_NEEDED of every cell and needed of every frame, and takes back the damages of packs and frames in
 * which nothing is: the next settle drops them.  They are counted in p->spare.
 */
void need_forgive(struct prove *p);
void need_clear(struct prove *p);

#endif
