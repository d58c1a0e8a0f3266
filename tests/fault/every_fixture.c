/* every_fixture: small repositories in which there is something of everything. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/err.h"
#include "codec/digest.h"
#include "ops/excise.h"
#include "ops/repack.h"
#include "ops/snapshot.h"
#include "store/graves.h"
#include "store/keyring.h"
#include "store/parity.h"
#include "store/pins.h"
#include "store/reserve.h"
#include "store/settle.h"
#include "store/snapshots.h"
#include "tests/fault/every.h"
#include "tests/unit/support_store.h"

void
every_say(struct every *e, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(e->said + e->said_len, sizeof(e->said) - e->said_len, fmt, ap);
	va_end(ap);
	if (n > 0 && (size_t)n < sizeof(e->said) - e->said_len)
		e->said_len += (size_t)n;
}

/* --------------------------------------------------------------------------------------------------- source */

void
every_remove_tree(const char *path)
{
	(void)support_store_remove(path);
}

/* len bytes of which a page in every eight changes from generation to generation. */
static bool
write_file(const struct every *e, const char *name, size_t len, uint64_t seed, unsigned generation)
{
	uint8_t *p = malloc(len + 1);
	char path[400];
	FILE *f;
	bool ok;

	snprintf(path, sizeof(path), "%s/%s", e->source, name);
	f = fopen(path, "wb");
	if (!p || !f)
		abort();
	support_store_bytes(p, len, seed);
	if (generation && len >= 1024)
		support_store_bytes(p + generation * 2777 % (len - 900), 900, seed + generation);
	ok = fwrite(p, 1, len, f) == len;
	ok = fclose(f) == 0 && ok;
	free(p);
	return ok;
}

/* Files with content in common and of their own, a hole, a link twice, a symbolic link, a fifo, an attribute, an empty directory. */
bool
every_source(struct every *e, const char *dir)
{
	char path[400], other[400];
	bool ok;
	int fd;

	snprintf(e->source, sizeof(e->source), "%s/source", dir);
	snprintf(e->databases, sizeof(e->databases), "%s/databases", dir);
	ok = mkdir(e->source, 0755) == 0 && mkdir(e->databases, 0755) == 0;
	for (unsigned i = 0; i < 3; i++) {
		static const char *const dirs[] = { "a", "a/deep", "empty" };

		snprintf(path, sizeof(path), "%s/%s", e->source, dirs[i]);
		ok = mkdir(path, 0755) == 0 && ok;
	}
	ok = ok && write_file(e, "a/one", 300, 1, 0) && write_file(e, "a/two", 9000, 2, 0) && write_file(e, "a/deep/three", 40, 3, 0) &&
	    write_file(e, "large", 60000, 4, 0);
	snprintf(path, sizeof(path), "%s/a/deep", e->source);
	ok = ok && chmod(path, 0555) == 0;
	snprintf(path, sizeof(path), "%s/a/one", e->source);
	snprintf(other, sizeof(other), "%s/hardlink", e->source);
	ok = ok && link(path, other) == 0;
	(void)!setxattr(path, "user.varve", "x", 1, 0);
	snprintf(path, sizeof(path), "%s/symlink", e->source);
	ok = ok && symlink("a/one", path) == 0;
	snprintf(path, sizeof(path), "%s/fifo", e->source);
	ok = ok && mkfifo(path, 0600) == 0;
	snprintf(path, sizeof(path), "%s/hole", e->source);
	fd = open(path, O_WRONLY | O_CREAT, 0644);
	ok = ok && pwrite(fd, "end", 3, 1 << 20) == 3;
	close(fd);
	return ok;
}

bool
every_change(const struct every *e, unsigned generation)
{
	char name[32];

	snprintf(name, sizeof(name), "a/new%u", generation);
	return write_file(e, "large", 60000, 4, generation) && write_file(e, "a/two", 9000 + 10 * generation, 2, generation) &&
	    write_file(e, name, 20000, 100 + generation, 0);
}

static bool
write_database(const struct every *e, int rows)
{
	char path[400], text[300];
	sqlite3 *db;
	bool ok;

	snprintf(path, sizeof(path), "%s/app.db", e->databases);
	snprintf(text, sizeof(text), "create table if not exists t(a integer primary key, b text); with recursive n(i) as "
	    "(select 1 union all select i + 1 from n where i < %d) insert or replace into t select i, 'row number ' || i from n", rows);
	ok = sqlite3_open(path, &db) == SQLITE_OK && sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK;
	sqlite3_close(db);
	return ok;
}

/* ----------------------------------------------------------------------------------------------- what is there */

static uint64_t tree_sum;               /* nftw has no argument */

