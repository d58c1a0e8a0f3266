/*
 * aead: XChaCha20-Poly1305 (IETF) with the Poly1305 of poly.h where that is
 * faster.  The same bytes as libsodium's, whose ChaCha20 it uses; all of it is
 * libsodium's for short messages and on other processors.
 */
#ifndef CODEC_AEAD_H
#define CODEC_AEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AEAD_NONCE 24u
#define AEAD_TAG 16u

struct aead_job {
	const uint8_t *key;             /* 32 bytes */
	const uint8_t *nonce;           /* AEAD_NONCE */
	const uint8_t *ad;
	size_t ad_len;
};

/* len bytes and a tag; dst may be src. */
void aead_seal(uint8_t *dst, const uint8_t *src, size_t len,
    const struct aead_job *a);

/* len: without the tag behind them; false: not sealed so, and dst is of no use.
 * dst may be src. */
bool aead_open(uint8_t *dst, const uint8_t *src, size_t len,
    const struct aead_job *a) __attribute__((warn_unused_result));

#endif
