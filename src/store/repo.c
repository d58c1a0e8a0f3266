/*
 * repo: making, opening and unlocking a repository.
 *
 * Making one (GN-7) has a single moment at which it begins to exist: the rename
 * of varve-repo, after everything else is on the disk.
 *
 *   stretch the secret     nothing written yet: it may fail
 *   mkdir ... sync         `packs` is the first: of two racing inits one loses
 *   locks, keys/<slot>     written under tmp/, renamed, directories synced
 *   varve-repo             the same, last
 */
#include "store/repo.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/digest.h"
#include "store/keyring.h"
#include "store/parity.h"
#include "sys/clock.h"
#include "sys/entropy.h"

#define HEADER "varve-repo"
#define SHARDS 256

/* In the order in which they are made. */
static const char *const dirs[] = {
	"packs", "keys", "index", "snapshots", "forgotten", "parity",
	"damaged", "tmp",
};

#define DIR_COUNT (sizeof(dirs) / sizeof(dirs[0]))

struct vacancy {
	struct io *io;
	bool leftover;                  /* names of an init that was cut short are there */
	bool packs;
};

/* A name of ours that an init makes before varve-repo. */
static bool
is_ours(const char *name)
{
	for (size_t i = 0; i < DIR_COUNT; i++)
		if (strcmp(name, dirs[i]) == 0)
			return true;
	return strcmp(name, "locks") == 0;
}

static int
look_at_name(void *arg, const char *name)
{
	struct vacancy *v = arg;

	if (strcmp(name, "lost+found") == 0)
		return OK;
	if (!is_ours(name))
		return fail(ERR_EXISTS, "'%s' is there already: a repository is"
		    " made in an empty or new directory", name);
	v->leftover = true;
	v->packs = v->packs || strcmp(name, "packs") == 0;
	return OK;
}

static int
refuse_object(void *arg, const char *name)
{
	return fail(ERR_EXISTS, "'%s/%s' is there, but no " HEADER ": this was"
	    " a repository", (const char *)arg, name);
}

static int
refuse_pack(void *arg, const char *name)
{
	return strlen(name) == 2 ? OK : refuse_object(arg, name);
}

/* Nothing in a directory, or no such directory. */
static int
check_empty(struct io *io, const char *dir)
{
	int rc = io_list(io, dir, refuse_object, (void *)(uintptr_t)dir);

	return rc == ERR_ABSENT ? OK : rc;
}

/* An init that was cut short leaves directories, key slots and files in tmp/, never an object. */
static int
check_leftover(const struct vacancy *v)
{
	char shard[16];
	int rc = OK;

	for (size_t i = 0; rc == OK && i < DIR_COUNT; i++)
		if (strcmp(dirs[i], "packs") != 0 && strcmp(dirs[i], "keys") != 0 && strcmp(dirs[i], "tmp") != 0)
			rc = check_empty(v->io, dirs[i]);
	if (rc == OK && v->packs)
		rc = io_list(v->io, "packs", refuse_pack, (void *)(uintptr_t)"packs");
	for (unsigned i = 0; rc == OK && i < SHARDS; i++) {
		snprintf(shard, sizeof(shard), "packs/%02x", i);
		rc = check_empty(v->io, shard);
	}
	return rc;
}

/* FOUND: there is nothing but what an init left that was cut short. */
static int
look(struct io *io)
{
	struct vacancy v = { .io = io };
	uint64_t size;
	int rc = io_stat(io, HEADER, &size);

	if (rc == OK)
		return fail(ERR_EXISTS, "a repository is there already");
	rc = rc == ERR_ABSENT ? io_list(io, "", look_at_name, &v) : rc;
	if (rc == OK && v.leftover && (rc = check_leftover(&v)) == OK)
		rc = FOUND;
	return rc;
}

int
repo_check_vacant(struct io *io)
{
	int rc = look(io);

	return rc == FOUND ? OK : rc;
}

struct repo *
repo_close(struct repo *r)
{
	if (r) {
		keys_free(r->keys);
		io_free(r->io);
		free(r);
	}
	return NULL;
}

/* Under tmp/, then to its name, then durable. */
static int
publish(struct io *io, const char *tmp, const char *path, const char *dir,
    const void *buf, size_t len)
{
	int rc = io_write_file(io, tmp, buf, len);

	if (rc)
		return rc;
	if ((rc = io_rename(io, tmp, path))) {
		io_discard(io, tmp);
		return rc;
	}
	return io_sync_dir(io, dir);
}

