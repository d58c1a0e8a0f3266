/* find: in which snapshots does a path occur, and in how many versions? */
#ifndef OPS_FIND_H
#define OPS_FIND_H

#include "ops/view.h"
#include "store/tree.h"

struct find_options {
	/*
	 * Globs: without a slash matched against the last component, with a leading one against the
	 *         whole path, else against any end of the path that begins at a component.  "*"
	 *         stays within a component, "**" does not.
	 */
	const char *const *patterns;
	size_t pattern_count;
	bool ignore_case;               /* ASCII letters only */
	/* err_text() says why */
	void (*problem)(void *arg, const struct snapshots_item *snap, const char *path);
	void *arg;
};

/* A path with one content and one set of times, mode and owner. */
struct find_version {
	char *path;                     /* owned */
	struct tree_entry entry;        /* owned */
	/* which of the snapshots given to find_run have it, ascending; owned */
	size_t *snaps;
	size_t snap_count, snap_cap;
};

struct find_result {
	struct find_version *versions;  /* by path, then by first snapshot */
	size_t count, cap;
	uint64_t matches;               /* sum of snap_count */
};

/*
 * Search these snapshots (oldest first).  A subtree that several snapshots share at the same path
 * is read once.
 *
 * Owns:   *res: caller clears with find_clear, also after a failure.
 * Errors: ERR_CORRUPT (or ERR_AUTH)  some directories could not be read, everything else was
 *         searched
 */
int find_run(struct reader *rd, const struct snapshots_item *const *snaps, size_t snap_count,
    const struct find_options *o,
    struct find_result *res) __attribute__((warn_unused_result));
void find_clear(struct find_result *res);

#endif
