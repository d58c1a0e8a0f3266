/*
 * dbset: databases through the helper into the session.
 *
 * An image is cut at page boundaries.  Where the parent snapshot's image has a cut, it is made again (inherited), so that a page changed
 * in place never moves a boundary; beyond its end, and without a parent, every `unit` bytes, which depends on the size.
 */
#include "ops/dbset.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "codec/digest.h"
#include "format/emit.h"
#include "ops/scan.h"
#include "ops/scanlog.h"
#include "store/tree.h"
#include "sys/clock.h"

#define HOLLOW_LEAST (UINT64_C(1) << 30)
#define HOLLOW_PART 1024u               /* less than one byte in so many is there */
#define BATCH 200                       /* databases held at once: three descriptors each in the helper */
#define UNIT_MAX (64u << 10)

void
dbset_clear(struct dbset *d)
{
	for (size_t i = 0; i < d->count; i++)
		free(d->items[i].path);
	free(d->items);
	dbread_free(d->helper);
	*d = (struct dbset){ 0 };
}

static uint64_t
hash_path(const char *s, size_t len)
{
	uint64_t h = 0xcbf29ce484222325ull;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (unsigned char)s[i]) * 0x100000001b3ull;
	return h;
}

static struct dbset_item *
find(const struct dbset *d, const char *path, size_t len)
{
	uint64_t h = hash_path(path, len);

	for (size_t i = 0; i < d->count; i++)
		if (d->items[i].hash == h && strncmp(d->items[i].path, path, len) == 0 && d->items[i].path[len] == '\0')
			return &d->items[i];
	return NULL;
}

struct dbset_item *
dbset_find(const struct scan *sc)
{
	return sc->db.count ? find(&sc->db, scanlog_path(sc), sc->path.len) : NULL;
}

/* Empty, zeroed or not to be read, or what SQLite writes there: a -shm is in the machine's byte order. */
static bool
begins_as_side(int dirfd, const char *name, int kind)
{
	static const uint8_t wal[] = { 0x37, 0x7f, 0x06 }, journal[] = { 0xd9, 0xd5, 0x05, 0xf9, 0x20, 0xa1, 0x63, 0xd7 }, none[8] = { 0 };
	static const uint32_t shm = 3007000;
	uint8_t head[8] = { 0 };
	size_t got = 0;
	int fd;

	if (fsys_open_file(dirfd, name, &fd))
		return true;
	if (fsys_read_at(fd, 0, head, sizeof(head), &got))
		got = 0;
	fsys_close(fd);
	if (memcmp(head, none, sizeof(head)) == 0)
		return true;
	switch (kind) {
	case 0:
		return memcmp(head, wal, sizeof(wal)) == 0 && (head[3] == 0x82 || head[3] == 0x83);
	case 1:
		return memcmp(head, &shm, sizeof(shm)) == 0;
	default:
		return memcmp(head, journal, sizeof(journal)) == 0;
	}
}

bool
dbset_is_side(const struct scan *sc, int dirfd, const char *name)
{
	static const char *const suffix[] = { "-wal", "-shm", "-journal" };
	const char *path = scanlog_path(sc);
	const struct dbset_item *it;

	for (int i = 0; sc->db.count && i < 3; i++) {
		size_t n = strlen(suffix[i]);

		if (sc->path.len <= n || strcmp(path + sc->path.len - n, suffix[i]) != 0)
			continue;
		it = find(&sc->db, path, sc->path.len - n);
		return it && (it->state == DBSET_TAKEN || it->state == DBSET_REUSED) && begins_as_side(dirfd, name, i);
	}
	return false;
}

bool
dbset_one_instant(const struct dbset *d)
{
	bool any = false;

	for (size_t i = 0; i < d->count; i++) {
		const struct dbset_item *it = &d->items[i];

		if (it->state == DBSET_RAW || (it->state == DBSET_TAKEN && !it->res.one_instant))
			return false;
		any |= it->state != DBSET_NOT;
	}
	return any && !d->scattered;
}