/* path: where it is then. */
static int
publish_slot(struct io *io, const struct keyslot *slot, char path[static NAME_SID_HEX + 8])
{
	char hex[NAME_SID_HEX], tmp[NAME_SID_HEX + 8];
	uint8_t raw[KEYSLOT_LEN];
	int rc;

	if (keyslot_encode(raw, sizeof(raw), slot) != sizeof(raw))
		return fail(ERR_FAILED, "key slot cannot be encoded");
	name_sid_hex(&slot->slot_id, hex);
	snprintf(tmp, sizeof(tmp), "tmp/%s", hex);
	snprintf(path, NAME_SID_HEX + 8, "keys/%s", hex);
	rc = publish(io, tmp, path, "keys", raw, sizeof(raw));
	if (rc && rc != ERR_EXISTS)
		io_discard(io, path);
	return rc;
}

int
repo_publish_slot(struct repo *r, const struct keyslot *slot)
{
	char path[NAME_SID_HEX + 8];
	int rc = publish_slot(r->io, slot, path);

	if (rc == OK)
		parity_keep(r, OBJECTS_SLOT, path);
	return rc;
}

static int
make_dir(struct io *io, const char *path, bool again)
{
	int rc = io_mkdir(io, path);

	return rc == ERR_EXISTS && again ? OK : rc;
}

/* again: some may be there.  Otherwise `packs` being first decides which of two racing inits loses. */
static int
make_dirs(struct io *io, bool again)
{
	char shard[16];
	int rc;

	for (size_t i = 0; i < DIR_COUNT; i++)
		if ((rc = make_dir(io, dirs[i], again)))
			return rc;
	for (unsigned i = 0; i < SHARDS; i++) {
		snprintf(shard, sizeof(shard), "packs/%02x", i);
		if ((rc = make_dir(io, shard, again)))
			return rc;
	}
	for (unsigned i = 0; i < SHARDS; i++) {
		snprintf(shard, sizeof(shard), "packs/%02x", i);
		if ((rc = io_sync_dir(io, shard)))
			return rc;
	}
	for (size_t i = 0; i < DIR_COUNT; i++)
		if ((rc = io_sync_dir(io, dirs[i])))
			return rc;
	return OK;
}

static int
publish_locks(struct io *io, bool again)
{
	int rc;

	if (again) {
		io_discard(io, "tmp/locks");
		io_discard(io, "tmp/" HEADER);
	}
	rc = publish(io, "tmp/locks", "locks", "", "", 0);
	return rc == ERR_EXISTS && again ? io_sync_dir(io, "") : rc;
}

struct slots {
	char (*p)[NAME_SID_HEX];
	size_t count, cap;
	char own[NAME_SID_HEX];
};

static int
note_slot(void *arg, const char *name)
{
	struct slots *s = arg;
	int rc;

	if (strlen(name) != NAME_SID_HEX - 1 || strcmp(name, s->own) == 0)
		return OK;
	if ((rc = mem_grow((void **)&s->p, &s->cap, s->count + 1, sizeof(*s->p))))
		return rc;
	memcpy(s->p[s->count++], name, NAME_SID_HEX);
	return OK;
}

/*
 * Slots of an init that was cut short open nothing.  They go only now that varve-repo is ours: an init
 * that is still running then fails to publish its own, and says so.
 */
static int
drop_other_slots(struct io *io, const struct keyslot *slot)
{
	struct slots s = { .count = 0 };
	char path[NAME_SID_HEX + 8];
	int rc;

	name_sid_hex(&slot->slot_id, s.own);
	rc = io_list(io, "keys", note_slot, &s);
	for (size_t i = 0; rc == OK && i < s.count; i++) {
		snprintf(path, sizeof(path), "keys/%s", s.p[i]);
		io_discard(io, path);
	}
	free(s.p);
	return rc;
}

/* The header's bytes but for the checksum. */
static int
encode_header(struct repohdr *h, const struct repo_params *params,
    uint8_t raw[static REPOHDR_LEN])
{
	struct repo_params p = params ? *params : (struct repo_params){ 0 };
	int rc;

	if (p.parity && (rc = parity_check_shape(&p.shape)))
		return rc;
	h->chunk_min = p.chunk_min ? p.chunk_min : REPO_CHUNK_MIN;
	h->chunk_avg = p.chunk_avg ? p.chunk_avg : REPO_CHUNK_AVG;
	h->chunk_max = p.chunk_max ? p.chunk_max : REPO_CHUNK_MAX;
	if (repohdr_encode(raw, REPOHDR_LEN, h) == REPOHDR_LEN)
		return OK;
	return fail(ERR_USAGE, "chunk sizes %u:%u:%u: the minimum is at least"
	    " 4K, the average a power of two and at least twice the minimum,"
	    " the maximum at least twice the average and at most 1M",
	    h->chunk_min, h->chunk_avg, h->chunk_max);
}

