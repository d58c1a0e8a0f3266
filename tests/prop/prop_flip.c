/*
 * prop_flip [COUNT [SEED] | all [PART OF]]: a small repository with every kind of object, damaged in every way: each bit flipped, each object cut
 * at each length, removed, there twice, two of a kind exchanged.
 *
 * The invariant, in words.  Whatever the damage: a full verify finds it, or every snapshot reads back as it was; and no snapshot ever
 * reads back without an error as something else.
 *
 * The damage is done between the repository and a disk in memory, on the way of what is read; so nothing has to be put back.
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/digest.h"
#include "format/frame.h"
#include "format/treenode.h"
#include "ops/snapshot.h"
#include "ops/verify.h"
#include "ops/view.h"
#include "store/graves.h"
#include "store/pins.h"
#include "store/session.h"
#include "store/settle.h"
#include "store/tree.h"
#include "tests/unit/support_store.h"

#define DEFAULT_COUNT 1200u
#define MIXED 3                         /* chunks, of as many pieces each */
#define PIECE 1536
#define OBJECTS_MAX 64
#define SNAPS_MAX 8
#define DIRS (8 + 256)

enum fault { FAULT_NONE, FAULT_FLIP, FAULT_CUT, FAULT_GONE, FAULT_TWICE, FAULT_SWAP, FAULT_KINDS };

static const char *const fault_names[] = { "nothing", "flipped", "cut", "removed", "twice", "exchanged" };

struct bent {
	struct io io;
	struct io *below;
	enum fault fault;
	char path[SUPPORT_IO_PATH], other[SUPPORT_IO_PATH];     /* other: the second one, or the second name */
	uint64_t off;                   /* of the bit, in bits; length of what is cut */
};

struct io_file {
	struct bent *b;
	struct io_file *below;
	bool hit;
};

struct object {
	char path[SUPPORT_IO_PATH];
	uint64_t len;
};

struct run {
	struct support_disk *d;
	struct bent bent;
	struct object o[OBJECTS_MAX];
	size_t count;
	uint64_t bits, lens;            /* of all objects */
	struct name_sid sid[SNAPS_MAX];
	uint64_t sum[SNAPS_MAX];
	size_t snaps;
	char source[300], state[300];
	unsigned long tried, found, harmless;
};

/* ---- the bent way ---- */

static struct bent *
bent_of(struct io *io)
{
	return (struct bent *)io;
}

/* What a path leads to; NULL: nothing. */
static const char *
way(const struct bent *b, const char *path, bool *hit)
{
	*hit = strcmp(path, b->path) == 0;
	if (b->fault == FAULT_GONE && *hit)
		return NULL;
	if (b->fault == FAULT_TWICE && strcmp(path, b->other) == 0)
		return b->path;
	if (b->fault == FAULT_SWAP && (*hit || strcmp(path, b->other) == 0))
		return *hit ? b->other : b->path;
	return path;
}

static int
bent_open(struct io *io, const char *path, struct io_file **out)
{
	struct bent *b = bent_of(io);
	struct io_file *f;
	bool hit;
	int rc;

	path = way(b, path, &hit);
	if (!path)
		return fail(ERR_ABSENT, "removed");
	if ((rc = MEM_NEW(f)))
		return rc;
	f->b = b;
	f->hit = hit;
	if ((rc = b->below->ops->open(b->below, path, &f->below))) {
		free(f);
		return rc;
	}
	*out = f;
	return OK;
}

static int
bent_size(struct io_file *f, uint64_t *size)
{
	int rc = f->b->below->ops->size(f->below, size);

	if (rc == OK && f->hit && f->b->fault == FAULT_CUT)
		*size = f->b->off;
	return rc;
}

static int
bent_read_at(struct io_file *f, uint64_t off, void *buf, size_t len)
{
	const struct bent *b = f->b;
	uint64_t at = b->off / 8;
	int rc;

	if (f->hit && b->fault == FAULT_CUT && off + len > b->off)
		return fail(ERR_CORRUPT, "ends too early");
	rc = b->below->ops->read_at(f->below, off, buf, len);
	if (rc == OK && f->hit && b->fault == FAULT_FLIP && at >= off && at - off < len)
		((uint8_t *)buf)[at - off] ^= (uint8_t)(1u << b->off % 8);
	return rc;
}

