/*
 * sql: one connection over imagevfs.
 *
 * Three things keep a statement from changing anything: the authorizer, which lets nothing through
 * but reading; sqlite3_stmt_readonly(), asked before the first step, which gives the clear message;
 * and the VFS, which cannot write.  The authorizer lets INSERT, UPDATE and DELETE pass, since modules
 * of virtual tables (rtree) prepare such statements when a table is only looked at.
 */
#include "ops/sql.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "ops/listing.h"
#include "ops/view.h"
#include "store/tree.h"
#include "sys/clock.h"
#include "store/fetch.h"
#include "sys/host.h"
#include "sys/signals.h"
#include "sys/watch.h"

/* Of decoded chunks: what reads a whole b-tree comes back to pages all over the file; what reads little fills little of it. */
#define CACHE_LEAST (64u << 20)
#define CACHE_MOST (512u << 20)
#define NAMES_SHOWN 3
#define READ_ONLY "; 'varve cat' or 'varve restore' give a copy that can be changed"

struct sql {
	struct reader *rd;
	struct imagevfs *vfs;
	sqlite3 *db;                    /* NULL until the first sql_add */
	struct sql_options o;
	struct watch *watch;            /* interrupts db; looks while there is a reader */
	char denied[64];                /* what the authorizer refused; "": nothing */
	struct sql_value *values;       /* of a row; column names go there before */
	const char **columns;
	size_t value_cap, column_cap;
};

/* ---- failures ---- */

int
sql_failure(struct sql *s, int code)
{
	int rc;

	if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE)
		return OK;
	if ((rc = imagevfs_failure(s->vfs)))
		return view_damage(rc);
	if ((rc = signals_check()))
		return rc;
	switch (code & 0xff) {
	case SQLITE_INTERRUPT:
		return fail(ERR_FAILED, "no end after %ju s (--timeout)",
		    (uintmax_t)s->o.seconds);
	case SQLITE_NOMEM:
		return fail(ERR_NOMEM, "it needs more than %ju MiB of memory (--memory)",
		    (uintmax_t)s->o.memory_bytes >> 20);
	case SQLITE_AUTH:
		return fail(ERR_FAILED, "%s is not possible here: databases of snapshots are only "
		    "read" READ_ONLY, s->denied[0] ? s->denied : "this");
	case SQLITE_CORRUPT:
		return fail(ERR_FAILED, "%s (so it was when the snapshot was made: the repository "
		    "is not damaged here)", sqlite3_errmsg(s->db));
	default:
		return fail(ERR_FAILED, "%s", s->db ? sqlite3_errmsg(s->db) : sqlite3_errstr(code));
	}
}

/* Of another thread: SQLite allows this one. */
static void
interrupt(void *arg)
{
	sqlite3_interrupt(((struct sql *)arg)->db);
}

/* ---- what is allowed ---- */

static bool
is_one_of(const char *name, const char *const *list)
{
	for (; *list; list++)
		if (sqlite3_stricmp(name, *list) == 0)
			return true;
	return false;
}

/* Pragmas that tell something, with or without an argument. */
static bool
pragma_allowed(const char *name, const char *argument)
{
	static const char *const any[] = { "table_info", "table_xinfo", "table_list", "index_list",
	    "index_info", "index_xinfo", "foreign_key_list", "foreign_key_check", "integrity_check",
	    "quick_check", "case_sensitive_like", NULL };
	static const char *const bare[] = { "application_id", "auto_vacuum", "collation_list",
	    "compile_options", "data_version", "database_list", "encoding", "freelist_count",
	    "function_list", "journal_mode", "module_list", "page_count", "page_size",
	    "pragma_list", "schema_version", "user_version", NULL };

	return is_one_of(name, any) || (!argument && is_one_of(name, bare));
}

static int
deny(struct sql *s, const char *what, const char *detail)
{
	snprintf(s->denied, sizeof(s->denied), "%s%s%s", what, detail ? " " : "",
	    detail ? detail : "");
	return SQLITE_DENY;
}