int
repo_check_params(const struct repo_params *params)
{
	uint8_t raw[REPOHDR_LEN];
	struct repohdr h = { 0 };

	return encode_header(&h, params, raw);
}

/* A fresh header, its bytes and their hash. */
static int
make_header(struct repo *r, const struct repo_params *params,
    uint8_t raw[static REPOHDR_LEN])
{
	struct repohdr *h = &r->hdr;
	int rc;

	entropy_fill(h->repo_id.b, sizeof(h->repo_id.b));
	if ((rc = encode_header(h, params, raw)))
		return rc;
	digest_hash(&h->checksum, raw, REPOHDR_COVERED);
	memcpy(raw + REPOHDR_COVERED, h->checksum.b, NAME_LEN);
	digest_hash(&r->header_hash, raw, REPOHDR_LEN);
	return OK;
}

/* The first slot, and r's keys.  master: NULL for a fresh one. */
static int
make_slot(struct repo *r, const struct keys_secret *secret,
    const struct keys_cost *cost, const char *label, const uint8_t *master,
    struct keyslot *slot)
{
	struct keyslot_payload *payload;
	int rc;

	if ((rc = keyring_payload_new(r, label, &payload)))
		return rc;
	if (master)
		memcpy(payload->master, master, sizeof(payload->master));
	else
		entropy_fill(payload->master, sizeof(payload->master));
	if ((rc = keys_slot_seal(slot, &r->hdr.repo_id, secret, cost,
	    payload)) == OK)
		rc = keys_new(payload->master, &r->keys);
	if (rc == OK)
		keyring_opened(r, slot, payload);
	sodium_free(payload);
	return rc;
}

int
repo_create(struct io *io, const struct repo_params *params,
    const struct keys_secret *secret, const struct keys_cost *cost,
    const char *label, const uint8_t *master, struct repo **out)
{
	uint8_t raw[REPOHDR_LEN];
	char path[NAME_SID_HEX + 8];
	struct keyslot slot;
	struct repo *r;
	bool again;
	int rc;

	*out = NULL;
	if ((rc = MEM_NEW(r))) {
		io_free(io);
		return rc;
	}
	r->io = io;
	if ((rc = look(io)) < 0)
		goto out;
	again = rc == FOUND;
	if ((rc = make_header(r, params, raw)) ||
	    (rc = make_slot(r, secret, cost, label, master, &slot)) ||
	    (rc = make_dirs(io, again)) ||
	    (rc = publish_locks(io, again)) ||
	    (rc = publish_slot(io, &slot, path)) ||
	    (rc = publish(io, "tmp/" HEADER, HEADER, "", raw, sizeof(raw))))
		goto out;
	if (again && (rc = drop_other_slots(io, &slot)))
		goto out;
	/* Not before: what a crash leaves must look like an init that was cut short (GN-7). */
	parity_keep(r, OBJECTS_HEADER, HEADER);
	parity_keep(r, OBJECTS_SLOT, path);
	if (params && params->parity)
		rc = parity_set_policy(r, &params->shape);
out:
	*out = rc ? repo_close(r) : r;
	return rc;
}

/* RH-1 with the checksum. */
static int
read_header(struct repo *r)
{
	struct name sum;
	uint8_t *raw;
	size_t len;
	int rc;

	/* One byte more than there may be: a longer file is malformed. */
	rc = io_read_file(r->io, HEADER, REPOHDR_LEN + 1, &raw, &len);
	if (rc == ERR_ABSENT)
		return fail(ERR_NOREPO, "there is no '" HEADER "': is there a"
		    " repository? create one with 'varve init'");
	if (rc)
		return rc;
	rc = err_verdict(repohdr_decode(&r->hdr, raw, len),
	    "repository header");
	if (rc == OK) {
		digest_hash(&sum, raw, REPOHDR_COVERED);
		digest_hash(&r->header_hash, raw, len);
		r->read_only = (r->hdr.ro_compat & ~REPOHDR_ROCOMPAT_KNOWN)
		    != 0;
		if (name_cmp(&sum, &r->hdr.checksum) != 0)
			rc = fail(ERR_CORRUPT, "bad repository header: wrong"
			    " checksum");
	}
	free(raw);
	return rc;
}

