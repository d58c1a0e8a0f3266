/* every_writes: the operations that change a repository. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "format/frame.h"
#include "format/treenode.h"
#include "ops/prune.h"
#include "ops/snapshot.h"
#include "store/graves.h"
#include "store/keyring.h"
#include "store/paper.h"
#include "store/parity.h"
#include "store/pins.h"
#include "store/proofs.h"
#include "store/rebuild.h"
#include "store/reserve.h"
#include "store/session.h"
#include "store/settle.h"
#include "tests/fault/every.h"
#include "tests/unit/support_store.h"

static const uint8_t first_key[32] = { 'k', 'e', 'y', 0 }, third_key[32] = { 'k', 'e', 'y', 3 };

static int
init(struct every *e)
{
	const struct keys_secret secret = { KEYSLOT_KEYFILE, first_key, sizeof(first_key) };
	const struct repo_params small = { .chunk_min = 4096, .chunk_avg = 8192, .chunk_max = 16384, .parity = true,
		.shape = PARITY_DEFAULT };
	struct repo *r;
	int rc = repo_create(support_disk_io(e->d), &small, &secret, NULL, "first", support_store_master, &r);

	repo_close(r);
	return rc;
}

static int
take(struct every *e)
{
	size_t before = e->count;
	int rc = every_snapshot(e, e->r, e->source);

	e->count = before;
	return rc;
}

static int
take_little(struct every *e)
{
	char path[400];
	size_t before = e->count;
	int rc;

	snprintf(path, sizeof(path), "%s/empty", e->source);
	rc = every_snapshot(e, e->r, path);
	e->count = before;
	return rc;
}

static int
take_databases(struct every *e)
{
	size_t before = e->count;
	int rc = every_snapshot(e, e->r, e->databases);

	e->count = before;
	return rc;
}

/* With everything that a snapshot can be told. */
static int
take_otherwise(struct every *e)
{
	const char *const paths[] = { e->source, e->databases }, *const tags[] = { "one", "two" };
	const struct snapshot_options o = { .paths = paths, .path_count = 2, .host = "host", .user = "user", .tags = tags, .tag_count = 2,
		.jobs = 2, .level = 3, .rehash = true, .paranoid = true, .exclude_caches = true, .one_file_system = true,
		.larger_than = 1 << 21 };
	struct snapshot_result res;

	return snapshot_run(e->r, &o, &res);
}

/* Everything is read and counted, nothing written. */
static int
take_dry(struct every *e)
{
	const char *const paths[] = { e->source };
	const struct snapshot_options o = { .paths = paths, .path_count = 1, .host = "host", .user = "user", .jobs = 1, .dry_run = true };
	struct snapshot_result res;
	int rc = snapshot_run(e->r, &o, &res);

	if (rc == OK)
		every_say(e, "%ju files", (uintmax_t)res.stats[SNAPREC_FILES]);
	return rc;
}

static int
take_nothing_new(struct every *e)
{
	const char *const paths[] = { e->databases };
	const struct snapshot_options o = { .paths = paths, .path_count = 1, .host = "host", .user = "user", .jobs = 1,
		.skip_if_unchanged = true, .helper = program_invocation_name };
	struct snapshot_result res;
	int rc = snapshot_run(e->r, &o, &res);

	if (rc == OK)
		every_say(e, "%d", res.unchanged);
	return rc;
}

static int
take_command(struct every *e)
{
	const struct snapshot_options o = { .host = "host", .user = "user", .jobs = 1, .command = "seq 5000", .name = "numbers",
		.time_ns = 1000000000 };
	struct snapshot_result res;

	return snapshot_run(e->r, &o, &res);
}

static int
put_data(struct session *s, uint64_t seed, size_t len, const struct name *base, struct name *id)
{
	uint8_t p[16000];

	support_store_bytes(p, len, seed);
	support_store_bytes(p, len / 4, base ? seed + 1 : seed);
	return session_put(s, FRAME_DATA, p, len, base, id, NULL);
}

