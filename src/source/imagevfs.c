/*
 * imagevfs: a page's way
 *
 *     xRead(off)  --windows[off / 16 MiB]-->  span       (of an array that is searched)
 *                 --tree_content_next----->   spans      (of a window at its first use)
 *                 --chunkcache_get-------->   plaintext  (kept, up to cache_bytes)
 *
 * A window is the run of spans that touch 16 MiB of the file, read off the list nodes in one go:
 * finding one row in a list costs half of the list.  It knows where each of its parts of 4 KiB begins.
 *
 * The cache is one for all images: two snapshots of a database share most chunks.
 *
 * SQLite has its own idea of errors: xRead can only say SQLITE_IOERR.  The failure itself is kept in
 * the VFS until imagevfs_failure() fetches it.
 */
#include "source/imagevfs.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "format/frame.h"
#include "source/chunkcache.h"
#include "store/fetch.h"
#include "store/tree.h"
#include "sys/signals.h"

#define MAGIC "SQLite format 3"         /* and its final zero */
#define WINDOW_SHIFT 24
#define WINDOWS 64u                     /* kept of an image */
#define PART_SHIFT 12                   /* of a window */
#define PARTS (1u << (WINDOW_SHIFT - PART_SHIFT))
#define NOTE_CAP 512
#define SECTOR 4096

struct span {                           /* a piece, without its fingerprint */
	uint64_t off, len;
	struct name id;                 /* zero: a hole */
};

struct window {
	struct span *spans;             /* ascending, without gaps; owned */
	size_t count, cap;
	uint64_t start;                 /* of its 16 MiB */
	uint32_t parts[PARTS];          /* the last span that begins no later than the part, or the first */
};

struct image {
	struct imagevfs *v;
	struct treenode_entry e;        /* without name, target, extensions */
	struct tree_content *c;         /* NULL until used */
	struct window windows[WINDOWS]; /* number n of the file at n mod WINDOWS */
	char file[IMAGEVFS_FILE_MAX];
	struct image *next;
};

struct imagevfs {
	sqlite3_vfs vfs;                /* pAppData is this struct */
	sqlite3_vfs *under;             /* time and randomness */
	char name[40];
	struct reader *rd;
	struct chunkcache *cache;
	size_t cache_bytes;
	struct image *images;           /* newest first */
	unsigned count;
	struct imagevfs_stats stats;
	int rc;                         /* the first failure since the last imagevfs_failure */
	char note[NOTE_CAP];
};

/* What SQLite allocates for an open file. */
struct handle {
	sqlite3_file base;
	struct image *image;
};

static int
keep_failure(struct imagevfs *v, int rc)
{
	if (v->rc == OK) {
		v->rc = rc;
		snprintf(v->note, sizeof(v->note), "%s", err_text());
	}
	return rc == ERR_NOMEM ? SQLITE_IOERR_NOMEM : SQLITE_IOERR_READ;
}

/* ---- bytes ---- */

/* The span of a window that holds off, or NULL. */
static const struct span *
window_find(const struct window *w, uint64_t off)
{
	size_t part = (off - w->start) >> PART_SHIFT, low, high;

	if (off < w->start || part >= PARTS || w->count == 0)
		return NULL;
	low = w->parts[part];
	high = part + 1 < PARTS ? w->parts[part + 1] + 1 : w->count;
	while (high - low > 1) {
		size_t mid = low + (high - low) / 2;

		*(w->spans[mid].off <= off ? &low : &high) = mid;
	}
	return off >= w->spans[low].off && off - w->spans[low].off < w->spans[low].len ? &w->spans[low] : NULL;
}

static void
window_divide(struct window *w, uint64_t start)
{
	uint32_t n = 0;

	w->start = start;
	for (uint32_t i = 0; i < PARTS; i++) {
		while (n + 1 < w->count && w->spans[n + 1].off <= start + ((uint64_t)i << PART_SHIFT))
			n++;
		w->parts[i] = n;
	}
}

