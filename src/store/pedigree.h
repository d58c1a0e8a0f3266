/*
 * pedigree: what each member of a family is to stand on, when all of it is moved.
 *
 * Versions of one thing were stored as differences to the ones before.  When some of these are dead, or live only as bases, others are
 * better ones: the tree of least cost is sought among all members that live on their own, whatever they stood on.
 */
#ifndef STORE_PEDIGREE_H
#define STORE_PEDIGREE_H

#include "store/counts.h"
#include "store/family.h"

struct pedigree;

/* c is borrowed, and its reader used. */
int pedigree_new(struct counts *c, struct pedigree **out) __attribute__((warn_unused_result));
struct pedigree *pedigree_free(struct pedigree *p);

/*
 * Plan one family: items with equal .family.  FOUND: the choices are there until the next call.  OK: nothing would be gained, or something
 * cannot be read: each is to be left on what it stands on.
 *
 * After FOUND: 1. what lives on its own is in the plan, and what something else than the members stands on; the others die when all those are
 *                 moved.
 *              2. a chunk is deeper than what it stands on; what others than the members stand on does not get deeper.
 *              3. a base comes after what stands on it.
 * Cost: reads the family; for each pair of members, a comparison of some 256 numbers.
 */
int pedigree_plan(struct pedigree *p, const struct family_item *items, size_t count) __attribute__((warn_unused_result));

struct pedigree_choice {
	size_t item;                    /* of those given */
	uint32_t base;                  /* cell; COUNTS_NONE: none */
	uint8_t depth;                  /* as planned */
	uint8_t base_depth;
	const uint8_t *p, *base_p;      /* plaintexts, borrowed until the next plan */
	size_t len, base_len;
};

/* The i-th to be moved; false at the end. */
bool pedigree_choice(const struct pedigree *p, size_t i, struct pedigree_choice *out);

#endif
