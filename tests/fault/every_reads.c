/* every_reads: the operations that only read. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "codec/digest.h"
#include "ops/cat.h"
#include "ops/dbdiff.h"
#include "ops/diff.h"
#include "ops/find.h"
#include "ops/forget.h"
#include "ops/heads.h"
#include "ops/listing.h"
#include "ops/lost.h"
#include "ops/prune.h"
#include "ops/restore.h"
#include "ops/sample.h"
#include "ops/scrub.h"
#include "ops/sql.h"
#include "ops/stats.h"
#include "ops/verify.h"
#include "source/filter.h"
#include "store/census.h"
#include "store/fetch.h"
#include "store/keyring.h"
#include "tests/fault/every.h"

static int
open_and_close(struct every *e)
{
	struct repo *r;
	int rc = every_open(e->d, 1, &r);

	if (rc == OK)
		every_say(e, "%s", r->slot_label);
	repo_close(r);
	return rc;
}

static int
wrong_key(struct every *e)
{
	struct repo *r;
	int rc = every_open(e->d, 77, &r);

	repo_close(r);
	return rc;
}

static int
keys(struct every *e)
{
	const uint8_t bytes[32] = { 'k', 'e', 'y', 1 };
	const struct keys_secret secret = { KEYSLOT_KEYFILE, bytes, sizeof(bytes) };
	struct keyring_entry *all;
	struct name_sid id;
	size_t count;
	int rc = keyring_list(e->r, &all, &count);

	if (rc)
		return rc;
	for (size_t i = 0; i < count; i++)
		every_say(e, "%d", all[i].verdict);
	free(all);
	rc = keyring_find(e->r, &secret, &id);
	every_say(e, " %d", rc);
	return rc < 0 ? rc : OK;
}

static void
count_bad(void *arg, const char *sid_hex, int rc)
{
	(void)sid_hex;
	every_say(arg, "bad %d ", rc);
}

/* A view, and what is done with it. */
static int
with_view(struct every *e, unsigned what, int (*fn)(struct every *e, struct view *v))
{
	struct view v;
	int rc = view_open(e->r, what, count_bad, e, &v);

	if (rc == OK)
		rc = fn(e, &v);
	view_close(&v);
	return rc;
}

static int
say_records(struct every *e, struct view *v)
{
	struct snapshots files = { 0 }, some = { 0 };
	char hex[NAME_SID_HEX];
	const char *const ids[] = { hex };
	int rc;

	name_sid_hex(&e->sids[0], hex);
	if ((rc = snapshots_load_files(e->r, false, count_bad, e, &files)) == OK &&
	    (rc = snapshots_load_some(e->r, false, ids, 1, count_bad, e, &some)) == OK)
		every_say(e, "%zu %zu %zu, there: %d", v->snaps.count, files.count, some.count, snapshots_exist(e->r, &e->sids[1]));
	snapshots_clear(&files);
	snapshots_clear(&some);
	return rc;
}

static int
records(struct every *e)
{
	return with_view(e, 0, say_records);
}

static int
say_forgotten(struct every *e, struct view *v)
{
	every_say(e, "%zu forgotten", v->snaps.count);
	return OK;
}

static int
forgotten(struct every *e)
{
	return with_view(e, VIEW_FORGOTTEN, say_forgotten);
}

static int
count_pack(struct index *ix, uint32_t no, const struct indexfile_pack *p, void *arg)
{
	(void)ix;
	(void)no;
	*(uint64_t *)arg += p->live_frames;
	return OK;
}

static int
say_index(struct every *e, struct view *v)
{
	struct census c = { 0 };
	uint64_t frames = 0;
	int rc, whole = 0;

	if ((rc = index_each_pack(v->ix, count_pack, &frames)) || (rc = whole = index_packs_whole(v->ix)) < 0 ||
	    (rc = census_load(e->r, v->ix, &c)))
		goto out;
	every_say(e, "%ju %d %zu %zu %zu", (uintmax_t)frames, whole, c.cell_count, c.frame_count, c.pack_count);
out:
	census_clear(&c);
	return rc;
}

