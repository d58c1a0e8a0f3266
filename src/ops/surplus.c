#include "ops/surplus.h"

#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "format/treenode.h"
#include "ops/leftover.h"
#include "ops/place.h"
#include "ops/placedb.h"
#include "sys/signals.h"

int
surplus_open(struct surplus *s, struct place *p, int dirfd, bool deletes)
{
	int rc = fsys_list(dirfd, &s->names);

	if (rc)
		return deletes ? place_problem(p, rc) : OK;
	if (!p->o->dry_run)
		leftover_remove(dirfd, &s->names);
	if (!deletes)
		surplus_clear(s);
	return OK;
}

void
surplus_clear(struct surplus *s)
{
	fsys_names_clear(&s->names);
	*s = (struct surplus){ 0 };
}

typedef int (*each_fn)(struct place *p, int dirfd, const char *name);

/* Call fn for each name in the directory dirfd/name, until it is not OK. */
static int
each(struct place *p, int dirfd, const char *name, each_fn fn)
{
	struct fsys_names names = { 0 };
	int fd, rc = target_open_dir(dirfd, name, &fd);

	if (rc)
		return rc;
	rc = fsys_list(fd, &names);
	for (size_t i = 0; rc == OK && i < names.count; i++)
		if ((rc = signals_check()) == OK)
			rc = fn(p, fd, names.name[i]);
	fsys_names_clear(&names);
	fsys_close(fd);
	return rc;
}

/* Recursion: target_remove has found it not to be too deep. */
static int
find_excluded(struct place *p, int dirfd, const char *name)
{
	struct fsys_stat st;
	size_t old;
	int rc = fsys_stat(dirfd, name, &st);

	if (rc)
		return rc == ERR_ABSENT ? OK : rc;
	if ((rc = place_push(p, name, strlen(name), &old)))
		return rc;
	if (place_excluded(p, S_ISDIR(st.mode)))
		rc = FOUND;
	else if (S_ISDIR(st.mode))
		rc = each(p, dirfd, name, find_excluded);
	place_pop(p, old);
	return rc;
}

int
surplus_holds(struct place *p, int dirfd, const char *name)
{
	uint64_t count = 0;
	int rc;

	if (!p->o->filter || (rc = target_remove(dirfd, name, true, &count)))
		return p->o->filter ? rc : OK;
	return each(p, dirfd, name, find_excluded);
}

/* One name that the snapshot does not have.  Where something excluded is beneath it, only what is not. */
static int
delete_one(struct place *p, int dirfd, const char *name)
{
	struct fsys_stat st;
	size_t old;
	int rc = fsys_stat(dirfd, name, &st);

	if (rc)
		return rc == ERR_ABSENT ? OK : place_problem(p, rc);
	if ((rc = place_push(p, name, strlen(name), &old)))
		return rc;
	if (home_is(&p->home, &st) || place_excluded(p, S_ISDIR(st.mode)) || placedb_refused(p) ||
	    placedb_is_foreign(p, dirfd))
		goto out;
	rc = S_ISDIR(st.mode) ? surplus_holds(p, dirfd, name) : OK;
	if (rc == FOUND)
		rc = each(p, dirfd, name, delete_one);
	else if (rc == OK && (rc = target_remove(dirfd, name, p->o->dry_run, &p->res->deleted)) == OK)
		place_item(p, '-', S_ISREG(st.mode) ? st.size : 0);
	if (rc)
		rc = place_problem(p, rc);
out:
	place_pop(p, old);
	return rc;
}

/* What `repair snapshots` puts in the place of a lost node: its first name and nothing else. */
static bool
is_gap(const struct treenode_entry *e)
{
	return e->kind == TREENODE_FILE && e->flags == TREENODE_UNREAD && !e->size && !e->mode && !e->inode && !e->mtime;
}

int
surplus_until(struct surplus *s, struct place *p, int dirfd, const struct treenode_entry *e)
{
	int rc = OK, d = -1;

	if (s->mount && !e && s->names.count > 0) {
		p->res->mounts++;
		place_item(p, 's', 0);
		return OK;
	}
	s->mount = false;
	while (rc == OK && s->next < s->names.count) {
		const char *at = s->names.name[s->next];

		if (e)
			d = treenode_name_cmp((const uint8_t *)at, strlen(at), e->name, e->name_len);
		if (d > 0)
			break;
		s->next++;
		if (d < 0 && !s->gap && (rc = signals_check()) == OK)
			rc = delete_one(p, dirfd, at);
	}
	s->gap = e && is_gap(e);
	return rc;
}
