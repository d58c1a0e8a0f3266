#include "base/err.h"
#include "cmd/cmd.h"
#include "cmd/reclaim.h"

static int
check(struct reclaim *c, int argc)
{
	int rc = keep_request(&c->keep);

	if (rc)
		return rc;
	if (argc > 1 && c->keep.given)
		return fail(ERR_USAGE, "either snapshots or rules, not both");
	if (argc == 1 && !c->keep.given && !c->choose.hosts.count && !c->choose.paths.count && !c->choose.tags.count)
		return fail(ERR_USAGE, "say which snapshots: ids, --keep-... rules, --older-than, --host, --path or --tag");
	return OK;
}

static int
run(struct context *ctx, int argc, char **argv)
{
	struct reclaim c = { .prune = false };
	const struct args_option opts[] = {
		CHOOSE_OPTIONS(&c.choose),
		KEEP_OPTIONS(&c.keep),
		RECLAIM_OPTIONS(&c),
		{ 0, "older-than", ARGS_TEXT, &c.keep.older_than, NULL },
		{ 0, "prune", ARGS_FLAG, &c.prune, NULL },
		{ 'n', "dry-run", ARGS_FLAG, &c.dry_run, NULL },
	};
	int rc;

	if ((rc = cmd_parse(ctx, opts, ARGS_COUNT(opts), &argc, argv)) == OK && (rc = check(&c, argc)) == OK)
		rc = reclaim_run(ctx, &c, argv + 1, argc - 1);
	reclaim_clear(&c);
	return rc;
}

const struct cmd cmd_forget = {
	.name = "forget",
	.summary = "drop snapshots, by id or by rules; 'undelete' takes it back",
	.usage =
	    "Usage: varve forget [OPTIONS] SNAP...\n"
	    "       varve forget [OPTIONS] RULES\n"
	    "\n"
	    "Hides snapshots; 'varve prune' then gives back what only they hold, and until then\n"
	    "'varve undelete' takes them back.  With rules a snapshot stays if any rule keeps\n"
	    "it.  Pinned snapshots, the newest of each group and those of the future (made\n"
	    "while a clock was wrong) always stay; only by its id the newest can be forgotten.\n"
	    "\n"
	    "Rules of what stays (days, weeks and so on are those of the local time zone):\n"
	    KEEP_USAGE
	    "      --older-than SPAN     everything younger than SPAN before now stays\n"
	    "Which snapshots the rules are for (without a rule: all of these go):\n"
	    CHOOSE_USAGE
	    "How:\n"
	    "  -n, --dry-run         change nothing; show what stays and by which rule, and the\n"
	    "                        bytes that would be freed\n"
	    "      --prune           give the space back at once\n"
	    RECLAIM_USAGE
	    "  -v, --verbose         show what stays and by which rule\n"
	    "\n"
	    "Examples:\n"
	    "  varve forget 1a2b3c4d\n"
	    "  varve forget --keep-hourly 24 --keep-daily 14 --keep-weekly 8 --keep-monthly 12 --dry-run\n"
	    "  varve forget --host old-server --older-than 1y\n",
	.needs = CMD_REPO | CMD_KEY | CMD_WRITES,
	.run = run,
};