static int
index_all(struct every *e)
{
	return with_view(e, VIEW_CONTENT, say_index);
}

static int
say_stats(struct every *e, struct view *v)
{
	const struct select_filter f = { 0 };
	struct stats_result s;
	int rc = stats_run(v, &f, &s);

	if (rc == OK)
		every_say(e, "%ju %ju %ju %ju", (uintmax_t)s.files, (uintmax_t)s.bytes_total, (uintmax_t)s.chunks, (uintmax_t)s.packs);
	return rc;
}

static int
stats(struct every *e)
{
	return with_view(e, VIEW_CONTENT, say_stats);
}

/* ----------------------------------------------------------------------------------------------- what is in them */

static int
say_item(void *arg, const struct listing_item *it)
{
	every_say(arg, "%s %ju;", it->path + strlen(it->path) / 2, (uintmax_t)it->e->size);
	return OK;
}

static void
say_problem(void *arg, const char *path)
{
	every_say(arg, "problem %s;", path);
}

static const struct name *
root_of(const struct view *v, size_t i)
{
	return &v->snaps.items[i].rec.root;
}

static int
say_listing(struct every *e, struct view *v)
{
	const struct listing_options o = { true, say_item, say_problem, e };

	return listing_walk(v->rd, root_of(v, v->snaps.count - 1), "", &o);
}

static int
ls(struct every *e)
{
	return with_view(e, VIEW_CONTENT, say_listing);
}

static int
add_sum(void *arg, const void *p, size_t len)
{
	*(uint64_t *)arg = digest_xxh3(p, len) + 3 * *(uint64_t *)arg;
	return OK;
}

static int
say_content(struct every *e, struct view *v)
{
	static const char *const names[] = { "large", "hole", "a/two" };
	uint64_t sum = 0, bytes;
	char path[400];
	int rc = OK;

	for (size_t i = 0; rc == OK && i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", e->source, names[i]);
		rc = cat_file(v->rd, root_of(v, v->snaps.count - 1), path, add_sum, &sum, &bytes);
	}
	every_say(e, "%jx", (uintmax_t)sum);
	return rc;
}

static int
cat(struct every *e)
{
	return with_view(e, VIEW_CONTENT, say_content);
}

static int
say_difference(void *arg, const struct diff_item *it)
{
	every_say(arg, "%c%zu", it->what, strlen(it->path));
	return OK;
}

static int
say_diff(struct every *e, struct view *v)
{
	const struct diff_options o = { say_difference, say_problem, e };
	struct diff_result res;
	int rc = diff_run(v->rd, root_of(v, 0), "", root_of(v, v->snaps.count - 1), "", &o, &res);

	every_say(e, " %ju %ju", (uintmax_t)res.added, (uintmax_t)res.modified);
	return rc;
}

static int
diff(struct every *e)
{
	return with_view(e, VIEW_CONTENT, say_diff);
}

static void
say_find_problem(void *arg, const struct snapshots_item *snap, const char *path)
{
	(void)snap;
	every_say(arg, "problem %s;", path);
}

static int
say_find(struct every *e, struct view *v)
{
	static const char *const patterns[] = { "new*", "a/*", "/**/LARGE" };
	const struct find_options o = { patterns, 3, true, say_find_problem, e };
	const struct snapshots_item *snaps[EVERY_SNAPS];
	struct find_result res;
	int rc;

	for (size_t i = 0; i < v->snaps.count; i++)
		snaps[i] = &v->snaps.items[i];
	rc = find_run(v->rd, snaps, v->snaps.count, &o, &res);
	every_say(e, "%zu %ju", res.count, (uintmax_t)res.matches);
	find_clear(&res);
	return rc;
}