/* A directory of three files. */
static int
put_tree(struct session *s, const struct name id[static 3], const struct name *base, struct name *root)
{
	uint8_t p[1000];
	size_t len = treenode_head_encode(p, sizeof(p), 0);

	for (size_t i = 0; i < 3; i++) {
		const struct treenode_entry e = { .name = (const uint8_t *)"abc" + i, .name_len = 1, .kind = TREENODE_FILE, .size = 100,
			.content = id[i] };

		len += treenode_entry_encode(p + len, sizeof(p) - len, &e);
	}
	return session_put(s, FRAME_TREE, p, len, base, root, NULL);
}

/* A session with bases, published in parts, and one that ends without a snapshot. */
static int
sessions(struct every *e)
{
	const struct session_config cfg = { .jobs = 2, .level = 1, .part_bytes = 30000 };
	struct name id[3], root;
	struct session *s = NULL;
	int rc = session_begin(e->r, &cfg, &s);

	for (unsigned i = 0; rc == OK && i < 3; i++)
		rc = put_data(s, 40, 15997 + i, NULL, &id[i]);
	if (rc == OK && (rc = put_tree(s, id, NULL, &root)) == OK && (rc = session_checkpoint(s)) == OK &&
	    (rc = session_fine(s, true)) == OK)
		rc = put_data(s, 40, 15000, &id[0], &id[1]);
	if (rc == OK && (rc = session_fine(s, false)) == OK && (rc = put_tree(s, id, &root, &root)) == OK)
		rc = support_store_commit(s, &root);
	if (rc && s)
		session_abort(s);
	session_free(s);
	return rc;
}

/* So much that parts are published meanwhile. */
static int
session_large(struct every *e)
{
	const struct session_config cfg = { .jobs = 2, .level = 1, .part_bytes = 1 << 20 };
	struct name id[3], root;
	struct session *s = NULL;
	int rc = session_begin(e->r, &cfg, &s);

	for (unsigned i = 0; rc == OK && i < 400; i++)
		rc = put_data(s, 1000 + i, 16000, NULL, &id[i % 3]);
	if (rc == OK && (rc = put_tree(s, id, NULL, &root)) == OK)
		rc = support_store_commit(s, &root);
	if (rc && s)
		session_abort(s);
	session_free(s);
	return rc;
}

/* What waits for a base is given up, too. */
static int
session_given_up(struct every *e)
{
	const struct session_config cfg = { .jobs = 1, .level = 1 };
	struct session *s;
	struct name id;
	int rc = session_begin(e->r, &cfg, &s);

	if (rc)
		return rc;
	if ((rc = session_fine(s, true)) == OK)
		rc = put_data(s, 40, 9000, NULL, &id);
	session_abort(s);
	session_free(s);
	return rc;
}

static int
settle(struct every *e)
{
	struct settle_stats st;
	int rc = settle_run(e->r, NULL, 0, true, &st);

	if (rc == OK)
		every_say(e, "%ju %ju %ju", (uintmax_t)st.segments, (uintmax_t)st.packs_removed, (uintmax_t)st.snapshots_removed);
	return rc;
}

static void
count_progress(void *arg, uint64_t done, uint64_t total)
{
	(void)arg;
	(void)done;
	(void)total;
}

static int
prune(struct every *e, unsigned max_unused)
{
	const struct prune_options o = { .max_unused = max_unused, .max_rewrite = UINT64_MAX, .progress = count_progress };
	struct prune_result res;
	int rc = prune_run(e->r, &o, &res);

	if (rc == OK)
		every_say(e, "%ju snapshots", (uintmax_t)res.stats.snapshots_removed);
	return rc;
}

static void
note_waiting(void *arg)
{
	every_say(arg, "waits");
}

/* Somebody reads meanwhile: on this disk nobody waits. */
static int
prune_waits(struct every *e)
{
	const struct prune_options o = { .max_unused = 0, .max_rewrite = UINT64_MAX, .waiting = note_waiting, .arg = e };
	struct io *other = support_disk_io(e->d);
	struct prune_result res;
	int rc = io_lock(other, IO_SHARED, false);

	if (rc == OK)
		rc = prune_run(e->r, &o, &res);
	io_free(other);
	return rc;
}

