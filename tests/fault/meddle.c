/*
 * meddle [OPTION...] -- PROGRAM ARGUMENT...: run a program and meddle with its N-th system call.
 *
 *      -c CLASS    which calls count: read write sync rename open mmap close stat dir lock make remove
 *                  net thread, or "any" (all of these), or "every" (every system call there is)
 *      -n N        the call to meddle with, from 1; 0 (default): only count
 *      -k          kill the program with SIGKILL as it enters the call
 *      -e ERROR    let it fail: EIO ENOSPC EDQUOT EINTR EMFILE ENOMEM EACCES ...
 *      -s          let it transfer half of the bytes only (read, write)
 *      -f          all later calls of the class as well
 *      -o FILE     write what was seen there: "CALLS MEDDLED ENTERED", ENTERED being the number of the call
 *
 * Threads and children count, too (the database helper is one).  What the dynamic loader does is not counted: counting starts with the
 * program's first prctl.  close() and its like are done and then said to have failed, as Linux does it.
 * Exit status: the program's; 128 + signal if one killed it; 99 when ptrace is not to be had.
 */
#include <elf.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define NO_TRACE 99

#ifndef __x86_64__
int
main(void)
{
	fprintf(stderr, "meddle: this machine's registers are not known\n");
	return NO_TRACE;
}
#else

/* glibc's <sys/ptrace.h> of Debian 12 and <linux/ptrace.h> cannot be included together. */
struct call_info {
	uint8_t op, pad[3];
	uint32_t arch;
	uint64_t ip, sp, nr, args[6];
};

#define INFO_ENTRY 1
#define INFO_EXIT 2

enum { READ = 1, WRITE = 2, SYNC = 4, RENAME = 8, OPEN = 16, MMAP = 32, CLOSE = 64, STAT = 128, DIRS = 256, LOCK = 512, MAKE = 1024,
	REMOVE = 2048, NET = 4096, THREAD = 8192, ANY = 16383, EVERY = 16384 };

static const struct {
	const char *name;
	unsigned bit;
} classes[] = {
	{ "read", READ }, { "write", WRITE }, { "sync", SYNC }, { "rename", RENAME }, { "open", OPEN }, { "mmap", MMAP },
	{ "close", CLOSE }, { "stat", STAT }, { "dir", DIRS }, { "lock", LOCK }, { "make", MAKE }, { "remove", REMOVE }, { "net", NET },
	{ "thread", THREAD }, { "any", ANY }, { "every", EVERY },
};

static const struct {
	long nr;
	unsigned bit;
} calls[] = {
	{ SYS_read, READ }, { SYS_pread64, READ }, { SYS_readv, READ }, { SYS_preadv, READ }, { SYS_readlink, STAT },
	{ SYS_readlinkat, STAT }, { SYS_write, WRITE }, { SYS_pwrite64, WRITE }, { SYS_writev, WRITE }, { SYS_pwritev, WRITE },
	{ SYS_copy_file_range, WRITE }, { SYS_fsync, SYNC }, { SYS_fdatasync, SYNC }, { SYS_syncfs, SYNC },
	{ SYS_sync_file_range, SYNC }, { SYS_rename, RENAME }, { SYS_renameat, RENAME }, { SYS_renameat2, RENAME },
	{ SYS_link, RENAME }, { SYS_linkat, RENAME }, { SYS_open, OPEN }, { SYS_openat, OPEN }, { SYS_openat2, OPEN },
	{ SYS_creat, OPEN }, { SYS_dup, OPEN }, { SYS_dup2, OPEN }, { SYS_pipe2, OPEN }, { SYS_memfd_create, OPEN },
	{ SYS_mmap, MMAP }, { SYS_mremap, MMAP }, { SYS_mprotect, MMAP }, { SYS_close, CLOSE }, { SYS_stat, STAT },
	{ SYS_lstat, STAT }, { SYS_fstat, STAT }, { SYS_newfstatat, STAT }, { SYS_statx, STAT }, { SYS_lgetxattr, STAT },
	{ SYS_fgetxattr, STAT }, { SYS_getxattr, STAT }, { SYS_llistxattr, STAT }, { SYS_flistxattr, STAT }, { SYS_listxattr, STAT },
	{ SYS_getdents64, DIRS }, { SYS_fcntl, LOCK }, { SYS_flock, LOCK }, { SYS_mkdir, MAKE }, { SYS_mkdirat, MAKE },
	{ SYS_ftruncate, MAKE }, { SYS_fallocate, MAKE }, { SYS_symlinkat, MAKE }, { SYS_mknodat, MAKE }, { SYS_fchown, MAKE },
	{ SYS_fchownat, MAKE }, { SYS_fchmod, MAKE }, { SYS_fchmodat, MAKE }, { SYS_utimensat, MAKE }, { SYS_fsetxattr, MAKE },
	{ SYS_lsetxattr, MAKE }, { SYS_unlink, REMOVE }, { SYS_unlinkat, REMOVE }, { SYS_rmdir, REMOVE }, { SYS_socketpair, NET },
	{ SYS_sendmsg, NET }, { SYS_recvmsg, NET }, { SYS_poll, NET }, { SYS_clone, THREAD }, { SYS_clone3, THREAD },
	{ SYS_vfork, THREAD }, { SYS_fork, THREAD },
};