static int
find(struct every *e)
{
	return with_view(e, VIEW_CONTENT, say_find);
}

static int
say_lost(struct every *e, struct view *v)
{
	const struct lost_options o = { 0 };
	struct lost_stats st;
	int rc = lost_run(v, &o, &st);

	every_say(e, "%ju %ju", (uintmax_t)st.files, (uintmax_t)st.directories);
	return rc;
}

static int
lost(struct every *e)
{
	return with_view(e, VIEW_CONTENT, say_lost);
}

/* ------------------------------------------------------------------------------------------------------ choices */

static int
say_choice(struct every *e, struct view *v)
{
	const char *const tags[] = { "x" };
	const struct retention_policy policy = { .last = 1, .periods = { 1 } };
	const struct forget_request q = { .policy = &policy, .keep_tags = tags, .keep_tag_count = 1,
		.group_by = FORGET_BY_HOST | FORGET_BY_PATHS | FORGET_BY_TAGS, .younger_ns = INT64_MAX, .now_ns = INT64_MAX / 2 };
	struct settle_preview p;
	struct forget_plan plan;
	char hex[NAME_SID_HEX], path[64];
	int rc;

	/* A pin that came when its snapshot was forgotten already. */
	name_sid_hex(&e->sids[3], hex);
	snprintf(path, sizeof(path), "pins/%s", hex);
	if ((rc = io_write_file(e->r->io, path, "", 0)) && rc != ERR_EXISTS)
		return rc;
	rc = forget_choose(v, &q, &plan);

	if (rc == OK && (rc = prune_preview(e->r, plan.gone, plan.gone_count, &p)) == OK)
		every_say(e, "%zu of %zu, %ju chunks", plan.gone_count, plan.count, (uintmax_t)p.chunks);
	forget_clear(&plan);
	return rc;
}

static int
choose(struct every *e)
{
	return with_view(e, 0, say_choice);
}

static void
say_head(void *arg, const char *text)
{
	every_say(arg, "%s;", text);
}

static int
say_heads(struct every *e, struct view *v)
{
	struct heads h = { 0 };
	char *text = NULL;
	uint64_t older = 0;
	int rc = heads_now(e->r, &v->snaps, &h);

	if (rc == OK && (rc = heads_text(&h, &text)) == OK && (rc = heads_check(e->r, &h, text, say_head, e, &older)) == OK)
		every_say(e, "%zu %ju", h.count, (uintmax_t)older);
	free(text);
	heads_clear(&h);
	return rc;
}

static int
heads(struct every *e)
{
	return with_view(e, 0, say_heads);
}

/* ------------------------------------------------------------------------------------------------------- proofs */

static int
verify_with(struct every *e, const struct verify_options *o)
{
	struct verify_result res;
	int rc = verify_run(e->r, o, &res);

	if (rc == OK)
		every_say(e, "%ju damaged, %ju chunks, %ju databases", (uintmax_t)res.damages.total, (uintmax_t)res.chunks,
		    (uintmax_t)res.databases.checked);
	verify_clear(&res);
	return rc;
}

static int
verify(struct every *e)
{
	return verify_with(e, &(struct verify_options){ .jobs = 1, .no_state = true });
}

static int
verify_read(struct every *e)
{
	return verify_with(e, &(struct verify_options){ .jobs = 2, .no_state = true, .read = true });
}

static int
verify_one(struct every *e)
{
	return verify_with(e, &(struct verify_options){ .jobs = 1, .no_state = true, .read = true, .snaps = e->sids, .snap_count = 1 });
}

static int
verify_databases(struct every *e)
{
	return verify_with(e, &(struct verify_options){ .jobs = 1, .no_state = true, .databases = true });
}

static int
scrub(struct every *e)
{
	const struct scrub_options o = { .jobs = 1 };
	struct scrub_stats st;
	int rc = scrub_run(e->r->io, &o, &st);

	every_say(e, "%ju %ju %ju", (uintmax_t)st.objects, (uintmax_t)st.proven, (uintmax_t)st.damaged);
	return rc;
}