/* Read the spans from the one that holds `from` up to `to`. */
static int
window_read(struct image *im, struct window *w, uint64_t from, uint64_t to)
{
	struct tree_piece piece = { .len = 0 };
	int rc = im->c ? OK : tree_content_open(im->v->rd, &im->e, &im->c);

	w->count = 0;
	if (rc || (rc = tree_content_seek(im->c, from)))
		return rc;
	while (piece.off + piece.len < to && (rc = tree_content_next(im->c, &piece)) == FOUND) {
		if ((rc = mem_grow((void **)&w->spans, &w->cap, w->count + 1, sizeof(*w->spans))))
			break;
		w->spans[w->count++] = (struct span){ piece.off, piece.len, piece.id };
	}
	window_divide(w, from >> WINDOW_SHIFT << WINDOW_SHIFT);
	return rc < 0 ? rc : OK;
}

static int
span_at(struct image *im, uint64_t off, const struct span **out)
{
	struct window *w = &im->windows[(off >> WINDOW_SHIFT) % WINDOWS];
	uint64_t start = off >> WINDOW_SHIFT << WINDOW_SHIFT;
	int rc;

	if ((*out = window_find(w, off)))
		return OK;
	rc = window_read(im, w, start, start + (1u << WINDOW_SHIFT));
	/* An iterator repeats its first failure; and what is wrong elsewhere is no matter here. */
	if (rc)
		im->c = tree_content_close(im->c);
	if (rc && rc != ERR_NOMEM && !window_find(w, off) &&
	    (rc = window_read(im, w, off, off + 1)))
		im->c = tree_content_close(im->c);
	if ((*out = window_find(w, off)))
		return OK;
	return rc ? rc : fail(ERR_CORRUPT, "the content ends before the file does");
}

static int
read_at(struct image *im, uint8_t *buf, uint64_t off, size_t left)
{
	const struct span *span;
	const uint8_t *p;
	int rc = signals_check();

	while (rc == OK && left > 0) {
		uint64_t skip;
		size_t n;

		if ((rc = span_at(im, off, &span)))
			break;
		skip = off - span->off;
		n = span->len - skip < left ? (size_t)(span->len - skip) : left;
		if (name_is_zero(&span->id))
			memset(buf, 0, n);
		else if ((rc = chunkcache_get(im->v->cache, &span->id, span->len, &p)) == OK)
			memcpy(buf, p + skip, n);
		buf += n;
		off += n;
		left -= n;
	}
	return rc;
}

/* ---- methods of a file ---- */

static int
file_close(sqlite3_file *f)
{
	(void)f;
	return SQLITE_OK;
}

static int
file_read(sqlite3_file *f, void *buf, int amount, sqlite3_int64 offset)
{
	struct image *im = ((struct handle *)f)->image;
	uint64_t off = (uint64_t)offset;
	size_t want = (size_t)amount, n = want;
	int rc;

	im->v->stats.reads++;
	im->v->stats.bytes += want;
	if (off >= im->e.size)
		n = 0;
	else if (im->e.size - off < n)
		n = (size_t)(im->e.size - off);
	if ((rc = read_at(im, buf, off, n)))
		return keep_failure(im->v, rc);
	if (n == want)
		return SQLITE_OK;
	memset((uint8_t *)buf + n, 0, want - n);
	return SQLITE_IOERR_SHORT_READ;
}

static int
file_write(sqlite3_file *f, const void *buf, int amount, sqlite3_int64 offset)
{
	(void)f, (void)buf, (void)amount, (void)offset;
	return SQLITE_READONLY;
}

static int
file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	(void)f, (void)size;
	return SQLITE_READONLY;
}

static int
file_size(sqlite3_file *f, sqlite3_int64 *size)
{
	*size = (sqlite3_int64)((struct handle *)f)->image->e.size;
	return SQLITE_OK;
}

/* Sync, lock, unlock: there is nothing to do. */
static int
file_nothing(sqlite3_file *f, int how)
{
	(void)f, (void)how;
	return SQLITE_OK;
}

static int
file_check_reserved(sqlite3_file *f, int *out)
{
	(void)f;
	*out = 0;
	return SQLITE_OK;
}

static int
file_control(sqlite3_file *f, int op, void *arg)
{
	(void)f, (void)op, (void)arg;
	return SQLITE_NOTFOUND;
}

static int
file_sector_size(sqlite3_file *f)
{
	(void)f;
	return SECTOR;
}

static int
file_characteristics(sqlite3_file *f)
{
	(void)f;
	return SQLITE_IOCAP_IMMUTABLE;
}

