/* diff: what differs between two snapshots, or parts of them. */
#ifndef OPS_DIFF_H
#define OPS_DIFF_H

#include "format/treenode.h"
#include "store/reader.h"

/*
 * '+' only in the new one, '-' only in the old one, 'M' other content, 'm' same content but other
 * mode, owner, times or attributes, 'T' another kind of thing.  Directories never show 'M', and not
 * 'm' for their times alone: these move whenever a child comes or goes.  Devices show 'M' for
 * another number, links for another target.
 */
struct diff_item {
	char what;
	const char *path;               /* absolute */
	const struct treenode_entry *old_entry, *new_entry;     /* NULL where there is none */
};

struct diff_options {
	/* a failure ends the comparison and is returned */
	int (*item)(void *arg, const struct diff_item *item);
	/* a directory that cannot be read; err_text() says why */
	void (*problem)(void *arg, const char *path);
	void *arg;
};

struct diff_result {
	uint64_t added, removed, modified, metadata, retyped;   /* entries */
	/* lengths of files only in the new, only in the old one */
	uint64_t bytes_added, bytes_removed;
	/* new lengths of files with other content */
	uint64_t bytes_modified;
};

/*
 * Compare what is at old_path in one snapshot with what is at new_path in another ("" :
 * all).  Directories of equal id are skipped, so the cost follows the difference.
 *
 * Errors: ERR_ABSENT   no such path in one of them
 *         ERR_CORRUPT  (or ERR_AUTH) some directories could not be read, everything else was
 *             compared
 */
int diff_run(struct reader *rd, const struct name *old_root, const char *old_path,
    const struct name *new_root,
    const char *new_path, const struct diff_options *o,
    struct diff_result *res) __attribute__((warn_unused_result));

#endif
