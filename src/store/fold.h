/*
 * fold: write the next table: what a settle counted over the newest older tables, which are absorbed as the policy says (PB-7).
 *
 * Policy: absorb the newest kept table while it has at most twice the rows gathered so far.  So a row is rewritten O(log n) times in
 * its life and there are O(log n) tables.
 */
#ifndef STORE_FOLD_H
#define STORE_FOLD_H

#include "format/recordsum.h"
#include "format/tablesums.h"
#include "store/catalogue.h"
#include "store/counts.h"

struct fold_job {
	uint64_t number;                /* of the table */
	const char *tmp_path;           /* where it is written, synced */
	const struct indexfile_remove *removes;         /* sorted as SPEC §9 says */
	size_t remove_count;
	const struct name *published;   /* packs published with it, ascending */
	size_t published_count;
	const struct tablesums *sums;   /* NULL: unknown */
	const struct recordsum *records;        /* likewise */
	struct catalogue *catalogue;    /* of what was absorbed; those of folded tables are added */
};

/* Write the table.  Cost: linear in the rows touched and in the tables absorbed. */
int fold_write(struct counts *c, const struct fold_job *job) __attribute__((warn_unused_result));

#endif
