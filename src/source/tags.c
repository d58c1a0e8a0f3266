#include "source/tags.h"

#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "sys/fsys.h"

#define TEXT_MAX 4096

/* Does the regular file begin with these bytes? */
static bool
begins_with(int dirfd, const char *name, const char *text, size_t len)
{
	char buf[TEXT_MAX];
	struct fsys_stat st;
	size_t got = 0;
	int fd;

	if (len > sizeof(buf) || fsys_stat(dirfd, name, &st) ||
	    !S_ISREG(st.mode) || st.size < len ||
	    fsys_open_file(dirfd, name, &fd))
		return false;
	if (fsys_read_at(fd, 0, buf, len, &got))
		got = 0;
	fsys_close(fd);
	return got == len && memcmp(buf, text, len) == 0;
}

bool
tags_is_cache(int dirfd)
{
	static const char signature[] =
	    "Signature: 8a477f597d28d172789f06886806bc55";

	return begins_with(dirfd, "CACHEDIR.TAG", signature,
	    sizeof(signature) - 1);
}

bool
tags_is_present(int dirfd, const char *spec)
{
	const char *colon = strchr(spec, ':');
	size_t len = colon ? (size_t)(colon - spec) : strlen(spec);
	struct fsys_stat st;
	char name[256];

	if (len == 0 || len >= sizeof(name) || memchr(spec, '/', len))
		return false;
	memcpy(name, spec, len);
	name[len] = '\0';
	if (colon && colon[1])
		return begins_with(dirfd, name, colon + 1, strlen(colon + 1));
	return fsys_stat(dirfd, name, &st) == OK;
}

const char *
tags_marked(int dirfd, bool caches, const char *const *specs, size_t count)
{
	if (caches && tags_is_cache(dirfd))
		return "CACHEDIR.TAG";
	for (size_t i = 0; i < count; i++)
		if (tags_is_present(dirfd, specs[i]))
			return specs[i];
	return NULL;
}

bool
tags_is_named(const char *name, const char *spec)
{
	size_t n = strcspn(spec, ":");

	return strlen(name) == n && memcmp(name, spec, n) == 0;
}
