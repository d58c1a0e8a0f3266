#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "cmd/choose.h"
#include "cmd/cmd.h"
#include "cmd/found.h"
#include "ops/verify.h"
#include "store/repo.h"
#include "sys/clock.h"

static int
progress(void *arg, const struct verify_progress *p)
{
	struct report *rp = arg;

	report_progress(rp, &(struct report_progress){ .verb = p->verb, .bytes = p->bytes,
	    .bytes_total = p->bytes_total, .errors = p->damaged });
	return OK;
}

/* ---- what was found ---- */

static const char *
why_not(enum provedb_why why)
{
	switch (why) {
	case PROVEDB_RAW:
		return "raw";
	case PROVEDB_FOREIGN:
		return "foreign";
	default:
		return "unproved";
	}
}

/* A database that was not checked. */
static void
note_database(struct report *rp, const struct provedb_note *n)
{
	json_t *obj;
	char id[CHOOSE_SHORT];

	if (rp->json) {
		obj = json_object();
		report_set_text(rp, obj, "type", "unchecked");
		report_set_name(rp, obj, "path", n->path, strlen(n->path));
		report_set_sid(rp, obj, "snapshot", &n->sid);
		report_set_text(rp, obj, "why", why_not(n->why));
		report_set_text(rp, obj, "reason", n->text);
		report_json(rp, obj);
		return;
	}
	if (rp->quiet && n->why != PROVEDB_UNPROVED)
		return;
	report_out(rp, "not checked: ");
	report_out_name(rp, n->path, strlen(n->path));
	report_out(rp, " (snapshot %s): ", choose_short(id, &n->sid));
	report_out_name(rp, n->text, strlen(n->text));
	report_out(rp, "\n");
}

struct count {
	const char *key;
	uint64_t n;
};

