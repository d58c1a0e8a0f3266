/*
 * shell: lines of SQL and of commands that begin with a dot, carried out on a connection.
 */
#ifndef CMD_SHELL_H
#define CMD_SHELL_H

#include "base/mem.h"
#include "cmd/rows.h"

struct sql;

struct shell {
	struct report *rp;
	struct sql *sql;                /* borrowed */
	struct rows rows;
	char **schemas;                 /* "main" and the attached ones; owned */
	size_t schema_count, schema_cap;
	struct mem_buf pending;         /* a statement that is not complete; zero-terminated */
	char *table, *between;          /* what rows borrows; owned */
	bool quit;                      /* somebody said so */
};

void shell_init(struct shell *sh, struct report *rp);
void shell_clear(struct shell *sh);

/* A database's name, so that .tables and the like know it; the first is "main". */
int shell_add(struct shell *sh, const char *schema) __attribute__((warn_unused_result));

/* Between columns in list mode; a backslash and a t are a tab. */
int shell_separator(struct shell *sh, const char *text) __attribute__((warn_unused_result));

/* A dot command; the line is cut into words in place. */
int shell_dot(struct shell *sh, char *line) __attribute__((warn_unused_result));

/* Statements, complete as they are. */
int shell_sql(struct shell *sh, const char *text) __attribute__((warn_unused_result));

/*
 * A line without its line feed (it may be changed): a dot command, or a part of a statement, which is
 * run with the line that completes it.
 */
int shell_line(struct shell *sh, char *line) __attribute__((warn_unused_result));

/* Lines up to the end, where a statement counts as complete, or to the first failure. */
int shell_text(struct shell *sh, char *text) __attribute__((warn_unused_result));

#endif
