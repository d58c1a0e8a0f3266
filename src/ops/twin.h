/* twin: a directory of the parent snapshot, read in step with the same directory of the source. */
#ifndef OPS_TWIN_H
#define OPS_TWIN_H

#include "format/treenode.h"
#include "store/tree.h"

struct twin {
	struct tree_dir *dir;           /* NULL: there is none */
	struct treenode_entry e;        /* the entry not yet passed */
	bool have;
};

/* id NULL or zero: none.  A parent that is damaged only costs the shortcut, here and in twin_find. */
int twin_open(struct twin *t, struct reader *rd, const struct name *id) __attribute__((warn_unused_result));
void twin_close(struct twin *t);

/* The entry of this name, or NULL; borrowed until the next call.  Names must be asked for in ascending order. */
int twin_find(struct twin *t, const char *name, size_t len, const struct treenode_entry **out) __attribute__((warn_unused_result));

#endif
