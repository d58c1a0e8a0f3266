/*
 * crash_restore [STATES | all]: a restore cut short after every single operation on its target, by a kill and by a power loss of every
 * kind that support_io knows: into a new directory; in place, with what the snapshot does not have removed; in place without that, where
 * size and time are taken as proof; over itself.  In place there are files changed (one to another of the same size), added, removed, turned into a
 * directory or a link and back, hard links old and new, a database beside which a WAL lies that is not its own, and one that was stored as
 * found, with its own.
 *
 * The invariant, in words.  Whatever moment is chosen and whatever the disk made of what was not yet synced:
 *
 * - a file that was there and that the snapshot has is what it was or what it is to be, whole; where both are equal it is that;
 * - what is to go is what it was, or gone; what the restore is not asked to touch is what it was;
 * - what is new is, after a kill, complete or not there under its own name; after a loss of power it may be anything: nobody synced it,
 *   and nothing is lost with it that the snapshot does not have;
 * - a database is complete wherever it is there, also a new one; neither the new nor the old one ever lies beside the other's WAL; once
 *   success was reported it is there, alone or with its own;
 * - once success was reported, and the power stayed, all is as the snapshot has it.
 *
 * Every sixth state, and every one that a kill leaves, is put into a real directory, and the same restore is run there again: it succeeds, all is as the snapshot has it,
 * and no temporary name is left.  That restore is written down too, as what follows on the state, and held to the same invariant: cut
 * short at some moment, and after its success by a loss of power.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "codec/digest.h"
#include "ops/restore.h"
#include "ops/snapshot.h"
#include "source/dbserve.h"
#include "store/snapshots.h"
#include "sys/target.h"
#include "tests/crash/mirror.h"
#include "tests/crash/restore_source.h"
#include "tests/unit/support_store.h"

#define DEFAULT_STATES 1500u
#define RANDOMS 50                      /* random losses of each prefix */
#define RECOVERED 6                     /* one in so many losses */
#define ITEMS 300

/* What is under a name. */
struct item {
	char path[SUPPORT_IO_PATH];
	char kind;                      /* 'd', 'f', 'l' */
	uint64_t sum;
};

struct table {                          /* sorted by path */
	struct item v[ITEMS];
	size_t count;
};

struct phase {
	const char *name;
	bool fresh;                     /* the first snapshot, into a directory that is not there; else the second ... */
	unsigned there;                 /* ... over this one */
	bool delete_extra;
	enum restore_overwrite overwrite;
};

struct run {
	char dir[300], source[340], target[340];
	struct support_disk *repo_disk;
	struct repo *repo;
	struct snapshots_item snap[2];
	struct table content[2];        /* of the source, when they were made */
	const struct phase *phase;
	struct table before, after, now;        /* of the target; now: in the state at hand */
	char why[700];
	unsigned long stride, number, counted, tried, failed;
	unsigned long recovered, second;        /* second: states of recoveries */
};

static bool __attribute__((format(printf, 2, 3)))
wrong(struct run *u, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (!u->why[0])
		vsnprintf(u->why, sizeof(u->why), fmt, ap);
	va_end(ap);
	return false;
}

/* --------------------------------------------------------------------------------------------------- tables */

static void
add_item(void *arg, const char *path, uint32_t inode, const uint8_t *p, size_t len)
{
	const size_t mark = sizeof(MIRROR_LINK) - 1;
	struct table *t = arg;
	struct item *it = &t->v[t->count++];

	if (t->count > ITEMS)
		abort();
	*it = (struct item){ .kind = inode ? 'f' : 'd', .sum = inode ? digest_xxh3(p, len) : 0 };
	if (inode && len >= mark && memcmp(p, MIRROR_LINK, mark) == 0)
		it->kind = 'l';
	snprintf(it->path, sizeof(it->path), "%s", path);
}

static void
table_of(struct table *t, const struct support_disk *d)
{
	t->count = 0;
	support_disk_each(d, add_item, t);
}

