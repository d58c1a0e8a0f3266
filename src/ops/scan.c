/*
 * scan: one recursive walk by directory descriptors.  The parent snapshot's directory runs along in name order, so that finding an
 * entry's predecessor costs nothing; an entry whose size, times and inode are those of its predecessor is reused without opening
 * the file, unless it is racy (scan.racy_ns).
 *
 * What the source does wrong is reported and counted, never returned; what is returned is the store's or a signal.
 */
#include "ops/scan.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "source/filter.h"
#include "source/tags.h"
#include "sys/clock.h"
#include "sys/fsys.h"
#include "sys/signals.h"

#define READ_BUFFER (2u << 20)
#define RACY_NS (60 * CLOCK_NS)
#define PROGRESS_NS (CLOCK_NS / 5)
#define XATTR_MAX (TREENODE_EXT_MAX - 64)

struct scan_link {
	uint64_t dev, inode;            /* inode 0: free */
	int64_t mtime, ctime;
	uint32_t mtime_ns, ctime_ns;
	struct filebuild_content content;
};

/* A directory being listed: its parent snapshot's twin, if any, one entry ahead. */
struct twin {
	struct tree_dir *dir;
	struct treenode_entry e;
	bool have;
};

int
scan_init(struct scan *sc, struct repo *r, struct session *s, const struct snapshot_options *o)
{
	*sc = (struct scan){ .repo = r, .s = s, .o = o };
	chunker_init(&sc->chunker, r->keys->gear, r->hdr.chunk_min, r->hdr.chunk_avg, r->hdr.chunk_max);
	filebuild_init(&sc->file, s, r, &sc->chunker, !o->paranoid && !r->keys->public_slot);
	return mem_new((void **)&sc->buf, READ_BUFFER);
}

void
scan_clear(struct scan *sc)
{
	filebuild_clear(&sc->file);
	reader_free(sc->parent_reader);
	mem_buf_clear(&sc->path);
	free(sc->buf);
	free(sc->links);
	free(sc->uids);
	free(sc->gids);
	explicit_bzero(&sc->chunker, sizeof(sc->chunker));
}

void
scan_parent(struct scan *sc, const struct snaprec *parent)
{
	sc->have_parent = true;
	sc->parent_root = parent->root;
	sc->racy_ns = parent->clock_ns - RACY_NS;
}

/* ---------------------------------------------------------------------------------------------------- reporting */

static const char *
path_text(const struct scan *sc)
{
	return sc->path.len ? (const char *)sc->path.p : "/";
}

static void
problem(struct scan *sc, const char *text)
{
	sc->stats[SNAPREC_ERRORS]++;
	if (sc->o->problem)
		sc->o->problem(sc->o->arg, path_text(sc), text);
}

/* What the source refused is a problem of one path; anything else ends the snapshot. */
static int
source_error(struct scan *sc, int rc)
{
	if (rc == ERR_NOMEM)
		return rc;
	problem(sc, rc == ERR_ABSENT ? "vanished while the snapshot was made" : err_text());
	return OK;
}

static void
item(struct scan *sc, char what, uint64_t size)
{
	if (sc->o->item)
		sc->o->item(sc->o->arg, what, path_text(sc), size);
}

static int
tick(struct scan *sc)
{
	struct snapshot_progress p;
	int64_t now;

	if (sc->o->progress && (now = clock_steady_ns()) >= sc->next_progress_ns) {
		sc->next_progress_ns = now + PROGRESS_NS;
		p = (struct snapshot_progress){ .files = sc->stats[SNAPREC_FILES], .dirs = sc->stats[SNAPREC_DIRS],
			.bytes_total = sc->stats[SNAPREC_BYTES_TOTAL], .bytes_read = sc->stats[SNAPREC_BYTES_READ],
			.bytes_new = session_stats(sc->s)->bytes_new, .errors = sc->stats[SNAPREC_ERRORS], .path = path_text(sc) };
		sc->o->progress(sc->o->arg, &p);
	}
	return signals_check();
}

