/*
 * rows: what comes out is what the sqlite3 shell prints in the same mode, with these exceptions,
 * each for the sake of the data: text and blobs come out whole and not up to their first zero byte;
 * JSON says of bytes that are not UTF-8 also KEY_b64; control characters do not reach a terminal.
 *
 * A box needs the widths of all its cells before its first line.  Of many rows several boxes are
 * drawn, so that memory stays bounded.
 */
#include "cmd/rows.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/text.h"

#define BOX_BYTES (8u << 20)            /* of cells in one box */
#define WIDE 0x1100u                    /* first code point that may take two columns */
#define REAL_CAP 40

void
rows_init(struct rows *r, struct report *rp)
{
	*r = (struct rows){ .rp = rp, .terminal = isatty(STDOUT_FILENO) == 1 };
}

void
rows_clear(struct rows *r)
{
	mem_buf_clear(&r->cells);
	mem_buf_clear(&r->scratch);
}

int
rows_parse_mode(const char *text, enum rows_mode *mode)
{
	static const char *const names[] = { "list", "csv", "json", "box", "insert" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(text, names[i]) == 0) {
			*mode = (enum rows_mode)i;
			return FOUND;
		}
	return OK;
}

static void
put(const char *text)
{
	fputs(text, stdout);
}

/* Bytes as they are, or on a terminal such that only line feeds and tabs have an effect. */
static void
put_bytes(struct rows *r, const char *p, size_t len)
{
	while (r->terminal && len > 0) {
		size_t n = 0;

		while (n < len && p[n] != '\n' && p[n] != '\t')
			n++;
		report_out_name(r->rp, p, n);
		if (n < len)
			putchar(p[n++]);
		p += n;
		len -= n;
	}
	if (len > 0)
		fwrite(p, 1, len, stdout);
}

/* ---- list ---- */

static void
list_field(struct rows *r, unsigned i, const char *p, size_t len)
{
	if (i > 0)
		put(r->separator ? r->separator : "|");
	put_bytes(r, p, len);
}

/* ---- csv ---- */

/* The shell's rule: anything but visible ASCII needs quotes, and so do the quotes themselves. */
static bool
csv_plain(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		unsigned char ch = (unsigned char)p[i];

		if (ch <= ' ' || ch >= 0x7f || ch == '"' || ch == '\'' || ch == ',')
			return false;
	}
	return len > 0;
}

static void
csv_field(struct rows *r, unsigned i, const char *p, size_t len, bool null)
{
	if (i > 0)
		put(",");
	if (null || csv_plain(p, len)) {
		put_bytes(r, p, len);
		return;
	}
	put("\"");
	for (size_t at = 0; at < len;) {
		const char *quote = memchr(p + at, '"', len - at);
		size_t n = quote ? (size_t)(quote - p) - at + 1 : len - at;

		put_bytes(r, p + at, n);
		if (quote)
			put("\"");
		at += n;
	}
	put("\"");
}

/* ---- json ---- */

/* p is UTF-8. */
static void
json_text(const char *p, size_t len)
{
	uint32_t code = 0;
	size_t n;

	put("\"");
	for (; len; p += n, len -= n) {
		n = text_utf8_next((const uint8_t *)p, len, &code);
		if (code == '"' || code == '\\')
			printf("\\%c", (int)code);
		else if (code == '\n' || code == '\t' || code == '\r')
			put(code == '\n' ? "\\n" : code == '\t' ? "\\t" : "\\r");
		else if (text_is_unsafe(code) && code < 0x10000)
			printf("\\u%04x", (unsigned)code);
		else
			fwrite(p, 1, n, stdout);
	}
	put("\"");
}

/* The name of a column comes from SQLite as UTF-8, or as what a damaged schema made of it. */
static int
json_key(struct rows *r, const char *name, const char *tail)
{
	int rc;

	r->scratch.len = 0;
	if ((rc = text_repair_utf8(&r->scratch, name, strlen(name))) ||
	    (rc = mem_buf_add(&r->scratch, tail, strlen(tail))))
		return rc;
	json_text((const char *)r->scratch.p, r->scratch.len);
	put(":");
	return OK;
}

static int
json_bytes(struct rows *r, const char *name, const struct sql_value *v)
{
	char *text;
	int rc;

	if (text_is_utf8(v->p, v->len)) {
		json_text(v->p, v->len);
		return OK;
	}
	r->scratch.len = 0;
	if ((rc = text_repair_utf8(&r->scratch, v->p, v->len)))
		return rc;
	json_text((const char *)r->scratch.p, r->scratch.len);
	put(",");
	if ((rc = json_key(r, name, "_b64")))
		return rc;
	if ((rc = mem_new((void **)&text, TEXT_BASE64_MAX(v->len))))
		return rc;
	text_base64(text, v->p, v->len);
	json_text(text, strlen(text));
	free(text);
	return OK;
}

