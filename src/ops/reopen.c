#include "ops/reopen.h"

#include <string.h>

#include "base/err.h"
#include "format/treenode.h"
#include "sys/fsys.h"
#include "sys/target.h"

int
reopen_above(int root_fd, const char *path, int *dirfd, const char **last)
{
	char name[TREENODE_NAME_MAX + 1];
	int fd = root_fd, next, rc = OK;
	const char *slash;
	size_t len;

	*dirfd = -1;
	while (*path == '/')
		path++;
	while (rc == OK && (slash = strchr(path, '/'))) {
		len = (size_t)(slash - path);
		if (len >= sizeof(name))
			rc = fail(ERR_FAILED, "a name is too long");
		else {
			memcpy(name, path, len);
			name[len] = '\0';
			rc = target_open_dir(fd, name, &next);
		}
		if (fd != root_fd)
			fsys_close(fd);
		fd = rc ? root_fd : next;
		path = slash + 1;
	}
	*last = path;
	if (rc == OK)
		*dirfd = fd;
	return rc;
}