static int
bent_close(struct io_file *f)
{
	int rc = f->b->below->ops->close(f->below);

	free(f);
	return rc;
}

struct names {
	const struct bent *b;
	const char *dir;
	io_list_fn fn;
	void *arg;
};

static int
bent_name(void *arg, const char *name)
{
	struct names *n = arg;
	char path[SUPPORT_IO_PATH * 2];

	snprintf(path, sizeof(path), "%s/%s", n->dir, name);
	return n->b->fault == FAULT_GONE && strcmp(path, n->b->path) == 0 ? OK : n->fn(n->arg, name);
}

static int
bent_list(struct io *io, const char *path, io_list_fn fn, void *arg)
{
	struct bent *b = bent_of(io);
	struct names n = { b, path, fn, arg };
	size_t len = strlen(path);
	int rc = b->below->ops->list(b->below, path, bent_name, &n);

	if (rc == OK && b->fault == FAULT_TWICE && strncmp(b->other, path, len) == 0 && b->other[len] == '/' &&
	    !strchr(b->other + len + 1, '/'))
		rc = fn(arg, b->other + len + 1);
	return rc;
}

static int
bent_stat(struct io *io, const char *path, uint64_t *size)
{
	struct bent *b = bent_of(io);
	bool hit;
	int rc;

	path = way(b, path, &hit);
	if (!path)
		return fail(ERR_ABSENT, "removed");
	rc = b->below->ops->stat(b->below, path, size);
	if (rc == OK && hit && b->fault == FAULT_CUT)
		*size = b->off;
	return rc;
}

static int
bent_lock(struct io *io, enum io_lock kind, bool wait)
{
	(void)io, (void)kind, (void)wait;
	return OK;
}

static int
bent_create(struct io *io, const char *path, struct io_file **out)
{
	(void)io, (void)path, (void)out;
	return fail(ERR_IO, "read only");
}

static int
bent_rename(struct io *io, const char *from, const char *to)
{
	(void)io, (void)from, (void)to;
	return fail(ERR_IO, "read only");
}

static int
bent_path(struct io *io, const char *path)
{
	(void)io, (void)path;
	return fail(ERR_IO, "read only");
}

static void
bent_free(struct io *io)
{
	(void)io;
}

static const struct io_ops bent_ops = {
	.open = bent_open, .create = bent_create, .size = bent_size, .read_at = bent_read_at, .close = bent_close,
	.rename = bent_rename, .unlink = bent_path, .mkdir = bent_path, .sync_dir = bent_path, .list = bent_list,
	.stat = bent_stat, .lock = bent_lock, .free = bent_free,
};

/* ---- reading everything back ---- */

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
		if ((rc = piece.hole ? OK : reader_get(rd, &piece.id, 'D', &p, &len)) == OK && !piece.hole)
			*sum = sum_of(*sum, p, len);
	tree_content_close(c);
	return rc == AT_END ? OK : rc;
}

static int
sum_tree(struct reader *rd, const struct name *id, unsigned depth, uint64_t *sum)
{
	struct treenode_entry e;
	struct tree_dir *d;
	int rc = depth > 40 ? fail(ERR_CORRUPT, "too deep") : tree_open(rd, id, &d);

	if (rc)
		return rc;
	while (rc == OK && (rc = tree_next(d, &e)) == FOUND) {
		uint64_t fields[5] = { e.kind, e.mode, (uint64_t)e.mtime, e.mtime_ns, e.size };

		*sum = sum_of(sum_of(*sum, e.name, e.name_len), fields, sizeof(fields));
		if (e.target)
			*sum = sum_of(*sum, e.target, (size_t)e.size);
		rc = e.kind == TREENODE_DIR ? sum_tree(rd, &e.content, depth + 1, sum) :
		    e.kind == TREENODE_FILE ? sum_content(rd, &e, sum) : OK;
	}
	tree_close(d);
	return rc == AT_END ? OK : rc;
}