static int
authorize(void *arg, int action, const char *a, const char *b, const char *schema,
    const char *trigger)
{
	static const char *const functions[] = { "load_extension", "fts3_tokenizer", NULL };
	struct sql *s = arg;

	(void)schema, (void)trigger;
	switch (action) {
	case SQLITE_SELECT:
	case SQLITE_READ:
	case SQLITE_RECURSIVE:
	case SQLITE_TRANSACTION:
	case SQLITE_SAVEPOINT:
	case SQLITE_INSERT:             /* sql_run asks sqlite3_stmt_readonly() */
	case SQLITE_UPDATE:
	case SQLITE_DELETE:
		return SQLITE_OK;
	case SQLITE_FUNCTION:
		return is_one_of(b, functions) ? deny(s, b, NULL) : SQLITE_OK;
	case SQLITE_PRAGMA:
		return pragma_allowed(a, b) ? SQLITE_OK : deny(s, b ? "setting PRAGMA" : "PRAGMA",
		    a);
	case SQLITE_ATTACH:
		return deny(s, "ATTACH (use --attach NAME=SNAP)", NULL);
	case SQLITE_DETACH:
		return deny(s, "DETACH", NULL);
	default:
		return deny(s, "changing the schema", NULL);
	}
}

static void
set_limits(const struct sql *s)
{
	static const struct {
		int what, most;
	} limits[] = {
		{ SQLITE_LIMIT_SQL_LENGTH, 16 << 20 }, { SQLITE_LIMIT_EXPR_DEPTH, 500 },
		{ SQLITE_LIMIT_COMPOUND_SELECT, 500 }, { SQLITE_LIMIT_VDBE_OP, 10000000 },
		{ SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 5000 }, { SQLITE_LIMIT_TRIGGER_DEPTH, 10 },
		{ SQLITE_LIMIT_WORKER_THREADS, 0 },
	};

	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++)
		sqlite3_limit(s->db, limits[i].what, limits[i].most);
	if (s->o.memory_bytes < INT32_MAX)
		sqlite3_limit(s->db, SQLITE_LIMIT_LENGTH, (int)s->o.memory_bytes);
}

static int
set_switches(struct sql *s)
{
	static const struct {
		int what, on;
	} switches[] = {
		{ SQLITE_DBCONFIG_DEFENSIVE, 1 }, { SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0 },
		{ SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0 },
		{ SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, 0 },
		{ SQLITE_DBCONFIG_ENABLE_TRIGGER, 0 },
	};
	int code = SQLITE_OK;

	for (size_t i = 0; code == SQLITE_OK && i < sizeof(switches) / sizeof(switches[0]); i++)
		code = sqlite3_db_config(s->db, switches[i].what, switches[i].on, NULL);
	/* Sorting and grouping stay in memory: nothing of the repository goes to /tmp. */
	if (code == SQLITE_OK)
		code = sqlite3_exec(s->db, "PRAGMA temp_store=memory; PRAGMA mmap_size=0; "
		    "PRAGMA cell_size_check=on; PRAGMA query_only=on; PRAGMA cache_size=-16384",
		    NULL, NULL, NULL);
	return sql_failure(s, code);
}

/* ---- opening ---- */

static size_t
cache_bytes(void)
{
	uint64_t part = host_memory() / 8;

	return part < CACHE_LEAST ? CACHE_LEAST : part > CACHE_MOST ? CACHE_MOST : (size_t)part;
}

int
sql_new(struct reader *rd, const struct sql_options *o, struct sql **out)
{
	struct sql *s;
	int rc;

	*out = NULL;
	if ((rc = MEM_NEW(s)))
		return rc;
	s->rd = rd;
	s->o = *o;
	if (!s->o.memory_bytes)
		s->o.memory_bytes = SQL_MEMORY;
	if (sqlite3_initialize() != SQLITE_OK)
		rc = fail(ERR_FAILED, "SQLite does not start");
	else
		rc = imagevfs_new(rd, cache_bytes(), &s->vfs);
	*out = rc ? sql_free(s) : s;
	return rc;
}

struct sql *
sql_free(struct sql *s)
{
	if (!s)
		return NULL;
	watch_free(s->watch);
	sqlite3_close(s->db);
	imagevfs_free(s->vfs);
	free(s->values);
	free(s->columns);
	free(s);
	return NULL;
}

