/*
 * The walk of a restore: down the snapshot's tree and the target at once, with
 * a stack of open directories, one for each level.
 *
 *      level[0]  target            <->  root of the snapshot, or SNAP:PATH
 *      level[1]  target/home       <->  "home"
 *      level[2]  target/home/x     <->  "x"   <- being restored
 *
 * 1. A directory is reached only through its parent's descriptor, by one name,
 *    never through a link.
 * 2. A directory made here has mode 0700 until everything in it is done; then
 *    it gets its own metadata (leave_dir).
 * 3. Entries and names of the target are both sorted: what --delete removes
 *    falls out of walking them side by side, and a damaged tree ends the
 *    removing, since what follows is unknown.
 * 4. Of directories that are only passed through (implied ones, and those
 *    above chosen paths) nothing is removed and no metadata changed.
 *
 * With --verify the same walk is done again, opening and comparing only.
 */
#include "ops/restore.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "ops/chosen.h"
#include "ops/place.h"
#include "ops/placedb.h"
#include "ops/surplus.h"
#include "source/filter.h"
#include "store/fetch.h"
#include "store/tree.h"
#include "sys/clock.h"
#include "sys/entropy.h"
#include "sys/fsys.h"
#include "sys/guard.h"
#include "sys/host.h"
#include "sys/signals.h"

#define CACHE_BYTES (32u << 20)
#define MAKERS_MAX 8

struct level {
	struct place_dir dir;
	struct tree_dir *entries;       /* NULL: none can be read */
	struct treenode_entry e;        /* borrowed from the level above */
	struct fsys_stat st;            /* as it was found, unless dir.fresh */
	struct surplus surplus;
	size_t old_path;                /* p.path before this level */
	bool implied;
	bool all;                       /* wanted as a whole */
	bool bare;                      /* made without inherited attributes */
	bool held;                      /* its name is durable */
};

struct walk {
	struct place p;
	const struct restore_options *o;
	struct reader *rd;
	struct level *levels;
	size_t depth, cap;
	struct chosen chosen;
	char *base;                     /* o->subpath as "/a/b"; root: "" */
	struct tree_entry root;
	bool verifying;
	size_t skip_at;                 /* verifying: next of p.unproved */
};

static struct level *
top(struct walk *w)
{
	return &w->levels[w->depth - 1];
}

static int
push(struct walk *w, const struct level *l)
{
	int rc = mem_grow((void **)&w->levels, &w->cap, w->depth + 1,
	    sizeof(*l));

	if (rc == OK)
		w->levels[w->depth++] = *l;
	return rc;
}

static void
level_clear(struct walk *w, struct level *l)
{
	tree_close(l->entries);
	surplus_clear(&l->surplus);
	if (l->dir.fd != w->p.root_fd)
		fsys_close(l->dir.fd);
	l->dir.fd = -1;
	l->entries = NULL;
}

