/*
 * dbimage: sqlite3_backup copies into a database of our VFS.  What arrives at its xWrite is pages 2, 3, ..., N and then, twice, 1.
 * Page 1 is known before (dbimage_capture's `first`), so that the image can be passed on in order while it arrives; the page 1
 * that comes last is only compared.  The page with the lock bytes (at 1 GiB) never arrives: it is zeros.
 *
 *      next: the page to be passed on next.  A page beyond it waits in `early`; one before it was passed on already, and its coming
 *      again means that the backup has begun anew because the source changed.
 */
#include "source/dbimage.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/mem.h"

#define LOCK_BYTE 0x40000000u
#define EARLY_MAX 4096
#define FCNTL_STREAM 7401               /* ours: see file_control */
#define TAIL_STEP (16 << 10)
#define CACHE_PAGES "200"

struct early {
	uint64_t no;
	uint8_t *page;
};

struct stream {
	const struct dbimage_sink *sink;
	struct dbimage *img;
	uint8_t *first, *last;          /* page 1 as it is to be, and as it came; page_size bytes each */
	uint8_t *zero;
	uint64_t next;
	struct early *early;
	size_t early_count, early_cap;
	int rc;                         /* first failure of the sink, or ours */
};

struct file {
	sqlite3_file base;
	struct stream *s;
};

int
dbimage_error(sqlite3 *db, int code)
{
	const char *text = db ? sqlite3_errmsg(db) : sqlite3_errstr(code);

	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_DONE:
		return OK;
	case SQLITE_NOMEM:
		return fail(ERR_NOMEM, "out of memory");
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return fail(ERR_LOCKED, "another process keeps it locked");
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return fail(ERR_CORRUPT, "SQLite: %s", text);
	default:
		return fail(ERR_FAILED, "SQLite: %s", text);
	}
}

/* ------------------------------------------------------------------------------------------------ pages in order */

static int
pass(struct stream *s, const uint8_t *p)
{
	uint32_t size = s->img->page_size;
	int rc = s->sink->page(s->sink->arg, p, size);

	s->next++;
	if (rc == OK && s->next == LOCK_BYTE / size + 1) {
		rc = s->sink->page(s->sink->arg, s->zero, size);
		s->next++;
	}
	return rc;
}

/* Those that waited for what has just been passed on. */
static int
pass_early(struct stream *s)
{
	int rc = OK;

	for (size_t i = 0; rc == OK && i < s->early_count;) {
		if (s->early[i].no != s->next) {
			i++;
			continue;
		}
		rc = pass(s, s->early[i].page);
		free(s->early[i].page);
		s->early[i] = s->early[--s->early_count];
		i = 0;
	}
	return rc;
}

static int
keep_early(struct stream *s, uint64_t no, const uint8_t *p)
{
	uint8_t *copy;
	int rc;

	for (size_t i = 0; i < s->early_count; i++)
		if (s->early[i].no == no) {
			memcpy(s->early[i].page, p, s->img->page_size);
			return OK;
		}
	if (s->early_count >= EARLY_MAX)
		return fail(ERR_FAILED, "pages do not come in order");
	if ((rc = mem_grow((void **)&s->early, &s->early_cap, s->early_count + 1, sizeof(*s->early))) ||
	    (rc = mem_dup_bytes(&copy, p, s->img->page_size)))
		return rc;
	s->early[s->early_count++] = (struct early){ no, copy };
	return OK;
}

static int
arrive(struct stream *s, uint64_t no, const uint8_t *p)
{
	int rc;

	if (no == 1) {
		memcpy(s->last, p, s->img->page_size);
		return OK;
	}
	if (no < s->next) {
		s->img->moved = true;
		return fail(ERR_FAILED, "it changed while it was read");
	}
	if (no > s->next)
		return keep_early(s, no, p);
	rc = pass(s, p);
	return rc ? rc : pass_early(s);
}

/* ------------------------------------------------------------------------------------------------------- the VFS */

static int
file_close(sqlite3_file *f)
{
	(void)f;
	return SQLITE_OK;
}

static int
file_read(sqlite3_file *f, void *p, int len, sqlite3_int64 off)
{
	struct stream *s = ((struct file *)(void *)f)->s;

	memset(p, 0, (size_t)len);
	if (s && off == 0 && s->last[0] && (uint32_t)len <= s->img->page_size) {
		memcpy(p, s->last, (size_t)len);
		return SQLITE_OK;
	}
	return SQLITE_IOERR_SHORT_READ;
}

static int
file_write(sqlite3_file *f, const void *p, int len, sqlite3_int64 off)
{
	struct stream *s = ((struct file *)(void *)f)->s;

	if (!s || (uint32_t)len != s->img->page_size || off % len)
		return SQLITE_IOERR_WRITE;
	if (s->rc == OK)
		s->rc = arrive(s, (uint64_t)(off / len) + 1, p);
	return s->rc ? SQLITE_IOERR_WRITE : SQLITE_OK;
}

