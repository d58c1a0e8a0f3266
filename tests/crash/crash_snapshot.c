/*
 * crash_snapshot [STATES | all]: every command that changes a repository, each cut short after every single operation, by a kill and
 * by a power loss of every kind that support_io knows: init, snapshots, settle, key add, change and remove, pin, forget, undelete,
 * prune that drops packs, that rewrites them and that merges small ones, and the repairs (crash_repairs.c).  What must hold: crash.h.
 */
#include "tests/crash/crash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "ops/prune.h"
#include "store/graves.h"
#include "store/keyring.h"
#include "store/pins.h"
#include "store/settle.h"
#include "tests/unit/support_store.h"

#define DEFAULT_STATES 3600u

static bool
phase_init(struct crash *u)
{
	struct repo *r;

	u->may_be_none = true;
	u->key[0] = u->key_next[0] = CRASH_SURELY;
	if (support_store_init(u->d, &r))
		return crash_wrong(u, "init");
	repo_close(r);
	return true;
}

static bool
phase_second(struct crash *u)
{
	char path[400];

	snprintf(path, sizeof(path), "%s/d0/f1", u->source);
	return unlink(path) == 0 && support_store_file(u->source, "d0/new", 700, 1234) && support_store_file(u->source, "large", 52000, 99) && crash_take(u);
}

static bool
phase_settle(struct crash *u)
{
	struct settle_stats stats;
	struct repo *r;
	bool ok;

	if (crash_open(u, u->d, false, &r))
		return crash_wrong(u, "open");
	ok = settle_run(r, NULL, 0, false, &stats) == OK || crash_wrong(u, "settle");
	repo_close(r);
	return ok;
}

/* Key k becomes one that opens, or one that does not. */
static bool
with_key(struct crash *u, unsigned opener, int (*change)(struct repo *r))
{
	struct repo *r;
	bool ok;

	if (repo_open(support_disk_io(u->d), &r))
		return crash_wrong(u, "open");
	ok = (crash_unlock(r, opener) == OK && change(r) == OK) || crash_wrong(u, "key");
	repo_close(r);
	return ok;
}

static int
add_one(struct repo *r)
{
	static const uint8_t bytes[32] = { 'k', 'e', 'y', 1 };
	const struct keys_secret secret = { KEYSLOT_KEYFILE, bytes, sizeof(bytes) };
	struct name_sid id;

	return keyring_add(r, &secret, NULL, "one", &id);
}

static int
change_to_two(struct repo *r)
{
	static const uint8_t bytes[32] = { 'k', 'e', 'y', 2 };
	const struct keys_secret secret = { KEYSLOT_KEYFILE, bytes, sizeof(bytes) };
	struct name_sid id;

	return keyring_change(r, &secret, NULL, NULL, &id);
}

static int
remove_other(struct repo *r)
{
	struct keyring_entry *all;
	size_t count;
	int rc = keyring_list(r, &all, &count);

	for (size_t i = 0; rc == OK && i < count; i++)
		if (!all[i].current)
			rc = keyring_remove(r, &all[i].slot.slot_id);
	if (rc == OK)
		free(all);
	return rc;
}

static bool
phase_key_add(struct crash *u)
{
	u->key_next[1] = CRASH_SURELY;
	return with_key(u, 0, add_one);
}

static bool
phase_key_change(struct crash *u)
{
	u->key_next[1] = CRASH_NEVER;
	u->key_next[2] = CRASH_SURELY;
	return with_key(u, 1, change_to_two);
}

static bool
phase_key_remove(struct crash *u)
{
	u->key_next[2] = CRASH_NEVER;
	return with_key(u, 0, remove_other);
}

/* One change of records, under the shared lock. */
static bool
with_record(struct crash *u, size_t first, size_t n, int (*change)(struct repo *r, const struct name_sid *sids, size_t n))
{
	struct name_sid sids[CRASH_SNAPS];
	struct repo *r;
	bool ok;

	for (size_t i = 0; i < n; i++)
		sids[i] = u->snap[first + i].sid;
	if (crash_open(u, u->d, false, &r))
		return crash_wrong(u, "open");
	ok = (io_lock(r->io, IO_SHARED, false) == OK && change(r, sids, n) == OK) || crash_wrong(u, "record");
	(void)!io_lock(r->io, IO_UNLOCKED, false);
	repo_close(r);
	return ok;
}

static int
pin_and_unpin(struct repo *r, const struct name_sid *sids, size_t n)
{
	int rc = OK;

	for (size_t i = 0; rc == OK && i < n; i++)
		if ((rc = pins_set(r, &sids[i], true)) == OK)
			rc = pins_set(r, &sids[i], false);
	return rc;
}

static int
bury_and_raise(struct repo *r, const struct name_sid *sids, size_t n)
{
	int rc = graves_bury(r, sids, n);

	for (size_t i = 0; rc == OK && i < n; i++)
		rc = graves_raise(r, &sids[i]);
	return rc;
}

static bool
phase_pin(struct crash *u)
{
	return with_record(u, 0, 1, pin_and_unpin);
}

