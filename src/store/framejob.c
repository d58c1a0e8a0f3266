#include "store/framejob.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "codec/seal.h"
#include "codec/squeeze.h"

#define RESERVE_STEP ((size_t)512 << 10)
#define CHUNKS_MAX 8192
#define DELTA_BYTES (512u << 10)
#define BASE_COST 92                    /* id of a base in the head, and its row in the index */

void
framejob_reset(struct framejob *j)
{
	j->raw_len = j->block_count = j->plain_count = j->delta_count = 0;
	j->delta_bytes.len = 0;
}

void
framejob_clear(struct framejob *j)
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

uint32_t
framejob_count(const struct framejob *j)
{
	return (uint32_t)(j->plain_count + j->delta_count);
}

bool
framejob_full(const struct framejob *j, size_t len)
{
	return framejob_count(j) > 0 && (j->raw_len + len > FRAMEJOB_RAW || framejob_count(j) >= CHUNKS_MAX ||
	    j->delta_bytes.len > DELTA_BYTES);
}

int
framejob_plain(struct framejob *j, const struct framejob_chunk *c, const void *data, size_t block_target)
{
	size_t len = c->chunk.len;
	struct frame_block *b;
	int rc;

	assert(!framejob_full(j, len));
	if ((!j->raw && (rc = mem_new((void **)&j->raw, FRAMEJOB_RAW))) ||
	    (rc = mem_grow((void **)&j->plain, &j->plain_cap, j->plain_count + 1, sizeof(*j->plain))) ||
	    (rc = mem_grow((void **)&j->blocks, &j->block_cap, j->block_count + 1, sizeof(*j->blocks))))
		return rc;
	b = j->block_count ? &j->blocks[j->block_count - 1] : NULL;
	if (!b || b->raw_len + len > block_target) {
		b = &j->blocks[j->block_count++];
		*b = (struct frame_block){ 0 };
	}
	b->raw_len += (uint32_t)len;
	b->chunk_count++;
	memcpy(j->raw + j->raw_len, data, len);
	j->raw_len += len;
	j->plain[j->plain_count++] = *c;
	return OK;
}

int
framejob_delta(struct framejob *j, const struct framejob_chunk *c, const struct frame_block *b, const void *data)
{
	int rc;

	if ((rc = mem_grow((void **)&j->delta, &j->delta_cap, j->delta_count + 1, sizeof(*j->delta))) ||
	    (rc = mem_grow((void **)&j->delta_blocks, &j->delta_blocks_cap, j->delta_count + 1, sizeof(*j->delta_blocks))) ||
	    (rc = mem_buf_add(&j->delta_bytes, data, b->stored_len)))
		return rc;
	j->delta_blocks[j->delta_count] = *b;
	j->delta[j->delta_count++] = *c;
	return OK;
}

/* In steps, so that those of large frames can all take each other's place. */
static int
reserve(uint8_t **p, size_t *cap, size_t need)
{
	need = (need + RESERVE_STEP - 1) / RESERVE_STEP * RESERVE_STEP;
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
pack_blocks(struct squeeze *sq, struct framejob *j, uint8_t *body, size_t cap, size_t *body_len)
{
	size_t raw = 0, len = 0, n;
	int rc;

	for (size_t i = 0; i < j->block_count; i++) {
		struct frame_block *b = &j->blocks[i];

		n = b->raw_len;
		if (!squeeze_hopeless(j->raw + raw, n) &&
		    (rc = squeeze_pack(sq, body + len, cap - len, j->raw + raw, b->raw_len, NULL, 0, &n)))
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
gather(struct framejob *j)
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

static uint32_t
count_bases(const struct framejob *j)
{
	uint32_t n = 0;

	for (size_t i = 0; i < j->delta_count; i++)
		n += j->delta_blocks[i].base_count;
	return n;
}

int
framejob_run(struct framejob *j, struct repo *r, struct squeeze *sq, const struct name_sid *pack_id, uint32_t ordinal,
    const uint8_t key[static 32])
{
	uint32_t blocks = (uint32_t)(j->block_count + j->delta_count), chunks = (uint32_t)(j->plain_count + j->delta_count);
	size_t head_len = frame_head_bound(blocks, count_bases(j), chunks);
	size_t body_off = FRAME_PREFIX_LEN + FRAME_SEAL + head_len, body_len, cap;
	uint8_t context[NAME_SID_LEN + FRAME_PREFIX_LEN];
	struct seal_aad aad = { .repo_id = &r->hdr.repo_id, .context = context, .context_len = sizeof(context) };
	struct frame_prefix prefix;
	int rc;

	cap = j->delta_bytes.len;
	for (size_t i = 0; i < j->block_count; i++)
		cap += squeeze_bound(j->blocks[i].raw_len);
	if ((rc = gather(j)) || (rc = reserve(&j->out, &j->out_cap, body_off + cap + FRAME_SEAL)) ||
	    (rc = pack_blocks(sq, j, j->out + body_off + 24, cap, &body_len)))
		return rc;
	prefix = (struct frame_prefix){ .ordinal = ordinal, .head_len = (uint32_t)(head_len + FRAME_SEAL),
		.body_len = (uint32_t)(body_len + FRAME_SEAL) };
	(void)frame_prefix_encode(j->out, FRAME_PREFIX_LEN, &prefix);
	memcpy(context, pack_id->b, NAME_SID_LEN);
	memcpy(context + NAME_SID_LEN, j->out, FRAME_PREFIX_LEN);
	cap = frame_head_encode(j->out + FRAME_PREFIX_LEN + 24, head_len, j->blocks, blocks, j->chunks, chunks);
	assert(cap == head_len);
	aad.label = "varve frame head";
	seal_box(j->out + FRAME_PREFIX_LEN, j->out + FRAME_PREFIX_LEN + 24, head_len, key, &aad);
	aad.label = "varve frame body";
	seal_box(j->out + body_off, j->out + body_off + 24, body_len, key, &aad);
	j->out_len = body_off + body_len + FRAME_SEAL;
	return OK;
}

bool
framejob_delta_pays(size_t n, unsigned bases, size_t len, size_t plain, unsigned save)
{
	size_t cost = (size_t)BASE_COST * bases;

	if (n + cost >= len)
		return false;
	return n <= len / FRAMEJOB_SURE || n + cost < plain - plain / save;
}
