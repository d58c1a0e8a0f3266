#include "store/packout.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/digest.h"
#include "codec/keys.h"
#include "store/parity.h"
#include "sys/entropy.h"

/* The sum of the next block. */
static int
sum_add(struct packout *o, const uint8_t *block, size_t len)
{
	int rc = mem_grow((void **)&o->sums, &o->sums_cap, o->sum_count + 1, sizeof(*o->sums));

	if (rc == OK)
		o->sums[o->sum_count++] = digest_xxh3(block, len);
	return rc;
}

/* Blocks that lie whole in what is written are summed where they are. */
static int
sum_bytes(struct packout *o, const uint8_t *p, size_t len)
{
	size_t n;
	int rc;

	for (; len; p += n, len -= n) {
		n = PACKFILE_BLOCK - o->fill < len ? PACKFILE_BLOCK - o->fill : len;
		if (n == PACKFILE_BLOCK) {
			if ((rc = sum_add(o, p, n)))
				return rc;
			continue;
		}
		memcpy(o->part + o->fill, p, n);
		o->fill += n;
		if (o->fill < PACKFILE_BLOCK)
			continue;
		if ((rc = sum_add(o, o->part, o->fill)))
			return rc;
		o->fill = 0;
	}
	return OK;
}

static int
put(struct packout *o, const uint8_t *p, size_t len)
{
	int rc = io_append(o->repo->io, o->file, p, len);

	if (rc)
		return rc;
	o->bytes += len;
	return sum_bytes(o, p, len);
}

int
packout_begin(struct packout *o, struct repo *r, uint32_t kind)
{
	struct packfile_header h = { .kind = kind };
	uint8_t raw[PACKFILE_HEADER_LEN];
	char hex[NAME_SID_HEX], tmp[48];
	int rc;

	*o = (struct packout){ .repo = r, .kind = kind };
	entropy_fill(o->id.b, sizeof(o->id.b));
	entropy_fill(o->key, sizeof(o->key));
	h.pack_id = o->id;
	name_sid_hex(&o->id, hex);
	snprintf(tmp, sizeof(tmp), "tmp/%s.pack", hex);
	(void)packfile_header_encode(raw, sizeof(raw), &h);
	keys_wrap(&h.wrap, r->keys->pack, "varve pack key", &r->hdr.repo_id, raw, PACKFILE_WRAP_CONTEXT, o->key);
	(void)packfile_header_encode(raw, sizeof(raw), &h);
	if ((rc = mem_new((void **)&o->part, PACKFILE_BLOCK)) || (rc = io_create(r->io, tmp, &o->file)))
		return rc;
	io_stream(r->io, o->file);
	memcpy(o->tmp, tmp, sizeof(tmp));
	return put(o, raw, sizeof(raw));
}

int
packout_frame(struct packout *o, const uint8_t *p, size_t len)
{
	int rc = mem_grow((void **)&o->lens, &o->lens_cap, o->frames + 1u, sizeof(*o->lens));

	if (rc)
		return rc;
	o->lens[o->frames++] = (uint32_t)len;
	return put(o, p, len);
}

int
packout_finish(struct packout *o)
{
	uint8_t *footer;
	size_t len;
	int rc;

	o->frame_bytes = o->bytes - PACKFILE_HEADER_LEN;
	if (o->fill && (rc = sum_add(o, o->part, o->fill)))
		return rc;
	len = packfile_footer_bound(o->frames, (uint32_t)o->sum_count);
	if ((rc = mem_new((void **)&footer, len)))
		return rc;
	len = packfile_footer_encode(footer, len, o->lens, o->frames, o->sums, (uint32_t)o->sum_count);
	assert(len > 0);
	digest_hash(&o->name, footer, len);
	rc = io_append(o->repo->io, o->file, footer, len);
	o->bytes += len;
	free(footer);
	return rc;
}

int
packout_sync(struct packout *o)
{
	int rc = io_sync(o->repo->io, o->file), rc2 = io_close(o->repo->io, o->file);

	o->file = NULL;
	return rc ? rc : rc2;
}

int
packout_publish(struct packout *o)
{
	char path[128], hex[NAME_HEX];
	int rc;

	name_hex(&o->name, hex);
	snprintf(path, sizeof(path), "packs/%.2s/%s", hex, hex);
	if ((rc = io_rename(o->repo->io, o->tmp, path)))
		return rc;
	o->tmp[0] = 0;
	parity_keep_pack(o->repo, o->kind, &o->name);
	return OK;
}

void
packout_discard(struct packout *o)
{
	(void)io_close(o->repo->io, o->file);
	o->file = NULL;
	if (o->tmp[0])
		io_discard(o->repo->io, o->tmp);
	o->tmp[0] = 0;
}

void
packout_clear(struct packout *o)
{
	explicit_bzero(o->key, sizeof(o->key));
	free(o->lens);
	free(o->sums);
	free(o->part);
}
