#include "tests/crash/mirror.h"

#include <fcntl.h>
#include <fts.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "sys/target.h"
#include "tests/unit/support_io.h"

#define FILES 4096
#define LINK_LEN (sizeof(MIRROR_LINK) - 1)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct support_disk *disk;       /* NULL: nothing is mirrored */
static struct io *io;
static char root[400];
static struct io_file *file[FILES];     /* by descriptor */
static bool broken;

void
mirror_begin(struct support_disk *d, const char *path)
{
	support_disk_blind(d);
	snprintf(root, sizeof(root), "%s", path);
	io = support_disk_io(d);
	broken = false;
	disk = d;
}

bool
mirror_end(void)
{
	for (size_t i = 0; i < FILES; i++)
		broken |= file[i] != NULL;
	io = io_free(io);
	disk = NULL;
	return !broken;
}

/* The path beneath the root of an open file, or of a name in an open directory. */
static bool
path_of(int fd, const char *name, char out[static SUPPORT_IO_PATH])
{
	char link[64], path[500];
	size_t len = strlen(root);
	ssize_t n;

	if (!disk)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	path[n < 0 ? 0 : n] = 0;
	if (n < 0 || strncmp(path, root, len) != 0 || (path[len] && path[len] != '/')) {
		broken = true;
		return false;
	}
	n = snprintf(out, SUPPORT_IO_PATH, "%s%s%s", path[len] ? path + len + 1 : "", path[len] && name ? "/" : "", name ? name : "");
	broken |= n >= SUPPORT_IO_PATH;
	return n < SUPPORT_IO_PATH;
}

/* Done on the disk, or not. */
static void
done(bool ok)
{
	broken |= !ok;
}

static struct io_file **
file_of(int fd)
{
	if (fd < 0 || fd >= FILES)
		abort();
	return &file[fd];
}

/* ------------------------------------------------------------------------------------------- what is wrapped */

int __real_target_create(int dirfd, const char *name, uint32_t mode, int *fd);
int __real_target_write_at(int fd, uint64_t off, const void *p, size_t len);
int __real_target_set_size(int fd, uint64_t size);
int __real_target_close(int fd);
int __real_target_rename(int dirfd, const char *from, const char *to);
int __real_target_unlink(int dirfd, const char *name);
void __real_target_drop(int dirfd, const char *name);
int __real_target_remove(int dirfd, const char *name, bool dry, uint64_t *count);
int __real_target_make_dir(int dirfd, const char *name);
int __real_target_link(int from_dirfd, const char *from, int dirfd, const char *name);
int __real_target_symlink(int dirfd, const char *name, const char *text);

int __wrap_target_create(int dirfd, const char *name, uint32_t mode, int *fd);
int __wrap_target_write_at(int fd, uint64_t off, const void *p, size_t len);
int __wrap_target_set_size(int fd, uint64_t size);
int __wrap_target_sync(int fd);
int __wrap_target_sync_name(int dirfd, const char *name);
int __wrap_target_close(int fd);
int __wrap_target_rename(int dirfd, const char *from, const char *to);
int __wrap_target_unlink(int dirfd, const char *name);
void __wrap_target_drop(int dirfd, const char *name);
int __wrap_target_remove(int dirfd, const char *name, bool dry, uint64_t *count);
int __wrap_target_make_dir(int dirfd, const char *name);
int __wrap_target_link(int from_dirfd, const char *from, int dirfd, const char *name);
int __wrap_target_symlink(int dirfd, const char *name, const char *text);

int
__wrap_target_create(int dirfd, const char *name, uint32_t mode, int *fd)
{
	char path[SUPPORT_IO_PATH];
	int rc;

	pthread_mutex_lock(&lock);
	rc = __real_target_create(dirfd, name, mode, fd);
	if (rc == OK && path_of(dirfd, name, path))
		done(io_create(io, path, file_of(*fd)) == OK);
	pthread_mutex_unlock(&lock);
	return rc;
}

