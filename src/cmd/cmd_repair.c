/* cmd_repair: one subcommand for each thing that can be mended; nothing is deleted, what is replaced moves to damaged/. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "cmd/cmd.h"
#include "cmd/layout.h"
#include "cmd/lookback.h"
#include "cmd/choose.h"
#include "ops/excise.h"
#include "ops/lost.h"
#include "ops/repack.h"
#include "ops/reparity.h"
#include "ops/scrub.h"
#include "ops/snapshot.h"
#include "store/rebuild.h"
#include "store/repo.h"

struct repair {
	struct context *ctx;
	const char *verb;
	const char *layout;
	bool data, none;
	struct args_list from;
};

static void
show_bad(void *arg, const char *path)
{
	struct report *rp = &((struct repair *)arg)->ctx->report;
	json_t *obj;

	if (!rp->json) {
		report_clear(rp);
		report_talk(rp, "%s: %s", path, err_text());
		return;
	}
	obj = json_object();
	report_set_text(rp, obj, "type", "damage");
	report_set_text(rp, obj, "path", path);
	report_set_text(rp, obj, "what", err_text());
	report_json(rp, obj);
}

static void
show_progress(void *arg, uint64_t done, uint64_t total)
{
	struct repair *c = arg;
	struct report_progress p = { .verb = c->verb, .items = done, .items_total = total };

	report_progress(&c->ctx->report, &p);
}

/* -------------------------------------------------------------------------------------------------- parity first */

static void
show_mend(void *arg, const struct scrub_damage *d)
{
	struct report *rp = &((struct repair *)arg)->ctx->report;
	json_t *obj;

	if (d->state != SCRUB_REPAIRED)
		return;
	if (!rp->json) {
		report_clear(rp);
		report_out(rp, "%s: mended from its parity\n", d->path);
		return;
	}
	obj = json_object();
	report_set_text(rp, obj, "type", "repair");
	report_set_text(rp, obj, "path", d->path);
	report_set_flag(rp, obj, "repaired", true);
	report_json(rp, obj);
}

/* Before anything is given up: what is missing, and records, from their sidecars. */
static int
parity_first(struct repair *c)
{
	struct scrub_options o = { .repair = true, .small = true, .damage = show_mend, .arg = c };
	struct scrub_stats s;
	int rc = scrub_run(c->ctx->repo->io, &o, &s);

	return rc == ERR_CORRUPT ? OK : rc;
}

/* ------------------------------------------------------------------------------------------------------- index */

static void
show_rebuilt(struct report *rp, const struct rebuild_stats *s)
{
	char garbage[TEXT_SIZE_MAX];
	json_t *obj;

	if (rp->json) {
		obj = json_object();
		report_set_text(rp, obj, "type", "summary");
		report_set_flag(rp, obj, "ok", s->counted && !s->bad_packs && !s->bad_frames);
		report_set_number(rp, obj, "packs", s->packs);
		report_set_number(rp, obj, "frames", s->frames);
		report_set_number(rp, obj, "chunks", s->chunks);
		report_set_number(rp, obj, "snapshots", s->snapshots);
		report_set_number(rp, obj, "damaged_packs", s->bad_packs);
		report_set_number(rp, obj, "damaged_frames", s->bad_frames);
		report_set_number(rp, obj, "stranded", s->stranded);
		report_set_number(rp, obj, "garbage_bytes", s->garbage);
		report_set_flag(rp, obj, "counted", s->counted);
		report_json(rp, obj);
		return;
	}
	if (rp->quiet)
		return;
	report_out(rp, "the index is made anew: %ju pack%s, %ju chunk%s, %ju snapshot%s\n", (uintmax_t)s->packs, text_plural(s->packs),
	    (uintmax_t)s->chunks, text_plural(s->chunks), (uintmax_t)s->snapshots, text_plural(s->snapshots));
	if (s->garbage)
		report_out(rp, "%s belong to no snapshot; 'varve prune' frees them\n", text_size(garbage, s->garbage));
}