static int
file_truncate(sqlite3_file *f, sqlite3_int64 size)
{
	(void)f;
	(void)size;
	return SQLITE_OK;
}

static int
file_flag(sqlite3_file *f, int flag)
{
	(void)f;
	(void)flag;
	return SQLITE_OK;
}

static int
file_size(sqlite3_file *f, sqlite3_int64 *size)
{
	(void)f;
	*size = 0;
	return SQLITE_OK;
}

static int
file_reserved(sqlite3_file *f, int *is)
{
	(void)f;
	*is = 0;
	return SQLITE_OK;
}

/* How dbimage_capture and the file it opened find each other. */
static int
file_control(sqlite3_file *f, int op, void *arg)
{
	if (op != FCNTL_STREAM)
		return SQLITE_NOTFOUND;
	((struct file *)(void *)f)->s = arg;
	return SQLITE_OK;
}

static int
file_sector(sqlite3_file *f)
{
	(void)f;
	return 4096;
}

static int
file_traits(sqlite3_file *f)
{
	(void)f;
	return 0;
}

static const sqlite3_io_methods methods = { 1, file_close, file_read, file_write, file_truncate, file_flag, file_size, file_flag,
	file_flag, file_reserved, file_control, file_sector, file_traits, NULL, NULL, NULL, NULL, NULL, NULL };

static int
vfs_open(sqlite3_vfs *v, const char *name, sqlite3_file *f, int flags, int *out)
{
	(void)v;
	(void)name;
	if (!(flags & SQLITE_OPEN_MAIN_DB))
		return SQLITE_CANTOPEN;
	*(struct file *)(void *)f = (struct file){ .base = { &methods } };
	if (out)
		*out = flags;
	return SQLITE_OK;
}

static int
vfs_delete(sqlite3_vfs *v, const char *name, int sync)
{
	(void)v;
	(void)name;
	(void)sync;
	return SQLITE_OK;
}

static int
vfs_access(sqlite3_vfs *v, const char *name, int flags, int *is)
{
	(void)v;
	(void)name;
	(void)flags;
	*is = 0;
	return SQLITE_OK;
}

static int
vfs_path(sqlite3_vfs *v, const char *name, int cap, char *out)
{
	(void)v;
	snprintf(out, (size_t)cap, "%s", name);
	return SQLITE_OK;
}

static int
no_fchown(int fd, uid_t uid, gid_t gid)
{
	(void)fd;
	(void)uid;
	(void)gid;
	return 0;
}

int
dbimage_register(void)
{
	sqlite3_vfs *base = sqlite3_vfs_find(NULL), *v;
	int rc;

	/* As root SQLite gives a WAL or journal that it opens the database's owner, even one that it opens for reading: a new ctime. */
	if (!base || base->iVersion < 3 || base->xSetSystemCall(base, "fchown", (sqlite3_syscall_ptr)no_fchown))
		return fail(ERR_FAILED, "SQLite has no file system");
	if ((rc = MEM_NEW(v)))
		return rc;
	*v = *base;
	v->iVersion = 1;
	v->szOsFile = sizeof(struct file);
	v->pNext = NULL;
	v->zName = DBIMAGE_VFS;
	v->xOpen = vfs_open;
	v->xDelete = vfs_delete;
	v->xAccess = vfs_access;
	v->xFullPathname = vfs_path;
	return dbimage_error(NULL, sqlite3_vfs_register(v, 0));
}

/* ------------------------------------------------------------------------------------------------------- capture */

/* Is page 1 as it came what it was, apart from what the backup API sets? */
static bool
same_first(const struct stream *s)
{
	uint8_t a[100], b[100];

	memcpy(a, s->first, sizeof(a));
	memcpy(b, s->last, sizeof(b));
	memcpy(a + 24, b + 24, 8);      /* change counter, size in pages: stale in the source unless 92 equals 24 */
	memcpy(a + 40, b + 40, 4);      /* schema cookie */
	memcpy(a + 92, b + 92, 8);      /* version-valid-for, library version */
	return memcmp(a, b, sizeof(a)) == 0 && memcmp(s->first + 100, s->last + 100, s->img->page_size - 100) == 0;
}

static sqlite3_int64
size_of(sqlite3 *db, int which, sqlite3_file **f)
{
	sqlite3_int64 size;

	if (sqlite3_file_control(db, "main", which, f) || !*f || !(*f)->pMethods || (*f)->pMethods->xFileSize(*f, &size))
		return 0;
	return size;
}

