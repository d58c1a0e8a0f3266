#include "base/err.h"
#include "cmd/cmd.h"
#include "cmd/reclaim.h"

static int
check(struct reclaim *c)
{
	int rc = keep_request(&c->keep);

	if (rc == OK && !c->keep.given && (c->choose.hosts.count || c->choose.paths.count || c->choose.tags.count))
		return fail(ERR_USAGE, "--host, --path and --tag belong to the --keep options; prune is for the whole repository");
	return rc;
}

static int
run(struct context *ctx, int argc, char **argv)
{
	struct reclaim c = { .prune = true };
	const struct args_option opts[] = {
		CHOOSE_OPTIONS(&c.choose),
		KEEP_OPTIONS(&c.keep),
		RECLAIM_OPTIONS(&c),
		{ 'n', "dry-run", ARGS_FLAG, &c.dry_run, NULL },
	};
	int rc;

	if ((rc = cmd_parse(ctx, opts, ARGS_COUNT(opts), &argc, argv)) == OK &&
	    (rc = cmd_operands(argc, argv, 0, 0, "")) == OK && (rc = check(&c)) == OK)
		rc = reclaim_run(ctx, &c, NULL, 0);
	reclaim_clear(&c);
	return rc;
}

const struct cmd cmd_prune = {
	.name = "prune",
	.aliases = "gc",
	.summary = "give back the space of forgotten snapshots",
	.usage =
	    "Usage: varve prune [OPTIONS]\n"
	    "\n"
	    "Deletes what only forgotten snapshots hold.  The time this takes depends on what\n"
	    "is deleted, not on what is kept.  It may be interrupted at any moment and run\n"
	    "again; snapshots that run meanwhile wait for it, and it for them.\n"
	    "\n"
	    "  -n, --dry-run         change nothing, say what would be freed\n"
	    RECLAIM_USAGE
	    "\n"
	    "With rules it forgets first, as 'varve forget' does (see there):\n"
	    KEEP_USAGE
	    CHOOSE_USAGE
	    "\n"
	    "Examples:\n"
	    "  varve prune\n"
	    "  varve prune --keep-hourly 24 --keep-daily 14 --keep-weekly 8 --keep-monthly 12\n",
	.needs = CMD_REPO | CMD_KEY | CMD_WRITES,
	.run = run,
};
