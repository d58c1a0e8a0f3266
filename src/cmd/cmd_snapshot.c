#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "cmd/choose.h"
#include "cmd/cmd.h"
#include "cmd/lookback.h"
#include "ops/heads.h"
#include "cmd/reclaim.h"
#include "format/treenode.h"
#include "ops/select.h"
#include "ops/snapshot.h"
#include "source/dbread.h"
#include "source/filter.h"
#include "sys/clock.h"
#include "sys/confine.h"
#include "sys/state.h"

#define JOBS_MAX 256
#define LEVEL_MAX 22

struct snapshot_cmd {
	struct context *ctx;
	struct report *rp;
	struct snapshot_options o;
	struct filter *filter, *sqlite_exclude; /* owned */
	bool no_sqlite;
	struct args_list tags, if_present;
	struct args_list tag_list;      /* tags at their commas apart; each owned */
	uint64_t jobs, level;
	const char *time;
	bool prune_after;
	uint64_t changed;               /* files that changed while they were read */
	struct reclaim reclaim;
};

static void
progress(void *arg, const struct snapshot_progress *p)
{
	struct snapshot_cmd *c = arg;

	report_progress(c->rp, &(struct report_progress){
		.verb = "storing", .items = p->files, .bytes = p->bytes_total, .errors = p->errors,
		    .path = p->path,
	});
}

static void
problem(void *arg, const char *path, const char *text)
{
	struct snapshot_cmd *c = arg;
	json_t *obj;

	c->changed += strcmp(text, SNAPSHOT_CHANGED) == 0;
	report_talk(c->rp, "'%s': %s", path, text);
	if (!c->rp->json)
		return;
	obj = json_object();
	report_set_text(c->rp, obj, "type", "error");
	report_set_text(c->rp, obj, "path", path);
	report_set_text(c->rp, obj, "message", text);
	report_json(c->rp, obj);
}

static void
item(void *arg, char what, const char *path, uint64_t size)
{
	struct snapshot_cmd *c = arg;
	json_t *obj;

	if (c->rp->json) {
		obj = json_object();
		report_set_text(c->rp, obj, "type", "item");
		report_set_text(c->rp, obj, "action", what == '+' ? "new" : what == 'M' ?
		    "changed" : "unmodified");
		report_set_text(c->rp, obj, "path", path);
		report_set_number(c->rp, obj, "size", size);
		report_json(c->rp, obj);
	} else {
		report_out(c->rp, "%c ", what);
		report_out_name(c->rp, path, strlen(path));
		report_out(c->rp, "\n");
	}
}

static void
database(void *arg, const char *path, bool captured, const struct dbread_result *r)
{
	struct snapshot_cmd *c = arg;
	json_t *obj;

	if (!c->rp->json)
		return;
	obj = json_object();
	report_set_text(c->rp, obj, "type", "database");
	report_set_text(c->rp, obj, "path", path);
	report_set_flag(c->rp, obj, "captured", captured);
	report_set_flag(c->rp, obj, "one_instant", captured && r->one_instant);
	report_set_number(c->rp, obj, "pages", r->pages);
	report_set_number(c->rp, obj, "page_size", r->page_size);
	report_set_seconds(c->rp, obj, "spread", (int64_t)r->spread_ns);
	report_set_number(c->rp, obj, "wal_growth", r->wal_growth);
	report_set_seconds(c->rp, obj, "writers_waited", (int64_t)r->held_ns);
	if (!captured)
		report_set_text(c->rp, obj, "message", r->text);
	report_json(c->rp, obj);
}

