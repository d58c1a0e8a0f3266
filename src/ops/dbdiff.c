/*
 * dbdiff: the new database is `main`, the old one `old`, of one connection.
 *
 * A table whose rows are told apart by their rowid is read in two statements in that order, and
 * merged.  With another primary key it is one join: such keys have collations, which SQLite knows
 * better.  A key that has NULLs does not tell rows apart; then the rowid has to.
 */
#include "ops/dbdiff.h"

#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "ops/sql.h"
#include "ops/view.h"
#include "source/imagevfs.h"

#define TERMS 30                        /* in one pair of parentheses: bounds the depth of OR */

struct object {                         /* a row of sqlite_master; texts owned */
	char what;
	char *type, *name;
	bool definition;                /* differs */
	bool virtual, shadow;
};

struct dbdiff {
	struct sql *sql;
	dbdiff_item_fn item;
	void *arg;
	struct object *objects;
	size_t count, cap;
};

struct columns {                        /* that both have, quoted; owned */
	char **names, **keys;
	size_t count, cap, key_count, key_cap;
	bool same_keys;                 /* the primary key is of the same columns */
	bool key_index;                 /* and not the rowid under another name */
	const char *rowid;              /* a name by which it goes; NULL: none */
};

/* ---- small questions ---- */

static int __attribute__((format(printf, 2, 3)))
append(struct mem_buf *b, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;
	int n, rc;

	va_start(ap, fmt);
	n = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return fail(ERR_NOMEM, "out of memory");
	if ((rc = mem_buf_add(b, text, (size_t)n + 1)) == OK)
		b->len--;
	free(text);
	return rc;
}

static int
prepare(struct dbdiff *d, const char *text, sqlite3_stmt **stmt)
{
	return sql_failure(d->sql, sqlite3_prepare_v2(sql_handle(d->sql), text, -1, stmt, NULL));
}

/* The first row of a question in a buffer as numbers, all zero when there is none; clears the buffer. */
static int
numbers(struct dbdiff *d, struct mem_buf *question, uint64_t *out, int count)
{
	sqlite3_stmt *stmt = NULL;
	int code, rc = prepare(d, (const char *)question->p, &stmt);

	for (int i = 0; i < count; i++)
		out[i] = 0;
	if (rc == OK) {
		code = sqlite3_step(stmt);
		rc = sql_failure(d->sql, code);
		for (int i = 0; code == SQLITE_ROW && i < count; i++)
			out[i] = (uint64_t)sqlite3_column_int64(stmt, i);
	}
	sqlite3_finalize(stmt);
	mem_buf_clear(question);
	return rc;
}

static int
count_rows(struct dbdiff *d, const char *schema, const char *quoted, uint64_t *out)
{
	struct mem_buf q = { 0 };
	int rc = append(&q, "SELECT count(*) FROM %s.%s", schema, quoted);

	return rc ? rc : numbers(d, &q, out, 1);
}

/* ---- columns ---- */

static void
columns_clear(struct columns *c)
{
	for (size_t i = 0; i < c->count; i++)
		free(c->names[i]);
	for (size_t i = 0; i < c->key_count; i++)
		free(c->keys[i]);
	free(c->names);
	free(c->keys);
	*c = (struct columns){ .names = NULL };
}

static int
push(char ***list, size_t *count, size_t *cap, const char *name)
{
	int rc = mem_grow((void **)list, cap, *count + 1, sizeof(**list));

	if (rc == OK)
		rc = sql_quote(name, &(*list)[*count]);
	if (rc == OK)
		(*count)++;
	return rc;
}

static int
add_column(struct columns *c, sqlite3_stmt *stmt)
{
	const char *name = (const char *)sqlite3_column_text(stmt, 0);
	int new_pk = sqlite3_column_int(stmt, 1), old_pk = sqlite3_column_int(stmt, 2);
	bool in_old = sqlite3_column_int(stmt, 3) != 0;
	int rc = OK;

	if (!name)
		return fail(ERR_NOMEM, "out of memory");
	if (new_pk != old_pk)
		c->same_keys = false;
	if (in_old)
		rc = push(&c->names, &c->count, &c->cap, name);
	if (rc == OK && in_old && new_pk > 0)
		rc = push(&c->keys, &c->key_count, &c->key_cap, name);
	return rc;
}