static const sqlite3_io_methods methods = {
	.iVersion = 1,
	.xClose = file_close,
	.xRead = file_read,
	.xWrite = file_write,
	.xTruncate = file_truncate,
	.xSync = file_nothing,
	.xFileSize = file_size,
	.xLock = file_nothing,
	.xUnlock = file_nothing,
	.xCheckReservedLock = file_check_reserved,
	.xFileControl = file_control,
	.xSectorSize = file_sector_size,
	.xDeviceCharacteristics = file_characteristics,
};

/* ---- methods of the VFS ---- */

/* Images only: a temporary file would carry content of the repository to the disk in the clear. */
static int
vfs_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *f, int flags, int *out_flags)
{
	struct imagevfs *v = vfs->pAppData;
	struct handle *h = (struct handle *)f;

	h->base.pMethods = NULL;
	if (!name || !(flags & SQLITE_OPEN_MAIN_DB))
		return SQLITE_CANTOPEN;
	for (struct image *im = v->images; im; im = im->next)
		if (strcmp(im->file, name) == 0) {
			h->base.pMethods = &methods;
			h->image = im;
			if (out_flags)
				*out_flags = SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_READONLY;
			return SQLITE_OK;
		}
	return SQLITE_CANTOPEN;
}

static int
vfs_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
	(void)vfs, (void)name, (void)sync;
	return SQLITE_READONLY;
}

static int
vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *out)
{
	(void)vfs, (void)name, (void)flags;
	*out = 0;
	return SQLITE_OK;
}

static int
vfs_full_pathname(sqlite3_vfs *vfs, const char *name, int cap, char *out)
{
	(void)vfs;
	return snprintf(out, (size_t)cap, "%s", name) < cap ? SQLITE_OK : SQLITE_CANTOPEN;
}

static int
vfs_randomness(sqlite3_vfs *vfs, int len, char *out)
{
	struct imagevfs *v = vfs->pAppData;

	return v->under->xRandomness(v->under, len, out);
}

static int
vfs_sleep(sqlite3_vfs *vfs, int us)
{
	struct imagevfs *v = vfs->pAppData;

	return v->under->xSleep(v->under, us);
}

static int
vfs_current_time(sqlite3_vfs *vfs, double *days)
{
	struct imagevfs *v = vfs->pAppData;

	return v->under->xCurrentTime(v->under, days);
}

static int
vfs_last_error(sqlite3_vfs *vfs, int cap, char *out)
{
	(void)vfs, (void)cap, (void)out;
	return 0;
}

static int
vfs_register(struct imagevfs *v)
{
	v->under = sqlite3_vfs_find(NULL);
	if (!v->under)
		return fail(ERR_FAILED, "SQLite has no VFS");
	snprintf(v->name, sizeof(v->name), "varve-%p", (void *)v);
	v->vfs = (sqlite3_vfs){
		.iVersion = 1,
		.szOsFile = (int)sizeof(struct handle),
		.mxPathname = IMAGEVFS_FILE_MAX,
		.zName = v->name,
		.pAppData = v,
		.xOpen = vfs_open,
		.xDelete = vfs_delete,
		.xAccess = vfs_access,
		.xFullPathname = vfs_full_pathname,
		.xRandomness = vfs_randomness,
		.xSleep = vfs_sleep,
		.xCurrentTime = vfs_current_time,
		.xGetLastError = vfs_last_error,
	};
	if (sqlite3_vfs_register(&v->vfs, 0) != SQLITE_OK)
		return fail(ERR_NOMEM, "out of memory");
	return OK;
}

/* ---- the module ---- */

static void
image_free(struct image *im)
{
	for (size_t i = 0; i < WINDOWS; i++)
		free(im->windows[i].spans);
	tree_content_close(im->c);
	free(im);
}

int
imagevfs_new(struct reader *rd, size_t cache_bytes, struct imagevfs **out)
{
	struct imagevfs *v;
	int rc;

	*out = NULL;
	if ((rc = MEM_NEW(v)))
		return rc;
	v->rd = rd;
	v->cache_bytes = cache_bytes;
	if ((rc = chunkcache_new(rd, cache_bytes, &v->cache)) || (rc = vfs_register(v)))
		v = imagevfs_free(v);
	*out = v;
	return rc;
}

