/* dbopen: open a database for reading without changing or disturbing anything.  Only for the helper process. */
#ifndef SOURCE_DBOPEN_H
#define SOURCE_DBOPEN_H

#include <stdbool.h>
#include <stdint.h>

#include "source/dbread.h"
#include "sys/fsys.h"

struct sqlite3;

enum dbopen_way {
	DBOPEN_NOT,                     /* not open: outcome and text say why */
	DBOPEN_SHARED,                  /* in place; WAL, with the -shm of those who use it */
	DBOPEN_LOCKING,                 /* in place; a rollback journal: writers wait while we read */
	DBOPEN_STILL,                   /* in place, without locks: nobody has it open */
	DBOPEN_COPY                     /* a private copy, recovered there */
};

struct dbopen {
	int dirfd;                      /* owned */
	char name[256];
	uint32_t id;                    /* the caller's */
	enum dbopen_way way;
	struct sqlite3 *db;
	int64_t version;                /* data version seen last */
	int64_t begun_ns;               /* when its read transaction began */
	bool reading;                   /* it is in one */
	bool done;                      /* given out */
	bool one_instant;
	uint64_t spread_ns;
	struct fsys_stat main, wal;     /* as they were when it was opened; wal.mode 0: there was none */
	char *copy_dir;                 /* of DBOPEN_COPY */
	enum dbread_outcome outcome;    /* of one that cannot be opened; 0: none yet */
	char text[400];
};

/*
 * Decide how, and connect; on OK either o->db is there or o->outcome says why not.  No descriptor of the file is left open but SQLite's.
 * Must not be called while another dbopen of the same inode is open.  Errors: ERR_NOMEM.
 */
int dbopen_connect(struct dbopen *o) __attribute__((warn_unused_result));

/* Is what was read without locks still what is there?  True for ways that lock. */
bool dbopen_still(const struct dbopen *o);

/* The data version, outside a transaction; in one that begins with it.  Errors: ERR_LOCKED, ERR_CORRUPT, ERR_FAILED. */
int dbopen_version(struct dbopen *o, int64_t *version) __attribute__((warn_unused_result));
int dbopen_begin(struct dbopen *o, int64_t *version) __attribute__((warn_unused_result));
void dbopen_end(struct dbopen *o);

/* Bytes the WAL has grown by since it was opened. */
uint64_t dbopen_wal_growth(const struct dbopen *o);

/* An error as an outcome with its text. */
void dbopen_fail(struct dbopen *o, int rc);

/* Close the connection and remove a copy; the request stays.  dbopen_clear also closes dirfd. */
void dbopen_close(struct dbopen *o);
void dbopen_clear(struct dbopen *o);

#endif
