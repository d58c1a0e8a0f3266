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
#include "cmd/rows.h"
#include "ops/sql.h"
#include "sys/clock.h"
#include "sys/signals.h"

#define INPUT_MAX (64u << 20)           /* from a pipe */
#define PROMPT "varve> "
#define PROMPT_MORE "  ...> "

struct shell {
	struct context *ctx;
	struct choose c;
	struct sql *sql;
	struct rows rows;
	struct reader_stats before;     /* of readers that are gone */
	struct name_sid *sids;          /* of the snapshots in use; owned */
	char **schemas;                 /* "main" and the attached ones; owned */
	size_t count, sid_cap, schema_cap;
	struct mem_buf pending;         /* a statement that is not complete; zero-terminated */
	bool quit;
	char *table, *between;          /* what rows borrows; owned */

	/* options */
	struct sql_options o;
	struct args_list attach;
	bool csv, box, header;
	const char *separator, *insert;
};

/* Owns: takes schema on OK. */
static int
add(struct shell *sh, char *schema, const struct snapshots_item *snap, const char *path)
{
	const char *beside = NULL;
	int rc;

	if ((rc = mem_grow((void **)&sh->sids, &sh->sid_cap, sh->count + 1, sizeof(*sh->sids))) ||
	    (rc = mem_grow((void **)&sh->schemas, &sh->schema_cap, sh->count + 1,
	    sizeof(*sh->schemas))) ||
	    (rc = sql_add(sh->sql, schema, &snap->rec.root, path, &beside)))
		return rc;
	sh->sids[sh->count] = snap->sid;
	sh->schemas[sh->count++] = schema;
	if (beside)
		report_talk(&sh->ctx->report, "'%s%s' in the snapshot is not empty: the changes in "
		    "it are not seen here; restore both files to see them", path, beside);
	return OK;
}

/* ---- where the databases are ---- */

/* "NAME=SNAP[:PATH]"; without a path, the same as main's. */
static int
attach_one(struct shell *sh, const char *text, const char *main_path)
{
	const struct snapshots_item *snap;
	const char *equals = strchr(text, '='), *sub;
	char *schema = NULL, *path = NULL;
	int rc;

	if (!equals || equals == text || !equals[1])
		return fail(ERR_USAGE, "--attach '%s': not of the form NAME=SNAP[:PATH]", text);
	if ((rc = choose_one(&sh->c, equals + 1, &snap, &sub)) ||
	    (rc = mem_dup_bytes((uint8_t **)&schema, text, (size_t)(equals - text))))
		return rc;
	if (sub)
		rc = sql_find(sh->c.view.rd, &snap->rec.root, NULL, sub, &path);
	if (rc == OK)
		rc = err_context(add(sh, schema, snap, sub ? path : main_path), "--attach '%s'",
		    text);
	free(path);
	if (rc)
		free(schema);
	return rc;
}

/*
 * SNAP PATH, SNAP:DIR PATH, or SNAP:PATH.  *used: how many operands that took.
 * Owns: *path: caller frees.
 */
static int
find_main(struct shell *sh, int argc, char **argv, const struct snapshots_item **snap, char **path,
    int *used)
{
	struct reader *rd = sh->c.view.rd;
	const char *sub;
	int rc = choose_one(&sh->c, argv[1], snap, &sub);

	*used = 2;
	if (rc == OK && sub && (rc = sql_is_file(rd, &(*snap)->rec.root, sub)) == FOUND) {
		*used = 1;
		return sql_find(rd, &(*snap)->rec.root, NULL, sub, path);
	}
	if (rc == OK && argc < 3)
		rc = sub ? fail(ERR_ABSENT, "no file '%s' in this snapshot", sub) :
		    fail(ERR_USAGE, "PATH is missing");
	return rc ? rc : sql_find(rd, &(*snap)->rec.root, sub, argv[2], path);
}

