#include "store/anchors.h"

#define WINDOW 32

/* Spreads a byte over 32 bits; need not be secret, nor the same tomorrow. */
static uint32_t
spread(uint8_t b)
{
	uint32_t x = (b + 1u) * 0x9e3779b1u;

	x ^= x >> 15;
	x *= 0x85ebca77u;
	return x ^ x >> 13;
}

void
anchors_begin(struct anchors *w, const void *p, size_t len, unsigned rate)
{
	*w = (struct anchors){ .p = p, .len = len, .shift = 32 - rate };
	for (unsigned b = 0; b < 256; b++)
		w->gear[b] = spread((uint8_t)b);
}

uint32_t
anchors_next(struct anchors *w)
{
	unsigned shift = w->shift;
	uint32_t h = w->hash;
	size_t at = w->at;

	while (at < w->len) {
		h = (h << 1) + w->gear[w->p[at++]];
		if (h >> shift == 0 && h && at >= WINDOW) {
			w->hash = h;
			w->at = at;
			return h;
		}
	}
	w->at = at;
	return 0;
}
