/*
 * keys: how a secret becomes the master key, and the master key subkeys.
 *
 *   passphrase --Argon2id--+
 *   key file   --H512------+--> 64 bytes: key of the box | commitment
 *   nothing    --H512------+         |                        |
 *                               box --opens--> master     compared first
 *
 * The slot is always encoded before anything is stretched: the encoder applies
 * the bounds of KS-2, and H512 and the AAD cover the encoded bytes.  Whatever
 * is secret lies in sodium_malloc memory, which is locked, guarded and wiped;
 * the format's encoders leave copies on the stack, which sodium_stackzero
 * removes.
 */
#include "codec/keys.h"

#include <inttypes.h>
#include <sodium.h>
#include <stddef.h>
#include <string.h>

#include "base/err.h"
#include "codec/digest.h"
#include "codec/seal.h"
#include "sys/entropy.h"

#define SLOT_LABEL "varve slot"
#define KDF_CONTEXT "varve-01"
#define STACK_DEPTH 2048        /* more than the encoders of payloads use */

_Static_assert(sizeof(KDF_CONTEXT) - 1 == crypto_kdf_CONTEXTBYTES, "");
_Static_assert(crypto_pwhash_SALTBYTES == sizeof(((struct keyslot *)0)->salt),
    "the salt is Argon2id's");

struct work {
	uint8_t stretched[64];          /* key of the box, commitment */
	uint8_t payload[KEYSLOT_PAYLOAD_LEN];
};

static int
guarded_new(void **out, size_t size)
{
	*out = sodium_init() < 0 ? NULL : sodium_malloc(size);
	if (*out == NULL)
		return fail(ERR_NOMEM, "no guarded memory for keys");
	memset(*out, 0, size);
	return OK;
}

int
keys_new(const uint8_t master[static 32], struct keys **out)
{
	struct keys *k;
	int rc = guarded_new((void **)&k, sizeof(*k));

	*out = NULL;
	if (rc)
		return rc;
	const struct {
		uint64_t n;
		uint8_t *subkey;
	} table[] = {
		{ 1, k->id }, { 2, k->gear }, { 3, k->fingerprint },
		{ 4, k->pack }, { 5, k->record }, { 6, k->index },
		{ 7, k->writer },
	};
	memcpy(k->master, master, sizeof(k->master));
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		(void)crypto_kdf_derive_from_key(table[i].subkey, 32,
		    table[i].n, KDF_CONTEXT, k->master);
	*out = k;
	return OK;
}

struct keys *
keys_free(struct keys *k)
{
	sodium_free(k);
	return NULL;
}

/* KS-1.  raw: the encoded slot, of which H512 takes the first 72 bytes. */
static int
stretch(uint8_t out[static 64], const uint8_t raw[static KEYSLOT_STRETCHED],
    const struct keyslot *slot, const struct keys_secret *secret)
{
	static const uint8_t nothing[32];
	size_t memory = (size_t)slot->memory_kib * 1024;

	if (slot->kind == KEYSLOT_PUBLIC) {
		digest_keyed512(out, nothing, raw, KEYSLOT_STRETCHED);
		return OK;
	}
	if (slot->kind == KEYSLOT_KEYFILE) {
		if (secret->len != 32)
			return fail(ERR_KEY, "a key file has 32 bytes, not %zu",
			    secret->len);
		digest_keyed512(out, secret->p, raw, KEYSLOT_STRETCHED);
		return OK;
	}
	if (crypto_pwhash(out, 64, secret->p ? (const char *)secret->p : "",
	    secret->len, slot->salt, slot->passes, memory,
	    crypto_pwhash_ALG_ARGON2ID13) == 0)
		return OK;
	return fail(ERR_NOMEM, "not enough memory to stretch the passphrase"
	    " (%" PRIu32 " KiB)", slot->memory_kib);
}

static void
slot_aad(struct seal_aad *aad, const struct keyslot *slot, const uint8_t *raw)
{
	aad->label = SLOT_LABEL;
	aad->repo_id = &slot->repo_id;
	aad->context = raw;
	aad->context_len = KEYSLOT_AAD;
}