static void
summary_json(const struct snapshot_cmd *c, const struct snapshot_result *r)
{
	static const struct {
		const char *key;
		enum snaprec_stat stat;
	} rows[] = {
		{ "files", SNAPREC_FILES }, { "dirs", SNAPREC_DIRS }, { "others", SNAPREC_OTHERS },
		{ "files_new", SNAPREC_FILES_NEW }, { "files_changed", SNAPREC_FILES_CHANGED },
		{ "files_unmodified", SNAPREC_FILES_UNMODIFIED },
		    { "databases", SNAPREC_DATABASES },
		{ "bytes_read", SNAPREC_BYTES_READ }, { "bytes_total", SNAPREC_BYTES_TOTAL },
		{ "bytes_new", SNAPREC_BYTES_NEW },
	};
	struct report *rp = c->rp;
	json_t *obj = json_object();

	report_set_text(rp, obj, "type", "summary");
	report_set_sid(rp, obj, "snapshot", &r->sid);
	report_set_sid(rp, obj, "parent", &r->parent);
	for (size_t i = 0; i < ARGS_COUNT(rows); i++)
		report_set_number(rp, obj, rows[i].key, r->stats[rows[i].stat]);
	if (c->o.dry_run)
		report_set_text(rp, obj, "bytes_stored", NULL);
	else
		report_set_number(rp, obj, "bytes_stored", r->stats[SNAPREC_BYTES_STORED]);
	report_set_seconds(rp, obj, "seconds", r->elapsed_ns);
	report_set_number(rp, obj, "errors", r->stats[SNAPREC_ERRORS]);
	report_set_flag(rp, obj, "dry_run", c->o.dry_run);
	report_set_flag(rp, obj, "unchanged", r->unchanged);
	report_json(rp, obj);
}

static void
summary_text(const struct snapshot_cmd *c, const struct snapshot_result *r)
{
	char id[CHOOSE_SHORT], a[TEXT_SIZE_MAX], b[TEXT_SIZE_MAX], took[TEXT_SIZE_MAX];
	struct report *rp = c->rp;
	const uint64_t *s = r->stats;

	if (rp->quiet)
		return;
	if (c->o.dry_run)
		report_out(rp, "dry run: no snapshot made");
	else if (r->unchanged)
		report_out(rp, "nothing changed: no snapshot made");
	else
		report_out(rp, "snapshot %s made", choose_short(id, &r->sid));
	if (!name_sid_is_zero(&r->parent))
		report_out(rp, " (parent %s)", choose_short(id, &r->parent));
	report_out(rp, "\nfiles: %ju new, %ju changed, %ju unmodified; directories: %ju",
	    (uintmax_t)s[SNAPREC_FILES_NEW],
	    (uintmax_t)s[SNAPREC_FILES_CHANGED], (uintmax_t)s[SNAPREC_FILES_UNMODIFIED],
	    (uintmax_t)s[SNAPREC_DIRS]);
	if (s[SNAPREC_OTHERS])
		report_out(rp, "; others: %ju", (uintmax_t)s[SNAPREC_OTHERS]);
	if (s[SNAPREC_DATABASES])
		report_out(rp, "; databases: %ju", (uintmax_t)s[SNAPREC_DATABASES]);
	report_out(rp, "\nread: %s of %s in %s\n", text_size(a, s[SNAPREC_BYTES_READ]),
	    text_size(b, s[SNAPREC_BYTES_TOTAL]),
	    text_duration(took, r->elapsed_ns));
	text_size(a, s[SNAPREC_BYTES_NEW]);
	if (c->o.dry_run)
		report_out(rp, "would add about %s (before compression)\n", a);
	else
		report_out(rp, "added: %s, stored in %s\n", a, text_size(b, s[SNAPREC_BYTES_STORED]));
}

static int
exclude(void *filter, const char *value)
{
	return filter_add(filter, value, false);
}

static int
include(void *filter, const char *value)
{
	return filter_add(filter, value, true);
}

static int
sqlite_exclude(void *filter, const char *value)
{
	return filter_add(filter, value, false);
}

static int
exclude_file(void *filter, const char *value)
{
	return filter_add_file(filter, value, false);
}

/* "--tag a,b --tag c" are three tags. */
static int
split_tags(struct snapshot_cmd *c)
{
	int rc = OK;

	for (size_t i = 0; rc == OK && i < c->tags.count; i++)
		for (const char *s = c->tags.v[i]; rc == OK && *s;) {
			size_t n = strcspn(s, ",");
			char *tag = NULL;

			if (n && (rc = mem_dup_bytes((uint8_t **)&tag, s, n)) == OK &&
			    (rc = args_list_add(&c->tag_list, tag)))
				free(tag);
			s += n + (s[n] == ',');
		}
	return rc;
}

