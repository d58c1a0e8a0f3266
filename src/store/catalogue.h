/*
 * catalogue: what the records of settled snapshots say, kept in the tables (SPEC IX-10), so that listing 10,000 snapshots, or
 * choosing among them, opens a handful of boxes instead of 10,000 files.
 *
 * Each table has the records of the sessions that were absorbed into it, or into a table that was.  What is in there for a record
 * that no longer exists means nothing: names in snapshots/ and forgotten/ decide what exists.
 */
#ifndef STORE_CATALOGUE_H
#define STORE_CATALOGUE_H

#include "base/mem.h"
#include "format/indexfile.h"
#include "store/repo.h"

struct index;
struct index_file;

struct catalogue_row {
	struct name_sid sid;
	size_t off;                     /* of the payload in text */
	uint32_t len;
	bool folded;                    /* from a table */
};

#define CATALOGUE_FAN_BITS 10
#define CATALOGUE_FAN (1u << CATALOGUE_FAN_BITS)

struct catalogue {
	struct mem_buf text;
	struct catalogue_row *rows;
	size_t count, cap;
	uint32_t fan[CATALOGUE_FAN + 1];        /* rows before those whose sids begin with these bits; once they are sorted */
};

void catalogue_clear(struct catalogue *c);

/* Add the payload of a record. */
int catalogue_add(struct catalogue *c, const struct name_sid *sid, const void *payload, size_t len)
    __attribute__((warn_unused_result));

/* Add what a table has.  ERR_CORRUPT, ERR_AUTH: the caller does without. */
int catalogue_read(struct catalogue *c, struct repo *r, struct index_file *table) __attribute__((warn_unused_result));

/* Add what all tables have, and sort for catalogue_find.  Damage is no failure: it only costs time. */
int catalogue_load(struct catalogue *c, struct repo *r, struct index *ix) __attribute__((warn_unused_result));

/* The row of this snapshot, or NULL.  Rows are sorted. */
const struct catalogue_row *catalogue_find(const struct catalogue *c, const struct name_sid *sid);

/* Is this record among those that are collected? */
bool catalogue_collected(const struct indexfile_remove *removes, size_t count, const struct name_sid *sid);

/*
 * Drop what exists no more: collected now (removes: sorted as SPEC §9 says), or, of what came from tables, before.
 * Cost: one or two looks into directories per row that came from a table.
 */
int catalogue_drop(struct catalogue *c, struct repo *r, const struct indexfile_remove *removes, size_t count)
    __attribute__((warn_unused_result));

/* The extension record for table `number`, sorted and sealed; empty when there is nothing (or too much) to say. */
int catalogue_seal(struct catalogue *c, struct repo *r, uint64_t number, struct mem_buf *out) __attribute__((warn_unused_result));

#endif
