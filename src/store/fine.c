/*
 * fine: chunks are gathered in jobs (sys/hands.h).  A thread does what needs
 * nothing but the chunk and its base; what changes tables, kin and packer is
 * done by the caller's, in order:
 *
 *      fine_put --> job: bases read, proved in lanes, looked at, difference
 *               --> reap: remembered by kin; to the packer, or kin_wait
 *      fine_settle: all jobs; then those that wait, the same way:
 *               --> job: relatives found (kin is only read now), difference
 *               --> reap: to the packer
 *
 * Without threads a job is run and reaped at once, with the caller's reader.
 */
#include "store/fine.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/keys.h"
#include "codec/lanes.h"
#include "format/frame.h"
#include "store/bases.h"
#include "store/delta.h"
#include "store/kin.h"
#include "sys/fsys.h"
#include "sys/hands.h"

#define BATCH 8                         /* chunks of a job ... */
#define BATCH_LATE 2                    /* they take longer each, and others wait for the last */
#define BATCH_BYTES (512u << 10)        /* ... and their bytes; one fits */
#define BATCH_LEAST (BATCH_BYTES / 2)   /* that a job counts as */
#define RING (16u << 20)                /* under way: the pages of a database come faster than differences are made */
#define CACHE_BYTES (4u << 20)          /* of a thread's reader */
#define THREADS_MOST 4
#define FILES 100                       /* of a reader, with its index */
#define FILES_LEFT 200                  /* for everybody else */
#define NOTE_CAP 512

/* What a thread works with. */
struct pen {
	struct index *ix;               /* its own; NULL: not opened yet */
	struct reader *rd;
	struct bases bases;
	struct delta *delta;
	struct mem_buf plain;           /* bases of a job, one after the other */
};

struct fine {
	struct fine_config c;
	struct kin *kin;
	struct hands *hands;            /* NULL: no threads */
	struct pen pens[THREADS_MOST];  /* [0, pens_free) are free */
	unsigned pen_count, pens_free;
	pthread_mutex_t lock;           /* of pens_free and the order of pens */
	struct job *open;               /* being filled; NULL: none */
	struct job *own;                /* without threads: the only one */
	bool over;                      /* has failed, or is to end: jobs are dropped */
	int rc, sys_errno;              /* the first failure */
	char note[NOTE_CAP];
};

struct span {                           /* of a buffer */
	size_t off, len;
};

struct task {
	struct packer_item it;          /* no bytes: only its base counts */
	struct name wanted;             /* the base; zero: none */
	struct packer_base base;        /* what was found; p is not valid */
	bool known;                     /* base is sound, and `seen` is of it */
	bool pays;                      /* `stored` is worth it */
	struct span plain;              /* of the pen: the base */
	struct span seen, stored;       /* of the job's out */
};

struct job {
	struct fine *f;
	bool late;                      /* of chunks that waited */
	unsigned count;
	size_t used;
	int rc, sys_errno;
	char note[NOTE_CAP];
	struct mem_buf out;
	struct task task[BATCH];
	uint8_t bytes[BATCH_BYTES];
};

/* ---- in a thread ---- */

static int
pen_open(struct pen *p, const struct fine_config *c)
{
	int rc = index_load(c->repo, &p->ix);

	if (rc == OK)
		rc = reader_new(c->repo, p->ix, CACHE_BYTES, &p->rd);
	if (rc)
		p->ix = index_free(p->ix);
	return rc;
}

/* Without threads index and reader are the caller's. */
static int
pen_ready(struct pen *p, const struct fine *f)
{
	int rc;

	if (f->hands && !p->rd && (rc = pen_open(p, &f->c)))
		return rc;
	p->bases.ix = f->hands ? p->ix : f->c.ix;
	p->bases.rd = f->hands ? p->rd : f->c.rd;
	return p->delta ? OK : delta_new(f->c.level, &p->delta);
}

static struct pen
pen_take(struct fine *f)
{
	struct pen p;

	pthread_mutex_lock(&f->lock);
	p = f->pens[--f->pens_free];
	pthread_mutex_unlock(&f->lock);
	return p;
}

static void
pen_give(struct fine *f, const struct pen *p)
{
	pthread_mutex_lock(&f->lock);
	f->pens[f->pens_free++] = *p;
	pthread_mutex_unlock(&f->lock);
}

/* The plaintexts of bases to p->plain, those that are what they should be. */
static int
find_bases(struct pen *p, struct job *j)
{
	struct lanes_job ids[BATCH];
	struct task *which[BATCH];
	unsigned n = 0;
	int rc;

	p->plain.len = 0;
	p->bases.unproved = true;
	for (unsigned i = 0; i < j->count; i++) {
		struct task *t = &j->task[i];

		if (name_is_zero(&t->wanted))
			continue;
		if ((rc = bases_one(&p->bases, FRAME_DATA, &t->it.id,
		    &t->wanted, &t->base)) < 0)
			return rc;
		if (rc != FOUND)
			continue;
		t->plain = (struct span){ p->plain.len, t->base.len };
		if ((rc = mem_buf_add(&p->plain, t->base.p, t->base.len)))
			return rc;
		which[n++] = t;
	}
	for (unsigned i = 0; i < n; i++)
		ids[i] = (struct lanes_job){ .p = p->plain.p +
		    which[i]->plain.off, .len = which[i]->plain.len,
		    .type = FRAME_DATA };
	lanes_chunk_ids(j->f->c.repo->keys->id, ids, n);
	for (unsigned i = 0; i < n; i++)
		which[i]->known = name_cmp(&ids[i].id,
		    &which[i]->base.id[0]) == 0;
	return OK;
}

