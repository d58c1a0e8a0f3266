/*
 * sample: a small restore, done now and then, proves more than any comparison of hashes: some files and a database of the newest
 * snapshots, chosen at random, are restored into a private directory under TMPDIR, read back and compared, and removed.
 */
#ifndef OPS_SAMPLE_H
#define OPS_SAMPLE_H

#include "ops/damage.h"
#include "store/repo.h"
#include "store/snapshots.h"

#define SAMPLE_MOST 100000              /* files of one sample */

/* One file that was restored; everything is borrowed. */
struct sample_item {
	const struct snapshots_item *snap;
	const char *path;
	uint64_t size;
	bool database;
	const char *problem;            /* NULL: it is what the snapshot says */
	const char *remark;             /* what of its owner or attributes could not be restored, or NULL */
};

struct sample_options {
	uint64_t count;                 /* of files, 1 ... SAMPLE_MOST; besides, one database if there is any */
	const struct name_sid *snaps;   /* choose from these; none: from the newest of each host and set of paths */
	size_t snap_count;
	uint64_t seconds;               /* for SQLite's check; 0: PROVEDB_SECONDS and more for large ones */
	/* what verify looked at: others are not chosen from; its places are the numbers of damage_file */
	const struct snapshots_item *items;
	size_t item_count;
	struct damages *damages;        /* out: what is not what it should be */
	void (*item)(void *arg, const struct sample_item *item);
	int (*progress)(void *arg, uint64_t done, uint64_t total);      /* in files; a failure ends it; or NULL */
	void *arg;
};

struct sample_result {
	uint64_t snapshots, files, databases;   /* restored; a database is not counted among the files */
	uint64_t bytes, damaged;
	uint64_t foreign;               /* databases that need what this SQLite does not have: only their bytes were compared */
	int save_rc;                    /* OK, or why the success could not be noted in the repository */
	char save_note[256];
};

/*
 * One file after the other, so that room for the largest suffices.  A sample without damage is noted in the repository (SPEC VF-1).
 * Errors: ERR_FAILED       not enough space in the private directory, or nothing can be restored there; damage is no failure
 *         ERR_INTERRUPTED  the private directory is removed, as always
 * Cost:   every directory of the snapshots that it chooses from, and the files restored, once written and twice read.
 */
int sample_run(struct repo *r, const struct sample_options *o, struct sample_result *res) __attribute__((warn_unused_result));

#endif