static bool
phase_undelete(struct crash *u)
{
	bool ok = with_record(u, 0, 1, bury_and_raise);

	u->snap[0].hidden = true;
	return ok;
}

/* Forget, durably, and prune. */
static bool
forget_and_prune(struct crash *u, size_t first, size_t n, unsigned max_unused)
{
	const struct prune_options o = { .max_unused = max_unused, .max_rewrite = UINT64_MAX };
	struct prune_result res;
	struct repo *r;
	bool ok = n == 0 || with_record(u, first, n, graves_bury);

	for (size_t i = 0; i < n; i++)
		u->snap[first + i].may_miss = u->snap[first + i].gone = true;
	if (!ok || crash_open(u, u->d, false, &r))
		return crash_wrong(u, "open");
	ok = prune_run(r, &o, &res) == OK || crash_wrong(u, "prune");
	if (ok && max_unused == 0 && res.stats.rewrite.packs == 0)
		ok = crash_wrong(u, "nothing was rewritten");
	if (ok && max_unused && n && res.stats.packs_removed == 0)
		ok = crash_wrong(u, "nothing was dropped");
	repo_close(r);
	return ok;
}

static bool
phase_prune_drop(struct crash *u)
{
	return crash_passing_file(u, NULL) && forget_and_prune(u, u->count - 2, 1, 1000);
}

static bool
phase_prune_rewrite(struct crash *u)
{
	return crash_passing_file(u, "d1/beside") && forget_and_prune(u, u->count - 2, 1, 0);
}

/* Nine small snapshots, none of which is forgotten. */
static bool
phase_prune_merge(struct crash *u)
{
	bool ok = true;

	for (unsigned i = 0; ok && i < 9; i++)
		ok = support_store_file(u->source, "d1/small", 1000 + i, 100 + i) && crash_take(u);
	crash_begin_here(u);
	return ok && forget_and_prune(u, 0, 0, 0);
}

static const struct {
	const char *name;
	bool (*run)(struct crash *u);
} phases[] = {
	{ "init", phase_init },
	{ "snapshot", crash_take },
	{ "second snapshot", phase_second },
	{ "settle", phase_settle },
	{ "key add", phase_key_add },
	{ "key change", phase_key_change },
	{ "key remove", phase_key_remove },
	{ "pin and unpin", phase_pin },
	{ "forget and undelete", phase_undelete },
	{ "forget and prune: packs dropped", phase_prune_drop },
	{ "forget and prune: packs rewritten", phase_prune_rewrite },
	{ "prune: small packs merged", phase_prune_merge },
	{ "repair index", crash_repair_index },
	{ "repair parity", crash_repair_parity },
	{ "repair packs: from parity", crash_repair_packs },
	{ "repair packs: without", crash_repair_salvage },
	{ "repair --from", crash_repair_from },
	{ "repair snapshots", crash_repair_snapshots },
};

#define PHASES (sizeof(phases) / sizeof(phases[0]))

static bool
try_phase(struct crash *u, size_t i)
{
	unsigned long before = u->tried;
	bool ok = phases[i].run(u);

	u->failed = 0;
	if (ok)
		crash_try(u);
	ok = ok && !u->failed;
	if (u->stride)
		printf("%sok %zu - %s: %lu states%s%s\n", ok ? "" : "not ", i + 1, phases[i].name, u->tried - before,
		    u->why[0] ? ", " : "", u->why);
	fflush(stdout);
	crash_begin_here(u);
	u->may_be_none = false;
	u->repair = NULL;
	memcpy(u->key, u->key_next, sizeof(u->key));
	return ok;
}

/* want: states of all phases together, 0 for all there are; count: how many each phase has, found if want_count. */
static bool
all_phases(struct crash *u, unsigned long want, unsigned long count[static PHASES], bool want_count)
{
	bool ok = crash_source(u), good = true;

	u->d = support_disk_new();
	for (size_t i = 0; ok && i < PHASES; i++) {
		unsigned long before = u->number;

		u->stride = want_count ? 0 : want == 0 ? 1 : 1 + count[i] / (want / PHASES);
		good = try_phase(u, i) && good;
		if (want_count)
			count[i] = u->number - before;
	}
	support_disk_free(u->d);
	crash_source_remove(u);
	return good && ok;
}

int
main(int argc, char **argv)
{
	bool all = argc > 1 && strcmp(argv[1], "all") == 0, ok;
	unsigned long want = all ? 0 : argc > 1 ? strtoul(argv[1], NULL, 0) : DEFAULT_STATES;
	unsigned long count[PHASES] = { 0 };
	struct crash *u = calloc(2, sizeof(*u));

	if (!u)
		return 1;
	printf("1..%zu\n", PHASES);
	fflush(stdout);
	ok = all || all_phases(&u[1], want, count, true);
	ok = all_phases(&u[0], want, count, false) && ok;
	printf("# %lu of %lu states, and %lu by a second fault\n", u[0].tried, u[0].number, u[0].compound);
	free(u);
	return !ok;
}
