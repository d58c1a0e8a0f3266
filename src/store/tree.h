/*
 * tree: directories and file contents as they lie in the repository: iterators over T and L nodes of any depth, every node
 * checked against the row that names it (LN-2, TN-3).
 */
#ifndef STORE_TREE_H
#define STORE_TREE_H

#include "format/listnode.h"
#include "format/treenode.h"
#include "store/reader.h"

/* Iterate the entries of one directory, in name order. */
struct tree_dir;

int tree_open(struct reader *rd, const struct name *tree_id, struct tree_dir **out) __attribute__((warn_unused_result));
struct tree_dir *tree_close(struct tree_dir *d);

/* FOUND, AT_END or an error.  *e points into memory of d, valid until the next tree_next on d or tree_close. */
int tree_next(struct tree_dir *d, struct treenode_entry *e) __attribute__((warn_unused_result));

/* Id of the level-0 node that the last entry came from (to serve as a delta base). */
const struct name *tree_node_id(const struct tree_dir *d);

/* An entry with memory of its own. */
struct tree_entry {
	struct treenode_entry e;        /* slices point to mem */
	uint8_t *mem;                   /* owned; freed by tree_entry_clear */
};

int tree_entry_copy(struct tree_entry *dst, const struct treenode_entry *src) __attribute__((warn_unused_result));
void tree_entry_clear(struct tree_entry *e);

/*
 * Find a path ("a/b/c", no leading slash needed; "" or "/" is the root itself, returned as an implied directory with content root).
 * FOUND, OK (no such path), or an error.  Cost: one path down; of a split directory only the nodes on the way.
 */
int tree_lookup(struct reader *rd, const struct name *root, const char *path, size_t path_len, struct tree_entry *out)
    __attribute__((warn_unused_result));

/* Iterate the pieces of a file's content in order. */
struct tree_content;

struct tree_piece {
	uint64_t off, len;              /* in the file */
	bool hole;
	struct name id;                 /* D chunk; zero for a hole */
	uint8_t fingerprint[16];
};

/*
 * entry: kind file, without TREENODE_UNREAD (ERR_FAILED).  A file of size 0 has no pieces.  The pieces add up to the entry's size:
 * that, and that a piece which is not a hole is at most FRAME_CHUNK_MAX long, is checked; that the chunk has the piece's length
 * (LN-2) is left to whoever reads the chunk.
 */
int tree_content_open(struct reader *rd, const struct treenode_entry *entry, struct tree_content **out)
    __attribute__((warn_unused_result));
struct tree_content *tree_content_close(struct tree_content *c);
int tree_content_next(struct tree_content *c, struct tree_piece *piece) __attribute__((warn_unused_result));     /* FOUND, AT_END */

/* Position the iterator so that the next piece is the one that holds offset off.  Cost: one path down the list. */
int tree_content_seek(struct tree_content *c, uint64_t off) __attribute__((warn_unused_result));

/* Id of the level-0 list node the last piece came from; NULL when the content is a single chunk. */
const struct name *tree_content_node_id(const struct tree_content *c);

#endif
