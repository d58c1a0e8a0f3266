#include "ops/links.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "format/treenode.h"
#include "sys/fsys.h"

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
links_find(const struct links *l, const struct treenode_entry *e)
{
	const struct links_entry *at;

	if (l->room == 0)
		return NULL;
	at = place_of(l, e->dev, e->inode);
	if (!at->path || at->kind != e->kind || at->size != e->size || at->mtime != e->mtime || at->mtime_ns != e->mtime_ns ||
	    name_cmp(&at->content, &e->content) != 0)
		return NULL;
	return at;
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
links_add(struct links *l, const struct treenode_entry *e, const struct fsys_stat *st, const char *path)
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
	*slot = (struct links_entry){ .dev = e->dev, .inode = e->inode, .size = e->size, .mtime = e->mtime, .mtime_ns = e->mtime_ns,
		.kind = e->kind, .content = e->content, .target_dev = st->dev, .target_inode = st->inode, .path = at + 1 };
	return OK;
}

void
links_clear(struct links *l)
{
	free(l->slots);
	mem_buf_clear(&l->paths);
	*l = (struct links){ 0 };
}
