/*
 * Entries that are not directories.  What is there already decides:
 *
 *      nothing                 make it
 *      the same                leave it, set what metadata differs
 *      something else          make it under a temporary name, rename it over
 *      a directory             only --delete removes it
 *
 * A regular file never has its own name before it is complete, and what was
 * there does not go before the new content is durable: a loss of power leaves
 * the one or the other.  What is new needs no such care.  The other
 * names of a hard-linked file: placelink.c.
 */
#include "ops/place.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "format/treenode.h"
#include "ops/anchor.h"
#include "ops/placedb.h"
#include "ops/placelink.h"
#include "ops/reopen.h"
#include "ops/special.h"
#include "ops/surplus.h"
#include "sys/clock.h"
#include "sys/fsys.h"

#define PATH_SHOWN 500                  /* bytes of a path in a message */
#define TICK_NS (CLOCK_NS / 10)

const char *
place_path(const struct place *p)
{
	return p->path.len > 1 ? (const char *)p->path.p : "/";
}

int
place_push(struct place *p, const void *name, size_t len, size_t *old_len)
{
	int rc = mem_buf_reserve(&p->path, len + 2);

	*old_len = p->path.len;
	if (rc)
		return rc;
	if (p->path.len > 0)
		p->path.len--;
	memcpy(p->path.p + p->path.len, "/", 1);
	memcpy(p->path.p + p->path.len + 1, name, len);
	p->path.len += len + 2;
	p->path.p[p->path.len - 1] = '\0';
	return OK;
}

void
place_pop(struct place *p, size_t old_len)
{
	p->path.len = old_len;
	if (old_len > 0)
		p->path.p[old_len - 1] = '\0';
}

void
place_item(struct place *p, char what, uint64_t size)
{
	const char *path = place_path(p);

	if (p->o->item && later_pending(p))
		later_item(p, what, size);
	else if (p->o->item)
		p->o->item(p->o->arg, what, path, p->path.len > 1 ? path + p->base_len : "", size);
}

void
place_tick(struct place *p)
{
	int64_t now;

	if (!p->o->progress)
		return;
	now = clock_steady_ns();
	if (now < p->next_tick_ns)
		return;
	p->next_tick_ns = now + TICK_NS;
	p->progress.path = place_path(p);
	p->progress.errors = p->res->errors;
	p->o->progress(p->o->arg, &p->progress);
}

int
place_unproved(struct place *p)
{
	const char *path = place_path(p);

	if (!p->o->verify || p->o->dry_run)
		return OK;
	return later_pending(p) ? later_unproved(p) :
	    mem_buf_add(&p->unproved, path, strlen(path) + 1);
}

/* Nothing more can be done in this target, or at all. */
bool
place_is_final(int rc)
{
	int e = err_errno();

	return rc == ERR_NOMEM || rc == ERR_INTERRUPTED ||
	    e == ENOSPC || e == EDQUOT || e == EROFS;
}

int
place_problem(struct place *p, int rc)
{
	const char *path = place_path(p);
	size_t len = strlen(path);

	if (rc == ERR_INTERRUPTED)
		return rc;
	if (place_is_final(rc))
		return err_context(rc, "cannot restore '%s%s'",
		    len > PATH_SHOWN ? "..." : "",
		    len > PATH_SHOWN ? path + len - PATH_SHOWN : path);
	if (later_pending(p))
		return later_problem(p, rc);
	p->res->errors++;
	if (rc == ERR_CORRUPT)
		p->res->damaged++;
	if (p->o->problem)
		p->o->problem(p->o->arg, path, err_text());
	return OK;
}

bool
place_may_replace(const struct place *p, const struct treenode_entry *e,
    const struct fsys_stat *st)
{
	if (p->o->overwrite == RESTORE_NEVER)
		return false;
	return p->o->overwrite != RESTORE_IF_NEWER || e->mtime > st->mtime ||
	    (e->mtime == st->mtime && e->mtime_ns > st->mtime_ns);
}

bool
place_excluded(const struct place *p, bool dir)
{
	return anchor_excludes(p->o->filter, &p->snap->paths_raw, p->base_len,
	    place_path(p), dir);
}

