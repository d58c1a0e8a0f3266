/* treebuild: the nodes of one directory, from its entries in name order (SPEC TN-5). */
#ifndef OPS_TREEBUILD_H
#define OPS_TREEBUILD_H

#include "base/mem.h"
#include "format/treenode.h"
#include "store/session.h"

struct treebuild_level {
	struct mem_buf buf;             /* the node being filled, head included; empty when it has no entry */
	uint32_t rows;                  /* in it */
	uint32_t entries;               /* beneath it */
	uint32_t closed;                /* nodes of this level already put */
	uint8_t first[TREENODE_NAME_MAX];
	uint16_t first_len;
};

struct treebuild {
	struct session *s;
	struct treebuild_level *level[TREENODE_LEVEL_MAX + 1];
	struct name hint;               /* node of the parent snapshot that this one is likely to resemble; zero for none */
};

void treebuild_init(struct treebuild *b, struct session *s);
void treebuild_clear(struct treebuild *b);

/* The next node to be closed replaces this one (a delta base); NULL: none. */
void treebuild_hint(struct treebuild *b, const struct name *id);

int treebuild_add(struct treebuild *b, const struct treenode_entry *e) __attribute__((warn_unused_result));

/* Close everything; *id is the directory's tree. */
int treebuild_end(struct treebuild *b, struct name *id) __attribute__((warn_unused_result));

/* The tree of a directory without entries. */
int treebuild_empty(struct session *s, struct name *id) __attribute__((warn_unused_result));

#endif
