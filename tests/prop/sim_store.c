/*
 * sim_store [SEEDS [FIRST]]: several processes at once in one repository on a disk in memory, one step of one of them at a time, in an
 * order that a seed decides.
 *
 * A process is a thread that has the floor only between two operations of its disk; the scheduler then draws who goes on, and now and
 * then that one is killed where it stands, or the power fails for all.  Writers make snapshots, others forget them, take them
 * back, prune (settle, collect, rewrite), read.  Nothing depends on time or on the machine: a seed that fails is run again by
 * `sim_store 1 SEED`.
 *
 *   always           who reads a snapshot that was reported, and that nobody has asked to forget, reads all of it
 *   after a crash    the same, and no count is too low
 *   at the end       after a settle that nobody disturbs counts are the truth and nothing dead is left
 */
#include <assert.h>
#include <malloc.h>
#include <pthread.h>
#include <semaphore.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "format/frame.h"
#include "format/treenode.h"
#include "ops/prune.h"
#include "store/graves.h"
#include "store/settle.h"
#include "store/snapshots.h"
#include "store/tree.h"
#include "tests/unit/support_recount.h"
#include "tests/unit/support_store.h"

#define DEFAULT_COUNT 2000u
#define ACTORS 5
#define SNAPS 64
#define JOBS 3                          /* of each process */
#define ROUNDS 2

struct snap {
	struct name_sid sid;
	struct name root;
	bool may_miss;                  /* somebody was asked to forget it, or a crash may have taken it back */
};

struct sim;

struct actor {
	struct io io;                   /* first: what the store sees */
	struct io *disk;                /* owned */
	struct sim *sim;
	pthread_t thread;
	sem_t floor;
	bool dead, done;                /* killed: nothing it does has an effect any more */
	unsigned number;
	uint64_t state;
};

struct sim {
	struct support_disk *d;
	struct actor actor[ACTORS];
	size_t count;
	sem_t next;
	uint64_t state;
	struct snap snap[SNAPS];
	size_t snaps;
	char why[500];
	uint64_t steps, kills, losses, reads, made, prunes;
};

