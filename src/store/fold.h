/*
 * fold: write the next table: what a settle counted over the newest older tables, which are absorbed as the policy says (PB-7).
 *
 * Policy: absorb the newest kept table while it has at most twice the rows gathered so far.  So a row is rewritten O(log n) times in
 * its life and there are O(log n) tables.
 */
#ifndef STORE_FOLD_H
#define STORE_FOLD_H

#include "store/counts.h"

/*
 * Write table `number` under tmp/, synced.  removes: sorted as SPEC §9 says.
 * Cost: linear in the rows touched and in the tables absorbed.
 */
int fold_write(struct counts *c, uint64_t number, const struct indexfile_remove *removes, size_t remove_count,
    const char *tmp_path) __attribute__((warn_unused_result));

#endif
