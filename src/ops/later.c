/*
 * later: jobs of sys/hands.h.  Each begins with the path it is about, in the
 * snapshot: while it is reaped that is p->path, and the functions of place.h
 * tell at once instead of asking here again.
 *
 *      struct file | path | content            make_file, then tell_file
 *      struct note | path | text               tell_note
 *      struct call | path                      tell_call
 */
#include "ops/later.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "format/treenode.h"
#include "ops/place.h"
#include "ops/placedb.h"
#include "sys/fsys.h"
#include "sys/hands.h"

#define RING_BYTES (8u << 20)
#define CALLS_MAX 100                   /* each holds a directory open ... */
#define CALLS_PART 8                    /* ... of this part of what the process may open */
#define TEXT_MAX 1024

/* A failure on its way to another thread. */
struct failure {
	int rc, sys_errno;
	char *text;                     /* owned; NULL: no memory for it */
};

struct file {
	size_t path_len;
	int dirfd;
	uint32_t first_mode;
	bool root, bare;
	uint64_t temp;                  /* of target_temp_name */
	uint64_t size;
	struct target_meta want;
	const char *name;               /* in the path */
	const uint8_t *content;
	struct failure worn, lost;      /* its metadata is not right; it is not there */
};

enum about { ABOUT_ITEM, ABOUT_PROBLEM, ABOUT_UNPROVED };

struct note {
	size_t path_len;
	enum about about;
	char what;
	uint64_t size;
	int rc;
	const char *text;
};

struct call {
	size_t path_len;
	int (*fn)(void *arg, bool dropped);
	void *arg;
};

/* ---- in a thread ---- */

static void
failure_keep(struct failure *f, int rc)
{
	f->rc = rc;
	f->sys_errno = err_errno();
	if (mem_dup(&f->text, err_text()))
		f->text = NULL;
}

static int
wear(const struct file *f, const char *temp, int fd)
{
	struct target_place at = { .dirfd = f->dirfd, .name = temp, .fd = fd,
	    .root = f->root, .bare = f->bare };
	struct fsys_stat st;
	bool changed = false;
	int rc = fsys_stat(fd, "", &st);

	return rc ? rc : target_fix(&at, &st, &f->want, &changed);
}

/* Under its own name it is complete from the start. */
static void
make_file(void *job)
{
	struct file *f = job;
	uint64_t seed = f->temp;
	char temp[TARGET_TEMP_MAX];
	int fd = -1, rc, one;

	do {
		target_temp_name(&seed, temp);
		rc = target_create(f->dirfd, temp, f->first_mode, &fd);
	} while (rc == ERR_EXISTS);
	if (rc) {
		failure_keep(&f->lost, rc);
		return;
	}
	rc = target_write_at(fd, 0, f->content, (size_t)f->size);
	if (rc == OK && (one = wear(f, temp, fd)))
		failure_keep(&f->worn, one);
	if (rc)
		failure_keep(&f->lost, rc);
	if ((one = target_close(fd)) && rc == OK)
		failure_keep(&f->lost, rc = one);
	if (rc == OK && (rc = target_rename(f->dirfd, temp, f->name)))
		failure_keep(&f->lost, rc);
	if (rc)
		target_drop(f->dirfd, temp);
}

/* ---- in the walk's ---- */

/* Room for a job of `fixed` bytes with p->path behind it, and `more`. */
static int
room(struct place *p, size_t fixed, size_t more, void **job, char **path)
{
	int rc = hands_room(p->later.hands, fixed + p->path.len + more, job);

	if (rc)
		return rc;
	memset(*job, 0, fixed);
	*path = (char *)*job + fixed;
	memcpy(*path, p->path.p, p->path.len);
	return OK;
}

/* p->path becomes that of a job; the one it was is returned. */
static struct mem_buf
visit(struct place *p, void *path, size_t len)
{
	struct mem_buf was = p->path;

	p->path = (struct mem_buf){ .p = path, .len = len, .cap = len };
	p->later.reaping = true;
	return was;
}

static void
back(struct place *p, const struct mem_buf *was)
{
	p->path = *was;
	p->later.reaping = false;
}

/* Told as if it had been met in this thread. */
static int
failure_tell(struct place *p, struct failure *f)
{
	err_set(f->rc, f->text ? f->text : "cannot be restored");
	err_set_errno(f->sys_errno);
	return place_problem(p, f->rc);
}

static int
tell_file(void *arg, void *job, bool dropped)
{
	struct place *p = arg;
	struct file *f = job;
	struct mem_buf was = visit(p, f + 1, f->path_len);
	int rc = OK;

	if (dropped)
		goto out;
	if (f->worn.rc)
		rc = failure_tell(p, &f->worn);
	if (rc == OK && f->lost.rc && (rc = failure_tell(p, &f->lost)) == OK)
		rc = place_unproved(p);
	if (f->lost.rc)
		goto out;
	p->content.written += f->size;
	p->res->files_restored++;
	place_item(p, '+', f->size);
out:
	free(f->worn.text);
	free(f->lost.text);
	back(p, &was);
	return rc;
}

