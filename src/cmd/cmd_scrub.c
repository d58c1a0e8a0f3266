#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "cmd/cmd.h"
#include "cmd/found.h"
#include "cmd/secret.h"
#include "ops/scrub.h"
#include "ops/verify.h"
#include "sys/clock.h"
#include "sys/io.h"

struct ask {
	struct context *ctx;
	struct name *packs;             /* that are or were damaged; owned */
	size_t pack_count, pack_cap;
	int rc;                         /* ERR_NOMEM once one could not be kept */
};

static void
keep_pack(struct ask *a, const char *path)
{
	const char *base = strrchr(path, '/');
	struct name n;

	if (strncmp(path, "packs/", 6) != 0 || !name_unhex(&n, base + 1) ||
	    (a->pack_count && name_cmp(&a->packs[a->pack_count - 1], &n) == 0))
		return;
	if (mem_grow((void **)&a->packs, &a->pack_cap, a->pack_count + 1, sizeof(n)))
		a->rc = ERR_NOMEM;
	else
		a->packs[a->pack_count++] = n;
}

static void
show_damage(void *arg, const struct scrub_damage *d)
{
	struct ask *a = arg;
	struct report *rp = &a->ctx->report;
	json_t *obj;

	if (d->state != SCRUB_REPAIRED)
		keep_pack(a, d->path);
	if (!rp->json) {
		report_clear(rp);
		if (d->state == SCRUB_REPAIRED)
			report_out(rp, "%s: repaired\n", d->path);
		else if (d->state == SCRUB_LOST)
			report_out(rp, "%s: cannot be repaired: %s\n", d->path, d->what);
		else if (d->len)
			report_out(rp, "%s: %s: bytes %ju to %ju\n", d->path, d->what, (uintmax_t)d->off,
			    (uintmax_t)(d->off + d->len - 1));
		else
			report_out(rp, "%s: %s\n", d->path, d->what);
		return;
	}
	obj = json_object();
	report_set_text(rp, obj, "type", d->state == SCRUB_BAD ? "damage" : "repair");
	report_set_text(rp, obj, "path", d->path);
	if (d->state != SCRUB_BAD)
		report_set_flag(rp, obj, "repaired", d->state == SCRUB_REPAIRED);
	if (d->state != SCRUB_REPAIRED)
		report_set_text(rp, obj, "what", d->what);
	if (d->len) {
		report_set_number(rp, obj, "offset", d->off);
		report_set_number(rp, obj, "length", d->len);
	}
	report_json(rp, obj);
}

static void
show_progress(void *arg, uint64_t done, uint64_t total, uint64_t bytes)
{
	struct report_progress p = { .verb = "scrubbing", .items = done, .items_total = total, .bytes = bytes };

	report_progress(&((struct ask *)arg)->ctx->report, &p);
}

static void
show_summary(struct report *rp, const struct scrub_stats *s, int64_t ns)
{
	uint64_t damaged = s->damaged + s->missing;
	const char *verdict = damaged == 0 ? "no damage found" : damaged == s->repaired ? "all damage repaired" : "damage found";
	char size[TEXT_SIZE_MAX];
	json_t *obj;

	if (rp->json) {
		obj = json_object();
		report_set_text(rp, obj, "type", "summary");
		report_set_flag(rp, obj, "ok", damaged == s->repaired);
		report_set_number(rp, obj, "damaged", damaged);
		report_set_number(rp, obj, "missing", s->missing);
		report_set_number(rp, obj, "repaired", s->repaired);
		report_set_number(rp, obj, "bad_blocks", s->bad_blocks);
		report_set_number(rp, obj, "objects", s->objects);
		report_set_number(rp, obj, "proven", s->proven);
		report_set_number(rp, obj, "packs", s->packs);
		report_set_number(rp, obj, "sidecars", s->sidecars);
		report_set_number(rp, obj, "bytes_read", s->bytes_read);
		report_set_seconds(rp, obj, "seconds", ns);
		report_json(rp, obj);
	} else if (!rp->quiet) {
		report_out(rp, "%ju object%s, %s read in %.1f s: %s\n", (uintmax_t)s->objects, s->objects == 1 ? "" : "s",
		    text_size(size, s->bytes_read), (double)ns / 1e9, verdict);
	}
}

/* ---- what could not be repaired ---- */

static bool
has_key(const struct context *ctx)
{
	struct secret_source src;

	secret_source_of(ctx, &src);
	return src.insecure || src.key_file || src.password_file || src.password_command ||
	    (src.environment && getenv("VARVE_PASSWORD"));
}

