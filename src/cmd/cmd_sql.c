/*
 * cmd_sql: what comes in are lines, from operands, a pipe or somebody who types; what begins with a
 * dot is for us, the rest for SQLite.
 *
 * Somebody who types may leave for lunch, and prune must not wait for him: the repository's lock is
 * given back while a line is awaited, and after that the index is read anew.  What is in the caches
 * stays right, since the content of a snapshot does not change.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "cmd/choose.h"
#include "cmd/cmd.h"
#include "cmd/shell.h"
#include "ops/sql.h"
#include "sys/clock.h"
#include "sys/signals.h"

#define INPUT_MAX (64u << 20)           /* from a pipe */
#define PROMPT "varve> "
#define PROMPT_MORE "  ...> "

struct asking {
	struct context *ctx;
	struct choose c;
	struct sql *sql;
	struct shell shell;
	struct reader_stats before;     /* of readers that are gone */
	struct name_sid *sids;          /* of the snapshots in use; owned */
	size_t count, cap;

	/* options */
	struct sql_options o;
	struct args_list attach;
	bool csv, box, header;
	const char *separator, *insert;
};

static int
add(struct asking *as, const char *schema, const struct snapshots_item *snap, const char *path)
{
	struct sql_remarks remarks;
	int rc;

	if ((rc = mem_grow((void **)&as->sids, &as->cap, as->count + 1, sizeof(*as->sids))) ||
	    (rc = sql_add(as->sql, schema, &snap->rec.root, path, &remarks)) ||
	    (rc = shell_add(&as->shell, schema)))
		return rc;
	as->sids[as->count++] = snap->sid;
	if (remarks.changed)
		report_talk(&as->ctx->report, "'%s' was changing while the snapshot was made: what "
		    "it says may contradict itself", path);
	if (remarks.beside)
		report_talk(&as->ctx->report, "'%s%s' in the snapshot is not empty: the changes in "
		    "it are not seen here; restore both files to see them", path,
		    remarks.beside);
	return OK;
}

/* ---- where the databases are ---- */

/* "NAME=SNAP[:PATH]"; without a path, the same as main's. */
static int
attach_one(struct asking *as, const char *text, const char *main_path)
{
	const struct snapshots_item *snap;
	const char *equals = strchr(text, '='), *sub;
	char *schema = NULL, *path = NULL;
	int rc;

	if (!equals || equals == text || !equals[1])
		return fail(ERR_USAGE, "--attach '%s': not of the form NAME=SNAP[:PATH]", text);
	if ((rc = choose_one(&as->c, equals + 1, &snap, &sub)) ||
	    (rc = mem_dup_bytes((uint8_t **)&schema, text, (size_t)(equals - text))))
		return rc;
	if (sub)
		rc = sql_find(as->c.view.rd, &snap->rec.root, NULL, sub, &path);
	if (rc == OK)
		rc = err_context(add(as, schema, snap, sub ? path : main_path), "--attach '%s'",
		    text);
	free(path);
	free(schema);
	return rc;
}

/*
 * SNAP PATH, SNAP:DIR PATH, or SNAP:PATH.  *used: how many operands that took.
 * Owns: *path: caller frees.
 */
static int
find_main(struct asking *as, int argc, char **argv, const struct snapshots_item **snap, char **path,
    int *used)
{
	struct reader *rd = as->c.view.rd;
	const char *sub;
	int rc = choose_one(&as->c, argv[1], snap, &sub);

	*used = 2;
	if (rc == OK && sub && (rc = sql_is_file(rd, &(*snap)->rec.root, sub)) == FOUND) {
		*used = 1;
		return choose_missing(&as->c, *snap, sql_find(rd, &(*snap)->rec.root, NULL, sub, path));
	}
	if (rc == OK && argc < 3)
		rc = sub ? fail(ERR_ABSENT, "no file '%s'", sub) :
		    fail(ERR_USAGE, "PATH is missing");
	if (rc == OK)
		rc = sql_find(rd, &(*snap)->rec.root, sub, argv[2], path);
	return *snap ? choose_missing(&as->c, *snap, rc) : rc;
}

static int
open_all(struct asking *as, int argc, char **argv, int *used)
{
	const struct snapshots_item *snap;
	char *path = NULL;
	int rc;

	if ((rc = choose_open(as->ctx, &as->c, VIEW_CONTENT)) ||
	    (rc = sql_new(as->c.view.rd, &as->o, &as->sql)) ||
	    (rc = find_main(as, argc, argv, &snap, &path, used)))
		return rc;
	as->shell.sql = as->sql;
	rc = add(as, "main", snap, path);
	for (size_t i = 0; rc == OK && i < as->attach.count; i++)
		rc = attach_one(as, as->attach.v[i], path);
	free(path);
	return rc ? rc : sql_seal(as->sql);
}