static int
try_delta(struct pen *p, struct job *j, struct task *t, unsigned save)
{
	const uint8_t *stored;
	size_t len;
	int rc = delta_make(p->delta, t->it.p, t->it.len, &t->base, save, j->late,
	    &stored, &len);

	if (rc != FOUND)
		return rc;
	t->pays = true;
	t->stored = (struct span){ j->out.len, len };
	return mem_buf_add(&j->out, stored, len);
}

/* A chunk that came, and the base at its place. */
static int
do_first(struct pen *p, struct job *j, struct task *t)
{
	int rc;

	if (!t->known)
		return OK;
	t->base.p = p->plain.p + t->plain.off;
	t->seen.off = j->out.len;
	if ((rc = kin_look(t->base.p, t->base.len, &j->out)))
		return rc;
	t->seen.len = j->out.len - t->seen.off;
	return t->it.len ? try_delta(p, j, t, PACKER_SAVE_HALF) : OK;
}

/* A chunk that waited: on those that share content with it, or on the base at its place. */
static int
do_late(struct pen *p, struct job *j, struct task *t)
{
	struct name ids[KIN_MOST];
	unsigned n = kin_find(j->f->kin, t->it.p, t->it.len, ids);
	int rc;

	if ((rc = bases_several(&p->bases, &t->it.id, ids, n, &t->base)) < 0)
		return rc;
	if (rc == FOUND && (rc = try_delta(p, j, t, PACKER_SAVE_ANY)) < 0)
		return rc;
	if (t->pays || name_is_zero(&t->wanted))
		return OK;
	rc = bases_one(&p->bases, FRAME_DATA, &t->it.id, &t->wanted, &t->base);
	return rc == FOUND ? try_delta(p, j, t, PACKER_SAVE_ANY) : rc;
}

static void
run(void *arg)
{
	struct job *j = arg;
	struct pen p = pen_take(j->f);
	int rc = pen_ready(&p, j->f);

	if (rc == OK && !j->late)
		rc = find_bases(&p, j);
	p.bases.unproved = false;
	for (unsigned i = 0; rc >= 0 && i < j->count; i++)
		rc = j->late ? do_late(&p, j, &j->task[i]) :
		    do_first(&p, j, &j->task[i]);
	pen_give(j->f, &p);
	if (rc >= 0)
		return;
	j->rc = rc;
	j->sys_errno = err_errno();
	snprintf(j->note, sizeof(j->note), "%s", err_text());
}

/* ---- in the caller's ---- */

static int
put_delta(struct fine *f, const struct task *t, const uint8_t *stored)
{
	struct frame_block b = { .codec = FRAME_DELTA, .depth = t->base.depth,
		.raw_len = (uint32_t)t->it.len,
		.stored_len = (uint32_t)t->stored.len, .chunk_count = 1,
		.base_count = t->base.count };
	int rc;

	memcpy(b.base, t->base.id, t->base.count * sizeof(*b.base));
	rc = packer_copy(f->c.packer, FRAME_DATA, &t->it.id, &b, stored,
	    t->it.row);
	return rc ? rc : f->c.uses(f->c.arg, &t->base, t->it.row);
}

static int
reap_task(struct fine *f, const struct job *j, const struct task *t)
{
	uint8_t depth;
	int rc;

	/* Of a base without anchors nothing is seen, and `out` may not be there. */
	if (t->known && !j->late && (rc = kin_add(f->kin, &t->base.id[0],
	    t->seen.len ? j->out.p + t->seen.off : NULL, t->seen.len)))
		return rc;
	if (t->it.len == 0)
		return OK;
	if (t->pays)
		return put_delta(f, t, j->out.p + t->stored.off);
	if (!j->late && kin_any(f->kin)) {
		rc = kin_wait(f->kin, &t->it, &t->wanted);
		if (rc)
			return rc < 0 ? rc : OK;
	}
	return packer_add(f->c.packer, FRAME_DATA, &t->it.id, t->it.p,
	    t->it.len, NULL, t->it.row, &depth);
}

static int
reap(void *arg, void *job, bool dropped)
{
	struct fine *f = arg;
	struct job *j = job;
	int rc;

	dropped = dropped || f->over;
	rc = dropped ? OK : j->rc;
	if (rc) {
		err_set(rc, j->note);
		err_set_errno(j->sys_errno);
	}
	for (unsigned i = 0; !dropped && rc == OK && i < j->count; i++)
		rc = reap_task(f, j, &j->task[i]);
	mem_buf_clear(&j->out);
	if (rc) {
		f->over = true;
		f->rc = rc;
		f->sys_errno = err_errno();
		snprintf(f->note, sizeof(f->note), "%s", err_text());
	}
	return rc;
}

