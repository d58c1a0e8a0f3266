/*
 * fetch: the walk over the lists cuts the content into jobs of some pieces;
 * a thread takes a reader that is free, decodes them into the job, proves them
 * in vector lanes; sys/hands.h gives the jobs back in order.
 */
#include "store/fetch.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/keys.h"
#include "codec/lanes.h"
#include "sys/fsys.h"
#include "sys/hands.h"
#include "sys/host.h"
#include "sys/signals.h"

#define CACHE_BYTES (32u << 20)
#define LARGE (64u << 20)               /* content that may stand on much ... */
#define CACHE_LARGE (128u << 20)        /* ... which all readers together keep */
#define PIECES 128
#define JOB_BYTES (2u << 20)            /* a frame, or a chunk, is no longer ... */
#define JOB_ENOUGH (1u << 20)           /* ... and with so much a job ends where one does */
#define NOTE_CAP 512
#define JOBS_MOST 8
#define FILES 100                       /* of a reader, with its index */
#define FILES_LEFT 250                  /* for everybody else */

struct pen {                            /* of one thread at a time */
	struct index *ix;
	struct reader *rd;
};

struct fetch {
	struct reader *rd;              /* borrowed; reads the lists */
	struct index *ix;
	struct hands *hands;
	struct pen *pens;               /* [0, pens_free) are free */
	unsigned pen_count, pens_free;
	pthread_mutex_t lock;           /* of pens_free and the order of pens */
	fetch_fn fn;
	void *arg;
	int rc, sys_errno;              /* the first failure, in order */
	char note[NOTE_CAP];
};

struct job {
	struct fetch *f;
	unsigned count, good;           /* pieces; that can be handed out */
	int rc, sys_errno;
	char note[NOTE_CAP];
	struct tree_piece piece[PIECES];
	uint8_t bytes[];
};

/* ---- in a thread ---- */

static struct pen
pen_take(struct fetch *f)
{
	struct pen p;

	pthread_mutex_lock(&f->lock);
	p = f->pens[--f->pens_free];
	pthread_mutex_unlock(&f->lock);
	return p;
}

static void
pen_give(struct fetch *f, struct pen p)
{
	pthread_mutex_lock(&f->lock);
	f->pens[f->pens_free++] = p;
	pthread_mutex_unlock(&f->lock);
}

static void
job_failed(struct job *j, int rc)
{
	j->rc = rc;
	j->sys_errno = err_errno();
	snprintf(j->note, sizeof(j->note), "%s", err_text());
}

/* Those before the first that is not what its id says. */
static void
prove(struct job *j, struct reader *rd)
{
	struct lanes_job ids[PIECES];
	const struct tree_piece *which[PIECES];
	const uint8_t *p = j->bytes;
	size_t n = 0;
	char hex[NAME_HEX];

	for (unsigned i = 0; i < j->good; i++) {
		if (j->piece[i].hole)
			continue;
		which[n] = &j->piece[i];
		ids[n++] = (struct lanes_job){ .p = p,
		    .len = (size_t)j->piece[i].len, .type = FRAME_DATA };
		p += j->piece[i].len;
	}
	lanes_chunk_ids(reader_repo(rd)->keys->id, ids, n);
	for (size_t i = 0; i < n; i++) {
		if (name_cmp(&ids[i].id, &which[i]->id) == 0)
			continue;
		name_hex(&which[i]->id, hex);
		job_failed(j, fail(ERR_AUTH, "chunk %s does not have the "
		    "content that its id says", hex));
		j->good = (unsigned)(which[i] - j->piece);
		return;
	}
}

static void
run(void *arg)
{
	struct job *j = arg;
	struct pen pen = pen_take(j->f);
	uint8_t *to = j->bytes;
	const uint8_t *p;
	size_t len;
	int rc = OK;

	for (; j->good < j->count; j->good++) {
		const struct tree_piece *t = &j->piece[j->good];

		if (t->hole)
			continue;
		if ((rc = reader_get_unproved(pen.rd, &t->id, FRAME_DATA, &p,
		    &len)))
			break;
		if (len != t->len) {
			rc = fail(ERR_CORRUPT, "a chunk has another length "
			    "than its list says");
			break;
		}
		memcpy(to, p, len);
		to += len;
	}
	if (rc)
		job_failed(j, rc);
	prove(j, pen.rd);
	pen_give(j->f, pen);
}

/* ---- in the caller's ---- */

static void
note_failure(struct fetch *f, int rc, int sys_errno, const char *note)
{
	f->rc = rc;
	f->sys_errno = sys_errno;
	snprintf(f->note, sizeof(f->note), "%s", note);
}

static int
reap(void *arg, void *job, bool dropped)
{
	struct fetch *f = arg;
	struct job *j = job;
	const uint8_t *p = j->bytes;
	int rc;

	for (unsigned i = 0; i < j->good && !dropped && f->rc == OK; i++) {
		const struct tree_piece *t = &j->piece[i];

		if ((rc = f->fn(f->arg, t, t->hole ? NULL : p)))
			note_failure(f, rc, err_errno(), err_text());
		if (!t->hole)
			p += t->len;
	}
	if (j->rc && f->rc == OK && !dropped)
		note_failure(f, j->rc, j->sys_errno, j->note);
	return OK;
}

