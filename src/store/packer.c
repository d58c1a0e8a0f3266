/*
 * packer: the caller's thread fills a job per kind of pack with chunks; a full job is a frame.  It is given its place (pack and
 * ordinal) at once, since its seal names both; threads compress and seal; the caller's thread appends finished frames in the
 * order they were submitted.  A pack that has its size gets its footer when its last frame was appended, and is synced by a thread.
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
#include "codec/digest.h"
#include "codec/keys.h"
#include "codec/seal.h"
#include "codec/squeeze.h"
#include "sys/entropy.h"

#define FRAME_RAW_TARGET (1u << 20)
#define META_BLOCK_TARGET (256u << 10)
#define FRAME_CHUNKS 8192
#define FRAME_DELTA_BYTES (512u << 10)
#define PACK_TARGET (16u << 20)
#define DELTA_COST 92                   /* base id in head, and the base's row in the index */

enum job_state { JOB_OPEN, JOB_QUEUED, JOB_RUNNING, JOB_DONE };
enum pack_state { PACK_OPEN, PACK_SYNC_WANTED, PACK_SYNCING, PACK_SYNCED };

struct pend {
	struct frame_chunk chunk;
	uint32_t row;                   /* of the caller */
};

struct pack_out {
	struct packer_pack pub;
	struct name_sid pack_id;
	uint8_t key[32];
	struct io_file *file;
	enum pack_state state;          /* under the lock */
	bool closed;                    /* gets no more frames */
	uint32_t assigned, appended;    /* frames */
	uint32_t *lens;
	size_t lens_cap;
	uint64_t *sums;                 /* checksums of 64 KiB blocks */
	size_t sum_count, sums_cap;
	uint8_t *part;                  /* the block that is not full yet */
	size_t fill;
};

struct job {
	enum job_state state;           /* under the lock */
	bool busy;                      /* open or submitted; of the caller's thread */
	uint8_t *raw;                   /* plain blocks, one after the other */
	size_t raw_len;
	struct frame_block *blocks;     /* plain ones first, then deltas */
	size_t block_count, block_cap;
	struct pend *plain, *delta;
	size_t plain_count, plain_cap, delta_count, delta_cap;
	struct frame_block *delta_blocks;
	size_t delta_blocks_cap;
	struct mem_buf delta_bytes;
	struct frame_chunk *chunks;     /* all, in the frame's order */
	size_t chunk_cap;
	struct pack_out *pack;
	uint32_t ordinal, frame;
	uint8_t *out;
	size_t out_len, out_cap;
	int rc;
	char note[256];
};

struct packer {
	struct repo *repo;
	packer_placed_fn placed;
	void *arg;
	struct squeeze *squeeze;        /* of the caller's thread, for deltas */
	uint8_t *delta_buf;
	struct job *open[2];            /* by kind - 1 */
	struct pack_out *cur[2];
	struct pack_out **packs;
	size_t pack_count, pack_cap;
	struct packer_pack *pub_packs;
	size_t pub_cap;
	struct packer_frame *frames;
	size_t frame_count, frame_cap;
	uint64_t bytes;
	int rc;                         /* first error */
	char note[256];
	int level;

	pthread_mutex_t lock;
	pthread_cond_t work, ready;
	pthread_t *threads;
	unsigned thread_count;
	struct job *jobs;
	size_t job_count;
	struct job **queue;             /* ring of job_count */
	size_t queue_head, queue_len;
	bool stop;
};

/* ----------------------------------------------------------------------------------------------- in a thread */

static int
job_reserve(uint8_t **p, size_t *cap, size_t need)
{
	if (need <= *cap)
		return OK;
	free(*p);
	*p = NULL;
	*cap = 0;
	if (mem_new((void **)p, need))
		return ERR_NOMEM;
	*cap = need;
	return OK;
}

static int
pack_blocks(struct squeeze *sq, struct job *j, uint8_t *body, size_t cap, size_t *body_len)
{
	size_t raw = 0, len = 0, n;
	int rc;

	for (size_t i = 0; i < j->block_count; i++) {
		struct frame_block *b = &j->blocks[i];

		if ((rc = squeeze_pack(sq, body + len, cap - len, j->raw + raw, b->raw_len, NULL, 0, &n)))
			return rc;
		b->codec = FRAME_ZSTD;
		if (n >= b->raw_len) {
			b->codec = FRAME_RAW;
			n = b->raw_len;
			memcpy(body + len, j->raw + raw, n);
		}
		b->stored_len = (uint32_t)n;
		raw += b->raw_len;
		len += n;
	}
	if (j->delta_bytes.len)
		memcpy(body + len, j->delta_bytes.p, j->delta_bytes.len);
	*body_len = len + j->delta_bytes.len;
	return OK;
}