static int
open_all(struct shell *sh, int argc, char **argv, int *used)
{
	const struct snapshots_item *snap;
	char *path = NULL, *schema;
	int rc;

	if ((rc = choose_open(sh->ctx, &sh->c, VIEW_CONTENT)) ||
	    (rc = sql_new(sh->c.view.rd, &sh->o, &sh->sql)) ||
	    (rc = find_main(sh, argc, argv, &snap, &path, used)))
		return rc;
	if ((rc = mem_dup(&schema, "main")) == OK && (rc = add(sh, schema, snap, path)))
		free(schema);
	for (size_t i = 0; rc == OK && i < sh->attach.count; i++)
		rc = attach_one(sh, sh->attach.v[i], path);
	free(path);
	return rc ? rc : sql_seal(sh->sql);
}

/* ---- while nothing is asked, nothing is held ---- */

static void
count_reader(struct shell *sh)
{
	const struct reader_stats *now = sh->c.view.rd ? reader_stats(sh->c.view.rd) :
	    &(struct reader_stats){ 0 };

	sh->before.frames_read += now->frames_read;
	sh->before.bytes_read += now->bytes_read;
	sh->before.bytes_decoded += now->bytes_decoded;
}

static void
pause_view(struct shell *sh)
{
	count_reader(sh);
	sql_set_reader(sh->sql, NULL);
	view_close(&sh->c.view);
}

static void
ignore_bad(void *arg, const char *sid_hex, int rc)
{
	(void)arg, (void)sid_hex, (void)rc;
}

static int
resume_view(struct shell *sh)
{
	struct view *v = &sh->c.view;
	int rc;

	if (v->rd)
		return OK;
	if ((rc = view_open(sh->ctx->repo, VIEW_CONTENT, ignore_bad, NULL, v)))
		return rc;
	for (size_t i = 0, k; i < sh->count; i++) {
		for (k = 0; k < v->snaps.count; k++)
			if (memcmp(&v->snaps.items[k].sid, &sh->sids[i], sizeof(sh->sids[i])) == 0)
				break;
		if (k == v->snaps.count)
			return fail(ERR_ABSENT, "the snapshot was forgotten in the meantime");
	}
	sql_set_reader(sh->sql, v->rd);
	return OK;
}

/* ---- dot commands ---- */

/* Answer a question of ours: always one plain column. */
static int
ask(struct shell *sh, const char *question, const char *const *binds, unsigned count)
{
	struct rows plain = sh->rows;
	struct sql_sink sink = rows_sink(&plain);

	plain.mode = ROWS_LIST;
	plain.header = false;
	return sql_run_with(sh->sql, question, binds, count, &sink);
}

static int
dot_tables(struct shell *sh, const char *pattern)
{
	struct mem_buf prefix = { 0 };
	char *quoted = NULL, *question = NULL;
	int rc = OK;

	for (size_t i = 0; rc == OK && i < sh->count; i++) {
		prefix.len = 0;
		if ((i > 0 && ((rc = mem_buf_add(&prefix, sh->schemas[i], strlen(sh->schemas[i]))) ||
		    (rc = mem_buf_add(&prefix, ".", 1)))) ||
		    (rc = mem_buf_add(&prefix, "", 1)) ||
		    (rc = sql_quote(sh->schemas[i], &quoted)))
			break;
		if (asprintf(&question, "SELECT ?2 || name FROM %s.sqlite_master "
		    "WHERE type IN ('table', 'view') AND substr(name, 1, 7) <> 'sqlite_' "
		    "AND name LIKE coalesce(?1, '%%') ORDER BY name", quoted) < 0)
			rc = fail(ERR_NOMEM, "out of memory");
		else
			rc = ask(sh, question, (const char *[]){ pattern,
			    (const char *)prefix.p }, 2);
		free(question);
		free(quoted);
	}
	mem_buf_clear(&prefix);
	return rc;
}

