/*
 * dbfind: a walk that lists directories, and looks at few files: names and kinds come from the directory, the parent snapshot's entries run
 * along.  A file is opened for its first 100 bytes only if its length can be a database's; it is closed before the helper opens it.
 */
#include "ops/dbfind.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "ops/entry.h"
#include "ops/placedb.h"
#include "ops/scan.h"
#include "ops/scanlog.h"
#include "ops/twin.h"
#include "source/filter.h"
#include "source/tags.h"
#include "store/tree.h"
#include "sys/clock.h"
#include "sys/scout.h"

#define PAGE_MIN 512

struct at {                             /* a file in its directory */
	int dirfd;
	const char *name;
	const struct treenode_entry *old;
	bool is_root;
	bool alone;                     /* no "-wal" and no "-journal" is listed beside it */
	const struct fsys_stat *st;     /* looked at ahead; NULL: not */
};

/* The parent's entry: PLACEDB_...; 0: no database. */
static unsigned
captured_as(const struct treenode_entry *old)
{
	return old && old->kind == TREENODE_FILE ? placedb_capture(old) : 0;
}

static bool
wanted(struct scan *sc, bool is_root, bool is_dir)
{
	if (is_root)
		return true;
	if (sc->o->filter && filter_excludes(sc->o->filter, scanlog_path(sc), sc->root_len, is_dir))
		return false;
	return is_dir || !sc->o->sqlite_exclude || !filter_excludes(sc->o->sqlite_exclude, scanlog_path(sc), sc->root_len, false);
}

/* Neither the file nor its WAL or journal has changed since the parent's, whose image is still there. */
static bool
is_unchanged(struct scan *sc, const struct at *a, const struct fsys_stat *st)
{
	struct treenode_entry e = { .name_len = 0 };
	struct dbset_beside now;
	const uint8_t *val;
	size_t len;

	entry_fill(&e, st);
	if (captured_as(a->old) != PLACEDB_BACKUP || !scan_same_inode(sc, &e, a->old) || a->old->flags & (TREENODE_CHANGED | TREENODE_UNREAD))
		return false;
	dbset_look_beside(a->dirfd, a->name, &now);
	return now.newest < sc->racy_ns / CLOCK_NS &&
	    treenode_ext_find(a->old->ext, a->old->ext_len, TREENODE_EXT_DATABASE, &val, &len) &&
	    memcmp(val + TREENODE_BESIDE_AT, now.id, sizeof(now.id)) == 0 && session_has(sc->s, &a->old->content) == FOUND;
}

static bool
has_side(const struct at *a)
{
	struct dbset_beside now;

	dbset_look_beside(a->dirfd, a->name, &now);
	return now.newest != INT64_MIN;
}

static bool
has_header(int fd)
{
	uint8_t header[DBREAD_HEADER_LEN];
	size_t got;

	return fsys_read_at(fd, 0, header, sizeof(header), &got) == OK && got == sizeof(header) && dbread_is_header(header);
}

/* The file at hand.  What cannot be read is left to the walk. */
static int
look_at(struct scan *sc, const struct at *a)
{
	struct fsys_stat st;
	bool is;
	int fd;

	if (a->st)
		st = *a->st;
	else if (fsys_stat(a->dirfd, a->name, &st))
		return OK;
	if (!S_ISREG(st.mode) || st.size < PAGE_MIN || !wanted(sc, a->is_root, false) ||
	    (!a->is_root && sc->o->larger_than && st.size > sc->o->larger_than))
		return OK;
	if (is_unchanged(sc, a, &st))
		return dbset_add(sc, &st, a->old);
	if ((st.size % PAGE_MIN && (a->alone || !has_side(a))) || fsys_open_file(a->dirfd, a->name, &fd))
		return OK;
	is = has_header(fd) && fsys_stat(fd, "", &st) == OK;
	fsys_close(fd);
	return is ? dbset_add(sc, &st, NULL) : OK;
}

int
dbfind_late(struct scan *sc, int fd, const struct fsys_stat *st, bool *is)
{
	*is = false;
	if (!sc->o->helper || st->size < PAGE_MIN || st->size % PAGE_MIN || dbset_find(sc) || !has_header(fd) ||
	    !wanted(sc, false, false))
		return OK;
	*is = true;
	return dbset_add(sc, st, NULL);
}

/* ------------------------------------------------------------------------------------------------------ the walk */

static int find_dir(struct scan *sc, struct scout_dir *d, const struct name *old_tree);

