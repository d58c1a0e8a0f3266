#include "ops/queue.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "ops/entry.h"
#include "ops/scan.h"
#include "ops/scanlog.h"
#include "ops/treebuild.h"
#include "sys/fsys.h"

int
queue_copy_ext(struct queue_item *q, const struct treenode_entry *old)
{
	int rc;

	if (old->ext_len == 0)
		return OK;
	if ((rc = mem_dup_bytes(&q->mem, old->ext, old->ext_len)))
		return rc;
	q->e.ext = q->mem;
	q->e.ext_len = old->ext_len;
	return OK;
}

int
queue_ext(struct scan *sc, struct queue_item *q, int dirfd, const char *name, uint32_t mode, int fd)
{
	int rc = entry_ext(&q->e, dirfd, name, mode, fd, &q->mem);

	if (rc == OK)
		return OK;
	/* The next snapshot must not take it for unchanged. */
	q->e.ctime = 0;
	q->e.ctime_ns = 0;
	return scanlog_refused(sc, rc);
}

int
queue_link(struct queue_item *q, int dirfd, const char *name)
{
	char text[TREENODE_TARGET_MAX + 2];
	size_t len;
	int rc;

	if ((rc = fsys_readlink(dirfd, name, text, sizeof(text), &len)) || (rc = mem_dup_bytes(&q->target, text, len)))
		return rc;
	q->e.target = q->target;
	q->e.size = len;
	return OK;
}

int
queue_init(struct queue *q, size_t cap)
{
	*q = (struct queue){ .cap = cap };
	/* Not zeroed: most directories use little of it. */
	q->item = malloc(mem_array(cap, sizeof(*q->item)));
	return q->item ? OK : fail(ERR_NOMEM, "out of memory");
}

void
queue_item_clear(struct queue_item *q)
{
	free(q->mem);
	free(q->target);
}

void
queue_clear(struct queue *q)
{
	for (size_t i = 0; i < q->count; i++)
		queue_item_clear(&q->item[i]);
	free(q->item);
}

static int
count_file(struct scan *sc, const struct queue_item *q)
{
	bool same = q->reused || (q->old_file && q->old_size == q->e.size && name_cmp(&q->old_content, &q->e.content) == 0);
	char name[TREENODE_NAME_MAX + 1];
	size_t mark;
	int rc;

	sc->stats[SNAPREC_FILES]++;
	sc->stats[SNAPREC_BYTES_TOTAL] += q->e.size;
	sc->stats[same ? SNAPREC_FILES_UNMODIFIED : q->old_file ? SNAPREC_FILES_CHANGED : SNAPREC_FILES_NEW]++;
	if (!sc->o->item)
		return OK;
	memcpy(name, q->e.name, q->e.name_len);
	name[q->e.name_len] = 0;
	if ((rc = scanlog_push(sc, name, &mark)))
		return rc;
	sc->o->item(sc->o->arg, same ? 'U' : q->old_file ? 'M' : '+', scanlog_path(sc), q->e.size);
	scanlog_pop(sc, mark);
	return OK;
}

int
queue_drain(struct scan *sc, struct queue *q, struct treebuild *b)
{
	size_t i;
	int rc;

	if ((rc = readfile_flush(&sc->file)))
		return rc;
	for (i = 0; rc == OK && i < q->count; i++) {
		struct queue_item *k = &q->item[i];

		if (k->e.kind == TREENODE_FILE) {
			if ((rc = count_file(sc, k)))
				break;
			if (k->e.flags & TREENODE_HARDLINK && !(k->e.flags & (TREENODE_CHANGED | TREENODE_UNREAD)) &&
			    (rc = inodes_add(&sc->links, &k->e)))
				break;
		}
		if ((rc = inodes_set_add(&sc->uids, k->e.uid)) || (rc = inodes_set_add(&sc->gids, k->e.gid)))
			break;
		treebuild_hint(b, &k->hint);
		rc = treebuild_add(b, &k->e);
		if (rc == ERR_FAILED)
			rc = scanlog_refused(sc, rc);
	}
	for (size_t n = 0; n < q->count; n++)
		queue_item_clear(&q->item[n]);
	q->count = 0;
	return rc;
}
