/*
 * packwrite: jobs in one ring (sys/hands.h), whose room bounds how many wait;
 * buffers whose frames are written go back to those who make frames.
 */
#include "store/packwrite.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "sys/hands.h"

#define WAITING 4u
#define NOTE_CAP 256

struct buffer {
	uint8_t *p;
	size_t cap;
};

struct packwrite {
	struct hands *hands;
	packwrite_finished finished;
	void *arg;
	struct buffer spare[WAITING];
	unsigned spare_count;
	bool failed;                    /* of the thread: what follows is not begun */
};

struct job {
	struct packwrite *w;
	struct packout *o;
	struct buffer buf;              /* p NULL: the footer */
	size_t len;
	bool skipped;                   /* it comes after what failed */
	int rc, sys_errno;
	char note[NOTE_CAP];
};

static void
run(void *job)
{
	struct job *j = job;

	if ((j->skipped = j->w->failed))
		return;
	j->rc = j->buf.p ? packout_frame(j->o, j->buf.p, j->len) :
	    packout_finish(j->o);
	if (j->rc == OK)
		return;
	j->w->failed = true;
	j->sys_errno = err_errno();
	snprintf(j->note, sizeof(j->note), "%s", err_text());
}

static int
reap(void *arg, void *job, bool dropped)
{
	struct packwrite *w = arg;
	struct job *j = job;

	if (j->buf.p && w->spare_count < WAITING)
		w->spare[w->spare_count++] = j->buf;
	else
		free(j->buf.p);
	if (dropped || j->skipped)
		return OK;
	if (j->rc == OK) {
		if (!j->buf.p)
			w->finished(w->arg, j->o);
		return OK;
	}
	err_set(j->rc, j->note);
	err_set_errno(j->sys_errno);
	return j->rc;
}

int
packwrite_new(packwrite_finished finished, void *arg, struct packwrite **out)
{
	struct packwrite *w;
	int rc;

	*out = NULL;
	if ((rc = MEM_NEW(w)))
		return rc;
	w->finished = finished;
	w->arg = arg;
	/* A job is at most a quarter of the ring. */
	rc = hands_new(1, (WAITING + 1) * (sizeof(struct job) + 64), w,
	    &w->hands);
	*out = rc ? packwrite_free(w) : w;
	return rc;
}

struct packwrite *
packwrite_free(struct packwrite *w)
{
	if (!w)
		return NULL;
	hands_free(w->hands);
	while (w->spare_count)
		free(w->spare[--w->spare_count].p);
	free(w);
	return NULL;
}

static int
give(struct packwrite *w, struct packout *o, const struct buffer *b, size_t len)
{
	void *job;
	int rc = hands_room(w->hands, sizeof(struct job), &job);

	if (rc)
		return rc;
	*(struct job *)job = (struct job){ .w = w, .o = o, .buf = *b,
		.len = len };
	hands_give(w->hands, run, reap, 0);
	return OK;
}

int
packwrite_frame(struct packwrite *w, struct packout *o, uint8_t **buf,
    size_t *cap, size_t len)
{
	const struct buffer b = { *buf, *cap }, none = { NULL, 0 };
	const struct buffer *next = &none;
	int rc = give(w, o, &b, len);

	if (rc)
		return rc;
	if (w->spare_count)
		next = &w->spare[--w->spare_count];
	*buf = next->p;
	*cap = next->cap;
	return OK;
}

int
packwrite_finish(struct packwrite *w, struct packout *o)
{
	return give(w, o, &(struct buffer){ NULL, 0 }, 0);
}

int
packwrite_drain(struct packwrite *w)
{
	return hands_drain(w->hands);
}
