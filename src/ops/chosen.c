#include "ops/chosen.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "sys/fsys.h"

enum chosen_part
chosen_part(const struct chosen *c, const char *rel)
{
	enum chosen_part best = CHOSEN_NO;
	size_t len = strlen(rel);

	for (size_t i = 0; i < c->count; i++) {
		if (strncmp(c->path[i], rel, len) != 0)
			continue;
		if (c->path[i][len] == '\0')
			return CHOSEN_ALL;
		if (c->path[i][len] == '/')
			best = CHOSEN_WAY;
	}
	return best;
}

int
chosen_normal(const char *prefix, const char *path, char **out)
{
	struct mem_buf b = { 0 };
	int rc;

	*out = NULL;
	if ((rc = mem_buf_add(&b, "/", 1)) ||
	    (rc = mem_buf_add(&b, prefix, strlen(prefix))) ||
	    (rc = mem_buf_add(&b, "/", 1)) ||
	    (rc = mem_buf_add(&b, path, strlen(path) + 1)))
		goto out;
	rc = fsys_absolute((const char *)b.p, out);
	if (rc == OK && strcmp(*out, "/") == 0)
		(*out)[0] = '\0';
out:
	mem_buf_clear(&b);
	return rc;
}

int
chosen_look_up(struct reader *rd, const struct name *root, const char *path,
    struct tree_entry *e)
{
	int rc = tree_lookup(rd, root, path, strlen(path), e);

	if (rc == OK)
		return fail(ERR_ABSENT, "no '%s'", path);
	return rc == FOUND ? OK : rc;
}

static int
add(struct chosen *c, struct reader *rd, const struct name *root,
    const char *base, const char *path)
{
	struct tree_entry e = { 0 };
	size_t skip = strlen(base);
	char *full = NULL;
	int rc;

	if ((rc = chosen_normal(base, path, &full)) ||
	    (rc = chosen_look_up(rd, root, full, &e)))
		goto out;
	if (strncmp(full, base, skip) != 0 || (full[skip] && full[skip] != '/')) {
		rc = fail(ERR_USAGE, "'%s' is not beneath '%s'", full, base);
		goto out;
	}
	c->whole |= full[skip] == '\0';
	if (full[skip] && (rc = mem_dup(&c->path[c->count],
	    full + skip + 1)) == OK)
		c->count++;
out:
	tree_entry_clear(&e);
	free(full);
	return rc;
}

int
chosen_load(struct chosen *c, struct reader *rd, const struct name *root,
    const char *base, const char *const *paths, size_t count)
{
	int rc;

	*c = (struct chosen){ .whole = count == 0 };
	rc = mem_new((void **)&c->path, mem_array(count, sizeof(*c->path)));
	for (size_t i = 0; i < count && rc == OK; i++)
		rc = add(c, rd, root, base, paths[i]);
	return rc;
}

void
chosen_clear(struct chosen *c)
{
	while (c->count > 0)
		free(c->path[--c->count]);
	free(c->path);
	c->path = NULL;
}