/* The shortest of 15 and 17 digits that gives the number back. */
static const char *
real_text(char buf[static REAL_CAP], double d)
{
	if (isinf(d))
		return d > 0 ? "1e999" : "-1e999";
	snprintf(buf, REAL_CAP, "%.15g", d);
	if (strtod(buf, NULL) < d || strtod(buf, NULL) > d)
		snprintf(buf, REAL_CAP, "%.17g", d);
	if (!strpbrk(buf, ".e"))
		strcat(buf, ".0");
	return buf;
}

static int
json_row(struct rows *r, const struct sql_value *v)
{
	char real[REAL_CAP];
	int rc = OK;

	put(r->any ? ",\n{" : "[{");
	for (unsigned i = 0; rc == OK && i < r->count; i++, v++) {
		if (i > 0)
			put(",");
		if ((rc = json_key(r, r->columns[i], "")))
			break;
		if (v->kind == SQL_NULL)
			put("null");
		else if (v->kind == SQL_INTEGER)
			printf("%jd", (intmax_t)v->i);
		else if (v->kind == SQL_REAL)
			put(real_text(real, v->d));
		else
			rc = json_bytes(r, r->columns[i], v);
	}
	put("}");
	return rc;
}

/* ---- insert ---- */

static void
insert_text(const char *p, size_t len)
{
	put("'");
	for (size_t i = 0; i < len; i++)
		put(p[i] == '\'' ? "''" : (char[]){ p[i], 0 });
	put("'");
}

/* A literal can be neither cut by a zero nor damaged by whatever carries it to the other program. */
static bool
literal_ok(const struct rows *r, const char *p, size_t len)
{
	uint32_t code = 0;
	size_t n;

	for (; len > 0; p += n, len -= n) {
		n = text_utf8_next((const uint8_t *)p, len, &code);
		if (n == 0 || code == 0)
			return false;
		if (r->terminal && text_is_unsafe(code) && code != '\n' && code != '\t')
			return false;
	}
	return true;
}

static void
insert_bytes(struct rows *r, const struct sql_value *v)
{
	bool cast = v->kind == SQL_TEXT;

	if (cast && literal_ok(r, v->p, v->len)) {
		insert_text(v->p, v->len);
		return;
	}
	put(cast ? "CAST(X'" : "X'");
	for (size_t i = 0; i < v->len; i++)
		printf("%02x", (unsigned)(unsigned char)v->p[i]);
	put(cast ? "' AS TEXT)" : "'");
}

/* A name in quotes; what a terminal must not see makes it another name, of no use to anybody. */
static int
insert_name(struct rows *r, const char *name)
{
	char *quoted;
	int rc = sql_quote(name, &quoted);

	if (rc)
		return rc;
	put_bytes(r, quoted, strlen(quoted));
	free(quoted);
	return OK;
}

static int
insert_row(struct rows *r, const struct sql_value *v)
{
	char real[REAL_CAP];
	int rc;

	put("INSERT INTO ");
	if ((rc = insert_name(r, r->table)))
		return rc;
	for (unsigned i = 0; i < r->count; i++) {
		put(i > 0 ? "," : "(");
		if ((rc = insert_name(r, r->columns[i])))
			return rc;
	}
	put(") VALUES(");
	for (unsigned i = 0; i < r->count; i++, v++) {
		if (i > 0)
			put(",");
		if (v->kind == SQL_NULL)
			put("NULL");
		else if (v->kind == SQL_INTEGER)
			printf("%jd", (intmax_t)v->i);
		else if (v->kind == SQL_REAL)
			put(real_text(real, v->d));
		else
			insert_bytes(r, v);
	}
	put(");\n");
	return OK;
}

/* ---- box ---- */

static size_t
width_of(const char *text)
{
	size_t left = strlen(text), n, width = 0;
	uint32_t code = 0;

	for (; left; text += n, left -= n) {
		n = text_utf8_next((const uint8_t *)text, left, &code);
		width += n && code >= WIDE ? 2 : 1;
		n = n ? n : 1;
	}
	return width;
}

static int
box_cell(struct rows *r, const char *p, size_t len)
{
	int rc = text_printable(&r->cells, p, len);

	r->cell_count++;
	return rc ? rc : mem_buf_add(&r->cells, "", 1);
}

