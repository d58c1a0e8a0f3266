#include "cmd/cmd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "cmd/secret.h"
#include "store/repo.h"

#define OPTIONS_MAX 64
#define NEAR 2

static bool
has_word(const char *words, const char *word)
{
	size_t len = strlen(word), n;

	for (; words && *words; words += n + (words[n] == ' ')) {
		n = strcspn(words, " ");
		if (n == len && memcmp(words, word, n) == 0)
			return true;
	}
	return false;
}

const struct cmd *
cmd_find_name(const struct cmd *const *table, const char *name)
{
	for (; *table; table++)
		if (strcmp((*table)->name, name) == 0 || has_word((*table)->aliases, name))
			return *table;
	return NULL;
}

/* Of all names the nearest to a mistyped one; NULL when none is near. */
static const char *
nearest(const struct cmd *const *table, const char *name)
{
	const char *best = NULL;
	unsigned best_distance = NEAR + 1;

	for (; *table; table++) {
		unsigned d = text_distance(name, (*table)->name);

		/* A beginning of the name is meant more often than another short name. */
		if (strncmp((*table)->name, name, strlen(name)) == 0)
			d = 1;
		if (d < best_distance) {
			best_distance = d;
			best = (*table)->name;
		}
	}
	return best;
}

int
cmd_unknown(const struct cmd *const *table, const char *name)
{
	/* What others have and a hand may type. */
	static const char *const absent[] = { "mount", "copy" };
	const char *near = nearest(table, name);

	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
		if (strcmp(name, absent[i]) == 0)
			return fail(ERR_USAGE, "'%s' is not in this version", name);
	if (near)
		return fail(ERR_USAGE, "unknown command '%s' (did you mean '%s'?)", name, near);
	return fail(ERR_USAGE, "unknown command '%s'", name);
}

/* The command's options and the global ones, in one table. */
static int
parse(struct context *ctx, const struct args_option *own, size_t own_count, int *argc, char **argv,
    unsigned flags)
{
	const struct args_option global[] = {
		{ 'r', "repo", ARGS_TEXT, &ctx->repo_path, NULL },
		{ 0, "json", ARGS_FLAG, &ctx->json, NULL },
		{ 'q', "quiet", ARGS_FLAG, &ctx->quiet, NULL },
		{ 'v', "verbose", ARGS_TALLY, &ctx->verbose, NULL },
		{ 0, "password-file", ARGS_TEXT, &ctx->password_file, NULL },
		{ 0, "password-command", ARGS_TEXT, &ctx->password_command, NULL },
		{ 0, "key-file", ARGS_TEXT, &ctx->key_file, NULL },
		{ 0, "insecure-no-encryption", ARGS_FLAG, &ctx->insecure, NULL },
		{ 0, "no-state", ARGS_FLAG, &ctx->no_state, NULL },
		{ 'h', "help", ARGS_FLAG, &ctx->help, NULL },
	};
	struct args_option all[OPTIONS_MAX];
	size_t n = own_count + ARGS_COUNT(global);
	int rc;

	if (n > OPTIONS_MAX)
		return fail(ERR_FAILED, "too many options in the table of a command");
	if (own_count)
		memcpy(all, own, own_count * sizeof(*own));
	memcpy(all + own_count, global, sizeof(global));
	rc = args_parse(all, n, argc, argv, flags);
	ctx->report.json = ctx->json;
	ctx->report.quiet = ctx->quiet;
	return rc;
}

int
cmd_parse_global(struct context *ctx, int *argc, char **argv)
{
	const struct args_option own[] = { { 'V', "version", ARGS_FLAG, &ctx->version, NULL } };

	return parse(ctx, own, ARGS_COUNT(own), argc, argv, ARGS_STOP);
}

int
cmd_parse(struct context *ctx, const struct args_option *own, size_t own_count, int *argc,
    char **argv)
{
	int rc;

	if ((rc = parse(ctx, own, own_count, argc, argv, 0)))
		return rc;
	if (ctx->help) {
		cmd_print_usage(ctx, ctx->cmd);
		return AT_END;
	}
	if (!ctx->repo_path)
		ctx->repo_path = getenv("VARVE_REPOSITORY");
	if (ctx->repo_path && !*ctx->repo_path)
		ctx->repo_path = NULL;
	return OK;
}