static const struct {
	const char *name;
	int value;
} errors[] = {
	{ "EIO", EIO }, { "ENOSPC", ENOSPC }, { "EDQUOT", EDQUOT }, { "EINTR", EINTR }, { "EMFILE", EMFILE }, { "ENOMEM", ENOMEM },
	{ "EACCES", EACCES }, { "EROFS", EROFS }, { "EAGAIN", EAGAIN }, { "ENOSYS", ENOSYS }, { "EINVAL", EINVAL }, { "ESTALE", ESTALE },
};

struct meddle {
	unsigned want;
	unsigned long nth, calls, meddled, entered;
	bool kill, half, forever, counting;
	int error;
	const char *out;
	pid_t first;
	int status;
};

/* The calls that are under way with an answer of ours. */
static pid_t waiting[256];

static bool
take_waiting(pid_t tid, bool put)
{
	for (size_t i = 0; i < 256; i++)
		if (waiting[i] == (put ? 0 : tid)) {
			waiting[i] = put ? tid : 0;
			return true;
		}
	return false;
}

static unsigned
class_of(uint64_t nr)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if ((uint64_t)calls[i].nr == nr)
			return calls[i].bit;
	return 0;
}

static bool
is_transfer(uint64_t nr)
{
	return nr == SYS_read || nr == SYS_write || nr == SYS_pread64 || nr == SYS_pwrite64;
}

/* Closing and waiting in a lock have an effect whatever they say. */
static bool
is_done(uint64_t nr)
{
	return nr == SYS_close;
}

static void
enter(struct meddle *m, pid_t tid, const struct call_info *c)
{
	struct user_regs_struct r;

	m->counting = m->counting || c->nr == SYS_prctl;
	if (!m->counting || (m->want != EVERY && !(class_of(c->nr) & m->want)) || (m->half && !is_transfer(c->nr)))
		return;
	m->calls++;
	if (m->nth == 0 || m->calls < m->nth || (m->calls > m->nth && !m->forever))
		return;
	m->meddled++;
	m->entered = (unsigned long)c->nr;
	if (m->kill) {
		kill(m->first, SIGKILL);
		return;
	}
	if (ptrace(PTRACE_GETREGS, tid, NULL, &r) < 0)
		return;
	if (m->half) {
		r.rdx = r.rdx > 1 ? r.rdx / 2 : r.rdx;
		(void)ptrace(PTRACE_SETREGS, tid, NULL, &r);
		return;
	}
	if (!is_done(c->nr)) {
		r.orig_rax = (unsigned long long)-1;
		(void)ptrace(PTRACE_SETREGS, tid, NULL, &r);
	}
	(void)take_waiting(tid, true);
}