static int
job_gather(struct job *j)
{
	size_t n = j->plain_count + j->delta_count;
	int rc;

	if ((rc = mem_grow((void **)&j->chunks, &j->chunk_cap, n, sizeof(*j->chunks))) ||
	    (rc = mem_grow((void **)&j->blocks, &j->block_cap, j->block_count + j->delta_count, sizeof(*j->blocks))))
		return rc;
	for (size_t i = 0; i < j->plain_count; i++)
		j->chunks[i] = j->plain[i].chunk;
	for (size_t i = 0; i < j->delta_count; i++) {
		j->chunks[j->plain_count + i] = j->delta[i].chunk;
		j->blocks[j->block_count + i] = j->delta_blocks[i];
	}
	return OK;
}

/* Compress and seal a frame into j->out. */
static int
job_run(struct repo *r, struct squeeze *sq, struct job *j)
{
	uint32_t blocks = (uint32_t)(j->block_count + j->delta_count), chunks = (uint32_t)(j->plain_count + j->delta_count);
	size_t head_len = frame_head_bound(blocks, (uint32_t)j->delta_count, chunks);
	size_t body_off = FRAME_PREFIX_LEN + FRAME_SEAL + head_len, body_len, cap;
	uint8_t context[NAME_SID_LEN + FRAME_PREFIX_LEN];
	struct seal_aad aad = { .repo_id = &r->hdr.repo_id, .context = context, .context_len = sizeof(context) };
	struct frame_prefix prefix;
	int rc;

	cap = j->delta_bytes.len;
	for (size_t i = 0; i < j->block_count; i++)
		cap += squeeze_bound(j->blocks[i].raw_len);
	if ((rc = job_gather(j)) || (rc = job_reserve(&j->out, &j->out_cap, body_off + cap + FRAME_SEAL)) ||
	    (rc = pack_blocks(sq, j, j->out + body_off + 24, cap, &body_len)))
		return rc;
	prefix = (struct frame_prefix){ .ordinal = j->ordinal, .head_len = (uint32_t)(head_len + FRAME_SEAL),
		.body_len = (uint32_t)(body_len + FRAME_SEAL) };
	(void)frame_prefix_encode(j->out, FRAME_PREFIX_LEN, &prefix);
	memcpy(context, j->pack->pack_id.b, NAME_SID_LEN);
	memcpy(context + NAME_SID_LEN, j->out, FRAME_PREFIX_LEN);
	cap = frame_head_encode(j->out + FRAME_PREFIX_LEN + 24, head_len, j->blocks, blocks, j->chunks, chunks);
	assert(cap == head_len);
	aad.label = "varve frame head";
	seal_box(j->out + FRAME_PREFIX_LEN, j->out + FRAME_PREFIX_LEN + 24, head_len, j->pack->key, &aad);
	aad.label = "varve frame body";
	seal_box(j->out + body_off, j->out + body_off + 24, body_len, j->pack->key, &aad);
	j->out_len = body_off + body_len + FRAME_SEAL;
	return OK;
}

/* The next thing to do, marked as taken; false when the packer is being freed. */
static bool
take_work(struct packer *p, struct job **job, struct pack_out **pack)
{
	while (!p->stop) {
		for (size_t i = 0; i < p->queue_len; i++) {
			struct job *j = p->queue[(p->queue_head + i) % p->job_count];

			if (j->state == JOB_QUEUED) {
				j->state = JOB_RUNNING;
				*job = j;
				*pack = NULL;
				return true;
			}
		}
		for (size_t i = 0; i < p->pack_count; i++)
			if (p->packs[i]->state == PACK_SYNC_WANTED) {
				p->packs[i]->state = PACK_SYNCING;
				*pack = p->packs[i];
				*job = NULL;
				return true;
			}
		pthread_cond_wait(&p->work, &p->lock);
	}
	return false;
}