static int
path_push(struct scan *sc, const char *name, size_t *old)
{
	size_t n = strlen(name);
	int rc = mem_buf_reserve(&sc->path, n + 2);

	*old = sc->path.len;
	if (rc)
		return rc;
	sc->path.p[sc->path.len++] = '/';
	memcpy(sc->path.p + sc->path.len, name, n + 1);
	sc->path.len += n;
	return OK;
}

static void
path_pop(struct scan *sc, size_t old)
{
	sc->path.len = old;
	if (sc->path.p)
		sc->path.p[old] = 0;
}

/* --------------------------------------------------------------------------------------------------- small sets */

static int
set_add(uint32_t **set, size_t *count, size_t *cap, uint32_t v)
{
	size_t lo = 0, hi = *count, mid;
	int rc;

	while (lo < hi) {
		mid = (lo + hi) / 2;
		if ((*set)[mid] == v)
			return OK;
		if ((*set)[mid] < v)
			lo = mid + 1;
		else
			hi = mid;
	}
	if ((rc = mem_grow((void **)set, cap, *count + 1, sizeof(uint32_t))))
		return rc;
	memmove(*set + lo + 1, *set + lo, (*count - lo) * sizeof(uint32_t));
	(*set)[lo] = v;
	(*count)++;
	return OK;
}

static struct scan_link *
link_slot(struct scan_link *links, size_t cap, uint64_t dev, uint64_t inode)
{
	size_t h = (size_t)((inode ^ dev << 32) * 0x9e3779b97f4a7c15ull >> 20) & (cap - 1);

	while (links[h].inode && (links[h].inode != inode || links[h].dev != dev))
		h = (h + 1) & (cap - 1);
	return &links[h];
}

static struct scan_link *
link_find(struct scan *sc, const struct treenode_entry *e)
{
	struct scan_link *l = sc->link_cap ? link_slot(sc->links, sc->link_cap, e->dev, e->inode) : NULL;

	return l && l->inode && l->mtime == e->mtime && l->mtime_ns == e->mtime_ns && l->content.size == e->size ? l : NULL;
}

static int
link_add(struct scan *sc, const struct treenode_entry *e, const struct filebuild_content *content)
{
	size_t cap = sc->link_cap ? sc->link_cap * 2 : 256;
	struct scan_link *links;
	int rc;

	if (e->inode == 0)
		return OK;
	if (sc->link_count * 2 >= sc->link_cap) {
		if ((rc = mem_new((void **)&links, mem_array(cap, sizeof(*links)))))
			return rc;
		for (size_t i = 0; i < sc->link_cap; i++)
			if (sc->links[i].inode)
				*link_slot(links, cap, sc->links[i].dev, sc->links[i].inode) = sc->links[i];
		free(sc->links);
		sc->links = links;
		sc->link_cap = cap;
	}
	links = link_slot(sc->links, sc->link_cap, e->dev, e->inode);
	sc->link_count += links->inode == 0;
	*links = (struct scan_link){ .dev = e->dev, .inode = e->inode, .mtime = e->mtime, .mtime_ns = e->mtime_ns,
		.ctime = e->ctime, .ctime_ns = e->ctime_ns, .content = *content };
	return OK;
}

/* ---------------------------------------------------------------------------------------------- the parent's twin */

static bool
is_damage(int rc)
{
	return rc == ERR_CORRUPT || rc == ERR_AUTH || rc == ERR_ABSENT;
}

/* A parent that cannot be read only costs the shortcut. */
static int
twin_open(struct scan *sc, const struct name *id, struct twin *t)
{
	int rc;

	*t = (struct twin){ 0 };
	if (!id || name_is_zero(id))
		return OK;
	if ((rc = tree_open(sc->parent_reader, id, &t->dir)))
		return is_damage(rc) ? OK : rc;
	rc = tree_next(t->dir, &t->e);
	t->have = rc == FOUND;
	return rc < 0 && !is_damage(rc) ? rc : OK;
}

