#include "ops/anchor.h"

#include <string.h>

#include "format/snaprec.h"
#include "source/filter.h"

static size_t
find_root(const struct snaprec_string *paths_raw, const char *path, bool dir)
{
	size_t best = 0, len = strlen(path);
	struct snaprec_string s;
	struct cursor c;
	bool any = false;

	cursor_init(&c, paths_raw->p, paths_raw->len);
	while (snaprec_next_string(&c, &s)) {
		size_t n = s.len;

		while (n > 0 && s.p[n - 1] == '/')
			n--;
		if (n > len || memcmp(path, s.p, n) != 0 || n < best)
			continue;
		if (path[n] == '/' && path[n + 1])
			best = n;
		else if (!path[n] && !dir)
			best = (size_t)(strrchr(path, '/') - path);
		else
			continue;
		any = true;
	}
	return any ? best : len;
}

bool
anchor_excludes(const struct filter *f, const struct snaprec_string *paths_raw, size_t root_len, const char *path, bool dir)
{
	return f && filter_excludes(f, path, root_len ? root_len : find_root(paths_raw, path, dir), dir);
}
