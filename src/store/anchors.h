/*
 * anchors: places in a chunk that are chosen by the 32 bytes before them, so that the same bytes have the same ones wherever they are.
 * Chunks that share anchors share content.
 */
#ifndef STORE_ANCHORS_H
#define STORE_ANCHORS_H

#include <stddef.h>
#include <stdint.h>

struct anchors {
	const uint8_t *p;
	size_t len, at;
	uint32_t hash;
	unsigned shift;
	uint32_t gear[256];
};

/* One place in 2^rate, on average, of these bytes, which are borrowed. */
void anchors_begin(struct anchors *w, const void *p, size_t len, unsigned rate);

/* The hash of the next one, never 0; 0 at the end.  Cost: about 1 ns a byte. */
uint32_t anchors_next(struct anchors *w);

#endif
