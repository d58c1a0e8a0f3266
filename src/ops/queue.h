/* queue: entries of one directory that wait until the contents staged by readfile are stored; then they go into the tree in order. */
#ifndef OPS_QUEUE_H
#define OPS_QUEUE_H

#include "format/treenode.h"

struct scan;
struct treebuild;

/* An entry that waits for its content. */
struct queue_item {
	struct treenode_entry e;
	uint8_t *mem, *target;          /* owned: extensions; text of a link */
	struct name hint;               /* the parent's tree node around here */
	struct name old_content;        /* of the parent's file of this name */
	uint64_t old_size;
	bool old_file;                  /* there was one */
	bool reused;
};

struct queue {
	struct queue_item *item;
	size_t count, cap;
};

int queue_init(struct queue *q, size_t cap) __attribute__((warn_unused_result));
void queue_clear(struct queue *q);
void queue_item_clear(struct queue_item *q);

/* Extensions: those of the parent's entry, or the attributes and flags found now: what cannot be read is a problem, not a failure, and tried
 * again by the next snapshot. */
int queue_copy_ext(struct queue_item *q, const struct treenode_entry *old) __attribute__((warn_unused_result));
int queue_ext(struct scan *sc, struct queue_item *q, int dirfd, const char *name, uint32_t mode, int fd)
    __attribute__((warn_unused_result));

/* Text of a symbolic link. */
int queue_link(struct queue_item *q, int dirfd, const char *name) __attribute__((warn_unused_result));

/* Everything queued goes into the tree; sc->path is the directory's. */
int queue_drain(struct scan *sc, struct queue *q, struct treebuild *b) __attribute__((warn_unused_result));

#endif
