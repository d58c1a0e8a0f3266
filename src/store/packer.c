/*
 * packer: the caller's thread fills a job per kind of pack with chunks; a full job is a frame.  It is given its place (pack and
 * ordinal) at once, since its seal names both; threads compress and seal; the caller's thread gives finished frames, in the order they
 * were submitted, to one that writes.  A pack that has its size gets its footer when its last frame was appended, and is synced by a
 * thread of its own.
 *
 *     free -> open (being filled) -> queued -> running -> done -> appended, free again
 *
 * Invariants: 1. queue[] holds submitted jobs in order, first not yet appended at queue_head.
 *             2. all state below `lock` is touched under it only; jobs that are running belong to their thread.
 *             3. after an error nothing more is written; every later call returns it.
 */
#include "store/packer.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/squeeze.h"
#include "store/delta.h"
#include "store/framejob.h"
#include "store/packwrite.h"

#define META_BLOCK_TARGET (256u << 10)
#define META_DELTAS (64u << 10)          /* bytes of differences between nodes in a frame */
#define FINE_BLOCK (128u << 10)
#define FINE_DELTAS (32u << 10)
#define PACK_TARGET (16u << 20)
#define THREAD_BYTES (12u << 20)        /* of memory, for each thread */
#define BASE_BYTES (24u << 20)          /* and once: frames that wait to be written, too */
#define MEMORY (384u << 20)

enum job_state { JOB_OPEN, JOB_QUEUED, JOB_RUNNING, JOB_DONE };
enum pack_state { PACK_OPEN, PACK_SYNC_WANTED, PACK_SYNCING, PACK_SYNCED };

struct pack {
	struct packout file;            /* first, for pack_finished; the writer's until it is to be synced */
	uint64_t bytes;                 /* given to the writer, header and frames ... */
	uint32_t frames;                /* ... and so many of these */
	enum pack_state state;          /* under the lock */
	bool closed;                    /* gets no more frames */
	uint32_t assigned;              /* frames, appended or under way */
};

struct job {
	enum job_state state;           /* under the lock */
	bool busy;                      /* open or submitted; of the caller's thread */
	bool slow;                      /* compress at delta_slow_level */
	struct framejob fj;
	struct pack *pack;
	uint32_t ordinal, frame;
};

struct packer {
	struct repo *repo;
	packer_placed_fn placed;
	void *arg;
	struct delta *delta;            /* of the caller's thread */
	struct job *open[2];            /* by kind - 1 */
	struct pack *cur[2];
	struct packwrite *write;
	struct pack **packs;
	size_t pack_count, pack_cap;
	struct packer_pack *pub_packs;
	size_t pub_cap;
	struct packer_frame *frames;
	size_t frame_count, frame_cap;
	uint64_t bytes;
	int rc, sys_errno;              /* first error */
	char note[256];
	int level;
	bool fine, thorough;

	pthread_mutex_t lock;
	pthread_cond_t work, full, ready;       /* a job is queued, a pack is full; either is done */
	pthread_t *threads;
	unsigned thread_count;
	struct job *jobs;
	size_t job_count;
	struct job **queue;             /* ring of job_count */
	size_t queue_head, queue_len;
	bool stop;
};

/* ----------------------------------------------------------------------------------------------- in a thread */

/* The next job, marked as taken; NULL when the packer is being freed. */
static struct job *
take_job(struct packer *p)
{
	while (!p->stop) {
		for (size_t i = 0; i < p->queue_len; i++) {
			struct job *j = p->queue[(p->queue_head + i) % p->job_count];

			if (j->state == JOB_QUEUED) {
				j->state = JOB_RUNNING;
				return j;
			}
		}
		pthread_cond_wait(&p->work, &p->lock);
	}
	return NULL;
}

/* The same for a pack that is to be synced. */
static struct pack *
take_pack(struct packer *p)
{
	while (!p->stop) {
		for (size_t i = 0; i < p->pack_count; i++)
			if (p->packs[i]->state == PACK_SYNC_WANTED) {
				p->packs[i]->state = PACK_SYNCING;
				return p->packs[i];
			}
		pthread_cond_wait(&p->full, &p->lock);
	}
	return NULL;
}

/* The first failure, with this thread's note. */
static void
set_error(struct packer *p, int rc)
{
	if (p->rc)
		return;
	p->rc = rc;
	p->sys_errno = err_errno();
	snprintf(p->note, sizeof(p->note), "%s", err_text());
}