int
repo_open(struct io *io, struct repo **out)
{
	struct repo *r;
	int rc;

	*out = NULL;
	if ((rc = MEM_NEW(r))) {
		io_free(io);
		return rc;
	}
	r->io = io;
	rc = read_header(r);
	*out = rc ? repo_close(r) : r;
	return rc;
}

int
repo_open_dir(const char *dir, struct repo **out)
{
	struct io *io;
	int rc;

	*out = NULL;
	rc = io_posix_new(dir, false, &io);
	if (rc == OK)
		rc = repo_open(io, out);
	if (rc == ERR_ABSENT || rc == ERR_NOREPO)
		return fail(ERR_NOREPO, "is there a repository at '%s'?"
		    " create one with 'varve init'", dir);
	return rc == ERR_CORRUPT || rc == ERR_UNSUPPORTED ?
	    err_context(rc, "'%s'", dir) : rc;
}

/* What kinds of slots were met, and the first thing that went wrong. */
struct attempt {
	unsigned kinds;                 /* bit per enum keyslot_kind */
	unsigned tried;                 /* slots of the secret's kind */
	int bad;                        /* first failure other than ERR_KEY */
	char why[512];
};

static void
attempt_note(struct attempt *a, int rc)
{
	if (a->bad != OK)
		return;
	a->bad = rc;
	snprintf(a->why, sizeof(a->why), "%s", err_text());
}

/* Nothing opened: say the most useful thing that is known. */
static int
attempt_explain(const struct attempt *a, uint32_t kind)
{
	static const char *const wrong[] = {
		[KEYSLOT_PASSPHRASE] = "wrong passphrase",
		[KEYSLOT_KEYFILE] = "wrong key file",
		[KEYSLOT_PUBLIC] = "the public slot does not open",
	};
	bool certain = a->bad != OK && a->bad != ERR_CORRUPT &&
	    a->bad != ERR_UNSUPPORTED && a->bad != ERR_ABSENT;

	if (a->bad != OK && (certain || a->tried == 0)) {
		err_set(a->bad, a->why);
		return a->bad;
	}
	if (a->tried > 0)
		return fail(ERR_KEY, "%s%s%s", wrong[kind], a->bad != OK ?
		    "; one slot could not be tried: " : "", a->why);
	if (kind == KEYSLOT_PUBLIC)
		return fail(ERR_KEY, "the repository is encrypted: it has no"
		    " public slot");
	if (a->kinds == 1u << KEYSLOT_PUBLIC)
		return fail(ERR_KEY, "the repository has a public slot only:"
		    " --insecure-no-encryption opens it");
	if (a->kinds == 0)
		return fail(ERR_KEY, "the repository has no key slots;"
		    " 'varve key import' makes one from the paper form");
	return fail(ERR_KEY, kind == KEYSLOT_PASSPHRASE ?
	    "no slot takes a passphrase: the repository opens with a key file" :
	    "no slot takes a key file: the repository opens with a passphrase");
}

/* Install the keys of a slot that opened. */
static int
install(struct repo *r, const struct keyslot *slot,
    const struct keyslot_payload *payload)
{
	int rc;

	/* RH-2, KS-5. */
	if (name_cmp(&payload->header_hash, &r->header_hash) != 0)
		return fail(ERR_AUTH, "the repository header was replaced: it is"
		    " not the one that these keys were made for");
	keys_free(r->keys);
	if ((rc = keys_new(payload->master, &r->keys)) == OK)
		keyring_opened(r, slot, payload);
	return rc;
}

int
repo_unlock(struct repo *r, const struct keys_secret *secret)
{
	struct keyslot_payload *payload = NULL;
	struct keyring_entry *all = NULL;
	struct attempt a = { 0 };
	size_t count = 0;
	int rc;

	if ((rc = keyring_payload_new(r, NULL, &payload)) ||
	    (rc = keyring_list(r, &all, &count)))
		goto out;
	for (size_t i = 0; i < count; i++) {
		struct keyslot *slot = &all[i].slot;

		/* What could not be read in passing may be readable now. */
		if (all[i].verdict &&
		    (rc = keyring_read(r, &slot->slot_id, slot))) {
			attempt_note(&a, rc);
			continue;
		}
		a.kinds |= 1u << slot->kind;
		/* KS-4: a public slot counts only for whoever asked for it. */
		if (slot->kind != secret->kind)
			continue;
		a.tried++;
		rc = keys_slot_open(slot, secret, payload);
		if (rc == OK) {
			rc = install(r, slot, payload);
			goto out;
		}
		if (rc != ERR_KEY)
			attempt_note(&a, rc);
	}
	rc = attempt_explain(&a, secret->kind);
out:
	sodium_free(payload);
	free(all);
	return rc;
}