/* The twin's entry of this name, or NULL. */
static int
twin_find(struct twin *t, const char *name, size_t len, const struct treenode_entry **out)
{
	int cmp, rc;

	*out = NULL;
	while (t->have) {
		cmp = treenode_name_cmp(t->e.name, t->e.name_len, (const uint8_t *)name, len);
		if (cmp == 0)
			*out = &t->e;
		if (cmp >= 0)
			return OK;
		rc = tree_next(t->dir, &t->e);
		t->have = rc == FOUND;
		if (rc < 0 && !is_damage(rc))
			return rc;
	}
	return OK;
}

/* ------------------------------------------------------------------------------------------------------ entries */

static void
entry_stat(struct treenode_entry *e, const struct fsys_stat *st)
{
	e->mode = st->mode & 07777;
	e->uid = st->uid;
	e->gid = st->gid;
	e->mtime = st->mtime;
	e->mtime_ns = st->mtime_ns;
	e->ctime = st->ctime;
	e->ctime_ns = st->ctime_ns;
	e->inode = st->inode;
	switch (st->mode & S_IFMT) {
	case S_IFREG:
		e->kind = TREENODE_FILE;
		e->size = st->size;
		break;
	case S_IFDIR:
		e->kind = TREENODE_DIR;
		break;
	case S_IFLNK:
		e->kind = TREENODE_LINK;
		break;
	case S_IFIFO:
		e->kind = TREENODE_FIFO;
		break;
	case S_IFCHR:
	case S_IFBLK:
		e->kind = (st->mode & S_IFMT) == S_IFCHR ? TREENODE_CHAR : TREENODE_BLOCK;
		e->size = st->rdev_major << 32 | st->rdev_minor;
		break;
	default:
		e->kind = TREENODE_SOCKET;
	}
	if (st->nlink > 1 && e->kind != TREENODE_DIR) {
		e->flags |= TREENODE_HARDLINK;
		e->dev = st->dev;
	}
}

/* Does the old entry tell all about the new one's inode? */
static bool
same_inode(const struct scan *sc, const struct treenode_entry *e, const struct treenode_entry *old)
{
	int64_t racy_s = sc->racy_ns / CLOCK_NS;

	return old && !sc->o->rehash && old->kind == e->kind && old->inode == e->inode &&
	    old->mtime == e->mtime && old->mtime_ns == e->mtime_ns && old->ctime == e->ctime && old->ctime_ns == e->ctime_ns &&
	    e->mtime < racy_s && e->ctime < racy_s;
}

/* Extended attributes and file flags as extensions of the entry; *ext is owned by the caller. */
static int
entry_ext(struct scan *sc, struct treenode_entry *e, int dirfd, const char *name, uint32_t mode, int fd, uint8_t **ext)
{
	uint32_t flags = fd >= 0 ? fsys_flags(fd) : 0;
	uint8_t *xattrs, raw[4];
	size_t len, n = 0, cap;
	int rc;

	*ext = NULL;
	if ((rc = fsys_xattrs(dirfd, name, mode, XATTR_MAX, &xattrs, &len))) {
		if ((rc = source_error(sc, rc)))
			return rc;
		xattrs = NULL;
		len = 0;
	}
	if (len == 0 && flags == 0) {
		free(xattrs);
		return OK;
	}
	cap = len + 64;
	if ((rc = mem_new((void **)ext, cap)) == OK) {
		if (len)
			n += treenode_ext_encode(*ext, cap, TREENODE_EXT_XATTR, xattrs, len);
		for (int i = 0; i < 4; i++)
			raw[i] = (uint8_t)(flags >> (8 * i));
		if (flags)
			n += treenode_ext_encode(*ext + n, cap - n, TREENODE_EXT_FLAGS, raw, sizeof(raw));
		e->ext = *ext;
		e->ext_len = (uint32_t)n;
	}
	free(xattrs);
	return rc;
}

static int
note_owner(struct scan *sc, const struct treenode_entry *e)
{
	int rc = set_add(&sc->uids, &sc->uid_count, &sc->uid_cap, e->uid);

	return rc ? rc : set_add(&sc->gids, &sc->gid_count, &sc->gid_cap, e->gid);
}

/* --------------------------------------------------------------------------------------------------- file content */

