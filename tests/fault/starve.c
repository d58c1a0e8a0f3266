/*
 * starve: preloaded into a program, lets its N-th allocation fail.
 *
 *      STARVE_NTH=N      from 1; 0 or unset: none
 *      STARVE_FOREVER=1  all later ones as well
 *      STARVE_OUT=FILE   the number of allocations is written there at the end
 *
 * Counted are malloc, calloc, realloc and the aligned ones from the program's main() on, in all of its threads and in the libraries it
 * uses; a child that inherits the environment counts for itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t n);
void *__libc_memalign(size_t align, size_t n);

static atomic_ulong count;
static unsigned long nth;
static bool forever;

static bool
refuse(void)
{
	unsigned long n = atomic_fetch_add(&count, 1) + 1;

	if (nth == 0 || (forever ? n < nth : n != nth))
		return false;
	errno = ENOMEM;
	return true;
}

void *
malloc(size_t n)
{
	return refuse() ? NULL : __libc_malloc(n);
}

void *
calloc(size_t n, size_t size)
{
	return refuse() ? NULL : __libc_calloc(n, size);
}

void *
realloc(void *p, size_t n)
{
	return refuse() ? NULL : __libc_realloc(p, n);
}

int
posix_memalign(void **out, size_t align, size_t n)
{
	void *p = refuse() ? NULL : __libc_memalign(align, n);

	if (!p)
		return ENOMEM;
	*out = p;
	return 0;
}

void *
aligned_alloc(size_t align, size_t n)
{
	return refuse() ? NULL : __libc_memalign(align, n);
}

/* glibc's name service ends the program when it gets no memory; nobody else's failure can be seen behind that. */
int
getpwuid_r(uid_t uid, struct passwd *pw, char *buf, size_t len, struct passwd **out)
{
	(void)uid;
	(void)pw;
	(void)buf;
	(void)len;
	*out = NULL;
	return refuse() ? ENOMEM : 0;
}

int
getgrgid_r(gid_t gid, struct group *gr, char *buf, size_t len, struct group **out)
{
	(void)gid;
	(void)gr;
	(void)buf;
	(void)len;
	*out = NULL;
	return refuse() ? ENOMEM : 0;
}

int
getpwnam_r(const char *name, struct passwd *pw, char *buf, size_t len, struct passwd **out)
{
	(void)name;
	return getpwuid_r(0, pw, buf, len, out);
}

int
getgrnam_r(const char *name, struct group *gr, char *buf, size_t len, struct group **out)
{
	(void)name;
	return getgrgid_r(0, gr, buf, len, out);
}

__attribute__((constructor)) static void
begin(void)
{
	const char *text = getenv("STARVE_NTH"), *all = getenv("STARVE_FOREVER");

	forever = all && *all == '1';
	count = 0;
	nth = text ? strtoul(text, NULL, 10) : 0;
}

__attribute__((destructor)) static void
end(void)
{
	const char *path = getenv("STARVE_OUT");
	char text[32];
	int fd, n;

	/* The first that ends with it is the helper, the last the program itself. */
	if (!path || (fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)) < 0)
		return;
	n = snprintf(text, sizeof(text), "%lu\n", (unsigned long)count);
	(void)!write(fd, text, (size_t)n);
	close(fd);
}