/* What the options say about the source; operands are the paths. */
static int
check_source(struct snapshot_cmd *c, int argc)
{
	bool pipe = c->o.from_stdin || c->o.command;

	if (c->o.from_stdin && c->o.command)
		return fail(ERR_USAGE, "--stdin and --command exclude each other");
	if (pipe && argc > 1)
		return fail(ERR_USAGE, "%s takes no paths", c->o.command ? "--command" : "--stdin");
	if (!pipe && argc == 1)
		return fail(ERR_USAGE, "PATH is missing");
	if (c->o.name && !pipe)
		return fail(ERR_USAGE, "--name belongs to --stdin or --command");
	if (c->o.name && !treenode_name_ok((const uint8_t *)c->o.name, strlen(c->o.name)))
		return fail(ERR_USAGE, "--name '%s' is not a file name", c->o.name);
	return OK;
}

static int
check(struct snapshot_cmd *c, int argc, char **argv)
{
	int rc;

	if ((rc = check_source(c, argc)) || (rc = split_tags(c)) || (rc = keep_request(&c->reclaim.keep)))
		return rc;
	if (c->reclaim.keep.given && !c->prune_after)
		return fail(ERR_USAGE, "the --keep options belong to --prune-after");
	if (c->prune_after && c->o.dry_run)
		return fail(ERR_USAGE, "--prune-after and --dry-run exclude each other");
	if (c->jobs > JOBS_MAX)
		return fail(ERR_USAGE, "--jobs is at most %d", JOBS_MAX);
	if (c->level > LEVEL_MAX)
		return fail(ERR_USAGE, "--compression-level is at most %d", LEVEL_MAX);
	if (c->time && (rc = select_parse_time(c->time, clock_wall_ns(), &c->o.time_ns)))
		return rc;
	c->o.paths = (const char *const *)argv + 1;
	c->o.path_count = (size_t)argc - 1;
	c->o.tags = c->tag_list.v;
	c->o.tag_count = c->tag_list.count;
	c->o.if_present = c->if_present.v;
	c->o.if_present_count = c->if_present.count;
	c->o.filter = filter_is_empty(c->filter) ? NULL : c->filter;
	c->o.helper = c->no_sqlite ? NULL : CMD_SELF;
	c->o.sqlite_exclude = filter_is_empty(c->sqlite_exclude) ? NULL : c->sqlite_exclude;
	c->o.jobs = (unsigned)c->jobs;
	c->o.level = (int)c->level;
	return OK;
}

/* Rules are for snapshots like the one just made; what is forgotten already goes in any case. */
static int
prune_after(struct context *ctx, struct snapshot_cmd *c, const struct snapshot_result *res)
{
	c->reclaim.prune = true;
	c->reclaim.like = name_sid_is_zero(&res->sid) ? &res->parent : &res->sid;
	return reclaim_run(ctx, &c->reclaim, NULL, 0);
}

/* Of the errors so many are files that changed: those are in the snapshot. */
static int
partial(uint64_t errors, uint64_t changed)
{
	const char *s = changed == 1 ? "" : "s";

	if (changed == 0)
		return fail(ERR_PARTIAL, "%ju thing%s could not be read; the snapshot has everything else",
		    (uintmax_t)errors, errors == 1 ? "" : "s");
	if (errors <= changed)
		return fail(ERR_PARTIAL, "%ju file%s changed while being read, stored as found; the snapshot has"
		    " everything", (uintmax_t)changed, s);
	return fail(ERR_PARTIAL, "%ju file%s changed while being read, stored as found; %ju more could not be"
	    " read; the snapshot has everything else", (uintmax_t)changed, s, (uintmax_t)(errors - changed));
}

static void
records(void *arg, const struct snapshots *all)
{
	lookback_warn(((struct snapshot_cmd *)arg)->ctx, all);
}

/*
 * Whoever wrote what is read now, he can make us write to the repository and to what is remembered of it only, and, where there may be
 * databases, beside those: a reader of a live one takes its lock in the -shm.  A command of the user's own does what it likes.
 */
static void
confine(struct context *ctx, struct snapshot_cmd *c)
{
	char state[STATE_PATH];
	const char **paths;

	if (c->o.command || mem_new((void **)&paths, mem_array(c->o.path_count + 2, sizeof(*paths))))
		return;
	for (size_t i = 0; c->o.helper && i < c->o.path_count; i++)
		paths[i] = c->o.paths[i];
	paths[c->o.path_count] = ctx->repo_path;
	if (!ctx->no_state && state_directory(state))
		paths[c->o.path_count + 1] = state;
	confine_writes(paths, c->o.path_count + 2);
	free(paths);
}