/* Lies the next chunk in another frame than the last one?  Two threads would both decode the one they share. */
static bool
leaves_frame(struct fetch *f, const struct tree_piece *last,
    const struct tree_piece *next)
{
	struct index_place a, b;

	if (last->hole || next->hole)
		return true;
	/* What fails here fails where it is read. */
	return index_find(f->ix, &last->id, &a, NULL) != FOUND ||
	    index_find(f->ix, &next->id, &b, NULL) != FOUND ||
	    a.pack_no != b.pack_no || a.ordinal != b.ordinal;
}

/* Gather pieces into jobs until the content ends or something has failed. */
static int
give_all(struct fetch *f, struct tree_content *c)
{
	struct tree_piece t;
	struct job *j = NULL;
	size_t used = 0;
	int rc, more;

	while ((more = signals_check()) == OK &&
	    (more = tree_content_next(c, &t)) == FOUND && f->rc == OK) {
		size_t len = t.hole ? 0 : (size_t)t.len;

		if (j && (j->count == PIECES || used + len > JOB_BYTES ||
		    (used >= JOB_ENOUGH && leaves_frame(f,
		    &j->piece[j->count - 1], &t)))) {
			hands_give(f->hands, run, reap, 0);
			j = NULL;
		}
		if (!j) {
			if ((rc = hands_room(f->hands, sizeof(*j) + JOB_BYTES,
			    (void **)&j)))
				return rc;
			memset(j, 0, sizeof(*j));
			j->f = f;
			used = 0;
		}
		j->piece[j->count++] = t;
		used += len;
	}
	if (j)
		hands_give(f->hands, run, reap, 0);
	return more < 0 ? more : OK;
}

/* Readers keep so much; no job is under way. */
static void
keep(struct fetch *f, size_t bytes)
{
	if (bytes < CACHE_BYTES)
		bytes = CACHE_BYTES;
	for (unsigned i = 0; i < f->pen_count; i++)
		reader_set_cache(f->pens[i].rd, bytes);
}

int
fetch_content(struct fetch *f, const struct treenode_entry *e, fetch_fn fn,
    void *arg)
{
	struct tree_content *c = NULL;
	int rc = tree_content_open(f->rd, e, &c), drained, sys_errno;
	char note[NOTE_CAP];

	if (rc)
		return rc;
	f->fn = fn;
	f->arg = arg;
	f->rc = OK;
	if (e->size >= LARGE)
		keep(f, CACHE_LARGE / f->pen_count);
	rc = give_all(f, c);
	tree_content_close(c);
	sys_errno = err_errno();
	snprintf(note, sizeof(note), "%s", err_text());
	drained = hands_drain(f->hands);
	keep(f, CACHE_BYTES);
	/* What was given comes before what failed while it was given. */
	if (f->rc == OK && rc)
		note_failure(f, rc, sys_errno, note);
	if (f->rc == OK)
		return drained;
	err_set(f->rc, f->note);
	err_set_errno(f->sys_errno);
	return f->rc;
}

unsigned
fetch_jobs(void)
{
	unsigned jobs = host_cpus(), most = fsys_files_most();
	unsigned can = most > FILES_LEFT ? (most - FILES_LEFT) / FILES : 0;

	if (jobs > JOBS_MOST)
		jobs = JOBS_MOST;
	if (jobs > can)
		jobs = can;
	return jobs > 1 ? jobs : 0;
}

static int
pen_new(struct fetch *f)
{
	struct pen *p = &f->pens[f->pen_count];
	int rc = index_load(reader_repo(f->rd), &p->ix);

	if (rc == OK)
		rc = reader_new(reader_repo(f->rd), p->ix, CACHE_BYTES, &p->rd);
	if (rc)
		index_free(p->ix);
	else
		f->pens_free = ++f->pen_count;
	return rc;
}

int
fetch_new(struct reader *rd, unsigned jobs, struct fetch **out)
{
	struct fetch *f;
	int rc;

	*out = NULL;
	if ((rc = MEM_NEW(f)))
		return rc;
	f->rd = rd;
	pthread_mutex_init(&f->lock, NULL);
	rc = mem_new((void **)&f->pens, mem_array(jobs, sizeof(*f->pens)));
	if (rc == OK)
		rc = index_load(reader_repo(rd), &f->ix);
	while (rc == OK && f->pen_count < jobs)
		rc = pen_new(f);
	if (rc == OK)
		rc = hands_new(jobs, (2 * jobs + 4) * (sizeof(struct job) +
		    JOB_BYTES + 64), f, &f->hands);
	*out = rc ? fetch_free(f) : f;
	return rc;
}

struct fetch *
fetch_free(struct fetch *f)
{
	if (!f)
		return NULL;
	hands_free(f->hands);
	index_free(f->ix);
	for (unsigned i = 0; i < f->pen_count; i++) {
		reader_free(f->pens[i].rd);
		index_free(f->pens[i].ix);
	}
	pthread_mutex_destroy(&f->lock);
	free(f->pens);
	free(f);
	return NULL;
}
