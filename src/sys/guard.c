#include "sys/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <sodium.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "sys/signals.h"

#define TICK_MS 250     /* a signal between a look and a wait costs this */

extern char **environ;

int
guard_buf_init(struct guard_buf *b, size_t cap)
{
	*b = (struct guard_buf){ .cap = cap };
	if (sodium_init() >= 0 && cap < SIZE_MAX)
		b->p = sodium_malloc(cap + 1);
	if (!b->p)
		return fail(ERR_NOMEM, "no guarded memory for secrets");
	memset(b->p, 0, cap + 1);
	return OK;
}

void
guard_buf_clear(struct guard_buf *b)
{
	sodium_free(b->p);
	*b = (struct guard_buf){ 0 };
}

void
guard_process(void)
{
	struct rlimit core;

	if (sodium_init() < 0)
		abort();
	(void)prctl(PR_SET_DUMPABLE, 0);
	if (getrlimit(RLIMIT_CORE, &core) == 0) {
		core.rlim_cur = 0;
		(void)setrlimit(RLIMIT_CORE, &core);
	}
}

/* Read to the end; one byte of the buffer's room says "too long". */
static int
read_all(int fd, struct guard_buf *b, const char *what)
{
	ssize_t n;
	int rc;

	while (b->len < b->cap) {
		n = read(fd, b->p + b->len, b->cap - b->len);
		if (n == 0)
			return OK;
		if (n < 0 && errno != EINTR)
			return fail_io("cannot read %s", what);
		if (n < 0 && (rc = signals_check()))
			return rc;
		if (n > 0)
			b->len += (size_t)n;
	}
	return fail(ERR_USAGE, "%s is longer than %zu bytes", what, b->cap - 1);
}