/* The failure that was set, or OK. */
static int
tell_error(const struct packer *p)
{
	if (p->rc) {
		err_set(p->rc, p->note);
		err_set_errno(p->sys_errno);
	}
	return p->rc;
}

static void *
worker(void *arg)
{
	struct packer *p = arg;
	struct squeeze *sq[2] = { NULL, NULL };
	struct job *j;
	int rc;

	pthread_mutex_lock(&p->lock);
	while ((j = take_job(p)) != NULL) {
		pthread_mutex_unlock(&p->lock);
		rc = sq[j->slow] ? OK : squeeze_new(j->slow ? delta_slow_level(p->level) : p->level, &sq[j->slow]);
		if (rc == OK)
			rc = framejob_run(&j->fj, p->repo, sq[j->slow], &j->pack->file.id, j->ordinal, j->pack->file.key);
		pthread_mutex_lock(&p->lock);
		if (rc)
			set_error(p, rc);
		j->state = JOB_DONE;
		pthread_cond_broadcast(&p->ready);
	}
	pthread_mutex_unlock(&p->lock);
	squeeze_free(sq[0]);
	squeeze_free(sq[1]);
	return NULL;
}

/* A thread of its own: while the disk is waited for, others compress. */
static void *
syncer(void *arg)
{
	struct packer *p = arg;
	struct pack *pack;
	int rc;

	pthread_mutex_lock(&p->lock);
	while ((pack = take_pack(p)) != NULL) {
		pthread_mutex_unlock(&p->lock);
		rc = packout_sync(&pack->file);
		pthread_mutex_lock(&p->lock);
		if (rc)
			set_error(p, rc);
		pack->state = PACK_SYNCED;
		pthread_cond_broadcast(&p->ready);
	}
	pthread_mutex_unlock(&p->lock);
	return NULL;
}

/* ------------------------------------------------------------------------------------------------- pack files */

static int
pack_begin(struct packer *p, uint32_t kind, struct pack **out)
{
	struct pack *o;
	int rc;

	if ((rc = MEM_NEW(o)))
		return rc;
	if ((rc = packout_begin(&o->file, p->repo, kind)))
		goto out;
	o->bytes = o->file.bytes;
	pthread_mutex_lock(&p->lock);
	if ((rc = mem_grow((void **)&p->packs, &p->pack_cap, p->pack_count + 1, sizeof(*p->packs))) == OK)
		p->packs[p->pack_count++] = o;
	pthread_mutex_unlock(&p->lock);
out:
	if (rc) {
		packout_discard(&o->file);
		packout_clear(&o->file);
		free(o);
		o = NULL;
	}
	*out = o;
	return rc;
}

/* The footer is written: a thread syncs. */
static void
pack_finished(void *arg, struct packout *file)
{
	struct packer *p = arg;

	p->bytes += file->bytes;
	pthread_mutex_lock(&p->lock);
	((struct pack *)file)->state = PACK_SYNC_WANTED;
	pthread_cond_signal(&p->full);
	pthread_mutex_unlock(&p->lock);
}

static int
frame_append(struct packer *p, struct job *j)
{
	struct packer_frame *f = &p->frames[j->frame];
	struct pack *o = j->pack;
	int rc;

	assert(o->frames == j->ordinal);
	f->off = (uint32_t)o->bytes;
	f->len = (uint32_t)j->fj.out_len;
	if ((rc = packwrite_frame(p->write, &o->file, &j->fj.out, &j->fj.out_cap, j->fj.out_len)))
		return rc;
	o->bytes += f->len;
	o->frames++;
	return o->closed && o->frames == o->assigned ? packwrite_finish(p->write, &o->file) : OK;
}

/* ----------------------------------------------------------------------------------------------- jobs in order */

static int
packer_error(struct packer *p)
{
	int rc;

	pthread_mutex_lock(&p->lock);
	rc = tell_error(p);
	pthread_mutex_unlock(&p->lock);
	return rc;
}

static int
note_error(struct packer *p, int rc)
{
	if (rc) {
		pthread_mutex_lock(&p->lock);
		set_error(p, rc);
		pthread_mutex_unlock(&p->lock);
	}
	return rc;
}