int
keys_slot_seal(struct keyslot *slot, const struct name_sid *repo_id,
    const struct keys_secret *secret, const struct keys_cost *cost,
    const struct keyslot_payload *payload)
{
	uint8_t raw[KEYSLOT_LEN];
	struct seal_aad aad;
	struct work *w = NULL;
	size_t len;
	int rc;

	memset(slot, 0, sizeof(*slot));
	slot->kind = secret->kind;
	slot->repo_id = *repo_id;
	entropy_fill(slot->slot_id.b, sizeof(slot->slot_id.b));
	if (secret->kind == KEYSLOT_PASSPHRASE) {
		slot->passes = cost->passes;
		slot->memory_kib = cost->memory_kib;
		entropy_fill(slot->salt, sizeof(slot->salt));
	}
	if (keyslot_encode(raw, sizeof(raw), slot) != sizeof(raw))
		return fail(ERR_USAGE, "a passphrase takes 1 to %d passes and"
		    " %d to %d KiB of memory", KEYSLOT_PASSES_MAX,
		    KEYSLOT_MEMORY_MIN, KEYSLOT_MEMORY_MAX);
	if ((rc = guarded_new((void **)&w, sizeof(*w))))
		goto out;
	len = keyslot_payload_encode(w->payload, sizeof(w->payload), payload);
	sodium_stackzero(STACK_DEPTH);
	if (len != sizeof(w->payload)) {
		rc = fail(ERR_USAGE, "a label is UTF-8 of at most %d bytes",
		    KEYSLOT_LABEL_LEN);
		goto out;
	}
	if ((rc = stretch(w->stretched, raw, slot, secret)))
		goto out;
	memcpy(slot->commitment, w->stretched + 32, 32);
	memcpy(raw + KEYSLOT_STRETCHED, slot->commitment, 32);
	slot_aad(&aad, slot, raw);
	seal_box(slot->box, w->payload, sizeof(w->payload), w->stretched, &aad);
out:
	sodium_free(w);
	return rc;
}

int
keys_slot_open(const struct keyslot *slot, const struct keys_secret *secret,
    struct keyslot_payload *payload)
{
	uint8_t raw[KEYSLOT_LEN];
	struct seal_aad aad;
	struct work *w = NULL;
	int rc;

	memset(payload, 0, sizeof(*payload));
	if (secret->kind != slot->kind)
		return fail(ERR_KEY, "the slot is for another kind of secret");
	if (keyslot_encode(raw, sizeof(raw), slot) != sizeof(raw))
		return fail(ERR_CORRUPT, "bad key slot");
	if ((rc = guarded_new((void **)&w, sizeof(*w))) ||
	    (rc = stretch(w->stretched, raw, slot, secret)))
		goto out;
	/* KS-3: so one box answers for one secret only. */
	if (sodium_memcmp(w->stretched + 32, slot->commitment, 32) != 0) {
		rc = fail(ERR_KEY, "not the secret of this slot");
		goto out;
	}
	slot_aad(&aad, slot, raw);
	if ((rc = seal_open(w->payload, slot->box, sizeof(slot->box),
	    w->stretched, &aad)))
		goto out;
	rc = err_verdict(keyslot_payload_decode(payload, w->payload,
	    sizeof(w->payload)), "key slot");
	sodium_stackzero(STACK_DEPTH);
out:
	if (rc)
		sodium_memzero(payload, sizeof(*payload));
	sodium_free(w);
	return rc;
}

void
keys_wrap(struct keyslot_wrap *w, const uint8_t subkey[static 32],
    const char *label, const struct name_sid *repo_id, const void *context,
    size_t context_len, const uint8_t key[static 32])
{
	struct seal_aad aad = { label, repo_id, context, context_len };

	w->kind = KEYSLOT_WRAP_SYMMETRIC;
	seal_box(w->box, key, 32, subkey, &aad);
}

int
keys_unwrap(uint8_t key[static 32], const struct keyslot_wrap *w,
    const uint8_t subkey[static 32], const char *label,
    const struct name_sid *repo_id, const void *context, size_t context_len)
{
	struct seal_aad aad = { label, repo_id, context, context_len };

	if (w->kind != KEYSLOT_WRAP_SYMMETRIC)
		return fail(ERR_UNSUPPORTED,
		    "the key wrap needs a newer version of varve");
	return seal_open(key, w->box, sizeof(w->box), subkey, &aad);
}
