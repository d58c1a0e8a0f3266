/*
 * io: dispatch through the vtable, and the implementation for a directory of this machine.
 *
 * Every call is relative to the descriptor of the repository's directory, so a repository that is moved or whose parents are
 * renamed while it is open stays the same repository.  No link inside of it is followed: whoever can write there could
 * otherwise have others' files read, renamed, and swept away with tmp/.
 */
#include "sys/io.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "sys/beneath.h"
#include "sys/dents.h"
#include "sys/guard.h"
#include "sys/signals.h"
#include "sys/stream.h"

struct io_file {
	int fd;
	struct stream *stream;          /* or NULL */
	char path[120];
	const char *dir;                /* of the repository; borrowed */
};

struct posix {
	struct io io;
	int root_fd, lock_fd;
	enum io_lock lock_kind;         /* held now ... */
	unsigned lock_depth;            /* ... so many times */
	mode_t file_mode, dir_mode;     /* GN-8 */
	bool give;                      /* root in another's repository: what is made belongs to ... */
	uid_t uid;                      /* ... the owner of its directory */
	gid_t gid;
	char *dir;                      /* as the user says it, for messages; owned */
	size_t found;                   /* so much of the directory's path was there before */
};

static struct posix *
posix_of(struct io *io)
{
	return (struct posix *)io;
}

static int
file_new(const struct posix *p, int fd, const char *path, struct io_file **out)
{
	struct io_file *f;
	int rc = MEM_NEW(f);

	if (rc) {
		close(fd);
		return rc;
	}
	f->fd = fd;
	f->dir = p->dir;
	snprintf(f->path, sizeof(f->path), "%s", path);
	*out = f;
	return OK;
}

static int
posix_open(struct io *io, const char *path, struct io_file **out)
{
	struct stat st;
	int fd;

	/* Whoever can write the directory could put a fifo there: never wait for one. */
	do
		fd = beneath_open(posix_of(io)->root_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0);
	while (fd < 0 && errno == EINTR);
	if (fd < 0 && errno == ELOOP && beneath_is_link(posix_of(io)->root_fd, path))
		return fail(ERR_CORRUPT, "'%s' is not a regular file", path);
	if (fd < 0)
		return fail_io("cannot open '%s'%s", path, errno != EACCES ? "" :
		    " (made by another user? give it the owner of the repository's directory)");
	if (fstat(fd, &st) < 0) {
		int rc = fail_io("cannot stat '%s'", path);

		close(fd);
		return rc;
	}
	if (!S_ISREG(st.st_mode)) {
		close(fd);
		return fail(ERR_CORRUPT, "'%s' is not a regular file", path);
	}
	return file_new(posix_of(io), fd, path, out);
}

/* Best effort: a file system without owners must not end a snapshot. */
static void
give(const struct posix *p, int fd)
{
	if (p->give)
		(void)!fchown(fd, p->uid, p->gid);
}

static int
posix_create(struct io *io, const char *path, struct io_file **out)
{
	struct posix *p = posix_of(io);
	int fd;

	do
		fd = beneath_open(p->root_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, p->file_mode);
	while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return fail_io("repository '%s': cannot create '%s'", p->dir, path);
	give(p, fd);
	return file_new(p, fd, path, out);
}

static int
posix_size(struct io_file *f, uint64_t *size)
{
	struct stat st;

	if (fstat(f->fd, &st) < 0)
		return fail_io("cannot stat '%s'", f->path);
	*size = (uint64_t)st.st_size;
	return OK;
}

static int
posix_read_at(struct io_file *f, uint64_t off, void *buf, size_t len)
{
	uint8_t *p = buf;
	ssize_t n;

	for (; len; p += n, off += (uint64_t)n, len -= (size_t)n) {
		n = pread(f->fd, p, len, (off_t)off);
		if (n < 0 && errno != EINTR)
			return fail_io("cannot read '%s'", f->path);
		if (n == 0)
			return fail(ERR_CORRUPT, "'%s' ends too early", f->path);
		n = n < 0 ? 0 : n;
	}
	return OK;
}