static void
set_error(struct packer *p, int rc, const char *text)
{
	if (p->rc == OK) {
		p->rc = rc;
		snprintf(p->note, sizeof(p->note), "%s", text);
	}
}

static void *
worker(void *arg)
{
	struct packer *p = arg;
	struct squeeze *sq = NULL;
	struct pack_out *pack;
	struct job *j;
	int sq_rc = squeeze_new(p->level, &sq), rc, rc2;

	pthread_mutex_lock(&p->lock);
	while (take_work(p, &j, &pack)) {
		pthread_mutex_unlock(&p->lock);
		if (j) {
			rc = sq_rc ? sq_rc : job_run(p->repo, sq, j);
		} else {
			rc = io_sync(p->repo->io, pack->file);
			rc2 = io_close(p->repo->io, pack->file);
			rc = rc ? rc : rc2;
		}
		pthread_mutex_lock(&p->lock);
		if (rc)
			set_error(p, rc, err_text());
		if (j) {
			j->rc = rc;
			j->state = JOB_DONE;
		} else {
			pack->file = NULL;
			pack->state = PACK_SYNCED;
		}
		pthread_cond_broadcast(&p->ready);
	}
	pthread_mutex_unlock(&p->lock);
	squeeze_free(sq);
	return NULL;
}

/* ------------------------------------------------------------------------------------------------- pack files */

static int
pack_write(struct packer *p, struct pack_out *o, const uint8_t *data, size_t len)
{
	size_t n;
	int rc;

	if ((rc = io_append(p->repo->io, o->file, data, len)))
		return rc;
	o->pub.bytes += len;
	while (len) {
		n = PACKFILE_BLOCK - o->fill < len ? PACKFILE_BLOCK - o->fill : len;
		memcpy(o->part + o->fill, data, n);
		o->fill += n;
		data += n;
		len -= n;
		if (o->fill == PACKFILE_BLOCK) {
			if ((rc = mem_grow((void **)&o->sums, &o->sums_cap, o->sum_count + 1, sizeof(*o->sums))))
				return rc;
			o->sums[o->sum_count++] = digest_xxh3(o->part, o->fill);
			o->fill = 0;
		}
	}
	return OK;
}

static void
pack_free(struct pack_out *o)
{
	if (o) {
		explicit_bzero(o->key, sizeof(o->key));
		free(o->lens);
		free(o->sums);
		free(o->part);
		free(o);
	}
}

static int
pack_begin(struct packer *p, uint32_t kind, struct pack_out **out)
{
	uint8_t raw[PACKFILE_HEADER_LEN];
	struct packfile_header h = { .kind = kind };
	struct repo *r = p->repo;
	struct pack_out *o;
	char hex[NAME_SID_HEX];
	int rc;

	if ((rc = MEM_NEW(o)))
		return rc;
	entropy_fill(o->pack_id.b, sizeof(o->pack_id.b));
	entropy_fill(o->key, sizeof(o->key));
	o->pub.kind = kind;
	h.pack_id = o->pack_id;
	name_sid_hex(&o->pack_id, hex);
	snprintf(o->pub.tmp, sizeof(o->pub.tmp), "tmp/%s.pack", hex);
	(void)packfile_header_encode(raw, sizeof(raw), &h);
	keys_wrap(&h.wrap, r->keys->pack, "varve pack key", &r->hdr.repo_id, raw, PACKFILE_WRAP_CONTEXT, o->key);
	(void)packfile_header_encode(raw, sizeof(raw), &h);
	if ((rc = mem_new((void **)&o->part, PACKFILE_BLOCK)) || (rc = io_create(r->io, o->pub.tmp, &o->file))) {
		pack_free(o);
		return rc;
	}
	pthread_mutex_lock(&p->lock);
	if ((rc = mem_grow((void **)&p->packs, &p->pack_cap, p->pack_count + 1, sizeof(*p->packs))) == OK)
		p->packs[p->pack_count++] = o;
	pthread_mutex_unlock(&p->lock);
	if (rc) {
		(void)io_close(r->io, o->file);
		io_discard(r->io, o->pub.tmp);
		pack_free(o);
		return rc;
	}
	*out = o;
	return pack_write(p, o, raw, sizeof(raw));
}

