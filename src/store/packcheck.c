#include "store/packcheck.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/digest.h"

void
packcheck_path(char out[static PACKCHECK_PATH], const struct name *name)
{
	char hex[NAME_HEX];

	name_hex(name, hex);
	snprintf(out, PACKCHECK_PATH, "packs/%.2s/%s", hex, hex);
}

int
packcheck_footer(struct io *io, struct io_file *f, const struct name *name, struct packcheck *out)
{
	uint8_t tail[PACKFILE_TAIL_LEN];
	struct packfile_tail t;
	struct name is;
	int rc;

	*out = (struct packcheck){ 0 };
	if ((rc = io_size(io, f, &out->size)))
		return rc;
	if (out->size < sizeof(tail) || out->size > PACKFILE_LEN_MAX)
		return fail(ERR_CORRUPT, "bad pack: impossible length");
	if ((rc = io_read_at(io, f, out->size - sizeof(tail), tail, sizeof(tail))) ||
	    (rc = err_verdict(packfile_tail_decode(&t, tail, sizeof(tail)), "pack footer")))
		return rc;
	if (t.footer_len > out->size)
		return fail(ERR_CORRUPT, "bad pack: impossible footer");
	out->len = t.footer_len;
	if ((rc = mem_new((void **)&out->raw, out->len)) ||
	    (rc = io_read_at(io, f, out->size - out->len, out->raw, out->len)))
		goto out;
	digest_hash(&is, out->raw, out->len);
	if (name_cmp(&is, name) != 0)
		rc = fail(ERR_AUTH, "the pack's footer is not the one of its name");
	else
		rc = err_verdict(packfile_footer_decode(&out->footer, out->raw, out->len, out->size), "pack footer");
out:
	if (rc)
		packcheck_clear(out);
	return rc;
}

void
packcheck_clear(struct packcheck *pc)
{
	free(pc->raw);
	pc->raw = NULL;
}