static int
rebuilt(struct repair *c, struct rebuild_stats *s)
{
	struct rebuild_options o = { .above = lookback_table(c->ctx), .bad = show_bad, .progress = show_progress, .arg = c };
	struct io *io = c->ctx->repo->io;
	int rc, rc2;

	c->verb = "indexing";
	if ((rc = io_lock(io, IO_EXCLUSIVE, true)))
		return rc;
	rc = rebuild_index(c->ctx->repo, &o, s);
	rc2 = io_lock(io, IO_UNLOCKED, false);
	report_clear(&c->ctx->report);
	return rc ? rc : rc2;
}

static int
repair_index(struct repair *c)
{
	struct rebuild_stats s;
	int rc;

	if ((rc = parity_first(c)) || (rc = rebuilt(c, &s)))
		return rc;
	show_rebuilt(&c->ctx->report, &s);
	if (!s.counted)
		return fail(ERR_CORRUPT, "references are not counted, and nothing can be pruned: %s", s.note);
	if (s.bad_packs || s.bad_frames)
		return fail(ERR_CORRUPT, "not everything can be read: %ju packs, %ju frames", (uintmax_t)s.bad_packs, (uintmax_t)s.bad_frames);
	return OK;
}

/* ------------------------------------------------------------------------------------------------------- parity */

static int
repair_parity(struct repair *c)
{
	struct reparity_options o = { .none = c->none, .set = c->data, .bad = show_bad, .progress = show_progress, .arg = c };
	struct report *rp = &c->ctx->report;
	struct reparity_stats s;
	json_t *obj;
	int rc;

	if ((rc = layout_parse(c->layout, &o.shape)))
		return rc;
	c->verb = "making parity";
	rc = reparity_run(c->ctx->repo, &o, &s);
	report_clear(rp);
	if (rc && rc != ERR_CORRUPT)
		return rc;
	if (rp->json) {
		obj = json_object();
		report_set_text(rp, obj, "type", "summary");
		report_set_flag(rp, obj, "ok", rc == OK);
		report_set_number(rp, obj, "objects", s.objects);
		report_set_number(rp, obj, "kept", s.kept);
		report_set_number(rp, obj, "made", s.made);
		report_set_number(rp, obj, "removed", s.removed);
		report_set_number(rp, obj, "damaged", s.damaged);
		report_json(rp, obj);
	} else if (!rp->quiet) {
		report_out(rp, "%ju objects: parity of %ju kept, of %ju made, of %ju removed\n", (uintmax_t)s.objects,
		    (uintmax_t)s.kept, (uintmax_t)s.made, (uintmax_t)s.removed);
	}
	return rc;
}

/* ------------------------------------------------------------------------------------------------------- packs */

static void
show_pack(void *arg, const char *path, const struct salvage_stats *s)
{
	const char *given_up = s && s->given_up ? "; the search for more was given up: too much of it only looks like frames" : "";
	struct report *rp = &((struct repair *)arg)->ctx->report;
	json_t *obj;

	if (!rp->json) {
		report_clear(rp);
		if (!s)
			report_out(rp, "%s: damaged; mended from its parity\n", path);
		else if (s->frames)
			report_out(rp, "%s: damaged; %ju frames saved%s\n", path, (uintmax_t)s->frames, given_up);
		else
			report_out(rp, "%s: damaged; nothing could be saved%s\n", path, given_up);
		return;
	}
	obj = json_object();
	report_set_text(rp, obj, "type", "pack");
	report_set_text(rp, obj, "path", path);
	report_set_flag(rp, obj, "mended", !s);
	report_set_number(rp, obj, "frames_saved", s ? s->frames : 0);
	report_set_number(rp, obj, "bytes_saved", s ? s->bytes : 0);
	report_set_flag(rp, obj, "given_up", s && s->given_up);
	report_json(rp, obj);
}

static void
show_lost_path(struct report *rp, const struct name_sid *sid, const char *path, size_t len, bool directory)
{
	char id[CHOOSE_SHORT];
	json_t *obj;

	if (rp->json) {
		obj = json_object();
		report_set_text(rp, obj, "type", "lost");
		report_set_sid(rp, obj, "snapshot", sid);
		report_set_name(rp, obj, "path", path, len);
		report_set_flag(rp, obj, "directory", directory);
		report_json(rp, obj);
		return;
	}
	report_out(rp, "lost in snapshot %s: ", choose_short(id, sid));
	report_out_name(rp, path, len);
	report_out(rp, directory ? " (entries of the directory)\n" : "\n");
}