static void
pack_state_set(struct packer *p, struct pack_out *o, enum pack_state state)
{
	pthread_mutex_lock(&p->lock);
	o->state = state;
	if (state == PACK_SYNC_WANTED)
		pthread_cond_signal(&p->work);
	pthread_mutex_unlock(&p->lock);
}

/* Footer; then a thread syncs. */
static int
pack_finish(struct packer *p, struct pack_out *o)
{
	size_t cap;
	uint8_t *footer;
	int rc;

	o->pub.frames = o->appended;
	o->pub.frame_bytes = o->pub.bytes - PACKFILE_HEADER_LEN;
	if (o->fill) {
		if ((rc = mem_grow((void **)&o->sums, &o->sums_cap, o->sum_count + 1, sizeof(*o->sums))))
			return rc;
		o->sums[o->sum_count++] = digest_xxh3(o->part, o->fill);
	}
	cap = packfile_footer_bound(o->appended, (uint32_t)o->sum_count);
	if ((rc = mem_new((void **)&footer, cap)))
		return rc;
	cap = packfile_footer_encode(footer, cap, o->lens, o->appended, o->sums, (uint32_t)o->sum_count);
	assert(cap > 0);
	digest_hash(&o->pub.name, footer, cap);
	rc = io_append(p->repo->io, o->file, footer, cap);
	o->pub.bytes += cap;
	p->bytes += o->pub.bytes;
	free(footer);
	if (rc)
		return rc;
	pack_state_set(p, o, PACK_SYNC_WANTED);
	return OK;
}

static int
frame_append(struct packer *p, struct job *j)
{
	struct pack_out *o = j->pack;
	struct packer_frame *f = &p->frames[j->frame];
	int rc;

	assert(o->appended == j->ordinal);
	if ((rc = mem_grow((void **)&o->lens, &o->lens_cap, o->appended + 1u, sizeof(*o->lens))))
		return rc;
	f->off = (uint32_t)o->pub.bytes;
	f->len = (uint32_t)j->out_len;
	o->lens[o->appended++] = f->len;
	if ((rc = pack_write(p, o, j->out, j->out_len)))
		return rc;
	if (o->closed && o->appended == o->assigned)
		return pack_finish(p, o);
	return OK;
}

/* ----------------------------------------------------------------------------------------------- jobs in order */

static int
packer_error(struct packer *p)
{
	int rc;

	pthread_mutex_lock(&p->lock);
	rc = p->rc;
	if (rc)
		err_set(rc, p->note);
	pthread_mutex_unlock(&p->lock);
	return rc;
}

