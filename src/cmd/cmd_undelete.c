#include "base/err.h"
#include "cmd/choose.h"
#include "cmd/cmd.h"
#include "store/graves.h"

static int
raise_one(struct context *ctx, struct choose *c, const char *text)
{
	const struct snapshots_item *snap;
	char id[CHOOSE_SHORT];
	const char *path;
	json_t *obj;
	int rc;

	if ((rc = choose_one(c, text, &snap, &path)))
		return rc;
	if (path)
		return fail(ERR_USAGE, "'%s': a snapshot comes back as a whole", text);
	if ((rc = graves_raise(ctx->repo, &snap->sid)))
		return rc;
	if (ctx->json) {
		obj = json_object();
		report_set_text(&ctx->report, obj, "type", "snapshot");
		report_set_sid(&ctx->report, obj, "id", &snap->sid);
		report_json(&ctx->report, obj);
	} else if (!ctx->quiet) {
		report_out(&ctx->report, "snapshot %s is back\n", choose_short(id, &snap->sid));
	}
	return OK;
}

static int
run(struct context *ctx, int argc, char **argv)
{
	struct choose c = { .open = false };
	const struct args_option opts[] = { CHOOSE_OPTIONS(&c) };
	json_t *obj;
	int rc;

	if ((rc = cmd_parse(ctx, opts, ARGS_COUNT(opts), &argc, argv)) ||
	    (rc = cmd_operands(argc, argv, 1, -1, "SNAP")) ||
	    (rc = choose_open(ctx, &c, VIEW_FORGOTTEN)))
		goto out;
	for (int i = 1; rc == OK && i < argc; i++)
		rc = err_context(raise_one(ctx, &c, argv[i]), "among the forgotten ones ('varve list --forgotten')");
	if (rc == OK && ctx->json) {
		obj = json_object();
		report_set_text(&ctx->report, obj, "type", "summary");
		report_set_number(&ctx->report, obj, "snapshots_restored", (uint64_t)argc - 1);
		report_json(&ctx->report, obj);
	}
	rc = choose_result(&c, rc, false);
out:
	choose_close(&c);
	return rc;
}

const struct cmd cmd_undelete = {
	.name = "undelete",
	.summary = "take back a forgotten snapshot that was not pruned yet",
	.usage =
	    "Usage: varve undelete [OPTIONS] SNAP...\n"
	    "\n"
	    "SNAP is looked for among the forgotten ones: 'varve list --forgotten'.\n"
	    "\n"
	    CHOOSE_USAGE
	    "\n"
	    "Examples:\n"
	    "  varve undelete 1a2b3c4d\n"
	    "  varve undelete latest\n",
	.needs = CMD_REPO | CMD_KEY | CMD_WRITES,
	.run = run,
};
