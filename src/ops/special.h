/* special: entries that are neither files nor directories: symbolic links, fifos, sockets, devices. */
#ifndef OPS_SPECIAL_H
#define OPS_SPECIAL_H

#include <stdbool.h>

struct fsys_stat;
struct treenode_entry;

bool special_is_device(const struct treenode_entry *e);

/* Is what dirfd/name is (st) the entry already, but for its metadata? */
bool special_same(int dirfd, const char *name, const struct fsys_stat *st, const struct treenode_entry *e);

/* Make it; it is whole at once.  Its mode is 0600, if it has one. */
int special_make(int dirfd, const char *name, const struct treenode_entry *e) __attribute__((warn_unused_result));

#endif
