/*
 * varve: snapshots of directories, deduplicated and encrypted.
 *
 * Where things are; each layer includes only those above it in this list:
 *
 *      format/      every byte on disk: pure encoders and decoders (SPEC.md is their text)
 *      src/base/    errors, memory, text, options
 *      src/sys/     the only door to the system: repository directory, user's trees, clock, signals
 *      src/codec/   hashes, seals, compression, cut points, keys
 *      src/store/   objects: packs, index, records, trees; one writer's session; settling of counts
 *      src/source/  what a snapshot takes: patterns, tags of directories, images of databases; databases in place
 *      src/ops/     one operation each: a struct in, a struct out
 *      src/cmd/     one command each: options in, text or JSON out
 *      src/main.c   this table, and the exit status
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/err.h"
#include "cmd/cmd.h"
#include "cmd/secret.h"
#include "source/dbserve.h"
#include "store/repo.h"
#include "sys/fsys.h"
#include "sys/signals.h"

extern const struct cmd cmd_init, cmd_snapshot, cmd_list, cmd_ls, cmd_restore, cmd_cat, cmd_diff,
    cmd_find, cmd_sql, cmd_forget, cmd_undelete, cmd_pin, cmd_pin_undo, cmd_prune, cmd_verify,
    cmd_scrub, cmd_repair, cmd_head, cmd_stats, cmd_key, cmd_version, cmd_help;

static const struct cmd *const table[] = {
	&cmd_init, &cmd_snapshot, &cmd_list, &cmd_ls, &cmd_restore, &cmd_cat, &cmd_diff,
	&cmd_find, &cmd_sql, &cmd_forget, &cmd_undelete, &cmd_pin, &cmd_pin_undo, &cmd_prune, &cmd_verify,
	&cmd_scrub, &cmd_repair, &cmd_head, &cmd_stats, &cmd_key, &cmd_version, &cmd_help, NULL,
};

static int
run(struct context *ctx, int argc, char **argv)
{
	int rc;

	if ((rc = cmd_parse_global(ctx, &argc, argv)))
		return rc;
	if (ctx->version) {
		ctx->cmd = &cmd_version;
		return cmd_version.run(ctx, argc, argv);
	}
	if (argc == 1) {
		cmd_print_commands(ctx, !ctx->help);
		return ctx->help ? OK : fail(ERR_USAGE, "no command given");
	}
	ctx->cmd = cmd_find_name(table, argv[1]);
	return ctx->cmd ? ctx->cmd->run(ctx, argc - 1, argv + 1) : cmd_unknown(table, argv[1]);
}

static int
finish(struct context *ctx, int rc)
{
	struct report *rp = &ctx->report;

	/* Whoever reads the output may have seen enough. */
	if (rc == ERR_IO && err_errno() == EPIPE && report_is_unread()) {
		repo_close(ctx->repo);
		return err_exit_status(rc);
	}
	/* The command's own failure is worth more than one of its output. */
	if (rc < 0)
		report_talk(rp, "%s", err_text());
	if (rc == ERR_USAGE && ctx->cmd)
		report_talk(rp, "see 'varve help %s'", ctx->cmd->name);
	else if (rc == ERR_USAGE)
		report_talk(rp, "see 'varve help'");
	if (report_finish(rp) && rc >= 0) {
		if (!report_is_unread())
			report_talk(rp, "%s", err_text());
		rc = ERR_FAILED;
	}
	repo_close(ctx->repo);
	return err_exit_status(rc);
}

/*
 * A standard descriptor that is closed would be given to a file of the repository, and messages
 * would be written into it. The wrong direction on purpose: who uses it gets an error.
 */
static void
hold_standard_descriptors(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0)
			(void)!open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY);
}

int
main(int argc, char **argv)
{
	struct context ctx = { .table = table };

	if (argc == 2 && strcmp(argv[1], DBSERVE_ARG) == 0)
		return dbserve_run();
	hold_standard_descriptors();
	secret_protect();
	signals_init();
	fsys_raise_limits();
	report_init(&ctx.report);
	return finish(&ctx, run(&ctx, argc, argv));
}
