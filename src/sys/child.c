#include "sys/child.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"

extern char **environ;

int
child_start(const char *command, pid_t *pid, int *fd)
{
	char sh[] = "sh", c[] = "-c";
	char *argv[] = { sh, c, (char *)(uintptr_t)command, NULL };
	posix_spawn_file_actions_t fa;
	int p[2], r;

	if (pipe2(p, O_CLOEXEC) < 0)
		return fail_io("cannot make a pipe");
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, p[1], 1);
	r = posix_spawn(pid, "/bin/sh", &fa, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	close(p[1]);
	if (r != 0) {
		close(p[0]);
		errno = r;
		return fail_io("cannot run '%s'", command);
	}
	*fd = p[0];
	return OK;
}

int
child_wait(pid_t pid, int fd)
{
	int status;

	close(fd);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return fail_io("cannot wait for the command");
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return OK;
	if (WIFEXITED(status))
		return fail(ERR_FAILED, "the command failed with exit status %d: no snapshot was made", WEXITSTATUS(status));
	return fail(ERR_FAILED, "the command was killed by signal %d: no snapshot was made", WTERMSIG(status));
}
