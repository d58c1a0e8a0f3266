#include "sys/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WAY (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* One component after the other, for kernels (and sandboxes) without openat2. */
static int
walk(int dirfd, const char *path, const char **base)
{
	int fd = dirfd, next;
	const char *slash;
	char part[256];

	while ((slash = strchr(path, '/'))) {
		size_t len = (size_t)(slash - path);

		if (len == 0 || len >= sizeof(part)) {
			beneath_close(dirfd, fd);
			errno = ENAMETOOLONG;
			return -1;
		}
		memcpy(part, path, len);
		part[len] = '\0';
		next = openat(fd, part, WAY);
		beneath_close(dirfd, fd);
		if (next < 0)
			return -1;
		fd = next;
		path = slash + 1;
	}
	*base = path;
	return fd;
}

int
beneath_open(int dirfd, const char *path, int flags, mode_t mode)
{
	struct open_how how = { .flags = (unsigned)flags, .mode = flags & O_CREAT ? mode : 0,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
	long fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
	const char *base;
	int dir;

	if (fd >= 0 || (errno != ENOSYS && errno != EPERM && errno != EAGAIN))
		return (int)fd;
	if ((dir = walk(dirfd, path, &base)) < 0)
		return -1;
	fd = openat(dir, base, flags | O_NOFOLLOW, mode);
	beneath_close(dirfd, dir);
	return (int)fd;
}

int
beneath_parent(int dirfd, const char *path, const char **base)
{
	return walk(dirfd, path, base);
}

void
beneath_close(int dirfd, int fd)
{
	int saved = errno;

	if (fd != dirfd && fd >= 0)
		close(fd);
	errno = saved;
}

bool
beneath_is_link(int dirfd, const char *path)
{
	struct stat st;
	const char *base;
	int saved = errno, dir = beneath_parent(dirfd, path, &base);
	bool yes = dir >= 0 && fstatat(dir, base, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(st.st_mode);

	beneath_close(dirfd, dir);
	errno = saved;
	return yes;
}
