/* keys: the master key's subkeys in guarded memory, key slots, key wraps (SPEC §5). */
#ifndef CODEC_KEYS_H
#define CODEC_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "format/keyslot.h"
#include "format/name.h"

/* In sodium_malloc memory, wiped by keys_free. */
struct keys {
	uint8_t master[32];
	uint8_t id[32], gear[32], fingerprint[32], pack[32], record[32], index[32], writer[32];
	bool public_slot;               /* opened through a public slot: everybody knows the master key */
};

/* Owns: out: caller frees with keys_free. */
int keys_new(const uint8_t master[static 32], struct keys **out) __attribute__((warn_unused_result));
struct keys *keys_free(struct keys *k);

/* What the user gives to open or make a slot. */
struct keys_secret {
	uint32_t kind;                  /* enum keyslot_kind */
	const uint8_t *p;               /* passphrase, or 32 bytes of a key file; NULL for a public slot */
	size_t len;
};

#define KEYS_PASSES_DEFAULT 3u
#define KEYS_MEMORY_DEFAULT 262144u     /* KiB */

/* Argon2id cost of a new passphrase slot. */
struct keys_cost {
	uint32_t passes, memory_kib;
};

/* Make a slot with a fresh id and salt.  Cost: Argon2id for a passphrase. */
int keys_slot_seal(struct keyslot *slot, const struct name_sid *repo_id, const struct keys_secret *secret,
    const struct keys_cost *cost, const struct keyslot_payload *payload) __attribute__((warn_unused_result));

/* Open a slot: ERR_KEY when the secret is another one (or of another kind), ERR_AUTH when the commitment fits but the box does not open. */
int keys_slot_open(const struct keyslot *slot, const struct keys_secret *secret, struct keyslot_payload *payload)
    __attribute__((warn_unused_result));

/* Key wraps of packs and records: subkey is k->pack or k->record; context as SPEC says. */
void keys_wrap(struct keyslot_wrap *w, const uint8_t subkey[static 32], const char *label, const struct name_sid *repo_id,
    const void *context, size_t context_len, const uint8_t key[static 32]);
int keys_unwrap(uint8_t key[static 32], const struct keyslot_wrap *w, const uint8_t subkey[static 32], const char *label,
    const struct name_sid *repo_id, const void *context, size_t context_len) __attribute__((warn_unused_result));

#endif
