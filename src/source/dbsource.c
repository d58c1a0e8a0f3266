/*
 * dbsource: a thin layer over SQLite's own VFS.  Paths are taken as they are ("/proc/self/fd/N/name"), so that neither their length nor
 * a link in them matters.  Reads of a page that begins like page 1 are remembered in the main file's `struct first`, which its WAL shares.
 *
 * Pages read one after the other come from a window of the main file that is read at once.  What SQLite may read of it does not change
 * between two calls about locks (in a read transaction on a WAL: the pages that are not in it), and with each of those the window is empty.
 *
 * A journal may end with the name of a super-journal, a path that a stranger wrote: SQLite would read that file and, if it is not one,
 * remove it.  It is not shown the magic behind the name; what the name means dbopen.c has decided.
 */
#include "source/dbsource.h"

#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "source/dbimage.h"

#define FCNTL_FIRST 7402
#define PAGE_MAX 65536
#define WAL_HEAD 32
#define WAL_FRAME_HEAD 24
#define AHEAD (128 << 10)
#define IN_TURN 4                       /* reads after which more are expected */

struct first {
	uint8_t page[PAGE_MAX];
	uint32_t len;
};

struct file {
	sqlite3_file base;
	struct first *first;            /* of the main file: owned; of its WAL: borrowed; else NULL */
	bool main, wal, journal, read_only;
	uint8_t *window;                /* of the main file: AHEAD bytes, or NULL; owned */
	sqlite3_int64 window_off, window_end;   /* of what is in it */
	sqlite3_int64 next;             /* where the last read ended ... */
	unsigned in_turn;               /* ... and how many of the last began where one ended */
	sqlite3_file real[];            /* SQLite's own */
};

struct vfs {
	sqlite3_vfs base;               /* pAppData is SQLite's own VFS's */
	sqlite3_vfs *real;
	bool read_only;
};

static sqlite3_file *
real_of(sqlite3_file *f)
{
	return ((struct file *)(void *)f)->real;
}

#define CALL(f, method, ...) (real_of(f)->pMethods->method(real_of(f), __VA_ARGS__))
#define CALL0(f, method) (real_of(f)->pMethods->method(real_of(f)))

static int
file_close(sqlite3_file *f)
{
	struct file *o = (void *)f;
	int rc = CALL0(f, xClose);

	if (o->main)
		free(o->first);
	free(o->window);
	return rc;
}

static bool
is_page_size(int len)
{
	return len >= 512 && len <= PAGE_MAX && (len & (len - 1)) == 0;
}

/* The window to begin at off; without it, as at the end of the file, all goes the ordinary way. */
static void
look_ahead(sqlite3_file *f, sqlite3_int64 off)
{
	struct file *o = (void *)f;

	o->window_end = 0;
	if (!o->window)
		o->window = malloc(AHEAD);
	if (!o->window || CALL(f, xRead, o->window, AHEAD, off) != SQLITE_OK)
		return;
	o->window_off = off;
	o->window_end = off + AHEAD;
}

/* Has it these bytes?  They are in p then. */
static bool
read_window(sqlite3_file *f, void *p, int len, sqlite3_int64 off)
{
	struct file *o = (void *)f;

	o->in_turn = off == o->next ? o->in_turn + 1 : 0;
	o->next = off + len;
	if (off < o->window_off || off + len > o->window_end) {
		if (!o->main || o->in_turn < IN_TURN || !is_page_size(len))
			return false;
		look_ahead(f, off);
		if (off + len > o->window_end)
			return false;
	}
	memcpy(p, o->window + (off - o->window_off), (size_t)len);
	return true;
}

/* Who asks about locks wants to know what is there from now on. */
static sqlite3_file *
now(sqlite3_file *f)
{
	((struct file *)(void *)f)->window_end = 0;
	return f;
}

static bool
is_super_magic(sqlite3_file *f, int len, sqlite3_int64 off)
{
	sqlite3_int64 size;

	return ((struct file *)(void *)f)->journal && len == 8 && CALL(f, xFileSize, &size) == SQLITE_OK && off + len == size;
}

static int
file_read(sqlite3_file *f, void *p, int len, sqlite3_int64 off)
{
	struct file *o = (void *)f;
	int rc = read_window(f, p, len, off) ? SQLITE_OK : CALL(f, xRead, p, len, off);
	bool here = o->main ? off == 0 : o->wal && (off - WAL_HEAD - WAL_FRAME_HEAD) % (len + WAL_FRAME_HEAD) == 0;

	if (rc == SQLITE_OK && is_super_magic(f, len, off))
		memset(p, 0, (size_t)len);
	if (rc == SQLITE_OK && o->first && here && is_page_size(len) && memcmp(p, "SQLite format 3", 16) == 0) {
		memcpy(o->first->page, p, (size_t)len);
		o->first->len = (uint32_t)len;
	}
	return rc;
}

static int
file_write(sqlite3_file *f, const void *p, int len, sqlite3_int64 off)
{
	return ((struct file *)(void *)f)->read_only ? SQLITE_READONLY : CALL(now(f), xWrite, p, len, off);
}

static int
file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	return ((struct file *)(void *)f)->read_only ? SQLITE_READONLY : CALL(now(f), xTruncate, size);
}

