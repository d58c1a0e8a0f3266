/*
 * support_io: the log is the truth.  `now` is what the processes see; any other state is the `base` (which is durable) with a
 * choice of the logged operations applied to it in order.
 */
#include "tests/unit/support_io.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#define SECTOR 512u
#define NO_OP SIZE_MAX

struct support_bytes {
	unsigned refs;
	size_t len;
	uint8_t b[];
};

struct inode {
	unsigned refs;
	uint32_t no;
	bool poisoned;                  /* a sync failed */
	uint8_t *p;
	size_t len, cap;
};

struct entry {
	char path[SUPPORT_IO_PATH];
	struct inode *ino;              /* NULL: a directory */
};

struct image {                          /* sorted by path */
	struct entry *e;
	size_t count, cap;
};

struct support_disk {
	pthread_mutex_t lock;
	struct image base, now;
	struct support_op *ops;
	size_t op_count, op_cap;
	char (*dirs)[SUPPORT_IO_PATH];  /* by number */
	uint32_t dir_count, dir_cap;
	uint32_t next_inode;
	unsigned shared;
	bool exclusive;
	uint32_t fail_kinds;
	uint64_t fail_at, asked, failures;
	int fail_errno;
	bool fail_forever, blind;       /* blind: reads are not in the log */
};

struct io_file {
	struct support_disk *d;
	struct inode *ino;
	bool written;
	char path[SUPPORT_IO_PATH];
};

_Thread_local volatile unsigned support_io_inside;

struct process {
	struct io io;
	struct support_disk *d;
	enum io_lock held;
	unsigned depth;                 /* how often it is held */
};

static void *
grow(void *p, size_t size)
{
	p = realloc(p, size);
	assert(p);
	return p;
}

static void
set_path(char out[static SUPPORT_IO_PATH], const char *path)
{
	assert(strlen(path) < SUPPORT_IO_PATH);
	memcpy(out, path, strlen(path) + 1);
}

/* ------------------------------------------------------------------------------------------------- images */

static struct inode *
inode_new(uint32_t no)
{
	struct inode *ino = calloc(1, sizeof(*ino));

	assert(ino);
	ino->refs = 1;
	ino->no = no;
	return ino;
}

static void
inode_drop(struct inode *ino)
{
	if (ino && --ino->refs == 0) {
		free(ino->p);
		free(ino);
	}
}

static void
inode_write(struct inode *ino, uint64_t off, const uint8_t *p, size_t len)
{
	size_t end = (size_t)off + len;

	if (end > ino->cap) {
		ino->cap = end + end / 2;
		ino->p = grow(ino->p, ino->cap);
	}
	if (off > ino->len)
		memset(ino->p + ino->len, 0, (size_t)off - ino->len);
	if (len)
		memcpy(ino->p + off, p, len);
	if (end > ino->len)
		ino->len = end;
}

