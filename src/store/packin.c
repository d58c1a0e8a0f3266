#include "store/packin.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "codec/keys.h"
#include "format/frame.h"
#include "format/packfile.h"

#define LABEL_PACK "varve pack key"
#define LEN_MIN (FRAME_PREFIX_LEN + 2 * FRAME_SEAL)
#define LEN_MAX (LEN_MIN + FRAME_HEAD_MAX + FRAME_BODY_MAX)

void
packin_path(char out[static PACKIN_PATH], const struct name *name)
{
	char hex[NAME_HEX];

	name_hex(name, hex);
	snprintf(out, PACKIN_PATH, "packs/%.2s/%s", hex, hex);
}

void
packin_close(struct packin *pk, struct repo *r)
{
	if (pk->file)
		io_close(r->io, pk->file);
	explicit_bzero(pk, sizeof(*pk));
}

int
packin_open(struct packin *pk, struct repo *r, const struct index_place *at)
{
	uint8_t raw[PACKFILE_HEADER_LEN];
	char path[PACKIN_PATH];
	struct packfile_header h;
	int rc;

	*pk = (struct packin){ .no = at->pack_no };
	packin_path(path, &at->pack_name);
	if ((rc = io_open(r->io, path, &pk->file))) {
		pk->file = NULL;
		return rc;
	}
	if ((rc = io_read_at(r->io, pk->file, 0, raw, sizeof(raw))) ||
	    (rc = err_verdict(packfile_header_decode(&h, raw, sizeof(raw)),
	    "pack header")) ||
	    (rc = keys_unwrap(pk->key, &h.wrap, r->keys->pack, LABEL_PACK,
	    &r->hdr.repo_id, raw, PACKFILE_WRAP_CONTEXT)))
		goto out;
	if (h.kind != at->pack_kind)
		rc = fail(ERR_CORRUPT, "not of the kind that the index says");
	pk->kind = h.kind;
	pk->id = h.pack_id;
out:
	if (rc)
		packin_close(pk, r);
	return rc;
}

int
packin_read(const struct packin *pk, struct repo *r, uint32_t off,
    uint32_t len, struct mem_buf *sealed)
{
	int rc;

	if (off < PACKFILE_HEADER_LEN || len < LEN_MIN || len > LEN_MAX)
		return fail(ERR_CORRUPT, "the index has an impossible place");
	sealed->len = 0;
	if ((rc = mem_buf_reserve(sealed, len)) ||
	    (rc = io_read_at(r->io, pk->file, off, sealed->p, len)))
		return rc;
	sealed->len = len;
	return OK;
}

int
packin_length(const struct packin *pk, struct repo *r, uint32_t off,
    uint32_t ordinal, uint32_t *len)
{
	uint8_t raw[FRAME_PREFIX_LEN];
	struct frame_prefix pre;

	*len = 0;
	if (io_read_at(r->io, pk->file, off, raw, sizeof(raw)) ||
	    frame_prefix_decode(&pre, raw, sizeof(raw)) != CURSOR_OK ||
	    pre.ordinal != ordinal || pre.head_len > LEN_MAX ||
	    pre.body_len > LEN_MAX)
		return OK;
	*len = FRAME_PREFIX_LEN + pre.head_len + pre.body_len;
	return *len <= LEN_MAX ? FOUND : OK;
}