int
cmd_operands(int argc, char **argv, int least, int most, const char *missing)
{
	if (argc - 1 < least)
		return fail(ERR_USAGE, "%s is missing", missing);
	if (most >= 0 && argc - 1 > most)
		return fail(ERR_USAGE, "unexpected argument '%s'", argv[most + 1]);
	return OK;
}

static int
open_repo(struct context *ctx)
{
	struct io *io;
	int rc;

	if (!ctx->repo_path)
		return fail(ERR_USAGE,
		    "no repository given; use --repo DIR or set VARVE_REPOSITORY");
	rc = io_posix_new(ctx->repo_path, false, &io);
	if (rc == ERR_ABSENT || (rc == ERR_IO && err_errno() == ENOTDIR))
		return fail(ERR_NOREPO, "no repository at '%s'; 'varve init' makes one",
		    ctx->repo_path);
	if (rc == OK && (rc = repo_open(io, &ctx->repo)) == ERR_NOREPO)
		return fail(ERR_NOREPO, "no repository at '%s'; 'varve init' makes one", ctx->repo_path);
	return rc;
}

int
cmd_open(struct context *ctx, unsigned needs)
{
	int rc = OK;

	if ((needs & (CMD_REPO | CMD_KEY | CMD_WRITES)) && !ctx->repo)
		rc = open_repo(ctx);
	if (rc == OK && (needs & CMD_WRITES) && ctx->repo->read_only)
		rc = fail(ERR_UNSUPPORTED,
		    "repository '%s' has features that this version can only read", ctx->repo_path);
	if (rc == OK && (needs & CMD_KEY) && !ctx->repo->keys)
		rc = secret_unlock(ctx, ctx->repo);
	return rc;
}

void
cmd_print_usage(struct context *ctx, const struct cmd *c)
{
	report_out(&ctx->report, "varve %s: %s\n", c->name, c->summary);
	if (c->aliases)
		report_out(&ctx->report, "Also known as: %s\n", c->aliases);
	report_out(&ctx->report, "\n%s\nGlobal options: see 'varve help'.\n", c->usage);
}

void
cmd_print_commands(const struct context *ctx, bool on_stderr)
{
	static const char tail[] =
	    "\n"
	    "Global options (before or after the command):\n"
	    "  -r, --repo DIR            the repository (or VARVE_REPOSITORY)\n"
	    "      --password-file F     the passphrase is in F (VARVE_PASSWORD_FILE)\n"
	    "      --password-command C  ... is what C prints (VARVE_PASSWORD_COMMAND)\n"
	    "      --key-file F          open with a key file (VARVE_KEY_FILE)\n"
	    "      --insecure-no-encryption  open a repository that everybody can open\n"
	    "      --no-state            remember nothing about it, warn of nothing (head)\n"
	    "      --json                one JSON object per line, the last one the summary\n"
	    "  -q, --quiet               only errors\n"
	    "  -v, --verbose             more\n"
	    "  -h, --help                help on a command\n"
	    "  -V, --version             as 'varve version'\n"
	    "VARVE_PASSWORD holds the passphrase itself; without any of these it is asked for.\n"
	    "\n"
	    "SNAP is latest, the first digits of an id, or @TIME; ~2 behind it: two before it.\n"
	    "TIME is a time or a duration before now in s, m, h, d, w (90m, 2d12h; rules of\n"
	    "'forget' also take mo and y):\n"
	    "@2026-11-20T09:00, @3h, @yesterday: the newest snapshot not after that minute,\n"
	    "moment, day.  SNAP:PATH is a part of it.\n"
	    "\n"
	    "Exit status: 0 done; 1 failed; 2 usage; 3 snapshot made, but something could\n"
	    "not be read; 4 damage found; 10 no repository; 11 locked; 12 wrong key;\n"
	    "130 interrupted.\n"
	    "\n"
	    "First steps:\n"
	    "  varve init -r /mnt/backup/r\n"
	    "  varve snapshot -r /mnt/backup/r /srv/app\n"
	    "  varve restore -r /mnt/backup/r latest --target /tmp/out\n";
	FILE *f = on_stderr ? stderr : stdout;

	fprintf(f,
	    "varve: snapshots of directories, deduplicated and encrypted\n\n"
	    "Usage: varve [OPTIONS] COMMAND [ARGUMENTS]\n\n"
	    "Commands ('varve help COMMAND' tells more):\n");
	for (const struct cmd *const *c = ctx->table; *c; c++)
		fprintf(f, "  %-10s  %s\n", (*c)->name, (*c)->summary);
	fputs(tail, f);
}