static int
sample(struct every *e)
{
	struct damages d;
	struct sample_options o = { .count = 100, .damages = &d };
	struct sample_result res;
	int rc = damage_init(&d);

	if (rc == OK && (rc = sample_run(e->r, &o, &res)) == OK)
		every_say(e, "%ju damaged", (uintmax_t)res.damaged);
	damage_clear(&d);
	return rc;
}

/* ------------------------------------------------------------------------------------------------------ restores */

static void
note_problem(void *arg, const char *path, const char *text)
{
	if (*path != '/' || !*text)
		abort();                /* a problem without a place or a reason */
	every_say(arg, "!");
}

static struct restore_progress last;     /* what progress was told last */

static void
note_progress(void *arg, const struct restore_progress *p)
{
	(void)arg;
	last = *p;
}

static int
restore_one(struct every *e, const struct name_sid *sid, const struct restore_options *o)
{
	struct snapshots_item snap;
	struct restore_result res;
	int rc = snapshots_read(e->r, false, sid, &snap);

	if (rc)
		return rc;
	rc = restore_run(e->r, &snap, o, &res);
	snapshots_item_clear(&snap);
	every_say(e, "%ju made %ju same %ju skipped %ju dirs %ju others %ju deleted %ju bytes of %ju %ju verified, progress %ju %ju; ",
	    (uintmax_t)res.files_restored, (uintmax_t)res.files_unchanged, (uintmax_t)res.files_skipped, (uintmax_t)res.dirs,
	    (uintmax_t)res.others, (uintmax_t)res.deleted, (uintmax_t)res.bytes_written, (uintmax_t)res.bytes_total,
	    (uintmax_t)res.verified, (uintmax_t)last.files, (uintmax_t)last.bytes);
	return rc;
}

static int
restore_with(struct every *e, struct restore_options *o, bool twice)
{
	int rc;

	last = (struct restore_progress){ 0 };
	o->target = e->target;
	o->subpath = e->op->on == EVERY_DATABASE ? e->databases : e->source;
	o->problem = note_problem;
	o->progress = note_progress;
	o->arg = e;
	if ((rc = restore_one(e, &e->sids[0], o)) == OK && twice)
		rc = restore_one(e, &e->sids[e->count - 1], o);
	if (rc == OK && !o->dry_run)
		every_say(e, "%jx", (uintmax_t)every_tree_sum(e->target));
	return rc;
}

static int
restore(struct every *e)
{
	return restore_with(e, &(struct restore_options){ .verify = true, .sparse = true }, false);
}

static int
restore_over(struct every *e)
{
	return restore_with(e, &(struct restore_options){ .delete_extra = true, .numeric_owner = true }, true);
}

static int
restore_some(struct every *e)
{
	static const char *const paths[] = { "a/deep", "large" };

	return restore_with(e, &(struct restore_options){ .paths = paths, .path_count = 2, .overwrite = RESTORE_IF_CHANGED }, true);
}

static void
ignore_item(void *arg, char what, const char *path, const char *beneath, uint64_t size)
{
	(void)arg;
	(void)what;
	(void)path;
	(void)beneath;
	(void)size;
}

static void
put_file(const char *dir, const char *name)
{
	char path[500];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	if ((f = fopen(path, "w")))
		fclose(f);
}

/* What a snapshot does not have: a directory with something excluded in it, and another repository. */
static void
put_surplus(const char *target)
{
	static const char *const dirs[] = { "", "surplus", "surplus/in", "a", "a/deep" };
	char path[400];

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", target, dirs[i]);
		(void)mkdir(path, 0700);
	}
	put_file(target, "surplus/other");
	put_file(target, "surplus/in/kept");
	put_file(target, "surplus/in/other");
	put_file(target, "a/deep/varve-repo");
}