static int
no_write(const struct io_file *f)
{
	return fail_io("repository '%s': cannot write '%s'", f->dir, f->path);
}

#define END UINT64_MAX                  /* of what was written */

static int
posix_write_at(struct io_file *f, uint64_t off, const void *buf, size_t len)
{
	const uint8_t *p = buf;
	ssize_t n;

	for (; len; p += n, len -= (size_t)n) {
		n = off == END ? write(f->fd, p, len) : pwrite(f->fd, p, len, (off_t)off);
		if (n < 0 && errno != EINTR)
			return no_write(f);
		n = n < 0 ? 0 : n;
		off += off == END ? 0 : (uint64_t)n;
	}
	return OK;
}

static int
posix_append(struct io_file *f, const void *buf, size_t len)
{
	if (!f->stream)
		return posix_write_at(f, END, buf, len);
	return stream_append(f->stream, buf, len) ? no_write(f) : OK;
}

static void
posix_stream(struct io_file *f)
{
	f->stream = stream_new(f->fd);
}

static int
posix_sync(struct io_file *f)
{
	if (f->stream && stream_end(f->stream))
		return no_write(f);
	f->stream = stream_free(f->stream);
	if (fsync(f->fd) < 0)
		return fail_io("repository '%s': cannot sync '%s'", f->dir, f->path);
	return OK;
}

static int
posix_close(struct io_file *f)
{
	int rc = OK;

	/* Linux closes the descriptor even when it reports EINTR. */
	if (close(f->fd) < 0 && errno != EINTR)
		rc = fail_io("cannot close '%s'", f->path);
	stream_free(f->stream);
	free(f);
	return rc;
}