static void
box_line(const size_t *widths, unsigned count, const char *left, const char *mid, const char *right)
{
	for (unsigned i = 0; i < count; i++) {
		put(i > 0 ? mid : left);
		for (size_t n = 0; n < widths[i] + 2; n++)
			put("─");
	}
	printf("%s\n", right);
}

/* A cell after `before` blanks, filled up to the width. */
static void
box_put(const char *text, size_t before, size_t width)
{
	size_t used = before + width_of(text);

	printf("│ %*s%s%*s ", (int)before, "", text, (int)(width > used ? width - used : 0), "");
}

/* The first row of cells are the names. */
static void
box_draw(const struct rows *r, const size_t *widths)
{
	const char *cell = (const char *)r->cells.p;

	box_line(widths, r->count, "┌", "┬", "┐");
	for (size_t i = 0; i < r->cell_count; i++, cell += strlen(cell) + 1) {
		size_t col = i % r->count;

		if (i == r->count)
			box_line(widths, r->count, "├", "┼", "┤");
		box_put(cell, i < r->count ? (widths[col] - width_of(cell)) / 2 : 0, widths[col]);
		if (col + 1 == r->count)
			put("│\n");
	}
	box_line(widths, r->count, "└", "┴", "┘");
}

static int
box_begin(struct rows *r)
{
	int rc = OK;

	r->cells.len = 0;
	r->cell_count = 0;
	for (unsigned i = 0; rc == OK && i < r->count; i++)
		rc = box_cell(r, r->columns[i], strlen(r->columns[i]));
	return rc;
}

static int
box_flush(struct rows *r)
{
	const char *cell = (const char *)r->cells.p;
	size_t *widths;
	int rc;

	if (r->cell_count <= r->count)
		return OK;
	if ((rc = mem_new((void **)&widths, mem_array(r->count, sizeof(*widths)))))
		return rc;
	for (size_t i = 0; i < r->cell_count; i++, cell += strlen(cell) + 1) {
		size_t width = width_of(cell);

		if (width > widths[i % r->count])
			widths[i % r->count] = width;
	}
	box_draw(r, widths);
	free(widths);
	return box_begin(r);
}

static int
box_row(struct rows *r, const struct sql_value *v)
{
	int rc = OK;

	for (unsigned i = 0; rc == OK && i < r->count; i++, v++)
		rc = box_cell(r, v->p ? v->p : "", v->len);
	return rc == OK && r->cells.len > BOX_BYTES ? box_flush(r) : rc;
}

/* ---- the sink ---- */

static int
begin(void *arg, const char *const *columns, unsigned count)
{
	struct rows *r = arg;

	r->columns = columns;
	r->count = count;
	r->any = false;
	return r->mode == ROWS_BOX ? box_begin(r) : OK;
}

/* Like the shell's: no rows, no header. */
static void
header(struct rows *r)
{
	if (!r->header || r->any || (r->mode != ROWS_LIST && r->mode != ROWS_CSV))
		return;
	for (unsigned i = 0; i < r->count; i++) {
		size_t len = strlen(r->columns[i]);

		if (r->mode == ROWS_CSV)
			csv_field(r, i, r->columns[i], len, false);
		else
			list_field(r, i, r->columns[i], len);
	}
	put("\n");
}

static int
row(void *arg, const struct sql_value *v, unsigned count)
{
	struct rows *r = arg;
	int rc = OK;

	header(r);
	switch (r->mode) {
	case ROWS_JSON:
		rc = json_row(r, v);
		break;
	case ROWS_BOX:
		rc = box_row(r, v);
		break;
	case ROWS_INSERT:
		rc = insert_row(r, v);
		break;
	case ROWS_CSV:
	case ROWS_LIST:
		for (unsigned i = 0; i < count; i++, v++)
			if (r->mode == ROWS_CSV)
				csv_field(r, i, v->p, v->len, v->kind == SQL_NULL);
			else
				list_field(r, i, v->p, v->len);
		put("\n");
	}
	r->any = true;
	return rc ? rc : report_check(r->rp);
}

static int
end(void *arg)
{
	struct rows *r = arg;

	if (r->mode == ROWS_JSON && r->any)
		put("]\n");
	return r->mode == ROWS_BOX ? box_flush(r) : OK;
}

struct sql_sink
rows_sink(struct rows *r)
{
	return (struct sql_sink){ .begin = begin, .row = row, .end = end, .arg = r };
}