void
dbset_look_beside(int dirfd, const char *name, struct dbset_beside *out)
{
	static const char *const suffix[] = { "-wal", "-journal" };
	uint8_t all[2 * 6 * 8] = { 0 };
	char path[TREENODE_NAME_MAX + 16];
	size_t n = strlen(name);
	struct fsys_stat st;
	struct emit e;
	struct name h;

	*out = (struct dbset_beside){ .newest = INT64_MIN };
	if (n > TREENODE_NAME_MAX)
		return;
	memcpy(path, name, n);
	for (int i = 0; i < 2; i++) {
		memcpy(path + n, suffix[i], strlen(suffix[i]) + 1);
		if (fsys_stat(dirfd, path, &st) || !S_ISREG(st.mode) || !st.size)
			continue;
		out->inode[i] = st.inode;
		emit_init(&e, all + i * 48, 48);
		emit_u64(&e, st.inode);
		emit_u64(&e, st.size);
		emit_u64(&e, (uint64_t)st.mtime);
		emit_u64(&e, st.mtime_ns);
		emit_u64(&e, (uint64_t)st.ctime);
		emit_u64(&e, st.ctime_ns);
		out->newest = st.mtime > out->newest ? st.mtime : out->newest;
		out->newest = st.ctime > out->newest ? st.ctime : out->newest;
	}
	memcpy(path + n, "-shm", 5);
	out->shm = fsys_stat(dirfd, path, &st) == OK;
	if (out->newest == INT64_MIN)
		return;
	digest_hash(&h, all, sizeof(all));
	memcpy(out->id, h.b, sizeof(out->id));
}

static void
set_ext(struct dbset_item *it)
{
	struct emit e;

	memset(it->ext, 0, sizeof(it->ext));
	emit_init(&e, it->ext, sizeof(it->ext));
	emit_u32(&e, 1);
	emit_u32(&e, it->state == DBSET_TAKEN ? 1 : 2);
	emit_u32(&e, it->res.page_size);
	emit_u32(&e, it->state == DBSET_TAKEN && it->res.one_instant);
	emit_u64(&e, it->res.pages);
	emit_u64(&e, it->res.spread_ns);
	emit_bytes(&e, it->beside.id, sizeof(it->beside.id));
}

int
dbset_add(struct scan *sc, const struct fsys_stat *st, const struct treenode_entry *reuse)
{
	struct dbset *d = &sc->db;
	const uint8_t *ext;
	struct dbset_item *it;
	size_t len;
	int rc = mem_grow((void **)&d->items, &d->cap, d->count + 1, sizeof(*d->items));

	if (rc)
		return rc;
	it = &d->items[d->count];
	*it = (struct dbset_item){ .st = *st, .via = d->count, .hash = hash_path(scanlog_path(sc), sc->path.len) };
	if ((rc = mem_dup(&it->path, scanlog_path(sc))))
		return rc;
	d->count++;
	if (!reuse)
		return OK;
	it->state = DBSET_REUSED;
	it->content = (struct filebuild_content){ .id = reuse->content, .list = reuse->flags & TREENODE_LIST, .size = reuse->size };
	memcpy(it->content.fingerprint, reuse->fingerprint, sizeof(it->content.fingerprint));
	if (treenode_ext_find(reuse->ext, reuse->ext_len, TREENODE_EXT_DATABASE, &ext, &len) && len == sizeof(it->ext))
		memcpy(it->ext, ext, len);
	return OK;
}

/* ------------------------------------------------------------------------------------------------------ the image */

struct image {
	struct readfile *f;
	struct tree_entry old;          /* the parent's entry of this path */
	struct tree_content *base, *cuts;       /* its content, once for filebuild and once for its cut points */
	struct tree_piece piece;        /* of cuts */
	bool have_piece;
	uint64_t off, unit;
	size_t begin, have, want;       /* of the buffer: the chunk being copied; so much of it is there, so long will it be */
};

/* Bytes of one chunk where nothing is inherited. */
static uint64_t
unit_of(uint64_t size, uint32_t page_size)
{
	uint64_t unit = size < 8u << 20 ? 8u << 10 : size < 64u << 20 ? 16u << 10 : size < 4ull << 30 ? 32u << 10 : UNIT_MAX;

	return unit < page_size ? page_size : unit;
}

static void
image_close(struct image *im)
{
	tree_content_close(im->base);
	tree_content_close(im->cuts);
	tree_entry_clear(&im->old);
}

/* What of the parent helps; its damage only costs the help. */
static int
image_open(struct scan *sc, const struct dbset_item *it, struct image *im)
{
	int rc;

	if (!sc->have_parent)
		return OK;
	rc = tree_lookup(sc->parent_reader, &sc->parent_root, it->path, strlen(it->path), &im->old);
	if (rc == FOUND && im->old.e.kind == TREENODE_FILE && !name_is_zero(&im->old.e.content) &&
	    (rc = tree_content_open(sc->parent_reader, &im->old.e, &im->base)) == OK)
		rc = tree_content_open(sc->parent_reader, &im->old.e, &im->cuts);
	return rc == FOUND || err_is_damage(rc) ? OK : rc;
}