/* A run of data [off, end) of fd; *got_end: where the file really ended, if sooner. */
static int
read_run(struct scan *sc, int fd, uint64_t off, uint64_t end, uint64_t *got_end, int *source_rc)
{
	size_t fill = 0, got, want, cut;
	bool eof = false;
	int rc;

	while (!eof || fill) {
		while (!eof && fill < READ_BUFFER) {
			want = READ_BUFFER - fill;
			if (want > end - off)
				want = (size_t)(end - off);
			if (want == 0) {
				eof = true;
				break;
			}
			if ((*source_rc = fsys_read_at(fd, off, sc->buf + fill, want, &got)))
				return OK;
			if (got == 0)
				eof = true;
			fill += got;
			off += got;
			sc->stats[SNAPREC_BYTES_READ] += got;
		}
		want = 0;
		while (want < fill && (cut = chunker_cut(&sc->chunker, sc->buf + want, fill - want, eof)) > 0) {
			if ((rc = filebuild_chunk(&sc->file, sc->buf + want, cut)))
				return rc;
			want += cut;
		}
		memmove(sc->buf, sc->buf + want, fill - want);
		fill -= want;
		if ((rc = tick(sc)))
			return rc;
	}
	*got_end = off;
	return OK;
}

/* All of fd; source errors go to *source_rc. */
static int
read_content(struct scan *sc, int fd, const struct fsys_stat *st, struct tree_content *old, struct filebuild_content *out,
    int *source_rc)
{
	bool sparse = st->blocks * 512 < st->size;
	uint64_t off = 0, start = 0, end = st->size, got;
	int rc;

	*source_rc = OK;
	filebuild_begin(&sc->file, old);
	while (off < st->size) {
		if (sparse && (*source_rc = fsys_next_data(fd, off, st->size, &start, &end)))
			return OK;
		if (start > off && (rc = filebuild_hole(&sc->file, start - off)))
			return rc;
		if (start >= st->size)
			break;
		if ((rc = read_run(sc, fd, start, end, &got, source_rc)) || *source_rc)
			return rc;
		if (got < end)
			break;          /* it shrank: the caller's second stat sees it */
		off = start = end;
		end = st->size;
	}
	return filebuild_end(&sc->file, out);
}

static bool
stat_equal(const struct fsys_stat *a, const struct fsys_stat *b)
{
	return a->size == b->size && a->mtime == b->mtime && a->mtime_ns == b->mtime_ns && a->ctime == b->ctime &&
	    a->ctime_ns == b->ctime_ns;
}

static void
entry_content(struct treenode_entry *e, const struct filebuild_content *c)
{
	e->content = c->id;
	memcpy(e->fingerprint, c->fingerprint, sizeof(e->fingerprint));
	e->size = c->size;
	if (c->list)
		e->flags |= TREENODE_LIST;
}

static int
old_content(struct scan *sc, const struct treenode_entry *old, struct tree_content **out)
{
	int rc;

	*out = NULL;
	if (!old || old->kind != TREENODE_FILE || name_is_zero(&old->content))
		return OK;
	rc = tree_content_open(sc->parent_reader, old, out);
	return rc && !is_damage(rc) ? rc : OK;
}

/* Read a file that may change under our hands: a change means one more try, then a flag. */
static int
read_file(struct scan *sc, struct treenode_entry *e, int fd, struct fsys_stat *st, const struct treenode_entry *old)
{
	struct filebuild_content content;
	struct tree_content *oc;
	struct fsys_stat after;
	int rc, src = OK;

	for (int attempt = 0;; attempt++) {
		if ((rc = old_content(sc, old, &oc)))
			return rc;
		rc = read_content(sc, fd, st, oc, &content, &src);
		tree_content_close(oc);
		if (rc)
			return rc;
		if (src == OK)
			src = fsys_stat(fd, "", &after);
		if (src) {
			e->flags |= TREENODE_UNREAD;
			return source_error(sc, src);
		}
		if (stat_equal(st, &after) && content.size == st->size)
			break;
		if (attempt == 1) {
			e->flags |= TREENODE_CHANGED;
			problem(sc, "changed while it was read: stored as it was found");
			break;
		}
		*st = after;
		entry_stat(e, st);
	}
	entry_content(e, &content);
	sc->stats[SNAPREC_BYTES_NEW] += sc->file.bytes_new;
	return e->flags & TREENODE_HARDLINK && !(e->flags & TREENODE_CHANGED) ? link_add(sc, e, &content) : OK;
}

