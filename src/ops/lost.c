/*
 * lost: a directory in which nothing is lost is remembered by its id and not looked at again; so snapshots that share most of their
 * trees cost what they do not share.
 */
#include "ops/lost.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "format/treenode.h"
#include "store/tree.h"
#include "sys/signals.h"

struct lost_seen {
	struct name *slot;              /* open addressing; zero: free */
	size_t size, count;
};

struct lost {
	struct view *v;
	const struct lost_options *o;
	struct lost_stats *stats;
	struct lost_seen *seen;
	const struct snapshots_item *snap;
	struct mem_buf path;
	unsigned depth;
};

int
lost_seen_new(struct lost_seen **out)
{
	int rc = MEM_NEW(*out);

	if (rc)
		return rc;
	(*out)->size = 1024;
	if ((rc = mem_new((void **)&(*out)->slot, 1024 * sizeof(struct name))))
		*out = lost_seen_free(*out);
	return rc;
}

struct lost_seen *
lost_seen_free(struct lost_seen *s)
{
	if (s)
		free(s->slot);
	free(s);
	return NULL;
}

static struct name *
find(struct lost_seen *s, const struct name *id)
{
	size_t h;

	memcpy(&h, id->b, sizeof(h));
	for (h &= s->size - 1; !name_is_zero(&s->slot[h]); h = (h + 1) & (s->size - 1))
		if (name_cmp(&s->slot[h], id) == 0)
			break;
	return &s->slot[h];
}

static int
remember(struct lost_seen *s, const struct name *id)
{
	struct name *old = s->slot;
	size_t n = s->size;
	int rc;

	if (2 * s->count >= n) {
		if ((rc = mem_new((void **)&s->slot, mem_array(2 * n, sizeof(*old))))) {
			s->slot = old;
			return rc;
		}
		s->size = 2 * n;
		for (size_t i = 0; i < n; i++)
			if (!name_is_zero(&old[i]))
				*find(s, &old[i]) = old[i];
		free(old);
	}
	*find(s, id) = *id;
	s->count++;
	return OK;
}

static bool
is_damage(int rc)
{
	return rc == ERR_CORRUPT || rc == ERR_AUTH || rc == ERR_ABSENT || rc == ERR_UNSUPPORTED;
}

/* FOUND or OK. */
static int
chunk_there(struct view *v, const struct name *id)
{
	struct index_place at;
	int rc = index_find(v->ix, id, &at, NULL);

	return rc == FOUND ? index_pack_there(v->ix, at.pack_no) : rc;
}

/* FOUND when all of a file's content is there. */
static int
file_whole(struct view *v, const struct treenode_entry *e)
{
	struct tree_content *c;
	struct tree_piece p;
	int rc, rc2;

	if (e->kind != TREENODE_FILE || e->size == 0 || (e->flags & TREENODE_UNREAD))
		return FOUND;
	if ((rc = tree_content_open(v->rd, e, &c)))
		return is_damage(rc) ? OK : rc;
	while ((rc = tree_content_next(c, &p)) == FOUND) {
		if ((rc2 = signals_check()) == OK)
			rc2 = p.hole ? FOUND : chunk_there(v, &p.id);
		if (rc2 != FOUND) {
			rc = rc2;
			break;
		}
	}
	tree_content_close(c);
	return rc == AT_END ? FOUND : is_damage(rc) ? OK : rc;
}

static void
tell(struct lost *l, bool directory)
{
	struct lost_file f = { .snap = l->snap, .path = (const char *)l->path.p, .path_len = l->path.len, .directory = directory };

	if (directory)
		l->stats->directories++;
	else
		l->stats->files++;
	if (l->o->file)
		l->o->file(l->o->arg, &f);
}

static int directory(struct lost *l, const struct name *id);

static int
entry(struct lost *l, const struct treenode_entry *e, bool *whole)
{
	size_t len = l->path.len;
	int rc;

	if ((rc = mem_buf_add(&l->path, "/", 1)) || (rc = mem_buf_add(&l->path, e->name, e->name_len)))
		return rc;
	if (e->kind == TREENODE_DIR)
		rc = e->flags & TREENODE_UNREAD ? FOUND : directory(l, &e->content);
	else if ((rc = file_whole(l->v, e)) == OK)
		tell(l, false);
	l->path.len = len;
	*whole = *whole && rc == FOUND;
	return rc < 0 ? rc : OK;
}

/* FOUND when nothing beneath is lost. */
static int
directory(struct lost *l, const struct name *id)
{
	struct treenode_entry e;
	struct tree_dir *d = NULL;
	bool whole = true;
	int rc;

	if (name_cmp(find(l->seen, id), id) == 0)
		return FOUND;
	if (l->depth >= TREENODE_DEPTH_MAX)
		return fail(ERR_CORRUPT, "directories are nested too deeply");
	l->depth++;
	if ((rc = tree_open(l->v->rd, id, &d)) == OK)
		while ((rc = tree_next(d, &e)) == FOUND && (rc = entry(l, &e, &whole)) == OK)
			continue;
	tree_close(d);
	l->depth--;
	if (is_damage(rc)) {
		tell(l, true);
		return OK;
	}
	if (rc != AT_END)
		return rc;
	if (!whole)
		return OK;
	rc = remember(l->seen, id);
	return rc ? rc : FOUND;
}

int
lost_run(struct view *v, const struct lost_options *o, struct lost_stats *stats)
{
	struct lost l = { .v = v, .o = o, .stats = stats };
	int rc;

	*stats = (struct lost_stats){ 0 };
	rc = lost_seen_new(&l.seen);
	for (size_t i = 0; rc >= 0 && i < v->snaps.count; i++) {
		l.snap = &v->snaps.items[i];
		l.path.len = 0;
		rc = directory(&l, &l.snap->rec.root);
		stats->snapshots += rc == OK;
	}
	mem_buf_clear(&l.path);
	lost_seen_free(l.seen);
	return rc < 0 ? rc : OK;
}

int
lost_entry_whole(struct view *v, struct lost_seen *seen, const struct treenode_entry *e)
{
	struct lost_options quiet = { 0 };
	struct lost_stats stats = { 0 };
	struct lost l = { .v = v, .o = &quiet, .stats = &stats, .seen = seen };
	int rc;

	if (e->kind != TREENODE_DIR)
		return file_whole(v, e);
	rc = e->flags & TREENODE_UNREAD ? FOUND : directory(&l, &e->content);
	mem_buf_clear(&l.path);
	return rc;
}