void
place_meta(const struct place *p, const struct treenode_entry *e,
    struct target_meta *m)
{
	struct cursor c;
	const uint8_t *val;
	size_t len;

	*m = (struct target_meta){
		.mode = e->mode, .uid = owners_uid(&p->owners, e->uid),
		.gid = owners_gid(&p->owners, e->gid),
		.mtime = e->mtime, .mtime_ns = e->mtime_ns,
	};
	if (e->ext_len == 0)
		return;
	if (treenode_ext_find(e->ext, e->ext_len, TREENODE_EXT_XATTR, &val,
	    &len)) {
		m->xattrs = val;
		m->xattrs_len = len;
	}
	if (treenode_ext_find(e->ext, e->ext_len, TREENODE_EXT_FLAGS, &val,
	    &len)) {
		cursor_init(&c, val, len);
		m->flags = cursor_u32(&c);
	}
}

/*
 * What is there is right except perhaps for its metadata; fd: it is open, or
 * -1.
 */
static int
keep(struct place *p, const struct place_spot *s, int fd)
{
	struct target_place at = { .dirfd = s->dir->fd, .name = s->name,
	    .fd = fd, .root = p->root, .dry = p->o->dry_run };
	struct target_meta want;
	bool changed = false;
	int rc;

	place_meta(p, s->e, &want);
	rc = target_fix(&at, &s->st, &want, &changed);
	if (rc == OK)
		place_item(p, changed ? 'm' : 'U', s->e->size);
	p->res->files_unchanged += rc == OK && s->e->kind == TREENODE_FILE;
	return rc;
}

/*
 * An immutable file can neither be renamed nor linked, so that waits until
 * all is in place.
 */
static int
lock_later(struct place *p, struct target_meta *want)
{
	uint32_t flags = want->flags & TARGET_FLAGS_LOCKING;
	const char *path = place_path(p) + p->base_len;
	int rc;

	want->flags &= ~(uint32_t)TARGET_FLAGS_LOCKING;
	if (!flags || !p->root)
		return OK;
	if ((rc = mem_buf_add(&p->locked, &flags, sizeof(flags))))
		return rc;
	return mem_buf_add(&p->locked, path, strlen(path) + 1);
}

/* Give a new file at dir/name (open as fd, or -1) its metadata. */
static int
dress(struct place *p, const struct place_spot *s, const char *name, int fd)
{
	struct target_place at = { .dirfd = s->dir->fd, .name = name,
	    .fd = fd, .root = p->root, .bare = !s->dir->acl };
	struct target_meta want;
	struct fsys_stat st;
	bool changed = false;
	int rc = fd >= 0 ? fsys_stat(fd, "", &st) :
	    fsys_stat(s->dir->fd, name, &st);

	place_meta(p, s->e, &want);
	if (rc || (rc = lock_later(p, &want)))
		return rc;
	return target_fix(&at, &st, &want, &changed);
}

/* A directory in the way is removed only if the user allows it, and nothing in it is to stay. */
int
place_way(struct place *p, const struct place_spot *s)
{
	uint64_t count = 0;
	int rc = s->dir->fresh ? OK : placedb_side(p, s->dir->fd);

	if (rc)
		return rc < 0 ? rc : fail(ERR_FAILED, "it lies beside a database that is not restored with it");
	if (s->there && s->st.mount_root)
		return fail(ERR_FAILED, "something is mounted there");
	if (!s->there || !S_ISDIR(s->st.mode))
		return OK;
	if (!p->o->delete_extra)
		return fail(ERR_FAILED, "a directory is in the way");
	rc = place_excluded(p, true) ? FOUND : surplus_holds(p, s->dir->fd, s->name);
	if (rc)
		return rc < 0 ? rc : fail(ERR_FAILED, "a directory is in the way, with something excluded in it");
	return target_remove(s->dir->fd, s->name, true, &count);
}