static int
note_error(struct packer *p, int rc)
{
	if (rc) {
		pthread_mutex_lock(&p->lock);
		set_error(p, rc, err_text());
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
	rc = p->rc;
	if (rc)
		err_set(rc, p->note);
	pthread_mutex_unlock(&p->lock);
	if (rc == OK)
		rc = note_error(p, frame_append(p, j));
	j->busy = false;
	j->raw_len = j->block_count = j->plain_count = j->delta_count = 0;
	j->delta_bytes.len = 0;
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
				if (!j->raw && (rc = mem_new((void **)&j->raw, FRAME_RAW_TARGET + FRAME_CHUNK_MAX)))
					return rc;
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
	struct pack_out *o = p->cur[kind - 1];
	int rc;

	if (!j || j->plain_count + j->delta_count == 0)
		return OK;
	while (oldest_done(p))
		if ((rc = retire_one(p)))
			return rc;
	if (o && o->pub.bytes >= PACK_TARGET) {
		o->closed = true;
		if (o->appended == o->assigned && (rc = pack_finish(p, o)))
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
	p->frames[j->frame] = (struct packer_frame){ .ordinal = j->ordinal,
		.chunks = (uint32_t)(j->plain_count + j->delta_count) };
	for (uint32_t i = 0; i < p->pack_count; i++)
		if (p->packs[i] == o)
			p->frames[j->frame].pack = i;
	for (size_t i = 0; i < j->plain_count; i++)
		p->placed(p->arg, j->plain[i].row, j->frame, (uint16_t)i);
	for (size_t i = 0; i < j->delta_count; i++)
		p->placed(p->arg, j->delta[i].row, j->frame, (uint16_t)(j->plain_count + i));
	p->open[kind - 1] = NULL;
	pthread_mutex_lock(&p->lock);
	j->state = JOB_QUEUED;
	p->queue[(p->queue_head + p->queue_len++) % p->job_count] = j;
	pthread_cond_signal(&p->work);
	pthread_mutex_unlock(&p->lock);
	return OK;
}

/* ---------------------------------------------------------------------------------------------- adding chunks */

static int
job_open(struct packer *p, uint32_t kind, size_t len, struct job **out)
{
	struct job *j = p->open[kind - 1];
	int rc;

	if (j && (j->raw_len + len > FRAME_RAW_TARGET || j->plain_count + j->delta_count >= FRAME_CHUNKS ||
	    j->delta_bytes.len > FRAME_DELTA_BYTES)) {
		if (j->plain_count + j->delta_count > 0 && (rc = frame_close(p, kind)))
			return rc;
		j = p->open[kind - 1];
	}
	if (!j) {
		if ((rc = take_free(p, &j)))
			return rc;
		j->busy = true;
		p->open[kind - 1] = j;
	}
	*out = j;
	return OK;
}

static int
add_plain(struct packer *p, uint32_t kind, const struct pend *pend, const void *data)
{
	size_t len = pend->chunk.len, target = kind == PACKFILE_DATA ? FRAME_RAW_TARGET : META_BLOCK_TARGET;
	struct frame_block *b;
	struct job *j;
	int rc;

	if ((rc = job_open(p, kind, len, &j)) ||
	    (rc = mem_grow((void **)&j->plain, &j->plain_cap, j->plain_count + 1, sizeof(*j->plain))) ||
	    (rc = mem_grow((void **)&j->blocks, &j->block_cap, j->block_count + 1, sizeof(*j->blocks))))
		return rc;
	b = j->block_count ? &j->blocks[j->block_count - 1] : NULL;
	if (!b || b->raw_len + len > target) {
		b = &j->blocks[j->block_count++];
		*b = (struct frame_block){ 0 };
	}
	b->raw_len += (uint32_t)len;
	b->chunk_count++;
	memcpy(j->raw + j->raw_len, data, len);
	j->raw_len += len;
	j->plain[j->plain_count++] = *pend;
	return OK;
}

/* FOUND when the delta was taken, OK when it does not pay. */
static int
add_delta(struct packer *p, uint32_t kind, const struct pend *pend, const void *data, const struct packer_base *base)
{
	size_t len = pend->chunk.len, cap = squeeze_bound(FRAME_CHUNK_MAX), n, plain;
	struct job *j;
	int rc;

	if (!p->delta_buf && (rc = mem_new((void **)&p->delta_buf, 2 * cap)))
		return rc;
	if ((rc = squeeze_pack(p->squeeze, p->delta_buf, cap, data, len, base->p, base->len, &n)))
		return rc;
	if (n + DELTA_COST >= len / 2)
		return OK;
	if ((rc = squeeze_pack(p->squeeze, p->delta_buf + cap, cap, data, len, NULL, 0, &plain)))
		return rc;
	if (n + DELTA_COST >= plain / 2)
		return OK;
	if ((rc = job_open(p, kind, 0, &j)) ||
	    (rc = mem_grow((void **)&j->delta, &j->delta_cap, j->delta_count + 1, sizeof(*j->delta))) ||
	    (rc = mem_grow((void **)&j->delta_blocks, &j->delta_blocks_cap, j->delta_count + 1, sizeof(*j->delta_blocks))) ||
	    (rc = mem_buf_add(&j->delta_bytes, p->delta_buf, n)))
		return rc;
	j->delta_blocks[j->delta_count] = (struct frame_block){ .codec = FRAME_DELTA, .depth = (uint8_t)(base->depth + 1),
		.raw_len = (uint32_t)len, .stored_len = (uint32_t)n, .chunk_count = 1, .base = base->id };
	j->delta[j->delta_count++] = *pend;
	return FOUND;
}

int
packer_add(struct packer *p, uint8_t type, const struct name *id, const void *data, size_t len, const struct packer_base *base,
    uint32_t row, uint8_t *depth)
{
	struct pend pend = { .chunk = { .type = type, .len = (uint32_t)len, .id = *id }, .row = row };
	uint32_t kind = type == FRAME_DATA ? PACKFILE_DATA : PACKFILE_META;
	int rc;

	assert(len > 0 && len <= FRAME_CHUNK_MAX);
	*depth = 0;
	if ((rc = packer_error(p)))
		return rc;
	if (base) {
		assert(base->depth < FRAME_DEPTH_MAX);
		rc = add_delta(p, kind, &pend, data, base);
		if (rc == FOUND)
			*depth = (uint8_t)(base->depth + 1);
		if (rc)
			return rc == FOUND ? OK : note_error(p, rc);
	}
	return note_error(p, add_plain(p, kind, &pend, data));
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
	rc = p->rc;
	if (rc)
		err_set(rc, p->note);
	pthread_mutex_unlock(&p->lock);
	return rc;
}

static int
flush(struct packer *p)
{
	struct pack_out *o;
	int rc;

	if ((rc = frame_close(p, PACKFILE_DATA)) || (rc = frame_close(p, PACKFILE_META)))
		return rc;
	while (p->queue_len)
		if ((rc = retire_one(p)))
			return rc;
	for (uint32_t k = 0; k < 2; k++) {
		o = p->cur[k];
		p->cur[k] = NULL;
		if (o && (rc = pack_finish(p, o)))
			return rc;
	}
	if ((rc = wait_synced(p)) ||
	    (rc = mem_grow((void **)&p->pub_packs, &p->pub_cap, p->pack_count, sizeof(*p->pub_packs))))
		return rc;
	for (size_t i = 0; i < p->pack_count; i++)
		p->pub_packs[i] = p->packs[i]->pub;
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
	for (size_t i = 0; i < p->pack_count; i++)
		pack_free(p->packs[i]);
	p->pack_count = 0;
	p->frame_count = 0;
	pthread_mutex_unlock(&p->lock);
}

int
packer_publish(struct packer *p)
{
	char path[128], hex[NAME_HEX], dir[16];
	uint8_t dirty[256] = { 0 };
	int rc;

	for (size_t i = 0; i < p->pack_count; i++) {
		const struct packer_pack *k = &p->pub_packs[i];

		name_hex(&k->name, hex);
		snprintf(path, sizeof(path), "packs/%.2s/%s", hex, hex);
		if ((rc = io_rename(p->repo->io, k->tmp, path)))
			return note_error(p, rc);
		dirty[k->name.b[0]] = 1;
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
	pthread_cond_init(&p->ready, NULL);
	if ((rc = squeeze_new(level, &p->squeeze)) ||
	    (rc = mem_new((void **)&p->jobs, mem_array(p->job_count, sizeof(*p->jobs)))) ||
	    (rc = mem_new((void **)&p->queue, mem_array(p->job_count, sizeof(struct job *)))) ||
	    (rc = mem_new((void **)&p->threads, mem_array(jobs, sizeof(*p->threads)))))
		goto out;
	for (; p->thread_count < jobs; p->thread_count++)
		if (pthread_create(&p->threads[p->thread_count], NULL, worker, p) != 0) {
			/* Fewer threads than asked for will do. */
			if (p->thread_count == 0)
				rc = fail(ERR_NOMEM, "cannot start a thread");
			break;
		}
out:
	*out = rc ? packer_free(p) : p;
	return rc;
}

static void
job_clear(struct job *j)
{
	free(j->raw);
	free(j->blocks);
	free(j->plain);
	free(j->delta);
	free(j->delta_blocks);
	free(j->chunks);
	free(j->out);
	mem_buf_clear(&j->delta_bytes);
}

struct packer *
packer_free(struct packer *p)
{
	if (!p)
		return NULL;
	pthread_mutex_lock(&p->lock);
	p->stop = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->thread_count; i++)
		pthread_join(p->threads[i], NULL);
	for (size_t i = 0; i < p->pack_count; i++) {
		(void)io_close(p->repo->io, p->packs[i]->file);
		io_discard(p->repo->io, p->packs[i]->pub.tmp);
	}
	forget_packs(p);
	for (size_t i = 0; p->jobs && i < p->job_count; i++)
		job_clear(&p->jobs[i]);
	free(p->jobs);
	free(p->queue);
	free(p->threads);
	free(p->packs);
	free(p->pub_packs);
	free(p->frames);
	free(p->delta_buf);
	squeeze_free(p->squeeze);
	pthread_cond_destroy(&p->work);
	pthread_cond_destroy(&p->ready);
	pthread_mutex_destroy(&p->lock);
	free(p);
	return NULL;
}