static void
summary_json(struct report *rp, const struct verify_result *res, bool with_databases)
{
	const struct count rows[] = {
		{ "damaged", res->damages.total }, { "snapshots", res->snapshots }, { "forgotten", res->forgotten },
		{ "chunks", res->chunks }, { "chunks_read", res->chunks_read }, { "packs", res->packs },
		{ "packs_read", res->packs_read }, { "index_files", res->index_files }, { "bytes_read", res->bytes_read },
		{ "bytes_decoded", res->bytes_decoded }, { "counted_high", res->counted_high }, { "leftovers", res->leftovers },
		{ "damaged_spare", res->spare },
	};
	const struct count databases[] = {
		{ "databases_checked", res->databases.checked }, { "databases_damaged", res->databases.damaged },
		{ "databases_raw", res->databases.raw }, { "databases_foreign", res->databases.foreign },
		{ "databases_unproved", res->databases.unproved }, { "databases_unreadable", res->databases.unreadable },
	};
	json_t *obj = json_object();

	report_set_text(rp, obj, "type", "summary");
	report_set_flag(rp, obj, "ok", res->damages.total == 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		report_set_number(rp, obj, rows[i].key, rows[i].n);
	for (size_t i = 0; with_databases && i < sizeof(databases) / sizeof(databases[0]); i++)
		report_set_number(rp, obj, databases[i].key, databases[i].n);
	if (res->proved_ns)
		report_set_time(rp, obj, "verified", res->proved_ns);
	report_set_seconds(rp, obj, "seconds", res->elapsed_ns);
	report_json(rp, obj);
}

static void
databases_text(struct report *rp, const struct provedb *d)
{
	report_out(rp, "%" PRIu64 " database%s opened and checked by SQLite: %" PRIu64 " damaged\n", d->checked,
	    d->checked == 1 ? "" : "s", d->damaged);
	if (d->raw + d->foreign + d->unproved + d->unreadable)
		report_out(rp, "not checked: %" PRIu64 " stored as found, %" PRIu64 " that need their own application, %" PRIu64
		    " without a result, %" PRIu64 " that cannot be read\n", d->raw, d->foreign, d->unproved, d->unreadable);
}

static void
summary_text(struct report *rp, const struct verify_result *res, bool with_databases)
{
	char size[TEXT_SIZE_MAX], time[TEXT_SIZE_MAX], since[TEXT_TIME_MAX];

	if (rp->quiet)
		return;
	report_out(rp, "%" PRIu64 " snapshot%s, %" PRIu64 " chunk%s in %" PRIu64 " pack%s: %" PRIu64 " chunk%s opened and hashed, "
	    "%s read in %s\n", res->snapshots, text_plural(res->snapshots), res->chunks, text_plural(res->chunks), res->packs,
	    text_plural(res->packs), res->chunks_read, text_plural(res->chunks_read),
	    text_size(size, res->bytes_read), text_duration(time, res->elapsed_ns));
	if (with_databases)
		databases_text(rp, &res->databases);
	if (res->counted_high)
		report_out(rp, "note: %" PRIu64 " chunks are counted more often than they are named: space that no prune gives back\n",
		    res->counted_high);
	if (res->spare)
		report_out(rp, res->spare == 1 ?
		    "note: %" PRIu64 " pack or frame is damaged or missing, but nothing in it is needed: the next prune drops it\n" :
		    "note: %" PRIu64 " packs or frames are damaged or missing, but nothing in them is needed: the next prune drops them\n",
		    res->spare);
	if (res->leftovers)
		report_out(rp, "note: %" PRIu64 " packs of an unfinished run; they are harmless\n", res->leftovers);
	if (res->proved_ns)
		report_out(rp, "every byte was read since %s\n", text_time(since, res->proved_ns));
	if (!res->damages.total)
		report_out(rp, "no damage found\n");
}

static void
show(struct context *ctx, const struct verify_options *o, const struct verify_result *res)
{
	struct report *rp = &ctx->report;

	found_show(rp, res, "damage", ctx->verbose > 0);
	for (size_t i = 0; i < res->databases.note_count; i++)
		note_database(rp, &res->databases.notes[i]);
	if (rp->json) {
		summary_json(rp, res, o->databases);
		return;
	}
	found_advice(rp, res);
	summary_text(rp, res, o->databases);
}

/* ---- what is asked ---- */

struct ask {
	struct choose choose;
	struct verify_options o;
	struct name_sid *sids;
};

/* "5%", "1/30". */
static int
set_read(void *out, const char *value)
{
	struct verify_options *o = out;
	char text[32], *slash, *rest;

	o->read = true;
	if (!value)
		return OK;
	snprintf(text, sizeof(text), "%s", value);
	slash = strchr(text, '/');
	if (slash)
		*slash = 0;
	else if (text[0] && text[strlen(text) - 1] == '%')
		text[strlen(text) - 1] = 0;
	else
		return fail(ERR_USAGE, "'%s' is no share: 5%% or 1/30, for example", value);
	rest = slash ? slash + 1 : NULL;
	o->slice.of = 100;
	if (text_parse_number(text, &o->slice.part) || (rest && text_parse_number(rest, &o->slice.of)) || !o->slice.part ||
	    o->slice.part > o->slice.of)
		return fail(ERR_USAGE, "'%s' is no share: 5%% or 1/30, for example", value);
	return OK;
}

static int
set_older(void *out, const char *value)
{
	struct verify_options *o = out;
	int64_t ns;
	int rc;

	if ((rc = text_parse_duration(value, &ns)))
		return rc;
	o->read = true;
	o->slice.older_ns = clock_wall_ns() - ns;
	return OK;
}

static int
find_snapshots(struct context *ctx, struct ask *a, int argc, char **argv)
{
	const struct snapshots_item *it;
	const char *path;
	int rc;

	if (argc <= 1)
		return a->choose.hosts.count || a->choose.paths.count || a->choose.tags.count ?
		    fail(ERR_USAGE, "--host, --path and --tag choose among snapshots: name one, 'latest' for example") :
		    cmd_open(ctx, ctx->cmd->needs);
	if ((rc = mem_new((void **)&a->sids, mem_array((size_t)argc, sizeof(*a->sids)))) ||
	    (rc = choose_open_named(ctx, &a->choose, argv + 1, (size_t)argc - 1)))
		return rc;
	for (int i = 1; i < argc; i++) {
		if ((rc = choose_one(&a->choose, argv[i], &it, &path)))
			return rc;
		if (path)
			return fail(ERR_USAGE, "'%s': a snapshot is verified as a whole", argv[i]);
		a->sids[a->o.snap_count++] = it->sid;
	}
	a->o.snaps = a->sids;
	if (a->o.slice.of || a->o.slice.older_ns)
		return fail(ERR_USAGE, "a part of the content is read of the whole repository: name no snapshot");
	return OK;
}

static int
run(struct context *ctx, int argc, char **argv)
{
	struct ask a = { .sids = NULL };
	const struct args_option opts[] = {
		CHOOSE_OPTIONS(&a.choose),
		{ 0, "read", ARGS_MAYBE, &a.o, set_read },
		{ 0, "databases", ARGS_FLAG, &a.o.databases, NULL },
		{ 0, "timeout", ARGS_NUMBER, &a.o.seconds, NULL },
		{ 0, "read-older-than", ARGS_CALL, &a.o, set_older },
	};
	struct verify_result res = { .items = NULL };
	int rc;

	if ((rc = cmd_parse(ctx, opts, ARGS_COUNT(opts), &argc, argv)) || (rc = find_snapshots(ctx, &a, argc, argv)))
		goto out;
	a.o.no_state = ctx->no_state;
	a.o.progress = progress;
	a.o.arg = &ctx->report;
	if ((rc = verify_run(ctx->repo, &a.o, &res)) == OK) {
		show(ctx, &a.o, &res);
		if (res.save_rc)
			report_info(&ctx->report, "what was verified could not be noted in the repository: %s", res.save_note);
		if (res.damages.total)
			rc = fail(ERR_CORRUPT, "%" PRIu64 " place%s damaged", res.damages.total, res.damages.total == 1 ? " is" : "s are");
		else if (res.databases.unproved)
			rc = fail(ERR_FAILED, "%" PRIu64 " database%s could not be checked to the end (--timeout)", res.databases.unproved,
			    res.databases.unproved == 1 ? "" : "s");
	}
	verify_clear(&res);
out:
	choose_close(&a.choose);
	free(a.sids);
	return rc;
}

const struct cmd cmd_verify = {
	.name = "verify",
	.aliases = "check",
	.summary = "is everything there, and is it what was stored?",
	.usage =
	    "Usage: varve verify [OPTIONS] [SNAP...]\n"
	    "\n"
	    "Looks at every key slot, snapshot record, index file and pack, opens every\n"
	    "directory, and counts all references anew.  With --read every byte of content is\n"
	    "decrypted, decompressed and hashed, too.  With SNAP only what these snapshots need.\n"
	    "What is damaged is named with the files and snapshots that need it; exit status 4.\n"
	    "\n"
	    "      --read            the content of all files as well, once each\n"
	    "      --read=5%, =1/30  this part of it, what was read longest ago first: so a slice\n"
	    "                        each night covers everything in turn\n"
	    "      --read-older-than TIME  what was not read since (30d, for example)\n"
	    "      --databases       open every different database where it lies: SQLite's\n"
	    "                        integrity_check; nothing is written to the disk.  Those\n"
	    "                        stored as found while they were locked are told apart\n"
	    "      --timeout SECONDS for one database (60, and one more for each MiB)\n"
	    CHOOSE_USAGE
	    "\n"
	    "Examples:\n"
	    "  varve verify\n"
	    "  varve verify --read\n"
	    "  varve verify --read=1/30\n"
	    "  varve verify --read latest\n"
	    "  varve verify --databases\n",
	.needs = CMD_REPO | CMD_KEY,
	.run = run,
};
