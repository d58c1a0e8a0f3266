#include "ops/placedb.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "format/treenode.h"
#include "format/snaprec.h"
#include "ops/anchor.h"
#include "ops/chosen.h"
#include "ops/place.h"
#include "source/dbcheck.h"
#include "store/tree.h"
#include "sys/fsys.h"
#include "sys/target.h"

#define IN_USE "another process has this database open, or nobody can tell: stop it first, or say --force"

/* The first says nothing without the others: it goes before them, so that a restore that was killed finds one of those again. */
enum { SIDE_SHM, SIDE_JOURNAL, SIDE_WAL };
static const char *const suffixes[] = { "-shm", "-journal", "-wal" };

unsigned
placedb_capture(const struct treenode_entry *e)
{
	const uint8_t *val;
	struct cursor c;
	size_t len;

	if (!e->ext_len || !treenode_ext_find(e->ext, e->ext_len, TREENODE_EXT_DATABASE, &val, &len))
		return 0;
	cursor_init(&c, val, len);
	(void)cursor_u32(&c);
	return cursor_u32(&c);
}

bool
placedb_is(const struct treenode_entry *e)
{
	return placedb_capture(e) == PLACEDB_BACKUP;
}

static const char *
beside(const char *name, int i, char buf[static TREENODE_NAME_MAX + 16])
{
	snprintf(buf, TREENODE_NAME_MAX + 16, "%s%s", name, suffixes[i]);
	return buf;
}

/* The length of the path at hand without one of the suffixes; 0: it has none. */
static size_t
stem(const char *path)
{
	size_t len = strlen(path);

	for (int i = 0; i < 3; i++)
		if (len > strlen(suffixes[i]) && strcmp(path + len - strlen(suffixes[i]), suffixes[i]) == 0)
			return len - strlen(suffixes[i]);
	return 0;
}

bool
placedb_beside_raw(const struct place *p)
{
	const char *path = place_path(p);
	size_t len = stem(path);
	struct tree_entry found = { .mem = NULL };
	bool raw;

	raw = len > 0 && tree_lookup(p->content.rd, &p->snap->root, path, len, &found) == FOUND && found.e.kind == TREENODE_FILE &&
	    placedb_capture(&found.e) == PLACEDB_RAW;
	tree_entry_clear(&found);
	return raw;
}

struct side {
	char name[TREENODE_NAME_MAX + 16];
	bool there, empty;
	bool known;                     /* the snapshot has it */
	bool full;                      /* and there it is not empty */
	bool comes;                     /* and it is restored now */
	bool own;                       /* known, and equal: it stays */
};

/* Is the entry of this path, beside the one at hand, a part of the restore? */
static bool
is_part(const struct place *p, const char *path)
{
	if (!p->all && chosen_part(p->chosen, path + p->base_len + 1) != CHOSEN_ALL)
		return false;
	return !anchor_excludes(p->o->filter, &p->snap->paths_raw, p->base_len, path, false);
}

/* The snapshot's entry; found: FOUND, else OK. */
static int
look_up(struct place *p, const struct treenode_entry *e, int i, struct tree_entry *found, bool *part)
{
	const char *path = place_path(p);
	struct mem_buf b = { 0 };
	int rc;

	*found = (struct tree_entry){ .mem = NULL };
	if (placedb_is(e))
		return OK;              /* no other file belongs to it */
	if ((rc = mem_buf_add(&b, path, strlen(path))) == OK && (rc = mem_buf_add(&b, suffixes[i], strlen(suffixes[i]) + 1)) == OK) {
		rc = tree_lookup(p->content.rd, &p->snap->root, (const char *)b.p, b.len - 1, found);
		*part = is_part(p, (const char *)b.p);
	}
	mem_buf_clear(&b);
	return rc == FOUND && (found->e.kind != TREENODE_FILE || found->e.flags & TREENODE_UNREAD) ? OK : rc;
}

static int
is_equal(struct place *p, const struct treenode_entry *e, int dirfd, const char *name, uint64_t size)
{
	int fd, rc;

	if (size != e->size || fsys_open_file(dirfd, name, &fd))
		return OK;
	rc = refill_same(&p->content, e, fd, size);
	fsys_close(fd);
	return rc;
}