/* Wait for the oldest submitted job and append it. */
static int
retire_one(struct packer *p)
{
	struct job *j = p->queue[p->queue_head];
	int rc;

	pthread_mutex_lock(&p->lock);
	while (j->state != JOB_DONE)
		pthread_cond_wait(&p->ready, &p->lock);
	p->queue_head = (p->queue_head + 1) % p->job_count;
	p->queue_len--;
	rc = tell_error(p);
	pthread_mutex_unlock(&p->lock);
	if (rc == OK)
		rc = note_error(p, frame_append(p, j));
	j->busy = false;
	framejob_reset(&j->fj);
	return rc;
}

static bool
oldest_done(struct packer *p)
{
	bool done;

	pthread_mutex_lock(&p->lock);
	done = p->queue_len > 0 && p->queue[p->queue_head]->state == JOB_DONE;
	pthread_mutex_unlock(&p->lock);
	return done;
}

static int
take_free(struct packer *p, struct job **out)
{
	int rc;

	for (;;) {
		for (size_t i = 0; i < p->job_count; i++) {
			struct job *j = &p->jobs[i];

			if (!j->busy) {
				*out = j;
				return OK;
			}
		}
		if ((rc = retire_one(p)))
			return rc;
	}
}

/* Close the frame being filled: choose its pack, tell the places, submit it. */
static int
frame_close(struct packer *p, uint32_t kind)
{
	struct job *j = p->open[kind - 1];
	struct pack *o = p->cur[kind - 1];
	int rc;

	if (!j || framejob_count(&j->fj) == 0)
		return OK;
	while (oldest_done(p))
		if ((rc = retire_one(p)))
			return rc;
	if (o && o->bytes >= PACK_TARGET) {
		o->closed = true;
		if (o->frames == o->assigned && (rc = packwrite_finish(p->write, &o->file)))
			return rc;
		o = NULL;
	}
	if (!o && (rc = pack_begin(p, kind, &o)))
		return rc;
	p->cur[kind - 1] = o;
	if ((rc = mem_grow((void **)&p->frames, &p->frame_cap, p->frame_count + 1, sizeof(*p->frames))))
		return rc;
	j->pack = o;
	j->ordinal = o->assigned++;
	j->frame = (uint32_t)p->frame_count++;
	p->frames[j->frame] = (struct packer_frame){ .ordinal = j->ordinal, .chunks = framejob_count(&j->fj) };
	for (uint32_t i = 0; i < p->pack_count; i++)
		if (p->packs[i] == o)
			p->frames[j->frame].pack = i;
	for (size_t i = 0; i < j->fj.plain_count; i++)
		p->placed(p->arg, j->fj.plain[i].row, j->frame, (uint16_t)i);
	for (size_t i = 0; i < j->fj.delta_count; i++)
		p->placed(p->arg, j->fj.delta[i].row, j->frame, (uint16_t)(j->fj.plain_count + i));
	p->open[kind - 1] = NULL;
	pthread_mutex_lock(&p->lock);
	j->state = JOB_QUEUED;
	p->queue[(p->queue_head + p->queue_len++) % p->job_count] = j;
	pthread_cond_signal(&p->work);
	pthread_mutex_unlock(&p->lock);
	return OK;
}

/* ---------------------------------------------------------------------------------------------- adding chunks */

/* Is the frame as large as it should get?  Nodes are read one at a time, so a frame has one block of them. */
static bool
is_large(const struct packer *p, uint32_t kind, const struct framejob *fj, size_t len)
{
	if (kind == PACKFILE_META)
		return framejob_count(fj) > 0 && (fj->raw_len + len > META_BLOCK_TARGET || fj->delta_bytes.len > META_DELTAS);
	return p->fine && ((fj->raw_len && fj->raw_len + len > PACKER_FINE) || fj->delta_bytes.len > FINE_DELTAS);
}

/* The job being filled, with room for a plain chunk of len bytes (0: a delta). */
static int
job_open(struct packer *p, uint32_t kind, size_t len, struct framejob **out)
{
	struct job *j = p->open[kind - 1];
	int rc;

	if (j && (framejob_full(&j->fj, len) || is_large(p, kind, &j->fj, len)) && (rc = frame_close(p, kind)))
		return rc;
	j = p->open[kind - 1];
	if (!j) {
		if ((rc = take_free(p, &j)))
			return rc;
		j->busy = true;
		j->slow = false;
		p->open[kind - 1] = j;
	}
	*out = &j->fj;
	return OK;
}