static int
sum_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	bool dir = kind == FTW_D || kind == FTW_DP;
	const uint64_t of[] = { tree_sum, st->st_mode, st->st_uid, dir ? 0 : (uint64_t)st->st_size, dir ? 0 : (uint64_t)st->st_nlink,
		(uint64_t)st->st_mtim.tv_sec, (uint64_t)st->st_mtim.tv_nsec, digest_xxh3(path + ftw->base, strlen(path + ftw->base)) };
	uint8_t buf[8192];
	ssize_t n;
	int fd;

	tree_sum = digest_xxh3(of + (ftw->level ? 0 : 1), sizeof(of) - (ftw->level ? 0 : 8 + sizeof(of[0]))) ^ tree_sum;
	if (!S_ISREG(st->st_mode) || (fd = open(path, O_RDONLY)) < 0)
		return 0;
	for (uint64_t at = 0; (n = read(fd, buf, sizeof(buf))) > 0; at++)
		tree_sum ^= digest_xxh3(buf, (size_t)n) * (2 * at + 1) + of[7];
	close(fd);
	return 0;
}

uint64_t
every_tree_sum(const char *path)
{
	tree_sum = 1;
	nftw(path, sum_one, 16, FTW_PHYS | FTW_DEPTH);
	return tree_sum;
}

/* ------------------------------------------------------------------------------------------------ repositories */

int
every_open(struct support_disk *d, unsigned key, struct repo **out)
{
	const uint8_t bytes[32] = { 'k', 'e', 'y', (uint8_t)key };
	const struct keys_secret secret = { KEYSLOT_KEYFILE, bytes, sizeof(bytes) };
	int rc = repo_open(support_disk_io(d), out);

	if (rc == OK && (rc = repo_unlock(*out, &secret)))
		*out = repo_close(*out);
	return rc;
}

int
every_snapshot(struct every *e, struct repo *r, const char *path)
{
	const char *const paths[] = { path };
	const struct snapshot_options o = { .paths = paths, .path_count = 1, .host = "host", .user = "user", .jobs = 1, .level = 1,
		.helper = program_invocation_name };
	struct snapshot_result res;
	int rc = snapshot_run(r, &o, &res);

	if (rc == OK && e->count < EVERY_SNAPS)
		e->sids[e->count++] = res.sid;
	return rc;
}

/* Change the source and take a snapshot, n times. */
static int
history(struct every *e, struct repo *r, unsigned first, unsigned n)
{
	int rc = OK;

	for (unsigned i = 0; rc == OK && i < n; i++) {
		if (!every_change(e, first + i))
			return fail(ERR_FAILED, "the source does not change");
		rc = every_snapshot(e, r, e->source);
	}
	return rc;
}

static int
settle(struct repo *r)
{
	struct settle_stats stats;

	return settle_run(r, NULL, 0, false, &stats);
}

static int
under_lock(struct repo *r, int (*fn)(struct repo *r, const struct name_sid *sids, size_t n), const struct name_sid *sids, size_t n)
{
	int rc = io_lock(r->io, IO_SHARED, false);

	if (rc == OK)
		rc = fn(r, sids, n);
	(void)!io_lock(r->io, IO_UNLOCKED, false);
	return rc;
}

static int
pin(struct repo *r, const struct name_sid *sids, size_t n)
{
	(void)n;
	return pins_set(r, sids, true);
}

static int
add_key(struct repo *r)
{
	const uint8_t bytes[32] = { 'k', 'e', 'y', 1 };
	const struct keys_secret secret = { KEYSLOT_KEYFILE, bytes, sizeof(bytes) };
	struct name_sid id;

	return keyring_add(r, &secret, NULL, "second", &id);
}

static int
with_parity_and_reserve(struct repo *r)
{
	const struct sidecar_shape shape = PARITY_DEFAULT;
	int rc = parity_set_policy(r, &shape);

	parity_forget(r);
	return rc ? rc : reserve_make(r->io, reserve_want(1));
}

static int
make_history(struct every *e, struct repo *r)
{
	int rc;

	if ((rc = history(e, r, 1, 3)) || (rc = settle(r)) || (rc = under_lock(r, pin, &e->sids[2], 1)) || (rc = history(e, r, 4, 3)))
		return rc;
	return under_lock(r, graves_bury, &e->sids[3], 1);
}

static int
make_prune(struct every *e, struct repo *r)
{
	int rc;

	if ((rc = history(e, r, 1, 12)) || (rc = settle(r)))
		return rc;
	return under_lock(r, graves_bury, &e->sids[1], 9);
}

static int
make_small(struct every *e, struct repo *r, unsigned n)
{
	int rc = OK;

	for (unsigned i = 0; rc == OK && i < n; i++)
		if (!write_file(e, "a/one", 300 + i, i, 0) || (rc = every_snapshot(e, r, e->source)))
			return rc;
	return rc;
}