static int
open_main(struct sql *s, const char *file)
{
	int code;

	sqlite3_hard_heap_limit64((sqlite3_int64)(s->o.memory_bytes < INT64_MAX ?
	    s->o.memory_bytes : INT64_MAX));
	code = sqlite3_open_v2(file, &s->db, SQLITE_OPEN_READONLY, imagevfs_name(s->vfs));
	if (code != SQLITE_OK)
		return sql_failure(s, code);
	sqlite3_extended_result_codes(s->db, 1);
	set_limits(s);
	if ((code = watch_new(interrupt, s, &s->watch)))
		return code;
	watch_begin(s->watch, 0);
	return set_switches(s);
}

static int
attach(struct sql *s, const char *file, const char *schema)
{
	sqlite3_stmt *stmt = NULL;
	int code = sqlite3_prepare_v2(s->db, "ATTACH ?1 AS ?2", -1, &stmt, NULL);

	if (code == SQLITE_OK)
		code = sqlite3_bind_text(stmt, 1, file, -1, SQLITE_STATIC);
	if (code == SQLITE_OK)
		code = sqlite3_bind_text(stmt, 2, schema, -1, SQLITE_STATIC);
	if (code == SQLITE_OK)
		code = sqlite3_step(stmt);
	code = sql_failure(s, code);
	sqlite3_finalize(stmt);
	return code;
}

/* What a program that died has left beside its database, and SQLite would use. */
static int
find_beside(struct sql *s, const struct name *root, const char *path, const char **beside)
{
	static const char *const suffixes[] = { "-wal", "-journal" };
	struct tree_entry found = { .mem = NULL };
	struct mem_buf b = { 0 };
	int rc = OK;

	*beside = NULL;
	for (size_t i = 0; rc == OK && !*beside && i < 2; i++) {
		b.len = 0;
		if ((rc = mem_buf_add(&b, path, strlen(path))) ||
		    (rc = mem_buf_add(&b, suffixes[i], strlen(suffixes[i]))) ||
		    (rc = tree_lookup(s->rd, root, (const char *)b.p, b.len, &found)) < 0)
			break;
		if (rc == FOUND && found.e.kind == TREENODE_FILE && found.e.size > 0)
			*beside = suffixes[i];
		tree_entry_clear(&found);
		rc = OK;
	}
	mem_buf_clear(&b);
	return view_damage(rc);
}

int
sql_add_entry(struct sql *s, const char *schema, const struct treenode_entry *e)
{
	char file[IMAGEVFS_FILE_MAX];
	int rc;

	if (e->kind != TREENODE_FILE)
		return fail(ERR_FAILED, "not a regular file");
	if ((rc = imagevfs_add(s->vfs, e, file)))
		return view_damage(rc);
	return s->db ? attach(s, file, schema) : open_main(s, file);
}

int
sql_add(struct sql *s, const char *schema, const struct name *root, const char *path,
    struct sql_remarks *remarks)
{
	struct tree_entry found = { .mem = NULL };
	int rc = view_damage(tree_lookup(s->rd, root, path, strlen(path), &found));

	if (rc == OK)
		return fail(ERR_ABSENT, "no '%s'", path);
	if (rc == FOUND)
		rc = err_context(sql_add_entry(s, schema, &found.e), "'%s'", path);
	if (rc == OK && remarks) {
		remarks->changed = (found.e.flags & TREENODE_CHANGED) != 0;
		rc = find_beside(s, root, path, &remarks->beside);
	}
	tree_entry_clear(&found);
	return rc;
}

int
sql_fill(struct sql *s)
{
	return imagevfs_fill(s->vfs, fetch_jobs());
}

int
sql_seal(struct sql *s)
{
	return sql_failure(s, sqlite3_set_authorizer(s->db, authorize, s));
}

void
sql_set_reader(struct sql *s, struct reader *rd)
{
	s->rd = rd;
	imagevfs_set_reader(s->vfs, rd);
	if (rd)
		watch_begin(s->watch, 0);
	else
		watch_end(s->watch);
}

/* ---- the file that a name means ---- */

