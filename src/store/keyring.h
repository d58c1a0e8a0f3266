/* keyring: the slots of a repository, keys/ (SPEC §5). */
#ifndef STORE_KEYRING_H
#define STORE_KEYRING_H

#include "codec/keys.h"
#include "store/repo.h"

/* One slot as found; created and label are sealed: only those of the slot that opened the repository are known. */
struct keyring_entry {
	struct keyslot slot;
	int verdict;                    /* OK; ERR_CORRUPT, ERR_UNSUPPORTED, ERR_IO: then only slot.slot_id is valid */
	bool current;                   /* it opened this repository */
	int64_t created_ns;             /* current only, else 0 */
	char label[KEYSLOT_LABEL_LEN + 1];
};

/* All slots sorted by id; names that are not slot ids are ignored (GN-4).  Owns: *out: caller frees with free(). */
int keyring_list(struct repo *r, struct keyring_entry **out, size_t *count) __attribute__((warn_unused_result));

/* Read and check one slot (KS-2).  slot->slot_id is id also on failure; id may point there. */
int keyring_read(struct repo *r, const struct name_sid *id, struct keyslot *slot) __attribute__((warn_unused_result));

/*
 * Publish a new slot for the repository's master key (r is unlocked), under the shared lock.  *id: its id.
 *
 * Shape:  label may be NULL; cost counts for a passphrase only.
 * Errors: ERR_USAGE   cost or label out of range
 *         ERR_FAILED  there are KEYSLOT_COUNT_MAX slots already
 */
int keyring_add(struct repo *r, const struct keys_secret *secret, const struct keys_cost *cost, const char *label,
    struct name_sid *id) __attribute__((warn_unused_result));

/*
 * Does this secret open the (unlocked) repository already?  FOUND: *id is the slot; OK: it does not.
 *
 * Cost: Argon2id for each passphrase slot.
 */
int keyring_find(struct repo *r, const struct keys_secret *secret, struct name_sid *id) __attribute__((warn_unused_result));

/*
 * Remove a slot, durably, under the exclusive lock (so that two removals at a time cannot take the last two slots).
 *
 * Errors: ERR_ABSENT  no such slot
 *         ERR_FAILED  it opened this repository, or it is the last one: of no other is it known that it opens (KS-6)
 *         ERR_LOCKED  somebody works in the repository
 */
int keyring_remove(struct repo *r, const struct name_sid *id) __attribute__((warn_unused_result));

/*
 * Publish a new slot, open it once from the disk as proof, then remove the slot that opened the repository; the new one takes
 * its place in r.  Exclusive lock.  label NULL: the old slot's label.
 *
 * Errors: as keyring_add and keyring_remove.  When *id is not zero on failure, both slots exist.
 */
int keyring_change(struct repo *r, const struct keys_secret *secret, const struct keys_cost *cost, const char *label,
    struct name_sid *id) __attribute__((warn_unused_result));

/* A payload for a new slot of r, all but the master key filled in.  Owns: *out: caller frees with sodium_free. */
int keyring_payload_new(const struct repo *r, const char *label, struct keyslot_payload **out) __attribute__((warn_unused_result));

/* Note in r that this slot opened it. */
void keyring_opened(struct repo *r, const struct keyslot *slot, const struct keyslot_payload *payload);

#endif
