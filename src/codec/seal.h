/* seal: XChaCha20-Poly1305 boxes (SPEC §1). */
#ifndef CODEC_SEAL_H
#define CODEC_SEAL_H

#include <stddef.h>
#include <stdint.h>

#include "format/name.h"

#define SEAL_OVERHEAD 40
#define SEAL_CONTEXT_MAX 160

/* AAD(label, context). */
struct seal_aad {
	const char *label;              /* ASCII, at most 16 bytes */
	const struct name_sid *repo_id;
	const void *context;
	size_t context_len;             /* at most SEAL_CONTEXT_MAX */
};

/* dst gets len + SEAL_OVERHEAD bytes: a fresh random nonce, the ciphertext, the tag.  src and dst + 24 may be the same. */
void seal_box(uint8_t *dst, const void *src, size_t len, const uint8_t key[static 32], const struct seal_aad *aad);

/*
 * dst, which may be box + 24, gets len - SEAL_OVERHEAD bytes; ERR_AUTH when the box was not made with key and aad (dst then wiped),
 * ERR_CORRUPT if too short.
 */
int seal_open(uint8_t *dst, const uint8_t *box, size_t len, const uint8_t key[static 32], const struct seal_aad *aad)
    __attribute__((warn_unused_result));

#endif
