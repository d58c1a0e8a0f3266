#include "sys/dents.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/err.h"

#define FIRST (64u << 10)               /* bytes asked for at once ... */
#define MORE (512u << 10)               /* ... when there are many */

/* As the kernel lays it out; <dirent.h> has none for getdents64 itself. */
struct record {
	uint64_t inode, next;
	uint16_t len;
	uint8_t type;
	char name[];
};

static bool
is_dots(const char *s)
{
	return s[0] == '.' && (s[1] == '\0' || (s[1] == '.' && s[2] == '\0'));
}

static int
hand_out(const char *buf, long len, dents_fn fn, void *arg)
{
	const struct record *r;
	int rc = OK;

	for (long at = 0; rc >= 0 && at < len; at += r->len) {
		r = (const struct record *)(const void *)(buf + at);
		if (!is_dots(r->name))
			rc = fn(arg, r->type, r->name);
	}
	return rc;
}

/* In a long directory of tmpfs each call costs 50 us: so they are few. */
int
dents_list(int fd, const char *what, dents_fn fn, void *arg)
{
	_Alignas(8) char first[FIRST];
	char *more = NULL;
	int rc = OK;
	long n;

	while (rc >= 0) {
		n = syscall(SYS_getdents64, fd, more ? more : first,
		    more ? MORE : FIRST);
		if (n == 0)
			break;
		if (n > 0)
			rc = hand_out(more ? more : first, n, fn, arg);
		else if (errno != EINTR)
			rc = fail_io("%s", what);
		if (!more && n > (long)FIRST / 2)
			more = malloc(MORE);
	}
	free(more);
	return rc < 0 ? rc : OK;
}
