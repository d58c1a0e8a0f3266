#include "base/err.h"
#include "cmd/cmd.h"

static int
run(struct context *ctx, int argc, char **argv)
{
	const struct cmd *c;
	int rc;

	if ((rc = cmd_parse(ctx, NULL, 0, &argc, argv)) || (rc = cmd_operands(argc, argv, 0, 2,
	    "COMMAND")))
		return rc;
	if (argc == 1) {
		cmd_print_commands(ctx, false);
		return OK;
	}
	if (!(c = cmd_find_name(ctx->table, argv[1]))) {
		ctx->cmd = NULL;        /* its own help would not tell more */
		return cmd_unknown(ctx->table, argv[1]);
	}
	cmd_print_usage(ctx, c);
	return OK;
}

const struct cmd cmd_help = {
	.name = "help",
	.summary = "what a command does and takes",
	.usage =
	    "Usage: varve help [COMMAND [SUBCOMMAND]]\n"
	    "\n"
	    "Without COMMAND: the list of all commands, global options and exit statuses.\n"
	    "\n"
	    "Example:\n"
	    "  varve help restore\n",
	.run = run,
};