/* ---- while nothing is asked, nothing is held ---- */

static void
count_reader(struct asking *as)
{
	const struct reader_stats *now = as->c.view.rd ? reader_stats(as->c.view.rd) :
	    &(struct reader_stats){ 0 };

	as->before.frames_read += now->frames_read;
	as->before.bytes_read += now->bytes_read;
	as->before.bytes_decoded += now->bytes_decoded;
}

static void
pause_view(struct asking *as)
{
	count_reader(as);
	sql_set_reader(as->sql, NULL);
	view_close(&as->c.view);
}

static void
ignore_bad(void *arg, const char *sid_hex, int rc)
{
	(void)arg, (void)sid_hex, (void)rc;
}

static int
resume_view(struct asking *as)
{
	struct view *v = &as->c.view;
	int rc;

	if (v->rd)
		return OK;
	if ((rc = view_open(as->ctx->repo, VIEW_CONTENT, ignore_bad, NULL, v)))
		return rc;
	for (size_t i = 0, k; i < as->count; i++) {
		for (k = 0; k < v->snaps.count; k++)
			if (memcmp(&v->snaps.items[k].sid, &as->sids[i], sizeof(as->sids[i])) == 0)
				break;
		if (k == v->snaps.count)
			return fail(ERR_ABSENT, "the snapshot was forgotten in the meantime");
	}
	sql_set_reader(as->sql, v->rd);
	return OK;
}

/* All of standard input, before anything is locked: who writes it may take his time. */
static int
read_input(struct mem_buf *b)
{
	size_t n;
	int rc;

	do {
		if ((rc = mem_buf_reserve(b, 65536)))
			return rc;
		n = fread(b->p + b->len, 1, 65535, stdin);
		b->len += n;
		b->p[b->len] = 0;
		if (b->len > INPUT_MAX)
			return fail(ERR_USAGE, "more than %u MiB on standard input",
			    INPUT_MAX >> 20);
	} while (n > 0);
	if ((rc = signals_check()) == OK && ferror(stdin))
		rc = fail(ERR_IO, "cannot read standard input");
	return rc;
}

/* Only what ends the whole session is returned. */
static int
converse_line(struct asking *as, char *line)
{
	int rc = resume_view(as);

	if (rc)
		return rc;
	rc = shell_line(&as->shell, line);
	pause_view(as);
	if (rc == ERR_INTERRUPTED)
		return rc;
	if (rc < 0)
		report_talk(&as->ctx->report, "%s", err_text());
	fflush(stdout);
	return report_check(&as->ctx->report);
}

static int
converse(struct asking *as)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;
	int rc = OK;

	pause_view(as);
	if (!as->ctx->quiet)
		report_out(&as->ctx->report, "Read-only; .help tells what can be said.\n");
	while (rc == OK && !as->shell.quit) {
		report_out(&as->ctx->report, as->shell.pending.len ? PROMPT_MORE : PROMPT);
		fflush(stdout);
		errno = 0;
		len = getline(&line, &cap, stdin);
		if (len < 0 && (rc = signals_check()) == OK)
			report_out(&as->ctx->report, "\n");
		if (len < 0)
			break;
		if (len > 0 && line[len - 1] == '\n')
			line[len - 1] = 0;
		rc = converse_line(as, line);
	}
	free(line);
	return rc;
}

static void
say_cost(struct asking *as, int64_t began_ns)
{
	const struct imagevfs_stats *st = sql_stats(as->sql);
	char took[TEXT_SIZE_MAX];

	count_reader(as);
	report_talk(&as->ctx->report, "%ju reads of %ju bytes; %ju frames of %ju bytes read, "
	    "%ju bytes decoded for databases of %ju bytes; %s", (uintmax_t)st->reads,
	    (uintmax_t)st->bytes, (uintmax_t)as->before.frames_read,
	    (uintmax_t)as->before.bytes_read, (uintmax_t)as->before.bytes_decoded,
	    (uintmax_t)st->image_bytes, text_duration(took, clock_steady_ns() - began_ns));
}

/* ---- the command ---- */

static int
take_modes(struct asking *as)
{
	int modes = as->csv + as->box + as->ctx->json + (as->insert != NULL);

	if (modes > 1)
		return fail(ERR_USAGE, "--csv, --json, --box and --insert exclude each other");
	shell_init(&as->shell, &as->ctx->report);
	as->shell.rows.mode = as->csv ? ROWS_CSV : as->box ? ROWS_BOX : as->ctx->json ? ROWS_JSON :
	    as->insert ? ROWS_INSERT : ROWS_LIST;
	as->shell.rows.header = as->header;
	as->shell.rows.table = as->insert;
	return as->separator ? shell_separator(&as->shell, as->separator) : OK;
}

