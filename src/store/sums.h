/*
 * sums: totals over all packs, kept in the head from settle to settle (SPEC IX-9), so that nobody has to look at every pack to
 * learn that none is worth rewriting.
 */
#ifndef STORE_SUMS_H
#define STORE_SUMS_H

#include "format/tablesums.h"
#include "store/counts.h"

/* What the head says, and what c changes about it: FOUND, OK (the head does not say), or an error. */
int sums_now(struct counts *c, struct tablesums *out) __attribute__((warn_unused_result));

/* One pack more (n = 1) or less (-1); nothing when no frame of it lives. */
void sums_add(struct tablesums *s, const struct indexfile_pack *p, int n);

/*
 * At least the bytes of packs that neither live nor are needed to describe what lives: the dead ones, and the slack that
 * `rewrite` allows each pack.
 */
uint64_t sums_unused_bound(const struct tablesums *s);

#endif