/* "", "NAME" of main, "old.", "old.NAME". */
static int
dot_schema(struct shell *sh, const char *name)
{
	const char *schema = "main", *dot = name ? strchr(name, '.') : NULL;
	char *quoted, *question = NULL;
	int rc;

	for (size_t i = 0; dot && i < sh->count; i++)
		if (strlen(sh->schemas[i]) == (size_t)(dot - name) &&
		    strncmp(sh->schemas[i], name, (size_t)(dot - name)) == 0) {
			schema = sh->schemas[i];
			name = dot[1] ? dot + 1 : NULL;
			break;
		}
	if ((rc = sql_quote(schema, &quoted)))
		return rc;
	if (asprintf(&question, "SELECT sql || ';' FROM %s.sqlite_master WHERE sql IS NOT NULL "
	    "AND (name LIKE coalesce(?1, '%%') OR tbl_name LIKE ?1) ORDER BY rowid", quoted) < 0)
		rc = fail(ERR_NOMEM, "out of memory");
	else
		rc = ask(sh, question, &name, 1);
	free(question);
	free(quoted);
	return rc;
}

static int
dot_mode(struct shell *sh, const char *mode, const char *table)
{
	static const char *const why = ".mode is one of list, csv, json, box, insert TABLE";
	enum rows_mode m;
	char *copy = NULL;
	int rc;

	if (!mode || rows_parse_mode(mode, &m) != FOUND || (m == ROWS_INSERT && !table))
		return fail(ERR_USAGE, "%s", why);
	if (m == ROWS_INSERT && (rc = mem_dup(&copy, table)))
		return rc;
	sh->rows.mode = m;
	free(sh->table);
	sh->rows.table = sh->table = copy;
	return OK;
}

static int
dot_separator(struct shell *sh, const char *text)
{
	char *copy;
	int rc;

	if (!text)
		return fail(ERR_USAGE, ".separator needs a text");
	if ((rc = mem_dup(&copy, strcmp(text, "\\t") == 0 ? "\t" : text)))
		return rc;
	free(sh->between);
	sh->rows.separator = sh->between = copy;
	return OK;
}

static int
dot_help(struct shell *sh)
{
	report_out(&sh->ctx->report,
	    ".tables [PATTERN]      tables and views, those of attached databases as NAME.TABLE\n"
	    ".schema [[NAME.]TABLE] how they were created\n"
	    ".databases             the names of the databases\n"
	    ".mode MODE             list, csv, json, box, insert TABLE\n"
	    ".headers on|off        names of columns, in the modes list and csv\n"
	    ".separator TEXT        between columns, in the mode list\n"
	    ".quit                  the end\n"
	    "Everything else is SQL; a statement ends with a semicolon.\n");
	return OK;
}

/* line is cut into words in place. */
static int
dot_command(struct shell *sh, char *line)
{
	char *rest, *what = strtok_r(line, " \t\r\n", &rest);
	char *a = strtok_r(NULL, " \t\r\n", &rest), *b = strtok_r(NULL, " \t\r\n", &rest);

	if (strcmp(what, ".quit") == 0 || strcmp(what, ".exit") == 0 || strcmp(what, ".q") == 0) {
		sh->quit = true;
		return OK;
	}
	if (strcmp(what, ".help") == 0)
		return dot_help(sh);
	if (strcmp(what, ".tables") == 0)
		return dot_tables(sh, a);
	if (strcmp(what, ".schema") == 0)
		return dot_schema(sh, a);
	if (strcmp(what, ".databases") == 0)
		return ask(sh, "SELECT name FROM pragma_database_list ORDER BY seq", NULL, 0);
	if (strcmp(what, ".mode") == 0)
		return dot_mode(sh, a, b);
	if (strcmp(what, ".separator") == 0)
		return dot_separator(sh, a);
	if (strcmp(what, ".headers") == 0 || strcmp(what, ".header") == 0) {
		sh->rows.header = a && strcmp(a, "on") == 0;
		return OK;
	}
	return fail(ERR_USAGE, "unknown command '%s'; .help tells which there are", what);
}