/* No more than one step that moves little. */
static int
prune_bounded(struct every *e)
{
	const struct prune_options o = { .max_unused = 0, .max_rewrite = 30000 };
	struct prune_result res;

	return prune_run(e->r, &o, &res);
}

static int
prune_drops(struct every *e)
{
	return prune(e, 1000);
}

static int
prune_rewrites(struct every *e)
{
	return prune(e, 0);
}

static int
with_records(struct every *e, int (*fn)(struct repo *r, const struct name_sid *sids, size_t n), size_t first, size_t n)
{
	int rc = io_lock(e->r->io, IO_SHARED, true), rc2;

	if (rc == OK)
		rc = fn(e->r, &e->sids[first], n);
	rc2 = io_lock(e->r->io, IO_UNLOCKED, false);
	return rc ? rc : rc2;
}

static int
bury(struct every *e)
{
	return with_records(e, graves_bury, 0, 2);
}

static int
raise_one(struct repo *r, const struct name_sid *sids, size_t n)
{
	(void)n;
	return graves_raise(r, sids);
}

static int
undelete(struct every *e)
{
	return with_records(e, raise_one, 3, 1);
}

static int
pin_both_ways(struct repo *r, const struct name_sid *sids, size_t n)
{
	int rc;

	(void)n;
	return (rc = pins_set(r, &sids[0], true)) ? rc : pins_set(r, &sids[2], false);
}

static int
pins(struct every *e)
{
	return with_records(e, pin_both_ways, 0, 3);
}

static int
key_add(struct every *e)
{
	const struct keys_secret secret = { KEYSLOT_KEYFILE, third_key, sizeof(third_key) };
	struct name_sid id;

	return keyring_add(e->r, &secret, NULL, "third", &id);
}

static int
key_add_passphrase(struct every *e)
{
	const struct keys_secret secret = { KEYSLOT_PASSPHRASE, (const uint8_t *)"pass", 4 };
	const struct keys_cost cost = { .passes = 1, .memory_kib = 8192 };
	struct name_sid id;

	return keyring_add(e->r, &secret, &cost, "in words", &id);
}

/* Of the second key, which nobody needs afterwards. */
static int
with_second(struct every *e, int (*fn)(struct repo *r))
{
	struct repo *r;
	int rc = every_open(e->d, 1, &r);

	if (rc == OK)
		rc = fn(r);
	repo_close(r);
	return rc;
}

static int
change(struct repo *r)
{
	const struct keys_secret secret = { KEYSLOT_KEYFILE, third_key, sizeof(third_key) };
	struct name_sid id;

	return keyring_change(r, &secret, NULL, NULL, &id);
}

static int
key_change(struct every *e)
{
	return with_second(e, change);
}

static int
key_remove(struct every *e)
{
	struct keyring_entry *all;
	size_t count;
	int rc = keyring_list(e->r, &all, &count);

	if (rc)
		return rc;
	for (size_t i = 0; rc == OK && i < count; i++)
		if (!all[i].current)
			rc = keyring_remove(e->r, &all[i].slot.slot_id);
	free(all);
	return rc;
}

static int
rebuild(struct every *e)
{
	const struct rebuild_options o = { 0 };
	struct rebuild_stats st;
	int rc = io_lock(e->r->io, IO_EXCLUSIVE, true), rc2;

	if (rc == OK)
		rc = rebuild_index(e->r, &o, &st);
	if (rc == OK)
		every_say(e, "%ju packs, %ju chunks, %ju bad, %d %s", (uintmax_t)st.packs, (uintmax_t)st.chunks, (uintmax_t)st.bad_frames,
		    st.counted, st.note);
	if (rc == OK && (!st.counted || st.bad_packs || st.bad_frames))
		rc = fail(ERR_CORRUPT, "not all was read");
	rc2 = io_lock(e->r->io, IO_UNLOCKED, false);
	return rc ? rc : rc2;
}