static int
snapshot(struct context *ctx, struct snapshot_cmd *c)
{
	struct snapshot_result res = { .unchanged = false };
	int rc, rc2;

	if ((rc = cmd_open(ctx, ctx->cmd->needs)))
		return rc;
	c->o.progress = progress;
	c->o.problem = problem;
	c->o.database = database;
	c->o.item = ctx->verbose && !ctx->quiet ? item : NULL;
	c->o.records = records;
	c->o.arg = c;
	c->ctx = ctx;
	confine(ctx, c);
	rc = snapshot_run(ctx->repo, &c->o, &res);
	if (rc != OK && rc != ERR_PARTIAL)
		return rc;
	if (!name_sid_is_zero(&res.sid))
		lookback_made(ctx, &(struct heads_writer){ .writer = res.writer, .sid = res.sid, .sequence = res.sequence });
	if (ctx->json)
		summary_json(c, &res);
	else
		summary_text(c, &res);
	if (res.settle_rc)
		report_talk(c->rp, "warning: the snapshot is safe, but folding the index failed: %s", res.settle_note);
	if (c->prune_after && (rc2 = prune_after(ctx, c, &res)))
		return rc2;
	if (rc == ERR_PARTIAL)
		return partial(res.stats[SNAPREC_ERRORS], c->changed);
	return OK;
}

static int
run(struct context *ctx, int argc, char **argv)
{
	struct snapshot_cmd c = { .rp = &ctx->report, .reclaim = { .prune = true } };
	int rc = filter_new(&c.filter), rc2 = filter_new(&c.sqlite_exclude);
	const struct args_option opts[] = {
		{ 'e', "exclude", ARGS_CALL, c.filter, exclude },
		{ 'i', "include", ARGS_CALL, c.filter, include },
		{ 0, "exclude-file", ARGS_CALL, c.filter, exclude_file },
		{ 0, "exclude-caches", ARGS_FLAG, &c.o.exclude_caches, NULL },
		{ 0, "exclude-if-present", ARGS_LIST, &c.if_present, NULL },
		{ 0, "exclude-larger-than", ARGS_SIZE, &c.o.larger_than, NULL },
		{ 'x', "one-file-system", ARGS_FLAG, &c.o.one_file_system, NULL },
		{ 0, "no-sqlite", ARGS_FLAG, &c.no_sqlite, NULL },
		{ 0, "sqlite-exclude", ARGS_CALL, c.sqlite_exclude, sqlite_exclude },
		{ 0, "sqlite-wal-limit", ARGS_SIZE, &c.o.wal_limit, NULL },
		{ 0, "stdin", ARGS_FLAG, &c.o.from_stdin, NULL },
		{ 0, "command", ARGS_TEXT, &c.o.command, NULL },
		{ 0, "name", ARGS_TEXT, &c.o.name, NULL },
		{ 0, "tag", ARGS_LIST, &c.tags, NULL },
		{ 'H', "host", ARGS_TEXT, &c.o.host, NULL },
		{ 0, "parent", ARGS_TEXT, &c.o.parent, NULL },
		{ 0, "rehash", ARGS_FLAG, &c.o.rehash, NULL },
		{ 0, "paranoid", ARGS_FLAG, &c.o.paranoid, NULL },
		{ 0, "skip-if-unchanged", ARGS_FLAG, &c.o.skip_if_unchanged, NULL },
		{ 'n', "dry-run", ARGS_FLAG, &c.o.dry_run, NULL },
		{ 0, "time", ARGS_TEXT, &c.time, NULL },
		{ 'j', "jobs", ARGS_NUMBER, &c.jobs, NULL },
		{ 0, "memory", ARGS_SIZE, &c.o.memory, NULL },
		{ 0, "compression-level", ARGS_NUMBER, &c.level, NULL },
		{ 0, "prune-after", ARGS_FLAG, &c.prune_after, NULL },
		KEEP_OPTIONS(&c.reclaim.keep),
	};

	if ((rc = rc ? rc : rc2) == OK && (rc = cmd_parse(ctx, opts, ARGS_COUNT(opts), &argc, argv)) == OK &&
	    (rc = check(&c, argc, argv)) == OK)
		rc = snapshot(ctx, &c);
	for (size_t i = 0; i < c.tag_list.count; i++)
		free((void *)(uintptr_t)c.tag_list.v[i]);
	args_list_clear(&c.tag_list);
	args_list_clear(&c.tags);
	args_list_clear(&c.if_present);
	filter_free(c.filter);
	reclaim_clear(&c.reclaim);
	filter_free(c.sqlite_exclude);
	return rc;
}