static int
add_plain(struct packer *p, uint32_t kind, const struct framejob_chunk *c, const void *data)
{
	size_t target = kind != PACKFILE_DATA ? META_BLOCK_TARGET : p->fine ? FINE_BLOCK : FRAMEJOB_RAW;
	struct framejob *j;
	int rc = job_open(p, kind, c->chunk.len, &j);

	if (rc == OK && p->thorough)
		p->open[kind - 1]->slow = true;
	return rc ? rc : framejob_plain(j, c, data, target);
}

/* FOUND when the delta was taken, OK when it does not pay. */
static int
add_delta(struct packer *p, uint32_t kind, const struct framejob_chunk *c, const void *data, const struct packer_base *base)
{
	struct frame_block b = { .codec = FRAME_DELTA, .depth = base->depth, .raw_len = c->chunk.len,
		.chunk_count = 1, .base_count = base->count };
	const uint8_t *stored;
	struct framejob *j;
	size_t n;
	int rc = delta_make(p->delta, data, c->chunk.len, base, PACKER_SAVE_ANY, p->fine, &stored, &n);

	if (rc != FOUND)
		return rc;
	b.stored_len = (uint32_t)n;
	memcpy(b.base, base->id, base->count * sizeof(*b.base));
	if ((rc = job_open(p, kind, 0, &j)) || (rc = framejob_delta(j, c, &b, stored)))
		return rc;
	return FOUND;
}

int
packer_fine(struct packer *p, bool on)
{
	int rc = OK;

	if (p->fine != on)
		rc = note_error(p, frame_close(p, PACKFILE_DATA));
	p->fine = on;
	return rc;
}

void
packer_thorough(struct packer *p, bool on)
{
	p->thorough = on && delta_slow_level(p->level) != p->level;
}

int
packer_add(struct packer *p, uint8_t type, const struct name *id, const void *data, size_t len, const struct packer_base *base,
    uint32_t row, uint8_t *depth)
{
	struct framejob_chunk c = { .chunk = { .type = type, .len = (uint32_t)len, .id = *id }, .row = row };
	uint32_t kind = type == FRAME_DATA ? PACKFILE_DATA : PACKFILE_META;
	int rc;

	assert(len > 0 && len <= FRAME_CHUNK_MAX);
	*depth = 0;
	if ((rc = packer_error(p)))
		return rc;
	if (base) {
		assert(base->depth <= FRAME_DEPTH_MAX);
		rc = add_delta(p, kind, &c, data, base);
		if (rc == FOUND)
			*depth = base->depth;
		if (rc)
			return rc == FOUND ? OK : note_error(p, rc);
	}
	return note_error(p, add_plain(p, kind, &c, data));
}

int
packer_copy(struct packer *p, uint8_t type, const struct name *id, const struct frame_block *b, const void *stored, uint32_t row)
{
	struct framejob_chunk c = { .chunk = { .type = type, .len = b->raw_len, .id = *id }, .row = row };
	struct framejob *j;
	int rc = packer_error(p);

	if (rc == OK && (rc = job_open(p, type == FRAME_DATA ? PACKFILE_DATA : PACKFILE_META, 0, &j)) == OK)
		rc = framejob_delta(j, &c, b, stored);
	return note_error(p, rc);
}

/* ------------------------------------------------------------------------------------------- flush and publish */

static int
wait_synced(struct packer *p)
{
	int rc;

	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < p->pack_count; i++)
		while (p->packs[i]->state != PACK_SYNCED)
			pthread_cond_wait(&p->ready, &p->lock);
	rc = tell_error(p);
	pthread_mutex_unlock(&p->lock);
	return rc;
}

static int
flush(struct packer *p)
{
	struct pack *o;
	int rc;

	if ((rc = frame_close(p, PACKFILE_DATA)) || (rc = frame_close(p, PACKFILE_META)))
		return rc;
	while (p->queue_len)
		if ((rc = retire_one(p)))
			return rc;
	for (uint32_t k = 0; k < 2; k++) {
		o = p->cur[k];
		p->cur[k] = NULL;
		if (o && (rc = packwrite_finish(p->write, &o->file)))
			return rc;
	}
	if ((rc = packwrite_drain(p->write)) || (rc = wait_synced(p)) ||
	    (rc = mem_grow((void **)&p->pub_packs, &p->pub_cap, p->pack_count, sizeof(*p->pub_packs))))
		return rc;
	for (size_t i = 0; i < p->pack_count; i++)
		p->pub_packs[i] = (struct packer_pack){ .name = p->packs[i]->file.name, .kind = p->packs[i]->file.kind,
			.bytes = p->packs[i]->file.bytes, .frame_bytes = p->packs[i]->file.frame_bytes,
			.frames = p->packs[i]->file.frames };
	return OK;
}