/* The entries of a directory cannot be read: whatever it is, it counts as damage. */
static int
damage(int rc)
{
	char text[512];

	if (rc == ERR_NOMEM || rc == ERR_INTERRUPTED)
		return rc;
	strncpy(text, err_text(), sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	return fail(ERR_CORRUPT, "%s", text);
}

/* Told once, in the first walk. */
static int
tree_problem(struct walk *w, int rc)
{
	if (rc == ERR_NOMEM || rc == ERR_INTERRUPTED)
		return rc;
	return w->verifying ? OK : place_problem(&w->p, damage(rc));
}

static int
unread(void)
{
	return fail(ERR_FAILED, "it could not be read when the snapshot was "
	    "made");
}

/* Begin with the entries of the directory l, whose path is at hand. */
static int
open_entries(struct walk *w, struct level *l)
{
	int rc;

	if (l->e.flags & TREENODE_UNREAD)
		return w->verifying ? OK : place_problem(&w->p, unread());
	rc = l->entries ? OK : tree_open(w->rd, &l->e.content, &l->entries);
	if (rc)
		return tree_problem(w, rc);
	return w->verifying || l->dir.fresh || l->dir.fd < 0 ? OK :
	    surplus_open(&l->surplus, &w->p, l->dir.fd,
	    w->o->delete_extra && !l->implied);
}

/* Its owner must be able to work in a directory; leave_dir() sets the mode right. */
static int
loosen(struct walk *w, int dirfd, const char *name, const struct fsys_stat *st)
{
	struct target_place at = { .dirfd = dirfd, .name = name, .fd = -1 };
	struct target_meta want = { .mode = st->mode | 0700, .uid = st->uid,
	    .gid = st->gid, .only_access = true };
	bool changed = false;

	if (w->p.root || st->uid != w->p.uid || w->o->dry_run ||
	    (st->mode & 0700) == 0700)
		return OK;
	return target_fix(&at, st, &want, &changed);
}

/*
 * Remove what is in the way of the directory l and is none: only for one
 * whose entries are there, and no database that a process has open.
 */
static int
make_way(struct walk *w, int dirfd, const char *name, struct level *l)
{
	int fd, rc;

	if (l->e.flags & TREENODE_UNREAD)
		return unread();
	if ((rc = tree_open(w->rd, &l->e.content, &l->entries)))
		return damage(rc);
	if (S_ISREG(l->st.mode) && fsys_open_file(dirfd, name, &fd) == OK) {
		if (placedb_is_there(dirfd, name, fd))
			rc = placedb_may_replace(fd, w->o->force);
		fsys_close(fd);
	}
	return rc || w->o->dry_run ? rc : target_unlink(dirfd, name);
}

/* Find or make the directory l under `up`.  AT_END: it is to be skipped. */
static int
dir_open(struct walk *w, const struct level *up, const char *name,
    struct level *l)
{
	int parent = up->dir.fd, rc = OK;
	bool there = false;

	if (!up->dir.fresh && parent >= 0) {
		rc = fsys_stat(parent, name, &l->st);
		there = rc == OK;
		if (rc && rc != ERR_ABSENT)
			return rc;
		if (there && home_is(&w->p.home, &l->st))
			return AT_END;
	}
	if (there && l->implied && S_ISLNK(l->st.mode))
		return fail(ERR_FAILED, "a symbolic link is in the way; "
		    "restore SNAP:PATH to where it leads");
	if (there && !S_ISDIR(l->st.mode)) {
		if (!place_may_replace(&w->p, &l->e, &l->st))
			return AT_END;
		if ((rc = make_way(w, parent, name, l)))
			return rc;
		there = false;
	}
	l->dir.fresh = !there;
	if (there && (rc = loosen(w, parent, name, &l->st)))
		return rc;
	if (!there && w->o->dry_run)
		return OK;
	if ((!there && (rc = target_make_dir(parent, name))) ||
	    (rc = target_open_dir(parent, name, &l->dir.fd)))
		return rc;
	l->bare = !up->dir.acl;
	l->surplus.mount = there && (l->st.mount_root ||
	    l->st.dev != up->st.dev);
	l->surplus.repository = there ? up->surplus.repository : 0;
	if (there)
		l->dir.acl = target_has_default_acl(l->dir.fd);
	else if (up->dir.acl)
		rc = target_drop_default_acl(l->dir.fd);
	return rc;
}

/* The path is that of the directory e; on OK it is left again, or a level deeper in. */
static int
enter_dir(struct walk *w, const struct treenode_entry *e, bool all,
    size_t old_path)
{
	struct level l = { .e = *e, .all = all, .old_path = old_path,
	    .implied = !all || (e->flags & TREENODE_IMPLIED),
	    .dir = { .fd = -1 } };
	char name[TREENODE_NAME_MAX + 1];
	int rc;

	memcpy(name, e->name, e->name_len);
	name[e->name_len] = '\0';
	if (w->depth > TREENODE_DEPTH_MAX)
		rc = fail(ERR_CORRUPT, "directories are too deep");
	else if (w->verifying)
		rc = target_open_dir(top(w)->dir.fd, name, &l.dir.fd);
	else
		rc = dir_open(w, top(w), name, &l);
	if (rc == AT_END) {
		place_item(&w->p, 's', 0);
		rc = place_unproved(&w->p);
	} else if (rc && (rc = place_problem(&w->p, rc)) == OK) {
		rc = place_unproved(&w->p);
	} else if (rc == OK) {
		if (l.dir.fresh && !w->verifying)
			place_item(&w->p, '+', 0);
		w->p.res->dirs += !w->verifying;
		if ((rc = open_entries(w, &l)) || (rc = push(w, &l)))
			level_clear(w, &l);
		return rc;
	}
	level_clear(w, &l);
	place_pop(&w->p, old_path);
	return rc;
}

/* What the metadata of a directory that was there should be, or false: it is not ours to change. */
static bool
dir_wanted(struct walk *w, const struct level *l, struct target_meta *want)
{
	if (l->implied || !place_may_replace(&w->p, &l->e, &l->st)) {
		*want = (struct target_meta){ .mode = l->st.mode & 07777,
		    .uid = l->st.uid, .gid = l->st.gid, .only_access = true };
		return false;
	}
	place_meta(&w->p, &l->e, want);
	return true;
}

static int
dress_dir(struct walk *w, const struct level *l)
{
	struct target_place at = { .dirfd = -1, .name = "", .fd = l->dir.fd,
	    .root = w->p.root, .dry = true };
	bool changed = false, ours = true, ignored = false;
	struct target_meta want;
	struct fsys_stat st;
	int rc = OK;

	if (l->dir.fresh) {
		place_meta(&w->p, &l->e, &want);
		want.only_access = l->implied;
		at.bare = l->bare;
	} else {
		ours = dir_wanted(w, l, &want);
		rc = target_fix(&at, &l->st, &want, &changed);
	}
	at.dry = w->o->dry_run;
	if (rc == OK && !at.dry && (rc = fsys_stat(at.fd, "", &st)) == OK)
		rc = target_fix(&at, &st, &want, &ignored);
	if (rc == OK && !l->dir.fresh && ours)
		place_item(&w->p, changed ? 'm' : 'U', 0);
	return rc;
}

static int
finish_dir(struct walk *w, const struct level *l)
{
	int rc = dress_dir(w, l);

	return rc ? place_problem(&w->p, rc) : OK;
}

/* A directory that was left before all of its files were made. */
struct leaving {
	struct walk *w;
	struct level l;
	struct tree_entry e;
};

static int
leave_now(void *arg, bool dropped)
{
	struct leaving *it = arg;
	int rc = dropped ? OK : finish_dir(it->w, &it->l);

	level_clear(it->w, &it->l);
	tree_entry_clear(&it->e);
	free(it);
	return rc;
}

/* Takes the level's descriptor. */
static int
leave_later(struct walk *w, struct level *l)
{
	struct leaving *it;
	int rc = MEM_NEW(it);

	if (rc)
		return rc;
	if ((rc = tree_entry_copy(&it->e, &l->e)) == OK) {
		it->w = w;
		it->l = *l;
		it->l.e = it->e.e;
		it->l.entries = NULL;
		it->l.surplus = (struct surplus){ 0 };
		if ((rc = later_call(&w->p, leave_now, it)) == OK) {
			l->dir.fd = -1;
			return OK;
		}
	}
	tree_entry_clear(&it->e);
	free(it);
	return rc;
}

/* The directory on top is done. */
static int
leave_dir(struct walk *w)
{
	struct level *l;
	bool untouched, last = w->depth == 1;
	int rc = last ? later_drain(&w->p) : later_check(&w->p);

	l = top(w);
	untouched = last && l->implied;
	if (rc == OK && !w->verifying && l->dir.fd >= 0 && !untouched)
		rc = later_pending(&w->p) ? leave_later(w, l) :
		    finish_dir(w, l);
	if (rc)
		return rc;              /* its files may not be done */
	place_pop(&w->p, l->old_path);
	level_clear(w, l);
	w->depth--;
	return OK;
}

/* Was this one skipped or reported in the first walk? */
static bool
is_unproved(struct walk *w)
{
	const char *next;

	if (w->skip_at >= w->p.unproved.len)
		return false;
	next = (const char *)w->p.unproved.p + w->skip_at;
	if (strcmp(next, place_path(&w->p)) != 0)
		return false;
	w->skip_at += strlen(next) + 1;
	return true;
}

static int
verify_file(struct walk *w, const struct treenode_entry *e)
{
	struct fsys_stat st;
	char name[TREENODE_NAME_MAX + 1];
	int fd = -1, rc;

	if (e->kind != TREENODE_FILE)
		return OK;
	memcpy(name, e->name, e->name_len);
	name[e->name_len] = '\0';
	if ((rc = fsys_open_file(top(w)->dir.fd, name, &fd)) == OK &&
	    (rc = fsys_stat(fd, "", &st)) == OK) {
		target_forget(fd);
		rc = refill_same(&w->p.content, e, fd, st.size);
	}
	fsys_close(fd);
	w->p.res->verified += rc == FOUND;
	if (rc == OK)
		rc = fail(ERR_FAILED, "what was read back is different");
	place_tick(&w->p);
	return rc < 0 ? place_problem(&w->p, rc) : OK;
}

/* A database in the directory on top is to be found after a loss of power. */
static int
hold(struct walk *w)
{
	int rc = OK;

	if (w->levels[0].dir.fresh && !w->levels[0].held)
		(void)!guard_sync_parent(w->o->target);
	w->levels[0].held = true;
	for (size_t i = w->depth; rc == OK && i-- > 1 && !w->levels[i].held;) {
		rc = target_sync(w->levels[i - 1].dir.fd);
		w->levels[i].held = rc == OK;
	}
	return rc ? place_problem(&w->p, rc) : OK;
}

static int
handle(struct walk *w, const struct treenode_entry *e)
{
	bool dir = e->kind == TREENODE_DIR, all = top(w)->all, enter = true;
	uint64_t errors = w->p.res->errors;
	size_t old;
	int rc;

	w->p.all = all && w->root.e.kind == TREENODE_DIR;
	rc = surplus_until(&top(w)->surplus, &w->p, top(w)->dir.fd, e);
	if (rc || (rc = place_push(&w->p, e->name, e->name_len, &old)))
		return rc;
	if (!all) {
		enum chosen_part part = chosen_part(&w->chosen,
		    place_path(&w->p) + w->p.base_len + 1);

		all = part == CHOSEN_ALL;
		enter = all || (part == CHOSEN_WAY && dir);
	}
	if (enter && (place_excluded(&w->p, dir) || (w->verifying && is_unproved(w))))
		enter = false;
	if (enter && dir)
		return enter_dir(w, e, all, old);
	if (enter)
		rc = w->verifying ? verify_file(w, e) :
		    place_entry(&w->p, &top(w)->dir, e);
	if (rc == OK && enter && !w->verifying && !w->o->dry_run &&
	    w->p.res->errors == errors && e->kind == TREENODE_FILE &&
	    placedb_capture(e))
		rc = hold(w);
	place_pop(&w->p, old);
	return rc;
}

static int
step(struct walk *w)
{
	struct level *l = top(w);
	struct treenode_entry e;
	int rc = l->entries ? tree_next(l->entries, &e) : AT_END;

	if (rc == FOUND)
		return handle(w, &e);
	if (rc == AT_END)
		rc = surplus_until(&l->surplus, &w->p, l->dir.fd, NULL);
	else
		rc = tree_problem(w, rc);
	return rc ? rc : leave_dir(w);
}

/* From the root to the end.  The levels are closed whatever happens. */
static int
walk_all(struct walk *w, bool fresh)
{
	bool lone = w->root.e.kind != TREENODE_DIR;
	struct level l = { .e = w->root.e, .old_path = w->p.path.len,
	    .all = w->chosen.whole,
	    .dir = { .fd = w->p.root_fd, .fresh = fresh } };
	int rc;

	l.implied = lone || !l.all || (l.e.flags & TREENODE_IMPLIED);
	l.dir.acl = l.dir.fd >= 0 && target_has_default_acl(l.dir.fd);
	if (!fresh && l.dir.fd >= 0 &&
	    (rc = fsys_stat(l.dir.fd, "", &l.st)))
		return rc;
	if ((!lone && (rc = open_entries(w, &l))) || (rc = push(w, &l))) {
		level_clear(w, &l);
		return rc;
	}
	if (lone)
		rc = handle(w, &w->root.e);
	while (rc == OK && w->depth > 0)
		if ((rc = signals_check()) == OK)
			rc = step(w);
	if (rc)
		later_end(&w->p);       /* before its directories close */
	while (w->depth > 0) {
		level_clear(w, top(w));
		w->depth--;
	}
	return rc;
}

/* Where the walk begins: p.path and p.base_len. */
static int
set_base(struct walk *w)
{
	if (w->root.e.kind != TREENODE_DIR)
		*strrchr(w->base, '/') = '\0';
	w->p.base_len = strlen(w->base);
	return mem_buf_add(&w->p.path, w->base, w->p.base_len + 1);
}

static void
count_piece(void *arg, uint64_t bytes)
{
	struct place *p = arg;

	p->progress.bytes += bytes;
	place_tick(p);
}

static int
prepare(struct walk *w, struct repo *r, const struct snapshots_item *snap)
{
	const struct restore_options *o = w->o;
	int rc;

	home_find(&w->p.home, r);
	w->p.o = o;
	w->p.chosen = &w->chosen;
	w->p.snap = &snap->rec;
	w->p.root_fd = -1;
	w->p.uid = target_user();
	w->p.root = w->p.uid == 0;
	entropy_fill(&w->p.temp, sizeof(w->p.temp));
	w->p.content.rd = w->rd;
	w->p.content.keys = r->keys;
	w->p.content.sparse = o->sparse;
	w->p.content.tick = count_piece;
	w->p.content.arg = &w->p;
	if (!o->subpath && !o->path_count &&
	    (!o->filter || filter_is_empty(o->filter))) {
		w->p.progress.files_total = snap->rec.stats[SNAPREC_FILES];
		w->p.progress.bytes_total =
		    snap->rec.stats[SNAPREC_BYTES_TOTAL];
	}
	w->p.content.jobs = fetch_jobs();
	if ((rc = refill_init(&w->p.content)) ||
	    (rc = owners_load(&w->p.owners, &snap->rec, o->numeric_owner)) ||
	    (rc = chosen_normal("", o->subpath ? o->subpath : "", &w->base)) ||
	    (rc = chosen_look_up(w->rd, &snap->rec.root, w->base, &w->root)) ||
	    (rc = chosen_load(&w->chosen, w->rd, &snap->rec.root, w->base,
	    o->paths, o->path_count)))
		return rc;
	return set_base(w);
}

static int
run(struct walk *w)
{
	const struct restore_options *o = w->o;
	bool implied = w->root.e.kind != TREENODE_DIR ||
	    (w->root.e.flags & TREENODE_IMPLIED) || !w->chosen.whole;
	bool made;
	int rc;

	rc = target_open_root(o->target, implied ? 0777 : 0700, o->dry_run,
	    &w->p.root_fd, &made);
	if (rc)
		return rc;
	if (w->p.root_fd >= 0 && (rc = home_above(&w->p.home, w->p.root_fd)))
		return rc < 0 ? rc : fail(ERR_USAGE, "the target '%s' lies in the "
		    "repository itself", o->target);
	if ((rc = walk_all(w, made)) || (rc = place_lock(&w->p)) ||
	    !o->verify || o->dry_run)
		return rc;
	w->verifying = true;
	w->p.progress.files = 0;
	w->p.progress.bytes = 0;
	target_flush(w->p.root_fd);
	return walk_all(w, false);
}

static void
finish(struct walk *w)
{
	later_end(&w->p);
	tree_entry_clear(&w->root);
	chosen_clear(&w->chosen);
	free(w->base);
	free(w->levels);
	refill_clear(&w->p.content);
	owners_clear(&w->p.owners);
	links_clear(&w->p.links);
	mem_buf_clear(&w->p.path);
	mem_buf_clear(&w->p.locked);
	mem_buf_clear(&w->p.unproved);
	mem_buf_clear(&w->p.refused);
	fsys_close(w->p.root_fd);
}

/* Threads that make files: more than these wait for the file system. */
static unsigned
makers(const struct restore_options *o)
{
	unsigned cpus = host_cpus();

	return o->dry_run ? 0 : cpus < MAKERS_MAX ? cpus : MAKERS_MAX;
}

static int
verdict(const struct restore_result *res)
{
	if (res->damaged)
		return fail(ERR_CORRUPT, "the repository is damaged: %llu "
		    "files or directories were not restored",
		    (unsigned long long)res->damaged);
	if (res->errors)
		return fail(ERR_PARTIAL, "%llu problems: not everything was "
		    "restored", (unsigned long long)res->errors);
	return OK;
}

int
restore_run(struct repo *r, const struct snapshots_item *snap,
    const struct restore_options *o, struct restore_result *res)
{
	struct walk w = { .o = o, .p = { .res = res, .root_fd = -1 } };
	int64_t begin = clock_steady_ns();
	struct index *ix = NULL;
	int rc, unlocked;

	*res = (struct restore_result){ 0 };
	fsys_raise_limits();
	if ((rc = io_lock(r->io, IO_SHARED, true)))
		return rc;
	if ((rc = index_load(r, &ix)) ||
	    (rc = reader_new(r, ix, CACHE_BYTES, &w.rd)) ||
	    (rc = prepare(&w, r, snap)) ||
	    (rc = later_begin(&w.p, makers(o))))
		goto out;
	(void)!reader_ahead(w.rd, host_cpus()); /* without threads it only takes longer */
	rc = run(&w);
	res->bytes_written = w.p.content.written;
	if (rc == OK)
		rc = verdict(res);
out:
	finish(&w);
	reader_free(w.rd);
	index_free(ix);
	unlocked = io_lock(r->io, IO_UNLOCKED, false);
	res->elapsed_ns = clock_steady_ns() - begin;
	return rc ? rc : unlocked;
}