static int
tell_note(void *arg, void *job, bool dropped)
{
	struct place *p = arg;
	struct note *n = job;
	struct mem_buf was = visit(p, n + 1, n->path_len);
	int rc = OK;

	if (!dropped && n->about == ABOUT_ITEM)
		place_item(p, n->what, n->size);
	if (!dropped && n->about == ABOUT_UNPROVED)
		rc = place_unproved(p);
	if (!dropped && n->about == ABOUT_PROBLEM) {
		err_set(n->rc, n->text);
		rc = place_problem(p, n->rc);
	}
	back(p, &was);
	return rc;
}

static int
tell_call(void *arg, void *job, bool dropped)
{
	struct place *p = arg;
	struct call *c = job;
	struct mem_buf was = visit(p, c + 1, c->path_len);
	int rc = c->fn(c->arg, dropped);

	p->later.calls--;
	back(p, &was);
	return rc;
}

/* All of this is known without a look at the target, and takes no order. */
static bool
is_plain(const struct place *p, const struct place_dir *dir,
    const struct treenode_entry *e)
{
	return p->later.hands && dir->fresh && dir->fd >= 0 &&
	    e->kind == TREENODE_FILE && e->ext_len == 0 &&
	    e->size <= LATER_FILE_MAX && !placedb_beside_raw(p) &&
	    !(e->flags & (TREENODE_HARDLINK | TREENODE_UNREAD)) &&
	    !p->o->sparse && p->path.len <= LATER_FILE_MAX / 2;
}

int
later_file(struct place *p, const struct place_dir *dir,
    const struct treenode_entry *e, const char *name, uint32_t first_mode)
{
	size_t size = (size_t)e->size;
	struct file *f;
	uint8_t *content;
	void *job;
	char *path;
	int rc;

	if (!is_plain(p, dir, e))
		return OK;
	if ((rc = room(p, sizeof(*f), size, &job, &path)))
		return rc;
	f = job;
	content = (uint8_t *)path + p->path.len;
	if ((rc = refill_read(&p->content, e, content)) != FOUND)
		return rc;
	f->path_len = p->path.len;
	f->dirfd = dir->fd;
	f->first_mode = first_mode;
	f->root = p->root;
	f->bare = !dir->acl;
	f->temp = p->temp++;
	f->size = e->size;
	f->name = path + p->path.len - 1 - strlen(name);
	f->content = content;
	place_meta(p, e, &f->want);
	hands_give(p->later.hands, make_file, tell_file, (uint64_t)dir->fd);
	return FOUND;
}

/* A note about p->path; text may be NULL. */
static int
leave_note(struct place *p, const struct note *n, const char *text)
{
	size_t len = text ? strlen(text) + 1 : 0;
	struct note *it;
	void *job;
	char *path;
	int rc = room(p, sizeof(*n), len, &job, &path);

	if (rc)
		return rc;
	it = job;
	*it = *n;
	it->path_len = p->path.len;
	it->text = path + p->path.len;
	if (len)
		memcpy(path + p->path.len, text, len);
	hands_give(p->later.hands, NULL, tell_note, 0);
	return OK;
}

void
later_item(struct place *p, char what, uint64_t size)
{
	struct note n = { .about = ABOUT_ITEM, .what = what, .size = size };

	/* A failure stays for later_check(). */
	(void)!leave_note(p, &n, NULL);
}

int
later_problem(struct place *p, int rc)
{
	struct note n = { .about = ABOUT_PROBLEM, .rc = rc };
	char text[TEXT_MAX];

	snprintf(text, sizeof(text), "%s", err_text());
	return leave_note(p, &n, text);
}

int
later_unproved(struct place *p)
{
	return leave_note(p, &(struct note){ .about = ABOUT_UNPROVED }, NULL);
}

int
later_call(struct place *p, int (*fn)(void *arg, bool dropped), void *arg)
{
	struct call *c;
	void *job;
	char *path;
	int rc = OK;

	if (p->later.calls >= CALLS_MAX ||
	    p->later.calls >= fsys_files_most() / CALLS_PART)
		rc = later_drain(p);
	if (rc || (rc = room(p, sizeof(*c), 0, &job, &path)))
		return rc;
	c = job;
	*c = (struct call){ .path_len = p->path.len, .fn = fn, .arg = arg };
	p->later.calls++;
	hands_give(p->later.hands, NULL, tell_call, 0);
	return OK;
}

bool
later_pending(const struct place *p)
{
	return p->later.hands && !p->later.reaping &&
	    hands_pending(p->later.hands);
}

int
later_check(const struct place *p)
{
	return p->later.hands ? hands_check(p->later.hands) : OK;
}

int
later_drain(struct place *p)
{
	return p->later.hands ? hands_drain(p->later.hands) : OK;
}

int
later_begin(struct place *p, unsigned threads)
{
	/* Without threads it only takes longer. */
	if (threads >= 2)
		(void)!hands_new(threads, RING_BYTES, p, &p->later.hands);
	return OK;
}

void
later_end(struct place *p)
{
	p->later.hands = hands_free(p->later.hands);
}