static void
show_lost_file(void *arg, const struct lost_file *f)
{
	show_lost_path(&((struct repair *)arg)->ctx->report, &f->snap->sid, f->path, f->path_len, f->directory);
}

static int
show_lost(struct repair *c, struct lost_stats *s)
{
	struct lost_options o = { .file = show_lost_file, .arg = c };
	struct view v;
	int rc = view_open(c->ctx->repo, VIEW_CONTENT, NULL, NULL, &v);

	if (rc == OK)
		rc = lost_run(&v, &o, s);
	view_close(&v);
	return rc;
}

static int
repair_packs(struct repair *c)
{
	struct repack_options o = { .pack = show_pack, .progress = show_progress, .arg = c,
		.rebuild = { .above = lookback_table(c->ctx), .bad = show_bad, .progress = show_progress, .arg = c } };
	struct report *rp = &c->ctx->report;
	struct repack_stats s;
	struct lost_stats lost;
	json_t *obj;
	int rc;

	c->verb = "proving packs";
	if ((rc = parity_first(c)))
		return rc;
	rc = repack_run(c->ctx->repo, &o, &s);
	report_clear(rp);
	if (rc || (rc = show_lost(c, &lost)))
		return rc;
	if (rp->json) {
		obj = json_object();
		report_set_text(rp, obj, "type", "summary");
		report_set_flag(rp, obj, "ok", lost.snapshots == 0);
		report_set_number(rp, obj, "packs", s.packs);
		report_set_number(rp, obj, "damaged", s.damaged);
		report_set_number(rp, obj, "mended", s.mended);
		report_set_number(rp, obj, "frames_saved", s.frames_saved);
		report_set_number(rp, obj, "snapshots_damaged", lost.snapshots);
		report_set_number(rp, obj, "files_lost", lost.files);
		report_set_number(rp, obj, "directories_lost", lost.directories);
		report_json(rp, obj);
	} else if (!rp->quiet) {
		report_out(rp, "%ju pack%s, %ju of them damaged: %ju mended from parity, %ju frame%s saved\n", (uintmax_t)s.packs,
		    text_plural(s.packs), (uintmax_t)s.damaged, (uintmax_t)s.mended, (uintmax_t)s.frames_saved, text_plural(s.frames_saved));
	}
	if (lost.snapshots)
		return fail(ERR_CORRUPT, "%ju snapshot%s lost something: the next snapshot, or 'varve repair --from PATH', stores again what "
		    "is still there; 'varve repair snapshots' gives up the rest", (uintmax_t)lost.snapshots, text_plural(lost.snapshots));
	return s.rebuild.counted ? OK : fail(ERR_CORRUPT, "references are not counted: %s", s.rebuild.note);
}

/* ------------------------------------------------------------------------------------------------------ snapshots */

static void
show_given_up(void *arg, const struct name_sid *old, const char *path, size_t len, bool directory)
{
	show_lost_path(&((struct repair *)arg)->ctx->report, old, path, len, directory);
}

static void
show_mended(void *arg, const struct name_sid *old, const struct name_sid *fresh)
{
	struct report *rp = &((struct repair *)arg)->ctx->report;
	const struct name_sid none = { { 0 } };
	char a[CHOOSE_SHORT], b[CHOOSE_SHORT];
	json_t *obj;

	if (rp->json) {
		obj = json_object();
		report_set_text(rp, obj, "type", "snapshot");
		report_set_sid(rp, obj, "old", old);
		report_set_sid(rp, obj, "id", fresh ? fresh : &none);
		report_json(rp, obj);
	} else if (fresh) {
		report_out(rp, "snapshot %s is now %s, without what is lost\n", choose_short(a, old), choose_short(b, fresh));
	} else {
		report_out(rp, "snapshot %s: set aside\n", choose_short(a, old));
	}
}

