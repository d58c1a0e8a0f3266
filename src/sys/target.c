/*
 * The system calls of a restore.  openat2() lets the kernel promise that a
 * name does not lead out; where it is missing or forbidden, one component with
 * O_NOFOLLOW | O_DIRECTORY is as safe, since names have no "/" and are not
 * "..".
 *
 * Metadata: owner first (chown clears setuid and capabilities), then
 * attributes (while the file is still writable), mode, times, and flags last,
 * since an immutable file takes nothing more.
 */
#include "sys/target.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "format/treenode.h"
#include "sys/fsys.h"

#define DEPTH_MAX 4096
#define ACL_DEFAULT "system.posix_acl_default"
#define FLAGS_OF_ROOT (TARGET_FLAGS_LOCKING | FS_JOURNAL_DATA_FL)

int
target_open_dir(int dirfd, const char *name, int *fd)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	struct open_how how = {
		.flags = (uint64_t)flags,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS |
		    RESOLVE_NO_MAGICLINKS,
	};

	*fd = (int)syscall(SYS_openat2, dirfd, name, &how, sizeof(how));
	if (*fd < 0 && (errno == ENOSYS || errno == EPERM || errno == EAGAIN))
		*fd = openat(dirfd, name, flags);
	return *fd < 0 ? fail_io("cannot open directory") : OK;
}

int
target_make_dir(int dirfd, const char *name)
{
	return mkdirat(dirfd, name, 0700) ?
	    fail_io("cannot make directory") : OK;
}

/* Where in path the part begins that is not there; path is changed meanwhile.  *link: that is a link to nothing. */
static char *
first_missing(char *path, bool *link)
{
	char *at = path + strspn(path, "/"), *end, c;
	struct stat st;
	bool there = true;

	while (*at) {
		end = at + strcspn(at, "/");
		c = *end;
		*end = '\0';
		there = stat(path, &st) == 0;
		*link = !there && lstat(path, &st) == 0;
		*end = c;
		if (!there)
			break;
		at = end + strspn(end, "/");
	}
	return at;
}

/* The component at `at`, without the slashes and "." that may follow it; *next: what comes then. */
static size_t
component(const char *at, const char **next)
{
	size_t len = strcspn(at, "/");

	*next = at + len;
	do
		*next += strspn(*next, "/");
	while ((*next)[0] == '.' && ((*next)[1] == '/' || !(*next)[1]) && *++*next);
	return len;
}

/* Where "..", after what is not there, would lead nobody can say. */
static bool
leads_back(const char *at)
{
	for (const char *next; *at; at = next)
		if (component(at, &next) == 2 && memcmp(at, "..", 2) == 0)
			return true;
	return false;
}

/* Make the directories of path from `at` on, as the kernel finds them; *made: the last one is ours. */
static int
make_missing(char *path, char *at, uint32_t mode, bool *made)
{
	const char *next;
	char *end, c;
	int r;

	for (; *at; at = path + (next - path)) {
		end = at + component(at, &next);
		c = *end;
		*end = '\0';
		r = mkdir(path, *next ? 0777 : (mode_t)mode);
		if (r && errno != EEXIST)
			return fail_io("cannot make directory '%s'", path);
		*end = c;
		*made = r == 0;
	}
	return OK;
}

int
target_open_root(const char *path, uint32_t mode, bool dry, int *fd,
    bool *made)
{
	const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	bool link = false;
	char *copy, *at;
	int rc;

	*made = false;
	*fd = open(path, flags);
	if (*fd >= 0)
		return OK;
	if (errno != ENOENT)
		return fail_io("cannot open directory '%s'", path);
	if ((rc = mem_dup(&copy, path)))
		return rc;
	at = first_missing(copy, &link);
	if (link)
		rc = fail(ERR_FAILED, "cannot open directory '%s': it is, or leads through, a symbolic link to nothing", path);
	else if (leads_back(at))
		rc = fail(ERR_USAGE, "cannot make directory '%s': '..' comes after what is not there", path);
	else if (dry)
		*made = true;
	else if ((rc = make_missing(copy, at, mode, made)) == OK && (*fd = open(path, flags)) < 0)
		rc = fail_io("cannot open directory '%s'", path);
	free(copy);
	return rc;
}

