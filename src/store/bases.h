/*
 * bases: what a new chunk can be stored as a difference to.  Chains stay
 * short: readers decode all of them (SPEC FR-4; the figures are in DESIGN §8).
 */
#ifndef STORE_BASES_H
#define STORE_BASES_H

#include "base/mem.h"
#include "store/index.h"
#include "store/packer.h"
#include "store/reader.h"

struct bases {
	struct index *ix;               /* borrowed */
	struct reader *rd;
	struct mem_buf joined;
	bool unproved;                  /* who asks compares plaintexts with their ids (FR-5) */
};

void bases_clear(struct bases *b);

/*
 * Chunk `id`, or, if it is too deep, an ancestor of it (out->id says which), as
 * the base of chunk `self`.  FOUND; OK: it cannot serve, being that chunk, of
 * another type, damaged or not there; or an error.
 * The plaintext is borrowed from the reader.
 */
int bases_one(struct bases *b, uint8_t type, const struct name *self,
    const struct name *id, struct packer_base *out)
    __attribute__((warn_unused_result));

/* The same with as many of these as can serve together; borrowed until the next call. */
int bases_several(struct bases *b, const struct name *self,
    const struct name *ids, unsigned count, struct packer_base *out)
    __attribute__((warn_unused_result));

#endif
