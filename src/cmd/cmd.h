/*
 * cmd: the commands' common ground.  A command's run() first calls cmd_parse() with its options,
 *         checks its operands, then cmd_open() with what it needs; so usage errors come before any
 *         secret is asked for.
 */
#ifndef CMD_CMD_H
#define CMD_CMD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/args.h"
#include "cmd/report.h"

struct repo;

#define CMD_REPO 1u                     /* the repository opened */
#define CMD_KEY 2u                      /* ... and unlocked */
#define CMD_WRITES 4u                   /* refuses a repository that may not be written */

/* This program, to be run again as a helper. */
#define CMD_SELF "/proc/self/exe"

struct cmd;

struct context {
	const struct cmd *const *table; /* all commands, ends with NULL */
	const struct cmd *cmd;          /* the one that runs */
	/* --repo, else VARVE_REPOSITORY (after cmd_parse); or NULL */
	const char *repo_path;
	struct repo *repo;              /* open after cmd_open; main closes it */
	bool json, quiet, insecure, no_state, help, version;
	int verbose;
	/* options only; secret_source_of adds the environment's */
	const char *password_file, *password_command, *key_file;
	struct report report;
};

struct cmd {
	const char *name;
	const char *aliases;            /* separated by spaces, or NULL */
	const char *summary;            /* one line */
	/* usage, options, examples: what `varve help NAME` prints */
	const char *usage;
	unsigned needs;                 /* CMD_...: what run() asks of cmd_open, at most */
	/* an enum err; argv[0] is the command's name */
	int (*run)(struct context *ctx, int argc, char **argv);
};

/* The command of this name or alias; NULL: none. */
const struct cmd *cmd_find_name(const struct cmd *const *table, const char *name);

/* Fail with ERR_USAGE: there is no such command; the note names a near one, or says that this version has none. */
int cmd_unknown(const struct cmd *const *table, const char *name) __attribute__((warn_unused_result));

/*
 * Take the command's own and the global options out of argv (see args_parse); operands remain from
 * argv[1] on.
 * Errors: ERR_USAGE.  AT_END: --help was asked for and printed; run() returns it at once.
 */
int cmd_parse(struct context *ctx, const struct args_option *own, size_t own_count, int *argc,
    char **argv)
    __attribute__((warn_unused_result));

/* The global options that stand before the command's name; argv[1] is then the name. */
int cmd_parse_global(struct context *ctx, int *argc,
    char **argv) __attribute__((warn_unused_result));

/*
 * OK when the number of operands (argc - 1) is within bounds; else ERR_USAGE naming what is missing
 * ("SNAPSHOT") or superfluous.
 */
int cmd_operands(int argc, char **argv, int least, int most,
    const char *missing) __attribute__((warn_unused_result));

/* Bring ctx->repo to the state that `needs` says; may be called again for more. */
int cmd_open(struct context *ctx, unsigned needs) __attribute__((warn_unused_result));

/* Print a command's usage, or the list of all commands. */
void cmd_print_usage(struct context *ctx, const struct cmd *c);
void cmd_print_commands(const struct context *ctx, bool on_stderr);

#endif