static void
show_record(void *arg, const char *hex)
{
	struct repair *c = arg;
	struct name_sid sid;

	if (name_sid_unhex(&sid, hex))
		show_mended(c, &sid, NULL);
}

static int
repair_snapshots(struct repair *c)
{
	struct excise_options o = { .lost = show_given_up, .snapshot = show_mended, .record = show_record, .arg = c };
	struct report *rp = &c->ctx->report;
	struct rebuild_stats built;
	struct excise_stats s;
	json_t *obj;
	int rc;

	if ((rc = parity_first(c)) || (rc = excise_records(c->ctx->repo, &o, &s)) || (rc = rebuilt(c, &built)) || (rc = excise_run(c->ctx->repo, &o, &s)))
		return rc;
	/* The new trees count, the old ones do not. */
	if ((s.snapshots || s.dropped || !built.counted) && (rc = rebuilt(c, &built)))
		return rc;
	if (rp->json) {
		obj = json_object();
		report_set_text(rp, obj, "type", "summary");
		report_set_flag(rp, obj, "ok", built.counted);
		report_set_number(rp, obj, "snapshots_mended", s.snapshots);
		report_set_number(rp, obj, "snapshots_set_aside", s.snapshots + s.dropped);
		report_set_number(rp, obj, "files_lost", s.files);
		report_set_number(rp, obj, "directories_lost", s.directories);
		report_json(rp, obj);
	} else if (!rp->quiet && !s.snapshots && !s.dropped) {
		report_out(rp, "nothing is given up: the index has all that snapshots need; 'varve repair packs' reads it, and finds what is damaged\n");
	} else if (!rp->quiet) {
		report_out(rp, "%ju snapshot%s mended, %ju given up\n", (uintmax_t)s.snapshots, text_plural(s.snapshots),
		    (uintmax_t)s.dropped);
	}
	return built.counted ? OK : fail(ERR_CORRUPT, "references are not counted: %s", built.note);
}

/* --------------------------------------------------------------------------------------------------------- from */

static void
show_problem(void *arg, const char *path, const char *text)
{
	(void)path;
	report_talk(&((struct repair *)arg)->ctx->report, "%s", text);
}

/* What a snapshot of these directories would store, without the snapshot. */
static int
repair_from(struct repair *c)
{
	struct snapshot_options o = { .paths = c->from.v, .path_count = c->from.count, .rehash = true, .store_only = true,
		.helper = CMD_SELF, .problem = show_problem, .arg = c };
	struct report *rp = &c->ctx->report;
	char size[TEXT_SIZE_MAX];
	struct snapshot_result res;
	struct lost_stats lost;
	json_t *obj;
	int rc = snapshot_run(c->ctx->repo, &o, &res), rc2;

	if (rc && rc != ERR_PARTIAL)
		return rc;
	if ((rc2 = show_lost(c, &lost)))
		return rc2;
	if (rp->json) {
		obj = json_object();
		report_set_text(rp, obj, "type", "summary");
		report_set_flag(rp, obj, "ok", lost.snapshots == 0);
		report_set_number(rp, obj, "bytes_new", res.stats[SNAPREC_BYTES_NEW]);
		report_set_number(rp, obj, "snapshots_damaged", lost.snapshots);
		report_set_number(rp, obj, "files_lost", lost.files);
		report_set_number(rp, obj, "directories_lost", lost.directories);
		report_json(rp, obj);
	} else if (!rp->quiet && !res.stats[SNAPREC_BYTES_NEW] && !lost.snapshots) {
		report_out(rp, "nothing is stored: the index has all of it; 'varve repair packs' reads every pack and finds what is damaged\n");
	} else if (!rp->quiet) {
		report_out(rp, "stored %s that were not there\n", text_size(size, res.stats[SNAPREC_BYTES_NEW]));
	}
	if (lost.snapshots)
		return fail(ERR_CORRUPT, "%ju snapshot%s still lost something", (uintmax_t)lost.snapshots,
		    text_plural(lost.snapshots));
	return rc;
}

/* ------------------------------------------------------------------------------------------------------- choosing */

static const struct {
	const char *name;
	int (*run)(struct repair *c);
} subs[] = {
	{ "index", repair_index },
	{ "parity", repair_parity },
	{ "packs", repair_packs },
	{ "snapshots", repair_snapshots },
};