static int
proofs(struct every *e)
{
	struct proofs p;
	struct name pack = { { 1 } };
	int rc = io_lock(e->r->io, IO_SHARED, true), rc2;

	if (rc)
		return rc;
	rc = proofs_load(e->r, &p);
	for (unsigned i = 0; rc == OK && i < 20; i++) {
		pack.b[0] = (uint8_t)(i * 37);
		if ((rc = proofs_note_pack(&p, &pack, 1000 + i)) == OK)
			rc = proofs_note_snap(&p, &e->sids[i % e->count], 2000 + i);
	}
	if (rc == OK && (rc = proofs_save(e->r, &p)) == OK) {
		proofs_clear(&p);
		if ((rc = proofs_load(e->r, &p)) == OK)
			every_say(e, "%zu %zu %jd", p.pack_count, p.snap_count, (intmax_t)proofs_of_pack(&p, &pack));
	}
	proofs_clear(&p);
	rc2 = io_lock(e->r->io, IO_UNLOCKED, false);
	return rc ? rc : rc2;
}

static int
reserve(struct every *e)
{
	int rc = io_lock(e->r->io, IO_EXCLUSIVE, true), rc2;

	if (rc == OK && (rc = reserve_give(e->r->io)) >= OK)
		rc = reserve_make(e->r->io, reserve_want(1));
	rc2 = io_lock(e->r->io, IO_UNLOCKED, false);
	return rc ? rc : rc2;
}

static int
policy(struct every *e)
{
	const struct sidecar_shape shape = { .block = 65536, .data = 16, .parity = 2 };
	struct sidecar_shape is = { 0 };
	int rc = io_lock(e->r->io, IO_EXCLUSIVE, true), rc2;

	if (rc == OK && (rc = parity_set_policy(e->r, &shape)) == OK) {
		parity_forget(e->r);
		rc = parity_policy(e->r, &is);
		every_say(e, "%d %u", rc == FOUND, (unsigned)is.data);
		rc = rc < 0 ? rc : OK;
	}
	rc2 = io_lock(e->r->io, IO_UNLOCKED, false);
	return rc ? rc : rc2;
}

/* A repository of a later version that this one may read: nothing is written. */
static int
only_reads(struct every *e)
{
	const struct session_config cfg = { .jobs = 1 };
	const struct keys_secret secret = { KEYSLOT_KEYFILE, third_key, sizeof(third_key) };
	struct settle_stats st;
	struct session *s;
	struct name_sid id;
	struct proofs p;
	int rc;

	e->r->read_only = true;
	every_say(e, "%d %d", settle_run(e->r, NULL, 0, true, &st), keyring_add(e->r, &secret, NULL, NULL, &id));
	if ((rc = session_begin(e->r, &cfg, &s)) == OK)
		session_free(s);
	every_say(e, " %d", rc);
	if ((rc = io_lock(e->r->io, IO_SHARED, true)))
		return rc;
	every_say(e, " %d %d", pins_set(e->r, e->sids, true), graves_bury(e->r, e->sids, 1));
	if ((rc = proofs_load(e->r, &p)) == OK)
		every_say(e, " %d", proofs_save(e->r, &p));
	proofs_clear(&p);
	(void)!io_lock(e->r->io, IO_UNLOCKED, false);
	return rc;
}

static int
paper(struct every *e)
{
	struct repo *r = NULL;
	char *text = NULL;
	int rc;

	if ((rc = paper_export(e->r, &text)) == OK && (rc = repo_open(support_disk_io(e->d), &r)) == OK &&
	    (rc = paper_import(r, text)) == OK)
		every_say(e, "%d", memcmp(r->keys->master, e->r->keys->master, 32));
	paper_free(text);
	repo_close(r);
	return rc;
}