/* By patterns, over what is there, and what is not in it is removed. */
static int
restore_filtered(struct every *e)
{
	static const char *const patterns[] = { "a/new*", "hole", "kept", "varve-repo" };
	struct restore_options o = { .delete_extra = true, .overwrite = RESTORE_IF_NEWER, .item = ignore_item, .devices = true };
	struct filter *f;
	int rc = filter_new(&f);

	o.filter = f;
	for (size_t i = 0; rc == OK && i < sizeof(patterns) / sizeof(patterns[0]); i++)
		rc = filter_add(f, patterns[i], false);
	put_surplus(e->target);
	if (rc == OK)
		rc = restore_with(e, &o, true);
	filter_free(f);
	return rc;
}

/* Where a directory should be is a file, and things that the snapshot does not have are beside and beneath. */
static int
restore_in_the_way(struct every *e)
{
	struct restore_options o = { .target = e->target, .subpath = e->source, .delete_extra = true, .item = ignore_item,
		.problem = note_problem, .arg = e };
	char path[400];
	int rc = restore_one(e, &e->sids[0], &o);

	if (rc)
		return rc;
	put_file(e->target, "extra");
	snprintf(path, sizeof(path), "%s/extras", e->target);
	(void)mkdir(path, 0700);
	put_file(path, "one");
	snprintf(path, sizeof(path), "%s/a", e->target);
	every_remove_tree(path);
	put_file(e->target, "a");
	o.dry_run = true;
	if ((rc = restore_one(e, &e->sids[0], &o)))
		return rc;
	o.dry_run = false;
	o.overwrite = RESTORE_NEVER;
	if ((rc = restore_one(e, &e->sids[0], &o)))
		return rc;
	o.overwrite = RESTORE_ALWAYS;
	rc = restore_one(e, &e->sids[0], &o);
	every_say(e, "%jx", (uintmax_t)every_tree_sum(e->target));
	return rc;
}

/* By somebody who is not root, over directories that he may not write to. */
static int
restore_by_another(struct every *e)
{
	struct restore_options o = { .numeric_owner = true };
	bool root = geteuid() == 0;
	int rc;

	if (root && seteuid(65534))
		return fail(ERR_FAILED, "cannot be another user");
	rc = restore_with(e, &o, true);
	if (root && seteuid(0))
		abort();
	return rc;
}

static int
restore_never(struct every *e)
{
	return restore_with(e, &(struct restore_options){ .overwrite = RESTORE_NEVER }, true);
}

/* Snapshots in which files and directories are marked as lost. */
static int
restore_given_up(struct every *e)
{
	const struct restore_options o = { .target = e->target, .subpath = e->source, .verify = true, .problem = note_problem, .arg = e };
	struct snapshots all = { 0 };
	struct restore_result res;
	int rc = snapshots_load(e->r, false, NULL, NULL, &all), worst = OK;

	for (size_t i = 0; rc == OK && i < all.count; i++)
		if ((rc = restore_run(e->r, &all.items[i], &o, &res)) == ERR_PARTIAL) {
			worst = rc;
			rc = OK;
		}
	snapshots_clear(&all);
	return rc ? rc : worst;
}

static int
restore_dry(struct every *e)
{
	return restore_with(e, &(struct restore_options){ .dry_run = true }, false);
}

static int
restore_databases(struct every *e)
{
	return restore_with(e, &(struct restore_options){ .check_databases = true }, true);
}

/* ----------------------------------------------------------------------------------------------------- databases */

static int
say_row(void *arg, const struct sql_value *v, unsigned count)
{
	every_say(arg, "%u %.*s;", count, (int)v[0].len, v[0].p);
	return OK;
}

