#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "cmd/choose.h"
#include "cmd/cmd.h"
#include "ops/restore.h"
#include "source/filter.h"
#include "sys/confine.h"

struct restore_cmd {
	struct report *rp;
	const char *target;
	bool verbose, dry_run;
};

static void
progress(void *arg, const struct restore_progress *p)
{
	struct restore_cmd *c = arg;

	report_progress(c->rp, &(struct report_progress){
		.verb = "restoring", .items = p->files, .items_total = p->files_total,
		    .bytes = p->bytes,
		.bytes_total = p->bytes_total, .errors = p->errors, .path = p->path,
	});
}

static void
problem(void *arg, const char *path, const char *text)
{
	struct restore_cmd *c = arg;
	json_t *obj;

	report_talk(c->rp, "cannot restore '%s': %s", path, text);
	if (!c->rp->json)
		return;
	obj = json_object();
	report_set_text(c->rp, obj, "type", "error");
	report_set_text(c->rp, obj, "path", path);
	report_set_text(c->rp, obj, "message", text);
	report_json(c->rp, obj);
}

static const char *
action(char what)
{
	switch (what) {
	case '+':
		return "created";
	case 'M':
		return "rewritten";
	case 'm':
		return "metadata";
	case 'U':
		return "unchanged";
	case '-':
		return "deleted";
	default:
		return "skipped";
	}
}

/* The target and a path beneath it.  Owns: *b: caller clears. */
static int
on_disk(const struct restore_cmd *c, const char *beneath, struct mem_buf *b)
{
	size_t len = strlen(c->target);
	int rc;

	while (len > 0 && c->target[len - 1] == '/' && (*beneath || len > 1))
		len--;
	if ((rc = mem_buf_add(b, c->target, len)))
		return rc;
	return mem_buf_add(b, beneath, strlen(beneath) + 1);
}

/*
 * A dry run tells what would change; --verbose tells all.  What is deleted has no path but the one
 * on the disk.
 */
static void
item(void *arg, char what, const char *path, const char *beneath, uint64_t size)
{
	struct restore_cmd *c = arg;
	struct mem_buf b = { 0 };
	const char *target;
	json_t *obj;

	if (!c->verbose && (!c->dry_run || what == 'U'))
		return;
	target = on_disk(c, beneath, &b) == OK ? (const char *)b.p : path;
	if (what == '-')
		path = target;
	if (c->rp->json) {
		obj = json_object();
		report_set_text(c->rp, obj, "type", "item");
		report_set_text(c->rp, obj, "action", action(what));
		report_set_text(c->rp, obj, "path", path);
		report_set_text(c->rp, obj, "target", target);
		report_set_number(c->rp, obj, "size", size);
		report_json(c->rp, obj);
	} else if (!c->rp->quiet) {
		report_out(c->rp, "%c ", what);
		report_out_name(c->rp, path, strlen(path));
		report_out(c->rp, "\n");
	}
	mem_buf_clear(&b);
}

static void
summary_json(struct report *rp, const struct restore_cmd *c, const struct snapshots_item *snap,
    const struct restore_result *r)
{
	json_t *obj = json_object();

	report_set_text(rp, obj, "type", "summary");
	report_set_sid(rp, obj, "snapshot", &snap->sid);
	report_set_flag(rp, obj, "dry_run", c->dry_run);
	report_set_number(rp, obj, "files_restored", r->files_restored);
	report_set_number(rp, obj, "files_unchanged", r->files_unchanged);
	report_set_number(rp, obj, "files_skipped", r->files_skipped);
	report_set_number(rp, obj, "files_verified", r->verified);
	report_set_number(rp, obj, "dirs", r->dirs);
	report_set_number(rp, obj, "others", r->others);
	report_set_number(rp, obj, "deleted", r->deleted);
	report_set_number(rp, obj, "devices_skipped", r->devices);
	report_set_number(rp, obj, "mounts_skipped", r->mounts);
	report_set_number(rp, obj, "databases_parted", r->parted);
	report_set_number(rp, obj, "bytes_written", r->bytes_written);
	report_set_number(rp, obj, "bytes_total", r->bytes_total);
	report_set_number(rp, obj, "damaged", r->damaged);
	report_set_number(rp, obj, "errors", r->errors);
	report_set_seconds(rp, obj, "seconds", r->elapsed_ns);
	report_json(rp, obj);
}