void
target_temp_name(uint64_t *seed, char name[static TARGET_TEMP_MAX])
{
	snprintf(name, TARGET_TEMP_MAX, ".varve-%016llx.tmp",
	    (unsigned long long)(*seed)++);
}

bool
target_is_temp_name(const char *name)
{
	const size_t head = strlen(".varve-"), digits = 16;

	return strncmp(name, ".varve-", head) == 0 &&
	    strspn(name + head, "0123456789abcdef") == digits &&
	    strcmp(name + head + digits, ".tmp") == 0;
}

int
target_create(int dirfd, const char *name, uint32_t mode, int *fd)
{
	*fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW |
	    O_CLOEXEC, (mode_t)mode);
	return *fd < 0 ? fail_io("cannot create") : OK;
}

int
target_close(int fd)
{
	return close(fd) && errno != EINTR ? fail_io("cannot write") : OK;
}

bool
target_in_use(int fd)
{
	struct flock any = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	if (fcntl(fd, F_SETLEASE, F_WRLCK) == 0) {
		(void)fcntl(fd, F_SETLEASE, F_UNLCK);
		return false;
	}
	if (errno == EAGAIN || errno == EACCES)
		return true;            /* EACCES: the file is somebody else's */
	return fcntl(fd, F_GETLK, &any) == 0 && any.l_type != F_UNLCK;
}

int
target_sync(int fd)
{
	/* Some file systems cannot do that to a directory. */
	if (fsync(fd) && (errno != EINVAL || syncfs(fd)))
		return fail_io("cannot sync");
	return OK;
}

int
target_sync_name(int dirfd, const char *name)
{
	int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK |
	    O_NOCTTY | O_CLOEXEC);
	int r = fd >= 0 ? fsync(fd) : syncfs(dirfd);
	int rc = r ? fail_io("cannot sync") : OK;

	if (fd >= 0)
		(void)close(fd);
	return rc;
}

void
target_drop(int dirfd, const char *name)
{
	(void)unlinkat(dirfd, name, 0);
}

uint32_t
target_user(void)
{
	return geteuid();
}