static int
say_sql(struct every *e, struct view *v)
{
	const struct sql_options o = { 0 };
	const struct sql_sink sink = { .row = say_row, .arg = e };
	struct sql_remarks remarks;
	struct sql *s = NULL;
	char *path = NULL;
	int rc;

	if ((rc = sql_find(v->rd, root_of(v, 0), NULL, "app.db", &path)) == OK && (rc = sql_new(v->rd, &o, &s)) == OK &&
	    (rc = sql_add(s, "main", root_of(v, 0), path, &remarks)) == OK &&
	    (rc = sql_add(s, "other", root_of(v, 1), path, NULL)) == OK && (rc = sql_fill(s)) == OK && (rc = sql_seal(s)) == OK)
		rc = sql_run(s, "select count(*) from t; select count(*) from other.t where b like '%7'", &sink);
	sql_free(s);
	free(path);
	return rc;
}

static int
sql(struct every *e)
{
	return with_view(e, VIEW_CONTENT, say_sql);
}

static int
say_table(void *arg, const struct dbdiff_item *it)
{
	every_say(arg, "%ju %ju", (uintmax_t)it->added, (uintmax_t)it->changed);
	return OK;
}

static int
say_dbdiff(struct every *e, struct view *v)
{
	struct tree_entry a = { 0 }, b = { 0 };
	char path[400];
	int rc;

	snprintf(path, sizeof(path), "%s/app.db", e->databases);
	if ((rc = tree_lookup(v->rd, root_of(v, 0), path, strlen(path), &a)) == FOUND &&
	    (rc = tree_lookup(v->rd, root_of(v, 1), path, strlen(path), &b)) == FOUND && (rc = dbdiff_probe(v->rd, &a.e, &b.e)) == FOUND)
		rc = dbdiff_run(v->rd, &a.e, &b.e, say_table, e);
	tree_entry_clear(&a);
	tree_entry_clear(&b);
	return rc;
}

static int
dbdiff(struct every *e)
{
	return with_view(e, VIEW_CONTENT, say_dbdiff);
}

