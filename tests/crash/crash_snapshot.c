/*
 * crash_snapshot [STATES | all]: init, a snapshot, a second one, a settle, and forgetting with the settle that collects, each cut
 * short after every single operation, by a kill and by a power loss of every kind that support_io knows.
 *
 * The invariant, in words.  Whatever moment is chosen and whatever the disk made of what was not yet synced: a snapshot that was
 * reported as made reads back, byte for byte; at most the one that was being made is lost; a repository whose init was reported
 * opens, one whose init was not either opens or is none yet.  Nothing has to be repaired by hand: the next snapshot works at once,
 * and the next settle leaves exact counts and no rubbish.
 */
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
#include "ops/snapshot.h"
#include "store/settle.h"
#include "store/snapshots.h"
#include "store/tree.h"
#include "tests/unit/support_recount.h"
#include "tests/unit/support_store.h"

#define DEFAULT_STATES 4000u
#define RANDOMS 12                      /* random losses of each prefix */
#define SNAPS_MAX 4

/* A snapshot, and what its content hashes to when it is read back. */
struct snap {
	struct name_sid sid;
	uint64_t sum;
	bool may_miss;                  /* being made, or being collected */
};

struct run {
	char source[300];
	struct support_disk *d;         /* before the phase; then after it, with its log */
	struct snap snap[SNAPS_MAX];
	size_t count;
	const struct support_disk *cut; /* the phase whose states are tried */
	size_t end;                     /* operations of it */
	bool may_be_none;               /* init */
	char why[600];
	unsigned long stride, number, tried, failed;    /* every stride-th state is tried; 0: none, they are only counted */
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
		const uint64_t numbers[] = { e.kind, e.flags, e.mode, e.size, (uint64_t)e.mtime, e.mtime_ns };

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
sum_snapshot(struct repo *r, struct reader *rd, const struct name_sid *sid, uint64_t *sum)
{
	struct snapshots_item it;
	int rc = snapshots_read(r, false, sid, &it);

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
		rc = sum_snapshot(r, rd, &u->snap[i].sid, &sum);
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

/* The repository as a crash left it: open, verify, read back, go on. */
static bool
survive(struct run *u, struct support_disk *d, bool complete)
{
	struct settle_stats stats;
	struct name_sid sid;
	struct repo *r;
	bool ok;
	int rc = support_store_open(d, &r);

	if (rc == ERR_NOREPO && u->may_be_none && !complete)
		return true;
	if (rc)
		return wrong(u, "open");
	ok = recount(u, r, SUPPORT_RECOUNT_SAFE) && read_back(u, r) && take_snapshot(u, r, &sid) &&
	    recount(u, r, SUPPORT_RECOUNT_SAFE) &&
	    (settle_run(r, NULL, 0, false, &stats) == OK || wrong(u, "settle")) &&
	    recount(u, r, SUPPORT_RECOUNT_EXACT) && read_back(u, r);
	repo_close(r);
	return ok;
}

/* One state after n operations; loss NULL: a kill. */
static void
try_state(struct run *u, size_t n, const struct support_loss *loss)
{
	struct support_disk *d;

	if (u->stride == 0 || u->number % u->stride) {
		u->number++;
		return;
	}
	u->number++;
	u->tried++;
	u->why[0] = 0;
	d = loss ? support_disk_loss(u->cut, n, loss) : support_disk_kill(u->cut, n);
	if (!survive(u, d, n == u->end)) {
		u->failed++;
		if (u->failed < 20)
			printf("# after %zu of %zu operations, %s %d (%ju): %s\n", n, u->end, loss ? "power loss" : "kill",
			    loss ? (int)loss->kind : 0, loss ? (uintmax_t)loss->which : 0, u->why);
	}
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
	for (size_t i = 0; i < RANDOMS; i++)
		try_state(u, n, &(struct support_loss){ SUPPORT_RANDOM, RANDOMS * n + i });
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

	if (support_store_open(u->d, &r))
		return wrong(u, "open");
	ok = take_snapshot(u, r, &s->sid);
	if (ok && (index_load(r, &ix) || reader_new(r, ix, 8u << 20, &rd) || sum_snapshot(r, rd, &s->sid, &s->sum)))
		ok = wrong(u, "read back");
	reader_free(rd);
	index_free(ix);
	repo_close(r);
	s->may_miss = true;
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
run_settle(struct run *u, const struct name_sid *collect, size_t n)
{
	struct settle_stats stats;
	struct repo *r;
	bool ok;

	if (support_store_open(u->d, &r))
		return wrong(u, "open");
	ok = settle_run(r, collect, n, false, &stats) == OK || wrong(u, "settle");
	repo_close(r);
	return ok;
}

static bool
phase_settle(struct run *u)
{
	return run_settle(u, NULL, 0);
}

/* PB-10, then a settle that collects it. */
static bool
phase_forget(struct run *u)
{
	char from[SUPPORT_IO_PATH], to[SUPPORT_IO_PATH];
	struct io *io = support_disk_io(u->d);
	bool ok;

	support_store_record_path(from, "snapshots", &u->snap[0].sid);
	support_store_record_path(to, "forgotten", &u->snap[0].sid);
	ok = io_lock(io, IO_SHARED, false) == OK && io_rename(io, from, to) == OK && io_sync_dir(io, "snapshots") == OK &&
	    io_sync_dir(io, "forgotten") == OK;
	io_free(io);
	u->snap[0].may_miss = true;
	return (ok || wrong(u, "forget")) && run_settle(u, &u->snap[0].sid, 1);
}

static const struct {
	const char *name;
	bool (*run)(struct run *u);
} phases[] = {
	{ "init", phase_init },
	{ "snapshot", phase_snapshot },
	{ "second snapshot", phase_second },
	{ "settle", phase_settle },
	{ "forget and settle", phase_forget },
};

#define PHASES (sizeof(phases) / sizeof(phases[0]))

/* What was made is reported now: it may not be missing any more. */
static void
try_end(struct run *u)
{
	static const struct support_loss all = { .kind = SUPPORT_LOSE_ALL };

	if (u->count == 0 || u->stride == 0)
		return;
	u->snap[u->count - 1].may_miss = false;
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
	printf("# %lu of %lu states\n", u[0].tried, u[0].number);
	free(u);
	return !ok;
}