static int
make_database(struct every *e, struct repo *r)
{
	int rc = OK;

	for (int i = 1; rc == OK && i <= 2; i++)
		rc = write_database(e, 600 * i) ? every_snapshot(e, r, e->databases) : fail(ERR_FAILED, "no database");
	return rc ? rc : settle(r);
}

enum harm { HARM_FLIP, HARM_CUT, HARM_REMOVE };

/* Harm one in `step` of the objects whose paths begin so; which byte of them it is changes from one to the next. */
static void
harm(struct support_disk *d, const struct support_disk *made, const char *prefix, size_t step, enum harm how)
{
	struct io *io = support_disk_io(d);
	uint64_t size;
	size_t n = 0;

	for (size_t i = 0; i < support_disk_ops(made); i++) {
		const struct support_op *op = support_disk_op(made, i);

		if (op->kind != SUPPORT_RENAME || strncmp(op->to, prefix, strlen(prefix)) != 0 || n++ % step || io_stat(io, op->to, &size))
			continue;
		if (how == HARM_FLIP)
			support_disk_flip(d, op->to, (uint64_t[]){ 200, size - 1, 40, size / 2, size - 30 }[n / step % 5] % size);
		else if (how == HARM_CUT)
			support_disk_cut(d, op->to, size / 2);
		else
			support_disk_remove(d, op->to);
	}
	io_free(io);
}

static int
make(struct every *e, enum every_fixture which, struct repo *r)
{
	int rc = which == EVERY_NEW ? OK : add_key(r);

	if (rc == OK && which != EVERY_BARE && which != EVERY_LOST && which != EVERY_GIVEN_UP &&
	    which != EVERY_SMALL)
		rc = with_parity_and_reserve(r);
	if (rc)
		return rc;
	switch (which) {
	case EVERY_HISTORY:
	case EVERY_BAD:
	case EVERY_BARE:
	case EVERY_LOST:
	case EVERY_GIVEN_UP:
	case EVERY_SIDES:
		return make_history(e, r);
	case EVERY_PRUNE:
		return make_prune(e, r);
	case EVERY_SMALL:
		return (rc = make_small(e, r, REWRITE_MERGE + 1)) ? rc : settle(r);
	case EVERY_SEGMENTS:
		return make_small(e, r, SETTLE_SEGMENTS);
	case EVERY_DATABASE:
		return make_database(e, r);
	default:
		return OK;
	}
}

static void
damage(struct support_disk *d, const struct support_disk *made, enum every_fixture which)
{
	switch (which) {
	case EVERY_BAD:
		harm(d, made, "packs/", 3, HARM_FLIP);
		harm(d, made, "index/0", 1, HARM_FLIP);
		harm(d, made, "snapshots/", 4, HARM_FLIP);
		break;
	case EVERY_LOST:
	case EVERY_GIVEN_UP:
		harm(d, made, "packs/", 2, HARM_FLIP);
		harm(d, made, "packs/", 5, HARM_CUT);
		harm(d, made, "parity/", 2, HARM_CUT);
		harm(d, made, "packs/", 9, HARM_REMOVE);
		break;
	case EVERY_SIDES:
		support_disk_flip(d, "varve-repo", 20);
		harm(d, made, "parity/", 2, HARM_FLIP);
		harm(d, made, "parity/", 7, HARM_CUT);
		harm(d, made, "parity/snapshots/", 3, HARM_REMOVE);
		harm(d, made, "packs/", 6, HARM_REMOVE);
		harm(d, made, "index/", 3, HARM_REMOVE);
		break;
	default:
		break;
	}
}

static int
give_up(struct support_disk *d)
{
	const struct repack_options p = { 0 };
	const struct excise_options x = { 0 };
	struct repack_stats packs;
	struct excise_stats st;
	struct repo *r;
	int rc = every_open(d, 0, &r);

	if (rc == OK && (rc = excise_records(r, &x, &st)) == OK && (rc = repack_run(r, &p, &packs)) == OK &&
	    (rc = excise_run(r, &x, &st)) == OK)
		rc = repack_run(r, &p, &packs);
	repo_close(r);
	return rc;
}

bool
every_fixture_make(struct every *e, enum every_fixture which)
{
	const struct support_loss none = { .kind = SUPPORT_KEEP_ALL };
	struct support_disk *d = support_disk_new();
	struct repo *r = NULL;
	int rc = OK;

	e->count = 0;
	if (which != EVERY_NOTHING && (rc = support_store_init(d, &r)) == OK)
		rc = make(e, which, r);
	repo_close(r);
	e->d = support_disk_loss(d, support_disk_ops(d), &none);
	damage(e->d, d, which);
	if (which == EVERY_GIVEN_UP && rc == OK)
		rc = give_up(e->d);
	support_disk_free(d);
	if (rc)
		printf("# fixture %d: %s\n", (int)which, err_text());
	return rc == OK;
}