const struct every_op every_reads[] = {
	{ "open", EVERY_HISTORY, EVERY_ALL | EVERY_OPENS | EVERY_WHOLE, open_and_close, 0, NULL },
	{ "open: wrong key", EVERY_HISTORY, EVERY_ALL | EVERY_OPENS, wrong_key, 0, NULL },
	{ "key list and find", EVERY_HISTORY, EVERY_ALL | EVERY_FORGIVES, keys, 0, NULL },
	{ "records", EVERY_HISTORY, EVERY_ALL | EVERY_FORGIVES, records, 0, NULL },
	{ "records: forgotten", EVERY_HISTORY, EVERY_ALL | EVERY_FORGIVES, forgotten, 0, NULL },
	{ "index and census", EVERY_PRUNE, EVERY_ALL | EVERY_FORGIVES, index_all, 0, NULL },
	{ "stats", EVERY_HISTORY, EVERY_ALL | EVERY_FORGIVES, stats, 0, NULL },
	{ "ls", EVERY_HISTORY, EVERY_ALL | EVERY_FORGIVES, ls, 0, NULL },
	{ "cat", EVERY_HISTORY, EVERY_ALL | EVERY_FORGIVES, cat, 0, NULL },
	{ "diff", EVERY_HISTORY, EVERY_ALL | EVERY_FORGIVES, diff, 0, NULL },
	{ "find", EVERY_HISTORY, EVERY_ALL | EVERY_FORGIVES, find, 0, NULL },
	{ "lost", EVERY_HISTORY, EVERY_ALL | EVERY_FORGIVES, lost, 0, NULL },
	{ "forget: choice and preview", EVERY_HISTORY, EVERY_ALL | EVERY_FORGIVES, choose, 0, NULL },
	{ "heads", EVERY_HISTORY, EVERY_ALL | EVERY_FORGIVES, heads, 0, NULL },
	{ "verify", EVERY_HISTORY, EVERY_ALL | EVERY_FORGIVES, verify, 0, NULL },
	{ "verify --read", EVERY_PRUNE, EVERY_ALL | EVERY_FORGIVES, verify_read, 0, NULL },
	{ "verify --read of one", EVERY_HISTORY, EVERY_ALL | EVERY_FORGIVES, verify_one, 0, NULL },
	{ "verify --databases", EVERY_DATABASE, EVERY_ALL | EVERY_FORGIVES, verify_databases, 0, NULL },
	{ "scrub", EVERY_HISTORY, EVERY_ALL | EVERY_FORGIVES, scrub, 0, NULL },
	{ "verify --restore-sample", EVERY_DATABASE, EVERY_ALL | EVERY_FORGIVES, sample, 0, NULL },
	{ "restore", EVERY_HISTORY, EVERY_ALL | EVERY_ON_CALLS | EVERY_FORGIVES, restore, 0,
	    "7 made 0 same 0 skipped 3 dirs 2 others 0 deleted 89353 bytes of 1138229 7 verified, " },
	{ "restore: over another", EVERY_HISTORY, EVERY_ALL | EVERY_ON_CALLS | EVERY_FORGIVES, restore_over, 0,
	    "7 made 0 same 0 skipped 3 dirs 2 others 0 deleted 89353 bytes of 1138229 0 verified, progress 1 40; "
	    "7 made 5 same 0 skipped 3 dirs 0 others 0 deleted 169060 bytes of 1238279 0 verified, " },
	{ "restore: some", EVERY_HISTORY, EVERY_ALL | EVERY_ON_CALLS | EVERY_FORGIVES, restore_some, 0,
	    "2 made 0 same 0 skipped 2 dirs 0 others 0 deleted 60040 bytes of 60040 0 verified, progress 1 40; "
	    "1 made 1 same 0 skipped 2 dirs 0 others 0 deleted 60000 bytes of 60040 0 verified, " },
	{ "restore: by patterns", EVERY_HISTORY, EVERY_ALL | EVERY_ON_CALLS | EVERY_FORGIVES, restore_filtered, 0,
	    "5 made 0 same 0 skipped 3 dirs 2 others 2 deleted 69350 bytes of 69650 0 verified, progress 1 40; "
	    "2 made 0 same 5 skipped 3 dirs 0 others 0 deleted 69060 bytes of 69700 0 verified, " },
	{ "restore: in the way", EVERY_HISTORY, EVERY_ALL | EVERY_ON_CALLS | EVERY_FORGIVES, restore_in_the_way, 0, NULL },
	{ "restore: by another user", EVERY_HISTORY, EVERY_ALL | EVERY_FORGIVES, restore_by_another, 0, NULL },
	{ "restore: of what was given up", EVERY_GIVEN_UP, EVERY_ALL | EVERY_FORGIVES, restore_given_up, 0, NULL },
	{ "restore: over nothing", EVERY_HISTORY, EVERY_ALL | EVERY_FORGIVES, restore_never, 0,
	    "7 made 0 same 0 skipped 3 dirs 2 others 0 deleted 89353 bytes of 1138229 0 verified, progress 1 40; "
	    "5 made 0 same 9 skipped 3 dirs 0 others 0 deleted 100000 bytes of 1238279 0 verified, " },
	{ "restore: dry run", EVERY_HISTORY, EVERY_ALL | EVERY_FORGIVES, restore_dry, 0,
	    "7 made 0 same 0 skipped 3 dirs 2 others 0 deleted 0 bytes of 1138229 0 verified, " },
	{ "restore: databases", EVERY_DATABASE, EVERY_ALL | EVERY_ON_CALLS | EVERY_FORGIVES, restore_databases, 0, NULL },
	{ "sql", EVERY_DATABASE, EVERY_ALL | EVERY_FORGIVES, sql, 0, NULL },
	{ "diff --databases", EVERY_DATABASE, EVERY_ALL | EVERY_FORGIVES, dbdiff, 0, NULL },
	{ 0 },
};