int
place_clear(struct place *p, struct place_spot *s)
{
	if (!s->there || !S_ISDIR(s->st.mode))
		return OK;
	s->there = false;
	return p->o->dry_run ? OK : target_remove(s->dir->fd, s->name, false, &p->res->deleted);
}

/* Before what is there goes: it may be a database, whatever comes in its place. */
int
place_look(struct place *p, struct place_spot *s, int fd)
{
	int own = -1, rc;

	if (!s->there || !S_ISREG(s->st.mode))
		return OK;
	if (fd < 0 && fsys_open_file(s->dir->fd, s->name, &own) == OK)
		fd = own;
	if (!s->database)
		s->database = placedb_is_there(s->dir->fd, s->name, fd);
	s->lasts |= s->database;
	rc = s->database ? placedb_may_replace(fd, p->o->force) : OK;
	fsys_close(own);
	return rc;
}

/*
 * Permissions to create a file with: the final ones where that saves setting
 * them, else none for others as long as it is not complete.
 */
static uint32_t
first_mode(const struct place *p, const struct treenode_entry *e)
{
	bool ours = !p->root || (owners_uid(&p->owners, e->uid) == 0 &&
	    owners_gid(&p->owners, e->gid) == 0);

	return e->ext_len || !ours ? 0600 : e->mode & 0777u;
}

/* The complete file gets its name, even if what is there is locked. */
static int
take_name(const struct place *p, const struct place_spot *s, const char *temp)
{
	int rc = target_rename(s->dir->fd, temp, s->name);

	if (rc == OK || err_errno() != EPERM || !p->root || !s->there)
		return rc;
	if (target_unlock(s->dir->fd, s->name))
		return fail(ERR_IO, "what is there cannot be replaced");
	return target_rename(s->dir->fd, temp, s->name);
}

static int
file_write(struct place *p, struct place_spot *s, int old)
{
	char temp[TARGET_TEMP_MAX];
	int fd = -1, rc, shut, worn;

	if ((rc = place_way(p, s)) || (rc = place_look(p, s, old)))
		return rc;
	if (p->o->dry_run)
		goto done;
	do {
		target_temp_name(&p->temp, temp);
		rc = target_create(s->dir->fd, temp, first_mode(p, s->e), &fd);
	} while (rc == ERR_EXISTS);
	if (rc)
		return rc;
	/* An image says nothing of the holes that its file had. */
	p->content.sparse = p->o->sparse || placedb_capture(s->e) != 0;
	if ((rc = refill_write(&p->content, s->e, fd, old)) == OK) {
		worn = dress(p, s, temp, fd);
		rc = worn ? place_problem(p, worn) : OK;
	}
	if (rc == OK && s->database)
		rc = placedb_ready(p, s->e, s->dir->fd, s->name, temp, fd);
	else if (rc == OK && (s->there || s->lasts))
		rc = target_sync(fd);
	shut = target_close(fd);
	rc = rc ? rc : shut;
	if (rc == OK && (rc = place_clear(p, s)) == OK)
		rc = take_name(p, s, temp);
	if (rc == OK && s->lasts)
		rc = target_sync(s->dir->fd);
	if (rc) {
		target_drop(s->dir->fd, temp);
		return rc;
	}
done:
	place_item(p, place_anew(s) ? '+' : 'M', s->e->size);
	p->res->files_restored++;
	return OK;
}

static bool
meta_differs(struct place *p, const struct place_spot *s, int fd)
{
	struct target_place at = { .dirfd = s->dir->fd, .name = s->name,
	    .fd = fd, .root = p->root, .dry = true };
	struct target_meta want;
	bool changed = false;

	place_meta(p, s->e, &want);
	return target_fix(&at, &s->st, &want, &changed) || changed;
}

bool
place_same_times(const struct treenode_entry *e, const struct fsys_stat *st)
{
	return st->size == e->size && st->mtime == e->mtime &&
	    st->mtime_ns == e->mtime_ns;
}

/*
 * FOUND: what is there has the right content; OK: not.  *fd: it is open, else
 * -1.
 */
