/*
 * excise: snapshots without what is lost.  A snapshot with losses gets a successor of its own: the same but for the files and
 * directories that cannot be read, which are marked so (TREENODE_UNREAD) and have no content; its old record moves to damaged/.
 * For the entries of a lost node of a directory stands one file, marked so, of the first of their names, with no other field set.
 */
#ifndef OPS_EXCISE_H
#define OPS_EXCISE_H

#include "store/repo.h"

struct excise_options {
	/* Told of each path that loses its content. */
	void (*lost)(void *arg, const struct name_sid *old, const char *path, size_t path_len, bool directory);
	/* Told of each snapshot: fresh is NULL if nothing of it is left, or if it was forgotten already; its record is set aside in any case. */
	void (*snapshot)(void *arg, const struct name_sid *old, const struct name_sid *fresh);
	/* Told of a record that cannot be read: it is set aside. */
	void (*record)(void *arg, const char *sid_hex);
	void *arg;
};

struct excise_stats {
	uint64_t snapshots;             /* mended */
	uint64_t dropped;               /* set aside without a successor: nothing left, unreadable, or forgotten */
	uint64_t files, directories;    /* that lost their content, once per snapshot */
};

/* Set the records aside that cannot be read; *stats is set anew.  Takes the exclusive lock. */
int excise_records(struct repo *r, const struct excise_options *o, struct excise_stats *stats)
    __attribute__((warn_unused_result));

/* The index must be right about what is there: make it anew before (rebuild.h), and after, for the counts.  Takes the exclusive
 * lock; adds to *stats. */
int excise_run(struct repo *r, const struct excise_options *o, struct excise_stats *stats) __attribute__((warn_unused_result));

#endif