static void
leave(const struct meddle *m, pid_t tid)
{
	struct user_regs_struct r;

	if (!take_waiting(tid, false) || ptrace(PTRACE_GETREGS, tid, NULL, &r) < 0)
		return;
	r.rax = (unsigned long long)-(long long)m->error;
	(void)ptrace(PTRACE_SETREGS, tid, NULL, &r);
}

/* A stop of a thread: what signal it gets. */
static int
stopped(struct meddle *m, pid_t tid, int status)
{
	int sig = WSTOPSIG(status);
	struct call_info c = { .op = 0 };

	if (sig == (SIGTRAP | 0x80)) {
		if (ptrace((enum __ptrace_request)0x420e, tid, (void *)sizeof(c), &c) > 0 && c.op == INFO_ENTRY)
			enter(m, tid, &c);
		else if (c.op == INFO_EXIT)
			leave(m, tid);
		return 0;
	}
	/* Events, and the stop with which a new thread begins. */
	return sig == SIGTRAP || sig == SIGSTOP ? 0 : sig;
}

static void
watch(struct meddle *m)
{
	int status;
	pid_t tid;

	while ((tid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
		if (tid <= 0)
			continue;
		if (WIFSTOPPED(status)) {
			int sig = stopped(m, tid, status);

			(void)ptrace(PTRACE_SYSCALL, tid, NULL, (void *)(intptr_t)sig);
		} else if (tid == m->first) {
			m->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
		}
	}
}

static int
start(struct meddle *m, char **argv)
{
	const long how = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC |
	    PTRACE_O_EXITKILL;
	int status;

	m->first = fork();
	if (m->first == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
			_exit(NO_TRACE);
		raise(SIGSTOP);
		execvp(argv[0], argv);
		_exit(127);
	}
	if (m->first < 0 || waitpid(m->first, &status, 0) < 0 || !WIFSTOPPED(status))
		return NO_TRACE;
	if (ptrace(PTRACE_SETOPTIONS, m->first, NULL, (void *)how) < 0 || ptrace(PTRACE_SYSCALL, m->first, NULL, NULL) < 0) {
		kill(m->first, SIGKILL);
		waitpid(m->first, &status, 0);
		return NO_TRACE;
	}
	return 0;
}

static void
parse(struct meddle *m, int argc, char **argv)
{
	int c;

	m->want = ANY;
	while ((c = getopt(argc, argv, "+c:n:ke:sfo:")) != -1) {
		if (c == 'c') {
			m->want = 0;
			for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
				if (strcmp(optarg, classes[i].name) == 0)
					m->want = classes[i].bit;
		} else if (c == 'e') {
			for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
				if (strcmp(optarg, errors[i].name) == 0)
					m->error = errors[i].value;
		} else if (c == 'n') {
			m->nth = strtoul(optarg, NULL, 10);
		} else if (c == 'o') {
			m->out = optarg;
		}
		m->kill = m->kill || c == 'k';
		m->half = m->half || c == 's';
		m->forever = m->forever || c == 'f';
	}
}

int
main(int argc, char **argv)
{
	struct meddle m = { .want = 0 };
	FILE *f;
	int rc;

	parse(&m, argc, argv);
	if (optind == argc || !m.want || (m.nth && !m.kill && !m.half && !m.error)) {
		fprintf(stderr, "usage: meddle [-c CLASS] [-n N] [-k | -e ERROR | -s] [-f] [-o FILE] -- PROGRAM...\n");
		return 2;
	}
	if ((rc = start(&m, argv + optind)))
		return rc;
	watch(&m);
	if (m.out && (f = fopen(m.out, "w"))) {
		fprintf(f, "%lu %lu %lu\n", m.calls, m.meddled, m.entered);
		fclose(f);
	}
	return m.status;
}
#endif
