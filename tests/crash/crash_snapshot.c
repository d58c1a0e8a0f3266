/*
 * crash_snapshot [STATES | all]: every command that changes a repository, each cut short after every single operation, by a kill and
 * by a power loss of every kind that support_io knows: init, snapshots, settle, key add, change and remove, pin, forget, undelete,
 * prune that drops packs, that rewrites them and that merges small ones.
 *
 * The invariant, in words.  Whatever moment is chosen and whatever the disk made of what was not yet synced: a snapshot that was
 * reported as made reads back, byte for byte; at most the one that was being made is lost; a repository whose init was reported
 * opens, one whose init was not either opens or is none yet; a key that was reported as added opens, one reported as removed does
 * not, and at any moment one of them opens.  Nothing has to be repaired by hand: the next snapshot works at once, and the next
 * settle leaves exact counts and no rubbish.
 *
 * Compound faults: every fourth state is recovered from twice more.  Once the recovery is itself cut short by a loss of power, once
 * operations of it fail (one, or all from one on); what it reported as made must be there, and the recovery after that is held to
 * the same invariant.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/digest.h"
#include "ops/prune.h"
#include "ops/snapshot.h"
#include "store/graves.h"
#include "store/keyring.h"
#include "store/pins.h"
#include "store/settle.h"
#include "store/snapshots.h"
#include "store/tree.h"
#include "tests/unit/support_recount.h"
#include "tests/unit/support_store.h"

#define DEFAULT_STATES 3000u
#define RANDOMS 64                      /* random losses of each prefix; of init, which has by far the most prefixes ... */
#define RANDOMS_MORE 400                /* ... and of all others */
#define SNAPS_MAX 24
#define KEYS 3

/* A snapshot, and what its content hashes to when it is read back. */
struct snap {
	struct name_sid sid;
	uint64_t sum;
	bool may_miss;                  /* being made, or being collected */
	bool hidden, gone;              /* may be in forgotten/; was forgotten for good */
};

enum opens { NEVER, MAYBE, SURELY };

struct run {
	char source[300];
	uint64_t source_sum;            /* what a snapshot of it now hashes to, the times of directories apart */
	enum opens key[KEYS], key_next[KEYS];   /* before the phase, and when it was reported as done */
	struct support_disk *d;         /* before the phase; then after it, with its log */
	struct snap snap[SNAPS_MAX];
	size_t count;
	const struct support_disk *cut; /* the phase whose states are tried */
	size_t end;                     /* operations of it */
	bool may_be_none;               /* init */
	char why[600];
	unsigned long stride, number, tried, failed;    /* every stride-th state is tried; 0: none, they are only counted */
	unsigned long compound;         /* states beside, reached by a second fault */
};

static bool wrong(struct run *u, const char *what) __attribute__((noinline));

static bool
wrong(struct run *u, const char *what)
{
	if (!u->why[0])
		snprintf(u->why, sizeof(u->why), "%s: %s", what, err_text());
	return false;
}

/* --------------------------------------------------------------------------------------------------- source */

static bool
write_source(const struct run *u, const char *name, size_t len, uint64_t seed)
{
	char path[400];
	uint8_t *p = malloc(len + 1);
	FILE *f;
	bool ok;

	snprintf(path, sizeof(path), "%s/%s", u->source, name);
	f = fopen(path, "wb");
	if (!p || !f)
		abort();
	support_store_bytes(p, len, seed);
	ok = fwrite(p, 1, len, f) == len;
	ok = fclose(f) == 0 && ok;
	free(p);
	return ok;
}

