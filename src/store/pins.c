/*
 * pins: forget looks at them before it renames, and a pin is made before its snapshot is looked for; whoever comes second sees the
 * other.  A record that was forgotten in between is not collected either while its pin is there (settle's caller asks).
 */
#include "store/pins.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "sys/entropy.h"

static int
make(struct repo *r, const char *path)
{
	char tmp[64], once[NAME_SID_HEX];
	struct name_sid random;
	int rc = io_mkdir(r->io, "pins");

	if (rc && rc != ERR_EXISTS)
		return rc;
	/* Whoever made the directory may not have come to this. */
	if ((rc = io_sync_dir(r->io, "")))
		return rc;
	/* A name of its own: what was left by one that was cut short is in nobody's way. */
	entropy_fill(random.b, sizeof(random.b));
	name_sid_hex(&random, once);
	snprintf(tmp, sizeof(tmp), "tmp/%s.pin", once);
	if ((rc = io_write_file(r->io, tmp, "", 0)))
		return rc;
	if ((rc = io_rename(r->io, tmp, path)))
		io_discard(r->io, tmp);
	return rc == ERR_EXISTS ? OK : rc;
}

int
pins_set(struct repo *r, const struct name_sid *sid, bool on)
{
	char hex[NAME_SID_HEX], path[64], record[64];
	uint64_t size;
	int rc;

	if (r->read_only)
		return fail(ERR_UNSUPPORTED, "this repository has features this version of varve may read but not write");
	name_sid_hex(sid, hex);
	snprintf(path, sizeof(path), "pins/%s", hex);
	snprintf(record, sizeof(record), "snapshots/%s", hex);
	rc = on ? make(r, path) : io_unlink(r->io, path);
	if (rc)
		return !on && rc == ERR_ABSENT ? OK : rc;
	if ((rc = io_sync_dir(r->io, "pins")))
		return rc;
	if (on && (rc = io_stat(r->io, record, &size)) == ERR_ABSENT) {
		io_discard(r->io, path);
		return fail(ERR_ABSENT, "snapshot %.8s is not there any more", hex);
	}
	return rc;
}

static int
sid_cmp(const void *a, const void *b)
{
	return name_sid_cmp(a, b);
}

int
pins_load(struct repo *r, struct graves *out)
{
	int rc = graves_list(r, "pins", out);

	if (rc == ERR_ABSENT)           /* nothing was ever pinned */
		return OK;
	if (out->count)
		qsort(out->p, out->count, sizeof(*out->p), sid_cmp);
	return rc;
}

bool
pins_have(const struct graves *pins, const struct name_sid *sid)
{
	return pins->count && bsearch(sid, pins->p, pins->count, sizeof(*pins->p), sid_cmp);
}