static int
look(struct place *p, const struct treenode_entry *e, int dirfd, const char *name, int i, struct side *s)
{
	struct fsys_stat st = { 0 };
	struct tree_entry found;
	bool part = false;
	int rc;

	*s = (struct side){ .empty = true };
	s->own = strlen(beside(name, i, s->name)) > TREENODE_NAME_MAX;
	if (s->own)
		return OK;              /* no file can have that name */
	rc = dirfd < 0 ? ERR_ABSENT : fsys_stat(dirfd, s->name, &st);
	if (rc && rc != ERR_ABSENT)
		return rc;
	s->there = rc == OK && !S_ISDIR(st.mode);
	s->empty = !s->there || st.size == 0;
	rc = look_up(p, e, i, &found, &part);
	s->known = rc == FOUND;
	s->full = s->known && found.e.size > 0;
	s->comes = s->known && part;
	if (s->known && s->there && S_ISREG(st.mode))
		rc = is_equal(p, &found.e, dirfd, s->name, st.size);
	else if (s->known)
		rc = OK;
	s->own = rc == FOUND;
	tree_entry_clear(&found);
	return rc == FOUND ? OK : rc;
}

/* Where nobody can have it open, or nobody is asked, no. */
static bool
in_use(const struct place *p, int dirfd, const char *name, int fd)
{
	int own = -1;
	bool used;

	if (p->o->force)
		return false;
	if (fd < 0 && fsys_open_file(dirfd, name, &own) == OK)
		fd = own;
	used = fd >= 0 && target_in_use(fd);
	fsys_close(own);
	return used;
}

/* The snapshot has another one, which is not restored: neither may stay beside a new database, and neither is ours to remove. */
static bool
is_foreign(const struct side *s)
{
	return s->known && !s->comes && !s->empty && !s->own;
}

int
placedb_same(struct place *p, const struct treenode_entry *e, int dirfd, const char *name, int fd)
{
	bool any = false, comes = false;
	struct side s;
	int rc;

	for (int i = 0; i < 3; i++) {
		if ((rc = look(p, e, dirfd, name, i, &s)) || (i > 0 && !s.empty && !s.own && !is_foreign(&s)))
			return rc;
		any |= s.there;
		comes |= s.comes && !s.own;
	}
	if ((!any && !comes) || !in_use(p, dirfd, name, fd))
		return FOUND;
	if (comes)
		return fail(ERR_FAILED, IN_USE);
	return (rc = placedb_refuse(p)) ? rc : FOUND;
}

int
placedb_refuse(struct place *p)
{
	const char *path = place_path(p);

	return mem_buf_add(&p->refused, path, strlen(path) + 1);
}

bool
placedb_refused(const struct place *p)
{
	const char *path = place_path(p);
	size_t len = stem(path), one;

	for (size_t i = 0; len > 0 && i < p->refused.len; i += one + 1) {
		const char *at = (const char *)p->refused.p + i;

		one = strlen(at);
		if (one == len && memcmp(path, at, len) == 0)
			return true;
	}
	return false;
}

int
placedb_may_replace(int fd, bool force)
{
	if (force || (fd >= 0 && !target_in_use(fd)))
		return OK;
	return fail(ERR_FAILED, IN_USE);
}

static bool
begins_with(int dirfd, const char *name, int fd, const char *magic, size_t len)
{
	char head[16];
	size_t got = 0;
	int own = -1;

	if (fd < 0 && fsys_open_file(dirfd, name, &own) == OK)
		fd = own;
	if (fd >= 0 && fsys_read_at(fd, 0, head, len, &got))
		got = 0;
	fsys_close(own);
	return got == len && memcmp(head, magic, len) == 0;
}

static bool
is_database(int dirfd, const char *name, int fd)
{
	return begins_with(dirfd, name, fd, "SQLite format 3", 16);
}

bool
placedb_is_there(int dirfd, const char *name, int fd)
{
	char side[TREENODE_NAME_MAX + 16];

	return is_database(dirfd, name, fd) ||
	    begins_with(dirfd, beside(name, SIDE_WAL, side), -1, "\x37\x7f\x06\x82", 4) ||
	    begins_with(dirfd, side, -1, "\x37\x7f\x06\x83", 4) ||
	    begins_with(dirfd, beside(name, SIDE_JOURNAL, side), -1, "\xd9\xd5\x05\xf9\x20\xa1\x63\xd7", 8);
}

