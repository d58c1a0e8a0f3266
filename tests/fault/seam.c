#define _FILE_OFFSET_BITS 64
#include "tests/fault/seam.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/types.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/err.h"
#include "tests/unit/support_io.h"

struct zstd_context;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void __real_free(void *p);
void *__real_sodium_malloc(size_t n);
void __real_sodium_free(void *p);
struct zstd_context *__real_ZSTD_createCCtx(void);
struct zstd_context *__real_ZSTD_createDCtx(void);
int __real_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg);

void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void __wrap_free(void *p);
void *__wrap_sodium_malloc(size_t n);
void __wrap_sodium_free(void *p);
struct zstd_context *__wrap_ZSTD_createCCtx(void);
struct zstd_context *__wrap_ZSTD_createDCtx(void);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg);

static _Atomic enum seam armed;
static atomic_ullong asked, refused;
static uint64_t fail_at;
static int fail_errno;
static bool fail_forever;
static const char *_Atomic refused_what;        /* the last one */

void
seam_arm(enum seam what, uint64_t nth, int err, bool forever)
{
	fail_at = nth;
	fail_errno = err;
	fail_forever = forever;
	asked = refused = 0;
	refused_what = NULL;
	armed = what;
}

void
seam_disarm(void)
{
	armed = SEAM_NONE;
}

uint64_t
seam_asked(void)
{
	return asked;
}

uint64_t
seam_refused(void)
{
	return refused;
}

const char *
seam_refused_what(void)
{
	return refused_what ? refused_what : "";
}

/* Is it to fail?  Leaves errno then. */
static bool
refuse(enum seam what)
{
	uint64_t n;

	if (armed != what || support_io_inside)
		return false;
	n = atomic_fetch_add(&asked, 1) + 1;
	if (fail_at == 0 || n < fail_at || (n > fail_at && !fail_forever))
		return false;
	refused++;
	errno = fail_errno;
	return true;
}

/* ----------------------------------------------------------------------------------------------- the ledger */

#define BUCKETS (1u << 14)

struct alive {
	struct alive *next;
	const void *p, *from;
	uint64_t number;
	size_t len;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct alive *bucket[BUCKETS];
static struct alive *spare;
static size_t live;
static uint64_t made;

static struct alive **
bucket_of(const void *p)
{
	return &bucket[((uintptr_t)p >> 4) * 0x9e3779b97f4a7c15ull >> 50];
}

static void *
note(void *p, size_t len, const void *from)
{
	struct alive *a;

	if (!p)
		return NULL;
	pthread_mutex_lock(&lock);
	if (!(a = spare) && !(a = __real_malloc(sizeof(*a))))
		abort();
	if (a == spare)
		spare = a->next;
	*a = (struct alive){ *bucket_of(p), p, from, ++made, len };
	*bucket_of(p) = a;
	live++;
	pthread_mutex_unlock(&lock);
	return p;
}

/* What a library allocated is not in it. */
static void
strike(const void *p)
{
	pthread_mutex_lock(&lock);
	for (struct alive **at = bucket_of(p), *a; (a = *at); at = &a->next)
		if (a->p == p) {
			*at = a->next;
			a->next = spare;
			spare = a;
			live--;
			break;
		}
	pthread_mutex_unlock(&lock);
}

size_t
seam_live(void)
{
	return live;
}

uint64_t
seam_made(void)
{
	return made;
}

extern const char __executable_start;

void
seam_print_since(uint64_t since)
{
	unsigned printed = 0;

	for (size_t i = 0; i < BUCKETS; i++)
		for (const struct alive *a = bucket[i]; a && printed < 8; a = a->next)
			if (a->number > since && ++printed)
				printf("#   %zu bytes from %#zx\n", a->len, (size_t)((const char *)a->from - &__executable_start));
}

/* ------------------------------------------------------------------------------------------------ allocations */

#define HERE __builtin_return_address(0)

void *
__wrap_malloc(size_t n)
{
	return refuse(SEAM_MEMORY) ? NULL : note(__real_malloc(n), n, HERE);
}

void *
__wrap_calloc(size_t n, size_t size)
{
	return refuse(SEAM_MEMORY) ? NULL : note(__real_calloc(n, size), n * size, HERE);
}

void *
__wrap_realloc(void *p, size_t n)
{
	void *q;

	if (refuse(SEAM_MEMORY))
		return NULL;
	if (p)
		strike(p);
	q = __real_realloc(p, n);
	return q ? note(q, n, HERE) : q;
}

void
__wrap_free(void *p)
{
	if (p)
		strike(p);
	__real_free(p);
}

void *
__wrap_sodium_malloc(size_t n)
{
	return refuse(SEAM_MEMORY) ? NULL : note(__real_sodium_malloc(n), n, HERE);
}

void
__wrap_sodium_free(void *p)
{
	if (p)
		strike(p);
	__real_sodium_free(p);
}

struct zstd_context *
__wrap_ZSTD_createCCtx(void)
{
	return refuse(SEAM_MEMORY) ? NULL : __real_ZSTD_createCCtx();
}

struct zstd_context *
__wrap_ZSTD_createDCtx(void)
{
	return refuse(SEAM_MEMORY) ? NULL : __real_ZSTD_createDCtx();
}

int
__wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg)
{
	return refuse(SEAM_MEMORY) ? EAGAIN : __real_pthread_create(t, a, fn, arg);
}

