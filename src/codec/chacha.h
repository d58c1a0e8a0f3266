/*
 * chacha: ChaCha20 (RFC 8439), sixteen blocks at a time where the processor has
 * vectors of 512 bits.  The same bytes as libsodium's on every machine; it is
 * libsodium's where there are none, and at the end of a message.
 */
#ifndef CODEC_CHACHA_H
#define CODEC_CHACHA_H

#include <stddef.h>
#include <stdint.h>

/* dst: src, the other way; it may be src.  counter: of the first block; with the last one it is below 2^32. */
void chacha_xor(uint8_t *dst, const uint8_t *src, size_t len,
    const uint8_t key[static 32], const uint8_t nonce[static 12],
    uint32_t counter);

#endif
