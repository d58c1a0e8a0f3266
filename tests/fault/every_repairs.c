/* every_repairs: what brings a damaged repository back. */
#include "base/err.h"
#include "ops/excise.h"
#include "ops/prune.h"
#include "ops/repack.h"
#include "ops/reparity.h"
#include "ops/restore.h"
#include "ops/scrub.h"
#include "ops/snapshot.h"
#include "ops/verify.h"
#include "store/objects.h"
#include "store/salvage.h"
#include "tests/fault/every.h"

static int
scrub(struct every *e)
{
	const struct scrub_options o = { .jobs = 1, .repair = true };
	struct scrub_stats st;
	int rc = scrub_run(e->r->io, &o, &st);

	every_say(e, "%ju %ju %ju", (uintmax_t)st.objects, (uintmax_t)st.damaged, (uintmax_t)st.repaired);
	return rc;
}

/* Who scrubs needs neither key nor header. */
static int
scrub_alone(struct every *e)
{
	const struct scrub_options o = { .jobs = 2, .repair = true };
	struct io *io = support_disk_io(e->d);
	struct scrub_stats st;
	int rc = scrub_run(io, &o, &st);

	io_free(io);
	return rc;
}

static int
scrub_small(struct every *e)
{
	const struct scrub_options o = { .jobs = 1, .small = true };
	struct scrub_stats st;
	int rc = scrub_run(e->r->io, &o, &st);

	every_say(e, "%ju", (uintmax_t)st.damaged);
	return rc;
}

static int
verify(struct every *e)
{
	const struct verify_options o = { .jobs = 1, .no_state = true, .read = true };
	struct verify_result res;
	int rc = verify_run(e->r, &o, &res);

	every_say(e, "%ju", (uintmax_t)res.damages.total);
	verify_clear(&res);
	return rc;
}

static int
reparity(struct every *e)
{
	const struct reparity_options o = { .set = true, .shape = { .block = 65536, .data = 16, .parity = 2 } };
	struct reparity_stats st;
	int rc = reparity_run(e->r, &o, &st);

	every_say(e, "%ju %ju", (uintmax_t)st.objects, (uintmax_t)st.damaged);
	return rc;
}

static int
reparity_none(struct every *e)
{
	const struct reparity_options o = { .none = true };
	struct reparity_stats st;
	int rc = reparity_run(e->r, &o, &st);

	every_say(e, "%ju", (uintmax_t)st.damaged);
	return rc;
}

static void
count_bad(void *arg, const char *path)
{
	(void)arg;
	(void)path;
}

static void
count_progress(void *arg, uint64_t done, uint64_t total)
{
	(void)arg;
	(void)done;
	(void)total;
}

static int
prune(struct every *e)
{
	const struct prune_options o = { .max_unused = 0, .max_rewrite = UINT64_MAX };
	struct prune_result res;

	return prune_run(e->r, &o, &res);
}

static int
take(struct every *e)
{
	size_t before = e->count;
	int rc = every_snapshot(e, e->r, e->source);

	e->count = before;
	return rc;
}

/* Of each snapshot what can be had. */
static int
restore(struct every *e)
{
	const struct restore_options o = { .target = e->target, .subpath = e->source, .verify = true };
	struct snapshots_item snap;
	struct restore_result res;
	int rc, worst = OK;

	for (size_t i = 0; i < e->count; i += 2) {
		if ((rc = snapshots_read(e->r, false, &e->sids[i], &snap)) == OK) {
			rc = restore_run(e->r, &snap, &o, &res);
			snapshots_item_clear(&snap);
		}
		worst = rc ? rc : worst;
	}
	return worst;
}

/* As the commands begin: what is missing, from its parity. */
static int
parity_first(struct every *e)
{
	const struct scrub_options o = { .jobs = 1, .repair = true, .small = true };
	struct scrub_stats st;
	int rc = scrub_run(e->r->io, &o, &st);

	return rc == ERR_CORRUPT || rc == ERR_AUTH ? OK : rc;
}

static int
repack(struct every *e)
{
	const struct repack_options o = { .rebuild = { .bad = count_bad, .progress = count_progress, .above = 7 } };
	struct repack_stats st;
	int rc = parity_first(e);

	if (rc == OK)
		rc = repack_run(e->r, &o, &st);

	if (rc == OK)
		every_say(e, "%ju", (uintmax_t)st.rebuild.chunks);
	return rc;
}