static bool
has_column(const struct columns *c, const char *name)
{
	for (size_t i = 0; i < c->count; i++)
		if (sqlite3_strnicmp(c->names[i] + 1, name, (int)strlen(name)) == 0 &&
		    strcmp(c->names[i] + 1 + strlen(name), "\"") == 0)
			return true;
	return false;
}

/* Does a question about the table compile? */
static bool
compiles(struct dbdiff *d, const char *schema, const char *what, const char *quoted)
{
	struct mem_buf q = { 0 };
	sqlite3_stmt *stmt = NULL;
	bool yes = append(&q, "SELECT %s FROM %s.%s", what, schema, quoted) == OK &&
	    prepare(d, (const char *)q.p, &stmt) == OK;

	sqlite3_finalize(stmt);
	mem_buf_clear(&q);
	return yes;
}

static int
columns_read(struct dbdiff *d, const char *name, const char *quoted, struct columns *c)
{
	static const char *const aliases[] = { "rowid", "_rowid_", "oid" };
	sqlite3_stmt *stmt = NULL;
	int code = SQLITE_OK, rc;

	*c = (struct columns){ .same_keys = true };
	rc = prepare(d, "SELECT n.name, n.pk, coalesce(o.pk, 0), o.name IS NOT NULL, "
	    "  (SELECT count(*) FROM pragma_index_list(?1, 'main') WHERE origin = 'pk')"
	    "FROM pragma_table_xinfo(?1, 'main') AS n LEFT JOIN "
	    "(SELECT * FROM pragma_table_xinfo(?1, 'old') WHERE hidden = 0) AS o "
	    "ON n.name = o.name COLLATE NOCASE WHERE n.hidden = 0 ORDER BY n.cid", &stmt);
	if (rc == OK)
		rc = sql_failure(d->sql, sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC));
	while (rc == OK && (code = sqlite3_step(stmt)) == SQLITE_ROW) {
		c->key_index = sqlite3_column_int(stmt, 4) > 0;
		rc = add_column(c, stmt);
	}
	if (rc == OK)
		rc = sql_failure(d->sql, code);
	sqlite3_finalize(stmt);
	for (size_t i = 0; rc == OK && !c->rowid && i < sizeof(aliases) / sizeof(aliases[0]); i++)
		if (!has_column(c, aliases[i]) && compiles(d, "main", aliases[i], quoted) &&
		    compiles(d, "old", aliases[i], quoted))
			c->rowid = aliases[i];
	return rc;
}

/* ---- rows by rowid ---- */

struct side {
	sqlite3_stmt *stmt;
	bool has;
	sqlite3_int64 rowid;
};

static int
side_next(struct dbdiff *d, struct side *s)
{
	int code = sqlite3_step(s->stmt);

	s->has = code == SQLITE_ROW;
	if (s->has)
		s->rowid = sqlite3_column_int64(s->stmt, 0);
	return sql_failure(d->sql, code);
}

static int
side_open(struct dbdiff *d, struct side *s, const char *schema, const char *quoted,
    const struct columns *c)
{
	struct mem_buf q = { 0 };
	int rc = append(&q, "SELECT %s", c->rowid);

	for (size_t i = 0; rc == OK && i < c->count; i++)
		rc = append(&q, ", %s", c->names[i]);
	if (rc == OK)
		rc = append(&q, " FROM %s.%s NOT INDEXED ORDER BY %s", schema, quoted, c->rowid);
	if (rc == OK)
		rc = prepare(d, (const char *)q.p, &s->stmt);
	mem_buf_clear(&q);
	return rc ? rc : side_next(d, s);
}

/* Type and bytes. */
static bool
same_value(sqlite3_stmt *a, sqlite3_stmt *b, int i)
{
	int type = sqlite3_column_type(a, i);
	double x, y;
	const void *p, *q;
	int len;

	if (type != sqlite3_column_type(b, i))
		return false;
	switch (type) {
	case SQLITE_INTEGER:
		return sqlite3_column_int64(a, i) == sqlite3_column_int64(b, i);
	case SQLITE_FLOAT:
		x = sqlite3_column_double(a, i);
		y = sqlite3_column_double(b, i);
		return memcmp(&x, &y, sizeof(x)) == 0;
	case SQLITE_TEXT:
	case SQLITE_BLOB:
		p = sqlite3_column_blob(a, i);
		q = sqlite3_column_blob(b, i);
		len = sqlite3_column_bytes(a, i);
		return len == sqlite3_column_bytes(b, i) && (len == 0 ||
		    (p && q && memcmp(p, q, (size_t)len) == 0));
	default:
		return true;
	}
}

