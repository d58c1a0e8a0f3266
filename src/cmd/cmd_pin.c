#include "base/err.h"
#include "cmd/choose.h"
#include "cmd/cmd.h"
#include "store/pins.h"

static int
set_one(struct context *ctx, struct choose *c, const char *text, bool on)
{
	const struct snapshots_item *snap;
	struct report *rp = &ctx->report;
	char id[CHOOSE_SHORT];
	const char *path;
	json_t *obj;
	int rc;

	if ((rc = choose_one(c, text, &snap, &path)))
		return rc;
	if (path)
		return fail(ERR_USAGE, "'%s': a snapshot is pinned as a whole", text);
	if ((rc = pins_set(ctx->repo, &snap->sid, on)))
		return rc;
	if (ctx->json) {
		obj = json_object();
		report_set_text(rp, obj, "type", "snapshot");
		report_set_sid(rp, obj, "id", &snap->sid);
		report_set_flag(rp, obj, "pinned", on);
		report_json(rp, obj);
	} else if (!ctx->quiet) {
		report_out(rp, "snapshot %s %s\n", choose_short(id, &snap->sid), on ? "pinned" : "unpinned");
	}
	return OK;
}

static int
set(struct context *ctx, int argc, char **argv, bool on)
{
	struct choose c = { .open = false };
	const struct args_option opts[] = { CHOOSE_OPTIONS(&c) };
	json_t *obj;
	int rc;

	if ((rc = cmd_parse(ctx, opts, ARGS_COUNT(opts), &argc, argv)) ||
	    (rc = cmd_operands(argc, argv, 1, -1, "SNAP")) ||
	    (rc = choose_open(ctx, &c, 0)))
		goto out;
	for (int i = 1; rc == OK && i < argc; i++)
		rc = set_one(ctx, &c, argv[i], on);
	if (rc == OK && ctx->json) {
		obj = json_object();
		report_set_text(&ctx->report, obj, "type", "summary");
		report_set_number(&ctx->report, obj, on ? "pinned" : "unpinned", (uint64_t)argc - 1);
		report_json(&ctx->report, obj);
	}
	rc = choose_result(&c, rc, false);
out:
	choose_close(&c);
	return rc;
}

static int
run(struct context *ctx, int argc, char **argv)
{
	return set(ctx, argc, argv, true);
}

static int
run_undo(struct context *ctx, int argc, char **argv)
{
	return set(ctx, argc, argv, false);
}

const struct cmd cmd_pin = {
	.name = "pin",
	.summary = "keep a snapshot whatever the rules say",
	.usage =
	    "Usage: varve pin [OPTIONS] SNAP...\n"
	    "\n"
	    "No rule forgets a pinned snapshot, and 'varve forget ID' refuses to, until\n"
	    "'varve unpin'.\n"
	    "\n"
	    CHOOSE_USAGE
	    "\n"
	    "Examples:\n"
	    "  varve pin latest\n"
	    "  varve pin @2026-11-20 --host web1\n",
	.needs = CMD_REPO | CMD_KEY | CMD_WRITES,
	.run = run,
};

const struct cmd cmd_pin_undo = {
	.name = "unpin",
	.summary = "let a pinned snapshot go again",
	.usage =
	    "Usage: varve unpin [OPTIONS] SNAP...\n"
	    "\n"
	    "The rules decide about the snapshot again.\n"
	    "\n"
	    CHOOSE_USAGE
	    "\n"
	    "Examples:\n"
	    "  varve unpin 1a2b3c4d\n",
	.needs = CMD_REPO | CMD_KEY | CMD_WRITES,
	.run = run_undo,
};