static const struct item *
find(const struct table *t, const char *path)
{
	for (size_t lo = 0, hi = t->count; lo < hi;) {
		size_t mid = (lo + hi) / 2;
		int cmp = strcmp(path, t->v[mid].path);

		if (cmp == 0)
			return &t->v[mid];
		if (cmp < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

static bool
same(const struct item *a, const struct item *b)
{
	return a && b && a->kind == b->kind && a->sum == b->sum;
}

static bool
is_temp(const char *path)
{
	const char *slash = strrchr(path, '/');

	return target_is_temp_name(slash ? slash + 1 : path);
}

static const char *const databases[] = { SOURCE_DATABASE, SOURCE_LINK, SOURCE_FOUND };

#define DATABASES (sizeof(databases) / sizeof(databases[0]))

static bool
is_database(const char *path)
{
	for (size_t i = 0; i < DATABASES; i++)
		if (strcmp(path, databases[i]) == 0)
			return true;
	return false;
}

/* What lies beside one. */
static bool
is_side(const char *path)
{
	for (size_t i = 0; i < DATABASES; i++)
		if (strncmp(path, databases[i], strlen(databases[i])) == 0 && path[strlen(databases[i])] == '-')
			return true;
	return false;
}

/* ------------------------------------------------------------------------------------------------ snapshots */

static bool
read_dir(const char *path, struct table *t)
{
	struct support_disk *d = mirror_read(path);

	if (d)
		table_of(t, d);
	support_disk_free(d);
	return d != NULL;
}

static bool
take_snapshot(struct run *u, unsigned which)
{
	const char *const paths[] = { u->source };
	const struct snapshot_options o = { .paths = paths, .path_count = 1, .host = "host", .user = "user", .jobs = 1, .level = 1,
		.helper = program_invocation_name };
	struct snapshot_result res;
	pid_t holder = 0;
	bool ok = source_hold(u->source, which ? 500 : 50, &holder) || wrong(u, "no locked database");

	ok = ok && (snapshot_run(u->repo, &o, &res) == ERR_PARTIAL || wrong(u, "snapshot: %s", err_text()));
	ok = ok && (read_dir(u->source, &u->content[which]) || wrong(u, "the source cannot be read"));
	source_release(holder);
	return ok && (snapshots_read(u->repo, false, &res.sid, &u->snap[which]) == OK || wrong(u, "the snapshot: %s", err_text()));
}

static bool
begin(struct run *u)
{
	const char *tmp = getenv("TMPDIR");
	char path[300], *real;

	snprintf(path, sizeof(path), "%s/varve-crash-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(path) || !(real = realpath(path, NULL)))
		return wrong(u, "no directory");
	snprintf(u->dir, sizeof(u->dir), "%s", real);
	free(real);
	snprintf(u->source, sizeof(u->source), "%s/source", u->dir);
	snprintf(u->target, sizeof(u->target), "%s/target", u->dir);
	u->repo_disk = support_disk_new();
	support_disk_blind(u->repo_disk);
	if (support_store_init(u->repo_disk, &u->repo))
		return wrong(u, "init: %s", err_text());
	return (source_first(u->source) || wrong(u, "no source")) && take_snapshot(u, 0) &&
	    (source_second(u->source) || wrong(u, "no source")) && take_snapshot(u, 1);
}

/* -------------------------------------------------------------------------------------------------- restores */

static void
tell_problem(void *arg, const char *path, const char *text)
{
	wrong(arg, "'%s': %s", path, text);
}

static bool
restore(struct run *u, unsigned which, enum restore_overwrite overwrite, bool delete_extra)
{
	const struct restore_options o = { .target = u->target, .subpath = u->source, .overwrite = overwrite, .delete_extra = delete_extra,
		.problem = tell_problem, .arg = u };
	struct restore_result res;

	return restore_run(u->repo, &u->snap[which], &o, &res) == OK || wrong(u, "restore: %s", err_text());
}

/* Run the restore of the phase, written down on d. */
static bool
record(struct run *u, struct support_disk *d, enum restore_overwrite overwrite)
{
	bool ok;

	mirror_begin(d, u->target);
	ok = restore(u, u->phase->fresh ? 0 : 1, overwrite, u->phase->delete_extra);
	return (mirror_end() || wrong(u, "the disk in memory does not follow")) && ok;
}

/* --------------------------------------------------------------------------------------------------- states */

struct moment {
	bool loss;                      /* of power, at some time */
	bool done;                      /* success was reported */
};

/* One name: o was there before, n is to be there, s is there. */
static bool
is_right(const struct run *u, const struct item *o, const struct item *n, const struct item *s, struct moment m)
{
	const char *path = o ? o->path : n ? n->path : s->path;
	bool side = is_side(path), database = is_database(path), was = o && o->kind != 'd', turned = o && n && (o->kind == 'd') != (n->kind == 'd');

	if (!o && !n)
		return is_temp(path) && !(m.done && !m.loss);
	if (!n && !u->phase->delete_extra && !side)
		return same(o, s);
	if (m.done && (!m.loss || side || database))
		return n ? same(n, s) : !s;
	if (!n)
		return !s || same(o, s);
	if (!was && n->kind == 'f' && m.loss && !database)
		return true;
	if (!o || turned || side)
		return !s || same(o, s) || same(n, s);
	return same(o, s) || same(n, s);
}

static bool
judge_one(struct run *u, const char *path, struct moment m)
{
	const struct item *s = find(&u->now, path);

	return is_right(u, find(&u->before, path), find(&u->after, path), s, m) ||
	    wrong(u, "'%s' is %s", path, s ? "not what it may be" : "not there");
}

/* The new database beside what belongs to the old one, or the other way round. */
static bool
is_mixed(const struct run *u, const char *name)
{
	const struct item *o = find(&u->before, name), *n = find(&u->after, name), *s = find(&u->now, name);
	size_t len = strlen(name);

	if (!o || !s || same(o, n))
		return false;
	for (size_t i = 0; i < u->now.count; i++) {
		const struct item *side = &u->now.v[i];

		if (strncmp(side->path, name, len) == 0 && side->path[len] == '-' &&
		    !same(find(same(n, s) ? &u->after : &u->before, side->path), side))
			return true;
	}
	return false;
}

/* All names there are, were or will be. */
static bool
judge(struct run *u, const struct support_disk *d, struct moment m)
{
	const struct table *t[] = { &u->before, &u->after, &u->now };
	bool ok = true;

	table_of(&u->now, d);
	for (size_t k = 0; k < 3; k++)
		for (size_t i = 0; i < t[k]->count; i++)
			ok = judge_one(u, t[k]->v[i].path, m) && ok;
	for (size_t i = 0; i < DATABASES; i++)
		if (is_mixed(u, databases[i]))
			ok = wrong(u, "'%s' lies beside another one's WAL", databases[i]);
	return ok;
}

static bool
second_state(struct run *u, struct support_disk *d, struct moment m, const char *what)
{
	bool ok = judge(u, d, m);
	char why[sizeof(u->why)];

	u->second++;
	if (!ok) {
		snprintf(why, sizeof(why), "%s", u->why);
		u->why[0] = 0;
		wrong(u, "%s: %.600s", what, why);
	}
	support_disk_free(d);
	return ok;
}

/* d: the recovery is its log. */
static bool
judge_recovery(struct run *u, const struct support_disk *d, size_t first, bool loss)
{
	static const enum support_loss_kind kinds[] = { SUPPORT_LOSE_ALL, SUPPORT_LOSE_BYTES, SUPPORT_RANDOM, SUPPORT_RANDOM };
	size_t end = support_disk_ops(d), n;
	uint64_t pick = digest_xxh3(&u->number, sizeof(u->number));
	bool ok = second_state(u, support_disk_kill(d, end), (struct moment){ .done = true }, "after the recovery");

	for (size_t i = 0; ok && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		ok = second_state(u, support_disk_loss(d, end, &(struct support_loss){ kinds[i], pick + i }),
		    (struct moment){ .loss = true, .done = true }, "power lost after the recovery");
	n = first + pick % (end - first + 1);
	if (ok)
		ok = second_state(u, support_disk_kill(d, n), (struct moment){ .loss = loss }, "the recovery killed");
	return ok && second_state(u, support_disk_loss(d, n, &(struct support_loss){ SUPPORT_RANDOM, pick }),
	    (struct moment){ .loss = true }, "power lost in the recovery");
}

/* The state in a real directory, and the restore run again there. */
static bool
recover(struct run *u, struct support_disk *d, bool loss)
{
	size_t first = support_disk_ops(d);
	bool ok = mirror_write(d, u->target) || wrong(u, "the state cannot be written");

	ok = ok && record(u, d, RESTORE_ALWAYS);
	if (ok && !read_dir(u->target, &u->now))
		ok = wrong(u, "the target cannot be read");
	for (size_t i = 0; ok && i < u->now.count; i++)
		ok = same(&u->now.v[i], find(&u->after, u->now.v[i].path)) || wrong(u, "recovered, but '%s' is wrong", u->now.v[i].path);
	if (ok && u->now.count != u->after.count)
		ok = wrong(u, "recovered, but %zu names are missing", u->after.count - u->now.count);
	ok = ok && judge_recovery(u, d, first, loss);
	u->recovered++;
	return source_take(u->dir, "target") && ok;
}

/* One state after n operations of d; loss NULL: a kill, none of which is left out. */
static void
try_state(struct run *u, const struct support_disk *d, size_t n, const struct support_loss *loss)
{
	const struct moment m = { .loss = loss != NULL, .done = n == support_disk_ops(d) };
	struct support_disk *state;
	bool ok;

	u->counted++;
	if (u->stride == 0 || (loss && u->number++ % u->stride))
		return;
	u->why[0] = 0;
	state = loss ? support_disk_loss(d, n, loss) : support_disk_kill(d, n);
	ok = judge(u, state, m);
	if (ok && (!loss || u->tried % RECOVERED == 0))
		ok = recover(u, state, m.loss);
	u->tried++;
	if (!ok && u->failed++ < 20)
		printf("# after %zu of %zu operations, %s %d (%ju): %s\n", n, support_disk_ops(d), loss ? "power loss" : "kill",
		    loss ? (int)loss->kind : 0, loss ? (uintmax_t)loss->which : 0, u->why);
	support_disk_free(state);
}

static void
try_prefix(struct run *u, const struct support_disk *d, size_t n)
{
	static const enum support_loss_kind plain[] = { SUPPORT_KEEP_ALL, SUPPORT_LOSE_ALL, SUPPORT_LOSE_BYTES };
	size_t pending = support_disk_pending(d, n), torn = support_disk_torn(d, n);

	try_state(u, d, n, NULL);
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++)
		try_state(u, d, n, &(struct support_loss){ plain[i], 0 });
	for (size_t i = 0; i < pending; i++) {
		try_state(u, d, n, &(struct support_loss){ SUPPORT_KEEP_NAME, i });
		try_state(u, d, n, &(struct support_loss){ SUPPORT_LOSE_NAME, i });
	}
	for (size_t i = 0; i < torn; i += 1 + i / 3)
		try_state(u, d, n, &(struct support_loss){ SUPPORT_TORN, i });
	for (size_t i = 0; i < RANDOMS; i++)
		try_state(u, d, n, &(struct support_loss){ SUPPORT_RANDOM, RANDOMS * n + i });
}

/* want: states of this phase, 0: all. */
static void
try_all(struct run *u, const struct support_disk *d, unsigned long want)
{
	size_t end = support_disk_ops(d);

	u->stride = 0;
	u->counted = 0;
	for (size_t n = 0; n <= end; n++)
		if (n == end || n == 0 || support_disk_op(d, n - 1)->kind <= SUPPORT_SYNC_DIR)
			try_prefix(u, d, n);
	u->stride = want ? 1 + u->counted / want : 1;
	u->number = u->counted = 0;
	for (size_t n = 0; n <= end; n++)
		if (n == end || n == 0 || support_disk_op(d, n - 1)->kind <= SUPPORT_SYNC_DIR)
			try_prefix(u, d, n);
}

/* The last word, all of it: nothing and everything kept after success. */
static void
try_end(struct run *u, const struct support_disk *d)
{
	size_t end = support_disk_ops(d);

	u->stride = 1;
	try_state(u, d, end, NULL);
	try_state(u, d, end, &(struct support_loss){ SUPPORT_LOSE_ALL, 0 });
	for (uint64_t i = 0; i < 5; i++)
		try_state(u, d, end, &(struct support_loss){ SUPPORT_RANDOM, i });
}

/* --------------------------------------------------------------------------------------------------- phases */

/*
 * In place: a snapshot, and what it does not have: a file, and a WAL beside each name of the database.  Without --delete no directory may
 * be in the way.  Beside a database that is right already an -shm may be left by a loss of power; alone it says nothing to SQLite.
 */
static bool
old_state(struct run *u)
{
	const char *t = u->target;
	unsigned there = u->phase->there;

	if (u->phase->fresh)
		return source_put_dir(t, "");
	return restore(u, there, RESTORE_ALWAYS, false) && support_store_file(t, SOURCE_DATABASE "-wal", 4152, 60) &&
	    support_store_file(t, SOURCE_LINK "-wal", 5000, 63) && support_store_file(t, SOURCE_FOUND "-journal", 700, 64) &&
	    support_store_file(t, "d0/mine", 333, 62) && (there == 1 || support_store_file(t, SOURCE_DATABASE "-shm", 3000, 61)) &&
	    (there == 1 || u->phase->delete_extra || source_take(t, "kind/to_file"));
}

/* What is to be there in the end: the snapshot, and without --delete what it does not have. */
static void
expect(struct run *u)
{
	const struct table *want = &u->content[u->phase->fresh ? 0 : 1], *old = &u->before;
	size_t i = 0, k = 0;

	u->after.count = 0;
	while (i < want->count || k < old->count) {
		int cmp = i == want->count ? 1 : k == old->count ? -1 : strcmp(want->v[i].path, old->v[k].path);

		if (cmp <= 0)
			u->after.v[u->after.count++] = want->v[i];
		else if (!u->phase->delete_extra && !is_side(old->v[k].path))
			u->after.v[u->after.count++] = old->v[k];
		i += cmp <= 0;
		k += cmp >= 0;
	}
}

/* A disk with the restore as its log.  NULL: it failed. */
static struct support_disk *
recorded(struct run *u)
{
	struct support_disk *d;

	if (!old_state(u) || !(d = mirror_read(u->target))) {
		wrong(u, "no state to begin with");
		return NULL;
	}
	table_of(&u->before, d);
	expect(u);
	if (u->phase->fresh)
		source_take(u->dir, "target");
	if (!record(u, d, u->phase->overwrite))
		d = support_disk_free(d);
	if (d && !read_dir(u->target, &u->now))
		wrong(u, "the target cannot be read");
	for (size_t i = 0; d && i < u->now.count; i++)
		if (!same(&u->now.v[i], find(&u->after, u->now.v[i].path)))
			wrong(u, "restored, but '%s' is wrong", u->now.v[i].path);
	source_take(u->dir, "target");
	return d;
}

static const struct phase phases[] = {
	{ "into a new directory", true, 0, false, RESTORE_ALWAYS },
	{ "in place, with --delete", false, 0, true, RESTORE_ALWAYS },
	{ "in place, if changed", false, 0, false, RESTORE_IF_CHANGED },
	{ "in place, and nothing differs but a WAL", false, 1, false, RESTORE_ALWAYS },
};

#define PHASES (sizeof(phases) / sizeof(phases[0]))

static bool
try_phase(struct run *u, size_t i, unsigned long want)
{
	unsigned long before = u->tried;
	struct support_disk *d;
	bool ok;

	u->phase = &phases[i];
	u->failed = 0;
	u->why[0] = 0;
	d = recorded(u);
	ok = d && !u->why[0];
	if (ok) {
		try_all(u, d, want);
		try_end(u, d);
		ok = u->failed == 0;
	}
	printf("%sok %zu - %s: %lu states%s%s\n", ok ? "" : "not ", i + 1, phases[i].name, u->tried - before, ok ? "" : ", ", ok ? "" : u->why);
	if (u->failed)
		printf("# %lu of them wrong\n", u->failed);
	fflush(stdout);
	support_disk_free(d);
	return ok;
}

int
main(int argc, char **argv)
{
	bool all = argc > 1 && strcmp(argv[1], "all") == 0, ok = true;
	unsigned long want = all ? 0 : argc > 1 ? strtoul(argv[1], NULL, 0) : DEFAULT_STATES;
	struct run *u;

	if (argc == 2 && strcmp(argv[1], DBSERVE_ARG) == 0)
		_exit(dbserve_run());   /* its filter allows no search for leaks */
	u = calloc(1, sizeof(*u));
	if (!u)
		return 1;
	printf("1..%zu\n", PHASES);
	fflush(stdout);
	if (begin(u)) {
		for (size_t i = 0; i < PHASES; i++)
			ok = try_phase(u, i, want ? 1 + want / PHASES : 0) && ok;
	} else {
		printf("Bail out! %s\n", u->why);
		ok = false;
	}
	printf("# %lu states, %lu recovered from, and %lu of recoveries\n", u->tried, u->recovered, u->second);
	for (unsigned i = 0; i < 2; i++)
		snapshots_item_clear(&u->snap[i]);
	repo_close(u->repo);
	support_disk_free(u->repo_disk);
	if (u->dir[0])
		source_take(u->dir, "");
	free(u);
	return !ok;
}