/* Every snapshot that can be read without an error is what it was: true.  *all: none is missing or unreadable. */
static bool
reads_right(struct run *u, struct repo *r, bool *all)
{
	bool right = true;
	struct view v;
	size_t same = 0;
	int rc = view_open(r, VIEW_CONTENT, NULL, NULL, &v);

	for (size_t i = 0; rc == OK && i < v.snaps.count; i++) {
		uint64_t sum = 0;
		size_t k = 0;

		if (sum_tree(v.rd, &v.snaps.items[i].rec.root, 0, &sum))
			continue;
		while (k < u->snaps && name_sid_cmp(&u->sid[k], &v.snaps.items[i].sid) != 0)
			k++;
		right = right && k < u->snaps && u->sum[k] == sum;
		same += right;
	}
	*all = rc == OK && right && same == u->snaps && v.snaps.damaged == 0;
	view_close(&v);
	return right;
}

static int
unlocked(struct run *u, struct repo **r)
{
	static const uint8_t key_file[32] = { 'k', 'e', 'y' };
	const struct keys_secret secret = { KEYSLOT_KEYFILE, key_file, sizeof(key_file) };
	int rc = repo_open(&u->bent.io, r);

	if (rc == OK && (rc = repo_unlock(*r, &secret)))
		*r = repo_close(*r);
	return rc;
}

/* With the damage that stands in u->bent: does the invariant hold? */
static bool
holds(struct run *u)
{
	const struct verify_options o = { .read = true, .jobs = 1 };
	struct verify_result res;
	bool found, all = false, right = true;
	struct repo *r;

	u->tried++;
	found = unlocked(u, &r) != OK;
	if (!found) {
		found = verify_run(r, &o, &res) != OK || res.damages.total > 0;
		verify_clear(&res);
		right = reads_right(u, r, &all);
		repo_close(r);
	}
	u->found += found;
	u->harmless += !found;
	if (right && (found || all))
		return true;
	printf("# %s %s %s%s%s, at %ju: %s\n", u->bent.path, fault_names[u->bent.fault], u->bent.other[0] ? "(" : "", u->bent.other,
	    u->bent.other[0] ? ")" : "", (uintmax_t)u->bent.off, right ? "verify does not find it" : "WRONG BYTES");
	return false;
}

/* ---- the repository ---- */

static bool
write_file(const struct run *u, const char *name, size_t len, uint64_t seed)
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
	memset(p, 'x', len / 4);                /* some of it compresses */
	ok = fwrite(p, 1, len, f) == len;
	ok = fclose(f) == 0 && ok;
	free(p);
	return ok;
}

static bool
take(struct run *u, struct repo *r, struct name_sid *sid)
{
	const char *const paths[] = { u->source };
	const struct snapshot_options o = { .paths = paths, .path_count = 1, .host = "host", .user = "user", .jobs = 1, .level = 1 };
	struct snapshot_result res;
	int rc = snapshot_run(r, &o, &res);

	*sid = res.sid;
	return rc == OK || rc == ERR_PARTIAL;
}

static bool
make_dirs(char *out, const char *what)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(out, 300, "%s/varve-flip-%s-XXXXXX", tmp ? tmp : "/tmp", what);
	return mkdtemp(out) != NULL;
}

/* Chunks of pieces of others: the first kind is whole, the second stands on all of these. */
static bool
put_mixed(struct session *s, bool second, const struct name *olds, struct name *ids)
{
	uint8_t p[MIXED * PIECE];
	bool ok = session_fine(s, second) == OK;

	for (size_t i = 0; ok && i < MIXED; i++) {
		for (size_t k = 0; k < MIXED; k++)
			support_store_bytes(p + k * PIECE, PIECE, 5000 + (second ? MIXED * k + (i + k) % MIXED : MIXED * i + k));
		ok = session_put(s, FRAME_DATA, p, sizeof(p), second ? &olds[i] : NULL, &ids[i], NULL) == OK;
	}
	return ok && session_fine(s, false) == OK;
}

static bool
take_mixed(struct repo *r, bool second, const struct name *olds, struct name *ids, struct name_sid *sid)
{
	const struct session_config cfg = { .jobs = 1, .level = 3 };
	struct session *s;
	struct name root;
	bool ok;

	if (session_begin(r, &cfg, &s))
		return false;
	*sid = *session_sid(s);
	ok = put_mixed(s, second, olds, ids) && support_store_tree(s, TREENODE_FILE, ids, MIXED, NULL, &root) == OK &&
	    support_store_commit(s, &root) == OK;
	session_free(s);
	return ok;
}

