/* digest: hashes and MACs (SPEC §1, CH-1, CH-4, IX-2, IX-3, PK-1).  All infallible. */
#ifndef CODEC_DIGEST_H
#define CODEC_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "format/name.h"

void digest_hash(struct name *out, const void *p, size_t len);                                  /* H */
void digest_keyed(struct name *out, const uint8_t key[static 32], const void *p, size_t len);   /* H(k, x) */
void digest_keyed2(struct name *out, const uint8_t key[static 32], const void *a, size_t alen, const void *b, size_t blen);
void digest_keyed512(uint8_t out[static 64], const uint8_t key[static 32], const void *p, size_t len);

/* CH-1. */
void digest_chunk_id(struct name *out, const uint8_t key[static 32], uint8_t type, const void *p, size_t len);

/* Poly1305: CH-4 with the fingerprint key, IX-3 with a one-time key. */
void digest_poly1305(uint8_t out[static 16], const uint8_t key[static 32], const void *p, size_t len);

uint64_t digest_xxh3(const void *p, size_t len);

#endif
