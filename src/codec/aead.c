/* aead: RFC 8439, with the key and nonce of draft-irtf-cfrg-xchacha. */
#include "codec/aead.h"

#include <sodium.h>
#include <string.h>

#include "codec/chacha.h"
#include "codec/poly.h"

#define LONG 1024u                      /* bytes that are worth it */
#define BLOCK 16u

_Static_assert(AEAD_NONCE == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES &&
    AEAD_TAG == crypto_aead_xchacha20poly1305_ietf_ABYTES, "as libsodium's");

/* The stream of one message. */
struct stream {
	uint8_t key[32];
	uint8_t nonce[12];
	struct poly poly;
};

/* Its key, and that of Poly1305 from block 0; false: not by us. */
static bool
stream_begin(struct stream *s, size_t len, const struct aead_job *a)
{
	uint8_t first[32];
	bool ours;

	if (len < LONG)
		return false;
	(void)crypto_core_hchacha20(s->key, a->nonce, a->key, NULL);
	memset(s->nonce, 0, 4);
	memcpy(s->nonce + 4, a->nonce + 16, 8);
	(void)crypto_stream_chacha20_ietf(first, sizeof(first), s->nonce,
	    s->key);
	ours = poly_begin(&s->poly, first);
	sodium_memzero(first, sizeof(first));
	if (!ours)
		sodium_memzero(s, sizeof(*s));
	return ours;
}

/* Zeros up to a whole block follow. */
static void
add_padded(struct poly *p, const uint8_t *bytes, size_t len)
{
	uint8_t last[BLOCK] = { 0 };
	size_t whole = len - len % BLOCK;

	poly_add(p, bytes, whole);
	if (whole == len)
		return;
	memcpy(last, bytes + whole, len - whole);
	poly_add(p, last, BLOCK);
}

static void
put_le64(uint8_t *p, uint64_t v)
{
	for (int k = 0; k < 8; k++)
		p[k] = (uint8_t)(v >> (8 * k));
}

static void
make_tag(struct stream *s, const uint8_t *sealed, size_t len,
    const struct aead_job *a, uint8_t tag[static AEAD_TAG])
{
	uint8_t lens[BLOCK];

	add_padded(&s->poly, a->ad, a->ad_len);
	add_padded(&s->poly, sealed, len);
	put_le64(lens, a->ad_len);
	put_le64(lens + 8, len);
	poly_add(&s->poly, lens, sizeof(lens));
	poly_end(&s->poly, tag);
}

void
aead_seal(uint8_t *dst, const uint8_t *src, size_t len,
    const struct aead_job *a)
{
	struct stream s;

	if (!stream_begin(&s, len, a)) {
		(void)crypto_aead_xchacha20poly1305_ietf_encrypt(dst, NULL,
		    src, len, a->ad, a->ad_len, NULL, a->nonce, a->key);
		return;
	}
	chacha_xor(dst, src, len, s.key, s.nonce, 1);
	make_tag(&s, dst, len, a, dst + len);
	sodium_memzero(&s, sizeof(s));
}

bool
aead_open(uint8_t *dst, const uint8_t *src, size_t len,
    const struct aead_job *a)
{
	uint8_t tag[AEAD_TAG];
	struct stream s;
	bool good;

	if (!stream_begin(&s, len, a))
		return crypto_aead_xchacha20poly1305_ietf_decrypt_detached(
		    dst, NULL, src, len, src + len, a->ad, a->ad_len,
		    a->nonce, a->key) == 0;
	make_tag(&s, src, len, a, tag);
	good = crypto_verify_16(tag, src + len) == 0;
	if (good)
		chacha_xor(dst, src, len, s.key, s.nonce, 1);
	sodium_memzero(&s, sizeof(s));
	return good;
}