int
__wrap_target_write_at(int fd, uint64_t off, const void *p, size_t len)
{
	int rc;

	pthread_mutex_lock(&lock);
	rc = __real_target_write_at(fd, off, p, len);
	if (rc == OK && disk)
		done(*file_of(fd) && io_write_at(io, *file_of(fd), off, p, len) == OK);
	pthread_mutex_unlock(&lock);
	return rc;
}

/* It makes files longer only: a write of nothing at the new end. */
int
__wrap_target_set_size(int fd, uint64_t size)
{
	uint64_t now = 0;
	int rc;

	pthread_mutex_lock(&lock);
	rc = __real_target_set_size(fd, size);
	if (rc == OK && disk)
		done(*file_of(fd) && io_size(io, *file_of(fd), &now) == OK && now <= size &&
		    io_write_at(io, *file_of(fd), size, NULL, 0) == OK);
	pthread_mutex_unlock(&lock);
	return rc;
}

static bool
sync_path(const char *path)
{
	struct io_file *f;
	bool ok;

	if (io_open(io, path, &f))
		return false;
	ok = io_sync(io, f) == OK;
	return io_close(io, f) == OK && ok;
}

static bool
sync_fd(int fd, const char *path)
{
	struct stat st;

	if (*file_of(fd))
		return io_sync(io, *file_of(fd)) == OK;
	return fstat(fd, &st) == 0 && (S_ISDIR(st.st_mode) ? io_sync_dir(io, path) == OK : sync_path(path));
}

int
__wrap_target_sync(int fd)
{
	char path[SUPPORT_IO_PATH];

	pthread_mutex_lock(&lock);
	if (path_of(fd, NULL, path))
		done(sync_fd(fd, path));
	pthread_mutex_unlock(&lock);
	return OK;
}

int
__wrap_target_sync_name(int dirfd, const char *name)
{
	char path[SUPPORT_IO_PATH];

	pthread_mutex_lock(&lock);
	if (path_of(dirfd, name, path))
		done(sync_path(path));
	pthread_mutex_unlock(&lock);
	return OK;
}

int
__wrap_target_close(int fd)
{
	struct io_file **f = file_of(fd);
	int rc;

	pthread_mutex_lock(&lock);
	if (disk)
		done(*f && io_close(io, *f) == OK);
	*f = NULL;
	rc = __real_target_close(fd);
	pthread_mutex_unlock(&lock);
	return rc;
}

int
__wrap_target_rename(int dirfd, const char *from, const char *to)
{
	char old[SUPPORT_IO_PATH], new[SUPPORT_IO_PATH];
	int rc;

	pthread_mutex_lock(&lock);
	rc = __real_target_rename(dirfd, from, to);
	if (rc == OK && path_of(dirfd, from, old) && path_of(dirfd, to, new))
		done(support_disk_replace(disk, old, new));
	pthread_mutex_unlock(&lock);
	return rc;
}

int
__wrap_target_unlink(int dirfd, const char *name)
{
	char path[SUPPORT_IO_PATH];
	int rc;

	pthread_mutex_lock(&lock);
	rc = __real_target_unlink(dirfd, name);
	if (rc == OK && path_of(dirfd, name, path))
		done(io_unlink(io, path) == OK);
	pthread_mutex_unlock(&lock);
	return rc;
}

void
__wrap_target_drop(int dirfd, const char *name)
{
	char path[SUPPORT_IO_PATH];
	struct stat st;
	bool there;

	pthread_mutex_lock(&lock);
	there = fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
	__real_target_drop(dirfd, name);
	if (there && path_of(dirfd, name, path))
		done(io_unlink(io, path) == OK);
	pthread_mutex_unlock(&lock);
}

struct beneath {
	char top[SUPPORT_IO_PATH];
	struct {
		char path[SUPPORT_IO_PATH];
		bool dir;
	} name[200];
	size_t count;
};