int
guard_read_file(const char *path, size_t max, struct guard_buf *out)
{
	bool standard = strcmp(path, "-") == 0;
	int rc, fd = STDIN_FILENO;

	if ((rc = guard_buf_init(out, max + 1)))
		return rc;
	if (!standard && (fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
		rc = fail_io("cannot open it");
	else
		rc = read_all(fd, out, standard ? "standard input" : "it");
	if (!standard && fd >= 0)
		close(fd);
	if (rc)
		guard_buf_clear(out);
	return standard ? rc : err_context(rc, "'%s'", path);
}

/* Start the shell with its output in *fd. */
static int
command_start(const char *command, pid_t *pid, int *fd)
{
	char *argv[] = { (char *)"sh", (char *)"-c", NULL, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t restore;
	int ends[2], err;

	*fd = -1;
	if (pipe2(ends, O_CLOEXEC) < 0)
		return fail_io("cannot make a pipe");
	argv[2] = (char *)command;
	/* SIGPIPE is ignored in this program; its children expect it. */
	sigemptyset(&restore);
	sigaddset(&restore, SIGPIPE);
	if ((err = posix_spawn_file_actions_init(&actions)) == 0) {
		if ((err = posix_spawnattr_init(&attr)) == 0) {
			if ((err = posix_spawn_file_actions_addopen(&actions, 0,
			    "/dev/null", O_RDONLY, 0)) == 0 &&
			    (err = posix_spawn_file_actions_adddup2(&actions,
			    ends[1], 1)) == 0 &&
			    (err = posix_spawnattr_setsigdefault(&attr,
			    &restore)) == 0 &&
			    (err = posix_spawnattr_setflags(&attr,
			    POSIX_SPAWN_SETSIGDEF)) == 0)
				err = posix_spawn(pid, "/bin/sh", &actions,
				    &attr, argv, environ);
			posix_spawnattr_destroy(&attr);
		}
		posix_spawn_file_actions_destroy(&actions);
	}
	close(ends[1]);
	*fd = ends[0];
	if (err == 0)
		return OK;
	close(ends[0]);
	errno = err;
	return fail_io("cannot start the shell");
}

int
guard_read_command(const char *command, size_t max, struct guard_buf *out)
{
	int rc, fd, status = 0;
	pid_t pid;

	if ((rc = guard_buf_init(out, max + 1)))
		return rc;
	if ((rc = command_start(command, &pid, &fd)))
		goto out;
	rc = read_all(fd, out, "its output");
	close(fd);
	if (rc)
		(void)kill(pid, SIGTERM);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (rc == OK && WIFSIGNALED(status))
		rc = fail(ERR_FAILED, "killed by signal %d", WTERMSIG(status));
	else if (rc == OK && WEXITSTATUS(status) != 0)
		rc = fail(ERR_FAILED, "exit status %d", WEXITSTATUS(status));
out:
	if (rc)
		guard_buf_clear(out);
	return rc;
}

int
guard_take_variable(const char *name, size_t max, struct guard_buf *out)
{
	char *value = getenv(name);
	size_t len = value ? strlen(value) : 0;
	int rc = OK;

	*out = (struct guard_buf){ 0 };
	if (len > max)
		rc = fail(ERR_USAGE, "%s is longer than %zu bytes", name, max);
	else if (value && (rc = guard_buf_init(out, len)) == OK) {
		memcpy(out->p, value, len);
		out->len = len;
		rc = FOUND;
	}
	if (value) {
		sodium_memzero(value, len);
		(void)unsetenv(name);
	}
	return rc;
}

/* Read up to the end of the line; what does not fit is thrown away. */
static int
read_line(int fd, struct guard_buf *b, bool *too_long)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	uint8_t c = 0;
	ssize_t n;
	int rc = OK;

	*too_long = false;
	for (;;) {
		if ((rc = signals_check()))
			break;
		if (poll(&ready, 1, TICK_MS) <= 0)
			continue;
		n = read(fd, &c, 1);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			rc = fail_io("cannot read from the terminal");
		if (n <= 0 || c == '\n')
			break;
		if (b->len < b->cap)
			b->p[b->len++] = c;
		else
			*too_long = true;
	}
	sodium_memzero(&c, sizeof(c));
	return rc;
}

/* The keys for quitting and stopping would leave the echo off. */
static void
echo_off(struct termios *t)
{
	t->c_lflag &= ~(tcflag_t)(ECHO | ECHOE | ECHOK | ECHONL);
	t->c_lflag |= ICANON | ISIG;
	t->c_cc[VQUIT] = _POSIX_VDISABLE;
	t->c_cc[VSUSP] = _POSIX_VDISABLE;
}

static int
write_all(int fd, const char *p, size_t len)
{
	ssize_t n;

	while (len > 0) {
		n = write(fd, p, len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fail_io("cannot write");
		p += n;
		len -= (size_t)n;
	}
	return OK;
}

int
guard_ask(const char *prompt, size_t max, struct guard_buf *out)
{
	struct termios before, silent;
	bool too_long;
	int rc, fd;

	*out = (struct guard_buf){ 0 };
	fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || tcgetattr(fd, &before) < 0) {
		rc = fail(ERR_ABSENT, "there is no terminal to ask on");
		goto out;
	}
	if ((rc = guard_buf_init(out, max)))
		goto out;
	silent = before;
	echo_off(&silent);
	if (tcsetattr(fd, TCSAFLUSH, &silent) < 0) {
		rc = fail_io("cannot turn the terminal's echo off");
		goto out;
	}
	rc = write_all(fd, prompt, strlen(prompt));
	if (rc == OK)
		rc = read_line(fd, out, &too_long);
	(void)tcsetattr(fd, TCSAFLUSH, &before);
	if (rc == OK && too_long)
		rc = fail(ERR_USAGE, "that is longer than %zu bytes", max);
	if (write(fd, "\n", 1) < 0 && rc == OK)
		rc = fail_io("cannot write to the terminal");
out:
	if (fd >= 0)
		close(fd);
	if (rc)
		guard_buf_clear(out);
	return rc;
}

int
guard_print(const char *text, size_t len)
{
	return err_context(write_all(STDOUT_FILENO, text, len),
	    "standard output");
}

int
guard_create_file(const char *path, const uint8_t *p, size_t len)
{
	int rc, fd;

	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
	    0600);
	if (fd < 0)
		return fail_io("cannot create '%s'", path);
	rc = write_all(fd, (const char *)p, len);
	if (rc == OK && fsync(fd) < 0)
		rc = fail_io("cannot sync");
	if (close(fd) < 0 && rc == OK)
		rc = fail_io("cannot close");
	rc = err_context(rc, "'%s'", path);
	if (rc == OK)
		rc = guard_sync_parent(path);
	if (rc)
		(void)unlink(path);
	return rc;
}

void
guard_discard_file(const char *path)
{
	(void)unlink(path);
}

bool
guard_is_exposed(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	    (st.st_mode & 0077) != 0;
}

bool
guard_is_beneath(const char *file, const char *dir)
{
	char *copy = NULL, *above = NULL, *below = NULL;
	bool yes = false;
	size_t len;

	if (mem_dup(&copy, file))
		return false;
	above = realpath(dir, NULL);
	below = realpath(file, NULL);
	if (!below)
		below = realpath(dirname(copy), NULL);
	if (above && below) {
		len = strlen(above);
		yes = strcmp(above, "/") == 0 ||
		    (strncmp(above, below, len) == 0 &&
		    (below[len] == '/' || below[len] == '\0'));
	}
	free(copy);
	free(above);
	free(below);
	return yes;
}

int
guard_sync_parent(const char *path)
{
	char *copy;
	int rc, fd;

	if ((rc = mem_dup(&copy, path)))
		return rc;
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		rc = fail_io("cannot open the directory of '%s'", path);
	else if (fsync(fd) < 0)
		rc = fail_io("cannot sync the directory of '%s'", path);
	if (fd >= 0)
		close(fd);
	free(copy);
	return rc;
}