/* Length of the chunk that begins at im->off, if there is that much. */
static int
next_cut(struct image *im, uint32_t page_size, size_t *len)
{
	uint64_t end;
	int rc;

	*len = (size_t)im->unit;
	while (im->cuts && (!im->have_piece || im->piece.off + im->piece.len <= im->off)) {
		rc = tree_content_next(im->cuts, &im->piece);
		im->have_piece = rc == FOUND;
		if (rc == FOUND)
			continue;
		im->cuts = tree_content_close(im->cuts);
		if (rc != AT_END && !err_is_damage(rc))
			return rc;
	}
	if (!im->cuts)
		return OK;
	end = im->piece.off + im->piece.len;
	/* The last one may go on now. */
	if (im->piece.off <= im->off && end < im->old.e.size && end % page_size == 0 && end - im->off <= UNIT_MAX)
		*len = (size_t)(end - im->off);
	return OK;
}

/* The chunk that is copied is complete, or the last one. */
static int
take_copy(struct image *im)
{
	struct readfile *f = im->f;
	size_t len = im->have;
	int rc = filebuild_take(&f->build, f->buf + im->begin, len);

	im->begin += len;
	im->have = 0;
	im->off += len;
	return rc;
}

/* Room for one more chunk, in the buffer and among those that wait. */
static int
make_room(struct image *im)
{
	struct filebuild *b = &im->f->build;
	int rc;

	if (b->waiting < FILEBUILD_BATCH && READFILE_BUFFER - im->begin >= UNIT_MAX)
		return OK;
	rc = filebuild_flush(b);
	im->begin = 0;
	return rc;
}

/*
 * Take what lies at p, which the helper can change; *used of it.  A chunk that is the parent's is left where it is; of others, and of
 * those that do not lie there as a whole, a copy is made first.
 */
static int
take_some_of(struct image *im, uint32_t page_size, const uint8_t *p, size_t len, size_t *used)
{
	struct readfile *f = im->f;
	size_t n;
	int rc;

	*used = 0;
	if (im->have == 0 && ((rc = make_room(im)) || (rc = next_cut(im, page_size, &im->want))))
		return rc;
	if (im->have == 0 && im->want <= len) {
		if ((rc = filebuild_same(&f->build, p, im->want)) < 0)
			return rc;
		if (rc == FOUND) {
			im->off += im->want;
			*used = im->want;
			return OK;
		}
	}
	n = im->want - im->have < len ? im->want - im->have : len;
	memcpy(f->buf + im->begin + im->have, p, n);
	im->have += n;
	*used = n;
	return im->have == im->want ? take_copy(im) : OK;
}

/* All that is at hand. */
static int
take_slot(struct scan *sc, struct image *im, uint32_t page_size, const uint8_t *p, size_t len)
{
	size_t used;
	int rc;

	im->f->bytes_read += len;
	for (; len > 0; p += used, len -= used)
		if ((rc = take_some_of(im, page_size, p, len, &used)) || (rc = dbread_used(sc->db.helper, used)))
			return rc;
	return scanlog_tick(sc);
}

/* One pass over what the helper sends.  OK: begin anew; AT_END: over. */
static int
read_image(struct scan *sc, struct dbset_item *it, struct image *im, uint32_t page_size)
{
	struct readfile *f = im->f;
	const uint8_t *p;
	size_t len;
	int rc;

	filebuild_begin(&f->build, im->base);
	page_size = page_size ? page_size : 4096;       /* pages of none are nobody's but a liar's */
	im->unit = unit_of(it->st.size, page_size);
	while ((rc = dbread_look(sc->db.helper, &p, &len, &it->res)) == FOUND)
		if ((rc = take_slot(sc, im, page_size, p, len)))
			return rc;
	if (rc != AT_END || it->res.outcome != DBREAD_CAPTURED)
		return rc;
	if ((im->have > 0 && (rc = take_copy(im))) || (rc = filebuild_flush(&f->build)) ||
	    (rc = filebuild_end(&f->build, &it->content)))
		return rc;
	f->bytes_new += f->build.bytes_new;
	return AT_END;
}

/* *ours: the failure is not the helper's. */
static int
take_one(struct scan *sc, struct dbset_item *it, uint32_t page_size, bool *ours)
{
	struct image im;
	int rc;

	do {
		im = (struct image){ .f = &sc->file };
		it->res = (struct dbread_result){ 0 };
		if ((rc = image_open(sc, it, &im)) == OK)
			rc = read_image(sc, it, &im, page_size);
		*ours = rc < 0 && rc != ERR_FAILED;
		image_close(&im);
	} while (rc == OK);
	return rc == AT_END ? OK : rc;
}

/* ---------------------------------------------------------------------------------------------------- all of them */

