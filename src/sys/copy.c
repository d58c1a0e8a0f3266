#include "sys/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "sys/fsys.h"

#define PIECE (256u << 10)

int
copy_private_dir(char **path, int *fd)
{
	const char *tmp = getenv("TMPDIR");
	char name[4096];
	int rc;

	*path = NULL;
	*fd = -1;
	snprintf(name, sizeof(name), "%s/varve-db-XXXXXX", tmp && *tmp == '/' ? tmp : "/var/tmp");
	if (!mkdtemp(name))
		return fail_io("cannot make a directory for a copy");
	*fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	rc = *fd < 0 ? fail_io("cannot open '%s'", name) : mem_dup(path, name);
	if (rc)
		rmdir(name);
	return rc;
}

void
copy_remove_dir(const char *path)
{
	struct fsys_names n;
	int fd;

	if (!path || (fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
		return;
	if (fsys_list(fd, &n) == OK) {
		for (size_t i = 0; i < n.count; i++)
			unlinkat(fd, n.name[i], 0);
		fsys_names_clear(&n);
	}
	close(fd);
	rmdir(path);
}

int
copy_room(int fd, uint64_t *bytes)
{
	struct statvfs st;

	if (fstatvfs(fd, &st))
		return fail_io("cannot ask for free space");
	*bytes = (uint64_t)st.f_bavail * st.f_frsize;
	return OK;
}

static int
copy_bytes(int in, int out)
{
	uint8_t *buf;
	uint64_t off = 0;
	size_t got;
	int rc;

	if ((rc = mem_new((void **)&buf, PIECE)))
		return rc;
	while ((rc = fsys_read_at(in, off, buf, PIECE, &got)) == OK && got) {
		for (size_t done = 0; rc == OK && done < got;) {
			ssize_t n = pwrite(out, buf + done, got - done, (off_t)(off + done));

			if (n < 0 && errno != EINTR)
				rc = fail_io("cannot write a private copy");
			done += n > 0 ? (size_t)n : 0;
		}
		if (rc)
			break;
		off += got;
	}
	free(buf);
	return rc;
}

int
copy_file(int dirfd, const char *name, int to, const char *as)
{
	int in, out, rc;

	if ((rc = fsys_open_file(dirfd, name, &in)))
		return rc;
	out = openat(to, as, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (out < 0)
		rc = fail_io("cannot make a private copy");
	else if (ioctl(out, FICLONE, in) < 0)
		rc = copy_bytes(in, out);
	if (out >= 0)
		close(out);
	fsys_close(in);
	return rc;
}

bool
copy_is_locked(int fd, uint64_t off, uint64_t len)
{
	struct flock l = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = (off_t)off, .l_len = (off_t)len };

	return fcntl(fd, F_GETLK, &l) == 0 && l.l_type != F_UNLCK;
}
