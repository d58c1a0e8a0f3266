/*
 * poly: Poly1305 (RFC 8439) of long messages, eight blocks at a time where the
 * processor multiplies 52-bit integers in vectors (AVX-512 IFMA).
 *
 * The same bytes as libsodium's on every machine; it is libsodium's where
 * there is no such unit, and for short messages, which pay for powers of r.
 */
#ifndef CODEC_POLY_H
#define CODEC_POLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

void poly_mac(uint8_t out[static 16], const uint8_t key[static 32],
    const void *p, size_t len);

/* By the vector unit, whatever the length, for tests; false: there is none. */
bool poly_mac_wide(uint8_t out[static 16], const uint8_t key[static 32],
    const void *p, size_t len);

/*
 * The same in parts: poly_begin (false: there is no such unit), poly_add with
 * lengths that are multiples of 16, poly_end, which wipes it.
 */
struct poly {
	uint64_t power[8][3];           /* of r: r, r^2, ... */
	uint64_t h[3];
	uint8_t pad[16];
};

bool poly_begin(struct poly *s, const uint8_t key[static 32]);
void poly_add(struct poly *s, const void *p, size_t len);
void poly_end(struct poly *s, uint8_t out[static 16]);

#endif