struct imagevfs *
imagevfs_free(struct imagevfs *v)
{
	if (!v)
		return NULL;
	if (v->vfs.zName)
		sqlite3_vfs_unregister(&v->vfs);
	for (struct image *im = v->images, *next; im; im = next) {
		next = im->next;
		image_free(im);
	}
	chunkcache_free(v->cache);
	free(v);
	return NULL;
}

const char *
imagevfs_name(const struct imagevfs *v)
{
	return v->name;
}

static int
image_new(struct imagevfs *v, const struct treenode_entry *e, struct image **out)
{
	int rc = MEM_NEW(*out);

	if (rc)
		return rc;
	(*out)->v = v;
	(*out)->e = *e;
	(*out)->e.name = (*out)->e.target = (*out)->e.ext = NULL;
	(*out)->e.name_len = 0;
	(*out)->e.ext_len = 0;
	rc = tree_content_open(v->rd, e, &(*out)->c);
	if (rc)
		free(*out);
	return rc;
}

int
imagevfs_add(struct imagevfs *v, const struct treenode_entry *e,
    char file[static IMAGEVFS_FILE_MAX])
{
	uint8_t head[sizeof(MAGIC)] = { 0 };
	struct image *im;
	int rc;

	if ((rc = image_new(v, e, &im)))
		return rc;
	if (e->size > 0)
		rc = read_at(im, head, 0, e->size < sizeof(head) ? (size_t)e->size : sizeof(head));
	if (rc == OK && e->size > 0 && memcmp(head, MAGIC, sizeof(MAGIC)) != 0)
		rc = fail(ERR_FAILED, "not an SQLite database");
	if (rc) {
		image_free(im);
		return rc;
	}
	snprintf(im->file, sizeof(im->file), "/image-%u", v->count++);
	memcpy(file, im->file, sizeof(im->file));
	im->next = v->images;
	v->images = im;
	v->stats.image_bytes += e->size;
	return OK;
}

struct fill {
	struct chunkcache *cache;
	size_t left;
};

/* AT_END: the cache is full. */
static int
fill_piece(void *arg, const struct tree_piece *t, const uint8_t *p)
{
	struct fill *f = arg;

	if (t->hole)
		return OK;
	if (t->len > f->left)
		return AT_END;
	f->left -= (size_t)t->len;
	return chunkcache_put(f->cache, &t->id, p, (size_t)t->len);
}

int
imagevfs_fill(struct imagevfs *v, unsigned jobs)
{
	struct fill fill = { v->cache, v->cache_bytes };
	struct fetch *f = NULL;
	int rc;

	if (jobs == 0 || !v->images || v->images->e.size < FETCH_LEAST || fetch_new(v->rd, jobs, &f))
		return OK;
	rc = fetch_content(f, &v->images->e, fill_piece, &fill);
	fetch_free(f);
	return rc == ERR_NOMEM || rc == ERR_INTERRUPTED ? rc : OK;
}

int
imagevfs_probe(struct reader *rd, const struct treenode_entry *e)
{
	struct tree_content *c;
	struct tree_piece piece = { 0 };
	const uint8_t *p;
	size_t len;
	int rc;

	if (e->kind != TREENODE_FILE || e->flags & TREENODE_UNREAD || e->size < sizeof(MAGIC))
		return OK;
	if ((rc = tree_content_open(rd, e, &c)))
		return rc;
	rc = tree_content_next(c, &piece);
	tree_content_close(c);
	if (rc < 0)
		return rc;
	if (rc != FOUND || piece.hole)
		return OK;
	if ((rc = reader_get(rd, &piece.id, FRAME_DATA, &p, &len)))
		return rc;
	return len >= sizeof(MAGIC) && memcmp(p, MAGIC, sizeof(MAGIC)) == 0 ? FOUND : OK;
}

void
imagevfs_set_reader(struct imagevfs *v, struct reader *rd)
{
	v->rd = rd;
	chunkcache_set_reader(v->cache, rd);
	/* They hold the old one, and are opened again when needed. */
	for (struct image *im = v->images; im; im = im->next)
		im->c = tree_content_close(im->c);
}

int
imagevfs_failure(struct imagevfs *v)
{
	int rc = v->rc;

	v->rc = OK;
	if (rc < 0)
		err_set(rc, v->note);
	return rc;
}

const struct imagevfs_stats *
imagevfs_stats(const struct imagevfs *v)
{
	return &v->stats;
}
