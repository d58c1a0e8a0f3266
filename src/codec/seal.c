#include "codec/seal.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

#include "base/err.h"
#include "codec/aead.h"
#include "sys/entropy.h"

#define NONCE_LEN AEAD_NONCE
#define LABEL_LEN 16
#define AAD_MAX (LABEL_LEN + NAME_SID_LEN + SEAL_CONTEXT_MAX)

_Static_assert(AEAD_NONCE + AEAD_TAG == SEAL_OVERHEAD,
    "a box is nonce, ciphertext, tag");

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
	aead_seal(dst + NONCE_LEN, src, len,
	    &(struct aead_job){ key, dst, ad, ad_len });
}

int
seal_open(uint8_t *dst, const uint8_t *box, size_t len,
    const uint8_t key[static 32], const struct seal_aad *aad)
{
	uint8_t ad[AAD_MAX];
	size_t ad_len = aad_write(ad, aad);

	if (len < SEAL_OVERHEAD)
		return fail(ERR_CORRUPT, "%s: sealed box too short", aad->label);
	if (aead_open(dst, box + NONCE_LEN, len - SEAL_OVERHEAD,
	    &(struct aead_job){ key, box, ad, ad_len }))
		return OK;
	sodium_memzero(dst, len - SEAL_OVERHEAD);
	return fail(ERR_AUTH, "%s: not sealed with this key for this place",
	    aad->label);
}