static void
tell(const struct scan *sc, const struct dbset_item *it)
{
	if (sc->o->database && (it->state == DBSET_TAKEN || it->state == DBSET_RAW))
		sc->o->database(sc->o->arg, it->path, it->state == DBSET_TAKEN, &it->res);
}

/* Another name of a file that was read. */
static void
follow(const struct scan *sc, struct dbset_item *it, const struct dbset_item *from)
{
	it->state = from->state;
	it->st = from->st;
	it->content = from->content;
	it->res = from->res;
	memcpy(it->ext, from->ext, sizeof(it->ext));
	memcpy(it->ext + TREENODE_BESIDE_AT, it->beside.id, sizeof(it->beside.id));
	tell(sc, it);
}

static void
settle(struct scan *sc, struct dbset_item *it)
{
	struct dbset *d = &sc->db;

	if (it->res.outcome == DBREAD_CAPTURED && it->content.size != it->res.pages * it->res.page_size) {
		it->res.outcome = DBREAD_FAILED;
		strcpy(it->res.text, "the helper's pages are not those it promised");
	}
	it->state = it->res.outcome == DBREAD_CAPTURED ? DBSET_TAKEN : it->res.outcome == DBREAD_NO_DATABASE ? DBSET_NOT : DBSET_RAW;
	sc->db.scattered |= !it->res.one_instant && it->state == DBSET_TAKEN;
	set_ext(it);
	tell(sc, it);
	for (size_t i = 0; it->shared && i < d->count; i++)
		if (d->items[i].state == DBSET_WAITING && &d->items[d->items[i].via] == it)
			follow(sc, &d->items[i], it);
}

static void
settle_failed(struct scan *sc, struct dbset_item *it)
{
	it->res = (struct dbread_result){ .outcome = DBREAD_FAILED };
	strncpy(it->res.text, err_text(), sizeof(it->res.text) - 1);
	settle(sc, it);
}

/* Tell the helper where the item is. */
static int
send_one(struct scan *sc, struct dbset_item *it, uint32_t id)
{
	struct fsys_stat st;
	char *name, *store;
	int rc, dirfd;

	if ((rc = fsys_open_parent(it->path, &dirfd, &name, &store)))
		return rc;
	/* What is there must be what was found: nobody leads us elsewhere. */
	if ((rc = fsys_stat(dirfd, name, &st)) == OK && (st.dev != it->st.dev || st.inode != it->st.inode))
		rc = fail(ERR_FAILED, "was replaced while the snapshot was made");
	/* It costs nobody anything to make one of 16 TiB; read page by page it would take hours. */
	if (rc == OK && st.size >= HOLLOW_LEAST && st.blocks && st.blocks < st.size / 512 / HOLLOW_PART)
		rc = fail(ERR_FAILED, "is a file of holes, nearly");
	if (rc == OK) {
		it->st = st;
		dbset_look_beside(dirfd, name, &it->beside);
		rc = dbread_add(sc->db.helper, id, dirfd, name, st.dev, st.inode);
	}
	fsys_close(dirfd);
	free(store);
	return rc;
}

/* Add up to BATCH of those that wait; cut.  *some: there are any. */
static int
cut_some(struct scan *sc, bool *some)
{
	struct dbset *d = &sc->db;
	uint32_t sent = 0;
	int rc;

	*some = false;
	for (uint32_t i = 0; i < d->count; i++) {
		if (d->items[i].state != DBSET_WAITING || d->items[i].via != i)
			continue;
		*some = true;
		if (!d->helper && (rc = dbread_start(sc->o->helper, &d->helper)))
			return rc;
		if (sent == BATCH) {
			d->scattered = true;
			break;
		}
		if ((rc = send_one(sc, &d->items[i], i)) == ERR_NOMEM)
			return rc;
		if (rc)
			settle_failed(sc, &d->items[i]);
		else
			sent++;
	}
	return sent ? dbread_cut(d->helper, sc->o->wal_limit) : OK;
}

/* Those that were cut. */
static int
take_some(struct scan *sc, bool *ours)
{
	struct dbset *d = &sc->db;
	uint32_t id, page_size;
	int rc;

	while ((rc = dbread_next(d->helper, &id, &page_size)) == FOUND) {
		if (id >= d->count || d->items[id].state != DBSET_WAITING)
			return fail(ERR_FAILED, "the database helper said something that makes no sense");
		if ((rc = take_one(sc, &d->items[id], page_size, ours))) {
			if (!*ours)
				settle_failed(sc, &d->items[id]);
			return rc;
		}
		settle(sc, &d->items[id]);
	}
	return rc == AT_END ? OK : rc;
}

