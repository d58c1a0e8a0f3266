/*
 * rebase: what a moved chunk is to stand on, when the base it had only serves it.
 *
 * The nearest ancestor that lives on its own is always good enough.  But where versions were taken away in between, others that
 * stand on the same ancestor are often closer, as later ones have most of each other's changes: those that were moved before, with less depth
 * than this chunk had, are tried.
 */
#ifndef STORE_REBASE_H
#define STORE_REBASE_H

#include "base/mem.h"
#include "store/counts.h"
#include "store/kindred.h"
#include "store/packer.h"

struct squeeze;

struct rebase {
	struct counts *c;               /* borrowed */
	struct squeeze *sq;
	struct kindred kindred;
	struct mem_buf item, base, other, packed;
};

int rebase_begin(struct rebase *rb, struct counts *c) __attribute__((warn_unused_result));
void rebase_clear(struct rebase *rb);

/* A chunk that is moved, and its choice.  Cells of counts. */
struct rebase_chunk {
	uint32_t cell, base;            /* base: COUNTS_NONE: it has none */
	uint8_t depth;                  /* as it was; it never gets deeper */
	uint32_t ancestor;              /* nearest that lives without it; COUNTS_NONE: none, all beneath it die */
	uint32_t family;                /* what all of its kind stand on, be it dying; COUNTS_NONE: it has no base */
};

/* Fill in ancestor and family. */
int rebase_ancestor(struct rebase *rb, struct rebase_chunk *ch) __attribute__((warn_unused_result));

/* True when its block is to be copied as it is. */
bool rebase_keeps(const struct rebase *rb, const struct rebase_chunk *ch);

/*
 * Read the chunk, and choose its base: *chosen, with everything about it in b; COUNTS_NONE: none.
 * Owns: rb->item has the plaintext, b->p points into rb; both until the next call.
 */
int rebase_choose(struct rebase *rb, const struct rebase_chunk *ch, uint32_t *chosen, struct packer_base *b)
    __attribute__((warn_unused_result));

/* The chunk was moved: it may serve others of its kind. */
int rebase_moved(struct rebase *rb, const struct rebase_chunk *ch) __attribute__((warn_unused_result));

#endif