/* The first one goes: what the second stands on lives for that only. */
static bool
make_mixed(struct repo *r, struct name_sid *sid)
{
	struct name olds[MIXED], ids[MIXED];
	struct settle_stats settled;
	struct name_sid first;

	return take_mixed(r, false, NULL, olds, &first) && take_mixed(r, true, olds, ids, sid) &&
	    graves_bury(r, &first, 1) == OK && settle_run(r, &first, 1, true, &settled) == OK;
}

/* Four settled snapshots, one of them forgotten, one pinned; what was verified; one more that is not settled. */
static bool
make_repository(struct run *u)
{
	const struct verify_options full = { .read = true };
	struct settle_stats settled;
	struct verify_result res;
	struct name_sid sid[5];
	struct repo *r;
	char name[32];
	bool ok;

	u->d = support_disk_new();
	ok = make_dirs(u->source, "source") && make_dirs(u->state, "state") && setenv("VARVE_STATE_DIR", u->state, 1) == 0 &&
	    support_store_init(u->d, &r) == OK && write_file(u, "large", 60000, 1);
	for (unsigned i = 0; ok && i < 20; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		ok = write_file(u, name, 40 + 30 * i, 100 + i);
	}
	ok = ok && make_mixed(r, &u->sid[u->snaps++]);
	for (unsigned i = 0; ok && i < 5; i++) {
		snprintf(name, sizeof(name), "f%u", i);
		ok = write_file(u, name, 900, 1000 + i) && take(u, r, &sid[i]);
		if (ok && i == 3)
			ok = graves_bury(r, &sid[1], 1) == OK && pins_set(r, &sid[0], true) == OK &&
			    settle_run(r, NULL, 0, true, &settled) == OK;
		if (ok && i == 3) {
			ok = verify_run(r, &full, &res) == OK && res.damages.total == 0 && res.save_rc == OK;
			if (!ok)
				printf("# %s\n", res.save_note);
			verify_clear(&res);
		}
		if (ok && i != 1)
			u->sid[u->snaps++] = sid[i];
	}
	if (ok)
		repo_close(r);
	return ok;
}

struct listing {
	struct run *u;
	const char *dir;
};

static int
add_object(void *arg, const char *name)
{
	struct listing *l = arg;
	struct object *o = &l->u->o[l->u->count];

	if (l->u->count == OBJECTS_MAX)
		abort();
	snprintf(o->path, sizeof(o->path), "%s%s%s", l->dir, l->dir[0] ? "/" : "", name);
	if (strcmp(name, "locks") == 0 || l->u->bent.below->ops->stat(l->u->bent.below, o->path, &o->len) != OK || o->len == 0)
		return OK;
	l->u->count++;
	l->u->bits += o->len * 8;
	l->u->lens += o->len;
	return OK;
}

/* varve-repo stands for itself: the other names beside it are directories. */
static bool
list_objects(struct run *u)
{
	static const char *const dirs[] = { "keys", "index", "snapshots", "forgotten", "pins", "verified" };
	struct listing l = { u, "" };
	char pack[16];
	int rc = add_object(&l, "varve-repo");

	for (size_t i = 0; rc == OK && i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		l.dir = dirs[i];
		rc = u->bent.below->ops->list(u->bent.below, dirs[i], add_object, &l);
	}
	l.dir = pack;
	for (unsigned i = 0; rc == OK && i < 256; i++) {
		snprintf(pack, sizeof(pack), "packs/%02x", i);
		rc = u->bent.below->ops->list(u->bent.below, pack, add_object, &l);
	}
	return rc == OK;
}

/* What the snapshots are when nothing is wrong, and what this user saw. */
static bool
learn(struct run *u)
{
	const struct verify_options o = { .read = true, .jobs = 1 };
	struct verify_result res;
	struct repo *r;
	struct view v;
	bool ok;

	if (unlocked(u, &r))
		return false;
	ok = verify_run(r, &o, &res) == OK && res.damages.total == 0;
	verify_clear(&res);
	ok = ok && view_open(r, VIEW_CONTENT, NULL, NULL, &v) == OK && v.snaps.count == u->snaps;
	for (size_t i = 0; ok && i < u->snaps; i++) {
		u->sid[i] = v.snaps.items[i].sid;
		ok = sum_tree(v.rd, &v.snaps.items[i].rec.root, 0, &u->sum[i]) == OK;
	}
	view_close(&v);
	repo_close(r);
	return ok;
}

/* ---- damage ---- */

