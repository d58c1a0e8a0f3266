/*
 * sql: questions to databases as they lie in snapshots.  A connection has one database that is
 *      called main and any number of others beside it, each out of some snapshot, none of which can
 *      be changed.
 *
 * What is in a database may have been put there by anybody: its schema is not trusted, nothing but
 * reading is allowed, memory is bounded, nothing is written to disk, a signal or a time limit ends
 * every statement.
 */
#ifndef OPS_SQL_H
#define OPS_SQL_H

#include "format/name.h"
#include "source/imagevfs.h"
#include "store/reader.h"

struct sql;

#define SQL_MEMORY (512u << 20)         /* a good bound */

struct sql_options {
	uint64_t memory_bytes;          /* for SQLite, of the whole process; 0: SQL_MEMORY */
	uint64_t seconds;               /* for one statement; 0: any time */
};

/* Owns: rd borrowed; *out: caller frees with sql_free. */
int sql_new(struct reader *rd, const struct sql_options *o,
    struct sql **out) __attribute__((warn_unused_result));
struct sql *sql_free(struct sql *s);

/*
 * The file of a snapshot that `path` means: what lies there ("/srv/app.db", "srv/app.db"); or, of a
 * bare name, the one file of that name in the whole snapshot.  sub (NULL: all) is a directory in
 * which to look.
 * Owns:   *out: caller frees; absolute.
 * Errors: ERR_ABSENT; ERR_USAGE when several have that name, which the note tells
 * Cost:   of a bare name: every directory of the snapshot.
 */
int sql_find(struct reader *rd, const struct name *root, const char *sub, const char *path,
    char **out) __attribute__((warn_unused_result));

/* Is it a regular file?  FOUND, OK (no), or an error. */
int sql_is_file(struct reader *rd, const struct name *root,
    const char *path) __attribute__((warn_unused_result));

/* What a reader of the answers should know. */
struct sql_remarks {
	bool changed;                   /* the file changed while it was read for the snapshot */
	/* "-wal" or "-journal": such a file beside it is not empty, and is not seen; else NULL */
	const char *beside;
};

/*
 * Add a database; the first one must be called "main".  remarks may be NULL.
 * Errors: ERR_ABSENT; ERR_FAILED not a regular file, not a database, a name that cannot be used;
 *         ERR_CORRUPT, ERR_AUTH damage in the repository
 */
int sql_add(struct sql *s, const char *schema, const struct name *root, const char *path,
    struct sql_remarks *remarks) __attribute__((warn_unused_result));

/* The same for an entry that was found already. */
int sql_add_entry(struct sql *s, const char *schema,
    const struct treenode_entry *e) __attribute__((warn_unused_result));

/* Read the database added last as a whole, before statements that will want all of it (imagevfs_fill). */
int sql_fill(struct sql *s) __attribute__((warn_unused_result));

/* From now on no more databases; statements may be run. */
int sql_seal(struct sql *s) __attribute__((warn_unused_result));

/*
 * Read through another reader of the same repository from now on; NULL: nothing will be asked until
 * there is one again.  A database must have been added.
 */
void sql_set_reader(struct sql *s, struct reader *rd);

enum sql_kind { SQL_NULL, SQL_INTEGER, SQL_REAL, SQL_TEXT, SQL_BLOB };

struct sql_value {
	enum sql_kind kind;
	int64_t i;                      /* SQL_INTEGER */
	double d;                       /* SQL_REAL */
	/* what SQLite makes of it as text, or the bytes of a blob; borrowed until the next row */
	const char *p;
	size_t len;
};

/* Where rows go; a failure ends the statement and is returned.  begin and end may be NULL. */
struct sql_sink {
	int (*begin)(void *arg, const char *const *columns, unsigned count);
	int (*row)(void *arg, const struct sql_value *values, unsigned count);
	int (*end)(void *arg);          /* after the last row of a statement that has columns */
	void *arg;
};

/*
 * Run all statements of a text, one after the other, up to the first failure.
 * Errors: ERR_FAILED   what SQLite says; a statement that would change something; the time limit
 *         ERR_CORRUPT, ERR_AUTH  damage in the repository
 *         ERR_NOMEM    more than memory_bytes; ERR_INTERRUPTED
 */
int sql_run(struct sql *s, const char *text,
    const struct sql_sink *sink) __attribute__((warn_unused_result));

/* The same with texts bound to the parameters ?1, ?2, ...; NULL is NULL. */
int sql_run_with(struct sql *s, const char *text, const char *const *binds, unsigned count,
    const struct sql_sink *sink) __attribute__((warn_unused_result));

/* Does the text end a statement (with a semicolon that is not inside of anything)? */
bool sql_complete(const char *text);

/* The text as an SQL identifier in quotes.  Owns: *out: caller frees. */
int sql_quote(const char *name, char **out) __attribute__((warn_unused_result));

/* The connection itself, for the other operations of this layer. */
struct sqlite3;
struct sqlite3 *sql_handle(struct sql *s);

/* The failure that an SQLite result code stands for, with its note; OK of SQLITE_OK, _ROW, _DONE. */
int sql_failure(struct sql *s, int code) __attribute__((warn_unused_result));

const struct imagevfs_stats *sql_stats(const struct sql *s);

/* The version of SQLite that is linked. */
const char *sql_library(void);

#endif
