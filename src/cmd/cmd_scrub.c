#include <errno.h>
#include <stdio.h>

#include "base/err.h"
#include "base/text.h"
#include "cmd/cmd.h"
#include "ops/scrub.h"
#include "sys/clock.h"
#include "sys/io.h"

static void
show_damage(void *arg, const struct scrub_damage *d)
{
	struct report *rp = &((struct context *)arg)->report;
	json_t *obj;

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

	report_progress(&((struct context *)arg)->report, &p);
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

static int
scrub(struct context *ctx, struct io *io, uint64_t jobs, bool repair)
{
	struct scrub_options o = { .jobs = (unsigned)jobs, .repair = repair, .damage = show_damage, .progress = show_progress, .arg = ctx };
	int64_t begin = clock_steady_ns();
	struct scrub_stats s;
	uint64_t left;
	int rc = scrub_run(io, &o, &s);

	left = s.damaged + s.missing - s.repaired;
	report_clear(&ctx->report);
	if (rc == OK || rc == ERR_CORRUPT)
		show_summary(&ctx->report, &s, clock_steady_ns() - begin);
	if (rc == ERR_CORRUPT)
		return fail(ERR_CORRUPT, "%ju object%s damaged or missing; %s", (uintmax_t)left, left == 1 ? " is" : "s are",
		    repair ? "a restore brings back everything else, 'varve verify --read' says what is lost and what can be done" :
		    "'varve scrub --repair' mends what has parity");
	return rc;
}

static int
run(struct context *ctx, int argc, char **argv)
{
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
		rc = scrub(ctx, io, jobs, repair);
		io_free(io);
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
	    "                        replaces is kept in damaged/ of the repository\n"
	    "  -j, --jobs N          read with so many threads (default: one per core)\n"
	    "\n"
	    "Examples:\n"
	    "  varve scrub\n"
	    "  varve scrub --repair\n"
	    "  varve scrub -r /mnt/copy/app --json\n",
	.needs = 0,
	.run = run,
};
