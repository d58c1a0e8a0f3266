/*
 * keyring: adding and removing key slots.
 *
 * KS-6 forbids removing the last slot that opens, but whether a slot opens is
 * known only of those whose secret was tried: the others may be damaged, or put
 * there by the storage.  So the slot that opened the repository always stays,
 * and `change` tries its new slot before the old one goes.
 */
#include "store/keyring.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "store/parity.h"
#include "sys/clock.h"

#define PATH_LEN (NAME_SID_HEX + 8)

static void
slot_path(const struct name_sid *id, char path[static PATH_LEN])
{
	char hex[NAME_SID_HEX];

	name_sid_hex(id, hex);
	snprintf(path, PATH_LEN, "keys/%s", hex);
}

int
keyring_payload_new(const struct repo *r, const char *label,
    struct keyslot_payload **out)
{
	struct keyslot_payload *p;
	size_t len = label ? strlen(label) : 0;

	*out = NULL;
	if (len > KEYSLOT_LABEL_LEN)
		return fail(ERR_USAGE, "a label has at most %d bytes",
		    KEYSLOT_LABEL_LEN);
	p = sodium_init() < 0 ? NULL : sodium_malloc(sizeof(*p));
	if (!p)
		return fail(ERR_NOMEM, "no guarded memory for keys");
	memset(p, 0, sizeof(*p));
	p->role = KEYSLOT_FULL;
	p->created_ns = clock_wall_ns();
	p->header_hash = r->header_hash;
	if (len > 0)
		memcpy(p->label, label, len);
	*out = p;
	return OK;
}

void
keyring_opened(struct repo *r, const struct keyslot *slot,
    const struct keyslot_payload *payload)
{
	r->keys->public_slot = slot->kind == KEYSLOT_PUBLIC;
	r->slot_id = slot->slot_id;
	r->slot_created_ns = payload->created_ns;
	memcpy(r->slot_label, payload->label, sizeof(r->slot_label));
}

int
keyring_read(struct repo *r, const struct name_sid *id, struct keyslot *slot)
{
	const struct name_sid want = *id;
	char path[PATH_LEN];
	uint8_t *raw;
	size_t len;
	int rc;

	slot_path(&want, path);
	rc = io_read_file(r->io, path, KEYSLOT_LEN + 1, &raw, &len);
	if (rc == OK) {
		rc = err_verdict(keyslot_decode(slot, raw, len), "key slot");
		free(raw);
	}
	if (rc == OK && name_sid_cmp(&slot->repo_id, &r->hdr.repo_id) != 0)
		rc = fail(ERR_CORRUPT, "bad key slot: of another repository");
	if (rc == OK && name_sid_cmp(&slot->slot_id, &want) != 0)
		rc = fail(ERR_CORRUPT, "bad key slot: not its own name");
	slot->slot_id = want;
	return rc == ERR_CORRUPT || rc == ERR_UNSUPPORTED ?
	    err_context(rc, "%s", path) : rc;
}

struct ids {
	struct name_sid id[KEYSLOT_COUNT_MAX];
	size_t count;
};

static int
take_id(void *arg, const char *name)
{
	struct ids *ids = arg;
	struct name_sid id;

	if (!name_sid_unhex(&id, name))
		return OK;
	if (ids->count == KEYSLOT_COUNT_MAX)
		return fail(ERR_CORRUPT, "more than %d key slots",
		    KEYSLOT_COUNT_MAX);
	ids->id[ids->count++] = id;
	return OK;
}

static int
by_id(const void *a, const void *b)
{
	return name_sid_cmp(a, b);
}

/* Sorted; at most KEYSLOT_COUNT_MAX. */
static int
list_ids(struct repo *r, struct ids *ids)
{
	int rc;

	ids->count = 0;
	if ((rc = io_list(r->io, "keys", take_id, ids)))
		return rc;
	qsort(ids->id, ids->count, sizeof(ids->id[0]), by_id);
	return OK;
}

