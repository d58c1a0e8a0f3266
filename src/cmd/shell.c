#include "cmd/shell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "ops/sql.h"

void
shell_init(struct shell *sh, struct report *rp)
{
	*sh = (struct shell){ .rp = rp };
	rows_init(&sh->rows, rp);
}

void
shell_clear(struct shell *sh)
{
	rows_clear(&sh->rows);
	mem_buf_clear(&sh->pending);
	for (size_t i = 0; i < sh->schema_count; i++)
		free(sh->schemas[i]);
	free(sh->schemas);
	free(sh->table);
	free(sh->between);
}

int
shell_add(struct shell *sh, const char *schema)
{
	int rc = mem_grow((void **)&sh->schemas, &sh->schema_cap, sh->schema_count + 1,
	    sizeof(*sh->schemas));

	if (rc == OK)
		rc = mem_dup(&sh->schemas[sh->schema_count], schema);
	if (rc == OK)
		sh->schema_count++;
	return rc;
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

	for (size_t i = 0; rc == OK && i < sh->schema_count; i++) {
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

/* "old.NAME" apart; without such a prefix it is main's.  *name: NULL when nothing is left. */
static const char *
take_schema(const struct shell *sh, const char **name)
{
	const char *dot = *name ? strchr(*name, '.') : NULL;

	for (size_t i = 0; dot && i < sh->schema_count; i++)
		if (strlen(sh->schemas[i]) == (size_t)(dot - *name) &&
		    strncmp(sh->schemas[i], *name, (size_t)(dot - *name)) == 0) {
			*name = dot[1] ? dot + 1 : NULL;
			return sh->schemas[i];
		}
	return "main";
}

static int
dot_schema(struct shell *sh, const char *name)
{
	const char *schema = take_schema(sh, &name);
	char *quoted, *question = NULL;
	int rc;

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
keep_begin(void *arg, const char *const *columns, unsigned count)
{
	(void)arg, (void)columns, (void)count;
	return OK;
}

static int
keep_row(void *arg, const struct sql_value *v, unsigned count)
{
	struct mem_buf *b = arg;

	(void)count;
	return v->len ? mem_buf_add(b, v->p, v->len + 1) : OK;
}

static int
keep_end(void *arg)
{
	(void)arg;
	return OK;
}

/* The columns that can be inserted into, not the computed ones: "SELECT them FROM table". */
static int
dump_question(struct shell *sh, const char *schema, const char *table, struct mem_buf *question)
{
	static const char ask_columns[] =
	    "SELECT 'SELECT ' || group_concat('\"' || replace(name, '\"', '\"\"') || '\"', ', ') || "
	    "' FROM \"' || replace(?2, '\"', '\"\"') || '\".\"' || replace(?1, '\"', '\"\"') || '\"' "
	    "FROM pragma_table_xinfo(?1, ?2) WHERE hidden = 0";
	const struct sql_sink keep = { keep_begin, keep_row, keep_end, question };
	int rc = sql_run_with(sh->sql, ask_columns, (const char *[]){ table, schema }, 2, &keep);

	return rc || question->len ? rc : fail(ERR_ABSENT, "no table '%s'", table);
}

static int
dot_dump(struct shell *sh, const char *name)
{
	const char *schema = take_schema(sh, &name);
	struct rows insert = sh->rows;
	const struct sql_sink sink = rows_sink(&insert);
	struct mem_buf question = { 0 };
	char *quoted = NULL, *creation = NULL;
	int rc;

	if (!name)
		return fail(ERR_USAGE, ".dump TABLE; 'varve cat' gives a whole database");
	if ((rc = dump_question(sh, schema, name, &question)) || (rc = sql_quote(schema, &quoted)))
		goto out;
	if (asprintf(&creation, "SELECT sql || ';' FROM %s.sqlite_master WHERE sql IS NOT NULL "
	    "AND tbl_name = ?1 COLLATE NOCASE AND type = ?2", quoted) < 0) {
		rc = fail(ERR_NOMEM, "out of memory");
		goto out;
	}
	insert.mode = ROWS_INSERT;
	insert.table = name;
	puts("BEGIN;");
	if ((rc = ask(sh, creation, (const char *[]){ name, "table" }, 2)) == OK &&
	    (rc = sql_run(sh->sql, (const char *)question.p, &sink)) == OK &&
	    (rc = ask(sh, creation, (const char *[]){ name, "index" }, 2)) == OK)
		puts("COMMIT;");
out:
	mem_buf_clear(&question);
	free(quoted);
	free(creation);
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

int
shell_separator(struct shell *sh, const char *text)
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
	report_out(sh->rp,
	    ".tables [PATTERN]      tables and views, those of attached databases as NAME.TABLE\n"
	    ".schema [[NAME.]TABLE] how they were created\n"
	    ".databases             the names of the databases\n"
	    ".dump [NAME.]TABLE     statements that make a table with its rows and indexes\n"
	    ".mode MODE             list, csv, json, box, insert TABLE\n"
	    ".headers on|off        names of columns, in the modes list and csv\n"
	    ".separator TEXT        between columns, in the mode list\n"
	    ".quit                  the end\n"
	    "Everything else is SQL; a statement ends with a semicolon.\n");
	return OK;
}

int
shell_dot(struct shell *sh, char *line)
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
	if (strcmp(what, ".dump") == 0)
		return dot_dump(sh, a);
	if (strcmp(what, ".databases") == 0)
		return ask(sh, "SELECT name FROM pragma_database_list ORDER BY seq", NULL, 0);
	if (strcmp(what, ".mode") == 0)
		return dot_mode(sh, a, b);
	if (strcmp(what, ".separator") == 0)
		return shell_separator(sh, a);
	if (strcmp(what, ".headers") == 0 || strcmp(what, ".header") == 0) {
		sh->rows.header = a && strcmp(a, "on") == 0;
		return OK;
	}
	return fail(ERR_USAGE, "unknown command '%s'; .help tells which there are", what);
}

/* ---- lines ---- */

int
shell_sql(struct shell *sh, const char *text)
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
	rc = shell_sql(sh, (const char *)sh->pending.p);
	sh->pending.len = 0;
	return rc;
}

int
shell_line(struct shell *sh, char *line)
{
	struct mem_buf *b = &sh->pending;
	int rc;

	if (!b->len && line[0] == '.')
		return shell_dot(sh, line);
	if (!b->len && is_blank(line))
		return OK;
	if ((rc = mem_buf_add(b, line, strlen(line))) || (rc = mem_buf_add(b, "\n", 2)))
		return rc;
	b->len--;
	/* Only a semicolon can end a statement: no need to look through all of it for each line. */
	return strchr(line, ';') && sql_complete((const char *)b->p) ? run_pending(sh) : OK;
}

int
shell_text(struct shell *sh, char *text)
{
	char *end;
	int rc = OK;

	for (; rc == OK && *text && !sh->quit; text = end) {
		end = text + strcspn(text, "\n");
		if (*end)
			*end++ = 0;
		rc = shell_line(sh, text);
	}
	return rc ? rc : run_pending(sh);
}