const struct cmd cmd_snapshot = {
	.name = "snapshot",
	.aliases = "backup create",
	.summary = "store directories and files as they are now",
	.usage =
	    "Usage: varve snapshot [OPTIONS] PATH...\n"
	    "       varve snapshot [OPTIONS] --stdin | --command CMD [--name NAME]\n"
	    "\n"
	    "Stores what is new since the last snapshot of the same host and paths.  Files\n"
	    "whose size, times and inode are those of that snapshot are not read.  What\n"
	    "cannot be read is reported, the rest is stored (exit status 3).\n"
	    "\n"
	    "What to take (patterns as in gitignore; the last one that matches decides):\n"
	    "  -e, --exclude PATTERN     leave out (repeatable)\n"
	    "  -i, --include PATTERN     take back what an earlier pattern left out\n"
	    "      --exclude-file FILE   patterns, one a line; '-' is standard input\n"
	    "      --exclude-caches      leave out the content of directories with a\n"
	    "                            CACHEDIR.TAG\n"
	    "      --exclude-if-present NAME[:TEXT]  ... with a file NAME (that begins with\n"
	    "                                        TEXT)\n"
	    "      --exclude-larger-than SIZE  leave out larger files: 500M, 2G\n"
	    "  -x, --one-file-system     do not enter other file systems\n"
	    "      --no-sqlite           SQLite databases are files like any other; else they\n"
	    "                            are captured: consistent, all at one instant, with\n"
	    "                            what is in their WAL, while others write to them\n"
	    "      --sqlite-exclude PATTERN  those that match are files like any other\n"
	    "      --sqlite-wal-limit SIZE   give up a database whose WAL grows by more\n"
	    "                            meanwhile (default: half of it, at least 1G)\n"
	    "      --stdin               standard input as a file\n"
	    "      --command CMD         the output of a shell command; no snapshot if it\n"
	    "                            fails\n"
	    "      --name NAME           name of that file (default: stdin)\n"
	    "How:\n"
	    "      --rehash              read every file\n"
	    "      --paranoid            recognise nothing by fingerprints, only by\n"
	    "                            cryptographic hashes\n"
	    "      --parent ID|none      compare with this snapshot\n"
	    "      --skip-if-unchanged   no snapshot if everything is as in the last one\n"
	    "  -n, --dry-run             store nothing, say how much would be\n"
	    "  -j, --jobs N              threads (default: one per processor)\n"
	    "      --memory SIZE         for blocks under way; fewer threads if they do not fit (default 384M)\n"
	    "      --compression-level N zstd level, 1 to 22 (default 3)\n"
	    "      --prune-after         then prune; with --keep-last and the other rules of\n"
	    "                            'varve forget', forget first among the snapshots of the\n"
	    "                            same host and paths\n"
	    "What to write beside it:\n"
	    "      --tag TAG[,TAG]       tags (repeatable)\n"
	    "  -H, --host HOST           instead of this machine's name\n"
	    "      --time TIME           instead of now: 2026-11-20T09:00\n"
	    "  -v, --verbose             name what is new (+), changed (M), unmodified (U)\n"
	    "\n"
	    "Examples:\n"
	    "  varve snapshot /srv/app /etc --exclude '*.tmp' --tag hourly\n"
	    "  varve snapshot --command 'pg_dump app' --name app.sql\n"
	    "  varve snapshot /home --exclude-caches -x --json\n"
	    "  varve snapshot /srv/app --prune-after --keep-hourly 24 --keep-daily 14\n",
	.needs = CMD_REPO | CMD_KEY | CMD_WRITES,
	.run = run,
};
