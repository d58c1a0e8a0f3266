/* links: where the first name of a hard-linked file was restored, by its identity in the snapshot (TN-4). */
#ifndef OPS_LINKS_H
#define OPS_LINKS_H

#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "format/name.h"

struct fsys_stat;
struct treenode_entry;

struct links_entry {
	uint64_t dev, inode;            /* in the snapshot */
	uint64_t size;                  /* and what the file was */
	int64_t mtime;
	uint32_t mtime_ns;
	uint8_t kind;
	struct name content;
	uint64_t target_dev, target_inode;      /* of the restored file; 0 in a dry run that would make it */
	size_t path;                    /* where its path begins in `paths`, plus 1; 0: an empty place */
};

struct links {
	struct links_entry *slots;      /* a hash table with linear probing, at most half full */
	size_t room, count;             /* room is 0 or a power of two */
	struct mem_buf paths;           /* zero-terminated, relative to the target */
};

/*
 * NULL when no name of it was restored.  A number may be given to another file while a snapshot is made: it is the same one only if its
 * content and time are.  Borrowed until the next links_add.
 */
const struct links_entry *links_find(const struct links *l, const struct treenode_entry *e);
const char *links_path(const struct links *l, const struct links_entry *e);

/* Remember, replacing what was known of (dev, inode).  st: of the restored file. */
int links_add(struct links *l, const struct treenode_entry *e, const struct fsys_stat *st, const char *path)
    __attribute__((warn_unused_result));
void links_clear(struct links *l);

#endif
