/*
 * kindred: which chunks that are being moved have come to stand on the same ancestor.  Versions of one thing, stored at different
 * times, are often closer to each other than to it.
 */
#ifndef STORE_KINDRED_H
#define STORE_KINDRED_H

#include <stddef.h>
#include <stdint.h>

#define KINDRED_MOST 8u                 /* that are worth a try */

struct kindred_link {
	uint32_t cell, next;            /* next: number + 1 of an older one; 0 at the end */
};

struct kindred {
	uint32_t *newest;               /* by ancestor's cell: number + 1 in links; 0: none */
	size_t room;
	struct kindred_link *links;
	size_t count, cap;
};

void kindred_clear(struct kindred *k);

/* A chunk was moved whose ancestor was this one.  Both are cells of counts. */
int kindred_add(struct kindred *k, uint32_t ancestor, uint32_t cell) __attribute__((warn_unused_result));

/* The newest of them; how many there are. */
size_t kindred_of(const struct kindred *k, uint32_t ancestor, uint32_t cells[static KINDRED_MOST]);

#endif
