/* rows: rows of a query on standard output, in the forms of the sqlite3 shell. */
#ifndef CMD_ROWS_H
#define CMD_ROWS_H

#include "base/mem.h"
#include "cmd/report.h"
#include "ops/sql.h"

enum rows_mode {
	ROWS_LIST,                      /* a|b */
	ROWS_CSV,                       /* RFC 4180 */
	ROWS_JSON,                      /* an array of objects for each statement that has rows */
	ROWS_BOX,                       /* a table drawn with lines */
	ROWS_INSERT                     /* INSERT statements for another database */
};

/* Cleared with rows_clear. */
struct rows {
	struct report *rp;
	enum rows_mode mode;
	bool header;                    /* names of columns first, in the modes that can be without */
	const char *separator;          /* ROWS_LIST; NULL: "|".  Borrowed */
	const char *table;              /* ROWS_INSERT: into this one.  Borrowed */
	bool terminal;                  /* stdout is one: control characters are made visible */

	/* of the statement that runs */
	const char *const *columns;
	unsigned count;                 /* of columns */
	bool any;                       /* a row came out */
	struct mem_buf cells;           /* ROWS_BOX: printable, zero-terminated */
	size_t cell_count;
	struct mem_buf scratch;
};

void rows_init(struct rows *r, struct report *rp);
void rows_clear(struct rows *r);

/* Where sql_run is to send rows.  Owns: r borrowed. */
struct sql_sink rows_sink(struct rows *r);

/* "list", "csv", "json", "box", "insert": FOUND or OK (no such mode). */
int rows_parse_mode(const char *text, enum rows_mode *mode);

#endif
