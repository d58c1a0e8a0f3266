/*
 * confine: Landlock by its three system calls and seccomp by a filter written out here, so that no library is needed.
 *
 * The filter names what is refused, not what is allowed: what a libc or SQLite of tomorrow calls for its housekeeping keeps working,
 * and what would lead out of the process does not.  EPERM, not a signal: SQLite's own answer to a failed call is an error that
 * is reported, with the database's name, as any other.
 */
#include "sys/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sys/guard.h"

#define PATH_CAP 4096
#define HELPER_MEMORY (4ull << 30)      /* address space: what is mapped at the start, shared pages, SQLite's cache */
#define TRUNCATE (1ull << 14)           /* LANDLOCK_ACCESS_FS_TRUNCATE; Debian 12's headers are older */

#define FILE_RIGHTS (LANDLOCK_ACCESS_FS_WRITE_FILE | TRUNCATE)
#define WRITES (FILE_RIGHTS | LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR | \
	LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | \
	LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER)

static bool
refused(void)
{
	const char *said = getenv("VARVE_CONFINE");

#ifdef CONFINE_NOTHING
	return true;
#endif
	return said && strcmp(said, "no") == 0;
}

/* ------------------------------------------------------------------------------------------------ Landlock */

static void
allow(int rules, const char *path, uint64_t handled)
{
	struct landlock_path_beneath_attr at = { .allowed_access = handled };
	char copy[PATH_CAP], *slash;

	if (strlen(path) >= sizeof(copy))
		return;
	strcpy(copy, path);
	while ((at.parent_fd = open(copy, O_PATH | O_CLOEXEC)) < 0 && errno == ENOENT) {
		slash = strrchr(copy, '/');
		if (slash && slash > copy)
			*slash = '\0';
		else
			strcpy(copy, slash ? "/" : ".");
	}
	if (at.parent_fd < 0)
		return;
	/* A file takes the rights of a file only. */
	if (syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &at, 0) < 0) {
		at.allowed_access &= FILE_RIGHTS;
		(void)syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &at, 0);
	}
	close(at.parent_fd);
}

void
confine_writes(const char *const *paths, size_t count)
{
	struct landlock_ruleset_attr attr = { .handled_access_fs = WRITES };
	const char *const always[] = { getenv("TMPDIR"), getenv("SQLITE_TMPDIR"), "/var/tmp", "/tmp", "/dev/null", "/dev/tty" };
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
	int rules;

	/* The first version allows no renaming from one directory to another at all. */
	if (abi < 2 || refused())
		return;
	if (abi < 3)
		attr.handled_access_fs &= ~TRUNCATE;
	rules = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
	if (rules < 0)
		return;
	for (size_t i = 0; i < count; i++)
		if (paths[i] && *paths[i])
			allow(rules, paths[i], attr.handled_access_fs);
	for (size_t i = 0; i < sizeof(always) / sizeof(always[0]); i++)
		if (always[i] && *always[i])
			allow(rules, always[i], attr.handled_access_fs);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		(void)syscall(SYS_landlock_restrict_self, rules, 0);
	close(rules);
}

/* ------------------------------------------------------------------------------------------------- seccomp */

#if defined(__x86_64__)
#define MACHINE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define MACHINE AUDIT_ARCH_AARCH64
#endif

#ifdef MACHINE
/* Out of the process: network, programs, processes and what belongs to them, the kernel. */
static const int forbidden[] = {
	SYS_socket, SYS_socketpair, SYS_connect, SYS_bind, SYS_listen, SYS_accept, SYS_accept4,
	SYS_execve, SYS_execveat, SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kill, SYS_tkill,
	SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_setns, SYS_unshare, SYS_open_by_handle_at, SYS_name_to_handle_at,
	SYS_move_mount, SYS_fsopen, SYS_open_tree,
	SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register,
	SYS_keyctl, SYS_add_key, SYS_request_key, SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_kexec_load, SYS_reboot,
	SYS_settimeofday, SYS_clock_settime, SYS_swapon, SYS_swapoff, SYS_acct, SYS_quotactl, SYS_sethostname,
	SYS_setuid, SYS_setgid, SYS_setresuid, SYS_setresgid, SYS_setgroups, SYS_capset, SYS_pidfd_open, SYS_pidfd_getfd,
	/* Names and their owners: a copy's own name is made and removed, nothing else. */
	SYS_renameat, SYS_renameat2, SYS_linkat, SYS_symlinkat, SYS_mknodat, SYS_fchmodat, SYS_truncate,
	SYS_setxattr, SYS_lsetxattr, SYS_fsetxattr, SYS_removexattr, SYS_lremovexattr, SYS_fremovexattr,
#ifdef SYS_fork
	SYS_fork, SYS_vfork, SYS_rename, SYS_link, SYS_symlink, SYS_mknod, SYS_chmod, SYS_chown, SYS_lchown,
#endif
};

#define LOAD(field) (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))
#define ANSWER(what) (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, (what))
#define UNLESS(value) (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (value), 0, 1)
#define COUNT (sizeof(forbidden) / sizeof(forbidden[0]))
#define DENY ANSWER(SECCOMP_RET_ERRNO | EPERM)

static void
filter(void)
{
	struct sock_filter f[2 * COUNT + 32];
	struct sock_fprog prog = { .filter = f };
	unsigned short n = 0;

	f[n++] = LOAD(arch);
	f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, MACHINE, 1, 0);
	f[n++] = DENY;
	f[n++] = LOAD(nr);
	/* x32 */
	f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x40000000u, 0, 1);
	f[n++] = DENY;
	for (size_t i = 0; i < COUNT; i++) {
		f[n++] = UNLESS((uint32_t)forbidden[i]);
		f[n++] = DENY;
	}
	/* Its flags are in memory, where they cannot be looked at; libc then takes clone. */
	f[n++] = UNLESS(SYS_clone3);
	f[n++] = ANSWER(SECCOMP_RET_ERRNO | ENOSYS);
	/* Threads only. */
	f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone, 0, 3);
	f[n++] = LOAD(args[0]);
	f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, CLONE_THREAD, 1, 0);
	f[n++] = DENY;
	f[n++] = ANSWER(SECCOMP_RET_ALLOW);
	prog.len = n;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		(void)prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0);
}
#else
static void
filter(void)
{
}
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SHADOWS 1                       /* maps terabytes */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SHADOWS 1
#endif
#endif

void
confine_helper(void)
{
#ifndef SHADOWS
	const struct rlimit memory = { HELPER_MEMORY, HELPER_MEMORY };

	(void)setrlimit(RLIMIT_AS, &memory);
#endif
	guard_process();
	if (!refused())
		filter();
}
