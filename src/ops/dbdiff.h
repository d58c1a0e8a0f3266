/*
 * dbdiff: what differs between two states of a database, by tables and rows, read where they lie in
 *         the repository.
 */
#ifndef OPS_DBDIFF_H
#define OPS_DBDIFF_H

#include "format/treenode.h"
#include "store/reader.h"

/* A table, index, view or trigger that is not the same in both. */
struct dbdiff_item {
	char what;                      /* '+' only in the new one, '-' only in the old one, 'M' */
	const char *type;               /* "table", "index", "view", "trigger" */
	const char *name;
	bool definition;                /* 'M': it was created by another statement */
	bool counted;                   /* a table whose rows could be compared: */
	uint64_t added, removed, changed;
	const char *why;                /* a table whose rows could not be; else NULL */
};

/* A failure ends the comparison and is returned. */
typedef int (*dbdiff_item_fn)(void *arg, const struct dbdiff_item *item);

/*
 * Compare two files, each an SQLite database or empty.
 *
 * Rows are the same rows if they have the same primary key, or rowid in tables without one; changed
 * is a row with another value of another column.  A column that only one side has does not count,
 * nor does a computed one.  Of a full-text table with content of its own the content is compared; of
 * other virtual tables it is only said that they differ.  Shadow tables and SQLite's own are left out.
 *
 * Errors: ERR_FAILED   not a database, or malformed, or of two text encodings
 *         ERR_CORRUPT, ERR_AUTH  damage in the repository; ERR_NOMEM; ERR_INTERRUPTED
 * Cost:   every row of both is read.
 */
int dbdiff_run(struct reader *rd, const struct treenode_entry *old_entry,
    const struct treenode_entry *new_entry, dbdiff_item_fn item,
    void *arg) __attribute__((warn_unused_result));

/* Are both files, of which one at least is not empty, such databases?  FOUND, OK (no), or an error. */
int dbdiff_probe(struct reader *rd, const struct treenode_entry *old_entry,
    const struct treenode_entry *new_entry) __attribute__((warn_unused_result));

#endif