struct namesake {
	const char *name;
	size_t count;
	struct mem_buf paths;           /* "/a/x.db, /b/x.db", not zero-terminated */
	size_t first_len;               /* of the first of them */
};

static int
namesake_item(void *arg, const struct listing_item *item)
{
	struct namesake *n = arg;
	int rc = signals_check();

	if (rc || item->e->kind != TREENODE_FILE || strcmp(item->path + item->name_off, n->name))
		return rc;
	if (n->count++ >= NAMES_SHOWN)
		return OK;
	if (n->count > 1 && (rc = mem_buf_add(&n->paths, ", ", 2)))
		return rc;
	rc = mem_buf_add(&n->paths, item->path, item->path_len);
	if (n->count == 1)
		n->first_len = n->paths.len;
	return rc;
}

/* A directory that cannot be read is the walk's result. */
static void
namesake_problem(void *arg, const char *path)
{
	(void)arg, (void)path;
}

static int
find_namesake(struct reader *rd, const struct name *root, const char *sub, const char *name,
    char **out)
{
	struct namesake n = { .name = name };
	const struct listing_options o = { .recursive = true, .item = namesake_item,
	    .problem = namesake_problem, .arg = &n };
	int rc = listing_walk(rd, root, sub ? sub : "", &o);

	if (rc == OK && n.count == 0)
		rc = fail(ERR_ABSENT, "no file '%s'", name);
	else if (rc == OK && n.count > 1)
		rc = fail(ERR_USAGE, "%zu files have the name '%s'; which one: %.*s%s", n.count,
		    name, (int)n.paths.len, (const char *)n.paths.p,
		    n.count > NAMES_SHOWN ? " ..." : "");
	if (rc == OK)
		rc = mem_dup_bytes((uint8_t **)out, n.paths.p, n.first_len);
	mem_buf_clear(&n.paths);
	return rc;
}

int
sql_is_file(struct reader *rd, const struct name *root, const char *path)
{
	struct tree_entry found = { .mem = NULL };
	int rc = view_damage(tree_lookup(rd, root, path, strlen(path), &found));

	if (rc == FOUND && found.e.kind != TREENODE_FILE)
		rc = OK;
	tree_entry_clear(&found);
	return rc;
}

int
sql_find(struct reader *rd, const struct name *root, const char *sub, const char *path, char **out)
{
	struct tree_entry found = { .mem = NULL };
	char *clean;
	int rc;

	*out = NULL;
	if ((rc = listing_clean_path(sub, path, &clean)))
		return rc;
	rc = view_damage(tree_lookup(rd, root, clean, strlen(clean), &found));
	tree_entry_clear(&found);
	if (rc == FOUND) {
		*out = clean;
		return OK;
	}
	free(clean);
	if (rc == OK && (!*path || strchr(path, '/')))
		rc = fail(ERR_ABSENT, "no '%s'", path);
	return rc ? rc : find_namesake(rd, root, sub, path, out);
}

/* ---- statements ---- */

static int
give_columns(struct sql *s, sqlite3_stmt *stmt, unsigned count, const struct sql_sink *sink)
{
	int rc = mem_grow((void **)&s->columns, &s->column_cap, count, sizeof(*s->columns));

	if (rc == OK)
		rc = mem_grow((void **)&s->values, &s->value_cap, count, sizeof(*s->values));
	for (unsigned i = 0; rc == OK && i < count; i++)
		if (!(s->columns[i] = sqlite3_column_name(stmt, (int)i)))
			rc = fail(ERR_NOMEM, "out of memory");
	return rc || !sink->begin ? rc : sink->begin(sink->arg, s->columns, count);
}

static enum sql_kind
kind_of(int type)
{
	switch (type) {
	case SQLITE_INTEGER:
		return SQL_INTEGER;
	case SQLITE_FLOAT:
		return SQL_REAL;
	case SQLITE_TEXT:
		return SQL_TEXT;
	case SQLITE_BLOB:
		return SQL_BLOB;
	default:
		return SQL_NULL;
	}
}