static int
file_sync(sqlite3_file *f, int flags)
{
	return ((struct file *)(void *)f)->read_only ? SQLITE_OK : CALL(f, xSync, flags);
}

static int
file_size(sqlite3_file *f, sqlite3_int64 *size)
{
	return CALL(f, xFileSize, size);
}

static int
file_lock(sqlite3_file *f, int level)
{
	return CALL(now(f), xLock, level);
}

static int
file_unlock(sqlite3_file *f, int level)
{
	return CALL(now(f), xUnlock, level);
}

static int
file_reserved(sqlite3_file *f, int *is)
{
	return CALL(f, xCheckReservedLock, is);
}

static int
file_control(sqlite3_file *f, int op, void *arg)
{
	if (op != FCNTL_FIRST)
		return CALL(f, xFileControl, op, arg);
	*(struct first **)arg = ((struct file *)(void *)f)->first;
	return SQLITE_OK;
}

static int
file_sector(sqlite3_file *f)
{
	return CALL0(f, xSectorSize);
}

static int
file_traits(sqlite3_file *f)
{
	return CALL0(f, xDeviceCharacteristics);
}

static int
file_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **out)
{
	return CALL(f, xShmMap, page, size, extend, out);
}

static int
file_shm_lock(sqlite3_file *f, int off, int n, int flags)
{
	return CALL(now(f), xShmLock, off, n, flags);
}

static void
file_shm_barrier(sqlite3_file *f)
{
	CALL0(f, xShmBarrier);
}

/* Who reads only does not remove the -shm of others. */
static int
file_shm_unmap(sqlite3_file *f, int remove)
{
	return CALL(f, xShmUnmap, ((struct file *)(void *)f)->read_only ? 0 : remove);
}

static const sqlite3_io_methods methods = { 2, file_close, file_read, file_write, file_truncate, file_sync, file_size, file_lock,
	file_unlock, file_reserved, file_control, file_sector, file_traits, file_shm_map, file_shm_lock, file_shm_barrier,
	file_shm_unmap, NULL, NULL };

static int
vfs_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out)
{
	struct vfs *o = (void *)v;
	struct file *file = (void *)f;
	const int mine = SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL;
	int rc;

	*file = (struct file){ .main = flags & SQLITE_OPEN_MAIN_DB, .wal = flags & SQLITE_OPEN_WAL,
		.journal = flags & SQLITE_OPEN_MAIN_JOURNAL, .read_only = o->read_only };
	if ((o->read_only && !(flags & mine)) || flags & SQLITE_OPEN_SUPER_JOURNAL)
		return SQLITE_CANTOPEN;
	if (o->read_only)
		flags = (flags & ~(SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_DELETEONCLOSE)) | SQLITE_OPEN_READONLY;
	if (file->main && mem_new((void **)&file->first, sizeof(*file->first)))
		return SQLITE_NOMEM;
	if (file->wal)
		file->first = ((struct file *)(void *)sqlite3_database_file_object(name))->first;
	rc = o->real->xOpen(o->real, name, file->real, flags, out);
	if (file->real->pMethods)
		f->pMethods = &methods;
	else if (file->main)
		free(file->first);
	return rc;
}

static int
vfs_delete(sqlite3_vfs *v, const char *name, int sync)
{
	struct vfs *o = (void *)v;

	return o->read_only ? SQLITE_READONLY : o->real->xDelete(o->real, name, sync);
}

static int
vfs_path(sqlite3_vfs *v, const char *name, int cap, char *out)
{
	(void)v;
	return snprintf(out, (size_t)cap, "%s", name) < cap ? SQLITE_OK : SQLITE_CANTOPEN;
}

static int
vfs_access(sqlite3_vfs *v, const char *name, int flags, int *is)
{
	struct vfs *o = (void *)v;

	return o->real->xAccess(o->real, name, flags, is);
}

static int
add(const char *name, bool read_only)
{
	struct vfs *v;
	int rc;

	if ((rc = MEM_NEW(v)))
		return rc;
	v->real = sqlite3_vfs_find("unix");
	if (!v->real)
		return fail(ERR_FAILED, "SQLite has no file system");
	v->base = *v->real;
	v->base.iVersion = 2;
	v->base.szOsFile = (int)sizeof(struct file) + v->real->szOsFile;
	v->base.pNext = NULL;
	v->base.zName = name;
	v->base.xOpen = vfs_open;
	v->base.xDelete = vfs_delete;
	v->base.xAccess = vfs_access;
	v->base.xFullPathname = vfs_path;
	v->read_only = read_only;
	return dbimage_error(NULL, sqlite3_vfs_register(&v->base, 0));
}

int
dbsource_register(void)
{
	int rc = add(DBSOURCE_IN_PLACE, true);

	return rc ? rc : add(DBSOURCE_PRIVATE, false);
}

const uint8_t *
dbsource_first_page(sqlite3 *db, uint32_t *len)
{
	struct first *f = NULL;

	if (sqlite3_file_control(db, "main", FCNTL_FIRST, &f) || !f || !f->len)
		return NULL;
	*len = f->len;
	return f->page;
}
