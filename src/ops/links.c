#include "ops/links.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#define ROOM_MIN 64

static struct links_entry *
place_of(const struct links *l, uint64_t dev, uint64_t inode)
{
	uint64_t h = (inode ^ (dev << 32 | dev >> 32)) * 0x9e3779b97f4a7c15u;
	size_t i = (size_t)(h >> 32) & (l->room - 1);

	while (l->slots[i].path && (l->slots[i].dev != dev ||
	    l->slots[i].inode != inode))
		i = (i + 1) & (l->room - 1);
	return &l->slots[i];
}

const struct links_entry *
links_find(const struct links *l, uint64_t dev, uint64_t inode)
{
	const struct links_entry *e;

	if (l->room == 0)
		return NULL;
	e = place_of(l, dev, inode);
	return e->path ? e : NULL;
}

const char *
links_path(const struct links *l, const struct links_entry *e)
{
	assert(e->path);
	return (const char *)l->paths.p + (e->path - 1);
}

static int
grow(struct links *l)
{
	struct links bigger = *l;
	int rc;

	bigger.room = l->room ? l->room * 2 : ROOM_MIN;
	rc = mem_new((void **)&bigger.slots,
	    mem_array(bigger.room, sizeof(*l->slots)));
	if (rc)
		return rc;
	for (size_t i = 0; i < l->room; i++)
		if (l->slots[i].path)
			*place_of(&bigger, l->slots[i].dev,
			    l->slots[i].inode) = l->slots[i];
	free(l->slots);
	*l = bigger;
	return OK;
}

int
links_add(struct links *l, const struct links_entry *e, const char *path)
{
	size_t at = l->paths.len;
	struct links_entry *slot;
	int rc;

	if (l->count >= l->room / 2 && (rc = grow(l)))
		return rc;
	if ((rc = mem_buf_add(&l->paths, path, strlen(path) + 1)))
		return rc;
	slot = place_of(l, e->dev, e->inode);
	l->count += slot->path == 0;
	*slot = *e;
	slot->path = at + 1;
	return OK;
}

void
links_clear(struct links *l)
{
	free(l->slots);
	mem_buf_clear(&l->paths);
	*l = (struct links){ 0 };
}
