/*
 * The user's file trees.  Every call takes a directory's descriptor and one
 * name, so that neither the length of a path nor a component that was swapped
 * for a link matters.
 *
 * Extended attributes have no such calls in the kernels we run on (and f*xattr
 * refuses O_PATH descriptors): the name is reached through
 * /proc/self/fd/<directory>/<name>, whose last component the l*xattr calls do
 * not follow.
 */
#include "sys/fsys.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/fs.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "format/treenode.h"
#include "sys/dents.h"

#define XATTR_VALUE_MAX (64u << 10)
#define OWNER_BUF (256u << 10)           /* a group may have many members */

int
fsys_stat(int dirfd, const char *name, struct fsys_stat *st)
{
	int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;
	struct statx x;

	if (!*name)
		flags |= AT_EMPTY_PATH;
	if (statx(dirfd, name, flags, STATX_BASIC_STATS, &x))
		return fail_io("cannot stat");
	*st = (struct fsys_stat){
		.mode = x.stx_mode, .uid = x.stx_uid, .gid = x.stx_gid,
		.dev = makedev(x.stx_dev_major, x.stx_dev_minor),
		.inode = x.stx_ino, .nlink = x.stx_nlink,
		.size = x.stx_size, .blocks = x.stx_blocks,
		.rdev_major = x.stx_rdev_major, .rdev_minor = x.stx_rdev_minor,
		.mtime = x.stx_mtime.tv_sec, .mtime_ns = x.stx_mtime.tv_nsec,
		.ctime = x.stx_ctime.tv_sec, .ctime_ns = x.stx_ctime.tv_nsec,
		.mount_root = (x.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0,
	};
	return OK;
}

/* O_NOATIME is for the owner and root only; others read without it. */
static int
open_quiet(int dirfd, const char *name, int flags)
{
	int fd;

	flags |= O_RDONLY | O_NOFOLLOW | O_CLOEXEC;
	do
		fd = openat(dirfd, name, flags | O_NOATIME);
	while (fd < 0 && errno == EINTR);
	if (fd >= 0 || errno != EPERM)
		return fd;
	do
		fd = openat(dirfd, name, flags);
	while (fd < 0 && errno == EINTR);
	return fd;
}

int
fsys_open_dir(int dirfd, const char *name, int *fd)
{
	*fd = open_quiet(dirfd, *name ? name : ".", O_DIRECTORY);
	return *fd < 0 ? fail_io("cannot open directory") : OK;
}

int
fsys_open_file(int dirfd, const char *name, int *fd)
{
	*fd = open_quiet(dirfd, name, O_NONBLOCK | O_NOCTTY);
	return *fd < 0 ? fail_io("cannot open") : OK;
}

void
fsys_close(int fd)
{
	if (fd >= 0)
		close(fd);
}

int
fsys_open_parent(const char *path, int *dirfd, char **name, char **store)
{
	const char *dir = ".";
	size_t len = strlen(path);
	char *slash;
	int rc;

	*dirfd = -1;
	*name = NULL;
	if ((rc = mem_dup(store, path)))
		return rc;
	while (len > 1 && (*store)[len - 1] == '/')
		(*store)[--len] = '\0';
	slash = strrchr(*store, '/');
	*name = slash ? slash + 1 : *store;
	if (strcmp(*name, ".") == 0 || strcmp(*name, "..") == 0) {
		dir = *store;           /* has no name in its parent */
		*name = *store + len;
	} else if (slash == *store) {
		dir = "/";
	} else if (slash) {
		*slash = '\0';
		dir = *store;
	}
	*dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* What may only be passed through will do. */
	if (*dirfd < 0 && errno == EACCES)
		*dirfd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (*dirfd >= 0)
		return OK;
	rc = fail_io("cannot open directory '%s'", dir);
	free(*store);
	*store = *name = NULL;
	return rc;
}

struct listing {
	struct mem_buf arena;
	size_t count;
};

static int
list_one(void *arg, uint8_t type, const char *name)
{
	struct listing *l = arg;
	int rc;

	if ((rc = mem_buf_add(&l->arena, &type, 1)) ||
	    (rc = mem_buf_add(&l->arena, name, strlen(name) + 1)))
		return rc;
	l->count++;
	return OK;
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int
fsys_list(int dirfd, struct fsys_names *out)
{
	struct listing l = { .count = 0 };
	char *p;
	int rc;

	*out = (struct fsys_names){ 0 };
	if (lseek(dirfd, 0, SEEK_SET) < 0)
		return fail_io("cannot read directory");
	if ((rc = dents_list(dirfd, "cannot read directory", list_one, &l)) ||
	    (rc = mem_new((void **)&out->name,
	    mem_array(l.count, sizeof(*out->name))))) {
		mem_buf_clear(&l.arena);
		return rc;
	}
	out->mem = p = (char *)l.arena.p;
	for (; out->count < l.count; p += strlen(p) + 1)
		out->name[out->count++] = ++p;
	if (l.count > 1)
		qsort(out->name, l.count, sizeof(*out->name), by_name);
	return OK;
}

void
fsys_names_clear(struct fsys_names *n)
{
	free(n->name);
	free(n->mem);
	*n = (struct fsys_names){ 0 };
}

int
fsys_readlink(int dirfd, const char *name, char *buf, size_t cap, size_t *len)
{
	ssize_t n = readlinkat(dirfd, name, buf, cap);

	*len = 0;
	if (n < 0)
		return fail_io("cannot read link");
	if ((size_t)n >= cap) {
		errno = ENAMETOOLONG;
		return fail_io("cannot read link");
	}
	buf[n] = '\0';
	*len = (size_t)n;
	return OK;
}

/* n: what one call gave. */
static int
read_once(int fd, uint64_t off, void *buf, size_t len, size_t *got)
{
	ssize_t n;

	do {
		n = pread(fd, buf, len, (off_t)off);
		if (n < 0 && errno == ESPIPE)
			n = read(fd, buf, len);
	} while (n < 0 && errno == EINTR);
	*got = n < 0 ? 0 : (size_t)n;
	return n < 0 ? fail_io("cannot read") : OK;
}

int
fsys_read_at(int fd, uint64_t off, void *buf, size_t len, size_t *got)
{
	size_t n = 1;
	int rc = OK;

	for (*got = 0; n && *got < len; *got += n)
		if ((rc = read_once(fd, off + *got, (char *)buf + *got,
		    len - *got, &n)))
			break;
	return rc;
}

int
fsys_read_file(int fd, size_t size, void *buf, size_t *got)
{
	size_t more;
	int rc = read_once(fd, 0, buf, size + 1, got);

	if (rc || *got == size)
		return rc;
	rc = fsys_read_at(fd, *got, (char *)buf + *got, size + 1 - *got,
	    &more);
	*got += more;
	return rc;
}

int
fsys_next_data(int fd, uint64_t off, uint64_t size, uint64_t *start,
    uint64_t *end)
{
	off_t at;

	*start = *end = size;
	if (off >= size)
		return OK;
	at = lseek(fd, (off_t)off, SEEK_DATA);
	if (at < 0 && errno == ENXIO)
		return OK;
	if (at < 0 && (errno == EINVAL || errno == EOPNOTSUPP)) {
		*start = off;
		return OK;
	}
	if (at < 0)
		return fail_io("cannot find data");
	if ((uint64_t)at >= size)
		return OK;
	*start = (uint64_t)at;
	at = lseek(fd, at, SEEK_HOLE);
	if (at < 0)
		return errno == ENXIO ? OK : fail_io("cannot find hole");
	if ((uint64_t)at < size)
		*end = (uint64_t)at;
	return OK;
}

/*
 * Where attributes are read from: a path, or a descriptor when there is no
 * /proc.
 */
struct xattr_place {
	char path[sizeof("/proc/self/fd/2147483648/") + NAME_MAX];
	bool follow;                    /* the path is a descriptor's own */
	int fd;                         /* -1: use the path */
};

static ssize_t
xattr_names(const struct xattr_place *at, char *buf, size_t cap)
{
	if (at->fd >= 0)
		return flistxattr(at->fd, buf, cap);
	return at->follow ? listxattr(at->path, buf, cap) :
	    llistxattr(at->path, buf, cap);
}

static ssize_t
xattr_value(const struct xattr_place *at, const char *name, void *buf,
    size_t cap)
{
	if (at->fd >= 0)
		return fgetxattr(at->fd, name, buf, cap);
	return at->follow ? getxattr(at->path, name, buf, cap) :
	    lgetxattr(at->path, name, buf, cap);
}

/*
 * Listed, but nothing that could be kept: not supported, gone meanwhile, or
 * not for us.
 */
static bool
xattr_unseen(int e)
{
	return e == ENOTSUP || e == ENODATA || e == EPERM || e == EACCES;
}

static int
xattr_add(const struct xattr_place *at, const char *name, uint8_t *value,
    struct mem_buf *out)
{
	struct treenode_xattr x = { .name = (const uint8_t *)name,
	    .name_len = (uint16_t)strlen(name), .value = value };
	ssize_t n = xattr_value(at, name, value, XATTR_VALUE_MAX);
	size_t room;
	int rc;

	if (n < 0)
		return xattr_unseen(errno) ? OK :
		    fail_io("cannot read attribute '%s'", name);
	x.value_len = (uint32_t)n;
	room = 8 + x.name_len + (size_t)n;
	if ((rc = mem_buf_reserve(out, room)))
		return rc;
	room = treenode_xattr_encode(out->p + out->len, out->cap - out->len,
	    &x);
	if (!room)
		return fail(ERR_FAILED, "attribute '%s' cannot be stored",
		    name);
	out->len += room;
	return OK;
}

/* The names as the kernel gave them, n bytes, become values sorted by name. */
static int
xattr_collect(const struct xattr_place *at, char *list, size_t n, size_t max,
    struct mem_buf *out)
{
	char **names = NULL;
	uint8_t *value = NULL;
	size_t cap = 0, count = 0;
	int rc = mem_new((void **)&value, XATTR_VALUE_MAX);

	for (size_t i = 0; i < n && rc == OK; i += strlen(list + i) + 1) {
		rc = mem_grow((void **)&names, &cap, count + 1,
		    sizeof(*names));
		if (rc == OK)
			names[count++] = list + i;
	}
	if (rc == OK && count > 1)
		qsort(names, count, sizeof(*names), by_name);
	for (size_t i = 0; i < count && rc == OK; i++) {
		rc = xattr_add(at, names[i], value, out);
		if (rc == OK && out->len > max)
			rc = fail(ERR_FAILED, "extended attributes are longer "
			    "than %zu bytes", max);
	}
	free(names);
	free(value);
	return rc;
}

static int
xattr_all(const struct xattr_place *at, size_t max, struct mem_buf *out)
{
	char *list;
	ssize_t n;
	int rc;

	if ((rc = mem_new((void **)&list, XATTR_LIST_MAX + 1)))
		return rc;
	n = xattr_names(at, list, XATTR_LIST_MAX);
	if (n < 0)
		rc = fail_io("cannot list attributes");
	else
		rc = xattr_collect(at, list, (size_t)n, max, out);
	free(list);
	return rc;
}

/*
 * The path was not found: the file has gone (ERR_ABSENT), or /proc is not
 * there.  Then files and directories are opened; the attributes of anything
 * else stay unseen.
 */
static int
xattr_without_proc(struct xattr_place *at, int dirfd, const char *name,
    uint32_t mode, ssize_t *n)
{
	struct fsys_stat st;
	int rc = fsys_stat(dirfd, name, &st);

	*n = 0;
	if (rc || (!S_ISREG(mode) && !S_ISDIR(mode)))
		return rc;
	at->fd = open_quiet(dirfd, *name ? name : ".", O_NONBLOCK | O_NOCTTY);
	if (at->fd < 0)
		return fail_io("cannot list attributes");
	*n = xattr_names(at, NULL, 0);
	return OK;
}

int
fsys_xattrs(int dirfd, const char *name, uint32_t mode, size_t max,
    uint8_t **out, size_t *len)
{
	bool open = dirfd >= 0 && !*name;
	struct xattr_place at = { .follow = !*name, .fd = open ? dirfd : -1 };
	struct mem_buf buf = { 0 };
	int rc = OK;
	ssize_t n;

	*out = NULL;
	*len = 0;
	if (open)
		at.path[0] = '\0';
	else if (dirfd == AT_FDCWD)
		snprintf(at.path, sizeof(at.path), "/proc/self/cwd/%s", name);
	else
		snprintf(at.path, sizeof(at.path), "/proc/self/fd/%d%s%s",
		    dirfd, *name ? "/" : "", name);
	n = xattr_names(&at, NULL, 0);
	if (n < 0 && errno == ENOENT && !open)
		rc = xattr_without_proc(&at, dirfd, name, mode, &n);
	if (rc == OK && n < 0 && !xattr_unseen(errno))
		rc = fail_io("cannot list attributes");
	if (rc == OK && n > 0)
		rc = xattr_all(&at, max, &buf);
	if (!open)
		fsys_close(at.fd);
	if (rc || buf.len == 0) {
		mem_buf_clear(&buf);
		return rc;
	}
	*out = buf.p;
	*len = buf.len;
	return OK;
}

uint32_t
fsys_flags(int fd)
{
	int flags = 0;

	if (ioctl(fd, FS_IOC_GETFLAGS, &flags))
		return 0;
	return (uint32_t)flags & FSYS_FLAGS_SETTABLE;
}

uint64_t
fsys_type(int fd)
{
	struct statfs s;

	return fstatfs(fd, &s) ? 0 : (uint64_t)(unsigned long)s.f_type;
}

int
fsys_user_name(uint32_t uid, char *buf, size_t cap)
{
	struct passwd pw, *found = NULL;
	char mem[OWNER_BUF];

	if (getpwuid_r(uid, &pw, mem, sizeof(mem), &found) || !found)
		pw.pw_name = mem, mem[0] = '\0';
	if ((size_t)snprintf(buf, cap, "%s", pw.pw_name) >= cap)
		buf[0] = '\0';
	return OK;
}

int
fsys_group_name(uint32_t gid, char *buf, size_t cap)
{
	struct group gr, *found = NULL;
	char mem[OWNER_BUF];

	if (getgrgid_r(gid, &gr, mem, sizeof(mem), &found) || !found)
		gr.gr_name = mem, mem[0] = '\0';
	if ((size_t)snprintf(buf, cap, "%s", gr.gr_name) >= cap)
		buf[0] = '\0';
	return OK;
}

bool
fsys_user_id(const char *name, uint32_t *uid)
{
	struct passwd pw, *found = NULL;
	char mem[OWNER_BUF];

	if (getpwnam_r(name, &pw, mem, sizeof(mem), &found) || !found)
		return false;
	*uid = pw.pw_uid;
	return true;
}

bool
fsys_group_id(const char *name, uint32_t *gid)
{
	struct group gr, *found = NULL;
	char mem[OWNER_BUF];

	if (getgrnam_r(name, &gr, mem, sizeof(mem), &found) || !found)
		return false;
	*gid = gr.gr_gid;
	return true;
}

/* Append the components of `path` to buf ("/a/b"), resolving "." and "..". */
static int
absolute_add(struct mem_buf *buf, const char *path)
{
	size_t len;
	int rc;

	for (;; path += len) {
		while (*path == '/')
			path++;
		len = strcspn(path, "/");
		if (len == 0)
			return OK;
		if (len == 1 && path[0] == '.')
			continue;
		if (len == 2 && path[0] == '.' && path[1] == '.') {
			while (buf->len > 0 && buf->p[--buf->len] != '/')
				continue;
			continue;
		}
		if ((rc = mem_buf_add(buf, "/", 1)) ||
		    (rc = mem_buf_add(buf, path, len)))
			return rc;
	}
}

int
fsys_absolute(const char *path, char **out)
{
	struct mem_buf buf = { 0 };
	char *cwd = NULL;
	int rc = OK;

	*out = NULL;
	if (!*path)
		return fail(ERR_USAGE, "an empty path");
	if (*path != '/') {
		if (!(cwd = getcwd(NULL, 0)))
			return fail_io("cannot find the current directory");
		rc = absolute_add(&buf, cwd);
	}
	if (rc == OK)
		rc = absolute_add(&buf, path);
	if (rc == OK && buf.len == 0)
		rc = mem_buf_add(&buf, "/", 1);
	if (rc == OK)
		rc = mem_buf_add(&buf, "", 1);
	free(cwd);
	if (rc)
		mem_buf_clear(&buf);
	*out = (char *)buf.p;
	return rc;
}

static bool
needs_kernel(const char *path)
{
	size_t len;

	for (;; path += len) {
		while (*path == '/') {
			if (path[1] == '\0')
				return true;
			path++;
		}
		len = strcspn(path, "/");
		if (len == 0)
			return false;
		if (len == 2 && path[0] == '.' && path[1] == '.')
			return true;
	}
}

int
fsys_resolve(const char *path, char **out)
{
	*out = NULL;
	if (!needs_kernel(path))
		return fsys_absolute(path, out);
	if ((*out = realpath(path, NULL)))
		return OK;
	if (errno == ENOENT)
		return fsys_absolute(path, out);        /* reported as missing when it is looked at */
	return fail_io("cannot resolve '%s'", path);
}

unsigned
fsys_files_most(void)
{
	struct rlimit l;

	return getrlimit(RLIMIT_NOFILE, &l) || l.rlim_cur > 1u << 20 ? 1u << 20 : (unsigned)l.rlim_cur;
}

void
fsys_raise_limits(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &l);
	}
}