static uint64_t
draw(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static void __attribute__((format(printf, 2, 3)))
wrong(struct sim *s, const char *fmt, ...)
{
	va_list ap;

	if (s->why[0])
		return;
	va_start(ap, fmt);
	vsnprintf(s->why, sizeof(s->why), fmt, ap);
	va_end(ap);
}

/* ------------------------------------------------------------------------------------------------- randomness */

/* Ids and nonces come from the seed as well. */
static _Thread_local uint64_t entropy;

static const char *
entropy_name(void)
{
	return "seeded";
}

static uint32_t
entropy_random(void)
{
	return (uint32_t)draw(&entropy);
}

static void
entropy_buf(void *const buf, const size_t len)
{
	uint8_t *p = buf;

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(draw(&entropy) >> 24);
}

static struct randombytes_implementation seeded = {
	.implementation_name = entropy_name, .random = entropy_random, .buf = entropy_buf,
};

/* --------------------------------------------------------------------------------------------------- the floor */

static struct actor *
actor_of(struct io *io)
{
	return (struct actor *)io;
}

/* Give the floor back and wait for it.  False: this process was killed. */
static bool
yield(struct actor *a)
{
	if (a->dead)
		return false;
	/* A thread that the process has for its packs works while the process has the floor. */
	if (!pthread_equal(pthread_self(), a->thread))
		return true;
	sem_post(&a->sim->next);
	while (sem_wait(&a->floor))
		;
	return !a->dead;
}

static int
killed(void)
{
	return fail(ERR_IO, "killed");
}

/* Files belong to a process, and so to its floor. */
struct io_file {
	struct actor *a;
	struct io_file *f;
};

static int
wrap(struct actor *a, struct io_file *f, struct io_file **out)
{
	*out = calloc(1, sizeof(**out));
	assert(*out);
	**out = (struct io_file){ a, f };
	return OK;
}

static int
sim_open(struct io *io, const char *path, struct io_file **out)
{
	struct actor *a = actor_of(io);
	struct io_file *f;
	int rc;

	if (!yield(a))
		return killed();
	rc = io_open(a->disk, path, &f);
	return rc ? rc : wrap(a, f, out);
}

static int
sim_create(struct io *io, const char *path, struct io_file **out)
{
	struct actor *a = actor_of(io);
	struct io_file *f;
	int rc;

	if (!yield(a))
		return killed();
	rc = io_create(a->disk, path, &f);
	return rc ? rc : wrap(a, f, out);
}

static int
sim_size(struct io_file *f, uint64_t *size)
{
	return io_size(f->a->disk, f->f, size);
}

static int
sim_read_at(struct io_file *f, uint64_t off, void *buf, size_t len)
{
	return f->a->dead ? killed() : io_read_at(f->a->disk, f->f, off, buf, len);
}

static int
sim_append(struct io_file *f, const void *buf, size_t len)
{
	return yield(f->a) ? io_append(f->a->disk, f->f, buf, len) : killed();
}

static int
sim_write_at(struct io_file *f, uint64_t off, const void *buf, size_t len)
{
	return yield(f->a) ? io_write_at(f->a->disk, f->f, off, buf, len) : killed();
}

static int
sim_sync(struct io_file *f)
{
	return yield(f->a) ? io_sync(f->a->disk, f->f) : killed();
}

static int
sim_close(struct io_file *f)
{
	int rc = io_close(f->a->disk, f->f);

	free(f);
	return rc;
}

static int
sim_rename(struct io *io, const char *from, const char *to)
{
	return yield(actor_of(io)) ? io_rename(actor_of(io)->disk, from, to) : killed();
}

static int
sim_unlink(struct io *io, const char *path)
{
	return yield(actor_of(io)) ? io_unlink(actor_of(io)->disk, path) : killed();
}

static int
sim_mkdir(struct io *io, const char *path)
{
	return yield(actor_of(io)) ? io_mkdir(actor_of(io)->disk, path) : killed();
}

static int
sim_sync_dir(struct io *io, const char *path)
{
	return yield(actor_of(io)) ? io_sync_dir(actor_of(io)->disk, path) : killed();
}

static int
sim_list(struct io *io, const char *path, io_list_fn fn, void *arg)
{
	return yield(actor_of(io)) ? io_list(actor_of(io)->disk, path, fn, arg) : killed();
}

static int
sim_stat(struct io *io, const char *path, uint64_t *size)
{
	return yield(actor_of(io)) ? io_stat(actor_of(io)->disk, path, size) : killed();
}

/* Waiting is trying again when one has the floor. */
static int
sim_lock(struct io *io, enum io_lock kind, bool wait)
{
	struct actor *a = actor_of(io);
	int rc;

	if (kind == IO_UNLOCKED)
		return io_lock(a->disk, kind, wait);
	do {
		if (!yield(a))
			return killed();
		rc = io_lock(a->disk, kind, false);
	} while (rc == ERR_LOCKED && wait);
	return rc;
}

static void
sim_free(struct io *io)
{
	struct actor *a = actor_of(io);

	a->disk = io_free(a->disk);
}

static const struct io_ops sim_ops = {
	.open = sim_open, .create = sim_create, .size = sim_size, .read_at = sim_read_at, .append = sim_append, .write_at = sim_write_at,
	.sync = sim_sync, .close = sim_close, .rename = sim_rename, .unlink = sim_unlink, .mkdir = sim_mkdir, .sync_dir = sim_sync_dir,
	.list = sim_list, .stat = sim_stat, .lock = sim_lock, .free = sim_free,
};

/* --------------------------------------------------------------------------------------------------- processes */

static int
open_repo(struct actor *a, struct repo **out)
{
	static const uint8_t bytes[32] = { 'k', 'e', 'y' };
	const struct keys_secret secret = { KEYSLOT_KEYFILE, bytes, sizeof(bytes) };
	int rc;

	a->io.ops = &sim_ops;
	a->disk = support_disk_io(a->sim->d);
	if ((rc = repo_open(&a->io, out)) == OK && (rc = repo_unlock(*out, &secret)))
		*out = repo_close(*out);
	return rc;
}

/* Everything beneath a tree of ours: one level of directories, files of one chunk. */
static int
read_tree(struct reader *rd, const struct name *id, unsigned depth)
{
	struct tree_dir *d;
	struct treenode_entry e;
	struct tree_entry copy;
	const uint8_t *p;
	size_t len;
	int rc = depth > 3 ? ERR_CORRUPT : tree_open(rd, id, &d);

	if (rc)
		return rc;
	while (rc >= 0 && (rc = tree_next(d, &e)) == FOUND) {
		if ((rc = tree_entry_copy(&copy, &e)))
			break;
		rc = copy.e.kind == TREENODE_DIR ? read_tree(rd, &copy.e.content, depth + 1) :
		    reader_get(rd, &copy.e.content, 'D', &p, &len);
		tree_entry_clear(&copy);
	}
	tree_close(d);
	return rc == AT_END ? OK : rc;
}

/* Under the shared lock, as every reader (PB-9). */
static int
read_snapshot(struct repo *r, const struct name_sid *sid, bool forgotten)
{
	struct snapshots_item it = { .mem = NULL };
	struct index *ix = NULL;
	struct reader *rd = NULL;
	int rc = snapshots_read(r, forgotten, sid, &it);

	if (rc == OK && (rc = index_load(r, &ix)) == OK && (rc = reader_new(r, ix, 1u << 20, &rd)) == OK) {
		rc = read_tree(rd, &it.rec.root, 0);
		rc = rc == ERR_ABSENT ? ERR_CORRUPT : rc;
	}
	reader_free(rd);
	index_free(ix);
	snapshots_item_clear(&it);
	return rc;
}

/* Some directories of which most were there before, some with a base: then they are stored as differences. */
static int
put_tree(struct actor *a, struct session *s, struct name *root)
{
	struct name dirs[3], chunk[6];
	int rc = OK;

	for (unsigned i = 0; rc == OK && i < 3; i++) {
		uint64_t seed = draw(&a->state) % 6, n = 2 + seed % 4;

		for (unsigned k = 0; rc == OK && k < n; k++)
			rc = support_store_data(s, 100 * i + (k == 1 ? draw(&a->state) % 12 : k + seed), 100, NULL, &chunk[k]);
		if (rc == OK)
			rc = support_store_tree(s, TREENODE_FILE, chunk, n, NULL, &dirs[i]);
	}
	return rc ? rc : support_store_tree(s, TREENODE_DIR, dirs, 3, NULL, root);
}

static int
make(struct actor *a, struct repo *r)
{
	const struct session_config cfg = { .jobs = 1, .level = 1 };
	struct session *s;
	struct snap *new;
	struct name root;
	int rc = session_begin(r, &cfg, &s);

	if (rc)
		return rc;
	if ((rc = put_tree(a, s, &root)) == OK && (draw(&a->state) % 4 || (rc = session_checkpoint(s)) == OK))
		rc = support_store_commit(s, &root);
	if (rc)
		session_abort(s);
	/* Reported: from here on it must be there. */
	if (rc == OK && !a->dead && a->sim->snaps < SNAPS) {
		new = &a->sim->snap[a->sim->snaps++];
		*new = (struct snap){ .sid = *session_sid(s), .root = root };
		a->sim->made++;
	}
	session_free(s);
	return rc;
}

static int
with_one(struct actor *a, struct repo *r, unsigned what)
{
	struct sim *s = a->sim;
	struct snap *one;
	struct name_sid sid;
	size_t which;
	int rc;

	if (s->snaps == 0)
		return OK;
	which = draw(&a->state) % s->snaps;
	one = &s->snap[which];
	sid = one->sid;
	if (what == 0)
		one->may_miss = true;
	if ((rc = io_lock(r->io, IO_SHARED, true)))
		return rc;
	if (what == 0)
		rc = graves_bury(r, &sid, 1);
	else if (what == 1)
		rc = graves_raise(r, &sid);
	else
		rc = read_snapshot(r, &sid, false);
	(void)!io_lock(r->io, IO_UNLOCKED, false);
	if (what == 2 && !a->dead) {
		s->reads++;
		if (rc && !(rc == ERR_ABSENT && one->may_miss))
			wrong(s, "process %u cannot read snapshot %zu: %d %s", a->number, which, rc, err_text());
	}
	return rc == ERR_ABSENT ? OK : rc;
}

static int
prune(struct actor *a, struct repo *r)
{
	const struct prune_options o = { .max_unused = (unsigned)(draw(&a->state) % 2 * 1000), .max_rewrite = 1u << 20 };
	struct prune_result res;
	int rc = settle_run(r, NULL, 0, draw(&a->state) % 2, &res.stats);

	if (rc == OK)
		rc = prune_run(r, &o, &res);
	a->sim->prunes += rc == OK;
	return rc == ERR_LOCKED ? OK : rc;
}

static void *
live(void *arg)
{
	struct actor *a = arg;
	struct repo *r = NULL;
	uint64_t what;
	int rc;

	while (sem_wait(&a->floor))
		;
	entropy = ~a->state;
	rc = open_repo(a, &r);
	for (unsigned i = 0; rc == OK && i < JOBS; i++) {
		what = draw(&a->state) % 10;
		rc = what < 4 ? make(a, r) : what < 6 ? prune(a, r) : what < 7 ? with_one(a, r, 0) : what < 8 ? with_one(a, r, 1) :
		    with_one(a, r, 2);
	}
	if (rc && !a->dead)
		wrong(a->sim, "process %u: %d %s", a->number, rc, err_text());
	repo_close(r);
	a->done = true;
	sem_post(&a->sim->next);
	return NULL;
}

/* --------------------------------------------------------------------------------------------------- the scheduler */

static void
give_floor(struct sim *s, struct actor *a)
{
	sem_post(&a->floor);
	while (sem_wait(&s->next))
		;
}

/* It does nothing more; what it held is released as the kernel would. */
static void
end_actor(struct sim *s, struct actor *a)
{
	a->dead = true;
	while (!a->done)
		give_floor(s, a);
}

/* Until all are done, or the power fails.  True: it did. */
static bool
schedule(struct sim *s)
{
	bool fails = draw(&s->state) % 2;
	size_t left = s->count;

	while (left) {
		struct actor *a = &s->actor[draw(&s->state) % s->count];
		uint64_t chance = draw(&s->state) % 4000;

		if (a->done)
			continue;
		s->steps++;
		if (fails && chance < 4)
			return true;
		if (chance >= 4 && chance < 12) {
			s->kills++;
			end_actor(s, a);
		} else {
			give_floor(s, a);
		}
		left -= a->done;
	}
	return false;
}

static void
lose_power(struct sim *s)
{
	const struct support_loss loss = { SUPPORT_RANDOM, draw(&s->state) };
	size_t n = support_disk_ops(s->d);
	struct support_disk *d;

	for (size_t i = 0; i < s->count; i++)
		if (!s->actor[i].done)
			end_actor(s, &s->actor[i]);
	d = support_disk_loss(s->d, n, &loss);
	for (size_t i = 0; i < s->count; i++)
		pthread_join(s->actor[i].thread, NULL);
	support_disk_free(s->d);
	s->d = d;
	s->losses++;
}

/* Everything that was reported and is not to be missed, and the counts. */
static void
check(struct sim *s, enum support_recount how)
{
	struct support_recount_result res;
	struct repo *r;
	int rc = support_store_open(s->d, &r);

	if (rc) {
		wrong(s, "open: %d %s", rc, err_text());
		return;
	}
	if (!support_recount(r, how, &res))
		wrong(s, "%s", res.why);
	rc = io_lock(r->io, IO_SHARED, false);
	for (size_t i = 0; rc == OK && i < s->snaps && !s->why[0]; i++) {
		rc = read_snapshot(r, &s->snap[i].sid, false);
		if (rc == ERR_ABSENT && s->snap[i].may_miss)
			rc = OK;
		if (rc)
			wrong(s, "snapshot %zu: %d %s", i, rc, err_text());
	}
	(void)!io_lock(r->io, IO_UNLOCKED, false);
	repo_close(r);
}

static void
round_of(struct sim *s)
{
	s->count = 2 + draw(&s->state) % (ACTORS - 1);
	for (size_t i = 0; i < s->count; i++) {
		struct actor *a = &s->actor[i];

		*a = (struct actor){ .sim = s, .number = (unsigned)i, .state = draw(&s->state) };
		sem_init(&a->floor, 0, 0);
		if (pthread_create(&a->thread, NULL, live, a))
			abort();
	}
	if (schedule(s))
		lose_power(s);
	else
		for (size_t i = 0; i < s->count; i++)
			pthread_join(s->actor[i].thread, NULL);
	for (size_t i = 0; i < s->count; i++)
		sem_destroy(&s->actor[i].floor);
	check(s, SUPPORT_RECOUNT_SAFE);
}

static bool
run(struct sim *s, uint64_t seed)
{
	struct settle_stats stats;
	struct repo *r;

	s->state = seed;
	entropy = ~seed;
	s->snaps = 0;
	s->why[0] = 0;
	s->d = support_disk_new();
	sem_init(&s->next, 0, 0);
	if (support_store_init(s->d, &r))
		abort();
	repo_close(r);
	for (unsigned i = 0; i < ROUNDS && !s->why[0]; i++)
		round_of(s);
	if (!s->why[0] && support_store_open(s->d, &r) == OK) {
		if (settle_run(r, NULL, 0, false, &stats))
			wrong(s, "settle: %s", err_text());
		repo_close(r);
		check(s, SUPPORT_RECOUNT_EXACT);
	}
	support_disk_free(s->d);
	sem_destroy(&s->next);
	if (s->why[0])
		printf("# seed %ju: %s\n", (uintmax_t)seed, s->why);
	return !s->why[0];
}

int
main(int argc, char **argv)
{
	unsigned long count = argc > 1 ? strtoul(argv[1], NULL, 0) : DEFAULT_COUNT, failed = 0;
	uint64_t first = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
	struct sim *s = calloc(1, sizeof(*s));

	if (!s || randombytes_set_implementation(&seeded) || sodium_init() < 0)
		return 1;
	/* Memory is used again by the next process, not given back and cleared anew. */
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	mallopt(M_ARENA_MAX, 1);
	printf("1..1\n");
	fflush(stdout);
	for (unsigned long i = 0; i < count && failed < 10; i++)
		failed += !run(s, first + i);
	printf("%sok 1 - %lu seeds from %ju: %ju steps, %ju snapshots, %ju reads, %ju prunes, %ju kills, %ju losses of power\n",
	    failed ? "not " : "", count, (uintmax_t)first, (uintmax_t)s->steps, (uintmax_t)s->made, (uintmax_t)s->reads,
	    (uintmax_t)s->prunes, (uintmax_t)s->kills, (uintmax_t)s->losses);
	free(s);
	return failed != 0;
}