static bool
same_row(const struct side *a, const struct side *b, size_t count)
{
	for (size_t i = 1; i <= count; i++)
		if (!same_value(a->stmt, b->stmt, (int)i))
			return false;
	return true;
}

static int
by_rowid(struct dbdiff *d, const char *quoted, const struct columns *c, struct dbdiff_item *item)
{
	struct side n = { .stmt = NULL }, o = { .stmt = NULL };
	int rc;

	if ((rc = side_open(d, &n, "main", quoted, c)) == OK)
		rc = side_open(d, &o, "old", quoted, c);
	while (rc == OK && (n.has || o.has)) {
		bool in_new = n.has && (!o.has || n.rowid <= o.rowid);
		bool in_old = o.has && (!n.has || o.rowid <= n.rowid);

		if (!in_old)
			item->added++;
		else if (!in_new)
			item->removed++;
		else if (!same_row(&n, &o, c->count))
			item->changed++;
		if (in_new)
			rc = side_next(d, &n);
		if (rc == OK && in_old)
			rc = side_next(d, &o);
	}
	sqlite3_finalize(n.stmt);
	sqlite3_finalize(o.stmt);
	return rc;
}

/* ---- rows by primary key ---- */

/* Some value of the key is NULL in either. */
static int
has_null_key(struct dbdiff *d, const char *quoted, const struct columns *c, bool *out)
{
	uint64_t n = 0;
	int rc = OK;

	for (int side = 0; rc == OK && n == 0 && side < 2; side++) {
		struct mem_buf q = { 0 };

		rc = append(&q, "SELECT 1 FROM %s.%s WHERE ", side ? "old" : "main", quoted);
		for (size_t i = 0; rc == OK && i < c->key_count; i++)
			rc = append(&q, "%s%s IS NULL", i ? " OR " : "", c->keys[i]);
		if (rc == OK)
			rc = append(&q, " LIMIT 1");
		if (rc == OK)
			rc = numbers(d, &q, &n, 1);
		mem_buf_clear(&q);
	}
	*out = n > 0;
	return rc;
}

static int
append_differs(struct mem_buf *q, const struct columns *c)
{
	int rc = append(q, "((0");

	for (size_t i = 0; rc == OK && i < c->count; i++)
		rc = append(q, "%s OR n.%s COLLATE BINARY IS NOT o.%s OR "
		    "typeof(n.%s) <> typeof(o.%s)", i % TERMS == TERMS - 1 ? ") OR (0" : "",
		    c->names[i], c->names[i], c->names[i], c->names[i]);
	return rc ? rc : append(q, "))");
}

/* Keys are unique on both sides, so what is gone follows from the counts. */
static int
by_key(struct dbdiff *d, const char *quoted, const struct columns *c, struct dbdiff_item *item)
{
	struct mem_buf q = { 0 };
	uint64_t n[3], old_rows;
	int rc;

	if ((rc = append(&q, "SELECT count(*), sum(o.%s IS NULL), sum(o.%s IS NOT NULL AND ",
	    c->keys[0], c->keys[0])) ||
	    (rc = append_differs(&q, c)) ||
	    (rc = append(&q, ") FROM main.%s AS n LEFT JOIN old.%s AS o ON ", quoted, quoted)))
		goto out;
	for (size_t i = 0; rc == OK && i < c->key_count; i++)
		rc = append(&q, "%sn.%s = o.%s", i ? " AND " : "", c->keys[i], c->keys[i]);
	if (rc || (rc = numbers(d, &q, n, 3)) || (rc = count_rows(d, "old", quoted, &old_rows)))
		goto out;
	if (n[0] - n[1] > old_rows) {
		rc = fail(ERR_FAILED, "its primary key is not unique");
		goto out;
	}
	item->added = n[1];
	item->changed = n[2];
	item->removed = old_rows - (n[0] - n[1]);
out:
	mem_buf_clear(&q);
	return rc;
}