/* Is the database at `path` brought to the snapshot's state here, or deleted?  One that came before in the walk and stays is refused. */
static bool
is_restored(struct place *p, const char *path, size_t len)
{
	struct tree_entry found = { .mem = NULL };
	int rc = tree_lookup(p->content.rd, &p->snap->root, path, len, &found);
	bool is = rc == FOUND && found.e.kind == TREENODE_FILE && !(found.e.flags & TREENODE_UNREAD) && is_part(p, path);

	tree_entry_clear(&found);
	return is || (rc == OK && p->o->dry_run && p->o->delete_extra &&
	    !anchor_excludes(p->o->filter, &p->snap->paths_raw, p->base_len, path, false));
}

static int
side_of(struct place *p, int dirfd, const char *path, size_t len)
{
	const char *name = strrchr(path, '/') + 1;
	struct fsys_stat st;
	int fd, rc = OK;

	if (fsys_stat(dirfd, name, &st) || !S_ISREG(st.mode))
		return OK;
	/* One that cannot be read may be a database. */
	if (fsys_open_file(dirfd, name, &fd))
		fd = -1;
	if (fd < 0 || is_database(dirfd, name, fd))
		rc = is_restored(p, path, len) ? placedb_may_replace(fd, p->o->force) : FOUND;
	fsys_close(fd);
	return rc;
}

int
placedb_side(struct place *p, int dirfd)
{
	size_t len = stem(place_path(p));
	struct mem_buf path = { 0 };
	int rc;

	if (len == 0 || dirfd < 0)
		return OK;
	if ((rc = mem_buf_add(&path, place_path(p), len)) == OK && (rc = mem_buf_add(&path, "", 1)) == OK)
		rc = side_of(p, dirfd, (const char *)path.p, len);
	mem_buf_clear(&path);
	return rc;
}

void
placedb_newest(int dirfd, const char *name, struct fsys_stat *st)
{
	struct fsys_stat at, newest = *st;
	char side[TREENODE_NAME_MAX + 16];

	for (int i = SIDE_JOURNAL; i <= SIDE_WAL; i++)
		if (fsys_stat(dirfd, beside(name, i, side), &at) == OK && S_ISREG(at.mode) && at.size > 0 &&
		    (at.mtime > newest.mtime || (at.mtime == newest.mtime && at.mtime_ns > newest.mtime_ns)))
			newest = at;
	if ((newest.mtime != st->mtime || newest.mtime_ns != st->mtime_ns) && placedb_is_there(dirfd, name, -1)) {
		st->mtime = newest.mtime;
		st->mtime_ns = newest.mtime_ns;
	}
}

int
placedb_alone(struct place *p, const struct treenode_entry *e, int dirfd, const char *name)
{
	struct side s;
	bool any = false;
	int rc;

	for (int i = 0; i < 3; i++) {
		if ((rc = look(p, e, dirfd, name, i, &s)))
			return rc;
		if (is_foreign(&s))
			return fail(ERR_FAILED, "'%s' lies beside it, and the snapshot's is not restored with it: restore both", s.name);
	}
	for (int i = 0; i < 3; i++) {
		if ((rc = look(p, e, dirfd, name, i, &s)))
			return rc;
		rc = s.own || !s.there ? ERR_ABSENT : target_unlink(dirfd, s.name);
		any |= rc == OK;
		if (rc && rc != ERR_ABSENT)
			return err_context(rc, "'%s' lies beside it", s.name);
	}
	return any ? target_sync(dirfd) : OK;
}

int
placedb_ready(struct place *p, const struct treenode_entry *e, int dirfd, const char *name, const char *temp, int fd)
{
	int rc = target_sync(fd);

	if (rc == OK && p->o->check_databases && placedb_is(e))
		rc = dbcheck_file(dirfd, temp, 0, NULL);
	return rc ? rc : placedb_alone(p, e, dirfd, name);
}

int
placedb_count_parted(struct place *p, const struct treenode_entry *e, int dirfd, const char *name)
{
	struct side s;
	bool any = false;
	int rc;

	for (int i = 1; i < 3; i++) {
		if ((rc = look(p, e, dirfd, name, i, &s)))
			return rc;
		any |= s.full && !s.comes && !s.own;
	}
	p->res->parted += any;
	return OK;
}

int
placedb_settle(int dirfd, const char *name, bool dry)
{
	int rc = dry ? OK : target_sync_name(dirfd, name);

	return rc || dry ? rc : target_sync(dirfd);
}