static int
check(const struct repair *c, const char *sub)
{
	bool parity = strcmp(sub, "parity") == 0;

	if ((c->data || c->none) && !parity)
		return fail(ERR_USAGE, "--data, --none and --parity-layout belong to 'repair parity'");
	if (c->from.count)
		return fail(ERR_USAGE, "--from goes without '%s'", sub);
	if (c->data && c->none)
		return fail(ERR_USAGE, "either --data or --none");
	return OK;
}

static int
choose(struct repair *c, int argc, char **argv)
{
	struct context *ctx = c->ctx;
	int rc;

	if (argc == 1 && c->from.count) {
		rc = cmd_open(ctx, CMD_REPO | CMD_KEY | CMD_WRITES);
		return rc ? rc : repair_from(c);
	}
	if ((rc = cmd_operands(argc, argv, 1, 1, "what to repair (index, packs, parity, snapshots)")))
		return rc;
	c->data = c->data || c->layout;
	for (size_t i = 0; i < sizeof(subs) / sizeof(subs[0]); i++) {
		if (strcmp(argv[1], subs[i].name) != 0)
			continue;
		if ((rc = check(c, argv[1])) || (rc = cmd_open(ctx, CMD_REPO | CMD_KEY | CMD_WRITES)))
			return rc;
		return subs[i].run(c);
	}
	return fail(ERR_USAGE, "'%s' is nothing that can be repaired: index, packs, parity, snapshots", argv[1]);
}

static int
run(struct context *ctx, int argc, char **argv)
{
	struct repair c = { .ctx = ctx };
	const struct args_option opts[] = {
		{ 0, "from", ARGS_LIST, &c.from, NULL },
		{ 0, "data", ARGS_FLAG, &c.data, NULL },
		{ 0, "none", ARGS_FLAG, &c.none, NULL },
		{ 0, "parity-layout", ARGS_TEXT, &c.layout, NULL },
	};
	int rc;

	if ((rc = cmd_parse(ctx, opts, ARGS_COUNT(opts), &argc, argv)) == OK)
		rc = choose(&c, argc, argv);
	args_list_clear(&c.from);
	return rc;
}

const struct cmd cmd_repair = {
	.name = "repair",
	.summary = "mend what 'scrub --repair' cannot",
	.usage =
	    "Usage: varve repair index\n"
	    "       varve repair packs\n"
	    "       varve repair snapshots\n"
	    "       varve repair --from PATH [--from PATH...]\n"
	    "       varve repair parity [--data | --none] [--parity-layout LAYOUT]\n"
	    "\n"
	    "Run 'varve scrub --repair' first: it mends from parity, to the very bytes.  So do\n"
	    "index, packs and snapshots with what they would have to give up.  No repair\n"
	    "deletes anything: what it replaces moves to damaged/ in the repository.\n"
	    "\n"
	    "  index    make the index anew from the packs alone, and count references from\n"
	    "           the snapshots\n"
	    "  packs    save what can still be read of damaged packs in new ones, make the\n"
	    "           index anew, and name every file that lost content, in every snapshot\n"
	    "  snapshots  give up what is lost: each snapshot that lost something gets a new\n"
	    "           record and id; what it lost stands in it as unreadable, without content\n"
	    "  --from PATH  store again what is lost and PATH still has, as a snapshot of it\n"
	    "           would, without making one; say it once for each PATH\n"
	    "  parity   give parity to every object that should have it and has none, or a\n"
	    "           damaged one; objects are proven with the key first\n"
	    "\n"
	    "      --data                the content of files has parity from now on, and what\n"
	    "                            is there gets it\n"
	    "      --none                ... has none, and loses what it had\n"
	    "      --parity-layout PARITY/DATA/SIZE  as 'varve init' has it; implies --data\n"
	    "\n"
	    "Examples:\n"
	    "  varve repair index\n"
	    "  varve repair packs; varve repair --from /srv/app; varve repair snapshots\n"
	    "  varve repair parity --data\n",
	.needs = CMD_REPO | CMD_KEY | CMD_WRITES,
	.run = run,
};
