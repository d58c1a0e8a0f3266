#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "cmd/cmd.h"
#include "cmd/layout.h"
#include "cmd/secret.h"
#include "store/repo.h"
#include "store/reserve.h"

struct init {
	const char *path, *chunk_size, *label, *layout;
	uint64_t kdf_passes, kdf_memory;
	struct repo_params params;
	struct keys_cost cost;
	struct secret_source src;
	bool key_file_made;
};

/* "MIN:AVG:MAX". */
static int
parse_chunk_size(const char *text, struct repo_params *p)
{
	uint32_t *out[] = { &p->chunk_min, &p->chunk_avg, &p->chunk_max };
	uint64_t n;
	char part[32];
	size_t len;
	int rc;

	for (size_t i = 0; i < 3; i++) {
		len = strcspn(text, ":");
		if (len >= sizeof(part) || (text[len] == '\0') != (i == 2))
			return fail(ERR_USAGE, "--chunk-size is MIN:AVG:MAX,"
			    " as in 16K:64K:256K");
		memcpy(part, text, len);
		part[len] = '\0';
		if ((rc = text_parse_size(part, &n)))
			return err_context(rc, "--chunk-size");
		/* Zero would mean the default. */
		*out[i] = n == 0 || n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
		text += len + (text[len] == ':');
	}
	return repo_check_params(p);
}

static int
check(struct context *ctx, int argc, char **argv, struct init *in)
{
	int rc;

	if ((rc = cmd_operands(argc, argv, 0, 1, "REPO")))
		return rc;
	in->path = argc > 1 ? argv[1] : ctx->repo_path;
	if (!in->path)
		return fail(ERR_USAGE, "no repository given; use 'varve init"
		    " DIR' or set VARVE_REPOSITORY");
	if (ctx->insecure &&
	    (ctx->key_file || ctx->password_file || ctx->password_command))
		return fail(ERR_USAGE, "either a secret or"
		    " --insecure-no-encryption");
	if (in->layout)
		in->params.parity = true;
	if ((rc = layout_parse(in->layout, &in->params.shape)) ||
	    (in->chunk_size && (rc = parse_chunk_size(in->chunk_size, &in->params))) ||
	    (rc = secret_check_label(in->label)))
		return rc;
	return secret_cost(in->kdf_passes, in->kdf_memory, &in->cost);
}

static void
warn(struct context *ctx, const struct init *in, uint32_t kind)
{
	struct report *rp = &ctx->report;

	if (kind == KEYSLOT_PUBLIC) {
		report_info(rp, "the repository is not encrypted: whoever can"
		    " read '%s' can read everything in it", in->path);
		return;
	}
	if (kind == KEYSLOT_KEYFILE)
		report_info(rp, "the key file '%s' %s and is the only way in",
		    in->src.key_file,
		    in->key_file_made ? "was made" : "was there");
	else
		report_info(rp, "the passphrase is the only way in");
	report_info(rp, "a lost key is a lost repository: nobody can bring it"
	    " back; keep a copy of the key elsewhere ('varve key export' prints"
	    " one for paper)");
	if (kind == KEYSLOT_KEYFILE && guard_is_exposed(in->src.key_file))
		report_talk(rp, "warning: others than its owner may read"
		    " '%s'", in->src.key_file);
}

static void
show(struct context *ctx, const struct init *in, const struct repo *r,
    uint32_t kind)
{
	struct report *rp = &ctx->report;
	char hex[NAME_SID_HEX];
	json_t *o;

	warn(ctx, in, kind);
	if (!ctx->json) {
		name_sid_hex(&r->hdr.repo_id, hex);
		report_out(rp, "created repository %s in ", hex);
		report_out_name(rp, in->path, strlen(in->path));
		report_out(rp, "\n");
		return;
	}
	o = json_object();
	report_set_text(rp, o, "type", "summary");
	report_set_sid(rp, o, "repository", &r->hdr.repo_id);
	report_set_name(rp, o, "path", in->path, strlen(in->path));
	report_set_sid(rp, o, "slot", &r->slot_id);
	report_set_text(rp, o, "kind", secret_kind(kind));
	report_set_flag(rp, o, "key_file_made", in->key_file_made);
	report_set_number(rp, o, "chunk_min", r->hdr.chunk_min);
	report_set_number(rp, o, "chunk_avg", r->hdr.chunk_avg);
	report_set_number(rp, o, "chunk_max", r->hdr.chunk_max);
	report_json(rp, o);
}

