/*
 * crash: the states of a phase.  Each is made from the log of the disk, opened, counted, read back, snapshotted into and settled
 * (survive); every fourth is reached once more and recovered from under a second fault (compound).
 */
#include "tests/crash/crash.h"

#include <errno.h>
#include <fcntl.h>
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
#include "store/settle.h"
#include "store/snapshots.h"
#include "store/tree.h"
#include "tests/unit/support_recount.h"
#include "tests/unit/support_store.h"

#define RANDOMS 64                      /* random losses of each prefix; of init, which has by far the most prefixes ... */
#define RANDOMS_MORE 400                /* ... and of all others */

bool
crash_wrong(struct crash *u, const char *what)
{
	if (!u->why[0])
		snprintf(u->why, sizeof(u->why), "%s: %s", what, err_text());
	return false;
}

/* --------------------------------------------------------------------------------------------------- source */

/* Two directories of small files, one file of several chunks, a link. */
bool
crash_source(struct crash *u)
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
			ok = ok && support_store_file(u->source, name, 100 + 500 * k, 10 * i + k);
		}
	}
	snprintf(path, sizeof(path), "%s/link", u->source);
	return ok && symlink("d0/f1", path) == 0 && support_store_file(u->source, "large", 50000, 99);
}

void
crash_source_remove(const struct crash *u)
{
	(void)support_store_remove(u->source);
}

/* ------------------------------------------------------------------------------------------------- operations */

static bool
take_snapshot(struct crash *u, struct repo *r, struct name_sid *sid)
{
	const char *const paths[] = { u->source };
	const struct snapshot_options o = { .paths = paths, .path_count = 1, .host = "host", .user = "user", .jobs = 1, .level = 1 };
	struct snapshot_result res;

	if (snapshot_run(r, &o, &res) != OK)
		return crash_wrong(u, "snapshot");
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
read_back(struct crash *u, struct repo *r)
{
	struct index *ix = NULL;
	struct reader *rd = NULL;
	uint64_t sum;
	bool ok = true;
	int rc;

	if (io_lock(r->io, IO_SHARED, false) || index_load(r, &ix) || reader_new(r, ix, 8u << 20, &rd))
		ok = crash_wrong(u, "index");
	for (size_t i = 0; ok && i < u->count; i++) {
		rc = sum_snapshot(r, rd, false, &u->snap[i].sid, &sum);
		if (rc == ERR_ABSENT && u->snap[i].hidden)
			rc = sum_snapshot(r, rd, true, &u->snap[i].sid, &sum);
		if (rc == ERR_ABSENT && u->snap[i].may_miss)
			continue;
		if (rc || sum != u->snap[i].sum)
			ok = crash_wrong(u, rc ? "a snapshot is lost" : "a snapshot reads back as something else");
	}
	reader_free(rd);
	index_free(ix);
	(void)!io_lock(r->io, IO_UNLOCKED, false);
	return ok;
}

/* Is this snapshot what the source is now? */
static bool
is_source(struct crash *u, struct repo *r, const struct name_sid *sid)
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
	return (ok && sum == u->source_sum) || crash_wrong(u, "a snapshot is not what its source is");
}

static bool
recount(struct crash *u, struct repo *r, enum support_recount how)
{
	struct support_recount_result res;

	if (support_recount(r, how, &res))
		return res.snapshots >= u->least || crash_wrong(u, "there are too few snapshots");
	if (!u->why[0])
		snprintf(u->why, sizeof(u->why), "%s", res.why);
	return false;
}

/* ---------------------------------------------------------------------------------------------------- states */

int
crash_unlock(struct repo *r, unsigned k)
{
	const uint8_t bytes[32] = { 'k', 'e', 'y', (uint8_t)k };
	const struct keys_secret secret = { KEYSLOT_KEYFILE, bytes, sizeof(bytes) };

	return repo_unlock(r, &secret);
}