static int
scan_file(struct scan *sc, struct treenode_entry *e, int dirfd, const char *name, struct fsys_stat *st,
    const struct treenode_entry *old, uint8_t **ext)
{
	struct scan_link *l;
	int rc, fd;

	l = e->flags & TREENODE_HARDLINK ? link_find(sc, e) : NULL;
	if ((rc = fsys_open_file(dirfd, name, &fd))) {
		e->flags |= TREENODE_UNREAD;
		if ((rc = source_error(sc, rc)))
			return rc;
		return entry_ext(sc, e, dirfd, name, st->mode, -1, ext);
	}
	/* What was opened must be what was listed. */
	if ((rc = fsys_stat(fd, "", st)) || (st->mode & S_IFMT) != S_IFREG) {
		fsys_close(fd);
		e->flags |= TREENODE_UNREAD;
		problem(sc, rc ? err_text() : "was replaced while the snapshot was made");
		return OK;
	}
	entry_stat(e, st);
	if (l && l->inode == e->inode && l->content.size == e->size)
		entry_content(e, &l->content);
	else
		rc = read_file(sc, e, fd, st, old);
	if (rc == OK)
		rc = entry_ext(sc, e, dirfd, name, st->mode, fd, ext);
	fsys_close(fd);
	return rc;
}

static int
scan_link_target(struct scan *sc, struct treenode_entry *e, int dirfd, const char *name, uint8_t **target)
{
	char text[TREENODE_TARGET_MAX + 2];
	size_t len;
	int rc = fsys_readlink(dirfd, name, text, sizeof(text), &len);

	if (rc)
		return rc;
	if ((rc = mem_dup_bytes(target, text, len)))
		return rc;
	e->target = *target;
	e->size = len;
	(void)sc;
	return OK;
}

/* -------------------------------------------------------------------------------------------------- the walk */

static int scan_entry(struct scan *sc, struct treebuild *b, int dirfd, const char *name, const char *as,
    const struct treenode_entry *old, bool is_root);

static bool
marked_out(struct scan *sc, int fd, const char **keep)
{
	if (sc->o->exclude_caches && tags_is_cache(fd)) {
		*keep = "CACHEDIR.TAG";
		return true;
	}
	for (size_t i = 0; i < sc->o->if_present_count; i++)
		if (tags_is_present(fd, sc->o->if_present[i])) {
			*keep = sc->o->if_present[i];
			return true;
		}
	return false;
}

/* Is `name` the tag ("NAME" or "NAME:TEXT") of a directory that was left out? */
static bool
is_tag(const char *name, const char *spec)
{
	size_t n = strcspn(spec, ":");

	return strlen(name) == n && memcmp(name, spec, n) == 0;
}

/* The tree of a directory that is open; id of the old tree or zero. */
static int
scan_children(struct scan *sc, int fd, const struct name *old_tree, struct name *id)
{
	const struct treenode_entry *old;
	const char *keep = NULL;
	struct fsys_names names;
	struct treebuild b;
	struct twin t;
	size_t mark;
	int rc;

	if ((rc = fsys_list(fd, &names))) {
		if ((rc = source_error(sc, rc)))
			return rc;
		names = (struct fsys_names){ 0 };
	}
	treebuild_init(&b, sc->s);
	if ((rc = twin_open(sc, sc->have_parent ? old_tree : NULL, &t)))
		goto out;
	if (t.dir)
		treebuild_hint(&b, old_tree);
	(void)marked_out(sc, fd, &keep);
	for (size_t i = 0; rc == OK && i < names.count; i++) {
		const char *name = names.name[i];

		if (keep && !is_tag(name, keep))
			continue;
		if ((rc = twin_find(&t, name, strlen(name), &old)) || (rc = path_push(sc, name, &mark)))
			break;
		if (old)
			treebuild_hint(&b, tree_node_id(t.dir));
		rc = scan_entry(sc, &b, fd, name, name, old, false);
		path_pop(sc, mark);
	}
	if (rc == OK)
		rc = treebuild_end(&b, id);
out:
	tree_close(t.dir);
	treebuild_clear(&b);
	fsys_names_clear(&names);
	return rc;
}

