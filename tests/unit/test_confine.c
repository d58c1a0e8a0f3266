/*
 * test_confine: what a confined process can still do, tried in a child each.  Lost if it failed: the second wall behind the parsers
 * that read what strangers wrote.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sys/confine.h"

static unsigned number;
static int failed;

static void
result(int ok, const char *what)
{
	failed |= !ok;
	printf("%sok %u - %s\n", ok ? "" : "not ", ++number, what);
	fflush(stdout);
}

/* The child's answer: its exit status. */
static int
in_child(int (*f)(const char *dir), const char *dir)
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(f(dir));
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int
refused(long r, int why)
{
	return r < 0 && errno == why;
}

static void *
nothing(void *arg)
{
	return arg;
}

/* 0, or the number of the first that is otherwise than it should be. */
static int
helper(const char *dir)
{
	char *const argv[] = { (char *)(uintptr_t)"true", NULL };
	char path[600];
	pthread_t t;
	int fd;

	confine_helper();
	if (!refused(socket(AF_INET, SOCK_STREAM, 0), EPERM) || !refused(socket(AF_UNIX, SOCK_STREAM, 0), EPERM))
		return 1;
	if (!refused(execv("/bin/true", argv), EPERM))
		return 2;
	if (!refused(fork(), EPERM))
		return 3;
	if (!refused(kill(getppid(), 0), EPERM))
		return 4;
	snprintf(path, sizeof(path), "%s/other", dir);
	if (!refused(rename("/etc/hostname", path), EPERM) || !refused(symlink("/", path), EPERM) ||
	    !refused(chmod(dir, 0777), EPERM) || !refused(truncate(dir, 0), EPERM))
		return 5;
	if (pthread_create(&t, NULL, nothing, NULL) || pthread_join(t, NULL))
		return 6;
	snprintf(path, sizeof(path), "%s/copy", dir);
	if ((fd = open(path, O_RDWR | O_CREAT, 0600)) < 0 || write(fd, "x", 1) != 1 || close(fd) || unlink(path))
		return 7;
	if (!refused(syscall(SYS_unshare, 0), EPERM) || !refused(syscall(SYS_ptrace, 0, 0, 0, 0), EPERM))
		return 8;
	return 0;
}

static int
writes(const char *dir)
{
	char inside[600], sub[600], outside[600], moved[600];
	const char *const allowed[] = { inside, NULL };
	int fd;

	snprintf(inside, sizeof(inside), "%s/in", dir);
	snprintf(outside, sizeof(outside), "%s/out/file", dir);
	snprintf(sub, sizeof(sub), "%s/in/file", dir);
	snprintf(moved, sizeof(moved), "%s/in/sub/file", dir);
	confine_writes(allowed, 2);
	if (!refused(open(outside, O_WRONLY), EACCES) || !refused(unlink(outside), EACCES))
		return 1;
	snprintf(outside, sizeof(outside), "%s/out/new", dir);
	if (!refused(open(outside, O_WRONLY | O_CREAT, 0600), EACCES) || !refused(mkdir(outside, 0700), EACCES) ||
	    !refused(symlink("x", outside), EACCES))
		return 2;
	if ((fd = open(sub, O_WRONLY | O_CREAT, 0600)) < 0 || ftruncate(fd, 10) || close(fd))
		return 3;
	snprintf(outside, sizeof(outside), "%s/in/sub", dir);
	if (mkdir(outside, 0700) || rename(sub, moved))
		return 4;
	snprintf(outside, sizeof(outside), "%s/out/moved", dir);
	if (rename(moved, outside) == 0 || link(moved, outside) == 0)
		return 5;
	snprintf(outside, sizeof(outside), "%s/out/file", dir);
	if ((fd = open(outside, O_RDONLY)) < 0 || close(fd))
		return 6;
	return unlink(moved) || rmdir(strcat(inside, "/sub")) ? 7 : 0;
}

static void
expect(int got, const char *what)
{
	char text[200];

	snprintf(text, sizeof(text), got ? "%s (step %d)" : "%s", what, got);
	result(got == 0, text);
}

int
main(void)
{
	/* Temporary directories are always allowed: what is to be refused must lie elsewhere. */
	char dir[] = "/dev/shm/varve-confine-XXXXXX", path[600];
	int fd, here = mkdtemp(dir) != NULL;
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	unsetenv("VARVE_CONFINE");
#if defined(__x86_64__) || defined(__aarch64__)
	expect(in_child(helper, "/tmp"), "the helper: no network, program, process or name");
#else
	printf("ok %u - the helper # SKIP no filter for this machine\n", ++number);
#endif
	setenv("TMPDIR", "/tmp", 1);
	if (!here || abi < 3) {
		printf("ok %u - writes # SKIP no Landlock\n", ++number);
	} else {
		snprintf(path, sizeof(path), "%s/in", dir);
		mkdir(path, 0700);
		snprintf(path, sizeof(path), "%s/out", dir);
		mkdir(path, 0700);
		snprintf(path, sizeof(path), "%s/out/file", dir);
		if ((fd = open(path, O_WRONLY | O_CREAT, 0600)) >= 0)
			close(fd);
		expect(in_child(writes, dir), "writes beneath what was named, and nowhere else");
		unlink(path);
		snprintf(path, sizeof(path), "%s/out", dir);
		rmdir(path);
		snprintf(path, sizeof(path), "%s/in", dir);
		rmdir(path);
	}
	if (here)
		rmdir(dir);
	printf("1..%u\n", number);
	return failed;
}
