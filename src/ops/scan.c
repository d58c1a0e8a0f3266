/*
 * scan: one recursive walk by directory descriptors.  The parent snapshot's directory runs along in name order, so that finding an
 * entry's predecessor costs nothing; an entry whose size, times and inode are those of its predecessor is reused without opening
 * the file, unless it is racy (scan.racy_ns).
 *
 * The entries of a directory wait in a queue until the contents staged by readfile are stored; then they go into the tree in order.
 *
 * What the source does wrong is reported and counted, never returned; what is returned is the store's or a signal.
 */
#include "ops/scan.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "ops/dbfind.h"
#include "ops/entry.h"
#include "ops/placedb.h"
#include "ops/queue.h"
#include "ops/scanlog.h"
#include "ops/treebuild.h"
#include "ops/twin.h"
#include "source/filter.h"
#include "source/tags.h"
#include "store/tree.h"
#include "sys/clock.h"
#include "sys/fsys.h"
#include "sys/host.h"
#include "sys/scout.h"

#define RACY_NS (60 * CLOCK_NS)
#define QUEUE_MAX 256
#define SCOUTS_MAX 4
#define READER_CACHE (24u << 20)

/* A path of the source that is looked at. */
struct spot {
	int dirfd;
	const char *name, *as;          /* as: in the snapshot */
	const struct fsys_stat *st;     /* NULL: not looked at yet */
	bool is_root;
};

int
scan_init(struct scan *sc, struct repo *r, struct session *s, const struct snapshot_options *o)
{
	unsigned jobs = o->jobs ? o->jobs : host_cpus();
	int rc;

	*sc = (struct scan){ .repo = r, .s = s, .o = o };
	home_find(&sc->home, r);
	if ((rc = scout_new((jobs < SCOUTS_MAX ? jobs : SCOUTS_MAX) - 1, &sc->scout)))
		return rc;
	return readfile_init(&sc->file, r, s, !o->paranoid && !r->keys->public_slot);
}

void
scan_clear(struct scan *sc)
{
	scout_free(sc->scout);
	readfile_clear(&sc->file);
	reader_free(sc->parent_reader);
	mem_buf_clear(&sc->path);
	inodes_clear(&sc->links);
	dbset_clear(&sc->db);
	free(sc->uids.v);
	free(sc->gids.v);
}

void
scan_parent(struct scan *sc, const struct snaprec *parent, struct snaprec_string user)
{
	sc->have_parent = true;
	sc->same_user = parent->user.len == user.len && memcmp(parent->user.p, user.p, user.len) == 0;
	sc->parent_root = parent->root;
	sc->racy_ns = parent->clock_ns - RACY_NS;
}

/* ------------------------------------------------------------------------------------------------------ entries */

bool
scan_same_inode(const struct scan *sc, const struct treenode_entry *e, const struct treenode_entry *old)
{
	int64_t racy_s = sc->racy_ns / CLOCK_NS;

	return old && sc->same_user && !sc->o->rehash && old->kind == e->kind && old->inode == e->inode &&
	    old->mtime == e->mtime && old->mtime_ns == e->mtime_ns && old->ctime == e->ctime && old->ctime_ns == e->ctime_ns &&
	    e->mtime < racy_s && e->ctime < racy_s;
}

/* -------------------------------------------------------------------------------------------------- the walk */

static int scan_entry(struct scan *sc, struct queue *q, const struct spot *at, const struct treenode_entry *old, const struct name *hint);

/* Queue what the directory holds. */
static int
scan_names(struct scan *sc, const struct scout_dir *d, struct twin *t, const struct name *first_hint, struct queue *q,
    struct treebuild *b)
{
	const struct treenode_entry *old;
	const struct name *hint = first_hint;
	const char *keep = tags_marked(d->fd, sc->o->exclude_caches, sc->o->if_present, sc->o->if_present_count);
	size_t mark;
	int rc = OK;