/* FOUND: take the entry; OK: leave it out. */
static int
scan_dir(struct scan *sc, struct treenode_entry *e, int dirfd, const char *name, const struct fsys_stat *st,
    const struct treenode_entry *old, bool is_root, uint8_t **ext)
{
	const struct name none = { { 0 } };
	const struct name *old_tree = old && old->kind == TREENODE_DIR ? &old->content : &none;
	int rc, fd;

	if (sc->depth >= TREENODE_DEPTH_MAX) {
		problem(sc, "directories are nested too deeply");
		e->flags |= TREENODE_UNREAD;
		return OK;
	}
	if ((rc = fsys_open_dir(dirfd, name, &fd))) {
		e->flags |= TREENODE_UNREAD;
		return source_error(sc, rc);
	}
	if (is_root)
		sc->root_dev = st->dev;
	if (old && same_inode(sc, e, old) && old->ext_len) {
		rc = mem_dup_bytes(ext, old->ext, old->ext_len);
		e->ext = *ext;
		e->ext_len = old->ext_len;
	} else if (!old || !same_inode(sc, e, old)) {
		rc = entry_ext(sc, e, dirfd, name, st->mode, fd, ext);
	}
	sc->depth++;
	if (rc == OK && sc->o->one_file_system && st->dev != sc->root_dev) {
		struct treebuild b;

		treebuild_init(&b, sc->s);
		rc = treebuild_end(&b, &e->content);
		treebuild_clear(&b);
	} else if (rc == OK) {
		rc = scan_children(sc, fd, old_tree, &e->content);
	}
	sc->depth--;
	fsys_close(fd);
	return rc;
}

static int
reuse(struct scan *sc, struct treenode_entry *e, const struct treenode_entry *old, bool *reused)
{
	int rc;

	*reused = false;
	if (!same_inode(sc, e, old) || old->size != e->size || old->flags & (TREENODE_CHANGED | TREENODE_UNREAD) ||
	    (old->flags & TREENODE_HARDLINK) != (e->flags & TREENODE_HARDLINK))
		return OK;
	if (!name_is_zero(&old->content)) {
		if ((rc = session_has(sc->s, &old->content)) != FOUND)
			return rc;
	} else if (e->size > 0) {
		return OK;
	}
	e->content = old->content;
	memcpy(e->fingerprint, old->fingerprint, sizeof(e->fingerprint));
	e->flags |= old->flags & TREENODE_LIST;
	e->ext = old->ext;
	e->ext_len = old->ext_len;
	*reused = true;
	return OK;
}

static void
count_file(struct scan *sc, const struct treenode_entry *e, const struct treenode_entry *old, bool reused)
{
	bool same = reused || (old && old->kind == TREENODE_FILE && name_cmp(&old->content, &e->content) == 0 &&
	    old->size == e->size);

	sc->stats[SNAPREC_FILES]++;
	sc->stats[SNAPREC_BYTES_TOTAL] += e->size;
	sc->stats[same ? SNAPREC_FILES_UNMODIFIED : old && old->kind == TREENODE_FILE ? SNAPREC_FILES_CHANGED : SNAPREC_FILES_NEW]++;
	item(sc, same ? 'U' : old ? 'M' : '+', e->size);
}

/* Fill in what the kind needs; the entry is complete afterwards. */
static int
scan_kind(struct scan *sc, struct treenode_entry *e, int dirfd, const char *name, struct fsys_stat *st,
    const struct treenode_entry *old, bool is_root, uint8_t **ext, uint8_t **target)
{
	bool reused = false;
	int rc = OK;

	if (e->kind == TREENODE_DIR) {
		sc->stats[SNAPREC_DIRS]++;
		return scan_dir(sc, e, dirfd, name, st, old, is_root, ext);
	}
	if (e->kind == TREENODE_FILE) {
		if (old && (rc = reuse(sc, e, old, &reused)))
			return rc;
		if (!reused)
			rc = scan_file(sc, e, dirfd, name, st, old, ext);
		if (rc == OK)
			count_file(sc, e, old, reused);
		return rc;
	}
	sc->stats[SNAPREC_OTHERS]++;
	if (e->kind == TREENODE_LINK && (rc = scan_link_target(sc, e, dirfd, name, target)))
		return rc;
	return entry_ext(sc, e, dirfd, name, st->mode, -1, ext);
}