const struct every_op every_writes[] = {
	{ "init", EVERY_NOTHING, EVERY_ALL | EVERY_OPENS, init, ERR_EXISTS, NULL },
	{ "snapshot: first", EVERY_NEW, EVERY_ALL, take, 0, NULL },
	{ "snapshot: next", EVERY_HISTORY, EVERY_ALL | EVERY_ON_CALLS, take, 0, NULL },
	{ "snapshot: unlike", EVERY_HISTORY, EVERY_ALL, take_otherwise, 0, NULL },
	{ "snapshot: folds", EVERY_SEGMENTS, EVERY_ALL, take, 0, NULL },
	{ "snapshot: databases", EVERY_NEW, EVERY_ALL | EVERY_ON_CALLS | EVERY_ANEW, take_databases, 0, NULL },
	{ "snapshot: nothing new", EVERY_DATABASE, EVERY_ALL | EVERY_FORGIVES, take_nothing_new, 0, NULL },
	{ "snapshot: of a command", EVERY_NEW, EVERY_ALL | EVERY_ANEW, take_command, 0, NULL },
	{ "session: parts and bases", EVERY_HISTORY, EVERY_ALL, sessions, 0, NULL },
	{ "session: large", EVERY_NEW, EVERY_ALL, session_large, 0, NULL },
	{ "session: given up", EVERY_NEW, EVERY_ALL | EVERY_WHOLE, session_given_up, 0, NULL },
	{ "snapshot: of an empty directory", EVERY_NEW, EVERY_ON_CALLS | EVERY_WHOLE, take_little, 0, NULL },
	{ "settle", EVERY_HISTORY, EVERY_ALL, settle, 0, NULL },
	{ "prune: drops", EVERY_PRUNE, EVERY_ALL | EVERY_SPARES, prune_drops, 0, NULL },
	{ "prune: rewrites", EVERY_PRUNE, EVERY_ALL | EVERY_SPARES, prune_rewrites, 0, NULL },
	{ "prune: waits", EVERY_PRUNE, EVERY_ALL, prune_waits, 0, "waits" },
	{ "prune: bounded", EVERY_PRUNE, EVERY_ALL | EVERY_SPARES, prune_bounded, 0, NULL },
	{ "prune: merges", EVERY_SMALL, EVERY_ALL, prune_rewrites, 0, NULL },
	{ "prune: after segments", EVERY_HISTORY, EVERY_ALL | EVERY_SPARES, prune_rewrites, 0, NULL },
	{ "forget", EVERY_HISTORY, EVERY_ALL, bury, ERR_ABSENT, NULL },
	{ "undelete", EVERY_HISTORY, EVERY_ALL, undelete, ERR_ABSENT, NULL },
	{ "pin and unpin", EVERY_HISTORY, EVERY_ALL | EVERY_WHOLE, pins, 0, NULL },
	{ "key add", EVERY_HISTORY, EVERY_ALL, key_add, 0, NULL },
	{ "key add: passphrase", EVERY_HISTORY, EVERY_ALL, key_add_passphrase, 0, NULL },
	{ "key change", EVERY_HISTORY, EVERY_ALL | EVERY_OPENS, key_change, ERR_KEY, NULL },
	{ "key remove", EVERY_HISTORY, EVERY_ALL, key_remove, 0, NULL },
	{ "repair index", EVERY_HISTORY, EVERY_ALL | EVERY_FORGIVES | EVERY_HALF, rebuild, 0, NULL },
	{ "proofs", EVERY_HISTORY, EVERY_ALL | EVERY_FORGIVES, proofs, 0, NULL },
	{ "reserve", EVERY_HISTORY, EVERY_ALL, reserve, 0, NULL },
	{ "parity policy", EVERY_BARE, EVERY_ALL, policy, 0, NULL },
	{ "nothing is written to a later version", EVERY_HISTORY, EVERY_ALL | EVERY_FORGIVES, only_reads, 0, NULL },
	{ "snapshot: dry run", EVERY_HISTORY, EVERY_ALL, take_dry, 0, NULL },
	{ "paper", EVERY_HISTORY, EVERY_ALL, paper, 0, NULL },
	{ 0 },
};