static int
compare_rows(struct dbdiff *d, const char *name, struct dbdiff_item *item)
{
	struct columns c = { .names = NULL };
	char *quoted = NULL;
	bool null_key = false;
	int rc;

	item->counted = true;
	if ((rc = sql_quote(name, &quoted)) || (rc = columns_read(d, name, quoted, &c)))
		goto out;
	if (c.key_index && c.same_keys && c.rowid &&
	    (rc = has_null_key(d, quoted, &c, &null_key)))
		goto out;
	if (c.key_index && c.same_keys && c.key_count > 0 && !null_key)
		rc = by_key(d, quoted, &c, item);
	else if (c.rowid)
		rc = by_rowid(d, quoted, &c, item);
	else
		rc = fail(ERR_FAILED, "the primary key is another one");
out:
	columns_clear(&c);
	free(quoted);
	return rc;
}

/* ---- objects ---- */

static bool
is_differing(const struct dbdiff_item *item)
{
	return item->what != 'M' || item->definition || item->why || item->added ||
	    item->removed || item->changed;
}

static const struct object *
find_table(const struct dbdiff *d, const char *name, const char *tail)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < d->count; i++)
		if (strcmp(d->objects[i].type, "table") == 0 &&
		    strncmp(d->objects[i].name, name, len) == 0 &&
		    strcmp(d->objects[i].name + len, tail) == 0)
			return &d->objects[i];
	return NULL;
}

/* Is it one of the tables in which the virtual table `of` keeps its data? */
static bool
is_shadow(const struct object *o, const struct object *of)
{
	static const char *const tails[] = { "_content", "_data", "_idx", "_docsize", "_config",
	    "_segments", "_segdir", "_stat", "_node", "_parent", "_rowid", NULL };
	size_t len = strlen(of->name);

	if (strcmp(o->type, "table") != 0 || o->virtual || strncmp(o->name, of->name, len) != 0)
		return false;
	for (const char *const *t = tails; *t; t++)
		if (strcmp(o->name + len, *t) == 0)
			return true;
	return false;
}

static void
mark_shadows(struct dbdiff *d)
{
	for (size_t v = 0; v < d->count; v++)
		for (size_t i = 0; d->objects[v].virtual && i < d->count; i++)
			if (is_shadow(&d->objects[i], &d->objects[v]))
				d->objects[i].shadow = true;
}

/* A virtual table without content of its own: does anything in its shadow tables differ? */
static int
compare_shadows(struct dbdiff *d, const struct object *of, struct dbdiff_item *item)
{
	int rc = OK;

	for (size_t i = 0; rc == OK && !item->why && i < d->count; i++) {
		struct dbdiff_item part = { .what = d->objects[i].what };

		if (!is_shadow(&d->objects[i], of))
			continue;
		if (part.what == 'M')
			rc = compare_rows(d, d->objects[i].name, &part);
		if (rc == OK && is_differing(&part))
			item->why = "it differs; rows of such a virtual table are not counted";
	}
	return rc;
}

/* The rows of a table that both have. */
static int
compare_table(struct dbdiff *d, const struct object *o, struct dbdiff_item *item)
{
	const struct object *content = o->virtual ? find_table(d, o->name, "_content") : NULL;

	if (!o->virtual)
		return compare_rows(d, o->name, item);
	if (content && content->what == 'M')
		return compare_rows(d, content->name, item);
	return compare_shadows(d, o, item);
}

/* The rows of a table that only one has. */
static int
count_table(struct dbdiff *d, const struct object *o, struct dbdiff_item *item)
{
	const struct object *content = o->virtual ? find_table(d, o->name, "_content") : o;
	char *quoted;
	int rc;

	if (!content)
		return OK;
	if ((rc = sql_quote(content->name, &quoted)))
		return rc;
	rc = count_rows(d, o->what == '+' ? "main" : "old", quoted,
	    o->what == '+' ? &item->added : &item->removed);
	item->counted = rc == OK;
	free(quoted);
	return rc;
}

