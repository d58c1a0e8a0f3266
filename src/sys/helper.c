#include "sys/helper.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "sys/clock.h"
#include "sys/signals.h"

#define SOCKET 3
#define SHARED 4
#define HIGH 10                         /* where nothing is in the way of 3 and 4 */
#define PATIENCE_NS INT64_C(5000000000)

extern char **environ;

/* The environment without the variables that hold or name a secret. */
static int
clean_environment(char ***out)
{
	size_t n = 0, used = 0;
	int rc;

	while (environ[n])
		n++;
	if ((rc = mem_new((void **)out, mem_array(n + 1, sizeof(char *)))))
		return rc;
	for (size_t i = 0; i < n; i++)
		if (strncmp(environ[i], "VARVE_", 6) != 0)
			(*out)[used++] = environ[i];
	return OK;
}

static int
spawn(struct helper *h, const char *program, const char *arg, int sock, int shared)
{
	char name[] = "varve", *argv[] = { name, (char *)(uintptr_t)arg, NULL }, **env;
	posix_spawn_file_actions_t fa;
	int r, rc;

	if ((rc = clean_environment(&env)))
		return rc;
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&fa, 1, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&fa, sock, SOCKET);
	posix_spawn_file_actions_adddup2(&fa, shared, SHARED);
	r = posix_spawn(&h->pid, program, &fa, NULL, argv, env);
	posix_spawn_file_actions_destroy(&fa);
	free(env);
	if (r == 0)
		return OK;
	h->pid = 0;
	errno = r;
	return fail_io("cannot start the database helper");
}

static int
map(struct helper *h, int fd, size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		return fail_io("cannot map shared memory");
	h->shared = p;
	h->shared_len = len;
	return OK;
}

static int
raise_fd(int *fd)
{
	int high = fcntl(*fd, F_DUPFD_CLOEXEC, HIGH);

	if (high < 0)
		return fail_io("cannot duplicate a descriptor");
	close(*fd);
	*fd = high;
	return OK;
}

int
helper_start(struct helper *h, const char *program, const char *arg, size_t shared_len)
{
	int pair[2] = { -1, -1 }, mem = -1, rc;

	*h = (struct helper){ .sock = -1 };
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return fail_io("cannot make a socket");
	h->sock = pair[0];
	mem = memfd_create("varve pages", MFD_CLOEXEC);
	if (mem < 0 || ftruncate(mem, (off_t)shared_len) < 0)
		rc = fail_io("cannot make shared memory");
	else if ((rc = raise_fd(&pair[1])) == OK && (rc = raise_fd(&mem)) == OK && (rc = map(h, mem, shared_len)) == OK)
		rc = spawn(h, program, arg, pair[1], mem);
	close(pair[1]);
	if (mem >= 0)
		close(mem);
	if (rc)
		helper_stop(h);
	return rc;
}

/* It hears of the closed socket and cleans up; one that is stopped, or stuck, must not keep us. */
static void
leave_or_kill(pid_t pid)
{
	int64_t until = clock_steady_ns() + PATIENCE_NS, left = PATIENCE_NS;
	struct pollfd p = { .fd = pidfd_open(pid, 0), .events = POLLIN };
	int n = -1;

	while (p.fd >= 0 && left > 0 && (n = poll(&p, 1, (int)(left / 1000000) + 1)) < 0 && errno == EINTR)
		left = until - clock_steady_ns();
	if (p.fd >= 0 && n <= 0)
		kill(pid, SIGKILL);
	if (p.fd >= 0)
		close(p.fd);
}

void
helper_stop(struct helper *h)
{
	if (h->sock >= 0)
		close(h->sock);
	h->sock = -1;
	if (h->shared)
		munmap(h->shared, h->shared_len);
	h->shared = NULL;
	if (h->pid > 0)
		leave_or_kill(h->pid);
	while (h->pid > 0 && waitpid(h->pid, NULL, 0) < 0 && errno == EINTR)
		;
	h->pid = 0;
}

int
helper_enter(struct helper *h, size_t shared_len)
{
	int rc;

	*h = (struct helper){ .sock = SOCKET };
	/* Who is stopped at the keyboard closes the socket: then it is time to clean up and go. */
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_NAME, "varve-sqlite");
	close_range(SHARED + 1, ~0u, 0);
	fcntl(SOCKET, F_SETFD, FD_CLOEXEC);
	rc = map(h, SHARED, shared_len);
	close(SHARED);
	return rc;
}

int
helper_send(int sock, const void *p, size_t len, int fd)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} c = { .room = { 0 } };
	struct iovec v = { .iov_base = (void *)(uintptr_t)p, .iov_len = len };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1 };

	if (fd >= 0) {
		m.msg_control = c.room;
		m.msg_controllen = sizeof(c.room);
		c.head.cmsg_level = SOL_SOCKET;
		c.head.cmsg_type = SCM_RIGHTS;
		c.head.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&c.head), &fd, sizeof(fd));
	}
	while (sendmsg(sock, &m, MSG_NOSIGNAL) < 0) {
		if (errno == EPIPE || errno == ECONNRESET)
			return fail(ERR_FAILED, "the database helper ended unexpectedly");
		if (errno != EINTR)
			return fail_io("cannot speak to the database helper");
	}
	return OK;
}

int
helper_wait(int sock, int ms)
{
	struct pollfd p = { .fd = sock, .events = POLLIN };
	int n = poll(&p, 1, ms), rc;

	if (n < 0 && errno != EINTR)
		return fail_io("cannot hear the database helper");
	if (n < 0 && (rc = signals_check()))
		return rc;
	return n > 0 ? FOUND : OK;
}

int
helper_receive(int sock, void *p, size_t len, int *fd)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} c;
	struct iovec v = { .iov_base = p, .iov_len = len };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = c.room, .msg_controllen = sizeof(c.room) };
	struct cmsghdr *h;
	ssize_t n;
	int rc, got = -1;

	if (fd)
		*fd = -1;
	while ((n = recvmsg(sock, &m, MSG_CMSG_CLOEXEC)) < 0) {
		if (errno == ECONNRESET)
			return AT_END;
		if (errno != EINTR)
			return fail_io("cannot hear the database helper");
		if ((rc = signals_check()))
			return rc;
	}
	h = CMSG_FIRSTHDR(&m);
	if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS)
		memcpy(&got, CMSG_DATA(h), sizeof(got));
	if (fd)
		*fd = got;
	else if (got >= 0)
		close(got);
	if (n == 0)
		return AT_END;
	return (size_t)n == len ? OK : fail(ERR_FAILED, "a packet of the wrong length");
}
