/*
 * family: which of the chunks that are moved stand on each other, or on the same one.  Versions of one thing are a family; most
 * chunks are one by themselves.
 */
#ifndef STORE_FAMILY_H
#define STORE_FAMILY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/counts.h"

#define FAMILY_MOST 64u                 /* members, and bytes of their plaintext: */
#define FAMILY_BYTES (16u << 20)

/* A living chunk that is to be moved. */
struct family_item {
	uint32_t cell, frame;           /* of counts */
	struct counts_bases bases;      /* the first of them decides on the family */
	uint32_t len;                   /* of the plaintext */
	uint16_t slot;
	uint8_t depth;
	bool fine;                      /* it lies in a small frame among many (packer_fine) */
	uint32_t at;                    /* its place among all, as they were gathered; set by family_sort */
	uint32_t family;                /* equal numbers follow each other; likewise */
};

/*
 * Sort: families in the order of their least deep members, as these were stored first, in the order of a walk, and restores will want them in
 * that; each family with the deepest first.  One with more than FAMILY_MOST members, or of more
 * bytes than FAMILY_BYTES, is cut into several; what stands on another chunk then is not in a later part than it.
 * cells: one more than the greatest cell there is.
 */
int family_sort(struct family_item *items, size_t count, size_t cells) __attribute__((warn_unused_result));

#endif