	for (size_t i = 0; rc == OK && i < d->names.count; i++) {
		const char *name = d->names.name[i];
		const struct spot at = { d->fd, name, name, scout_stat(d, i), false };

		/* The tag itself is kept, so that a restored directory is still marked. */
		if (keep && !tags_is_named(name, keep))
			continue;
		if ((rc = twin_find(t, name, strlen(name), &old)) || (rc = scanlog_push(sc, name, &mark)))
			break;
		if (old)
			hint = tree_node_id(t->dir);
		rc = scan_entry(sc, q, &at, old, hint);
		scanlog_pop(sc, mark);
		if (rc == OK && q->count == q->cap)
			rc = queue_drain(sc, q, b);
	}
	return rc;
}

static bool
wants_dir(void *arg, const char *name)
{
	struct scan *sc = arg;
	bool out = false;
	size_t mark;

	if (!sc->o->filter || scanlog_push(sc, name, &mark))
		return true;
	out = filter_excludes(sc->o->filter, scanlog_path(sc), sc->root_len, true);
	scanlog_pop(sc, mark);
	return !out;
}

/* The tree of a directory that is open; old_tree: its predecessor, or zero. */
static int
scan_children(struct scan *sc, struct scout_dir *d, const struct name *old_tree, struct name *id)
{
	struct queue q = { 0 };
	struct treebuild b;
	struct twin t = { 0 };
	int rc;

	treebuild_init(&b, sc->s);
	if ((rc = scout_list(d)) && (rc = scanlog_refused(sc, rc)))
		return rc;
	/* What is mounted elsewhere must not be woken up. */
	if (!sc->o->one_file_system)
		scout_ahead(sc->scout, d, wants_dir, sc);
	if ((rc = queue_init(&q, d->names.count < QUEUE_MAX ? d->names.count + 1 : QUEUE_MAX)) ||
	    (rc = twin_open(&t, sc->parent_reader, sc->have_parent ? old_tree : NULL)))
		goto out;
	treebuild_hint(&b, t.dir ? old_tree : NULL);
	if ((rc = scan_names(sc, d, &t, t.dir ? old_tree : &b.hint, &q, &b)) == OK &&
	    (rc = queue_drain(sc, &q, &b)) == OK)
		rc = treebuild_end(&b, id);
out:
	twin_close(&t);
	treebuild_clear(&b);
	queue_clear(&q);
	return rc;
}

static int
scan_dir(struct scan *sc, struct queue_item *q, int dirfd, const char *name, const struct fsys_stat *st,
    const struct treenode_entry *old, bool is_root)
{
	struct name old_tree = { { 0 } };
	struct scout_dir d;
	int rc;

	sc->stats[SNAPREC_DIRS]++;
	if (old && old->kind == TREENODE_DIR)
		old_tree = old->content;
	if (sc->depth >= TREENODE_DEPTH_MAX) {
		scanlog_problem(sc, "directories are nested too deeply");
		q->e.flags |= TREENODE_UNREAD;
		return OK;
	}
	rc = scout_open(sc->scout, dirfd, name, &d);
	/* What was opened may be another one than what was listed. */
	if (rc == OK && !d.self.mode && (rc = fsys_stat(d.fd, "", &d.self)))
		scout_close(sc->scout, &d);
	if (rc) {
		q->e.flags |= TREENODE_UNREAD;
		return scanlog_refused(sc, rc);
	}
	st = &d.self;
	entry_stat(&q->e, st);
	if (is_root)
		sc->root_dev = st->dev;
	rc = scan_same_inode(sc, &q->e, old) ? queue_copy_ext(q, old) : queue_ext(sc, q, dirfd, name, st->mode, d.fd);
	sc->depth++;
	if (rc == OK && (home_is(&sc->home, st) || (sc->o->one_file_system && st->dev != sc->root_dev)))
		rc = treebuild_empty(sc->s, &q->e.content);
	else if (rc == OK)
		rc = scan_children(sc, &d, &old_tree, &q->e.content);
	sc->depth--;
	scout_close(sc->scout, &d);
	return rc;
}

