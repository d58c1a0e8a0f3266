/* filebuild: the content of one file, cut into chunks and, if there are several, a list (SPEC CH-5, LN-3). */
#ifndef OPS_FILEBUILD_H
#define OPS_FILEBUILD_H

#include "base/mem.h"
#include "codec/chunker.h"
#include "format/listnode.h"
#include "store/session.h"
#include "store/tree.h"

#define FILEBUILD_BATCH 64

struct filebuild_level {
	struct mem_buf buf;
	uint32_t rows, closed;
	uint64_t total;
	struct listnode_row only;       /* the newest row */
};

/* How much of a list comes from one of the parent's. */
struct filebuild_likeness {
	struct name node;               /* zero: of none */
	uint32_t rows;
};

/* A piece of the parent's content. */
struct filebuild_old {
	struct tree_piece piece;
	struct name node;               /* the list node that has it; zero: none */
	bool have;
};

enum filebuild_ends { FILEBUILD_BY_CONTENT, FILEBUILD_HERE, FILEBUILD_NOT };    /* of a list; NOT yields to the greatest length */

/* A chunk on its way into the list. */
struct filebuild_pending {
	struct listnode_row row;
	struct name base;               /* zero: none */
	struct name old_node;           /* the parent's list node that has the piece */
	enum filebuild_ends ends;
	const uint8_t *p;               /* borrowed; NULL: the id is known */
};

struct filebuild {
	struct session *s;
	const struct repo *repo;
	const struct chunker *chunker;
	bool fingerprints;              /* may equal fingerprints stand for equal content? */
	struct filebuild_level level[LISTNODE_LEVEL_MAX + 1];
	uint64_t off;                   /* bytes taken so far */
	struct tree_content *old;       /* the parent's content, or NULL */
	struct filebuild_old cur, ahead;        /* its piece at or before off; the one behind that */
	struct filebuild_likeness run, most;    /* old nodes of the list being built: of its newest rows; of most rows */
	struct filebuild_pending wait[FILEBUILD_BATCH];
	size_t waiting;
	uint64_t bytes_new;             /* of chunks that were not there */
};

/* Once; buffers are kept between files. */
void filebuild_init(struct filebuild *b, struct session *s, const struct repo *r, const struct chunker *c, bool fingerprints);
void filebuild_clear(struct filebuild *b);

/* Begin a file; old: the parent's content of the same path (borrowed until filebuild_end), or NULL. */
void filebuild_begin(struct filebuild *b, struct tree_content *old);

/* The next chunks, one after the other at p, at most FILEBUILD_BATCH; or a hole. */
int filebuild_chunks(struct filebuild *b, const uint8_t *p, const size_t *lens, size_t count) __attribute__((warn_unused_result));

/*
 * The same one by one, at most FILEBUILD_BATCH until filebuild_flush, during which p stays where it is.  Ids are computed then, many at once.
 */
int filebuild_take(struct filebuild *b, const uint8_t *p, size_t len) __attribute__((warn_unused_result));
int filebuild_flush(struct filebuild *b) __attribute__((warn_unused_result));

/* FOUND: these bytes, which may change meanwhile, were the parent's at the same place, and that is what was taken.  OK: nothing was. */
int filebuild_same(struct filebuild *b, const uint8_t *p, size_t len) __attribute__((warn_unused_result));

/* One chunk whose id and fingerprint are known already; base may be NULL. */
int filebuild_named(struct filebuild *b, const uint8_t *p, size_t len, const struct name *id, const uint8_t fingerprint[static 16],
    const struct name *base) __attribute__((warn_unused_result));

int filebuild_hole(struct filebuild *b, uint64_t len) __attribute__((warn_unused_result));

/* The file's content: id, whether it is a list, and a single chunk's fingerprint.  Of an empty file: a zero id. */
struct filebuild_content {
	struct name id;
	bool list;
	uint8_t fingerprint[16];
	uint64_t size;
};
int filebuild_end(struct filebuild *b, struct filebuild_content *out) __attribute__((warn_unused_result));

#endif