static bool
left_out(struct scan *sc, const struct treenode_entry *e, bool is_root)
{
	if (is_root)
		return false;
	if (sc->o->filter && filter_excludes(sc->o->filter, path_text(sc), sc->root_len, e->kind == TREENODE_DIR))
		return true;
	return e->kind == TREENODE_FILE && sc->o->larger_than && e->size > sc->o->larger_than;
}

/* dirfd/name as the entry `as`. */
static int
scan_entry(struct scan *sc, struct treebuild *b, int dirfd, const char *name, const char *as,
    const struct treenode_entry *old, bool is_root)
{
	struct treenode_entry e = { .name = (const uint8_t *)as, .name_len = (uint16_t)strlen(as) };
	uint8_t *ext = NULL, *target = NULL;
	struct name hint = b->hint;
	struct fsys_stat st;
	int rc;

	if ((rc = tick(sc)))
		return rc;
	if ((rc = fsys_stat(dirfd, name, &st)))
		return source_error(sc, rc);
	entry_stat(&e, &st);
	if (left_out(sc, &e, is_root))
		return OK;
	if ((rc = scan_kind(sc, &e, dirfd, name, &st, old, is_root, &ext, &target))) {
		/* Only a link's text comes back as a source error here. */
		rc = e.kind == TREENODE_LINK && (rc == ERR_IO || rc == ERR_ABSENT) ? source_error(sc, rc) : rc;
		goto out;
	}
	b->hint = hint;
	if ((rc = note_owner(sc, &e)) == OK)
		rc = treebuild_add(b, &e);
	if (rc == ERR_FAILED)
		rc = source_error(sc, rc);
out:
	free(ext);
	free(target);
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
	rc = tree_lookup(sc->parent_reader, &sc->parent_root, path_text(sc), strlen(path_text(sc)), out);
	*have = rc == FOUND;
	return rc < 0 && !is_damage(rc) ? rc : OK;
}

/* The entry of a snapshot path itself; sc->path is the path. */
static int
scan_root(struct scan *sc, struct treebuild *b, const char *as, size_t *found)
{
	struct tree_entry old;
	char *name, *store;
	struct fsys_stat st;
	uint64_t before = sc->stats[SNAPREC_ERRORS];
	bool have;
	int rc, dirfd;

	rc = fsys_open_parent(path_text(sc), &dirfd, &name, &store);
	if (rc == OK && (rc = fsys_stat(dirfd, name, &st))) {
		fsys_close(dirfd);
		free(store);
	}
	if (rc) {
		problem(sc, err_text());
		return rc == ERR_NOMEM ? rc : OK;
	}
	sc->root_len = sc->path.len;
	if ((rc = old_entry(sc, &old, &have)) == OK)
		rc = scan_entry(sc, b, dirfd, name, as, have ? &old.e : NULL, true);
	tree_entry_clear(&old);
	fsys_close(dirfd);
	free(store);
	*found += sc->stats[SNAPREC_ERRORS] == before || rc == OK;
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

	if ((rc = path_push(sc, ".varve", &mark)))
		return rc;
	rc = fsys_open_parent(path_text(sc), &dirfd, &name, &store);
	path_pop(sc, mark);
	e->kind = TREENODE_DIR;
	e->flags = TREENODE_IMPLIED;
	e->mode = 0755;
	if (rc)
		return rc == ERR_NOMEM ? rc : OK;
	if (fsys_stat(dirfd, "", &st) == OK) {
		e->mode = st.mode & 07777;
		e->uid = st.uid;
		e->gid = st.gid;
	}
	fsys_close(dirfd);
	free(store);
	return note_owner(sc, e);
}