static int
rename_at(int from_fd, const char *from, int to_fd, const char *to)
{
	if (renameat2(from_fd, from, to_fd, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -1;
	/* The file system has no RENAME_NOREPLACE: a hard link refuses to replace as well. */
	return linkat(from_fd, from, to_fd, to, 0) < 0 || unlinkat(from_fd, from, 0) < 0 ? -1 : 0;
}

static int
posix_rename(struct io *io, const char *from, const char *to)
{
	int root = posix_of(io)->root_fd, from_fd, to_fd = root, rc = OK;
	const char *from_base, *to_base;

	from_fd = beneath_parent(root, from, &from_base);
	if (from_fd < 0 || (to_fd = beneath_parent(root, to, &to_base)) < 0 ||
	    rename_at(from_fd, from_base, to_fd, to_base) < 0)
		rc = fail_io("cannot rename '%s' to '%s'", from, to);
	beneath_close(root, from_fd);
	beneath_close(root, to_fd);
	return rc;
}

static int
posix_unlink(struct io *io, const char *path)
{
	int root = posix_of(io)->root_fd, rc = OK;
	const char *base;
	int dir = beneath_parent(root, path, &base);

	if (dir < 0 || unlinkat(dir, base, 0) < 0)
		rc = fail_io("cannot remove '%s'", path);
	beneath_close(root, dir);
	return rc;
}

static int
posix_mkdir(struct io *io, const char *path)
{
	struct posix *p = posix_of(io);
	const char *base;
	int dir = beneath_parent(p->root_fd, path, &base), fd, rc = OK;

	if (dir < 0 || mkdirat(dir, base, p->dir_mode) < 0)
		rc = fail_io("repository '%s': cannot make directory '%s'", p->dir, path);
	else if (p->give && (fd = openat(dir, base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)) >= 0) {
		give(p, fd);
		close(fd);
	}
	beneath_close(p->root_fd, dir);
	return rc;
}

static int
posix_sync_dir(struct io *io, const char *path)
{
	int fd = beneath_open(posix_of(io)->root_fd, *path ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	int rc = OK;

	if (fd < 0)
		return fail_io("cannot open directory '%s'", path);
	if (fsync(fd) < 0)
		rc = fail_io("cannot sync directory '%s'", path);
	close(fd);
	return rc;
}

struct listing {
	io_list_fn fn;
	void *arg;
};

static int
list_one(void *arg, uint8_t type, const char *name)
{
	struct listing *l = arg;

	(void)type;
	return l->fn(l->arg, name);
}

/* A new access time would have to be committed by the next sync of the directory; O_NOATIME is for the owner and root only. */
static int
posix_list(struct io *io, const char *path, io_list_fn fn, void *arg)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC, root = posix_of(io)->root_fd;
	struct listing l = { fn, arg };
	char what[160];
	int fd, rc;

	path = *path ? path : ".";
	if ((fd = beneath_open(root, path, flags | O_NOATIME, 0)) < 0 && errno == EPERM)
		fd = beneath_open(root, path, flags, 0);
	if (fd < 0)
		return fail_io("cannot open directory '%s'", path);
	snprintf(what, sizeof(what), "cannot read directory '%s'", path);
	rc = dents_list(fd, what, list_one, &l);
	close(fd);
	return rc;
}

static int
posix_stat(struct io *io, const char *path, uint64_t *size)
{
	int root = posix_of(io)->root_fd, rc = OK;
	const char *base;
	int dir = beneath_parent(root, path, &base);
	struct stat st;

	if (dir < 0 || fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		rc = fail_io("cannot stat '%s'", path);
	else
		*size = (uint64_t)st.st_size;
	beneath_close(root, dir);
	return rc;
}

/* One lock on one byte of the open file description. */
static int
lock_byte(int fd, short type, off_t byte, bool wait)
{
	struct flock fl = { .l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };
	int r;

	while ((r = fcntl(fd, wait ? F_OFD_SETLKW : F_OFD_SETLK, &fl)) < 0 && errno == EINTR)
		if (signals_stop_asked())
			return fail(ERR_INTERRUPTED, "interrupted while waiting for the repository's lock");
	if (r == 0)
		return OK;
	if (!wait && (errno == EAGAIN || errno == EACCES))
		return fail(ERR_LOCKED, "the repository is locked by another process (a snapshot, a restore, prune?): try again when it has ended");
	return fail_io("cannot lock the repository (does its file system support locks?)");
}

static int
posix_unlock(struct posix *p)
{
	if (p->lock_depth > 0 && --p->lock_depth > 0)
		return OK;
	/* Closing the description releases both bytes whatever happened before. */
	if (p->lock_fd >= 0)
		close(p->lock_fd);
	p->lock_fd = -1;
	p->lock_kind = IO_UNLOCKED;
	return OK;
}

static int
posix_lock(struct io *io, enum io_lock kind, bool wait)
{
	struct posix *p = posix_of(io);
	short type = kind == IO_EXCLUSIVE ? F_WRLCK : F_RDLCK;
	int rc;

	if (kind == IO_UNLOCKED)
		return posix_unlock(p);
	if (p->lock_depth) {
		/* Held already: passing the turnstile again could wait for someone who waits for us. */
		assert(p->lock_kind == kind || p->lock_kind == IO_EXCLUSIVE);
		p->lock_depth++;
		return OK;
	}
	if (p->lock_fd < 0) {
		p->lock_fd = openat(p->root_fd, "locks", O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		if (p->lock_fd < 0 && kind == IO_SHARED && (errno == EROFS || errno == EACCES))
			p->lock_fd = openat(p->root_fd, "locks", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (p->lock_fd < 0)
			return fail_io("cannot open 'locks'");
	}
	/* Byte 1 is the turnstile: whoever waits for the lock stands in it, so later comers queue behind. */
	rc = lock_byte(p->lock_fd, type, 1, wait);
	if (rc == OK) {
		rc = lock_byte(p->lock_fd, type, 0, wait);
		if (rc == OK)
			(void)lock_byte(p->lock_fd, F_UNLCK, 1, false);
	}
	if (rc) {
		(void)posix_unlock(p);
		return rc;
	}
	p->lock_kind = kind;
	p->lock_depth = 1;
	return OK;
}

static int
posix_identity(struct io *io, uint64_t *dev, uint64_t *inode)
{
	struct stat st;

	if (fstat(posix_of(io)->root_fd, &st) < 0)
		return fail_io("cannot stat the repository's directory");
	*dev = st.st_dev;
	*inode = st.st_ino;
	return FOUND;
}

static void
posix_free(struct io *io)
{
	struct posix *p = posix_of(io);

	if (p->lock_fd >= 0)
		close(p->lock_fd);
	if (p->root_fd >= 0)
		close(p->root_fd);
	free(p->dir);
	free(p);
}

static const struct io_ops posix_ops = {
	.open = posix_open, .create = posix_create, .size = posix_size, .read_at = posix_read_at, .append = posix_append,
	.write_at = posix_write_at, .stream = posix_stream,
	.sync = posix_sync, .close = posix_close, .rename = posix_rename, .unlink = posix_unlink, .mkdir = posix_mkdir,
	.sync_dir = posix_sync_dir, .list = posix_list, .stat = posix_stat, .lock = posix_lock, .identity = posix_identity, .free = posix_free,
};

/* mkdir -p; *found: length of what was there. */
static int
make_dirs(const char *dir, size_t *found)
{
	size_t len = strlen(dir), i = 0;
	struct stat st;
	char *path;
	int rc, why;

	*found = len;
	if ((rc = mem_dup(&path, dir)))
		return rc;
	while (rc == OK && i < len) {
		i += strspn(dir + i, "/");
		i += strcspn(dir + i, "/");
		path[i] = '\0';
		if (mkdir(path, i + strspn(dir + i, "/") == len ? 0700 : 0777) == 0) {
			*found = i < *found ? i - 1 : *found;
			rc = guard_sync_parent(path);
		} else if ((why = errno) != EEXIST && stat(path, &st) < 0) {
			errno = why;
			rc = fail_io("cannot make directory '%s'", path);
		}
		if (i < len)
			path[i] = '/';
	}
	free(path);
	return rc;
}

static void
remove_dirs(const char *dir, size_t found)
{
	size_t len = strlen(dir);
	char *path;

	if (mem_dup(&path, dir))
		return;
	while (len > found) {
		path[len] = '\0';
		if (path[len - 1] != '/' && rmdir(path) < 0)
			break;
		while (len > found && path[len - 1] != '/')
			len--;
		while (len > found && path[len - 1] == '/')
			len--;
	}
	free(path);
}

int
io_posix_new(const char *dir, bool create, struct io **out)
{
	struct posix *p;
	struct stat st;
	int rc;

	*out = NULL;
	if ((rc = MEM_NEW(p)))
		return rc;
	p->io.ops = &posix_ops;
	p->lock_fd = -1;
	p->root_fd = -1;
	p->found = strlen(dir);
	if ((rc = mem_dup(&p->dir, dir)))
		goto out;
	if (create && (rc = make_dirs(dir, &p->found))) {
		remove_dirs(dir, p->found);
		goto out;
	}
	p->root_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->root_fd < 0 || fstat(p->root_fd, &st) < 0) {
		rc = fail_io("cannot open directory '%s'", dir);
		goto out;
	}
	p->file_mode = 0600 | (st.st_mode & 0060);
	p->dir_mode = 0700 | (st.st_mode & 0070);
	p->uid = st.st_uid;
	p->gid = st.st_gid;
	p->give = geteuid() == 0 && (p->uid != 0 || p->gid != getegid());
out:
	if (rc)
		posix_free(&p->io);
	else
		*out = &p->io;
	return rc;
}

void
io_posix_undo(struct io *io, const char *dir)
{
	size_t found = posix_of(io)->found;

	posix_free(io);
	remove_dirs(dir, found);
}

struct io *
io_free(struct io *io)
{
	if (io)
		io->ops->free(io);
	return NULL;
}

int
io_open(struct io *io, const char *path, struct io_file **out)
{
	*out = NULL;
	return io->ops->open(io, path, out);
}

int
io_create(struct io *io, const char *path, struct io_file **out)
{
	*out = NULL;
	return io->ops->create(io, path, out);
}

int
io_size(struct io *io, struct io_file *f, uint64_t *size)
{
	return io->ops->size(f, size);
}

int
io_read_at(struct io *io, struct io_file *f, uint64_t off, void *buf, size_t len)
{
	return io->ops->read_at(f, off, buf, len);
}

int
io_append(struct io *io, struct io_file *f, const void *buf, size_t len)
{
	return io->ops->append(f, buf, len);
}

void
io_stream(struct io *io, struct io_file *f)
{
	if (io->ops->stream)
		io->ops->stream(f);
}

int
io_write_at(struct io *io, struct io_file *f, uint64_t off, const void *buf, size_t len)
{
	return io->ops->write_at(f, off, buf, len);
}

int
io_sync(struct io *io, struct io_file *f)
{
	return io->ops->sync(f);
}

int
io_close(struct io *io, struct io_file *f)
{
	return f ? io->ops->close(f) : OK;
}

int
io_rename(struct io *io, const char *from, const char *to)
{
	return io->ops->rename(io, from, to);
}

int
io_unlink(struct io *io, const char *path)
{
	return io->ops->unlink(io, path);
}

int
io_mkdir(struct io *io, const char *path)
{
	return io->ops->mkdir(io, path);
}

int
io_sync_dir(struct io *io, const char *path)
{
	return io->ops->sync_dir(io, path);
}

int
io_list(struct io *io, const char *path, io_list_fn fn, void *arg)
{
	return io->ops->list(io, path, fn, arg);
}

int
io_stat(struct io *io, const char *path, uint64_t *size)
{
	return io->ops->stat(io, path, size);
}

int
io_identity(struct io *io, uint64_t *dev, uint64_t *inode)
{
	return io->ops->identity ? io->ops->identity(io, dev, inode) : OK;
}

int
io_lock(struct io *io, enum io_lock kind, bool wait)
{
	return io->ops->lock(io, kind, wait);
}

int
io_read_file(struct io *io, const char *path, size_t max, uint8_t **out, size_t *len)
{
	struct io_file *f;
	uint64_t size;
	int rc;

	*out = NULL;
	*len = 0;
	if ((rc = io_open(io, path, &f)))
		return rc;
	if ((rc = io_size(io, f, &size)))
		goto out;
	if (size > max) {
		rc = fail(ERR_CORRUPT, "'%s' is too large", path);
		goto out;
	}
	if ((rc = mem_new((void **)out, (size_t)size + 1)) == OK)
		rc = io_read_at(io, f, 0, *out, (size_t)size);
	*len = (size_t)size;
out:
	(void)io_close(io, f);
	if (rc) {
		free(*out);
		*out = NULL;
		*len = 0;
	}
	return rc;
}

int
io_write_file(struct io *io, const char *tmp, const void *buf, size_t len)
{
	struct io_file *f;
	int rc, rc2;

	if ((rc = io_create(io, tmp, &f)))
		return rc;
	if ((rc = io_append(io, f, buf, len)) == OK)
		rc = io_sync(io, f);
	rc2 = io_close(io, f);
	if (rc == OK)
		rc = rc2;
	if (rc)
		io_discard(io, tmp);
	return rc;
}

void
io_discard(struct io *io, const char *path)
{
	int rc, sys_errno = err_errno();
	char text[1024];

	snprintf(text, sizeof(text), "%s", err_text());
	rc = io_unlink(io, path);
	err_set(rc, text);
	err_set_errno(sys_errno);
}
