/* inodes: hard links met during a snapshot, and what their content was. */
#ifndef OPS_INODES_H
#define OPS_INODES_H

#include "format/treenode.h"

struct inodes_link;

struct inodes {
	struct inodes_link *links;      /* open addressing by (dev, inode) */
	size_t count, cap;
};

void inodes_clear(struct inodes *t);

/* Copy content, fingerprint and flags of an earlier entry with this inode, size and mtime into e; false if there is none. */
bool inodes_find(const struct inodes *t, struct treenode_entry *e);

/* Remember e, which has TREENODE_HARDLINK and its content. */
int inodes_add(struct inodes *t, const struct treenode_entry *e) __attribute__((warn_unused_result));

/* A set of numbers, sorted: the owners met. */
struct inodes_set {
	uint32_t *v;
	size_t count, cap;
};

int inodes_set_add(struct inodes_set *s, uint32_t v) __attribute__((warn_unused_result));

#endif
