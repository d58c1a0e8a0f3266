/*
 * fuzz_filter: patterns of a filter and paths to match.  The input is lines: patterns ("!" first takes back) up to an empty line, then
 * paths.  A path's verdict does not depend on the others, and a second look gives the same.
 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "source/filter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
look(const struct filter *f, const char *path, const char *pattern)
{
	size_t len = strlen(path), root = len / 2;

	while (root > 0 && path[root] != '/')
		root--;
	if (filter_excludes(f, path, root, false) != filter_excludes(f, path, root, false))
		abort();
	(void)filter_excludes(f, path, 0, true);
	/* Whatever does not cross a slash is matched by what crosses, too. */
	if (filter_glob(pattern, path, false) && !filter_glob(pattern, path, true))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 2), *line, *next, *path, *last;
	struct filter *f;
	int paths = 0;

	if (!text || filter_new(&f))
		abort();
	last = path = malloc(size + 2);
	if (!path)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	last = text + size;                     /* an empty pattern at first */
	for (line = text; *line && size < 20000; line = next) {
		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = '\0';
		if (!paths && *line) {
			(void)!filter_add(f, line, false);
			last = line;
		} else if (!paths) {
			paths = 1;
		} else if (*line) {
			path[0] = '/';
			strcpy(path + 1, line + (*line == '/'));
			if (path[1] && path[strlen(path) - 1] != '/')
				look(f, path, last);
		}
	}
	free(path);
	free(text);
	filter_free(f);
	return 0;
}