static int
file_same(struct place *p, struct place_spot *s, int *fd)
{
	const struct treenode_entry *e = s->e;
	int rc;

	*fd = -1;
	if (!s->there || !S_ISREG(s->st.mode))
		return OK;
	if (p->o->overwrite == RESTORE_IF_CHANGED && place_same_times(e, &s->st))
		return FOUND;
	if (fsys_open_file(s->dir->fd, s->name, fd))
		return OK;              /* unreadable: replaced as a whole */
	if ((rc = fsys_stat(*fd, "", &s->st)))
		return rc;
	return S_ISREG(s->st.mode) ?
	    refill_same(&p->content, e, *fd, s->st.size) : OK;
}

/*
 * Would an inode that somebody else made become root's, or setuid?  He may
 * hold it open or mapped, and write to it afterwards: it gets a new one.
 */
static bool
gains_power(struct place *p, const struct place_spot *s, int fd)
{
	struct target_meta want;
	struct treenode_xattr x;
	struct cursor c;

	if (!p->root)
		return false;
	place_meta(p, s->e, &want);
	if (s->st.uid != want.uid || s->st.gid != want.gid ||
	    (want.mode & ~s->st.mode & (S_ISUID | S_ISGID)) != 0)
		return true;
	cursor_init(&c, want.xattrs, want.xattrs_len);
	while (want.xattrs_len && treenode_xattr_next(&c, &x))
		if (x.name_len > 9 && memcmp(x.name, "security.", 9) == 0)
			return meta_differs(p, s, fd);
	return false;
}

static int
place_file(struct place *p, struct place_spot *s)
{
	bool shared = s->there && s->st.nlink > 1;
	int fd, rc;

	if (s->e->flags & TREENODE_UNREAD)
		return fail(ERR_FAILED,
		    "it could not be read when the snapshot was made");
	rc = later_file(p, s->dir, s->e, s->name, first_mode(p, s->e));
	if (rc)
		return rc == FOUND ? OK : rc;
	rc = file_same(p, s, &fd);
	/* Equal, but a journal beside it says something else. */
	if (rc == FOUND && s->database)
		rc = placedb_same(p, s->e, s->dir->fd, s->name, fd);
	/* What is only looked at must be open for its flags and attributes. */
	if (rc == FOUND && fd < 0 && s->e->ext_len)
		(void)!fsys_open_file(s->dir->fd, s->name, &fd);
	/* Another name's metadata must not change through this one. */
	if (rc == FOUND && shared && meta_differs(p, s, fd))
		rc = OK;
	if (rc == FOUND && gains_power(p, s, fd))
		rc = OK;
	if (rc == OK)
		rc = file_write(p, s, fd);
	else if (rc == FOUND && (rc = keep(p, s, fd)) == OK && s->database)
		rc = placedb_settle(s->dir->fd, s->name, p->o->dry_run);
	if (rc == OK && s->database)
		rc = placedb_count_parted(p, s->e, s->dir->fd, s->name);
	fsys_close(fd);
	return rc;
}

bool
place_anew(const struct place_spot *s)
{
	return !s->there || S_ISDIR(s->st.mode);
}

/*
 * Symbolic links, fifos, sockets, devices: they are whole from the start, so a
 * free name needs no temporary one.
 */
static int
place_special(struct place *p, struct place_spot *s)
{
	char temp[TARGET_TEMP_MAX];
	const char *name = s->name;
	int rc;

	if (s->there && special_same(s->dir->fd, s->name, &s->st, s->e))
		return keep(p, s, -1);
	if ((rc = place_way(p, s)) || (rc = place_look(p, s, -1)))
		return rc;
	if (p->o->dry_run)
		goto done;
	if (s->there) {
		target_temp_name(&p->temp, temp);
		name = temp;
	}
	if ((rc = special_make(s->dir->fd, name, s->e)))
		return rc;
	rc = dress(p, s, name, -1);
	if (rc)
		rc = place_problem(p, rc);
	if (name == temp) {
		if (rc == OK && s->database)
			rc = placedb_alone(p, s->e, s->dir->fd, s->name);
		if (rc == OK && (rc = place_clear(p, s)) == OK)
			rc = target_rename(s->dir->fd, temp, s->name);
		if (rc)
			target_drop(s->dir->fd, temp);
	}
	if (rc)
		return rc;
done:
	place_item(p, place_anew(s) ? '+' : 'M', 0);
	p->res->others++;
	return OK;
}