/* ---- lines ---- */

static int
run_sql(struct shell *sh, const char *text)
{
	const struct sql_sink sink = rows_sink(&sh->rows);

	return sql_run(sh->sql, text, &sink);
}

static bool
is_blank(const char *text)
{
	return text[strspn(text, " \t\r\n")] == 0;
}

/* Run what is pending, complete or not. */
static int
run_pending(struct shell *sh)
{
	int rc;

	if (!sh->pending.len || is_blank((const char *)sh->pending.p)) {
		sh->pending.len = 0;
		return OK;
	}
	rc = run_sql(sh, (const char *)sh->pending.p);
	sh->pending.len = 0;
	return rc;
}

/* A line without its line feed; it may be changed. */
static int
take_line(struct shell *sh, char *line)
{
	struct mem_buf *b = &sh->pending;
	int rc;

	if (!b->len && line[0] == '.')
		return dot_command(sh, line);
	if (!b->len && is_blank(line))
		return OK;
	if ((rc = mem_buf_add(b, line, strlen(line))) || (rc = mem_buf_add(b, "\n", 2)))
		return rc;
	b->len--;
	/* Only a semicolon can end a statement: no need to look through all of it for each line. */
	return strchr(line, ';') && sql_complete((const char *)b->p) ? run_pending(sh) : OK;
}

static int
take_text(struct shell *sh, char *text)
{
	char *end;
	int rc = OK;

	for (; rc == OK && *text && !sh->quit; text = end) {
		end = text + strcspn(text, "\n");
		if (*end)
			*end++ = 0;
		rc = take_line(sh, text);
	}
	return rc ? rc : run_pending(sh);
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
	} while (n > 0 && (rc = signals_check()) == OK);
	if (rc == OK && ferror(stdin))
		return fail(ERR_IO, "cannot read standard input");
	return rc;
}

/* Only what ends the whole session is returned. */
static int
converse_line(struct shell *sh, char *line)
{
	int rc = resume_view(sh);

	if (rc)
		return rc;
	rc = take_line(sh, line);
	pause_view(sh);
	if (fflush(stdout) != 0)
		return fail(ERR_IO, "cannot write to standard output");
	if (rc == ERR_INTERRUPTED || rc == ERR_IO)
		return rc;
	if (rc < 0)
		report_talk(&sh->ctx->report, "%s", err_text());
	return OK;
}

static int
converse(struct shell *sh)
{
	char *line = NULL;
	size_t cap = 0;
	ssize_t len;
	int rc = OK;

	pause_view(sh);
	if (!sh->ctx->quiet)
		report_out(&sh->ctx->report, "Read-only; .help tells what can be said.\n");
	while (rc == OK && !sh->quit) {
		report_out(&sh->ctx->report, sh->pending.len ? PROMPT_MORE : PROMPT);
		fflush(stdout);
		errno = 0;
		len = getline(&line, &cap, stdin);
		if (len < 0 && (rc = signals_check()) == OK)
			report_out(&sh->ctx->report, "\n");
		if (len < 0)
			break;
		if (len > 0 && line[len - 1] == '\n')
			line[len - 1] = 0;
		rc = converse_line(sh, line);
	}
	free(line);
	return rc;
}

static void
say_cost(struct shell *sh, int64_t began_ns)
{
	const struct imagevfs_stats *st = sql_stats(sh->sql);
	char took[TEXT_SIZE_MAX];

	count_reader(sh);
	report_talk(&sh->ctx->report, "%ju reads of %ju bytes; %ju frames of %ju bytes read, "
	    "%ju bytes decoded for databases of %ju bytes; %s", (uintmax_t)st->reads,
	    (uintmax_t)st->bytes, (uintmax_t)sh->before.frames_read,
	    (uintmax_t)sh->before.bytes_read, (uintmax_t)sh->before.bytes_decoded,
	    (uintmax_t)st->image_bytes, text_duration(took, clock_steady_ns() - began_ns));
}

