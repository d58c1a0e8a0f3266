/* listing: walk a directory of a snapshot in the order of its names. */
#ifndef OPS_LISTING_H
#define OPS_LISTING_H

#include "format/treenode.h"
#include "store/reader.h"

struct listing_item {
	const char *path;               /* absolute, zero-terminated; borrowed */
	size_t path_len, name_off;      /* the last component begins at name_off */
	const struct treenode_entry *e;
};

struct listing_options {
	bool recursive;                 /* else only what lies directly in the directory */
	/* A failure ends the walk and is returned. */
	int (*item)(void *arg, const struct listing_item *item);
	/* A directory that cannot be read; err_text() says why. */
	void (*problem)(void *arg, const char *path);
	void *arg;
};

/*
 * List what is at `path` ("" or "/": all) beneath `root`: a directory's entries, or the one entry
 * itself.  Directories come before
 * what they contain.  A recursive walk leaves out directories that were only passed through.
 *
 * Errors: ERR_ABSENT   no such path
 *         ERR_CORRUPT  (or ERR_AUTH) at least one directory could not be read; everything else was
 * listed
 */
int listing_walk(struct reader *rd, const struct name *root, const char *path,
    const struct listing_options *o)
    __attribute__((warn_unused_result));

/*
 * "/" and the path without doubled and trailing slashes; "" and "/" give "/".  Owns: *out: caller
 * frees.
 */
int listing_clean_path(const char *base, const char *path,
    char **out) __attribute__((warn_unused_result));

#endif