/* Everything that may fail does so before anybody is asked for a secret; the
 * key file is on the disk before the repository begins to exist. */
static int
create(struct context *ctx, struct init *in)
{
	struct secret secret = { 0 };
	struct io *io;
	int rc;

	if ((rc = io_posix_new(in->path, true, &io)))
		return rc;
	if ((rc = repo_check_vacant(io)) ||
	    (rc = guard_sync_parent(in->path))) {
		io_posix_undo(io, in->path);
		return err_context(rc, "'%s'", in->path);
	}
	secret_source_of(ctx, &in->src);
	in->src.outside = in->path;
	if ((rc = secret_new(&in->src, &secret, &in->key_file_made)))
		io_posix_undo(io, in->path);
	else
		rc = err_context(repo_create(io, &in->params, &secret.given,
		    &in->cost, in->label, NULL, &ctx->repo),
		    "'%s'", in->path);
	if (rc == OK)
		rc = reserve_make(ctx->repo->io, reserve_want(0));
	if (rc == OK)
		show(ctx, in, ctx->repo, secret.given.kind);
	secret_clear(&secret);
	return rc;
}

static int
run(struct context *ctx, int argc, char **argv)
{
	struct init in = { 0 };
	const struct args_option opts[] = {
		{ 0, "chunk-size", ARGS_TEXT, &in.chunk_size, NULL },
		{ 0, "label", ARGS_TEXT, &in.label, NULL },
		{ 0, "parity", ARGS_FLAG, &in.params.parity, NULL },
		{ 0, "parity-layout", ARGS_TEXT, &in.layout, NULL },
		{ 0, "kdf-passes", ARGS_NUMBER, &in.kdf_passes, NULL },
		{ 0, "kdf-memory", ARGS_SIZE, &in.kdf_memory, NULL },
	};
	int rc;

	if ((rc = cmd_parse(ctx, opts, ARGS_COUNT(opts), &argc, argv)) ||
	    (rc = check(ctx, argc, argv, &in)))
		return rc;
	return create(ctx, &in);
}

const struct cmd cmd_init = {
	.name = "init",
	.summary = "make a new repository",
	.usage =
	    "Usage: varve init [OPTIONS] [REPO]\n"
	    "\n"
	    "Makes a repository in an empty or new directory: REPO, --repo or"
	    " VARVE_REPOSITORY.\n"
	    "Without an option that says otherwise it asks for a passphrase,"
	    " twice.\n"
	    "\n"
	    "A LOST KEY IS A LOST REPOSITORY.  Everything in it is encrypted;"
	    " without passphrase or\n"
	    "key file nobody can read it, its makers included.  Keep a copy"
	    " elsewhere:\n"
	    "'varve key export' prints one for paper.\n"
	    "\n"
	    "      --key-file F          open it with the key file F; F is made"
	    " if it is not there:\n"
	    "                            32 random bytes that only you may"
	    " read.  Best for hourly\n"
	    "                            jobs: no passphrase to type, no time"
	    " spent on it\n"
	    "      --password-file F     the passphrase is in F\n"
	    "      --password-command C  the passphrase is what C prints\n"
	    "      --insecure-no-encryption  whoever can read REPO can read"
	    " everything; every\n"
	    "                            command then needs this option\n"
	    "      --label TEXT          a note in the key slot, for"
	    " 'varve key list'\n"
	    "      --kdf-passes N        cost of the passphrase: passes of"
	    " Argon2id, 1 to 16\n"
	    "                            (default 3)\n"
	    "      --kdf-memory SIZE     ... and its memory, 8M to 4G (default"
	    " 256M)\n"
	    "      --chunk-size MIN:AVG:MAX  sizes in which files are cut"
	    " (default 16K:64K:256K)\n"
	    "      --parity              parity for the content of files, too:"
	    " 4 damaged blocks in\n"
	    "                            128 can be mended, for 3 % more bytes;"
	    " directories, index\n"
	    "                            and keys always have it\n"
	    "      --parity-layout PARITY/DATA/SIZE  ... PARITY blocks for DATA"
	    " blocks of SIZE\n"
	    "                            (default 4/128/64K)\n"
	    "\n"
	    "Examples:\n"
	    "  varve init /mnt/backup/app\n"
	    "  varve init -r /mnt/backup/app --key-file /root/app.key\n"
	    "  VARVE_PASSWORD_COMMAND='pass show app' varve init"
	    " /mnt/backup/app\n",
	.needs = 0,
	.run = run,
};