/* FOUND: the file is as it was in the parent, and its content is there. */
static int
reuse(struct scan *sc, struct queue_item *q, const struct treenode_entry *old)
{
	struct treenode_entry *e = &q->e;
	int rc;

	/* Of databases dbfind knows which are as they were; one that could not be captured is tried again. */
	if (old && placedb_capture(old))
		return OK;
	if (!scan_same_inode(sc, e, old) || old->size != e->size || old->flags & (TREENODE_CHANGED | TREENODE_UNREAD) ||
	    (old->flags & TREENODE_HARDLINK) != (e->flags & TREENODE_HARDLINK))
		return OK;
	if (name_is_zero(&old->content) && e->size > 0)
		return OK;
	if (!name_is_zero(&old->content) && (rc = session_has(sc->s, &old->content)) != FOUND)
		return rc;
	/* Of a list only the top was looked at. */
	if (old->flags & TREENODE_LIST && (rc = session_packs_whole(sc->s)) != FOUND)
		return rc;
	if ((rc = queue_copy_ext(q, old)))
		return rc;
	e->content = old->content;
	memcpy(e->fingerprint, old->fingerprint, sizeof(e->fingerprint));
	e->flags |= old->flags & TREENODE_LIST;
	q->reused = true;
	return FOUND;
}

static int
read_open_file(struct scan *sc, struct queue_item *q, int fd, struct fsys_stat *st, const struct treenode_entry *old)
{
	enum readfile_outcome outcome;
	int rc;

	if (q->e.flags & TREENODE_HARDLINK && inodes_find(&sc->links, &q->e))
		return OK;
	if ((rc = readfile_read(&sc->file, fd, st, old, &q->e, &outcome)))
		return rc;
	if (outcome == READFILE_FAILED)
		scanlog_problem(sc, err_text());
	if (outcome == READFILE_CHANGED)
		scanlog_problem(sc, SNAPSHOT_CHANGED);
	return OK;
}

/* Attributes and flags, and what the entry is as a database. */
static int
database_ext(struct scan *sc, struct queue_item *q, int dirfd, const char *name, const struct dbset_item *db)
{
	int fd = -1, rc;

	/* Whoever may not read a database's flags has not been able to read it either. */
	(void)!fsys_open_file(dirfd, name, &fd);
	if ((rc = queue_ext(sc, q, dirfd, name, db->st.mode, fd)) == OK)
		rc = entry_ext_add(&q->e, &q->mem, TREENODE_EXT_DATABASE, db->ext, sizeof(db->ext));
	fsys_close(fd);
	return rc;
}

/* A database that was captured, or is as it was. */
static int
scan_database(struct scan *sc, struct queue_item *q, int dirfd, const char *name, const struct dbset_item *db)
{
	entry_stat(&q->e, &db->st);
	q->e.size = db->content.size;
	q->e.content = db->content.id;
	memcpy(q->e.fingerprint, db->content.fingerprint, sizeof(q->e.fingerprint));
	if (db->content.list)
		q->e.flags |= TREENODE_LIST;
	q->reused = db->state == DBSET_REUSED;
	sc->stats[SNAPREC_DATABASES]++;
	return database_ext(sc, q, dirfd, name, db);
}

/* A database that could not be captured, and was read like any file. */
static int
raw_database(struct scan *sc, struct queue_item *q, const struct dbset_item *db)
{
	char text[512];

	snprintf(text, sizeof(text), "could not be captured as a database, stored as it was found, unverified: %s", db->res.text);
	scanlog_problem(sc, text);
	sc->stats[SNAPREC_DATABASES]++;
	return entry_ext_add(&q->e, &q->mem, TREENODE_EXT_DATABASE, db->ext, sizeof(db->ext));
}

/* What was opened may be another one than what was listed, and longer: whether it is a database is seen now. */
static bool
is_regular(struct scan *sc, struct queue_item *q, int fd, struct fsys_stat *st)
{
	int rc = fsys_stat(fd, "", st);

	if (rc == OK && S_ISREG(st->mode)) {
		entry_stat(&q->e, st);
		return true;
	}
	q->e.flags |= TREENODE_UNREAD;
	scanlog_problem(sc, rc ? err_text() : "was replaced while the snapshot was made");
	return false;
}