int
target_write_at(int fd, uint64_t off, const void *p, size_t len)
{
	const uint8_t *from = p;
	ssize_t n;

	while (len > 0) {
		n = pwrite(fd, from, len, (off_t)off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_io("cannot write");
		from += n;
		off += (uint64_t)n;
		len -= (size_t)n;
	}
	return OK;
}

int
target_set_size(int fd, uint64_t size)
{
	int r;

	do
		r = ftruncate(fd, (off_t)size);
	while (r < 0 && errno == EINTR);
	return r ? fail_io("cannot set the size") : OK;
}

int
target_symlink(int dirfd, const char *name, const char *text)
{
	return symlinkat(text, dirfd, name) ? fail_io("cannot make link") : OK;
}

int
target_make_node(int dirfd, const char *name, uint32_t type, uint32_t major,
    uint32_t minor)
{
	return mknodat(dirfd, name, type | 0600, makedev(major, minor)) ?
	    fail_io("cannot make special file") : OK;
}

int
target_link(int from_dirfd, const char *from, int dirfd, const char *name)
{
	return linkat(from_dirfd, from, dirfd, name, 0) ?
	    fail_io("cannot make hard link") : OK;
}

int
target_rename(int dirfd, const char *from, const char *to)
{
	return renameat(dirfd, from, dirfd, to) ?
	    fail_io("cannot rename into place") : OK;
}

int
target_unlink(int dirfd, const char *name)
{
	return unlinkat(dirfd, name, 0) ? fail_io("cannot remove") : OK;
}

bool
target_is_repository(const struct fsys_names *names)
{
	for (size_t i = 0; i < names->count; i++)
		if (strcmp(names->name[i], TARGET_REPOSITORY) == 0)
			return true;
	return false;
}

struct removal {
	uint64_t dev;                   /* nothing of another file system */
	bool dry;                       /* only count */
	uint64_t *count;
};

static int remove_any(int dirfd, const char *name, unsigned depth,
    const struct removal *r);

static int
remove_inside(int fd, unsigned depth, const struct removal *r)
{
	struct fsys_names names;
	int rc = fsys_list(fd, &names), one;

	if (rc)
		return rc;
	if (target_is_repository(&names)) {
		rc = fail(ERR_FAILED, "cannot remove a repository");
		goto out;
	}
	for (size_t i = 0; i < names.count; i++) {
		one = remove_any(fd, names.name[i], depth, r);
		rc = rc ? rc : one;
	}
out:
	fsys_names_clear(&names);
	return rc;
}

/* Recursion: one small frame a level, bounded by DEPTH_MAX. */
static int
remove_any(int dirfd, const char *name, unsigned depth,
    const struct removal *r)
{
	struct fsys_stat st;
	int fd, rc;

	if ((rc = fsys_stat(dirfd, name, &st)))
		return rc == ERR_ABSENT ? OK : rc;
	if (!S_ISDIR(st.mode)) {
		rc = r->dry ? OK : target_unlink(dirfd, name);
		*r->count += rc == OK;
		return rc;
	}
	if (st.mount_root || st.dev != r->dev)
		return fail(ERR_FAILED, "cannot remove: a mount point");
	if (depth >= DEPTH_MAX)
		return fail(ERR_FAILED, "cannot remove: too deep");
	if ((rc = target_open_dir(dirfd, name, &fd)))
		return rc;
	rc = remove_inside(fd, depth + 1, r);
	fsys_close(fd);
	if (rc == OK && !r->dry && unlinkat(dirfd, name, AT_REMOVEDIR))
		rc = fail_io("cannot remove directory");
	*r->count += rc == OK;
	return rc;
}

int
target_remove(int dirfd, const char *name, bool dry, uint64_t *count)
{
	struct fsys_stat st;
	int rc = fsys_stat(dirfd, "", &st);

	return rc ? rc : remove_any(dirfd, name, 0,
	    &(struct removal){ st.dev, dry, count });
}

bool
target_has_default_acl(int fd)
{
	return fgetxattr(fd, ACL_DEFAULT, NULL, 0) > 0;
}

int
target_drop_default_acl(int fd)
{
	return fremovexattr(fd, ACL_DEFAULT) && errno != ENODATA &&
	    errno != ENOTSUP ? fail_io("cannot drop the default ACL") : OK;
}

void
target_flush(int fd)
{
	(void)syncfs(fd);
}

void
target_forget(int fd)
{
	(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}

static int
set_owner(const struct target_place *at, uint32_t uid, uint32_t gid)
{
	int r = at->fd >= 0 ? fchown(at->fd, uid, gid) :
	    fchownat(at->dirfd, at->name, uid, gid, AT_SYMLINK_NOFOLLOW);

	return r ? fail_io("cannot set owner") : OK;
}

static int
set_mode(const struct target_place *at, uint32_t mode)
{
	int r = at->fd >= 0 ? fchmod(at->fd, mode) :
	    fchmodat(at->dirfd, at->name, mode, AT_SYMLINK_NOFOLLOW);

	return r ? fail_io("cannot set mode") : OK;
}

static int
set_times(const struct target_place *at, const struct target_meta *want)
{
	struct timespec t[2] = { { .tv_nsec = UTIME_OMIT },
	    { .tv_sec = want->mtime, .tv_nsec = want->mtime_ns } };
	int r = at->fd >= 0 ? futimens(at->fd, t) :
	    utimensat(at->dirfd, at->name, t, AT_SYMLINK_NOFOLLOW);

	return r ? fail_io("cannot set times") : OK;
}

static int
set_flags(int fd, uint32_t flags)
{
	int now = 0;

	if (ioctl(fd, FS_IOC_GETFLAGS, &now))
		return fail_io("cannot set file flags");
	now = (int)(((uint32_t)now & ~(uint32_t)FSYS_FLAGS_SETTABLE) | flags);
	return ioctl(fd, FS_IOC_SETFLAGS, &now) ?
	    fail_io("cannot set file flags") : OK;
}

static int
change_flags(int dirfd, const char *name, uint32_t add, uint32_t drop)
{
	int fd, rc = fsys_open_file(dirfd, name, &fd);

	if (rc == OK)
		rc = set_flags(fd, (fsys_flags(fd) | add) & ~drop);
	fsys_close(fd);
	return rc;
}

int
target_add_flags(int dirfd, const char *name, uint32_t flags)
{
	return change_flags(dirfd, name, flags & FSYS_FLAGS_SETTABLE, 0);
}

int
target_unlock(int dirfd, const char *name)
{
	return change_flags(dirfd, name, 0, TARGET_FLAGS_LOCKING);
}

static bool
has_prefix(const struct treenode_xattr *x, const char *prefix)
{
	size_t len = strlen(prefix);

	return x->name_len >= len && memcmp(x->name, prefix, len) == 0;
}

static bool
xattr_for_all(const struct treenode_xattr *x)
{
	return has_prefix(x, "user.") || has_prefix(x, "system.posix_acl_");
}

/* Labels that the kernel gives to every file itself. */
static bool
xattr_of_kernel(const struct treenode_xattr *x)
{
	return has_prefix(x, "security.selinux") ||
	    has_prefix(x, "security.SMACK64") ||
	    has_prefix(x, "security.evm") || has_prefix(x, "security.ima");
}

static int
xattr_call(const struct target_place *at, const char *name,
    const struct treenode_xattr *x, bool drop)
{
	char path[sizeof("/proc/self/fd/2147483648/") + 256];

	if (at->fd >= 0)
		return drop ? fremovexattr(at->fd, name) :
		    fsetxattr(at->fd, name, x->value, x->value_len, 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", at->dirfd,
	    at->name);
	return drop ? lremovexattr(path, name) :
	    lsetxattr(path, name, x->value, x->value_len, 0);
}

/*
 * Set or drop one.  The owner of a read-only file must make it writable first;
 * the mode is set again afterwards.
 */
static int
xattr_put(const struct target_place *at, const struct treenode_xattr *x,
    bool drop)
{
	char name[XATTR_NAME_MAX + 1];

	if (x->name_len > XATTR_NAME_MAX)
		return fail(ERR_FAILED, "an attribute's name is too long");
	memcpy(name, x->name, x->name_len);
	name[x->name_len] = '\0';
	if (xattr_call(at, name, x, drop) == 0)
		return OK;
	if (errno == EACCES && !at->root && set_mode(at, 0700) == OK &&
	    xattr_call(at, name, x, drop) == 0)
		return OK;
	return fail_io("cannot %s attribute '%s'", drop ? "remove" : "set",
	    name);
}

/* Order of two positions in lists sorted by name; the end comes last. */
static int
xattr_order(const struct treenode_xattr *a, bool more_a,
    const struct treenode_xattr *b, bool more_b)
{
	if (!more_a || !more_b)
		return more_a ? -1 : 1;
	return treenode_name_cmp(a->name, a->name_len, b->name, b->name_len);
}

static int
xattrs_merge(const struct target_place *at, struct cursor *now,
    struct cursor *want, bool *changed)
{
	struct treenode_xattr n, w;
	bool more_n = treenode_xattr_next(now, &n);
	bool more_w = treenode_xattr_next(want, &w);
	int rc = OK, one, d;

	while (more_n || more_w) {
		d = xattr_order(&n, more_n, &w, more_w);
		const struct treenode_xattr *x = d < 0 ? &n : &w;
		bool skip = !at->root && !xattr_for_all(x);

		if (d < 0)
			skip |= xattr_of_kernel(x);
		else if (d == 0)
			skip |= n.value_len == w.value_len &&
			    memcmp(n.value, w.value, w.value_len) == 0;
		if (!skip) {
			*changed = true;
			one = at->dry ? OK : xattr_put(at, x, d < 0);
			rc = rc ? rc : one;
		}
		if (d <= 0)
			more_n = treenode_xattr_next(now, &n);
		if (d >= 0)
			more_w = treenode_xattr_next(want, &w);
	}
	return rc;
}

static int
xattrs_fix(const struct target_place *at, uint32_t mode,
    const struct target_meta *want, bool *changed)
{
	struct cursor now, goal;
	uint8_t *p = NULL;
	size_t len = 0;
	int rc = OK;

	if (at->bare && want->xattrs_len == 0)
		return OK;
	if (!at->bare)
		rc = at->fd >= 0 ?
		    fsys_xattrs(at->fd, "", mode, SIZE_MAX, &p, &len) :
		    fsys_xattrs(at->dirfd, at->name, mode, SIZE_MAX, &p, &len);
	if (rc)
		return rc;
	if (len != want->xattrs_len ||
	    (len && memcmp(p, want->xattrs, len) != 0)) {
		cursor_init(&now, p, len);
		cursor_init(&goal, want->xattrs, want->xattrs_len);
		rc = xattrs_merge(at, &now, &goal, changed);
	}
	free(p);
	return rc;
}

/* What of the flags can be set here, and what they are now. */
struct flags {
	uint32_t now, want;
};

static struct flags
flags_look(const struct target_place *at, const struct fsys_stat *st,
    const struct target_meta *want)
{
	struct flags f = { 0, want->flags & FSYS_FLAGS_SETTABLE };

	if (at->fd < 0 || (!S_ISREG(st->mode) && !S_ISDIR(st->mode)) ||
	    want->only_access)
		return (struct flags){ 0, 0 };
	if (!at->bare || f.want)
		f.now = fsys_flags(at->fd);
	if (!at->root)
		f.want = (f.want & ~(uint32_t)FLAGS_OF_ROOT) |
		    (f.now & FLAGS_OF_ROOT);
	return f;
}

/* The mode to have once the owner is what it will be. */
static uint32_t
mode_allowed(const struct fsys_stat *st, const struct target_meta *want,
    bool owner_set)
{
	uint32_t mode = want->mode & 07777;

	if (!owner_set && st->uid != want->uid)
		mode &= ~(uint32_t)S_ISUID;
	if (!owner_set && st->gid != want->gid)
		mode &= ~(uint32_t)S_ISGID;
	return mode;
}

int
target_fix(const struct target_place *at, const struct fsys_stat *st,
    const struct target_meta *want, bool *changed)
{
	bool owner = at->root && (st->uid != want->uid || st->gid != want->gid);
	bool times = !want->only_access && (st->mtime != want->mtime ||
	    st->mtime_ns != want->mtime_ns);
	bool link = S_ISLNK(st->mode), attrs = false, access;
	struct flags flags = flags_look(at, st, want);
	uint32_t mode;
	int rc = OK, one;

	access = !link && (want->mode & 07777) != (st->mode & 07777);
	if (!at->dry && (flags.now & TARGET_FLAGS_LOCKING) &&
	    (owner || times || access || flags.now != flags.want)) {
		flags.now &= ~(uint32_t)TARGET_FLAGS_LOCKING;
		rc = set_flags(at->fd, flags.now);
		*changed = true;
	}
	if (owner) {
		one = at->dry ? OK : set_owner(at, want->uid, want->gid);
		owner = one == OK;
		*changed = true;
		rc = rc ? rc : one;
	}
	if (!want->only_access) {
		one = xattrs_fix(at, st->mode, want, &attrs);
		*changed |= attrs;
		rc = rc ? rc : one;
	}
	mode = mode_allowed(st, want, owner);
	access = !link && mode != (st->mode & 07777);
	*changed |= access || times || flags.now != flags.want;
	if (at->dry)
		return rc;
	if (access || (!link && (owner || attrs))) {
		one = set_mode(at, mode);
		rc = rc ? rc : one;
	}
	if (times) {
		one = set_times(at, want);
		rc = rc ? rc : one;
	}
	if (flags.now != flags.want) {
		one = set_flags(at->fd, flags.want);
		rc = rc ? rc : one;
	}
	return rc;
}