/* Where the path is or belongs. */
static size_t
image_at(const struct image *m, const char *path, bool *there)
{
	size_t lo = 0, hi = m->count, mid;
	int cmp;

	*there = true;
	while (lo < hi) {
		mid = (lo + hi) / 2;
		cmp = strcmp(path, m->e[mid].path);
		if (cmp == 0)
			return mid;
		if (cmp < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	*there = false;
	return lo;
}

static struct entry *
image_find(const struct image *m, const char *path)
{
	bool there;
	size_t i = image_at(m, path, &there);

	return there ? &m->e[i] : NULL;
}

static void
image_put(struct image *m, const char *path, struct inode *ino)
{
	bool there;
	size_t i = image_at(m, path, &there);

	if (there) {
		if (ino)
			ino->refs++;
		inode_drop(m->e[i].ino);
		m->e[i].ino = ino;
		return;
	}
	if (m->count == m->cap) {
		m->cap = m->cap ? 2 * m->cap : 64;
		m->e = grow(m->e, m->cap * sizeof(*m->e));
	}
	memmove(&m->e[i + 1], &m->e[i], (m->count - i) * sizeof(*m->e));
	m->count++;
	set_path(m->e[i].path, path);
	m->e[i].ino = ino;
	if (ino)
		ino->refs++;
}

static void
image_take(struct image *m, const char *path)
{
	bool there;
	size_t i = image_at(m, path, &there);

	if (!there)
		return;
	inode_drop(m->e[i].ino);
	m->count--;
	memmove(&m->e[i], &m->e[i + 1], (m->count - i) * sizeof(*m->e));
}

/* All that lies beneath a directory: whoever removes it removes that. */
static void
image_take_beneath(struct image *m, const char *dir)
{
	size_t len = strlen(dir);

	for (size_t i = m->count; i-- > 0;) {
		const char *path = m->e[i].path;

		if (strncmp(path, dir, len) == 0 && path[len] == '/')
			image_take(m, path);
	}
}

static void
image_copy(struct image *to, const struct image *from)
{
	to->count = to->cap = from->count;
	to->e = grow(NULL, (from->count + 1) * sizeof(*to->e));
	if (from->count)
		memcpy(to->e, from->e, from->count * sizeof(*to->e));
	for (size_t i = 0; i < to->count; i++)
		if (to->e[i].ino)
			to->e[i].ino->refs++;
}

static void
image_clear(struct image *m)
{
	for (size_t i = 0; i < m->count; i++)
		inode_drop(m->e[i].ino);
	free(m->e);
	*m = (struct image){ 0 };
}

/* The directory that a path is in. */
static void
parent_of(char out[static SUPPORT_IO_PATH], const char *path)
{
	char *slash;

	set_path(out, path);
	slash = strrchr(out, '/');
	*(slash ? slash : out) = 0;
}

static bool
has_parent(const struct image *m, const char *path)
{
	char dir[SUPPORT_IO_PATH];
	const struct entry *e;

	parent_of(dir, path);
	if (!*dir)
		return true;
	e = image_find(m, dir);
	return e && !e->ino;
}

/* -------------------------------------------------------------------------------------------------- the log */

static uint32_t
dir_number(struct support_disk *d, const char *dir)
{
	for (uint32_t i = d->dir_count; i-- > 0;)
		if (strcmp(d->dirs[i], dir) == 0)
			return i;
	if (d->dir_count == d->dir_cap) {
		d->dir_cap = d->dir_cap ? 2 * d->dir_cap : 64;
		d->dirs = grow(d->dirs, d->dir_cap * sizeof(*d->dirs));
	}
	set_path(d->dirs[d->dir_count], dir);
	return d->dir_count++;
}

static struct support_op *
log_add(struct support_disk *d, enum support_kind kind, const char *path, const struct inode *ino)
{
	struct support_op *op;

	if (d->op_count == d->op_cap) {
		d->op_cap = d->op_cap ? 2 * d->op_cap : 64;
		d->ops = grow(d->ops, d->op_cap * sizeof(*d->ops));
	}
	op = &d->ops[d->op_count++];
	memset(op, 0, sizeof(*op));
	op->kind = kind;
	op->inode = ino ? ino->no : 0;
	set_path(op->path, path);
	return op;
}

static void
log_read(struct support_disk *d, enum support_kind kind, const char *path, const struct inode *ino)
{
	if (!d->blind)
		log_add(d, kind, path, ino);
}

static void
log_name(struct support_disk *d, enum support_kind kind, const char *path, const char *to, const struct inode *ino)
{
	struct support_op *op = log_add(d, kind, path, ino);
	char dir[SUPPORT_IO_PATH];

	parent_of(dir, to ? to : path);
	op->dir = dir_number(d, dir);
	if (to)
		set_path(op->to, to);
}

static struct support_bytes *
bytes_new(const void *p, size_t len)
{
	struct support_bytes *b = grow(NULL, sizeof(*b) + len);

	b->refs = 1;
	b->len = len;
	if (len)
		memcpy(b->b, p, len);
	return b;
}

static void
log_write(struct support_disk *d, enum support_kind kind, const struct io_file *f, uint64_t off, const void *p, size_t len)
{
	struct support_op *op = log_add(d, kind, f->path, f->ino);

	op->off = off;
	op->bytes = bytes_new(p, len);
	inode_write(f->ino, off, p, len);
}

/* Is it to fail?  Leaves errno. */
static bool
fails(struct support_disk *d, enum support_kind kind)
{
	if (!(d->fail_kinds & SUPPORT_BIT(kind)))
		return false;
	d->asked++;
	if (d->fail_at == 0 || d->asked < d->fail_at || (d->asked > d->fail_at && !d->fail_forever))
		return false;
	d->failures++;
	errno = d->fail_errno;
	return true;
}

/* --------------------------------------------------------------------------------------------- operations */

static struct support_disk *
disk_of(struct io *io)
{
	return ((struct process *)io)->d;
}

static void
enter(struct support_disk *d)
{
	pthread_mutex_lock(&d->lock);
	support_io_inside++;
}

static void
leave(struct support_disk *d)
{
	support_io_inside--;
	pthread_mutex_unlock(&d->lock);
}

/* Unlock; err 0: OK, else the failure with this errno. */
static int
done(struct support_disk *d, int err, const char *what, const char *path)
{
	leave(d);
	if (!err)
		return OK;
	errno = err;
	return fail_io("cannot %s '%s'", what, path);
}

static void
file_new(struct support_disk *d, const char *path, struct inode *ino, struct io_file **out)
{
	struct io_file *f = calloc(1, sizeof(*f));

	assert(f);
	f->d = d;
	f->ino = ino;
	ino->refs++;
	set_path(f->path, path);
	*out = f;
}

static int
sim_open(struct io *io, const char *path, struct io_file **out)
{
	struct support_disk *d = disk_of(io);
	const struct entry *e;
	int err = 0;

	enter(d);
	e = image_find(&d->now, path);
	if (fails(d, SUPPORT_OPEN))
		err = errno;
	else if (!e)
		err = ENOENT;
	else if (!e->ino)
		err = EISDIR;
	if (!err) {
		file_new(d, path, e->ino, out);
		log_read(d, SUPPORT_OPEN, path, e->ino);
	}
	return done(d, err, "open", path);
}

static int
sim_create(struct io *io, const char *path, struct io_file **out)
{
	struct support_disk *d = disk_of(io);
	struct inode *ino;
	int err = 0;

	enter(d);
	if (fails(d, SUPPORT_CREATE))
		err = errno;
	else if (image_find(&d->now, path))
		err = EEXIST;
	else if (!has_parent(&d->now, path))
		err = ENOENT;
	if (!err) {
		ino = inode_new(d->next_inode++);
		image_put(&d->now, path, ino);
		log_name(d, SUPPORT_CREATE, path, NULL, ino);
		file_new(d, path, ino, out);
		inode_drop(ino);
	}
	return done(d, err, "create", path);
}

static int
sim_size(struct io_file *f, uint64_t *size)
{
	int err;

	enter(f->d);
	err = fails(f->d, SUPPORT_SIZE) ? errno : 0;
	*size = f->ino->len;
	return done(f->d, err, "stat", f->path);
}

static int
sim_read_at(struct io_file *f, uint64_t off, void *buf, size_t len)
{
	struct support_disk *d = f->d;
	bool ends;
	int err = 0;

	enter(d);
	if (fails(d, SUPPORT_READ))
		err = errno;
	ends = off > f->ino->len || len > f->ino->len - off;
	if (!err && !ends && len)
		memcpy(buf, f->ino->p + off, len);
	err = done(d, err, "read", f->path);
	return err ? err : ends ? fail(ERR_CORRUPT, "'%s' ends too early", f->path) : OK;
}

static int
write_any(struct io_file *f, enum support_kind kind, uint64_t off, const void *buf, size_t len)
{
	struct support_disk *d = f->d;
	int err = 0;

	enter(d);
	if (fails(d, kind)) {
		err = errno;
		len /= 2;
	}
	f->written = true;
	log_write(d, kind, f, kind == SUPPORT_APPEND ? f->ino->len : off, buf, len);
	return done(d, err, "write", f->path);
}

static int
sim_append(struct io_file *f, const void *buf, size_t len)
{
	return write_any(f, SUPPORT_APPEND, 0, buf, len);
}

static int
sim_write_at(struct io_file *f, uint64_t off, const void *buf, size_t len)
{
	return write_any(f, SUPPORT_WRITE_AT, off, buf, len);
}

static int
sim_sync(struct io_file *f)
{
	struct support_disk *d = f->d;
	int err = 0;

	enter(d);
	if (fails(d, SUPPORT_SYNC)) {
		err = errno;
		f->ino->poisoned = true;
	} else if (!f->ino->poisoned) {
		log_add(d, SUPPORT_SYNC, f->path, f->ino);
	}
	return done(d, err, "sync", f->path);
}

static int
sim_close(struct io_file *f)
{
	struct support_disk *d = f->d;
	char path[SUPPORT_IO_PATH];
	int err;

	enter(d);
	err = f->written && fails(d, SUPPORT_CLOSE) ? errno : 0;
	inode_drop(f->ino);
	set_path(path, f->path);
	free(f);
	return done(d, err, "close", path);
}

static int
sim_rename(struct io *io, const char *from, const char *to)
{
	struct support_disk *d = disk_of(io);
	struct inode *ino;
	struct entry *e;
	int err = 0;

	enter(d);
	e = image_find(&d->now, from);
	if (fails(d, SUPPORT_RENAME))
		err = errno;
	else if (!e || !has_parent(&d->now, to))
		err = ENOENT;
	else if (image_find(&d->now, to))
		err = EEXIST;
	if (!err) {
		ino = e->ino;
		image_put(&d->now, to, ino);
		image_take(&d->now, from);
		log_name(d, SUPPORT_RENAME, from, to, ino);
	}
	return done(d, err, "rename", from);
}

static int
sim_unlink(struct io *io, const char *path)
{
	struct support_disk *d = disk_of(io);
	const struct entry *e;
	int err = 0;

	enter(d);
	e = image_find(&d->now, path);
	if (fails(d, SUPPORT_UNLINK))
		err = errno;
	else if (!e)
		err = ENOENT;
	else if (!e->ino)
		err = EISDIR;
	if (!err) {
		log_name(d, SUPPORT_UNLINK, path, NULL, e->ino);
		image_take(&d->now, path);
	}
	return done(d, err, "remove", path);
}

static int
sim_mkdir(struct io *io, const char *path)
{
	struct support_disk *d = disk_of(io);
	int err = 0;

	enter(d);
	if (fails(d, SUPPORT_MKDIR))
		err = errno;
	else if (image_find(&d->now, path))
		err = EEXIST;
	else if (!has_parent(&d->now, path))
		err = ENOENT;
	if (!err) {
		image_put(&d->now, path, NULL);
		log_name(d, SUPPORT_MKDIR, path, NULL, NULL);
	}
	return done(d, err, "make directory", path);
}

static bool
is_dir(const struct support_disk *d, const char *path)
{
	const struct entry *e = image_find(&d->now, path);

	return !*path || (e && !e->ino);
}

static int
sim_sync_dir(struct io *io, const char *path)
{
	struct support_disk *d = disk_of(io);
	int err = 0;

	enter(d);
	if (fails(d, SUPPORT_SYNC_DIR))
		err = errno;
	else if (!is_dir(d, path))
		err = ENOENT;
	if (!err)
		log_add(d, SUPPORT_SYNC_DIR, path, NULL)->dir = dir_number(d, path);
	return done(d, err, "sync directory", path);
}

static int
sim_list(struct io *io, const char *path, io_list_fn fn, void *arg)
{
	struct support_disk *d = disk_of(io);
	size_t len = strlen(path) + (*path ? 1 : 0), count = 0;
	char (*names)[SUPPORT_IO_PATH];
	int err = 0, rc;

	enter(d);
	if (fails(d, SUPPORT_LIST))
		err = errno;
	else if (!is_dir(d, path))
		err = ENOENT;
	names = grow(NULL, (d->now.count + 1) * sizeof(*names));
	for (size_t i = 0; !err && i < d->now.count; i++) {
		const char *p = d->now.e[i].path;

		if (strlen(p) > len && strncmp(p, path, strlen(path)) == 0 && (!*path || p[len - 1] == '/') && !strchr(p + len, '/'))
			set_path(names[count++], p + len);
	}
	if (!err)
		log_read(d, SUPPORT_LIST, path, NULL);
	rc = done(d, err, "read directory", path);
	for (size_t i = 0; rc >= 0 && i < count; i++)
		rc = fn(arg, names[i]);
	free(names);
	return rc;
}

static int
sim_stat(struct io *io, const char *path, uint64_t *size)
{
	struct support_disk *d = disk_of(io);
	const struct entry *e;
	int err = 0;

	enter(d);
	e = image_find(&d->now, path);
	if (fails(d, SUPPORT_STAT))
		err = errno;
	else if (!e)
		err = ENOENT;
	if (!err) {
		*size = e->ino ? e->ino->len : 0;
		log_read(d, SUPPORT_STAT, path, e->ino);
	}
	return done(d, err, "stat", path);
}

static void
unlock(struct process *p)
{
	if (p->held == IO_SHARED)
		p->d->shared--;
	else if (p->held == IO_EXCLUSIVE)
		p->d->exclusive = false;
	p->held = IO_UNLOCKED;
	p->depth = 0;
}

/* Whoever would have to wait fails instead: in a test with one thread nobody would ever release it. */
static int
sim_lock(struct io *io, enum io_lock kind, bool wait)
{
	struct process *p = (struct process *)io;
	bool ok;
	int err;

	(void)wait;
	enter(p->d);
	assert(!(p->held == IO_SHARED && kind == IO_EXCLUSIVE));
	if (p->depth > 1 || (p->depth && kind != IO_UNLOCKED)) {
		p->depth = kind == IO_UNLOCKED ? p->depth - 1 : p->depth + 1;
		return done(p->d, 0, NULL, NULL);
	}
	unlock(p);
	err = kind != IO_UNLOCKED && fails(p->d, SUPPORT_LOCK) ? errno : 0;
	if (err)
		return done(p->d, err, "lock", "the repository");
	ok = kind == IO_UNLOCKED || (!p->d->exclusive && (kind == IO_SHARED || p->d->shared == 0));
	if (ok && kind == IO_SHARED)
		p->d->shared++;
	if (ok && kind == IO_EXCLUSIVE)
		p->d->exclusive = true;
	if (ok) {
		p->held = kind;
		p->depth = kind != IO_UNLOCKED;
	}
	leave(p->d);
	return ok ? OK : fail(ERR_LOCKED, "the repository is locked by another process");
}

static void
sim_free(struct io *io)
{
	struct process *p = (struct process *)io;

	enter(p->d);
	unlock(p);
	leave(p->d);
	free(p);
}

static const struct io_ops sim_ops = {
	.open = sim_open, .create = sim_create, .size = sim_size, .read_at = sim_read_at, .append = sim_append,
	.write_at = sim_write_at, .sync = sim_sync, .close = sim_close, .rename = sim_rename, .unlink = sim_unlink,
	.mkdir = sim_mkdir, .sync_dir = sim_sync_dir, .list = sim_list, .stat = sim_stat, .lock = sim_lock, .free = sim_free,
};

struct io *
support_disk_io(struct support_disk *d)
{
	struct process *p;

	support_io_inside++;
	p = calloc(1, sizeof(*p));
	support_io_inside--;
	assert(p);
	p->io.ops = &sim_ops;
	p->d = d;
	return &p->io;
}

/* ----------------------------------------------------------------------------------------------- for targets */

bool
support_disk_replace(struct support_disk *d, const char *from, const char *to)
{
	const struct entry *e, *old;
	struct inode *ino;
	bool ok;

	enter(d);
	e = image_find(&d->now, from);
	old = image_find(&d->now, to);
	ok = e && e->ino && has_parent(&d->now, to) && (!old || old->ino);
	if (ok) {
		ino = e->ino;
		image_put(&d->now, to, ino);
		image_take(&d->now, from);
		log_name(d, SUPPORT_RENAME, from, to, ino);
	}
	leave(d);
	return ok;
}

bool
support_disk_link(struct support_disk *d, const char *from, const char *to)
{
	const struct entry *e;
	struct inode *ino;
	bool ok;

	enter(d);
	e = image_find(&d->now, from);
	ok = e && e->ino && has_parent(&d->now, to) && !image_find(&d->now, to);
	if (ok) {
		ino = e->ino;
		image_put(&d->now, to, ino);
		log_name(d, SUPPORT_CREATE, to, NULL, ino);
	}
	leave(d);
	return ok;
}

bool
support_disk_rmdir(struct support_disk *d, const char *path)
{
	size_t len = strlen(path);
	const struct entry *e;
	bool ok;

	enter(d);
	e = image_find(&d->now, path);
	ok = e && !e->ino;
	for (size_t i = 0; ok && i < d->now.count; i++)
		ok = strncmp(d->now.e[i].path, path, len) != 0 || d->now.e[i].path[len] != '/';
	if (ok) {
		image_take(&d->now, path);
		log_name(d, SUPPORT_UNLINK, path, NULL, NULL);
	}
	leave(d);
	return ok;
}

bool
support_disk_whole(struct support_disk *d, const char *path, const void *p, size_t len)
{
	struct inode *ino;
	bool ok;

	enter(d);
	ok = has_parent(&d->now, path) && !image_find(&d->now, path);
	if (ok) {
		ino = inode_new(d->next_inode++);
		inode_write(ino, 0, p, len);
		image_put(&d->now, path, ino);
		log_name(d, SUPPORT_CREATE, path, NULL, ino);
		d->ops[d->op_count - 1].bytes = bytes_new(p, len);
		inode_drop(ino);
	}
	leave(d);
	return ok;
}

void
support_disk_each(const struct support_disk *d, support_disk_fn fn, void *arg)
{
	for (size_t i = 0; i < d->now.count; i++) {
		const struct entry *e = &d->now.e[i];

		fn(arg, e->path, e->ino ? e->ino->no : 0, e->ino ? e->ino->p : NULL, e->ino ? e->ino->len : 0);
	}
}

/* ------------------------------------------------------------------------------------------------- the disk */

struct support_disk *
support_disk_new(void)
{
	struct support_disk *d = calloc(1, sizeof(*d));

	assert(d);
	pthread_mutex_init(&d->lock, NULL);
	d->next_inode = 1;
	return d;
}

struct support_disk *
support_disk_free(struct support_disk *d)
{
	if (!d)
		return NULL;
	image_clear(&d->base);
	image_clear(&d->now);
	for (size_t i = 0; i < d->op_count; i++)
		if (d->ops[i].bytes && --d->ops[i].bytes->refs == 0)
			free(d->ops[i].bytes);
	free(d->ops);
	free(d->dirs);
	pthread_mutex_destroy(&d->lock);
	free(d);
	return NULL;
}

size_t
support_disk_ops(const struct support_disk *d)
{
	return d->op_count;
}

const struct support_op *
support_disk_op(const struct support_disk *d, size_t i)
{
	assert(i < d->op_count);
	return &d->ops[i];
}

size_t
support_op_len(const struct support_op *op)
{
	return op->bytes ? op->bytes->len : 0;
}

const uint8_t *
support_op_data(const struct support_op *op)
{
	return op->bytes ? op->bytes->b : NULL;
}

void
support_disk_fail(struct support_disk *d, uint32_t kinds, uint64_t nth, int err, bool forever)
{
	pthread_mutex_lock(&d->lock);
	d->fail_kinds = kinds;
	d->fail_at = nth;
	d->fail_errno = err;
	d->fail_forever = forever;
	d->asked = d->failures = 0;
	pthread_mutex_unlock(&d->lock);
}

void
support_disk_blind(struct support_disk *d)
{
	d->blind = true;
}

uint64_t
support_disk_asked(const struct support_disk *d)
{
	return d->asked;
}

uint64_t
support_disk_failures(const struct support_disk *d)
{
	return d->failures;
}

/* -------------------------------------------------------------------------------------------- other states */

static bool
is_name(enum support_kind kind)
{
	return kind == SUPPORT_CREATE || kind == SUPPORT_RENAME || kind == SUPPORT_UNLINK || kind == SUPPORT_MKDIR;
}

static bool
is_write(enum support_kind kind)
{
	return kind == SUPPORT_APPEND || kind == SUPPORT_WRITE_AT;
}

/* durable[i]: is operation i < n durable then? */
static bool *
durable_ops(const struct support_disk *d, size_t n)
{
	bool *out = calloc(n + 1, 1), *dirs = calloc(d->dir_count + 1, 1), *inodes = calloc(d->next_inode + 1, 1);

	assert(out && dirs && inodes);
	for (size_t i = n; i-- > 0;) {
		const struct support_op *op = &d->ops[i];

		if (op->kind == SUPPORT_SYNC_DIR)
			dirs[op->dir] = true;
		else if (op->kind == SUPPORT_SYNC)
			inodes[op->inode] = true;
		else if (is_name(op->kind))
			out[i] = dirs[op->dir];
		else if (is_write(op->kind))
			out[i] = inodes[op->inode];
	}
	free(dirs);
	free(inodes);
	return out;
}

size_t
support_disk_pending(const struct support_disk *d, size_t n)
{
	bool *durable = durable_ops(d, n);
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += is_name(d->ops[i].kind) && !durable[i];
	free(durable);
	return count;
}

static size_t
last_write(const struct support_disk *d, size_t n)
{
	while (n-- > 0)
		if (is_write(d->ops[n].kind))
			return n;
	return NO_OP;
}

size_t
support_disk_torn(const struct support_disk *d, size_t n)
{
	size_t i = last_write(d, n);

	if (i == NO_OP)
		return 0;
	for (size_t k = i + 1; k < n; k++)
		if (d->ops[k].kind == SUPPORT_SYNC && d->ops[k].inode == d->ops[i].inode)
			return 0;
	return (support_op_len(&d->ops[i]) + SECTOR - 1) / SECTOR;
}

static uint64_t
random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

struct replay {
	const struct support_disk *d;
	struct support_loss loss;
	bool *durable;
	size_t n, pending;              /* pending: of those met so far */
	struct inode **inodes;          /* by number */
	uint64_t random;
};

static bool
keeps_name(struct replay *r, size_t i)
{
	size_t no;

	if (r->durable[i])
		return true;
	no = r->pending++;
	switch (r->loss.kind) {
	case SUPPORT_LOSE_ALL:
		return false;
	case SUPPORT_KEEP_NAME:
		return no == r->loss.which;
	case SUPPORT_LOSE_NAME:
		return no != r->loss.which;
	case SUPPORT_RANDOM:
		return random_next(&r->random) & 1;
	default:
		return true;
	}
}

static struct inode *
inode_get(struct replay *r, uint32_t no)
{
	if (!r->inodes[no])
		r->inodes[no] = inode_new(no);
	return r->inodes[no];
}

static void
replay_write(struct replay *r, size_t i)
{
	const struct support_op *op = &r->d->ops[i];
	struct inode *ino = inode_get(r, op->inode);
	size_t len = op->bytes->len, n;

	if (r->durable[i] || r->loss.kind == SUPPORT_KEEP_ALL || r->loss.kind == SUPPORT_LOSE_NAME) {
		inode_write(ino, op->off, op->bytes->b, len);
	} else if (r->loss.kind == SUPPORT_TORN) {
		if (i == last_write(r->d, r->n) && len > r->loss.which * SECTOR)
			len = r->loss.which * SECTOR;
		inode_write(ino, op->off, op->bytes->b, len);
	} else if (r->loss.kind == SUPPORT_RANDOM) {
		for (size_t at = 0; at < len; at += n) {
			n = len - at < SECTOR ? len - at : SECTOR;
			if (random_next(&r->random) % 4)
				inode_write(ino, op->off + at, op->bytes->b + at, n);
		}
	}
}

/* A file where a directory was, whose removal was lost, takes its place all the same. */
static void
replay_put(struct image *m, const char *path, struct inode *ino)
{
	if (ino)
		image_take_beneath(m, path);
	image_put(m, path, ino);
}

static void
replay_name(struct replay *r, struct image *m, size_t i)
{
	const struct support_op *op = &r->d->ops[i];
	const struct entry *e = image_find(m, op->path);
	struct inode *ino = op->inode ? inode_get(r, op->inode) : NULL;

	if (op->bytes)
		inode_write(ino, 0, op->bytes->b, op->bytes->len);      /* it may have got another name */
	if (!keeps_name(r, i))
		return;
	switch (op->kind) {
	case SUPPORT_CREATE:
	case SUPPORT_MKDIR:
		if (has_parent(m, op->path))
			replay_put(m, op->path, ino);
		break;
	case SUPPORT_RENAME:
		if (e && e->ino == ino)
			image_take(m, op->path);
		if (has_parent(m, op->to))
			replay_put(m, op->to, ino);
		break;
	default:
		if (!e || e->ino != ino)
			break;
		image_take(m, op->path);
		if (!ino)
			image_take_beneath(m, op->path);
		break;
	}
}

/* The base with a choice of the first n operations. */
static void
replay(const struct support_disk *d, size_t n, const struct support_loss *loss, struct image *out)
{
	struct replay r = { .d = d, .loss = *loss, .durable = durable_ops(d, n), .n = n, .random = loss->which };

	assert(n <= d->op_count);
	r.inodes = calloc(d->next_inode + 1, sizeof(*r.inodes));
	assert(r.inodes);
	image_copy(out, &d->base);
	for (size_t i = 0; i < out->count; i++)
		if (out->e[i].ino && !r.inodes[out->e[i].ino->no]) {
			r.inodes[out->e[i].ino->no] = out->e[i].ino;
			out->e[i].ino->refs++;
		}
	for (size_t i = 0; i < n; i++) {
		if (is_write(d->ops[i].kind))
			replay_write(&r, i);
		else if (is_name(d->ops[i].kind))
			replay_name(&r, out, i);
	}
	for (uint32_t i = 0; i <= d->next_inode; i++)
		inode_drop(r.inodes[i]);
	free(r.inodes);
	free(r.durable);
}

struct support_disk *
support_disk_kill(const struct support_disk *d, size_t n)
{
	const struct support_loss none = { .kind = SUPPORT_KEEP_ALL };
	struct support_disk *k = support_disk_new();

	image_copy(&k->base, &d->base);
	replay(d, n, &none, &k->now);
	k->next_inode = d->next_inode;
	k->op_count = k->op_cap = n;
	k->ops = grow(NULL, (n + 1) * sizeof(*k->ops));
	if (n)
		memcpy(k->ops, d->ops, n * sizeof(*k->ops));
	for (size_t i = 0; i < n; i++)
		if (k->ops[i].bytes)
			k->ops[i].bytes->refs++;
	k->dir_count = k->dir_cap = d->dir_count;
	k->dirs = grow(NULL, (d->dir_count + 1) * sizeof(*k->dirs));
	if (d->dir_count)
		memcpy(k->dirs, d->dirs, d->dir_count * sizeof(*k->dirs));
	return k;
}

struct support_disk *
support_disk_loss(const struct support_disk *d, size_t n, const struct support_loss *loss)
{
	struct support_disk *k = support_disk_new();

	replay(d, n, loss, &k->now);
	image_copy(&k->base, &k->now);
	k->next_inode = d->next_inode;
	return k;
}

/* --------------------------------------------------------------------------------------------------- damage */

/* A copy of its own, so that other disks keep the good one. */
static struct inode *
own_inode(struct support_disk *d, const char *path)
{
	struct entry *e = image_find(&d->now, path);
	struct inode *ino;

	if (!e || !e->ino)
		return NULL;
	ino = inode_new(d->next_inode++);
	inode_write(ino, 0, e->ino->p, e->ino->len);
	image_put(&d->now, path, ino);
	image_put(&d->base, path, ino);
	inode_drop(ino);
	return ino;
}

bool
support_disk_flip(struct support_disk *d, const char *path, uint64_t off)
{
	struct inode *ino = own_inode(d, path);

	if (!ino || off >= ino->len)
		return false;
	ino->p[off] ^= 1;
	return true;
}

bool
support_disk_cut(struct support_disk *d, const char *path, uint64_t len)
{
	struct inode *ino = own_inode(d, path);

	if (!ino || len > ino->len)
		return false;
	ino->len = (size_t)len;
	return true;
}

bool
support_disk_remove(struct support_disk *d, const char *path)
{
	if (!image_find(&d->now, path))
		return false;
	image_take(&d->now, path);
	image_take(&d->base, path);
	return true;
}
