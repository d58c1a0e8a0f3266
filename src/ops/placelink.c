#include "ops/placelink.h"

#include "base/err.h"
#include "format/treenode.h"
#include "ops/links.h"
#include "ops/place.h"
#include "ops/placedb.h"
#include "ops/reopen.h"
#include "ops/special.h"
#include "sys/fsys.h"
#include "sys/target.h"

/* What is there was looked at (place_look).  What lies beside it is not the new database's. */
static int
link_ready(struct place *p, const struct place_spot *s, int from, const char *old)
{
	int rc;

	if (s->e->kind != TREENODE_FILE || (!s->there && !s->database))
		return OK;
	if ((rc = target_sync_name(from, old)) || !s->database)
		return rc;
	return placedb_alone(p, s->e, s->dir->fd, s->name);
}

static int
link_replace(struct place *p, struct place_spot *s, int from, const char *old)
{
	char temp[TARGET_TEMP_MAX];
	int rc;

	target_temp_name(&p->temp, temp);
	if ((rc = target_link(from, old, s->dir->fd, temp)))
		return rc;
	if ((rc = link_ready(p, s, from, old)) == OK && (rc = place_clear(p, s)) == OK)
		rc = target_rename(s->dir->fd, temp, s->name);
	if (rc)
		target_drop(s->dir->fd, temp);
	return rc;
}

static int
link_make(struct place *p, struct place_spot *s, int from, const char *old)
{
	int rc;

	if (s->there)
		rc = link_replace(p, s, from, old);
	else if ((rc = link_ready(p, s, from, old)) == OK)
		rc = target_link(from, old, s->dir->fd, s->name);
	return rc == OK && s->database ? target_sync(s->dir->fd) : rc;
}

int
placelink_keep(struct place *p, struct place_spot *s)
{
	int rc = FOUND;

	if (s->database && !p->o->dry_run)
		rc = placedb_same(p, s->e, s->dir->fd, s->name, -1);
	if (rc == OK && (rc = place_look(p, s, -1)) == OK)
		rc = link_ready(p, s, s->dir->fd, s->name);
	else if (rc == FOUND)
		rc = OK;
	if (rc == OK && s->database)
		rc = placedb_settle(s->dir->fd, s->name, p->o->dry_run);
	if (rc)
		return rc;
	place_item(p, 'U', s->e->size);
	p->res->files_unchanged += s->e->kind == TREENODE_FILE;
	return OK;
}

bool
placelink_is_there(const struct place *p, const struct place_spot *s)
{
	const struct links_entry *l = links_find(&p->links, s->e);

	return l && s->there && l->target_inode && s->st.dev == l->target_dev && s->st.inode == l->target_inode;
}

int
placelink_make(struct place *p, struct place_spot *s)
{
	const struct links_entry *l = links_find(&p->links, s->e);
	struct fsys_stat st;
	const char *last;
	int from, rc;

	if (!l)
		return OK;
	if ((rc = place_way(p, s)) || (rc = place_look(p, s, -1)))
		return rc;
	if (!p->o->dry_run) {
		rc = reopen_above(p->root_fd, links_path(&p->links, l), &from, &last);
		if (rc == OK && (rc = fsys_stat(from, last, &st)) == OK && st.dev == l->target_dev && st.inode == l->target_inode &&
		    (s->e->kind == TREENODE_FILE || special_same(from, last, &st, s->e)))
			rc = link_make(p, s, from, last);
		else if (rc == OK)
			rc = fail(ERR_ABSENT, "the first name is gone");
		if (from != p->root_fd)
			fsys_close(from);
		if (rc)
			return place_is_final(rc) ? rc : OK;
	}
	place_item(p, place_anew(s) ? '+' : 'M', s->e->size);
	p->res->files_restored += s->e->kind == TREENODE_FILE;
	p->res->others += s->e->kind != TREENODE_FILE;
	return FOUND;
}

int
placelink_remember(struct place *p, const struct place_spot *s)
{
	struct fsys_stat st = { 0 };
	int rc;

	if (s->dir->fd >= 0 && (!p->o->dry_run || s->there) && (rc = fsys_stat(s->dir->fd, s->name, &st)))
		return rc == ERR_ABSENT ? OK : rc;
	return links_add(&p->links, s->e, &st, place_path(p) + p->base_len);
}