/* Numbers first: reading them as text converts them. */
static int
value_of(sqlite3_stmt *stmt, int i, struct sql_value *v)
{
	*v = (struct sql_value){ .kind = kind_of(sqlite3_column_type(stmt, i)) };
	if (v->kind == SQL_NULL)
		return OK;
	if (v->kind == SQL_INTEGER)
		v->i = sqlite3_column_int64(stmt, i);
	if (v->kind == SQL_REAL)
		v->d = sqlite3_column_double(stmt, i);
	v->p = v->kind == SQL_BLOB ? sqlite3_column_blob(stmt, i) :
	    (const char *)sqlite3_column_text(stmt, i);
	v->len = (size_t)sqlite3_column_bytes(stmt, i);
	if (!v->p && (v->kind != SQL_BLOB || v->len))
		return fail(ERR_NOMEM, "out of memory for a value");
	if (!v->p)
		v->p = "";
	return OK;
}

static int
give_rows(struct sql *s, sqlite3_stmt *stmt, const struct sql_sink *sink)
{
	unsigned count = (unsigned)sqlite3_column_count(stmt);
	int code, rc = OK;

	if (count > 0 && (rc = give_columns(s, stmt, count, sink)))
		return rc;
	while ((code = sqlite3_step(stmt)) == SQLITE_ROW) {
		for (unsigned i = 0; rc == OK && i < count; i++)
			rc = value_of(stmt, (int)i, &s->values[i]);
		if (rc || (rc = sink->row(sink->arg, s->values, count)))
			return rc;
	}
	rc = sql_failure(s, code);
	if (count > 0 && rc == OK && sink->end)
		rc = sink->end(sink->arg);
	return rc;
}

static int
run_one(struct sql *s, sqlite3_stmt *stmt, const char *const *binds, unsigned count,
    const struct sql_sink *sink)
{
	int code = SQLITE_OK;

	if (!sqlite3_stmt_readonly(stmt))
		return fail(ERR_FAILED, "this statement would change the database, which is part "
		    "of a snapshot and is only read" READ_ONLY);
	for (unsigned i = 0; code == SQLITE_OK && i < count; i++)
		code = sqlite3_bind_text(stmt, (int)i + 1, binds[i], -1, SQLITE_STATIC);
	return code == SQLITE_OK ? give_rows(s, stmt, sink) : sql_failure(s, code);
}

int
sql_run_with(struct sql *s, const char *text, const char *const *binds, unsigned count,
    const struct sql_sink *sink)
{
	sqlite3_stmt *stmt;
	int rc = OK;

	while (rc == OK && *text) {
		s->denied[0] = 0;
		if (s->o.seconds > 0 && s->o.seconds < INT32_MAX)
			watch_begin(s->watch, clock_steady_ns() +
			    (int64_t)s->o.seconds * CLOCK_NS);
		rc = sql_failure(s, sqlite3_prepare_v2(s->db, text, -1, &stmt, &text));
		if (rc == OK && stmt)
			rc = run_one(s, stmt, binds, count, sink);
		sqlite3_finalize(stmt);
	}
	if (s->o.seconds > 0)
		watch_begin(s->watch, 0);
	return rc;
}

int
sql_run(struct sql *s, const char *text, const struct sql_sink *sink)
{
	return sql_run_with(s, text, NULL, 0, sink);
}

bool
sql_complete(const char *text)
{
	return sqlite3_complete(text) != 0;
}

int
sql_quote(const char *name, char **out)
{
	struct mem_buf b = { 0 };
	int rc = mem_buf_add(&b, "\"", 1);

	for (; rc == OK && *name; name++)
		rc = mem_buf_add(&b, *name == '"' ? "\"\"" : name, *name == '"' ? 2 : 1);
	if (rc == OK)
		rc = mem_buf_add(&b, "\"", 2);
	*out = rc ? NULL : (char *)b.p;
	if (rc)
		mem_buf_clear(&b);
	return rc;
}

struct sqlite3 *
sql_handle(struct sql *s)
{
	return s->db;
}

const struct imagevfs_stats *
sql_stats(const struct sql *s)
{
	return imagevfs_stats(s->vfs);
}

const char *
sql_library(void)
{
	return sqlite3_libversion();
}