/* Two directories of small files, one file of several chunks, a link. */
static bool
make_source(struct run *u)
{
	const char *tmp = getenv("TMPDIR");
	char path[400], name[32];
	bool ok = true;

	snprintf(u->source, sizeof(u->source), "%s/varve-crash-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(u->source))
		return false;
	for (unsigned i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/d%u", u->source, i);
		ok = ok && mkdir(path, 0755) == 0;
		for (unsigned k = 0; k < 4; k++) {
			snprintf(name, sizeof(name), "d%u/f%u", i, k);
			ok = ok && write_source(u, name, 100 + 500 * k, 10 * i + k);
		}
	}
	snprintf(path, sizeof(path), "%s/link", u->source);
	return ok && symlink("d0/f1", path) == 0 && write_source(u, "large", 50000, 99);
}

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

/* ------------------------------------------------------------------------------------------------- operations */

static bool
take_snapshot(struct run *u, struct repo *r, struct name_sid *sid)
{
	const char *const paths[] = { u->source };
	const struct snapshot_options o = { .paths = paths, .path_count = 1, .host = "host", .user = "user", .jobs = 1, .level = 1 };
	struct snapshot_result res;

	if (snapshot_run(r, &o, &res) != OK)
		return wrong(u, "snapshot");
	*sid = res.sid;
	return true;
}

static uint64_t
sum_of(uint64_t sum, const void *p, size_t len)
{
	uint64_t two[2] = { sum, digest_xxh3(p, len) };

	return digest_xxh3(two, sizeof(two));
}

static int
sum_content(struct reader *rd, const struct treenode_entry *e, uint64_t *sum)
{
	struct tree_content *c;
	struct tree_piece piece;
	const uint8_t *p;
	size_t len;
	int rc = tree_content_open(rd, e, &c);

	while (rc == OK && (rc = tree_content_next(c, &piece)) == FOUND)
		if ((rc = reader_get(rd, &piece.id, 'D', &p, &len)) == OK)
			*sum = sum_of(*sum, p, len);
	tree_content_close(c);
	return rc == AT_END ? OK : rc;
}

/* Names, kinds, modes, times, sizes, targets and bytes of everything beneath a tree. */
static int
sum_tree(struct reader *rd, const struct name *id, unsigned depth, uint64_t *sum)
{
	struct tree_dir *d;
	struct tree_entry copy;
	struct treenode_entry e;
	int rc = depth > 40 ? ERR_CORRUPT : tree_open(rd, id, &d);

	if (rc)
		return rc;
	while (rc >= 0 && (rc = tree_next(d, &e)) == FOUND) {
		bool dir = e.kind == TREENODE_DIR;      /* its parents may change meanwhile */
		const uint64_t numbers[] = { e.kind, e.flags, e.mode, e.size, dir ? 0 : (uint64_t)e.mtime, dir ? 0 : e.mtime_ns };

		if ((rc = tree_entry_copy(&copy, &e)))
			break;
		*sum = sum_of(*sum, e.name, e.name_len);
		*sum = sum_of(*sum, numbers, sizeof(numbers));
		if (e.target)
			*sum = sum_of(*sum, e.target, (size_t)e.size);
		if (copy.e.kind == TREENODE_DIR)
			rc = sum_tree(rd, &copy.e.content, depth + 1, sum);
		else if (copy.e.kind == TREENODE_FILE)
			rc = sum_content(rd, &copy.e, sum);
		tree_entry_clear(&copy);
	}
	tree_close(d);
	return rc == AT_END ? OK : rc;
}

static int
sum_snapshot(struct repo *r, struct reader *rd, bool forgotten, const struct name_sid *sid, uint64_t *sum)
{
	struct snapshots_item it;
	int rc = snapshots_read(r, forgotten, sid, &it);

	*sum = 0;
	if (rc == OK)
		rc = sum_tree(rd, &it.rec.root, 0, sum);
	snapshots_item_clear(&it);
	return rc;
}

/* Is each snapshot there that was reported, and what it was? */
static bool
read_back(struct run *u, struct repo *r)
{
	struct index *ix = NULL;
	struct reader *rd = NULL;
	uint64_t sum;
	bool ok = true;
	int rc;

	if (io_lock(r->io, IO_SHARED, false) || index_load(r, &ix) || reader_new(r, ix, 8u << 20, &rd))
		ok = wrong(u, "index");
	for (size_t i = 0; ok && i < u->count; i++) {
		rc = sum_snapshot(r, rd, false, &u->snap[i].sid, &sum);
		if (rc == ERR_ABSENT && u->snap[i].hidden)
			rc = sum_snapshot(r, rd, true, &u->snap[i].sid, &sum);
		if (rc == ERR_ABSENT && u->snap[i].may_miss)
			continue;
		if (rc || sum != u->snap[i].sum)
			ok = wrong(u, rc ? "a snapshot is lost" : "a snapshot reads back as something else");
	}
	reader_free(rd);
	index_free(ix);
	(void)!io_lock(r->io, IO_UNLOCKED, false);
	return ok;
}

/* Is this snapshot what the source is now? */
static bool
is_source(struct run *u, struct repo *r, const struct name_sid *sid)
{
	struct index *ix = NULL;
	struct reader *rd = NULL;
	uint64_t sum = 0;
	bool ok = !io_lock(r->io, IO_SHARED, false) && !index_load(r, &ix) && !reader_new(r, ix, 8u << 20, &rd) &&
	    !sum_snapshot(r, rd, false, sid, &sum);

	reader_free(rd);
	index_free(ix);
	(void)!io_lock(r->io, IO_UNLOCKED, false);
	/* In init nothing is known of the source yet. */
	if (ok && u->source_sum == 0)
		return true;
	return (ok && sum == u->source_sum) || wrong(u, "a snapshot is not what its source is");
}

static bool
recount(struct run *u, struct repo *r, enum support_recount how)
{
	struct support_recount_result res;

	if (support_recount(r, how, &res))
		return true;
	if (!u->why[0])
		snprintf(u->why, sizeof(u->why), "%s", res.why);
	return false;
}

/* ---------------------------------------------------------------------------------------------------- states */

static int
unlock(struct repo *r, unsigned k)
{
	const uint8_t bytes[32] = { 'k', 'e', 'y', (uint8_t)k };
	const struct keys_secret secret = { KEYSLOT_KEYFILE, bytes, sizeof(bytes) };

	return repo_unlock(r, &secret);
}

/* Open with each key that may open; the last that does stays.  ERR_KEY is the only other answer. */
static int
open_any(struct run *u, struct support_disk *d, bool complete, struct repo **out)
{
	int rc = repo_open(support_disk_io(d), out), opened = ERR_KEY;

	for (unsigned k = 0; rc == OK && k < KEYS; k++) {
		int one = unlock(*out, k);
		enum opens want = complete || u->key[k] == u->key_next[k] ? u->key_next[k] : MAYBE;

		if ((one != OK && one != ERR_KEY) || (want == SURELY && one) || (want == NEVER && one == OK)) {
			snprintf(u->why, sizeof(u->why), "key %u: %d where %d is right: %s", k, one, (int)want, err_text());
			rc = ERR_FAILED;
		}
		opened = one == OK ? OK : opened;
	}
	if (rc == OK)
		rc = opened;
	if (rc)
		*out = repo_close(*out);
	return rc;
}

/* The repository as a crash left it: open, verify, read back, go on. */
static bool
survive(struct run *u, struct support_disk *d, bool complete)
{
	struct settle_stats stats;
	struct name_sid sid;
	struct repo *r;
	bool ok;
	int rc = open_any(u, d, complete, &r);

	if (rc == ERR_NOREPO && u->may_be_none && !complete && (support_store_init(d, &r) || (repo_close(r), false)))
		return wrong(u, "init again");
	if (rc == ERR_NOREPO && u->may_be_none && !complete)
		rc = open_any(u, d, true, &r);
	if (rc)
		return wrong(u, "open");
	ok = recount(u, r, SUPPORT_RECOUNT_SAFE) && read_back(u, r) && take_snapshot(u, r, &sid) && is_source(u, r, &sid) &&
	    recount(u, r, SUPPORT_RECOUNT_SAFE) &&
	    (settle_run(r, NULL, 0, false, &stats) == OK || wrong(u, "settle")) &&
	    recount(u, r, SUPPORT_RECOUNT_EXACT) && read_back(u, r) && is_source(u, r, &sid);
	repo_close(r);
	return ok;
}

/* Snapshot and settle while operations of the disk fail; what is reported is kept in mind as one more snapshot. */
static void
stumble(struct run *u, struct support_disk *d, uint64_t pick, size_t *extra)
{
	static const int errors[] = { EIO, ENOSPC, EDQUOT, EROFS };
	const char *const paths[] = { u->source };
	const struct snapshot_options o = { .paths = paths, .path_count = 1, .host = "host", .user = "user", .jobs = 1, .level = 1 };
	const struct prune_options p = { .max_unused = 0, .max_rewrite = UINT64_MAX };
	struct snapshot_result res;
	struct prune_result pruned;
	struct repo *r;

	support_disk_fail(d, SUPPORT_WRITES | SUPPORT_READS, 1 + pick % 160, errors[pick / 160 % 4], pick / 640 % 2);
	if (open_any(u, d, false, &r) == OK) {
		/* Before the first snapshot it is not known what it should be. */
		if (snapshot_run(r, &o, &res) == OK && u->source_sum) {
			u->snap[u->count] = (struct snap){ .sid = res.sid, .sum = u->source_sum };
			*extra = 1;
		}
		/* It would rightly take what is in forgotten/ at this moment. */
		if (!u->snap[0].hidden)
			(void)!prune_run(r, &p, &pruned);
		repo_close(r);
	}
	support_disk_fail(d, 0, 0, 0, false);
	u->why[0] = 0;
}

/* The second fault.  d is the state after a recovery, with the log of it; base the one before. */
static bool
compound(struct run *u, struct support_disk *base, const struct support_disk *d, bool complete)
{
	size_t n = support_disk_ops(d), extra = 0;
	uint64_t pick = digest_xxh3(&u->number, sizeof(u->number));
	struct support_disk *again = support_disk_loss(d, n ? pick % n : 0, &(struct support_loss){ SUPPORT_RANDOM, pick });
	bool ok = survive(u, again, complete);

	support_disk_free(again);
	stumble(u, base, pick, &extra);
	u->count += extra;
	again = pick & 1u << 20 ? support_disk_kill(base, support_disk_ops(base)) :
	    support_disk_loss(base, support_disk_ops(base), &(struct support_loss){ SUPPORT_RANDOM, pick });
	ok = ok && survive(u, again, complete);
	u->count -= extra;
	support_disk_free(again);
	u->compound += 2;
	return ok;
}

static struct support_disk *
state_of(const struct run *u, size_t n, const struct support_loss *loss)
{
	return loss ? support_disk_loss(u->cut, n, loss) : support_disk_kill(u->cut, n);
}

/* One state after n operations; loss NULL: a kill. */
static void
try_state(struct run *u, size_t n, const struct support_loss *loss)
{
	struct support_disk *d, *base;
	bool ok;

	if (u->stride == 0 || u->number % u->stride) {
		u->number++;
		return;
	}
	u->number++;
	u->why[0] = 0;
	d = state_of(u, n, loss);
	ok = survive(u, d, n == u->end);
	if (ok && u->tried % 4 == 0) {
		base = state_of(u, n, loss);
		ok = compound(u, base, d, n == u->end);
		support_disk_free(base);
	}
	u->tried++;
	if (!ok && u->failed++ < 20)
		printf("# after %zu of %zu operations, %s %d (%ju): %s\n", n, u->end, loss ? "power loss" : "kill",
		    loss ? (int)loss->kind : 0, loss ? (uintmax_t)loss->which : 0, u->why);
	support_disk_free(d);
}

/* All states after n operations. */
static void
try_prefix(struct run *u, size_t n)
{
	static const enum support_loss_kind plain[] = { SUPPORT_KEEP_ALL, SUPPORT_LOSE_ALL, SUPPORT_LOSE_BYTES };
	size_t pending = support_disk_pending(u->cut, n), torn = support_disk_torn(u->cut, n);

	try_state(u, n, NULL);
	for (size_t i = 0; i < 3; i++)
		try_state(u, n, &(struct support_loss){ plain[i], 0 });
	for (size_t i = 0; i < pending; i++) {
		try_state(u, n, &(struct support_loss){ SUPPORT_KEEP_NAME, i });
		try_state(u, n, &(struct support_loss){ SUPPORT_LOSE_NAME, i });
	}
	for (size_t i = 0; i < torn; i += 1 + i / 3)
		try_state(u, n, &(struct support_loss){ SUPPORT_TORN, i });
	for (size_t i = 0; i < (u->may_be_none ? RANDOMS : RANDOMS_MORE); i++)
		try_state(u, n, &(struct support_loss){ SUPPORT_RANDOM, RANDOMS_MORE * n + i });
}

static void
try_all(struct run *u, const struct support_disk *d)
{
	u->cut = d;
	u->end = support_disk_ops(d);
	for (size_t n = 0; n <= u->end; n++)
		if (n == u->end || n == 0 || support_disk_op(d, n - 1)->kind <= SUPPORT_SYNC_DIR)
			try_prefix(u, n);
}

/* --------------------------------------------------------------------------------------------------- phases */

/* Take the phase's result as durable and begin a new log. */
static void
settle_down(struct run *u)
{
	const struct support_loss none = { .kind = SUPPORT_KEEP_ALL };
	struct support_disk *d = support_disk_loss(u->d, support_disk_ops(u->d), &none);

	support_disk_free(u->d);
	u->d = d;
}

static bool
phase_init(struct run *u)
{
	struct repo *r;

	u->may_be_none = true;
	u->key[0] = u->key_next[0] = SURELY;
	if (support_store_init(u->d, &r))
		return wrong(u, "init");
	repo_close(r);
	return true;
}

static bool
phase_snapshot(struct run *u)
{
	struct snap *s = &u->snap[u->count];
	struct index *ix = NULL;
	struct reader *rd = NULL;
	struct repo *r;
	bool ok;

	if (open_any(u, u->d, false, &r))
		return wrong(u, "open");
	ok = take_snapshot(u, r, &s->sid);
	if (ok && (index_load(r, &ix) || reader_new(r, ix, 8u << 20, &rd) || sum_snapshot(r, rd, false, &s->sid, &s->sum)))
		ok = wrong(u, "read back");
	reader_free(rd);
	index_free(ix);
	repo_close(r);
	s->may_miss = true;
	u->source_sum = s->sum;
	u->count++;
	return ok;
}

static bool
phase_second(struct run *u)
{
	char path[400];

	snprintf(path, sizeof(path), "%s/d0/f1", u->source);
	return unlink(path) == 0 && write_source(u, "d0/new", 700, 1234) && write_source(u, "large", 52000, 99) && phase_snapshot(u);
}

static bool
phase_settle(struct run *u)
{
	struct settle_stats stats;
	struct repo *r;
	bool ok;

	if (open_any(u, u->d, false, &r))
		return wrong(u, "open");
	ok = settle_run(r, NULL, 0, false, &stats) == OK || wrong(u, "settle");
	repo_close(r);
	return ok;
}

/* Key k becomes one that opens, or one that does not. */
static bool
with_key(struct run *u, unsigned opener, int (*change)(struct repo *r))
{
	struct repo *r;
	bool ok;

	if (repo_open(support_disk_io(u->d), &r))
		return wrong(u, "open");
	ok = (unlock(r, opener) == OK && change(r) == OK) || wrong(u, "key");
	repo_close(r);
	return ok;
}

static int
add_one(struct repo *r)
{
	static const uint8_t bytes[32] = { 'k', 'e', 'y', 1 };
	const struct keys_secret secret = { KEYSLOT_KEYFILE, bytes, sizeof(bytes) };
	struct name_sid id;

	return keyring_add(r, &secret, NULL, "one", &id);
}

static int
change_to_two(struct repo *r)
{
	static const uint8_t bytes[32] = { 'k', 'e', 'y', 2 };
	const struct keys_secret secret = { KEYSLOT_KEYFILE, bytes, sizeof(bytes) };
	struct name_sid id;

	return keyring_change(r, &secret, NULL, NULL, &id);
}

static int
remove_other(struct repo *r)
{
	struct keyring_entry *all;
	size_t count;
	int rc = keyring_list(r, &all, &count);

	for (size_t i = 0; rc == OK && i < count; i++)
		if (!all[i].current)
			rc = keyring_remove(r, &all[i].slot.slot_id);
	if (rc == OK)
		free(all);
	return rc;
}

static bool
phase_key_add(struct run *u)
{
	u->key_next[1] = SURELY;
	return with_key(u, 0, add_one);
}

static bool
phase_key_change(struct run *u)
{
	u->key_next[1] = NEVER;
	u->key_next[2] = SURELY;
	return with_key(u, 1, change_to_two);
}

static bool
phase_key_remove(struct run *u)
{
	u->key_next[2] = NEVER;
	return with_key(u, 0, remove_other);
}

/* One change of records, under the shared lock. */
static bool
with_record(struct run *u, size_t first, size_t n, int (*change)(struct repo *r, const struct name_sid *sids, size_t n))
{
	struct name_sid sids[SNAPS_MAX];
	struct repo *r;
	bool ok;

	for (size_t i = 0; i < n; i++)
		sids[i] = u->snap[first + i].sid;
	if (open_any(u, u->d, false, &r))
		return wrong(u, "open");
	ok = (io_lock(r->io, IO_SHARED, false) == OK && change(r, sids, n) == OK) || wrong(u, "record");
	(void)!io_lock(r->io, IO_UNLOCKED, false);
	repo_close(r);
	return ok;
}

static int
pin_and_unpin(struct repo *r, const struct name_sid *sids, size_t n)
{
	int rc = OK;

	for (size_t i = 0; rc == OK && i < n; i++)
		if ((rc = pins_set(r, &sids[i], true)) == OK)
			rc = pins_set(r, &sids[i], false);
	return rc;
}

static int
bury_and_raise(struct repo *r, const struct name_sid *sids, size_t n)
{
	int rc = graves_bury(r, sids, n);

	for (size_t i = 0; rc == OK && i < n; i++)
		rc = graves_raise(r, &sids[i]);
	return rc;
}

static bool
phase_pin(struct run *u)
{
	return with_record(u, 0, 1, pin_and_unpin);
}

static bool
phase_undelete(struct run *u)
{
	bool ok = with_record(u, 0, 1, bury_and_raise);

	u->snap[0].hidden = true;
	return ok;
}

/* Forget, durably, and prune. */
static bool
forget_and_prune(struct run *u, size_t first, size_t n, unsigned max_unused)
{
	const struct prune_options o = { .max_unused = max_unused, .max_rewrite = UINT64_MAX };
	struct prune_result res;
	struct repo *r;
	bool ok = n == 0 || with_record(u, first, n, graves_bury);

	for (size_t i = 0; i < n; i++)
		u->snap[first + i].may_miss = u->snap[first + i].gone = true;
	if (!ok || open_any(u, u->d, false, &r))
		return wrong(u, "open");
	ok = prune_run(r, &o, &res) == OK || wrong(u, "prune");
	if (ok && max_unused == 0 && res.stats.rewrite.packs == 0)
		ok = wrong(u, "nothing was rewritten");
	if (ok && max_unused && n && res.stats.packs_removed == 0)
		ok = wrong(u, "nothing was dropped");
	repo_close(r);
	return ok;
}

/* What was made so far is durable: only what follows is cut short. */
static void
begin_here(struct run *u)
{
	settle_down(u);
	for (size_t i = 0; i < u->count; i++)
		u->snap[i].may_miss = u->snap[i].may_miss && u->snap[i].gone;
}

/* A snapshot with a large file and another one without it; `beside` is a file that comes with the large one and stays. */
static bool
passing_file(struct run *u, const char *beside)
{
	char path[400];
	bool ok = write_source(u, "d1/passing", 90000, 7) && (!beside || write_source(u, beside, 3000, 9)) && phase_snapshot(u);

	snprintf(path, sizeof(path), "%s/d1/passing", u->source);
	ok = ok && unlink(path) == 0 && phase_snapshot(u);
	begin_here(u);
	return ok;
}

static bool
phase_prune_drop(struct run *u)
{
	return passing_file(u, NULL) && forget_and_prune(u, u->count - 2, 1, 1000);
}

static bool
phase_prune_rewrite(struct run *u)
{
	return passing_file(u, "d1/beside") && forget_and_prune(u, u->count - 2, 1, 0);
}

/* Nine small snapshots, none of which is forgotten. */
static bool
phase_prune_merge(struct run *u)
{
	bool ok = true;

	for (unsigned i = 0; ok && i < 9; i++)
		ok = write_source(u, "d1/small", 1000 + i, 100 + i) && phase_snapshot(u);
	begin_here(u);
	return ok && forget_and_prune(u, 0, 0, 0);
}

static const struct {
	const char *name;
	bool (*run)(struct run *u);
} phases[] = {
	{ "init", phase_init },
	{ "snapshot", phase_snapshot },
	{ "second snapshot", phase_second },
	{ "settle", phase_settle },
	{ "key add", phase_key_add },
	{ "key change", phase_key_change },
	{ "key remove", phase_key_remove },
	{ "pin and unpin", phase_pin },
	{ "forget and undelete", phase_undelete },
	{ "forget and prune: packs dropped", phase_prune_drop },
	{ "forget and prune: packs rewritten", phase_prune_rewrite },
	{ "prune: small packs merged", phase_prune_merge },
};

#define PHASES (sizeof(phases) / sizeof(phases[0]))

/* What was made is reported now: it may not be missing any more. */
static void
try_end(struct run *u)
{
	static const struct support_loss all = { .kind = SUPPORT_LOSE_ALL };

	if (u->count == 0 || u->stride == 0)
		return;
	if (!u->snap[u->count - 1].gone)
		u->snap[u->count - 1].may_miss = false;
	for (size_t i = 0; i < u->count; i++)
		u->snap[i].hidden = false;
	u->stride = 1;
	try_state(u, u->end, NULL);
	try_state(u, u->end, &all);
	for (uint64_t i = 0; i < 5; i++)
		try_state(u, u->end, &(struct support_loss){ SUPPORT_RANDOM, i });
}

static bool
try_phase(struct run *u, size_t i)
{
	unsigned long before = u->tried;
	bool ok = phases[i].run(u);

	u->failed = 0;
	if (ok) {
		try_all(u, u->d);
		try_end(u);
	}
	ok = ok && !u->failed;
	if (u->stride)
		printf("%sok %zu - %s: %lu states%s%s\n", ok ? "" : "not ", i + 1, phases[i].name, u->tried - before,
		    u->why[0] ? ", " : "", u->why);
	fflush(stdout);
	settle_down(u);
	u->may_be_none = false;
	memcpy(u->key, u->key_next, sizeof(u->key));
	return ok;
}

/* want: states of all phases together, 0 for all there are; count: how many each phase has, found if want_count. */
static bool
all_phases(struct run *u, unsigned long want, unsigned long count[static PHASES], bool want_count)
{
	bool ok = make_source(u), good = true;

	u->d = support_disk_new();
	for (size_t i = 0; ok && i < PHASES; i++) {
		unsigned long before = u->number;

		u->stride = want_count ? 0 : want == 0 ? 1 : 1 + count[i] / (want / PHASES);
		good = try_phase(u, i) && good;
		if (want_count)
			count[i] = u->number - before;
	}
	support_disk_free(u->d);
	nftw(u->source, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	return good && ok;
}

int
main(int argc, char **argv)
{
	bool all = argc > 1 && strcmp(argv[1], "all") == 0, ok;
	unsigned long want = all ? 0 : argc > 1 ? strtoul(argv[1], NULL, 0) : DEFAULT_STATES;
	unsigned long count[PHASES] = { 0 };
	struct run *u = calloc(2, sizeof(*u));

	if (!u)
		return 1;
	printf("1..%zu\n", PHASES);
	fflush(stdout);
	ok = all || all_phases(&u[1], want, count, true);
	ok = all_phases(&u[0], want, count, false) && ok;
	printf("# %lu of %lu states, and %lu by a second fault\n", u[0].tried, u[0].number, u[0].compound);
	free(u);
	return !ok;
}
