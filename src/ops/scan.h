/* scan: walk the user's directories and turn them into entries and trees (the work of a snapshot). */
#ifndef OPS_SCAN_H
#define OPS_SCAN_H

#include "base/mem.h"
#include "ops/dbset.h"
#include "ops/home.h"
#include "ops/inodes.h"
#include "ops/readfile.h"
#include "ops/snapshot.h"
#include "store/session.h"

struct scan {
	struct repo *repo;
	struct session *s;
	const struct snapshot_options *o;
	struct readfile file;
	struct mem_buf path;            /* absolute path being worked on, zero-terminated; empty for "/" */
	size_t root_len;                /* of the snapshot path in it, for anchored patterns */
	uint64_t root_dev;
	struct home home;
	int64_t racy_ns;                /* times later than this prove nothing */
	bool have_parent, same_user;
	struct name parent_root;
	struct reader *parent_reader;
	struct scout *scout;            /* NULL: nothing is looked at ahead */
	uint64_t stats[SNAPREC_STAT_COUNT];
	struct inodes links;
	struct inodes_set uids, gids;
	struct dbset db;
	int64_t next_progress_ns;
	unsigned depth;
};

/* o, s and r are borrowed.  Ended with scan_clear. */
int scan_init(struct scan *sc, struct repo *r, struct session *s, const struct snapshot_options *o) __attribute__((warn_unused_result));
void scan_clear(struct scan *sc);

/* Does the parent's entry tell all about the new one's inode? */
bool scan_same_inode(const struct scan *sc, const struct treenode_entry *e, const struct treenode_entry *old);

/* Compare with this snapshot: unchanged entries older than its clock are reused, if it was made by the same user: another one may not
 * have seen all attributes. */
void scan_parent(struct scan *sc, const struct snaprec *parent, struct snaprec_string user);

/*
 * The tree "/" over these absolute paths (clean, sorted by components, none beneath another).
 * Errors: ERR_ABSENT when none of them could be read; ERR_INTERRUPTED; those of the store.  What cannot be read of the source is
 *         reported through o->problem and counted in SNAPREC_ERRORS.
 */
int scan_paths(struct scan *sc, char *const *paths, size_t count, struct name *root) __attribute__((warn_unused_result));

/* The tree "/" with one file whose content is read from fd to its end. */
int scan_pipe(struct scan *sc, int fd, const char *name, struct name *root) __attribute__((warn_unused_result));

#endif
