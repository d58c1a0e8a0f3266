#include "sys/state.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"

#define PATH_CAP STATE_PATH

/* The directory; false when there is none. */
static bool
directory(char out[static PATH_CAP])
{
	const char *dir = getenv("VARVE_STATE_DIR"), *xdg = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	int n;

	if (dir)
		n = snprintf(out, PATH_CAP, "%s", dir);
	else if (xdg && xdg[0] == '/')
		n = snprintf(out, PATH_CAP, "%s/varve", xdg);
	else if (home && home[0] == '/')
		n = snprintf(out, PATH_CAP, "%s/.local/state/varve", home);
	else
		return false;
	return n > 0 && n < PATH_CAP - 64;
}

static int
read_all(int fd, char **text)
{
	size_t len = 0;
	ssize_t n = 1;
	char *buf;
	int rc = mem_new((void **)&buf, STATE_MAX + 1);

	while (rc == OK && n > 0 && len < STATE_MAX) {
		n = read(fd, buf + len, STATE_MAX - len);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n < 0)
			rc = fail_io("cannot read the state file");
		else
			len += (size_t)n;
	}
	if (rc == OK)
		*text = buf;
	else
		free(buf);
	return rc;
}

int
state_read(const char *name, char **text)
{
	char path[PATH_CAP];
	size_t n;
	int fd, rc;

	*text = NULL;
	if (!directory(path))
		return OK;
	n = strlen(path);
	snprintf(path + n, PATH_CAP - n, "/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? OK : fail_io("cannot open '%s'", path);
	rc = read_all(fd, text);
	close(fd);
	return rc;
}

/* The directory and those above it. */
static int
make_dirs(char *path)
{
	for (char *s = path + 1;; s++) {
		char was = *s;

		if (was != '/' && was != 0)
			continue;
		*s = 0;
		if (mkdir(path, 0700) < 0 && errno != EEXIST)
			return fail_io("cannot make '%s'", path);
		*s = was;
		if (was == 0)
			return OK;
	}
}

static int
write_all(int fd, const char *text)
{
	size_t left = strlen(text);

	while (left > 0) {
		ssize_t n = write(fd, text, left);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_io("cannot write the state file");
		text += n;
		left -= (size_t)n;
	}
	return fsync(fd) < 0 ? fail_io("cannot sync the state file") : OK;
}

bool
state_directory(char path[static STATE_PATH])
{
	return directory(path) && make_dirs(path) == OK;
}

int
state_write(const char *name, const char *text)
{
	char path[PATH_CAP], tmp[PATH_CAP + 32];
	size_t n;
	int fd, rc;

	if (!directory(path))
		return OK;
	if ((rc = make_dirs(path)))
		return rc;
	n = strlen(path);
	snprintf(path + n, PATH_CAP - n, "/%s", name);
	snprintf(tmp, sizeof(tmp), "%s.%ld.tmp", path, (long)getpid());
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fail_io("cannot create '%s'", tmp);
	rc = write_all(fd, text);
	if (close(fd) < 0 && rc == OK)
		rc = fail_io("cannot close '%s'", tmp);
	if (rc == OK && rename(tmp, path) < 0)
		rc = fail_io("cannot rename '%s'", tmp);
	if (rc)
		unlink(tmp);
	return rc;
}