int
keyring_list(struct repo *r, struct keyring_entry **out, size_t *count)
{
	struct keyring_entry *all;
	struct ids ids;
	int rc;

	*out = NULL;
	*count = 0;
	if ((rc = list_ids(r, &ids)) ||
	    (rc = mem_new((void **)&all,
	    mem_array(ids.count, sizeof(*all)))))
		return rc;
	for (size_t i = 0; i < ids.count; i++) {
		struct keyring_entry *e = &all[i];

		e->verdict = keyring_read(r, &ids.id[i], &e->slot);
		if (!r->keys || name_sid_cmp(&ids.id[i], &r->slot_id) != 0)
			continue;
		e->current = true;
		e->created_ns = r->slot_created_ns;
		memcpy(e->label, r->slot_label, sizeof(e->label));
	}
	*out = all;
	*count = ids.count;
	return OK;
}

/* Room for one more slot? */
static int
check_room(struct repo *r)
{
	struct ids ids;
	int rc = list_ids(r, &ids);

	if (rc == OK && ids.count >= KEYSLOT_COUNT_MAX)
		rc = fail(ERR_FAILED, "there are %zu key slots already: remove"
		    " one first", ids.count);
	return rc;
}

static int
check_writable(const struct repo *r)
{
	assert(r->keys);
	if (r->read_only)
		return fail(ERR_UNSUPPORTED, "writing to this repository needs"
		    " a newer version of varve");
	return OK;
}

/* Seal r's master key for a secret.  Cost: Argon2id; no lock is needed. */
static int
make_slot(struct repo *r, const struct keys_secret *secret,
    const struct keys_cost *cost, const char *label, struct keyslot *slot)
{
	struct keyslot_payload *payload;
	int rc;

	if ((rc = keyring_payload_new(r, label, &payload)))
		return rc;
	memcpy(payload->master, r->keys->master, sizeof(payload->master));
	rc = keys_slot_seal(slot, &r->hdr.repo_id, secret, cost, payload);
	sodium_free(payload);
	return rc;
}

static int
unlink_slot(struct repo *r, const struct name_sid *id)
{
	char path[PATH_LEN];
	int rc;

	slot_path(id, path);
	/* A secret that was taken away must not come back with a copy of its slot. */
	if ((rc = parity_drop_synced(r->io, OBJECTS_SLOT, objects_name(path))) || (rc = io_unlink(r->io, path)))
		return rc;
	return io_sync_dir(r->io, "keys");
}

/* A slot that turned out to be of no use. */
static void
discard_slot(struct repo *r, const struct name_sid *id)
{
	char path[PATH_LEN];

	slot_path(id, path);
	(void)!parity_drop(r->io, OBJECTS_SLOT, objects_name(path), NULL);
	io_discard(r->io, path);
}

/* Release the lock; what went wrong before is what is reported. */
static int
unlock_after(struct repo *r, int rc)
{
	int rc2;
	char why[512];

	snprintf(why, sizeof(why), "%s", err_text());
	rc2 = io_lock(r->io, IO_UNLOCKED, false);
	if (rc == OK)
		return rc2;
	err_set(rc, why);
	return rc;
}

static int
is_listed(struct repo *r, const struct name_sid *id)
{
	struct ids ids;
	int rc = list_ids(r, &ids);

	for (size_t i = 0; rc == OK && i < ids.count; i++)
		if (name_sid_cmp(&ids.id[i], id) == 0)
			rc = FOUND;
	return rc;
}

int
keyring_add(struct repo *r, const struct keys_secret *secret,
    const struct keys_cost *cost, const char *label, struct name_sid *id)
{
	struct keyslot slot;
	int rc;

	memset(id, 0, sizeof(*id));
	if ((rc = check_writable(r)) ||
	    (rc = check_room(r)) ||
	    (rc = make_slot(r, secret, cost, label, &slot)) ||
	    (rc = io_lock(r->io, IO_SHARED, true)))
		return rc;
	if ((rc = check_room(r)) || (rc = repo_publish_slot(r, &slot)))
		goto out;
	/* Two at a time may have filled the last place. */
	rc = is_listed(r, &slot.slot_id);
	if (rc == FOUND) {
		*id = slot.slot_id;
		rc = OK;
	} else {
		discard_slot(r, &slot.slot_id);
		rc = rc < 0 ? rc : fail(ERR_FAILED, "the slot vanished");
	}
out:
	return unlock_after(r, rc);
}

