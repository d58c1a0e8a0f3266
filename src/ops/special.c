#include "ops/special.h"

#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "format/treenode.h"
#include "sys/fsys.h"
#include "sys/target.h"

static uint32_t
type_of(const struct treenode_entry *e)
{
	switch (e->kind) {
	case TREENODE_LINK:
		return S_IFLNK;
	case TREENODE_FIFO:
		return S_IFIFO;
	case TREENODE_CHAR:
		return S_IFCHR;
	case TREENODE_BLOCK:
		return S_IFBLK;
	case TREENODE_SOCKET:
		return S_IFSOCK;
	default:
		return S_IFREG;
	}
}

bool
special_is_device(const struct treenode_entry *e)
{
	return e->kind == TREENODE_CHAR || e->kind == TREENODE_BLOCK;
}

bool
special_same(int dirfd, const char *name, const struct fsys_stat *st,
    const struct treenode_entry *e)
{
	char text[TREENODE_TARGET_MAX + 2];
	size_t len;

	if ((st->mode & S_IFMT) != type_of(e))
		return false;
	if (special_is_device(e))
		return st->rdev_major == e->size >> 32 &&
		    st->rdev_minor == (uint32_t)e->size;
	if (e->kind != TREENODE_LINK)
		return true;
	return fsys_readlink(dirfd, name, text, sizeof(text), &len) == OK &&
	    len == e->size && memcmp(text, e->target, len) == 0;
}

int
special_make(int dirfd, const char *name, const struct treenode_entry *e)
{
	char text[TREENODE_TARGET_MAX + 1];

	if (e->kind != TREENODE_LINK)
		return target_make_node(dirfd, name, type_of(e),
		    (uint32_t)(e->size >> 32), (uint32_t)e->size);
	memcpy(text, e->target, (size_t)e->size);
	text[e->size] = '\0';
	return target_symlink(dirfd, name, text);
}
