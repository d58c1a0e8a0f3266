/* entry: what the file system says about a file, as a tree entry. */
#ifndef OPS_ENTRY_H
#define OPS_ENTRY_H

#include "format/treenode.h"

struct fsys_stat;

/* Kind, device number, hard-link flag, and what entry_stat fills in. */
void entry_fill(struct treenode_entry *e, const struct fsys_stat *st);

/* Mode, owner, times, inode; size of a regular file. */
void entry_stat(struct treenode_entry *e, const struct fsys_stat *st);

/*
 * Extended attributes of dirfd/name and file flags of fd (-1: none) as e's extensions.
 * Owns: *mem holds them: the caller frees it; NULL when there are none or on failure.
 */
int entry_ext(struct treenode_entry *e, int dirfd, const char *name, uint32_t mode, int fd, uint8_t **mem)
    __attribute__((warn_unused_result));

/* One more, with a tag above all that e has.  *mem holds e's extensions before and after. */
int entry_ext_add(struct treenode_entry *e, uint8_t **mem, uint16_t tag, const uint8_t *val, size_t len)
    __attribute__((warn_unused_result));

#endif