static int
talk_to(struct asking *as, int argc, char **argv, int used, struct mem_buf *input)
{
	int rc = OK;

	if (input->p)
		return shell_text(&as->shell, (char *)input->p);
	if (used + 1 >= argc)
		return converse(as);
	for (int i = used + 1; rc == OK && i < argc && !as->shell.quit; i++)
		rc = argv[i][0] == '.' ? shell_dot(&as->shell, argv[i]) :
		    shell_sql(&as->shell, argv[i]);
	return rc;
}

/* With SNAP:PATH the second operand may be the SQL; only the snapshot tells, so input waits for it. */
static int
serve(struct asking *as, int argc, char **argv)
{
	struct mem_buf input = { 0 };
	int64_t began_ns = clock_steady_ns();
	int used, rc;

	if ((rc = open_all(as, argc, argv, &used)))
		return rc;
	if (used + 1 >= argc && !isatty(STDIN_FILENO)) {
		pause_view(as);
		if ((rc = read_input(&input)) == OK)
			rc = resume_view(as);
	}
	if (rc == OK)
		rc = talk_to(as, argc, argv, used, &input);
	mem_buf_clear(&input);
	if (as->ctx->verbose)
		say_cost(as, began_ns);
	return rc;
}

static void
clear(struct asking *as)
{
	shell_clear(&as->shell);
	sql_free(as->sql);
	choose_close(&as->c);
	args_list_clear(&as->attach);
	free(as->sids);
}

static int
run(struct context *ctx, int argc, char **argv)
{
	struct asking as = { .ctx = ctx };
	const struct args_option opts[] = {
		CHOOSE_OPTIONS(&as.c),
		{ 0, "attach", ARGS_LIST, &as.attach, NULL },
		{ 0, "csv", ARGS_FLAG, &as.csv, NULL },
		{ 0, "box", ARGS_FLAG, &as.box, NULL },
		{ 0, "insert", ARGS_TEXT, &as.insert, NULL },
		{ 0, "header", ARGS_FLAG, &as.header, NULL },
		{ 0, "separator", ARGS_TEXT, &as.separator, NULL },
		{ 0, "memory", ARGS_SIZE, &as.o.memory_bytes, NULL },
		{ 0, "timeout", ARGS_NUMBER, &as.o.seconds, NULL },
	};
	int rc;

	if ((rc = cmd_parse(ctx, opts, ARGS_COUNT(opts), &argc, argv)) == OK &&
	    (rc = cmd_operands(argc, argv, 1, -1, "SNAP")) == OK && (rc = take_modes(&as)) == OK)
		rc = choose_result(&as.c, serve(&as, argc, argv), false);
	clear(&as);
	return rc;
}

const struct cmd cmd_sql = {
	.name = "sql",
	.summary = "ask a database inside of a snapshot",
	.usage =
	    "Usage: varve sql [OPTIONS] SNAP PATH [SQL...]\n"
	    "       varve sql [OPTIONS] SNAP:PATH [SQL...]\n"
	    "\n"
	    "Opens an SQLite database where it lies in the repository, and reads only the\n"
	    "parts that the question needs.  PATH is a path of the snapshot, or the bare name\n"
	    "of a file if there is only one of that name.  Without SQL it is read from\n"
	    "standard input; on a terminal with a prompt (.help, .tables, .schema, .dump,\n"
	    ".quit).\n"
	    "Nothing can be changed, and nothing is written to disk.\n"
	    "\n"
	    "      --attach NAME=SNAP[:PATH]  another snapshot's database as NAME; without\n"
	    "                        :PATH the same file (repeatable)\n"
	    "      --csv, --json, --box  other forms than a|b\n"
	    "      --insert TABLE    rows as INSERT statements into TABLE\n"
	    "      --header          names of columns first\n"
	    "      --separator TEXT  between columns instead of |\n"
	    "      --memory SIZE     at most so much memory (512M)\n"
	    "      --timeout SECONDS  end each statement after this time\n"
	    "  -v, --verbose         say what was read\n"
	    CHOOSE_USAGE
	    "\n"
	    "Examples:\n"
	    "  varve sql latest /srv/app/app.db 'SELECT count(*) FROM users'\n"
	    "  varve sql latest app.db --attach old=@3d \\\n"
	    "      'SELECT id FROM old.users EXCEPT SELECT id FROM users'\n"
	    "  varve sql @3d app.db 'SELECT * FROM users WHERE id = 7' --insert users |\n"
	    "      sqlite3 /srv/app/app.db\n",
	.needs = CMD_REPO | CMD_KEY,
	.run = run,
};