int
packer_flush(struct packer *p)
{
	int rc = packer_error(p);

	return rc ? rc : note_error(p, flush(p));
}

const struct packer_pack *
packer_packs(const struct packer *p, uint32_t *count)
{
	*count = (uint32_t)p->pack_count;
	return p->pub_packs;
}

const struct packer_frame *
packer_frames(const struct packer *p, uint32_t *count)
{
	*count = (uint32_t)p->frame_count;
	return p->frames;
}

static void
forget_packs(struct packer *p)
{
	pthread_mutex_lock(&p->lock);
	for (size_t i = 0; i < p->pack_count; i++) {
		packout_clear(&p->packs[i]->file);
		free(p->packs[i]);
	}
	p->pack_count = 0;
	p->frame_count = 0;
	pthread_mutex_unlock(&p->lock);
}

int
packer_publish(struct packer *p)
{
	uint8_t dirty[256] = { 0 };
	char dir[16];
	int rc;

	for (size_t i = 0; i < p->pack_count; i++) {
		if ((rc = packout_publish(&p->packs[i]->file)))
			return note_error(p, rc);
		dirty[p->packs[i]->file.name.b[0]] = 1;
	}
	for (unsigned i = 0; i < 256; i++) {
		snprintf(dir, sizeof(dir), "packs/%02x", i);
		if (dirty[i] && (rc = io_sync_dir(p->repo->io, dir)))
			return note_error(p, rc);
	}
	forget_packs(p);
	return OK;
}

uint64_t
packer_bytes(const struct packer *p)
{
	return p->bytes;
}

/* ----------------------------------------------------------------------------------------------- life and death */

unsigned
packer_jobs(unsigned wanted, uint64_t memory)
{
	uint64_t n = memory ? memory : MEMORY;

	n = n > BASE_BYTES ? (n - BASE_BYTES) / THREAD_BYTES : 0;
	n = n < wanted ? n : wanted;
	return n ? (unsigned)n : 1;
}

int
packer_new(struct repo *r, unsigned jobs, int level, packer_placed_fn placed, void *arg, struct packer **out)
{
	struct packer *p;
	int rc;

	*out = NULL;
	if ((rc = MEM_NEW(p)))
		return rc;
	p->repo = r;
	p->placed = placed;
	p->arg = arg;
	p->level = level;
	p->job_count = 2 * (size_t)jobs + 3;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_cond_init(&p->full, NULL);
	pthread_cond_init(&p->ready, NULL);
	if ((rc = packwrite_new(pack_finished, p, &p->write)) ||
	    (rc = delta_new(level, &p->delta)) ||
	    (rc = mem_new((void **)&p->jobs, mem_array(p->job_count, sizeof(*p->jobs)))) ||
	    (rc = mem_new((void **)&p->queue, mem_array(p->job_count, sizeof(struct job *)))) ||
	    (rc = mem_new((void **)&p->threads, mem_array((size_t)jobs + 1, sizeof(*p->threads)))))
		goto out;
	for (; p->thread_count <= jobs; p->thread_count++)
		if (pthread_create(&p->threads[p->thread_count], NULL, p->thread_count ? worker : syncer, p) != 0) {
			/* Fewer threads than asked for will do. */
			if (p->thread_count < 2)
				rc = fail(ERR_NOMEM, "cannot start a thread");
			break;
		}
out:
	*out = rc ? packer_free(p) : p;
	return rc;
}

struct packer *
packer_free(struct packer *p)
{
	if (!p)
		return NULL;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->work);
	pthread_cond_broadcast(&p->full);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->thread_count; i++)
		pthread_join(p->threads[i], NULL);
	packwrite_free(p->write);
	for (size_t i = 0; i < p->pack_count; i++)
		packout_discard(&p->packs[i]->file);
	forget_packs(p);
	for (size_t i = 0; p->jobs && i < p->job_count; i++)
		framejob_clear(&p->jobs[i].fj);
	free(p->jobs);
	free(p->queue);
	free(p->threads);
	free(p->packs);
	free(p->pub_packs);
	free(p->frames);
	delta_free(p->delta);
	pthread_cond_destroy(&p->work);
	pthread_cond_destroy(&p->full);
	pthread_cond_destroy(&p->ready);
	pthread_mutex_destroy(&p->lock);
	free(p);
	return NULL;
}