/* What follows a failure is dropped: nobody may take it for stored. */
static int
failure(const struct fine *f)
{
	if (f->rc) {
		err_set(f->rc, f->note);
		err_set_errno(f->sys_errno);
	}
	return f->rc;
}

/* The job being filled goes its way. */
static int
give(struct fine *f)
{
	struct job *j = f->open;

	f->open = NULL;
	if (!j)
		return OK;
	if (f->hands) {
		/* What comes of a job takes memory, too, even if it brought no bytes. */
		hands_trim(f->hands, offsetof(struct job, bytes) + (j->used > BATCH_LEAST ? j->used : BATCH_LEAST));
		hands_give(f->hands, run, reap, 0);
		return OK;
	}
	run(j);
	return reap(f, j, false);
}

static int
drain(struct fine *f)
{
	int rc = failure(f);

	if (rc || (rc = give(f)))
		return rc;
	return f->hands ? hands_drain(f->hands) : OK;
}

/* Room for one more task with so many bytes. */
static int
next_task(struct fine *f, size_t len, bool late, struct task **out)
{
	struct job *j = f->open;
	int rc;

	if (j && (j->count == (late ? BATCH_LATE : BATCH) || j->used + len > BATCH_BYTES) &&
	    (rc = give(f)))
		return rc;
	if (!f->open) {
		if (f->hands && (rc = hands_room(f->hands, sizeof(*j),
		    (void **)&f->own)))
			return rc;
		if (!f->own && (rc = mem_new((void **)&f->own, sizeof(*j))))
			return rc;
		f->open = f->own;
		memset(f->open, 0, offsetof(struct job, bytes));
		f->open->f = f;
		f->open->late = late;
	}
	*out = &f->open->task[f->open->count++];
	return OK;
}

static int
add(struct fine *f, const struct packer_item *it, const struct name *base,
    bool late)
{
	struct task *t;
	int rc = failure(f);

	if (rc || (rc = next_task(f, it->len, late, &t)))
		return rc;
	t->it = *it;
	t->it.p = f->open->bytes + f->open->used;
	if (it->len)
		memcpy(f->open->bytes + f->open->used, it->p, it->len);
	f->open->used += it->len;
	if (base && name_cmp(base, &it->id) != 0)
		t->wanted = *base;
	return OK;
}

int
fine_put(struct fine *f, const struct packer_item *it, const struct name *base)
{
	bool pending = f->open || (f->hands && hands_pending(f->hands));
	int rc = failure(f);

	if (rc)
		return rc;
	/* Nothing to stand on, as in a first snapshot. */
	if (!base && !pending && !kin_any(f->kin))
		return OK;
	if (it->len > BATCH_BYTES)
		return drain(f);
	rc = add(f, it, base, false);
	return rc ? rc : FOUND;
}

int
fine_replaced(struct fine *f, const struct name *base)
{
	return add(f, &(struct packer_item){ .len = 0 }, base, false);
}

int
fine_settle(struct fine *f)
{
	const struct kin_waiting *w;
	int rc = drain(f);

	if (rc)
		return rc;
	packer_thorough(f->c.packer, true);
	while (rc == OK && (w = kin_next(f->kin)))
		rc = add(f, &w->it, &w->base, true);
	if (rc == OK)
		rc = drain(f);
	packer_thorough(f->c.packer, false);
	return rc;
}

static unsigned
threads(unsigned jobs)
{
	unsigned most = fsys_files_most();
	unsigned can = most > FILES_LEFT ? (most - FILES_LEFT) / FILES : 0;

	if (jobs > THREADS_MOST)
		jobs = THREADS_MOST;
	return jobs < can ? jobs : can;
}

int
fine_new(const struct fine_config *c, struct fine **out)
{
	unsigned jobs = threads(c->jobs);
	struct fine *f;
	int rc;

	*out = NULL;
	if ((rc = MEM_NEW(f)))
		return rc;
	f->c = *c;
	pthread_mutex_init(&f->lock, NULL);
	rc = kin_new(&f->kin);
	/* Where no thread can be had, it goes without. */
	if (rc == OK && jobs > 1 && hands_new(jobs, RING, f, &f->hands))
		f->hands = NULL;
	f->pen_count = f->pens_free = f->hands ? jobs : 1;
	*out = rc ? fine_free(f) : f;
	return rc;
}

struct fine *
fine_free(struct fine *f)
{
	if (!f)
		return NULL;
	/* A job being filled has nothing of its own yet. */
	f->over = true;
	if (!f->hands)
		free(f->own);
	hands_free(f->hands);
	for (unsigned i = 0; i < f->pen_count; i++) {
		struct pen *p = &f->pens[i];

		reader_free(p->rd);
		index_free(p->ix);
		delta_free(p->delta);
		bases_clear(&p->bases);
		mem_buf_clear(&p->plain);
	}
	kin_free(f->kin);
	pthread_mutex_destroy(&f->lock);
	free(f);
	return NULL;
}