/*
 * What lies behind the pages is not in the image.  Whole pages are what a file was made longer by ahead of time, or old ones that were left
 * when it became smaller, and nobody reads them.  Anything else but zeros somebody has put there.  With a WAL or a journal the file may be
 * longer than what it has.  src is in a transaction.
 */
static int
check_tail(struct stream *s, sqlite3 *src)
{
	static const uint8_t zeros[TAIL_STEP];
	sqlite3_int64 off = (sqlite3_int64)(s->img->pages * s->img->page_size), end;
	sqlite3_file *f = NULL, *beside = NULL;
	uint8_t buf[TAIL_STEP];
	int rc = OK;

	end = size_of(src, SQLITE_FCNTL_FILE_POINTER, &f);
	if (end <= off || end % s->img->page_size == 0 || size_of(src, SQLITE_FCNTL_JOURNAL_POINTER, &beside) > 0)
		return OK;
	for (; rc == OK && off < end; off += TAIL_STEP) {
		int len = end - off < TAIL_STEP ? (int)(end - off) : TAIL_STEP, code = f->pMethods->xRead(f, buf, len, off);

		if (code)
			return dbimage_error(NULL, code);
		if (memcmp(buf, zeros, (size_t)len) != 0)
			return fail(ERR_FAILED, "the file goes on behind the last page of the database");
		rc = s->sink->tick(s->sink->arg);
	}
	return rc;
}

/* The first step, in a transaction even if the source is not locked otherwise. */
static int
run_first(struct stream *s, sqlite3 *src, sqlite3_backup *b, int step, int *code)
{
	bool ours = sqlite3_get_autocommit(src);
	int rc;

	if (ours && (*code = sqlite3_exec(src, "BEGIN; PRAGMA data_version", NULL, NULL, NULL))) {
		rc = dbimage_error(src, *code);
	} else {
		*code = sqlite3_backup_step(b, step);
		s->img->pages = (uint64_t)sqlite3_backup_pagecount(b);
		rc = *code == SQLITE_OK || *code == SQLITE_DONE ? check_tail(s, src) : OK;
	}
	if (ours && !sqlite3_get_autocommit(src))
		(void)sqlite3_exec(src, "COMMIT", NULL, NULL, NULL);
	return rc;
}

static int
run(struct stream *s, sqlite3 *src, sqlite3 *dst, int step)
{
	sqlite3_backup *b = sqlite3_backup_init(dst, "main", src, "main");
	int code, last, rc;

	if (!b)
		return dbimage_error(dst, sqlite3_errcode(dst));
	rc = run_first(s, src, b, step, &code);
	while (rc == OK && (rc = s->sink->tick(s->sink->arg)) == OK && code == SQLITE_OK) {
		code = sqlite3_backup_step(b, step);
		s->img->pages = (uint64_t)sqlite3_backup_pagecount(b);
	}
	last = sqlite3_backup_finish(b);
	if (s->rc)
		return s->rc;
	if (rc)
		return rc;
	if (code != SQLITE_DONE)
		return dbimage_error(NULL, last ? last : code);
	if (s->next != s->img->pages + 1)
		return fail(ERR_CORRUPT, "%llu of its pages are missing", (unsigned long long)(s->img->pages + 1 - s->next));
	/* One page alone: SQLite has nothing else to write. */
	return same_first(s) ? OK : fail(ERR_FAILED, "its first page is not the one that was read");
}

static int
open_image(struct stream *s, sqlite3 **out)
{
	int code = sqlite3_open_v2("image", out, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, DBIMAGE_VFS);

	if (code == SQLITE_OK)
		code = sqlite3_file_control(*out, "main", FCNTL_STREAM, s);
	if (code == SQLITE_OK)
		code = sqlite3_exec(*out, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA locking_mode=EXCLUSIVE;"
		    "PRAGMA cache_size=" CACHE_PAGES, NULL, NULL, NULL);
	return dbimage_error(*out, code);
}

int
dbimage_capture(sqlite3 *src, const uint8_t *first, uint32_t page_size, int step, const struct dbimage_sink *sink, struct dbimage *img)
{
	struct stream s = { .sink = sink, .img = img, .next = 1 };
	sqlite3 *dst = NULL;
	int rc;

	*img = (struct dbimage){ .page_size = page_size };
	if ((rc = mem_dup_bytes(&s.first, first, page_size)) || (rc = mem_new((void **)&s.last, page_size)) ||
	    (rc = mem_new((void **)&s.zero, page_size)) || (rc = open_image(&s, &dst)) || (rc = pass(&s, s.first)))
		goto out;
	rc = run(&s, src, dst, step);
out:
	/* The file is closed with the connection: it must not outlive the stream. */
	sqlite3_close(dst);
	for (size_t i = 0; i < s.early_count; i++)
		free(s.early[i].page);
	free(s.early);
	free(s.first);
	free(s.last);
	free(s.zero);
	return rc;
}