static int
compare_object(struct dbdiff *d, const struct object *o)
{
	struct dbdiff_item item = { .what = o->what, .type = o->type, .name = o->name,
	    .definition = o->definition };
	char why[300];
	int rc = OK;

	if (strcmp(o->type, "table") == 0)
		rc = o->what == 'M' ? compare_table(d, o, &item) : count_table(d, o, &item);
	if (rc == ERR_FAILED) {
		/* What is wrong with one table does not hide the others. */
		snprintf(why, sizeof(why), "%s", err_text());
		item.why = why;
		item.counted = false;
		rc = OK;
	}
	if (item.why)
		item.counted = false;
	return rc || !is_differing(&item) ? rc : d->item(d->arg, &item);
}

static int
add_object(void *arg, const struct sql_value *v, unsigned count)
{
	struct dbdiff *d = arg;
	struct object *o;
	int rc;

	(void)count;
	if ((rc = mem_grow((void **)&d->objects, &d->cap, d->count + 1, sizeof(*d->objects))))
		return rc;
	o = &d->objects[d->count++];
	*o = (struct object){ .what = v[0].p[0], .definition = v[3].i != 0,
	    .virtual = v[4].i != 0 };
	if ((rc = mem_dup_bytes((uint8_t **)&o->type, v[1].p, v[1].len)))
		return rc;
	return mem_dup_bytes((uint8_t **)&o->name, v[2].p, v[2].len);
}

/* Tables first. */
static int
read_objects(struct dbdiff *d)
{
	static const char question[] =
	    "WITH n AS (SELECT type, name, sql, type = 'table' AND coalesce(rootpage, 0) = 0 AS v "
	    "  FROM main.sqlite_master WHERE typeof(name) = 'text' AND "
	    "  substr(name, 1, 7) <> 'sqlite_' AND typeof(type) = 'text'),"
	    " o AS (SELECT type, name, sql, type = 'table' AND coalesce(rootpage, 0) = 0 AS v "
	    "  FROM old.sqlite_master WHERE typeof(name) = 'text' AND "
	    "  substr(name, 1, 7) <> 'sqlite_' AND typeof(type) = 'text') "
	    "SELECT * FROM (SELECT 'M' AS what, n.type AS type, n.name AS name, n.sql IS NOT o.sql, n.v "
	    "  FROM n JOIN o USING (type, name) "
	    "UNION ALL SELECT '+', type, name, 0, v FROM n "
	    "  WHERE (type, name) NOT IN (SELECT type, name FROM o) "
	    "UNION ALL SELECT '-', type, name, 0, v FROM o "
	    "  WHERE (type, name) NOT IN (SELECT type, name FROM n) "
	    ") ORDER BY type <> 'table', type, name";
	const struct sql_sink sink = { .row = add_object, .arg = d };

	return sql_run(d->sql, question, &sink);
}

static int
compare_all(struct dbdiff *d)
{
	int rc = read_objects(d);

	if (rc)
		return rc;
	mark_shadows(d);
	for (size_t i = 0; rc == OK && i < d->count; i++)
		if (!d->objects[i].shadow)
			rc = compare_object(d, &d->objects[i]);
	return rc;
}

int
dbdiff_run(struct reader *rd, const struct treenode_entry *old_entry,
    const struct treenode_entry *new_entry, dbdiff_item_fn item, void *arg)
{
	struct dbdiff d = { .item = item, .arg = arg };
	int rc;

	if ((rc = sql_new(rd, &(struct sql_options){ 0 }, &d.sql)) == OK &&
	    (rc = sql_add_entry(d.sql, "main", new_entry)) == OK &&
	    (rc = sql_add_entry(d.sql, "old", old_entry)) == OK &&
	    (rc = sql_seal(d.sql)) == OK)
		rc = compare_all(&d);
	for (size_t i = 0; i < d.count; i++) {
		free(d.objects[i].type);
		free(d.objects[i].name);
	}
	free(d.objects);
	sql_free(d.sql);
	return rc;
}

int
dbdiff_probe(struct reader *rd, const struct treenode_entry *old_entry,
    const struct treenode_entry *new_entry)
{
	int a, b;

	if (old_entry->kind != TREENODE_FILE || new_entry->kind != TREENODE_FILE)
		return OK;
	a = old_entry->size ? imagevfs_probe(rd, old_entry) : AT_END;
	if (a < 0 || a == OK)
		return view_damage(a);
	b = new_entry->size ? imagevfs_probe(rd, new_entry) : AT_END;
	if (b < 0 || b == OK)
		return view_damage(b);
	return a == FOUND || b == FOUND ? FOUND : OK;
}
