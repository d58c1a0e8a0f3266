#include "codec/seal.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "base/err.h"
#include "sys/entropy.h"

#define NONCE_LEN crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define LABEL_LEN 16
#define AAD_MAX (LABEL_LEN + NAME_SID_LEN + SEAL_CONTEXT_MAX)

_Static_assert(NONCE_LEN + crypto_aead_xchacha20poly1305_ietf_ABYTES ==
    SEAL_OVERHEAD, "a box is nonce, ciphertext, tag");

/* AAD(label, context) of SPEC §1; its length. */
static size_t
aad_write(uint8_t out[static AAD_MAX], const struct seal_aad *aad)
{
	size_t label_len = strlen(aad->label);

	assert(label_len <= LABEL_LEN);
	assert(aad->context_len <= SEAL_CONTEXT_MAX);
	memset(out, 0, LABEL_LEN);
	memcpy(out, aad->label, label_len);
	memcpy(out + LABEL_LEN, aad->repo_id->b, NAME_SID_LEN);
	if (aad->context_len > 0)
		memcpy(out + LABEL_LEN + NAME_SID_LEN, aad->context,
		    aad->context_len);
	return LABEL_LEN + NAME_SID_LEN + aad->context_len;
}

void
seal_box(uint8_t *dst, const void *src, size_t len,
    const uint8_t key[static 32], const struct seal_aad *aad)
{
	uint8_t ad[AAD_MAX];
	size_t ad_len = aad_write(ad, aad);

	entropy_fill(dst, NONCE_LEN);
	(void)crypto_aead_xchacha20poly1305_ietf_encrypt(dst + NONCE_LEN, NULL,
	    src, len, ad, ad_len, NULL, dst, key);
}

int
seal_open(uint8_t *dst, const uint8_t *box, size_t len,
    const uint8_t key[static 32], const struct seal_aad *aad)
{
	uint8_t ad[AAD_MAX];
	size_t ad_len = aad_write(ad, aad);

	if (len < SEAL_OVERHEAD)
		return fail(ERR_CORRUPT, "%s: sealed box too short", aad->label);
	if (crypto_aead_xchacha20poly1305_ietf_decrypt(dst, NULL, NULL,
	    box + NONCE_LEN, len - NONCE_LEN, ad, ad_len, box, key) == 0)
		return OK;
	sodium_memzero(dst, len - SEAL_OVERHEAD);
	return fail(ERR_AUTH, "%s: not sealed with this key for this place",
	    aad->label);
}
