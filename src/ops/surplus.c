#include "ops/surplus.h"

#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "format/treenode.h"
#include "ops/leftover.h"
#include "ops/place.h"
#include "ops/placedb.h"
#include "store/tree.h"
#include "sys/signals.h"

#define IN_REPOSITORY "it is, or lies in, a repository that the snapshot does not have: nothing in there is removed"

/* Has the snapshot the repository that the directory at hand is?  FOUND, OK.  Where that cannot be told it has not. */
static int
is_known(struct place *p)
{
	struct tree_entry found = { .mem = NULL };
	size_t old;
	int rc = place_push(p, TARGET_REPOSITORY, strlen(TARGET_REPOSITORY), &old);

	if (rc)
		return rc;
	rc = tree_lookup(p->content.rd, &p->snap->root, place_path(p), strlen(place_path(p)), &found);
	if (rc == FOUND && found.e.kind != TREENODE_FILE)
		rc = OK;
	tree_entry_clear(&found);
	place_pop(p, old);
	return rc == FOUND || rc == ERR_NOMEM || rc == ERR_INTERRUPTED ? rc : OK;
}

int
surplus_open(struct surplus *s, struct place *p, int dirfd, bool deletes)
{
	int rc = fsys_list(dirfd, &s->names);

	if (rc)
		return deletes ? place_problem(p, rc) : OK;
	if (!p->o->dry_run)
		leftover_remove(dirfd, &s->names);
	if (p->o->delete_extra && !s->repository && target_is_repository(&s->names)) {
		if ((rc = is_known(p)) < 0)
			return rc;
		s->repository = rc == FOUND ? 0 : ++p->repositories;
	}
	if (!deletes)
		fsys_names_clear(&s->names);
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

	if (p->repository)
		return fail(ERR_FAILED, IN_REPOSITORY);
	if (!p->o->filter || (rc = target_remove(dirfd, name, true, &count)))
		return p->o->filter ? rc : OK;
	return each(p, dirfd, name, find_excluded);
}

/* One name that the snapshot does not have.  Where something excluded is beneath it, only what is not.  FOUND: it lies in a repository. */
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
	if (home_is(&p->home, &st) || place_excluded(p, S_ISDIR(st.mode)) || placedb_refused(p))
		goto out;
	if (p->repository) {
		rc = FOUND;
		goto out;
	}
	if (S_ISREG(st.mode) && (rc = placedb_side(p, dirfd)) == FOUND) {
		rc = OK;
		goto out;
	}
	if (rc == OK && S_ISDIR(st.mode))
		rc = surplus_holds(p, dirfd, name);
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

/* Once for each. */
static int
tell_repository(struct place *p)
{
	if (p->repository_told == p->repository)
		return OK;
	p->repository_told = p->repository;
	return place_problem(p, fail(ERR_FAILED, IN_REPOSITORY));
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

	p->repository = s->repository;
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
		if (rc == FOUND)
			rc = tell_repository(p);
	}
	s->gap = e && is_gap(e);
	return rc;
}
