#include "ops/repack.h"

#include <stdio.h>

#include "base/err.h"
#include "store/mend.h"
#include "store/objects.h"
#include "store/parity.h"
#include "sys/signals.h"

/* FOUND: it is whole again. */
static int
from_parity(struct repo *r, const char *path)
{
	struct parity p;
	int rc = parity_open(r, true, OBJECTS_PACK, objects_name(path), &p);

	if (rc)
		return rc;
	if (p.state == PARITY_WHOLE && (rc = mend_object(r, &p, OBJECTS_PACK, path)) == OK)
		rc = FOUND;
	parity_close(r, &p);
	return rc == ERR_CORRUPT || rc == ERR_AUTH ? OK : rc;
}

static int
one(struct repo *r, const struct repack_options *o, const char *path, struct repack_stats *stats)
{
	struct salvage_stats saved = { 0 };
	int rc = salvage_whole(r, path);
	bool mended;

	stats->packs++;
	if (rc)
		return rc == FOUND ? OK : rc;
	stats->damaged++;
	if ((rc = from_parity(r, path)) < 0)
		return rc;
	mended = rc == FOUND;
	if (!mended && (rc = salvage_pack(r, path, &saved)) < 0)
		return rc;
	stats->mended += mended;
	stats->frames_saved += saved.frames;
	if (o->pack)
		o->pack(o->arg, path, mended ? NULL : &saved);
	return OK;
}

static int
run_locked(struct repo *r, const struct repack_options *o, struct repack_stats *stats)
{
	struct objects packs = { 0 };
	char dir[16];
	int rc = OK;

	for (unsigned i = 0; rc == OK && i < 256; i++) {
		snprintf(dir, sizeof(dir), "packs/%02x", i);
		rc = objects_list_dir(r->io, dir, OBJECTS_PACK, &packs);
	}
	for (size_t i = 0; rc == OK && i < packs.count; i++) {
		if ((rc = signals_check()) == OK)
			rc = one(r, o, packs.p[i].path, stats);
		if (o->progress)
			o->progress(o->arg, i + 1, packs.count);
	}
	objects_clear(&packs);
	return rc ? rc : rebuild_index(r, &o->rebuild, &stats->rebuild);
}

int
repack_run(struct repo *r, const struct repack_options *o, struct repack_stats *stats)
{
	int rc, rc2;

	*stats = (struct repack_stats){ 0 };
	if ((rc = io_lock(r->io, IO_EXCLUSIVE, true)))
		return rc;
	rc = run_locked(r, o, stats);
	rc2 = io_lock(r->io, IO_UNLOCKED, false);
	return rc ? rc : rc2;
}