/* Open with each key that may open; the last that does stays.  ERR_KEY is the only other answer. */
int
crash_open(struct crash *u, struct support_disk *d, bool complete, struct repo **out)
{
	int rc = repo_open(support_disk_io(d), out), opened = ERR_KEY;

	for (unsigned k = 0; rc == OK && k < CRASH_KEYS; k++) {
		int one = crash_unlock(*out, k);
		enum crash_opens want = complete || u->key[k] == u->key_next[k] ? u->key_next[k] : CRASH_MAYBE;

		if ((one != OK && one != ERR_KEY) || (want == CRASH_SURELY && one) || (want == CRASH_NEVER && one == OK)) {
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

/*
 * A repair was cut short, and who does not know of it goes on: *extra is 1 when a snapshot was reported then.  Every second time the
 * repair comes first.
 */
static bool
repair_again(struct crash *u, struct repo *r, size_t *extra)
{
	const struct prune_options p = { .max_unused = 0, .max_rewrite = UINT64_MAX };
	struct prune_result pruned;
	struct name_sid sid;

	if (digest_xxh3(&u->number, sizeof(u->number)) & 1) {
		*extra = take_snapshot(u, r, &sid);
		(void)!prune_run(r, &p, &pruned);
		u->why[0] = 0;
	}
	if (*extra)
		u->snap[u->count++] = (struct crash_snap){ .sid = sid, .sum = u->source_sum };
	return u->repair(u, r) == OK || crash_wrong(u, "the repair, once more");
}

/* The repository as a crash left it: open, verify, read back, go on. */
static bool
survive(struct crash *u, struct support_disk *d, bool complete)
{
	struct settle_stats stats;
	struct name_sid sid;
	size_t extra = 0;
	struct repo *r;
	bool ok;
	int rc = crash_open(u, d, complete, &r);

	if (rc == ERR_NOREPO && u->may_be_none && !complete && (support_store_init(d, &r) || (repo_close(r), false)))
		return crash_wrong(u, "init again");
	if (rc == ERR_NOREPO && u->may_be_none && !complete)
		rc = crash_open(u, d, true, &r);
	if (rc)
		return crash_wrong(u, "open");
	ok = (!u->repair || complete || repair_again(u, r, &extra)) && recount(u, r, SUPPORT_RECOUNT_SAFE) && read_back(u, r) && take_snapshot(u, r, &sid) && is_source(u, r, &sid) &&
	    recount(u, r, SUPPORT_RECOUNT_SAFE) &&
	    (settle_run(r, NULL, 0, false, &stats) == OK || crash_wrong(u, "settle")) &&
	    recount(u, r, SUPPORT_RECOUNT_EXACT) && read_back(u, r) && is_source(u, r, &sid);
	u->count -= extra;
	repo_close(r);
	return ok;
}

/* Snapshot and settle while operations of the disk fail; what is reported is kept in mind as one more snapshot. */
static void
stumble(struct crash *u, struct support_disk *d, uint64_t pick, size_t *extra)
{
	static const int errors[] = { EIO, ENOSPC, EDQUOT, EROFS };
	const char *const paths[] = { u->source };
	const struct snapshot_options o = { .paths = paths, .path_count = 1, .host = "host", .user = "user", .jobs = 1, .level = 1 };
	const struct prune_options p = { .max_unused = 0, .max_rewrite = UINT64_MAX };
	struct snapshot_result res;
	struct prune_result pruned;
	struct repo *r;

	support_disk_fail(d, SUPPORT_WRITES | SUPPORT_READS, 1 + pick % 160, errors[pick / 160 % 4], pick / 640 % 2);
	if (crash_open(u, d, false, &r) == OK) {
		if (u->repair && pick & 1u << 21)
			(void)!u->repair(u, r);
		/* Before the first snapshot it is not known what it should be. */
		if (snapshot_run(r, &o, &res) == OK && u->source_sum) {
			u->snap[u->count] = (struct crash_snap){ .sid = res.sid, .sum = u->source_sum };
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
compound(struct crash *u, struct support_disk *base, const struct support_disk *d, bool complete)
{
	size_t first = support_disk_ops(base), n = support_disk_ops(d) - first, extra = 0;
	uint64_t pick = digest_xxh3(&u->number, sizeof(u->number));
	struct support_disk *again = support_disk_loss(d, first + (n ? pick % n : 0), &(struct support_loss){ SUPPORT_RANDOM, pick });
	bool ok = survive(u, again, complete);

	support_disk_free(again);
	if (!ok)
		return false;
	stumble(u, base, pick, &extra);
	u->count += extra;
	again = pick & 1u << 20 ? support_disk_kill(base, support_disk_ops(base)) :
	    support_disk_loss(base, support_disk_ops(base), &(struct support_loss){ SUPPORT_RANDOM, pick });
	ok = survive(u, again, complete);
	u->count -= extra;
	support_disk_free(again);
	u->compound += 2;
	return ok;
}

static struct support_disk *
state_of(const struct crash *u, size_t n, const struct support_loss *loss)
{
	return loss ? support_disk_loss(u->cut, n, loss) : support_disk_kill(u->cut, n);
}

/* One state after n operations; loss NULL: a kill. */
static void
try_state(struct crash *u, size_t n, const struct support_loss *loss)
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
try_prefix(struct crash *u, size_t n)
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
try_all(struct crash *u)
{
	u->cut = u->d;
	u->end = support_disk_ops(u->d);
	for (size_t n = 0; n <= u->end; n++)
		if (n == u->end || n == 0 || support_disk_op(u->d, n - 1)->kind <= SUPPORT_SYNC_DIR)
			try_prefix(u, n);
}

/* What was made is reported now: it may not be missing any more. */
static void
try_end(struct crash *u)
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

void
crash_try(struct crash *u)
{
	try_all(u);
	try_end(u);
}

/* ----------------------------------------------------------------------------------------------- parts of phases */

bool
crash_take(struct crash *u)
{
	struct crash_snap *s = &u->snap[u->count];
	struct index *ix = NULL;
	struct reader *rd = NULL;
	struct repo *r;
	bool ok;

	if (crash_open(u, u->d, false, &r))
		return crash_wrong(u, "open");
	ok = take_snapshot(u, r, &s->sid);
	if (ok && (index_load(r, &ix) || reader_new(r, ix, 8u << 20, &rd) || sum_snapshot(r, rd, false, &s->sid, &s->sum)))
		ok = crash_wrong(u, "read back");
	reader_free(rd);
	index_free(ix);
	repo_close(r);
	s->may_miss = true;
	u->source_sum = s->sum;
	u->count++;
	return ok;
}

void
crash_begin_here(struct crash *u)
{
	const struct support_loss none = { .kind = SUPPORT_KEEP_ALL };
	struct support_disk *d = support_disk_loss(u->d, support_disk_ops(u->d), &none);

	support_disk_free(u->d);
	u->d = d;
	for (size_t i = 0; i < u->count; i++)
		u->snap[i].may_miss = u->snap[i].may_miss && u->snap[i].gone;
}

bool
crash_passing_file(struct crash *u, const char *beside)
{
	char path[400];
	bool ok = support_store_file(u->source, "d1/passing", 90000, 7) && (!beside || support_store_file(u->source, beside, 3000, 9)) && crash_take(u);

	snprintf(path, sizeof(path), "%s/d1/passing", u->source);
	ok = ok && unlink(path) == 0 && crash_take(u);
	crash_begin_here(u);
	return ok;
}