static void
summary_text(struct report *rp, const struct restore_cmd *c, const struct snapshots_item *snap,
    const char *target,
    const struct restore_result *r)
{
	char id[CHOOSE_SHORT], written[TEXT_SIZE_MAX], total[TEXT_SIZE_MAX], took[TEXT_SIZE_MAX];

	if (rp->quiet)
		return;
	report_out(rp, "snapshot %s %s ", choose_short(id, &snap->sid), c->dry_run ?
	    "would be restored to" : "restored to");
	report_out_name(rp, target, strlen(target));
	report_out(rp,
	    "\nfiles: %ju %s, %ju unchanged, %ju skipped; directories: %ju; "
	    "others: %ju; deleted: %ju\n",
	    (uintmax_t)r->files_restored, c->dry_run ? "to write" : "written",
	    (uintmax_t)r->files_unchanged,
	    (uintmax_t)r->files_skipped, (uintmax_t)r->dirs, (uintmax_t)r->others,
	    (uintmax_t)r->deleted);
	if (r->verified)
		report_out(rp, "verified: %ju file%s\n", (uintmax_t)r->verified, text_plural(r->verified));
	if (!c->dry_run)
		report_out(rp, "wrote %s of %s in %s\n", text_size(written, r->bytes_written),
		    text_size(total, r->bytes_total), text_duration(took, r->elapsed_ns));
}

/* Exit 3 says that a snapshot was made; a target that refused something is a failure. */
static int
result(int rc, const struct restore_result *r)
{
	if (rc == ERR_PARTIAL)
		return fail(ERR_FAILED, "%ju thing%s could not be restored; all else was",
		    (uintmax_t)r->errors,
		    r->errors == 1 ? "" : "s");
	if ((rc == ERR_CORRUPT || rc == ERR_AUTH) && r->damaged)
		return fail(ERR_CORRUPT,
		    "%ju file%s damaged in the repository and not restored; all else was",
		    (uintmax_t)r->damaged, r->damaged == 1 ? " is" : "s are");
	return rc;
}

static int
set_overwrite(void *out, const char *value)
{
	static const char *const names[] = { "always", "if-changed", "if-newer", "never" };

	for (unsigned i = 0; i < ARGS_COUNT(names); i++)
		if (strcmp(value, names[i]) == 0) {
			*(enum restore_overwrite *)out = (enum restore_overwrite)i;
			return OK;
		}
	return fail(ERR_USAGE, "'%s' is none of always, if-changed, if-newer, never", value);
}

struct patterns {
	struct filter *filter;          /* owned */
	bool excludes, includes;
};

static int
exclude(void *arg, const char *value)
{
	struct patterns *p = arg;

	p->excludes = true;
	return filter_add(p->filter, value, false);
}

static int
include(void *arg, const char *value)
{
	struct patterns *p = arg;

	p->includes = true;
	return filter_add(p->filter, value, true);
}

static int
restore(struct context *ctx, struct choose *c, struct restore_options *o, char **operands)
{
	struct restore_cmd rc_arg = { &ctx->report, o->target, ctx->verbose > 0, o->dry_run };
	const struct snapshots_item *snap;
	struct restore_result res = { 0 };
	int rc;

	if ((rc = choose_open(ctx, c, 0)) || (rc = choose_one(c, operands[0], &snap, &o->subpath)))
		return rc;
	o->progress = progress;
	o->problem = problem;
	o->item = item;
	o->arg = &rc_arg;
	confine_writes((const char *const[]){ o->target, ctx->repo_path }, 2);
	rc = restore_run(ctx->repo, snap, o, &res);
	if (rc == OK || rc == ERR_PARTIAL || ((rc == ERR_CORRUPT || rc == ERR_AUTH) && (res.damaged || res.dirs))) {
		if (ctx->json)
			summary_json(&ctx->report, &rc_arg, snap, &res);
		else
			summary_text(&ctx->report, &rc_arg, snap, o->target, &res);
		if (res.devices)
			report_info(&ctx->report, "%ju device node%s left out; --devices makes them",
			    (uintmax_t)res.devices, res.devices == 1 ? "" : "s");
		if (res.mounts)
			report_info(&ctx->report, "%ju mount point%s left as found: the snapshot has nothing in there",
			    (uintmax_t)res.mounts, res.mounts == 1 ? "" : "s");
		if (res.parted)
			report_talk(&ctx->report, "%ju database%s, stored as found, without the WAL or journal beside %s in the snapshot, in"
			    " which changes may be: restore them together", (uintmax_t)res.parted, res.parted == 1 ? "" : "s",
			    res.parted == 1 ? "it" : "them");
		if (o->filter && rc == OK && !(res.files_restored | res.files_unchanged | res.files_skipped | res.others))
			report_talk(&ctx->report, "no file matched: see --exclude and --include");
	}
	return choose_result(c, choose_missing(c, snap, result(rc, &res)), false);
}