static int
scan_file(struct scan *sc, struct queue_item *q, int dirfd, const char *name, struct fsys_stat *st, const struct treenode_entry *old)
{
	const struct dbset_item *db = dbset_find(sc);
	bool late = false;
	int rc, fd;

	if (old && old->kind == TREENODE_FILE) {
		q->old_file = true;
		q->old_content = old->content;
		q->old_size = old->size;
	}
	if (db && (db->state == DBSET_TAKEN || db->state == DBSET_REUSED))
		return scan_database(sc, q, dirfd, name, db);
	if (!db && (rc = reuse(sc, q, old)))
		return rc == FOUND ? OK : rc;
	if ((rc = fsys_open_file(dirfd, name, &fd))) {
		q->e.flags |= TREENODE_UNREAD;
		rc = scanlog_refused(sc, rc);
		return rc ? rc : queue_ext(sc, q, dirfd, name, st->mode, -1);
	}
	if (!is_regular(sc, q, fd, st))
		rc = OK;
	else if ((rc = dbfind_late(sc, fd, st, &late)) == OK && !late)
		rc = read_open_file(sc, q, fd, st, old);
	if (rc == OK && !late)
		rc = queue_ext(sc, q, dirfd, name, st->mode, fd);
	fsys_close(fd);
	if (rc == OK && late && (rc = dbset_take(sc)) == OK)
		return scan_file(sc, q, dirfd, name, st, old);
	if (rc == OK && db && db->state == DBSET_RAW)
		rc = raw_database(sc, q, db);
	return rc;
}

static bool
left_out(struct scan *sc, const struct treenode_entry *e, bool is_root)
{
	if (is_root)
		return false;
	if (sc->o->filter && filter_excludes(sc->o->filter, scanlog_path(sc), sc->root_len, e->kind == TREENODE_DIR))
		return true;
	return e->kind == TREENODE_FILE && sc->o->larger_than && e->size > sc->o->larger_than;
}

static int
scan_other(struct scan *sc, struct queue_item *q, int dirfd, const char *name, const struct fsys_stat *st, bool *taken)
{
	int rc;

	if (q->e.kind == TREENODE_LINK && (rc = queue_link(q, dirfd, name))) {
		*taken = false;
		return scanlog_refused(sc, rc);
	}
	sc->stats[SNAPREC_OTHERS]++;
	return queue_ext(sc, q, dirfd, name, st->mode, -1);
}

/* Queue what is at the spot, unless it is left out. */
static int
scan_entry(struct scan *sc, struct queue *queue, const struct spot *at, const struct treenode_entry *old, const struct name *hint)
{
	struct queue_item *q = &queue->item[queue->count];
	struct fsys_stat st;
	bool taken = true;
	int rc;

	assert(queue->count < queue->cap);
	if ((rc = scanlog_tick(sc)))
		return rc;
	if (at->st)
		st = *at->st;
	else if ((rc = fsys_stat(at->dirfd, at->name, &st)))
		return scanlog_refused(sc, rc);
	*q = (struct queue_item){ .e = { .name = (const uint8_t *)at->as, .name_len = (uint16_t)strlen(at->as) }, .hint = *hint };
	entry_fill(&q->e, &st);
	/* Its content is in the image of the database. */
	if (q->e.kind == TREENODE_FILE && !at->is_root && dbset_is_side(sc, at->dirfd, at->name))
		return OK;
	if (left_out(sc, &q->e, at->is_root))
		return OK;
	if (q->e.kind == TREENODE_DIR)
		rc = scan_dir(sc, q, at->dirfd, at->name, &st, old, at->is_root);
	else if (q->e.kind == TREENODE_FILE)
		rc = scan_file(sc, q, at->dirfd, at->name, &st, old);
	else
		rc = scan_other(sc, q, at->dirfd, at->name, &st, &taken);
	if (rc == OK && taken)
		queue->count++;
	else
		queue_item_clear(q);
	return rc;
}

