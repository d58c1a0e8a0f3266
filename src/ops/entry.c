#include "ops/entry.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/mem.h"
#include "sys/fsys.h"

#define XATTR_MAX (TREENODE_EXT_MAX - 64)

void
entry_stat(struct treenode_entry *e, const struct fsys_stat *st)
{
	e->mode = st->mode & 07777;
	e->uid = st->uid;
	e->gid = st->gid;
	e->mtime = st->mtime;
	e->mtime_ns = st->mtime_ns;
	e->ctime = st->ctime;
	e->ctime_ns = st->ctime_ns;
	e->inode = st->inode;
	if (S_ISREG(st->mode))
		e->size = st->size;
}

void
entry_fill(struct treenode_entry *e, const struct fsys_stat *st)
{
	switch (st->mode & S_IFMT) {
	case S_IFREG:
		e->kind = TREENODE_FILE;
		break;
	case S_IFDIR:
		e->kind = TREENODE_DIR;
		break;
	case S_IFLNK:
		e->kind = TREENODE_LINK;
		break;
	case S_IFIFO:
		e->kind = TREENODE_FIFO;
		break;
	case S_IFCHR:
	case S_IFBLK:
		e->kind = S_ISCHR(st->mode) ? TREENODE_CHAR : TREENODE_BLOCK;
		e->size = st->rdev_major << 32 | st->rdev_minor;
		break;
	default:
		e->kind = TREENODE_SOCKET;
	}
	if (st->nlink > 1 && e->kind != TREENODE_DIR) {
		e->flags |= TREENODE_HARDLINK;
		e->dev = st->dev;
	}
	entry_stat(e, st);
}

int
entry_ext(struct treenode_entry *e, int dirfd, const char *name, uint32_t mode, int fd, uint8_t **mem)
{
	uint32_t flags = fd >= 0 ? fsys_flags(fd) : 0;
	uint8_t *xattrs, raw[4];
	size_t len, n = 0, cap;
	int rc;

	*mem = NULL;
	/* Through the open file no path has to be walked. */
	rc = fd >= 0 ? fsys_xattrs(fd, "", mode, XATTR_MAX, &xattrs, &len) :
	    fsys_xattrs(dirfd, name, mode, XATTR_MAX, &xattrs, &len);
	if (rc)
		return rc;
	if (len == 0 && flags == 0)
		goto out;
	cap = len + 64;
	if ((rc = mem_new((void **)mem, cap)))
		goto out;
	if (len)
		n += treenode_ext_encode(*mem, cap, TREENODE_EXT_XATTR, xattrs, len);
	for (int i = 0; i < 4; i++)
		raw[i] = (uint8_t)(flags >> (8 * i));
	if (flags)
		n += treenode_ext_encode(*mem + n, cap - n, TREENODE_EXT_FLAGS, raw, sizeof(raw));
	e->ext = *mem;
	e->ext_len = (uint32_t)n;
out:
	free(xattrs);
	return rc;
}

int
entry_ext_add(struct treenode_entry *e, uint8_t **mem, uint16_t tag, const uint8_t *val, size_t len)
{
	size_t cap = e->ext_len + len + 16;
	uint8_t *all;
	int rc;

	if ((rc = mem_new((void **)&all, cap)))
		return rc;
	if (e->ext_len)
		memcpy(all, e->ext, e->ext_len);
	e->ext_len += (uint32_t)treenode_ext_encode(all + e->ext_len, cap - e->ext_len, tag, val, len);
	free(*mem);
	e->ext = *mem = all;
	return OK;
}
