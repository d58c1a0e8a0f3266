#include "ops/inodes.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

struct inodes_link {
	uint64_t dev, inode;            /* inode 0: free */
	uint64_t size;
	int64_t mtime;
	uint32_t mtime_ns;
	bool list;
	struct name content;
	uint8_t fingerprint[16];
};

void
inodes_clear(struct inodes *t)
{
	free(t->links);
	*t = (struct inodes){ 0 };
}

static struct inodes_link *
slot(struct inodes_link *links, size_t cap, uint64_t dev, uint64_t inode)
{
	size_t h = (size_t)((inode ^ dev << 32) * 0x9e3779b97f4a7c15ull >> 20) & (cap - 1);

	while (links[h].inode && (links[h].inode != inode || links[h].dev != dev))
		h = (h + 1) & (cap - 1);
	return &links[h];
}

bool
inodes_find(const struct inodes *t, struct treenode_entry *e)
{
	const struct inodes_link *l = t->cap ? slot(t->links, t->cap, e->dev, e->inode) : NULL;

	if (!l || !l->inode || l->mtime != e->mtime || l->mtime_ns != e->mtime_ns || l->size != e->size)
		return false;
	e->content = l->content;
	memcpy(e->fingerprint, l->fingerprint, sizeof(e->fingerprint));
	if (l->list)
		e->flags |= TREENODE_LIST;
	return true;
}

static int
grow(struct inodes *t)
{
	size_t cap = t->cap ? t->cap * 2 : 256;
	struct inodes_link *links;
	int rc = mem_new((void **)&links, mem_array(cap, sizeof(*links)));

	if (rc)
		return rc;
	for (size_t i = 0; i < t->cap; i++)
		if (t->links[i].inode)
			*slot(links, cap, t->links[i].dev, t->links[i].inode) = t->links[i];
	free(t->links);
	t->links = links;
	t->cap = cap;
	return OK;
}

int
inodes_add(struct inodes *t, const struct treenode_entry *e)
{
	struct inodes_link *l;
	int rc;

	if (e->inode == 0)
		return OK;
	if (t->count * 2 >= t->cap && (rc = grow(t)))
		return rc;
	l = slot(t->links, t->cap, e->dev, e->inode);
	t->count += l->inode == 0;
	*l = (struct inodes_link){ .dev = e->dev, .inode = e->inode, .size = e->size, .mtime = e->mtime, .mtime_ns = e->mtime_ns,
		.list = e->flags & TREENODE_LIST, .content = e->content };
	memcpy(l->fingerprint, e->fingerprint, sizeof(l->fingerprint));
	return OK;
}

int
inodes_set_add(struct inodes_set *s, uint32_t v)
{
	size_t lo = 0, hi = s->count, mid;
	int rc;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		if (s->v[mid] == v)
			return OK;
		if (s->v[mid] < v)
			lo = mid + 1;
		else
			hi = mid;
	}
	if ((rc = mem_grow((void **)&s->v, &s->cap, s->count + 1, sizeof(*s->v))))
		return rc;
	memmove(s->v + lo + 1, s->v + lo, (s->count - lo) * sizeof(*s->v));
	s->v[lo] = v;
	s->count++;
	return OK;
}