static bool
is_live(const struct place_spot *s)
{
	return s->there && S_ISREG(s->st.mode) && (s->database || placedb_is_there(s->dir->fd, s->name, -1));
}

/* A database that stays may be another one than that to which belongs what the snapshot has beside it. */
static int
skip(struct place *p, const struct place_spot *s)
{
	bool live = is_live(s);
	int rc = OK;

	place_item(p, 's', s->e->size);
	p->res->files_skipped++;
	if (live && place_same_times(s->e, &s->st))
		rc = placedb_same(p, s->e, s->dir->fd, s->name, -1);
	if (live && rc != FOUND && (rc = placedb_refuse(p)))
		return rc;
	return place_unproved(p);
}

/* What was written last to a database may be beside it. */
static bool
may_replace(struct place *p, const struct place_spot *s)
{
	struct fsys_stat st = s->st;

	if (p->o->overwrite == RESTORE_IF_NEWER && S_ISREG(st.mode))
		placedb_newest(s->dir->fd, s->name, &st);
	return place_may_replace(p, s->e, &st);
}

static int
place_here(struct place *p, struct place_spot *s)
{
	bool linked = (s->e->flags & TREENODE_HARDLINK) != 0;
	int rc = OK;

	if (!s->dir->fresh && s->dir->fd >= 0) {
		rc = fsys_stat(s->dir->fd, s->name, &s->st);
		s->there = rc == OK;
		if (rc && rc != ERR_ABSENT)
			return rc;
	}
	if (special_is_device(s->e) && !p->o->devices) {
		p->res->devices++;
		place_item(p, 's', 0);
		return OK;
	}
	if (linked && placelink_is_there(p, s))
		return placelink_keep(p, s);
	if ((s->there && !may_replace(p, s)) || placedb_refused(p))
		return skip(p, s);
	rc = linked ? placelink_make(p, s) : OK;
	if (rc)
		return rc == FOUND ? OK : rc;
	rc = s->e->kind == TREENODE_FILE ? place_file(p, s) :
	    place_special(p, s);
	if (rc == OK && linked)
		rc = placelink_remember(p, s);
	return rc;
}

int
place_entry(struct place *p, const struct place_dir *dir,
    const struct treenode_entry *e)
{
	struct place_spot s = { .dir = dir, .e = e,
	    .database = e->kind == TREENODE_FILE && placedb_capture(e) != 0 };
	int rc;

	memcpy(s.name, e->name, e->name_len);
	s.name[e->name_len] = '\0';
	s.lasts = s.database || placedb_beside_raw(p);
	if (e->kind == TREENODE_FILE) {
		p->res->bytes_total += e->size;
		p->progress.files++;
	}
	rc = place_here(p, &s);
	if (rc && (rc = place_problem(p, rc)) == OK &&
	    (rc = place_unproved(p)) == OK && is_live(&s))
		rc = placedb_refuse(p);
	p->progress.bytes = p->res->bytes_total;
	place_tick(p);
	return rc;
}

int
place_lock(struct place *p)
{
	size_t at = 0, old;
	const char *path, *last;
	uint32_t flags;
	int fd, rc = OK;

	while (rc == OK && at < p->locked.len) {
		memcpy(&flags, p->locked.p + at, sizeof(flags));
		path = (const char *)p->locked.p + at + sizeof(flags);
		at += sizeof(flags) + strlen(path) + 1;
		if ((rc = place_push(p, path + 1, strlen(path + 1), &old)))
			return rc;
		rc = reopen_above(p->root_fd, path, &fd, &last);
		if (rc == OK)
			rc = target_add_flags(fd, last, flags);
		if (rc)
			rc = place_problem(p, rc);
		if (fd != p->root_fd)
			fsys_close(fd);
		place_pop(p, old);
	}
	return rc;
}
