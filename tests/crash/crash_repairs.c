/*
 * crash_repairs: what brings a damaged repository back, cut short.  Each phase begins with a damage that its repair can mend (of the
 * last one: give up), so before the repair was done there are snapshots that do not read back.
 */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "ops/excise.h"
#include "ops/repack.h"
#include "ops/reparity.h"
#include "ops/scrub.h"
#include "ops/snapshot.h"
#include "store/objects.h"
#include "store/parity.h"
#include "store/rebuild.h"
#include "tests/crash/crash.h"
#include "tests/unit/support_store.h"

/* As the commands begin: what is missing, from its parity. */
static int
parity_first(struct repo *r)
{
	const struct scrub_options o = { .jobs = 1, .repair = true, .small = true };
	struct scrub_stats st;
	int rc = scrub_run(r->io, &o, &st);

	return rc == ERR_CORRUPT ? OK : rc;
}

/* --------------------------------------------------------------------------------------------------- repairs */

static int
index_anew(struct crash *u, struct repo *r)
{
	const struct rebuild_options o = { .above = 0 };
	struct rebuild_stats st;
	int rc, rc2;

	(void)u;
	if ((rc = parity_first(r)) || (rc = io_lock(r->io, IO_EXCLUSIVE, false)))
		return rc;
	rc = rebuild_index(r, &o, &st);
	rc2 = io_lock(r->io, IO_UNLOCKED, false);
	if (rc || rc2)
		return rc ? rc : rc2;
	return st.counted ? OK : fail(ERR_CORRUPT, "references are not counted: %s", st.note);
}

static int
parity(struct crash *u, struct repo *r)
{
	const struct reparity_options o = { .set = true, .shape = { .block = 65536, .data = 16, .parity = 2 } };
	struct reparity_stats st;

	(void)u;
	return reparity_run(r, &o, &st);
}

static int
packs(struct crash *u, struct repo *r)
{
	const struct repack_options o = { 0 };
	struct repack_stats st;
	int rc = parity_first(r);

	(void)u;
	return rc ? rc : repack_run(r, &o, &st);
}

/* What is lost of the source is stored once more. */
static int
packs_and_from(struct crash *u, struct repo *r)
{
	const char *const paths[] = { u->source };
	const struct snapshot_options o = { .paths = paths, .path_count = 1, .host = "host", .user = "user", .jobs = 1, .level = 1,
		.rehash = true, .store_only = true };
	struct snapshot_result res;
	int rc = packs(u, r);

	return rc ? rc : snapshot_run(r, &o, &res);
}

/* After the packs: what is lost is what the index does not have. */
static int
snapshots(struct crash *u, struct repo *r)
{
	const struct excise_options o = { 0 };
	struct excise_stats st;
	int rc;

	if ((rc = excise_records(r, &o, &st)) || (rc = packs(u, r)) || (rc = excise_run(r, &o, &st)))
		return rc;
	return index_anew(u, r);
}

/* ---------------------------------------------------------------------------------------------------- damage */

/* The largest object of a kind, and how many bytes it has. */
static bool
largest(const struct crash *u, enum objects_kind kind, char path[static OBJECTS_PATH], uint64_t *size)
{
	struct io *io = support_disk_io(u->d);
	struct objects all = { 0 };
	uint64_t one;
	bool ok = objects_list(io, &all) == OK;

	*size = 0;
	for (size_t i = 0; ok && i < all.count; i++)
		if (all.p[i].kind == kind && io_stat(io, all.p[i].path, &one) == OK && one > *size) {
			*size = one;
			memcpy(path, all.p[i].path, OBJECTS_PATH);
		}
	objects_clear(&all);
	io_free(io);
	return ok && *size;
}

/* Flip a byte, `back` from the end of the largest object of a kind; without its parity, if so. */
static bool
harm(struct crash *u, enum objects_kind kind, uint64_t back, bool bare)
{
	char path[OBJECTS_PATH], side[PARITY_PATH];
	uint64_t size;

	crash_begin_here(u);
	if (!largest(u, kind, path, &size) || size <= back || !support_disk_flip(u->d, path, size - 1 - back))
		return crash_wrong(u, "no such object");
	parity_path(side, kind, objects_name(path));
	return !bare || support_disk_remove(u->d, side) || crash_wrong(u, "it had no parity");
}

/* --------------------------------------------------------------------------------------------------- phases */

static bool
phase(struct crash *u, int (*repair)(struct crash *u, struct repo *r))
{
	struct repo *r;
	bool ok;

	if (crash_open(u, u->d, false, &r))
		return crash_wrong(u, "open");
	u->repair = repair;
	ok = repair(u, r) == OK || crash_wrong(u, "repair");
	repo_close(r);
	return ok;
}

bool
crash_repair_index(struct crash *u)
{
	return harm(u, OBJECTS_INDEX, 100, true) && phase(u, index_anew);
}

bool
crash_repair_parity(struct crash *u)
{
	return phase(u, parity);
}

bool
crash_repair_packs(struct crash *u)
{
	return harm(u, OBJECTS_PACK, 30000, false) && phase(u, packs);
}

/* The footer is bad: every frame can be saved. */
bool
crash_repair_salvage(struct crash *u)
{
	return harm(u, OBJECTS_PACK, 20, true) && phase(u, packs);
}

/* A file that is still there. */
bool
crash_repair_from(struct crash *u)
{
	return support_store_file(u->source, "d1/again", 80000, 8) && crash_take(u) && harm(u, OBJECTS_PACK, 30000, true) &&
	    phase(u, packs_and_from);
}

/* A file that only one snapshot has is lost: another one takes its place. */
bool
crash_repair_snapshots(struct crash *u)
{
	struct crash_snap *s;

	if (!crash_passing_file(u, NULL))
		return false;
	s = &u->snap[u->count - 2];
	s->may_miss = s->gone = true;
	u->least = 1;
	for (size_t i = 0; i < u->count; i++)
		u->least += !u->snap[i].gone;
	return harm(u, OBJECTS_PACK, 30000, true) && phase(u, snapshots);
}
