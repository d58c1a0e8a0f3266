/* cmd_repair: one subcommand for each thing that can be mended; nothing is deleted, what is replaced moves to damaged/. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "cmd/cmd.h"
#include "cmd/layout.h"
#include "ops/reparity.h"
#include "store/rebuild.h"
#include "store/repo.h"

struct repair {
	struct context *ctx;
	const char *verb;
	const char *layout;
	bool data, none;
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

/* ------------------------------------------------------------------------------------------------------- index */

static void
show_rebuilt(struct report *rp, const struct rebuild_stats *s)
{
	char garbage[TEXT_SIZE_MAX];
	json_t *obj;

	if (rp->json) {
		obj = json_object();
		report_set_text(rp, obj, "type", "summary");
		report_set_flag(rp, obj, "ok", s->counted && !s->bad_packs && !s->bad_frames && !s->stranded);
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
	report_out(rp, "the index is made anew: %ju packs, %ju chunks, %ju snapshots\n", (uintmax_t)s->packs, (uintmax_t)s->chunks,
	    (uintmax_t)s->snapshots);
	if (s->garbage)
		report_out(rp, "%s belong to no snapshot; 'varve prune' frees them\n", text_size(garbage, s->garbage));
}

static int
rebuilt(struct repair *c, struct rebuild_stats *s)
{
	struct rebuild_options o = { .bad = show_bad, .progress = show_progress, .arg = c };
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
	int rc = rebuilt(c, &s);

	if (rc)
		return rc;
	show_rebuilt(&c->ctx->report, &s);
	if (!s.counted)
		return fail(ERR_CORRUPT, "references are not counted, and nothing can be pruned: %s", s.note);
	if (s.bad_packs || s.bad_frames || s.stranded)
		return fail(ERR_CORRUPT, "not everything can be read: %ju packs, %ju frames, %ju chunks", (uintmax_t)s.bad_packs,
		    (uintmax_t)s.bad_frames, (uintmax_t)s.stranded);
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

/* ------------------------------------------------------------------------------------------------------- choosing */

static const struct {
	const char *name;
	int (*run)(struct repair *c);
} subs[] = {
	{ "index", repair_index },
	{ "parity", repair_parity },
};

static int
check(const struct repair *c, const char *sub)
{
	bool parity = strcmp(sub, "parity") == 0;

	if ((c->data || c->none) && !parity)
		return fail(ERR_USAGE, "--data, --none and --parity-layout belong to 'repair parity'");
	if (c->data && c->none)
		return fail(ERR_USAGE, "either --data or --none");
	return OK;
}

static int
run(struct context *ctx, int argc, char **argv)
{
	struct repair c = { .ctx = ctx };
	const struct args_option opts[] = {
		{ 0, "data", ARGS_FLAG, &c.data, NULL },
		{ 0, "none", ARGS_FLAG, &c.none, NULL },
		{ 0, "parity-layout", ARGS_TEXT, &c.layout, NULL },
	};
	int rc;

	if ((rc = cmd_parse(ctx, opts, ARGS_COUNT(opts), &argc, argv)) ||
	    (rc = cmd_operands(argc, argv, 1, 1, "what to repair (index, parity)")))
		return rc;
	c.data = c.data || c.layout;
	for (size_t i = 0; i < sizeof(subs) / sizeof(subs[0]); i++) {
		if (strcmp(argv[1], subs[i].name) != 0)
			continue;
		if ((rc = check(&c, argv[1])) || (rc = cmd_open(ctx, CMD_REPO | CMD_KEY | CMD_WRITES)))
			return rc;
		return subs[i].run(&c);
	}
	return fail(ERR_USAGE, "'%s' is nothing that can be repaired: index, parity", argv[1]);
}

const struct cmd cmd_repair = {
	.name = "repair",
	.summary = "mend what 'scrub --repair' cannot: index, parity",
	.usage =
	    "Usage: varve repair index\n"
	    "       varve repair parity [--data | --none] [--parity-layout LAYOUT]\n"
	    "\n"
	    "Run 'varve scrub --repair' first: it mends from parity, to the very bytes.  No\n"
	    "repair deletes anything: what it replaces moves to damaged/ in the repository.\n"
	    "\n"
	    "  index    make the index anew from the packs alone, and count references from\n"
	    "           the snapshots\n"
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
	    "  varve repair parity --data\n",
	.needs = CMD_REPO | CMD_KEY | CMD_WRITES,
	.run = run,
};