/* Which files that takes: with the key, by the same search as verify's.  FOUND, or OK when it could not be told. */
static int
name_files(struct ask *a)
{
	struct context *ctx = a->ctx;
	struct verify_options o = { .no_state = true, .packs = a->packs, .pack_count = a->pack_count };
	struct verify_result res = { .items = NULL };
	int rc = a->rc;

	if (!has_key(ctx))
		return OK;
	if (rc || (rc = cmd_open(ctx, CMD_REPO | CMD_KEY)) || (rc = verify_run(ctx->repo, &o, &res))) {
		if (rc != ERR_INTERRUPTED)
			report_talk(&ctx->report, "the files cannot be named: %s", err_text());
		verify_clear(&res);
		return rc == ERR_INTERRUPTED ? rc : OK;
	}
	found_show(&ctx->report, &res, "lost", ctx->verbose > 0);
	if (!ctx->json && !ctx->quiet) {
		if (!res.damages.total)
			report_out(&ctx->report, "nothing that a snapshot needs is lost\n");
		else if (a->pack_count)
			report_out(&ctx->report, "what to do: 'varve repair packs' saves what can be read, the next snapshot stores again "
			    "what is still there, 'varve repair snapshots' gives up the rest\n");
		else
			found_advice(&ctx->report, &res);
	}
	verify_clear(&res);
	return FOUND;
}

static int
verdict(struct ask *a, bool repair, uint64_t left, int named)
{
	const char *are = left == 1 ? " is" : "s are";

	if (!repair)
		return fail(ERR_CORRUPT, "%ju object%s damaged or missing; 'varve scrub --repair' mends what has parity", (uintmax_t)left, are);
	if (named == FOUND)
		return fail(ERR_CORRUPT, "%ju object%s damaged or missing and cannot be repaired; a restore brings back everything else",
		    (uintmax_t)left, are);
	return fail(ERR_CORRUPT, "%ju object%s damaged or missing and cannot be repaired; with a key, 'varve verify --read --repo %s' names the "
	    "files that are lost; a restore brings back everything else", (uintmax_t)left, are, a->ctx->repo_path);
}

static int
scrub(struct ask *a, struct io *io, uint64_t jobs, bool repair)
{
	struct scrub_options o = { .jobs = (unsigned)jobs, .repair = repair, .damage = show_damage, .progress = show_progress, .arg = a };
	int64_t begin = clock_steady_ns(), took;
	struct scrub_stats s;
	int rc = scrub_run(io, &o, &s), named = OK;

	took = clock_steady_ns() - begin;
	report_clear(&a->ctx->report);
	if (rc == ERR_CORRUPT && repair && (named = name_files(a)) < 0)
		return named;
	if (rc == OK || rc == ERR_CORRUPT)
		show_summary(&a->ctx->report, &s, took);
	return rc == ERR_CORRUPT ? verdict(a, repair, s.damaged + s.missing - s.repaired, named) : rc;
}

static int
run(struct context *ctx, int argc, char **argv)
{
	struct ask a = { .ctx = ctx };
	uint64_t jobs = 0;
	bool repair = false;
	const struct args_option opts[] = {
		{ 'j', "jobs", ARGS_NUMBER, &jobs, NULL },
		{ 0, "repair", ARGS_FLAG, &repair, NULL },
	};
	struct io *io;
	int rc;

	if ((rc = cmd_parse(ctx, opts, ARGS_COUNT(opts), &argc, argv)) || (rc = cmd_operands(argc, argv, 0, 0, "")))
		return rc;
	if (!ctx->repo_path)
		return fail(ERR_USAGE, "no repository given; use --repo DIR or set VARVE_REPOSITORY");
	if (jobs > 1024)
		return fail(ERR_USAGE, "--jobs is at most 1024");
	rc = io_posix_new(ctx->repo_path, false, &io);
	if (rc == OK) {
		rc = scrub(&a, io, jobs, repair);
		io_free(io);
		free(a.packs);
	}
	if (rc == ERR_ABSENT || rc == ERR_NOREPO || (rc == ERR_IO && err_errno() == ENOTDIR))
		return fail(ERR_NOREPO, "no repository at '%s'", ctx->repo_path);
	return rc;
}

const struct cmd cmd_scrub = {
	.name = "scrub",
	.summary = "find damage without a key, and mend it from parity",
	.usage =
	    "Usage: varve scrub [OPTIONS]\n"
	    "\n"
	    "Reads every object and compares it with its checksums; says which bytes are bad\n"
	    "and what is missing.  Needs no key: any machine that holds the files can do it.\n"
	    "\n"
	    "      --repair          rebuild what is damaged or missing from parity; what it\n"
	    "                        replaces is kept in damaged/ of the repository; if that\n"
	    "                        cannot be and a key is given, the files that are lost are\n"
	    "                        named\n"
	    "  -j, --jobs N          read with so many threads (default: one per core)\n"
	    "\n"
	    "Examples:\n"
	    "  varve scrub\n"
	    "  varve scrub --repair\n"
	    "  varve scrub -r /mnt/copy/app --json\n",
	.needs = 0,
	.run = run,
};