static bool
damage(struct run *u, enum fault fault, const struct object *o, const char *other, uint64_t off)
{
	u->bent.fault = fault;
	snprintf(u->bent.path, sizeof(u->bent.path), "%s", o->path);
	snprintf(u->bent.other, sizeof(u->bent.other), "%s", other);
	u->bent.off = off;
	return holds(u);
}

/* Another name of the same form in the same directory. */
static void
second_name(const struct object *o, char other[static SUPPORT_IO_PATH])
{
	char *last;

	snprintf(other, SUPPORT_IO_PATH, "%s", o->path);
	last = other + strlen(other) - 1;
	*last = *last == 'f' ? 'e' : 'f';
}

static bool
same_dir(const char *a, const char *b)
{
	return strncmp(a, b, 5) == 0;
}

/* Removal, a second name, exchange: all there are. */
static unsigned long
whole_objects(struct run *u)
{
	char other[SUPPORT_IO_PATH];
	unsigned long failed = 0;

	for (size_t i = 0; i < u->count; i++) {
		failed += !damage(u, FAULT_GONE, &u->o[i], "", 0);
		second_name(&u->o[i], other);
		if (strchr(other, '/'))
			failed += !damage(u, FAULT_TWICE, &u->o[i], other, 0);
		for (size_t k = i + 1; k < u->count; k++)
			if (same_dir(u->o[i].path, u->o[k].path))
				failed += !damage(u, FAULT_SWAP, &u->o[i], u->o[k].path, 0);
	}
	return failed;
}

/* Bit or length number n of all objects together. */
static bool
one_place(struct run *u, enum fault fault, uint64_t n)
{
	unsigned unit = fault == FAULT_FLIP ? 8 : 1;
	size_t i = 0;

	for (; n >= u->o[i].len * unit; i++)
		n -= u->o[i].len * unit;
	return damage(u, fault, &u->o[i], "", n);
}

static int
remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st, (void)kind, (void)ftw;
	return remove(path);
}

int
main(int argc, char **argv)
{
	bool all = argc > 1 && strcmp(argv[1], "all") == 0, ok;
	unsigned long count = argc > 1 && !all ? strtoul(argv[1], NULL, 0) : DEFAULT_COUNT, failed = 0;
	uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)getpid() << 20, at[2];
	uint64_t part = all && argc > 3 ? seed : 0, of = all && argc > 3 ? strtoull(argv[3], NULL, 0) : 1;
	struct run *u = calloc(1, sizeof(*u));

	if (!u)
		return 1;
	printf("# seed %ju\n1..1\n", (uintmax_t)seed);
	fflush(stdout);
	ok = make_repository(u);
	u->bent.io.ops = &bent_ops;
	u->bent.below = support_disk_io(u->d);
	support_disk_blind(u->d);
	ok = ok && list_objects(u) && u->lens >= 65536 && learn(u);
	if (!ok)
		printf("# cannot make the repository (%ju bytes): %s\n", (uintmax_t)u->lens, err_text());
	for (size_t i = 0; ok && i < u->count; i++)
		printf("# %s: %ju bytes\n", u->o[i].path, (uintmax_t)u->o[i].len);
	/* Without damage nothing is found. */
	if (ok)
		failed = !damage(u, FAULT_NONE, &u->o[0], "", 0) || u->harmless != 1;
	if (ok)
		failed += whole_objects(u);
	for (uint64_t i = part; ok && all && i < u->bits && failed < 20; i += of)
		failed += !one_place(u, FAULT_FLIP, i);
	for (uint64_t i = part; ok && all && i < u->lens && failed < 20; i += of)
		failed += !one_place(u, FAULT_CUT, i);
	for (unsigned long i = 0; ok && !all && i < count && failed < 20; i++) {
		support_store_bytes((uint8_t *)at, sizeof(at), seed + i);
		failed += !one_place(u, i % 4 ? FAULT_FLIP : FAULT_CUT, at[0] % (i % 4 ? u->bits : u->lens));
	}
	printf("%sok 1 - %lu kinds of damage to %zu objects of %ju bytes: %lu found, %lu harmless\n", failed || !ok ? "not " : "",
	    u->tried, u->count, (uintmax_t)u->lens, u->found, u->harmless);
	nftw(u->source, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	nftw(u->state, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	io_free(u->bent.below);
	support_disk_free(u->d);
	free(u);
	return failed || !ok;
}