int
keyring_find(struct repo *r, const struct keys_secret *secret,
    struct name_sid *id)
{
	struct keyslot_payload *payload;
	struct keyslot slot;
	struct ids ids;
	int rc;

	if ((rc = keyring_payload_new(r, NULL, &payload)))
		return rc;
	rc = list_ids(r, &ids);
	/* A slot that cannot be read opens nothing. */
	for (size_t i = 0; rc == OK && i < ids.count; i++) {
		if (keyring_read(r, &ids.id[i], &slot) ||
		    slot.kind != secret->kind)
			continue;
		rc = keys_slot_open(&slot, secret, payload);
		*id = ids.id[i];
		rc = rc == OK ? FOUND : rc == ERR_KEY || rc == ERR_AUTH ?
		    OK : rc;
	}
	sodium_free(payload);
	return rc;
}

/* KS-6: the slot that opened r must still be there and be sound. */
static int
check_current(struct repo *r)
{
	struct keyslot slot;

	if (name_sid_is_zero(&r->slot_id))
		return fail(ERR_FAILED, "the repository was not opened with a"
		    " key slot: removing one could remove the last");
	return err_context(keyring_read(r, &r->slot_id, &slot),
	    "the slot that opened the repository");
}

static int
remove_locked(struct repo *r, const struct name_sid *id)
{
	struct ids ids;
	int rc = is_listed(r, id);

	if (rc < 0)
		return rc;
	if (rc != FOUND)
		return fail(ERR_ABSENT, "there is no such key slot");
	if ((rc = list_ids(r, &ids)))
		return rc;
	if (ids.count == 1)
		return fail(ERR_FAILED, "this is the last key slot: without it"
		    " nobody can open the repository");
	if (name_sid_cmp(id, &r->slot_id) == 0)
		return fail(ERR_FAILED, "this slot opened the repository: open"
		    " it with another secret to remove this one, or use"
		    " 'varve key change'");
	if ((rc = check_current(r)))
		return rc;
	return unlink_slot(r, id);
}

int
keyring_remove(struct repo *r, const struct name_sid *id)
{
	int rc;

	if ((rc = check_writable(r)) ||
	    (rc = io_lock(r->io, IO_EXCLUSIVE, false)))
		return rc;
	return unlock_after(r, remove_locked(r, id));
}

/* Read a published slot back and open it: it gives r's master key. */
static int
prove_slot(struct repo *r, const struct name_sid *id,
    const struct keys_secret *secret)
{
	struct keyslot_payload *payload;
	struct keyslot slot;
	int rc;

	if ((rc = keyring_payload_new(r, NULL, &payload)))
		return rc;
	if ((rc = keyring_read(r, id, &slot)) == OK &&
	    (rc = keys_slot_open(&slot, secret, payload)) == OK) {
		if (sodium_memcmp(payload->master, r->keys->master, 32) != 0 ||
		    name_cmp(&payload->header_hash, &r->header_hash) != 0)
			rc = fail(ERR_CORRUPT, "it holds another key");
		else
			keyring_opened(r, &slot, payload);
	}
	sodium_free(payload);
	return err_context(rc, "the new key slot does not open");
}

int
keyring_change(struct repo *r, const struct keys_secret *secret,
    const struct keys_cost *cost, const char *label, struct name_sid *id)
{
	const struct name_sid old = r->slot_id;
	struct keyslot slot;
	int rc;

	memset(id, 0, sizeof(*id));
	if ((rc = check_writable(r)) ||
	    (rc = check_room(r)) ||
	    (rc = make_slot(r, secret, cost, label ? label : r->slot_label,
	    &slot)) ||
	    (rc = io_lock(r->io, IO_EXCLUSIVE, false)))
		return rc;
	if ((rc = check_current(r)) ||
	    (rc = check_room(r)) ||
	    (rc = repo_publish_slot(r, &slot)))
		goto out;
	if ((rc = prove_slot(r, &slot.slot_id, secret))) {
		discard_slot(r, &slot.slot_id);
		goto out;
	}
	*id = slot.slot_id;
	rc = err_context(unlink_slot(r, &old),
	    "the new slot works, but the old one is still there");
out:
	return unlock_after(r, rc);
}