static void
note_beneath(void *arg, const char *path, uint32_t inode, const uint8_t *p, size_t n)
{
	struct beneath *b = arg;
	size_t len = strlen(b->top);

	(void)p;
	(void)n;
	if (strncmp(path, b->top, len) != 0 || (path[len] && path[len] != '/'))
		return;
	if (b->count == sizeof(b->name) / sizeof(b->name[0]))
		abort();
	snprintf(b->name[b->count].path, SUPPORT_IO_PATH, "%s", path);
	b->name[b->count++].dir = inode == 0;
}

/* What lies in a directory comes after it in the order of paths. */
int
__wrap_target_remove(int dirfd, const char *name, bool dry, uint64_t *count)
{
	struct beneath b = { .count = 0 };
	int rc;

	pthread_mutex_lock(&lock);
	rc = __real_target_remove(dirfd, name, dry, count);
	if (!dry && path_of(dirfd, name, b.top)) {
		support_disk_each(disk, note_beneath, &b);
		done(rc == OK);
	}
	while (b.count-- > 0)
		done(b.name[b.count].dir ? support_disk_rmdir(disk, b.name[b.count].path) : io_unlink(io, b.name[b.count].path) == OK);
	pthread_mutex_unlock(&lock);
	return rc;
}

int
__wrap_target_make_dir(int dirfd, const char *name)
{
	char path[SUPPORT_IO_PATH];
	int rc;

	pthread_mutex_lock(&lock);
	rc = __real_target_make_dir(dirfd, name);
	if (rc == OK && path_of(dirfd, name, path))
		done(io_mkdir(io, path) == OK);
	pthread_mutex_unlock(&lock);
	return rc;
}

int
__wrap_target_link(int from_dirfd, const char *from, int dirfd, const char *name)
{
	char old[SUPPORT_IO_PATH], new[SUPPORT_IO_PATH];
	int rc;

	pthread_mutex_lock(&lock);
	rc = __real_target_link(from_dirfd, from, dirfd, name);
	if (rc == OK && path_of(from_dirfd, from, old) && path_of(dirfd, name, new))
		done(support_disk_link(disk, old, new));
	pthread_mutex_unlock(&lock);
	return rc;
}

static bool
put_link(struct support_disk *d, const char *path, const char *text)
{
	char bytes[200];
	int n = snprintf(bytes, sizeof(bytes), MIRROR_LINK "%s", text);

	return n < (int)sizeof(bytes) && support_disk_whole(d, path, bytes, (size_t)n);
}

int
__wrap_target_symlink(int dirfd, const char *name, const char *text)
{
	char path[SUPPORT_IO_PATH];
	int rc;

	pthread_mutex_lock(&lock);
	rc = __real_target_symlink(dirfd, name, text);
	if (rc == OK && path_of(dirfd, name, path))
		done(put_link(disk, path, text));
	pthread_mutex_unlock(&lock);
	return rc;
}

/* -------------------------------------------------------------------------------- a directory to and from disk */

struct reading {
	struct support_disk *d;
	struct io *io;
	struct {
		ino_t inode;
		char path[SUPPORT_IO_PATH];
	} linked[50];
	size_t count;
};

static bool
read_bytes(const struct reading *r, const FTSENT *e, const char *path)
{
	char *p = malloc((size_t)e->fts_statp->st_size + 1);
	FILE *f = fopen(e->fts_accpath, "rb");
	struct io_file *to;
	size_t n;
	bool ok;

	if (!p)
		abort();
	ok = f && io_create(r->io, path, &to) == OK;
	if (ok) {
		n = fread(p, 1, (size_t)e->fts_statp->st_size, f);
		ok = n == (size_t)e->fts_statp->st_size && io_append(r->io, to, p, n) == OK;
		ok = io_close(r->io, to) == OK && ok;
	}
	if (f)
		fclose(f);
	free(p);
	return ok;
}