/* paths[0 .. count) share the prefix sc->path; off is where their next component begins. */
static int
scan_level(struct scan *sc, char *const *paths, size_t count, struct name *id, size_t *found)
{
	size_t off = sc->path.len + 1, end, n, mark;
	struct treenode_entry e;
	struct treebuild b;
	char *component;
	int rc = OK;

	treebuild_init(&b, sc->s);
	for (size_t i = 0; rc == OK && i < count; i = end) {
		n = strcspn(paths[i] + off, "/");
		for (end = i + 1; end < count && strncmp(paths[end] + off, paths[i] + off, n) == 0 &&
		    (paths[end][off + n] == '/' || paths[end][off + n] == 0); end++)
			;
		if ((rc = mem_dup_bytes((uint8_t **)&component, paths[i] + off, n)))
			break;
		if ((rc = path_push(sc, component, &mark)) == OK) {
			if (paths[i][off + n] == 0) {
				rc = scan_root(sc, &b, component, found);
			} else {
				size_t before = *found;

				e = (struct treenode_entry){ .name = (const uint8_t *)component, .name_len = (uint16_t)n };
				if ((rc = implied(sc, &e)) == OK &&
				    (rc = scan_level(sc, paths + i, end - i, &e.content, found)) == OK && *found > before)
					rc = treebuild_add(&b, &e);
			}
			path_pop(sc, mark);
		}
		free(component);
	}
	if (rc == OK)
		rc = treebuild_end(&b, id);
	treebuild_clear(&b);
	return rc;
}

/* "/" itself is the snapshot path: its directory is the root. */
static int
scan_slash(struct scan *sc, struct name *root, size_t *found)
{
	struct fsys_stat st;
	int rc, fd;

	if ((rc = fsys_open_dir(-1, "/", &fd)) || (rc = fsys_stat(fd, "", &st)))
		return rc;
	sc->root_dev = st.dev;
	sc->stats[SNAPREC_DIRS]++;
	*found = 1;
	rc = scan_children(sc, fd, &sc->parent_root, root);
	fsys_close(fd);
	return rc;
}

int
scan_paths(struct scan *sc, char *const *paths, size_t count, struct name *root)
{
	size_t found = 0;
	int rc;

	if ((rc = mem_buf_reserve(&sc->path, 256)) ||
	    (rc = reader_new(sc->repo, session_index(sc->s), 32u << 20, &sc->parent_reader)))
		return rc;
	sc->path.p[0] = 0;
	rc = count == 1 && strcmp(paths[0], "/") == 0 ? scan_slash(sc, root, &found) : scan_level(sc, paths, count, root, &found);
	if (rc == OK && found == 0)
		rc = fail(ERR_ABSENT, "none of the paths could be read: no snapshot was made");
	return rc;
}

int
scan_pipe(struct scan *sc, int fd, const char *name, struct name *root)
{
	struct treenode_entry e = { .name = (const uint8_t *)name, .name_len = (uint16_t)strlen(name), .kind = TREENODE_FILE,
		.mode = 0600 };
	struct filebuild_content content;
	int64_t now = clock_wall_ns();
	struct treebuild b;
	uint64_t end;
	int rc, src = OK;

	if (!treenode_name_ok(e.name, strlen(name)))
		return fail(ERR_USAGE, "'%s' cannot be the name of a file", name);
	filebuild_begin(&sc->file, NULL);
	if ((rc = read_run(sc, fd, 0, UINT64_MAX / 4, &end, &src)) || (rc = src) || (rc = filebuild_end(&sc->file, &content)))
		return rc;
	e.mtime = now / CLOCK_NS;
	e.mtime_ns = (uint32_t)(now % CLOCK_NS);
	entry_content(&e, &content);
	sc->stats[SNAPREC_BYTES_NEW] += sc->file.bytes_new;
	count_file(sc, &e, NULL, false);
	treebuild_init(&b, sc->s);
	if ((rc = note_owner(sc, &e)) == OK && (rc = treebuild_add(&b, &e)) == OK)
		rc = treebuild_end(&b, root);
	treebuild_clear(&b);
	return rc;
}