/* --------------------------------------------------------------------------------------------------- the root */

/* Old entry of the path in the parent snapshot. */
static int
old_entry(struct scan *sc, struct tree_entry *out, bool *have)
{
	int rc;

	*have = false;
	*out = (struct tree_entry){ 0 };
	if (!sc->have_parent)
		return OK;
	rc = tree_lookup(sc->parent_reader, &sc->parent_root, scanlog_path(sc), strlen(scanlog_path(sc)), out);
	*have = rc == FOUND;
	return rc < 0 && !err_is_damage(rc) ? rc : OK;
}

/* The entry of a snapshot path itself; sc->path is the path. */
static int
scan_root(struct scan *sc, struct queue *q, const char *as, size_t *found)
{
	const struct name none = { { 0 } };
	struct tree_entry old;
	char *name, *store;
	struct fsys_stat st;
	bool have;
	int rc, dirfd;

	rc = fsys_open_parent(scanlog_path(sc), &dirfd, &name, &store);
	if (rc == OK && (rc = fsys_stat(dirfd, name, &st))) {
		fsys_close(dirfd);
		free(store);
	}
	if (rc) {
		scanlog_problem(sc, err_text());
		return rc == ERR_NOMEM ? rc : OK;
	}
	sc->root_len = sc->path.len;
	if ((rc = old_entry(sc, &old, &have)) == OK)
		rc = scan_entry(sc, q, &(struct spot){ dirfd, name, as, &st, true }, have ? &old.e : NULL, &none);
	tree_entry_clear(&old);
	fsys_close(dirfd);
	free(store);
	*found += q->count;
	return rc;
}

/* A directory that is only passed through: mode and owner as found. */
static int
implied(struct scan *sc, struct treenode_entry *e)
{
	struct fsys_stat st;
	char *name, *store;
	size_t mark;
	int rc, dirfd;

	if ((rc = scanlog_push(sc, ".varve", &mark)))
		return rc;
	rc = fsys_open_parent(scanlog_path(sc), &dirfd, &name, &store);
	scanlog_pop(sc, mark);
	e->kind = TREENODE_DIR;
	e->flags = TREENODE_IMPLIED;
	e->mode = 0755;
	if (rc == OK) {
		rc = fsys_stat(dirfd, "", &st);
		fsys_close(dirfd);
		free(store);
	}
	/* If it is not there, or may not be passed, that is told of the path it leads to. */
	if (rc)
		return rc == ERR_ABSENT || (rc == ERR_IO && err_errno() == EACCES) ? OK : scanlog_refused(sc, rc);
	e->mode = st.mode & 07777;
	e->uid = st.uid;
	e->gid = st.gid;
	return OK;
}

static int scan_level(struct scan *sc, char *const *paths, size_t count, struct name *id, size_t *found);

/* The component `name` (n bytes of paths[0]) of this level: a snapshot path itself, or a directory on the way to some. */
static int
scan_component(struct scan *sc, char *const *paths, size_t count, const char *name, bool leaf, struct queue *q, size_t *found)
{
	size_t before = *found, mark;
	int rc;

	if ((rc = scanlog_push(sc, name, &mark)))
		return rc;
	if (leaf) {
		rc = scan_root(sc, q, name, found);
	} else {
		q->item[0] = (struct queue_item){ .e = { .name = (const uint8_t *)name, .name_len = (uint16_t)strlen(name) } };
		if ((rc = implied(sc, &q->item[0].e)) == OK &&
		    (rc = scan_level(sc, paths, count, &q->item[0].e.content, found)) == OK)
			q->count = *found > before;
	}
	scanlog_pop(sc, mark);
	return rc;
}