static bool
read_file(struct reading *r, const FTSENT *e, const char *path)
{
	for (size_t i = 0; e->fts_statp->st_nlink > 1 && i < r->count; i++)
		if (r->linked[i].inode == e->fts_statp->st_ino)
			return support_disk_link(r->d, r->linked[i].path, path);
	if (e->fts_statp->st_nlink > 1 && r->count < sizeof(r->linked) / sizeof(r->linked[0])) {
		r->linked[r->count].inode = e->fts_statp->st_ino;
		snprintf(r->linked[r->count++].path, SUPPORT_IO_PATH, "%s", path);
	}
	return read_bytes(r, e, path);
}

static bool
read_one(struct reading *r, const FTSENT *e, size_t skip)
{
	const char *path = e->fts_path + skip;
	char text[200];
	ssize_t n;

	if (e->fts_level == 0 || e->fts_info == FTS_DP)
		return e->fts_info == FTS_D || e->fts_info == FTS_DP;
	if (strlen(path) >= SUPPORT_IO_PATH)
		return false;
	switch (e->fts_info) {
	case FTS_D:
		return io_mkdir(r->io, path) == OK;
	case FTS_F:
		return read_file(r, e, path);
	case FTS_SL:
	case FTS_SLNONE:
		n = readlink(e->fts_accpath, text, sizeof(text) - 1);
		text[n < 0 ? 0 : n] = 0;
		return n > 0 && put_link(r->d, path, text);
	default:
		return false;
	}
}

struct support_disk *
mirror_read(const char *path)
{
	const struct support_loss none = { .kind = SUPPORT_KEEP_ALL };
	struct reading r = { .d = support_disk_new() };
	char copy[400], *paths[] = { copy, NULL };
	struct support_disk *d = NULL;
	bool ok = true;
	FTS *fts;
	FTSENT *e;

	snprintf(copy, sizeof(copy), "%s", path);
	r.io = support_disk_io(r.d);
	fts = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	while (ok && fts && (e = fts_read(fts)))
		ok = read_one(&r, e, strlen(path) + 1);
	if (fts)
		fts_close(fts);
	io_free(r.io);
	if (ok && fts)
		d = support_disk_loss(r.d, support_disk_ops(r.d), &none);
	support_disk_free(r.d);
	return d;
}

struct writing {
	const char *root;
	struct {
		uint32_t inode;
		char path[SUPPORT_IO_PATH];
	} made[400];
	size_t count;
	bool ok;
};

static bool
write_file(struct writing *w, const char *path, uint32_t inode, const uint8_t *p, size_t len)
{
	char from[500], to[500];
	int fd;
	bool ok;

	snprintf(to, sizeof(to), "%s/%s", w->root, path);
	for (size_t i = 0; i < w->count; i++) {
		if (w->made[i].inode != inode)
			continue;
		snprintf(from, sizeof(from), "%s/%s", w->root, w->made[i].path);
		return link(from, to) == 0;
	}
	if (w->count == sizeof(w->made) / sizeof(w->made[0]))
		abort();
	w->made[w->count].inode = inode;
	snprintf(w->made[w->count++].path, SUPPORT_IO_PATH, "%s", path);
	fd = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	ok = fd >= 0 && (len == 0 || write(fd, p, len) == (ssize_t)len);
	return fd >= 0 && close(fd) == 0 && ok;
}

static void
write_one(void *arg, const char *path, uint32_t inode, const uint8_t *p, size_t len)
{
	struct writing *w = arg;
	char to[500], text[200];

	snprintf(to, sizeof(to), "%s/%s", w->root, path);
	if (inode == 0) {
		w->ok &= mkdir(to, 0755) == 0;
	} else if (len >= LINK_LEN && memcmp(p, MIRROR_LINK, LINK_LEN) == 0) {
		snprintf(text, sizeof(text), "%.*s", (int)(len - LINK_LEN), (const char *)p + LINK_LEN);
		w->ok &= symlink(text, to) == 0;
	} else {
		w->ok &= write_file(w, path, inode, p, len);
	}
}

bool
mirror_write(const struct support_disk *d, const char *path)
{
	struct writing w = { .root = path, .ok = true };

	if (mkdir(path, 0755))
		return false;
	support_disk_each(d, write_one, &w);
	return w.ok;
}