/* Every pack that is damaged. */
static int
salvage(struct every *e)
{
	struct salvage_stats st = { 0 };
	struct objects all = { 0 };
	int rc = io_lock(e->r->io, IO_EXCLUSIVE, true), rc2;

	if (rc == OK && (rc = objects_list(e->r->io, &all)) == OK)
		rc = FOUND;
	for (size_t i = 0; rc == FOUND && i < all.count; i++)
		if (all.p[i].kind == OBJECTS_PACK && (rc = salvage_whole(e->r, all.p[i].path)) == OK) {
			rc = salvage_pack(e->r, all.p[i].path, &st);
			every_say(e, "%d %ju %ju", rc, (uintmax_t)st.frames, (uintmax_t)st.lost);
			rc = rc < 0 ? rc : FOUND;
		}
	objects_clear(&all);
	rc2 = io_lock(e->r->io, IO_UNLOCKED, false);
	return rc < 0 ? rc : rc2;
}

static int
excise(struct every *e)
{
	const struct repack_options p = { 0 };
	const struct excise_options o = { 0 };
	struct repack_stats packs;
	struct excise_stats st;
	int rc;

	if ((rc = parity_first(e)) || (rc = excise_records(e->r, &o, &st)) || (rc = repack_run(e->r, &p, &packs)) || (rc = excise_run(e->r, &o, &st)))
		return rc;
	return repack_run(e->r, &p, &packs);
}

/* What is lost and still in the source is stored again; no snapshot is made. */
static int
refill(struct every *e)
{
	const char *const paths[] = { e->source };
	const struct snapshot_options o = { .paths = paths, .path_count = 1, .host = "host", .user = "user", .jobs = 1, .rehash = true,
		.store_only = true };
	struct snapshot_result res;

	return snapshot_run(e->r, &o, &res);
}

const struct every_op every_repairs[] = {
	{ "scrub --repair", EVERY_BAD, EVERY_ALL | EVERY_FORGIVES, scrub, 0, NULL },
	{ "scrub --repair: in part", EVERY_LOST, EVERY_ALL | EVERY_FORGIVES, scrub, 0, NULL },
	{ "verify: damage", EVERY_LOST, EVERY_ALL | EVERY_FORGIVES, verify, 0, NULL },
	{ "scrub: of little", EVERY_NEW, EVERY_ON_MEMORY | EVERY_FORGIVES | EVERY_WHOLE, scrub, 0, NULL },
	{ "repair parity: another shape", EVERY_DATABASE, EVERY_ALL | EVERY_FORGIVES, reparity, 0, NULL },
	{ "salvage", EVERY_LOST, EVERY_ALL | EVERY_FORGIVES | EVERY_HALF, salvage, 0, NULL },
	{ "scrub --repair: sidecars and header", EVERY_SIDES, EVERY_ALL | EVERY_OPENS | EVERY_FORGIVES, scrub_alone, 0, NULL },
	{ "scrub: small objects", EVERY_BAD, EVERY_ALL | EVERY_FORGIVES, scrub_small, 0, NULL },
	{ "verify: mendable damage", EVERY_BAD, EVERY_ALL | EVERY_FORGIVES, verify, 0, NULL },
	{ "restore: with damage", EVERY_LOST, EVERY_ALL | EVERY_FORGIVES, restore, 0, NULL },
	{ "snapshot: with damage", EVERY_LOST, EVERY_ALL | EVERY_FORGIVES | EVERY_HALF, take, 0, NULL },
	{ "prune: with damage", EVERY_LOST, EVERY_ALL | EVERY_FORGIVES | EVERY_HALF, prune, 0, NULL },
	{ "repair parity", EVERY_BARE, EVERY_ALL | EVERY_FORGIVES, reparity, 0, NULL },
	{ "repair parity: with damage", EVERY_LOST, EVERY_ALL | EVERY_FORGIVES, reparity, 0, NULL },
	{ "repair parity: none for data", EVERY_HISTORY, EVERY_ALL | EVERY_FORGIVES, reparity_none, 0, NULL },
	{ "repair packs: from parity", EVERY_BAD, EVERY_ALL | EVERY_FORGIVES | EVERY_HALF, repack, 0, NULL },
	{ "repair packs", EVERY_LOST, EVERY_ALL | EVERY_FORGIVES | EVERY_HALF, repack, 0, NULL },
	{ "repair snapshots", EVERY_LOST, EVERY_ALL | EVERY_FORGIVES | EVERY_HALF, excise, 0, NULL },
	{ "repair --from", EVERY_LOST, EVERY_ALL | EVERY_FORGIVES, refill, 0, NULL },
	{ 0 },
};