/* ---- the command ---- */

static int
take_modes(struct shell *sh)
{
	int modes = sh->csv + sh->box + sh->ctx->json + (sh->insert != NULL);

	if (modes > 1)
		return fail(ERR_USAGE, "--csv, --json, --box and --insert exclude each other");
	rows_init(&sh->rows, &sh->ctx->report);
	sh->rows.mode = sh->csv ? ROWS_CSV : sh->box ? ROWS_BOX : sh->ctx->json ? ROWS_JSON :
	    sh->insert ? ROWS_INSERT : ROWS_LIST;
	sh->rows.header = sh->header;
	sh->rows.table = sh->insert;
	return sh->separator ? dot_separator(sh, sh->separator) : OK;
}

static int
talk_to(struct shell *sh, int argc, char **argv, int used, struct mem_buf *input)
{
	int rc = OK;

	if (input->p)
		return take_text(sh, (char *)input->p);
	if (used + 1 >= argc)
		return converse(sh);
	for (int i = used + 1; rc == OK && i < argc && !sh->quit; i++)
		rc = argv[i][0] == '.' ? dot_command(sh, argv[i]) : run_sql(sh, argv[i]);
	return rc;
}

/* With SNAP:PATH the second operand may be the SQL; only the snapshot tells, so input waits for it. */
static int
serve(struct shell *sh, int argc, char **argv)
{
	struct mem_buf input = { 0 };
	int64_t began_ns = clock_steady_ns();
	int used, rc;

	if ((rc = open_all(sh, argc, argv, &used)))
		return rc;
	if (used + 1 >= argc && !isatty(STDIN_FILENO)) {
		pause_view(sh);
		if ((rc = read_input(&input)) == OK)
			rc = resume_view(sh);
	}
	if (rc == OK)
		rc = talk_to(sh, argc, argv, used, &input);
	mem_buf_clear(&input);
	if (sh->ctx->verbose)
		say_cost(sh, began_ns);
	return rc;
}

static void
clear(struct shell *sh)
{
	sql_free(sh->sql);
	choose_close(&sh->c);
	rows_clear(&sh->rows);
	mem_buf_clear(&sh->pending);
	args_list_clear(&sh->attach);
	for (size_t i = 0; i < sh->count; i++)
		free(sh->schemas[i]);
	free(sh->schemas);
	free(sh->sids);
	free(sh->table);
	free(sh->between);
}

static int
run(struct context *ctx, int argc, char **argv)
{
	struct shell sh = { .ctx = ctx };
	const struct args_option opts[] = {
		CHOOSE_OPTIONS(&sh.c),
		{ 0, "attach", ARGS_LIST, &sh.attach, NULL },
		{ 0, "csv", ARGS_FLAG, &sh.csv, NULL },
		{ 0, "box", ARGS_FLAG, &sh.box, NULL },
		{ 0, "insert", ARGS_TEXT, &sh.insert, NULL },
		{ 0, "header", ARGS_FLAG, &sh.header, NULL },
		{ 0, "separator", ARGS_TEXT, &sh.separator, NULL },
		{ 0, "memory", ARGS_SIZE, &sh.o.memory_bytes, NULL },
		{ 0, "timeout", ARGS_NUMBER, &sh.o.seconds, NULL },
	};
	int rc;

	if ((rc = cmd_parse(ctx, opts, ARGS_COUNT(opts), &argc, argv)) == OK &&
	    (rc = cmd_operands(argc, argv, 1, -1, "SNAP")) == OK && (rc = take_modes(&sh)) == OK)
		rc = choose_result(&sh.c, serve(&sh, argc, argv), false);
	clear(&sh);
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
	    "standard input; on a terminal with a prompt (.help, .tables, .schema, .quit).\n"
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
