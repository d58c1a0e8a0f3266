#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cmd/choose.h"
#include "cmd/cmd.h"
#include "ops/cat.h"
#include "ops/listing.h"

static int
sink(void *arg, const void *p, size_t len)
{
	(void)arg;
	if (fwrite(p, 1, len, stdout) == len)
		return OK;
	/* An EOF-like absence here is not an object's. */
	return errno == ENOENT ? fail(ERR_IO, "cannot write to standard output") :
	    fail_io("cannot write to standard output");
}

static int
cat_one(struct choose *c, const struct snapshots_item *snap, const char *sub, const char *operand)
{
	char *path;
	uint64_t bytes;
	int rc;

	if ((rc = listing_clean_path(sub, operand, &path)))
		return rc;
	rc = cat_file(c->view.rd, &snap->rec.root, path, sink, NULL, &bytes);
	free(path);
	return rc;
}

static int
run(struct context *ctx, int argc, char **argv)
{
	struct choose c = { .open = false };
	const struct args_option opts[] = { CHOOSE_OPTIONS(&c) };
	const struct snapshots_item *snap;
	const char *sub;
	int rc;

	if ((rc = cmd_parse(ctx, opts, ARGS_COUNT(opts), &argc, argv)) ||
	    (rc = cmd_operands(argc, argv, 1, -1, "SNAP")))
		goto out;
	if (ctx->json) {
		rc = fail(ERR_USAGE, "--json: the output is the content of the file");
		goto out;
	}
	if ((rc = choose_open(ctx, &c, VIEW_CONTENT)) || (rc = choose_one(&c, argv[1], &snap,
	    &sub)))
		goto out;
	if (argc == 2 && !sub)
		rc = fail(ERR_USAGE, "PATH is missing");
	else if (argc == 2)
		rc = cat_one(&c, snap, sub, NULL);
	for (int i = 2; rc == OK && i < argc; i++)
		rc = cat_one(&c, snap, sub, argv[i]);
	rc = choose_result(&c, choose_missing(&c, snap, rc), false);
out:
	choose_close(&c);
	return rc;
}

const struct cmd cmd_cat = {
	.name = "cat",
	.aliases = "dump",
	.summary = "the content of a file, to standard output",
	.usage =
	    "Usage: varve cat [OPTIONS] SNAP[:PATH] [PATH...]\n"
	    "\n"
	    "Several files come one after the other.  Holes come as zeros.  Damage ends the\n"
	    "output with exit status 4; what came before is right.\n"
	    "\n"
	    CHOOSE_USAGE
	    "\n"
	    "Examples:\n"
	    "  varve cat latest /etc/fstab\n"
	    "  varve cat @yesterday:/var/backups/db.sql | psql app\n",
	.needs = CMD_REPO | CMD_KEY,
	.run = run,
};