/* ----------------------------------------------------------------------------------------------------- signals */

int __real_signals_check(void);
int __wrap_signals_check(void);

int
__wrap_signals_check(void)
{
	return refuse(SEAM_SIGNALS) ? fail(ERR_INTERRUPTED, "interrupted") : __real_signals_check();
}

/* ----------------------------------------------------------------------------------------------- system calls */

static bool
refuse_call(const char *name)
{
	if (!refuse(SEAM_CALLS))
		return false;
	refused_what = name;
	return true;
}

#define CALL(type, bad, name, params, args) \
	type __real_##name params; \
	type __wrap_##name params; \
	type __wrap_##name params { return refuse_call(#name) ? (bad) : __real_##name args; }

CALL(ssize_t, -1, read, (int fd, void *p, size_t n), (fd, p, n))
CALL(ssize_t, -1, pread, (int fd, void *p, size_t n, off_t off), (fd, p, n, off))
CALL(ssize_t, -1, write, (int fd, const void *p, size_t n), (fd, p, n))
CALL(ssize_t, -1, pwrite, (int fd, const void *p, size_t n, off_t off), (fd, p, n, off))
CALL(int, -1, openat, (int fd, const char *path, int flags, mode_t mode), (fd, path, flags, mode))
CALL(int, -1, open, (const char *path, int flags, mode_t mode), (path, flags, mode))
CALL(int, -1, fstat, (int fd, struct stat *st), (fd, st))
CALL(int, -1, fstatat, (int fd, const char *path, struct stat *st, int flags), (fd, path, st, flags))
CALL(int, -1, statx, (int fd, const char *path, int flags, unsigned mask, struct statx *st), (fd, path, flags, mask, st))
CALL(int, -1, mkdirat, (int fd, const char *path, mode_t mode), (fd, path, mode))
CALL(int, -1, unlinkat, (int fd, const char *path, int flags), (fd, path, flags))
CALL(int, -1, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to))
CALL(int, -1, renameat2, (int a, const char *from, int b, const char *to, unsigned flags), (a, from, b, to, flags))
CALL(int, -1, linkat, (int a, const char *from, int b, const char *to, int flags), (a, from, b, to, flags))
CALL(int, -1, symlinkat, (const char *target, int fd, const char *path), (target, fd, path))
CALL(ssize_t, -1, readlinkat, (int fd, const char *path, char *p, size_t n), (fd, path, p, n))
CALL(int, -1, fchown, (int fd, uid_t u, gid_t g), (fd, u, g))
CALL(int, -1, fchownat, (int fd, const char *path, uid_t u, gid_t g, int flags), (fd, path, u, g, flags))
CALL(int, -1, fchmod, (int fd, mode_t mode), (fd, mode))
CALL(int, -1, fchmodat, (int fd, const char *path, mode_t mode, int flags), (fd, path, mode, flags))
CALL(int, -1, futimens, (int fd, const struct timespec *t), (fd, t))
CALL(int, -1, utimensat, (int fd, const char *path, const struct timespec *t, int flags), (fd, path, t, flags))
CALL(int, -1, ftruncate, (int fd, off_t len), (fd, len))
CALL(int, -1, fsync, (int fd), (fd))
CALL(int, -1, syncfs, (int fd), (fd))
CALL(int, -1, fstatfs, (int fd, struct statfs *st), (fd, st))
CALL(off_t, -1, lseek, (int fd, off_t off, int how), (fd, off, how))
CALL(DIR *, NULL, fdopendir, (int fd), (fd))
CALL(struct dirent *, NULL, readdir, (DIR *d), (d))
CALL(ssize_t, -1, flistxattr, (int fd, char *p, size_t n), (fd, p, n))
CALL(ssize_t, -1, fgetxattr, (int fd, const char *name, void *p, size_t n), (fd, name, p, n))
CALL(int, -1, fsetxattr, (int fd, const char *name, const void *p, size_t n, int flags), (fd, name, p, n, flags))
CALL(long, -1, syscall, (long no, long a, long b, long c, long d, long e, long f), (no, a, b, c, d, e, f))