static int
run(struct context *ctx, int argc, char **argv)
{
	struct choose c = { .open = false };
	struct restore_options o = { .overwrite = RESTORE_ALWAYS };
	struct patterns p = { .filter = NULL };
	int rc = filter_new(&p.filter);
	const struct args_option opts[] = {
		CHOOSE_OPTIONS(&c),
		{ 't', "target", ARGS_TEXT, &o.target, NULL },
		{ 0, "overwrite", ARGS_CALL, &o.overwrite, set_overwrite },
		{ 0, "delete", ARGS_FLAG, &o.delete_extra, NULL },
		{ 'n', "dry-run", ARGS_FLAG, &o.dry_run, NULL },
		{ 0, "verify", ARGS_FLAG, &o.verify, NULL },
		{ 0, "check-databases", ARGS_FLAG, &o.check_databases, NULL },
		{ 0, "force", ARGS_FLAG, &o.force, NULL },
		{ 'e', "exclude", ARGS_CALL, &p, exclude },
		{ 'i', "include", ARGS_CALL, &p, include },
		{ 0, "devices", ARGS_FLAG, &o.devices, NULL },
		{ 0, "numeric-ids", ARGS_FLAG, &o.numeric_owner, NULL },
		{ 0, "sparse", ARGS_FLAG, &o.sparse, NULL },
	};

	if (rc || (rc = cmd_parse(ctx, opts, ARGS_COUNT(opts), &argc, argv)) ||
	    (rc = cmd_operands(argc, argv, 1, -1, "SNAP")))
		goto out;
	if (!o.target || !*o.target) {
		rc = fail(ERR_USAGE, "--target DIR is missing ('--target /' restores in place)");
		goto out;
	}
	if (p.includes && !p.excludes) {
		rc = fail(ERR_USAGE, "--include takes back what an earlier --exclude left out; to restore only"
		    " some things, name them (PATH...)");
		goto out;
	}
	o.paths = (const char *const *)argv + 2;
	o.path_count = (size_t)argc - 2;
	o.filter = filter_is_empty(p.filter) ? NULL : p.filter;
	rc = restore(ctx, &c, &o, argv + 1);
out:
	choose_close(&c);
	filter_free(p.filter);
	return rc;
}

const struct cmd cmd_restore = {
	.name = "restore",
	.summary = "bring back a snapshot, or parts of it",
	.usage =
	    "Usage: varve restore [OPTIONS] SNAP[:PATH] [PATH...] --target DIR\n"
	    "\n"
	    "Everything, or only these paths; with SNAP:PATH that directory becomes DIR\n"
	    "itself.  What is in DIR already and equal is not touched, what differs is\n"
	    "replaced when its new content is complete, what the snapshot does not have\n"
	    "stays.  Damaged files are named and left out (exit status 4).\n"
	    "\n"
	    "  -t, --target DIR      where to; made if it is not there; '/' restores in\n"
	    "                        place\n"
	    "      --overwrite HOW   files that are there: always (default; compares\n"
	    "                        content), if-changed (equal size and time count as\n"
	    "                        equal), if-newer (only older ones), never; repeat\n"
	    "                        a restore that was cut short with always, else\n"
	    "                        directories that it made may lack mode, owner, times\n"
	    "      --delete          remove what the snapshot does not have in the restored\n"
	    "                        directories\n"
	    "  -n, --dry-run         change nothing; say what would change: + new, M\n"
	    "                        content, m metadata, - deleted\n"
	    "      --verify          read everything back and compare\n"
	    "      --check-databases run SQLite's integrity_check on each database before it\n"
	    "                        takes its place\n"
	    "      --force           replace databases even while a process has them open;\n"
	    "                        that process goes on with the old one\n"
	    "  -e, --exclude PATTERN leave out (as gitignore; repeatable); with a slash it\n"
	    "                        starts at the directory restored: the snapshot's path,\n"
	    "                        or PATH of SNAP:PATH\n"
	    "  -i, --include PATTERN take back what an earlier --exclude left out\n"
	    "      --devices         make device nodes (root)\n"
	    "      --numeric-ids     owners by number, not by name\n"
	    "      --sparse          holes also where the files had written zeros\n"
	    "  -v, --verbose         name every file\n"
	    CHOOSE_USAGE
	    "\n"
	    "Examples:\n"
	    "  varve restore latest --target /tmp/out\n"
	    "  varve restore @yesterday:/srv/app --target /srv/app --delete --dry-run\n"
	    "  varve restore 1a2b3c4d /etc/fstab /etc/hosts --target /tmp/out --verify\n",
	.needs = CMD_REPO | CMD_KEY,
	.run = run,
};