/* paths[0 .. count) share the prefix sc->path. */
static int
scan_level(struct scan *sc, char *const *paths, size_t count, struct name *id, size_t *found)
{
	size_t off = sc->path.len + 1, end, n;
	struct queue q;
	struct treebuild b;
	uint8_t *name;
	int rc;

	treebuild_init(&b, sc->s);
	rc = queue_init(&q, 1);
	for (size_t i = 0; rc == OK && i < count; i = end) {
		n = strcspn(paths[i] + off, "/");
		for (end = i + 1; end < count && strncmp(paths[end] + off, paths[i] + off, n) == 0 &&
		    (paths[end][off + n] == '/' || paths[end][off + n] == 0); end++)
			;
		if ((rc = mem_dup_bytes(&name, paths[i] + off, n)))
			break;
		if ((rc = scan_component(sc, paths + i, end - i, (char *)name, paths[i][off + n] == 0, &q, found)) == OK)
			rc = queue_drain(sc, &q, &b);
		free(name);
	}
	if (rc == OK)
		rc = treebuild_end(&b, id);
	treebuild_clear(&b);
	queue_clear(&q);
	return rc;
}

/* "/" itself is the snapshot path: its directory is the root. */
static int
scan_slash(struct scan *sc, struct name *root, size_t *found)
{
	struct scout_dir d = { .fd = -1 };
	struct fsys_stat st;
	int rc;

	if ((rc = fsys_open_dir(-1, "/", &d.fd)) || (rc = fsys_stat(d.fd, "", &st)))
		return rc;
	sc->root_dev = st.dev;
	sc->stats[SNAPREC_DIRS]++;
	*found = 1;
	rc = scan_children(sc, &d, &sc->parent_root, root);
	scout_close(sc->scout, &d);
	return rc;
}

int
scan_paths(struct scan *sc, char *const *paths, size_t count, struct name *root)
{
	size_t found = 0;
	int rc;

	sc->file.tick = scanlog_tick;
	sc->file.arg = sc;
	if ((rc = mem_buf_reserve(&sc->path, 256)) ||
	    (rc = reader_new(sc->repo, session_index(sc->s), READER_CACHE, &sc->parent_reader)))
		return rc;
	if (sc->have_parent)
		sc->file.parent_reader = sc->parent_reader;
	sc->path.p[0] = 0;
	/* With a parent few files are looked at before they are stored. */
	scout_set_stats(sc->scout, !sc->have_parent);
	if (sc->o->helper && ((rc = dbfind_paths(sc, paths, count)) || (rc = dbset_take(sc))))
		return rc;
	scout_set_stats(sc->scout, true);
	rc = count == 1 && strcmp(paths[0], "/") == 0 ? scan_slash(sc, root, &found) : scan_level(sc, paths, count, root, &found);
	sc->stats[SNAPREC_BYTES_READ] = sc->file.bytes_read;
	if (rc == OK && found == 0)
		rc = fail(ERR_ABSENT, "none of the paths could be read: no snapshot was made");
	return rc;
}

int
scan_pipe(struct scan *sc, int fd, const char *name, struct name *root)
{
	int64_t now = clock_wall_ns();
	struct treebuild b;
	struct queue q;
	struct queue_item *k;
	int rc;

	if (!treenode_name_ok((const uint8_t *)name, strlen(name)))
		return fail(ERR_USAGE, "'%s' cannot be the name of a file", name);
	sc->file.tick = scanlog_tick;
	sc->file.arg = sc;
	if ((rc = mem_buf_reserve(&sc->path, 256)) || (rc = queue_init(&q, 1)))
		return rc;
	sc->path.p[0] = 0;
	k = &q.item[0];
	*k = (struct queue_item){ .e = { .name = (const uint8_t *)name, .name_len = (uint16_t)strlen(name), .kind = TREENODE_FILE,
		.mode = 0600, .mtime = now / CLOCK_NS, .mtime_ns = (uint32_t)(now % CLOCK_NS) } };
	q.count = 1;
	treebuild_init(&b, sc->s);
	if ((rc = readfile_stream(&sc->file, fd, &k->e)) == OK && (rc = queue_drain(sc, &q, &b)) == OK)
		rc = treebuild_end(&b, root);
	sc->stats[SNAPREC_BYTES_READ] = sc->file.bytes_read;
	treebuild_clear(&b);
	queue_clear(&q);
	return rc;
}
