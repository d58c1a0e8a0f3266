#include "codec/digest.h"

#include <sodium.h>
#define XXH_NO_STREAM
#include <xxhash.h>

#include "codec/poly.h"

void
digest_hash(struct name *out, const void *p, size_t len)
{
	(void)crypto_generichash(out->b, NAME_LEN, p, len, NULL, 0);
}

void
digest_keyed(struct name *out, const uint8_t key[static 32], const void *p,
    size_t len)
{
	(void)crypto_generichash(out->b, NAME_LEN, p, len, key, 32);
}

void
digest_keyed2(struct name *out, const uint8_t key[static 32], const void *a,
    size_t alen, const void *b, size_t blen)
{
	crypto_generichash_state st;

	(void)crypto_generichash_init(&st, key, 32, NAME_LEN);
	(void)crypto_generichash_update(&st, a, alen);
	(void)crypto_generichash_update(&st, b, blen);
	(void)crypto_generichash_final(&st, out->b, NAME_LEN);
	sodium_memzero(&st, sizeof(st));
}

void
digest_keyed512(uint8_t out[static 64], const uint8_t key[static 32],
    const void *p, size_t len)
{
	(void)crypto_generichash(out, 64, p, len, key, 32);
}

void
digest_chunk_id(struct name *out, const uint8_t key[static 32], uint8_t type,
    const void *p, size_t len)
{
	digest_keyed2(out, key, &type, 1, p, len);
}

void
digest_poly1305(uint8_t out[static 16], const uint8_t key[static 32],
    const void *p, size_t len)
{
	poly_mac(out, key, p, len);
}

uint64_t
digest_xxh3(const void *p, size_t len)
{
	return XXH3_64bits(p, len);
}