static int
find_below(struct scan *sc, const struct at *a)
{
	struct name old_tree = { { 0 } };
	struct scout_dir d;
	struct fsys_stat st;
	int rc;

	if (a->old && a->old->kind == TREENODE_DIR)
		old_tree = a->old->content;
	if (sc->depth >= TREENODE_DEPTH_MAX || !wanted(sc, a->is_root, true) || scout_open(sc->scout, a->dirfd, a->name, &d))
		return OK;
	sc->depth++;
	if (sc->o->one_file_system && (rc = fsys_stat(d.fd, "", &st)) == OK && a->is_root)
		sc->root_dev = st.dev;
	if (sc->o->one_file_system && st.dev != sc->root_dev)
		rc = OK;
	else
		rc = find_dir(sc, &d, &old_tree);
	sc->depth--;
	scout_close(sc->scout, &d);
	return rc;
}

/* "x-wal" of "x": then x is looked at, whatever the parent knows. */
static bool
is_beside(const struct fsys_names *names, size_t i)
{
	const char *name = names->name[i];
	size_t n = strlen(name);

	for (size_t k = i + 1; k < names->count && strncmp(names->name[k], name, n) == 0; k++)
		if (strcmp(names->name[k] + n, "-wal") == 0 || strcmp(names->name[k] + n, "-journal") == 0)
			return true;
	return false;
}

static int
find_name(struct scan *sc, struct at *a, unsigned char type, const struct fsys_names *names, size_t i)
{
	struct fsys_stat st;
	size_t mark;
	int rc;

	a->alone = !is_beside(names, i);
	if (type == DT_UNKNOWN && fsys_stat(a->dirfd, a->name, &st) == OK)
		type = S_ISDIR(st.mode) ? DT_DIR : S_ISREG(st.mode) ? DT_REG : DT_LNK;
	if (type != DT_DIR && (type != DT_REG || (a->old && !captured_as(a->old) && a->alone)))
		return OK;
	if ((rc = scanlog_push(sc, a->name, &mark)))
		return rc;
	rc = type == DT_DIR ? find_below(sc, a) : look_at(sc, a);
	scanlog_pop(sc, mark);
	return rc;
}

static bool
wants_dir(void *arg, const char *name)
{
	struct scan *sc = arg;
	bool is;
	size_t mark;

	if (!sc->o->filter || scanlog_push(sc, name, &mark))
		return true;
	is = wanted(sc, false, true);
	scanlog_pop(sc, mark);
	return is;
}

static int
find_dir(struct scan *sc, struct scout_dir *d, const struct name *old_tree)
{
	struct twin t = { 0 };
	const char *keep;
	int rc;

	/* What cannot be listed is told by the walk. */
	if (scout_list(d))
		return OK;
	keep = tags_marked(d->fd, sc->o->exclude_caches, sc->o->if_present, sc->o->if_present_count);
	rc = keep ? OK : twin_open(&t, sc->parent_reader, sc->have_parent ? old_tree : NULL);
	/* What is mounted elsewhere must not be woken up. */
	if (!keep && !sc->o->one_file_system)
		scout_ahead(sc->scout, d, wants_dir, sc);
	for (size_t i = 0; rc == OK && !keep && i < d->names.count; i++) {
		struct at a = { .dirfd = d->fd, .name = d->names.name[i], .st = scout_stat(d, i) };

		if ((rc = scanlog_tick(sc)) == OK && (rc = twin_find(&t, a.name, strlen(a.name), &a.old)) == OK)
			rc = find_name(sc, &a, (unsigned char)a.name[-1], &d->names, i);
	}
	twin_close(&t);
	return rc;
}

/* A snapshot path; sc->path is it. */
static int
find_root(struct scan *sc)
{
	struct tree_entry old = { 0 };
	struct fsys_stat st;
	char *name, *store;
	struct at a = { .is_root = true };
	int rc, dirfd;

	/* What is not there is told by the walk. */
	if (fsys_open_parent(scanlog_path(sc), &dirfd, &name, &store))
		return OK;
	a.dirfd = dirfd;
	a.name = name;
	sc->root_len = sc->path.len;
	rc = sc->have_parent ? tree_lookup(sc->parent_reader, &sc->parent_root, scanlog_path(sc), sc->path.len, &old) : OK;
	a.old = rc == FOUND ? &old.e : NULL;
	rc = rc < 0 && !err_is_damage(rc) ? rc : OK;
	if (rc == OK && fsys_stat(dirfd, name, &st) == OK)
		rc = S_ISDIR(st.mode) ? find_below(sc, &a) : S_ISREG(st.mode) ? look_at(sc, &a) : OK;
	tree_entry_clear(&old);
	fsys_close(dirfd);
	free(store);
	return rc;
}

int
dbfind_paths(struct scan *sc, char *const *paths, size_t count)
{
	size_t mark;
	int rc = OK;

	for (size_t i = 0; rc == OK && i < count; i++) {
		if (strcmp(paths[i], "/") == 0)
			rc = find_root(sc);
		else if ((rc = scanlog_push(sc, paths[i] + 1, &mark)) == OK) {
			rc = find_root(sc);
			scanlog_pop(sc, mark);
		}
	}
	return rc;
}