/* Without a helper nothing more can be captured. */
static void
fail_waiting(struct scan *sc)
{
	for (size_t i = 0; i < sc->db.count; i++)
		if (sc->db.items[i].state == DBSET_WAITING)
			settle_failed(sc, &sc->db.items[i]);
}

static int
take_all(struct scan *sc)
{
	bool some = true, ours = false;
	size_t left = sc->db.count + 1;
	int rc;

	while (some) {
		if ((rc = cut_some(sc, &some)) == OK && some && sc->db.helper)
			rc = take_some(sc, &ours);
		if (rc == OK)
			continue;
		if (ours || rc == ERR_NOMEM || rc == ERR_INTERRUPTED)
			return rc;
		/* The helper broke down, perhaps over one of them: a new one for the rest. */
		sc->db.helper = dbread_free(sc->db.helper);
		sc->db.scattered = true;
		if (left-- == 0)
			fail_waiting(sc);
	}
	return OK;
}

/* ------------------------------------------------------------------------------------------- names of one file */

/*
 * SQLite looks for a WAL or journal beside the name that it is given, and closing a descriptor of a file drops the locks that it has
 * through another: so a file is read through one of its names, and if one of them has something beside it, through that.
 */

static bool
same_file(const struct dbset_item *a, const struct dbset_item *b)
{
	return a->st.nlink > 1 && a->st.inode == b->st.inode && a->st.dev == b->st.dev;
}

static bool
has_names(const struct dbset_item *it)
{
	return it->state == DBSET_WAITING && it->st.nlink > 1;
}

static bool
has_beside(const struct dbset_item *it)
{
	return it->beside.newest != INT64_MIN;
}

/* Its users go on writing to what lies there: that it is the same file is enough. */
static bool
has_other_beside(const struct dbset_item *it, const struct dbset_item *from)
{
	for (int i = 0; i < 2; i++)
		if (it->beside.inode[i] && it->beside.inode[i] != from->beside.inode[i])
			return true;
	return false;
}

/* What is as it was must be read again if another name of it has got a WAL. */
static void
wake_names(struct dbset *d)
{
	for (size_t i = 0; i < d->count; i++)
		for (size_t k = 0; has_names(&d->items[i]) && k < d->count; k++)
			if (d->items[k].state == DBSET_REUSED && same_file(&d->items[i], &d->items[k]))
				d->items[k].state = DBSET_WAITING;
}

static void
look_again(struct dbset_item *it)
{
	char *name, *store;
	int dirfd;

	it->beside = (struct dbset_beside){ .newest = INT64_MIN };
	/* What is not there is told when it is to be read. */
	if (fsys_open_parent(it->path, &dirfd, &name, &store))
		return;
	dbset_look_beside(dirfd, name, &it->beside);
	fsys_close(dirfd);
	free(store);
}

/* The first one that was read already, else the first that is in use, else the first that has something beside it, else the first. */
static void
choose_name(struct dbset *d, struct dbset_item *it)
{
	size_t best = d->count;
	int rank, highest = -1;

	for (size_t i = 0; i < d->count; i++) {
		if (!same_file(it, &d->items[i]))
			continue;
		rank = d->items[i].state != DBSET_WAITING ? 3 : d->items[i].beside.shm ? 2 : has_beside(&d->items[i]);
		if (rank > highest) {
			best = i;
			highest = rank;
		}
	}
	it->via = best;
	d->items[best].shared = true;
}

static void
choose_names(struct scan *sc)
{
	struct dbset *d = &sc->db;

	if (!d->walking)
		wake_names(d);
	for (size_t i = 0; i < d->count; i++)
		if (has_names(&d->items[i]))
			look_again(&d->items[i]);
	for (size_t i = 0; i < d->count; i++)
		if (has_names(&d->items[i]))
			choose_name(d, &d->items[i]);
	for (size_t i = 0; i < d->count; i++) {
		struct dbset_item *it = &d->items[i], *from = &d->items[it->via];

		if (it == from || !has_names(it))
			continue;
		if (has_other_beside(it, from)) {
			(void)!fail(ERR_FAILED, "another name of this file was read without the WAL or journal of this one, or has its own");
			settle_failed(sc, from->state == DBSET_WAITING && from->beside.shm == it->beside.shm ? from : it);
		} else if (from->state != DBSET_WAITING) {
			follow(sc, it, from);
		}
	}
}

int
dbset_take(struct scan *sc)
{
	int rc = session_fine(sc->s, true);

	if (rc == OK) {
		choose_names(sc);
		rc = take_all(sc);
	}
	sc->db.walking = true;
	return rc ? rc : session_fine(sc->s, false);
}
