/*
 * dbread: consistent images of live SQLite databases.  The work is done by a helper process, because SQLite's locks are lost when a
 * process closes any descriptor of a database, and because databases are written by strangers.
 *
 *      dbread_start -> dbread_add ... -> dbread_cut -> dbread_next, dbread_look ... -> ... -> dbread_free
 *
 * From dbread_cut until dbread_next says AT_END the databases are held: this process must not open them.
 */
#ifndef SOURCE_DBREAD_H
#define SOURCE_DBREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct dbread;

enum dbread_outcome {
	DBREAD_CAPTURED = 1,
	DBREAD_NO_DATABASE,             /* its content is not one: a file like any other */
	DBREAD_LOCKED,                  /* another process keeps it to itself */
	DBREAD_DAMAGED,                 /* SQLite cannot read it */
	DBREAD_FAILED                   /* anything else: the text says what */
};

struct dbread_result {
	enum dbread_outcome outcome;
	uint32_t page_size;
	uint64_t pages;
	bool one_instant;               /* cut at one instant with all others of this dbread_cut */
	uint64_t spread_ns;             /* else: between the first and the last cut */
	uint64_t wal_growth;            /* bytes the WAL grew by while it was read */
	uint64_t held_ns;               /* how long writers of a rollback-journal database had to wait at most; else 0 */
	char text[400];
};

/* Bytes 0 ... 99 of a file: may it be a database?  Magic and a header that makes sense. */
#define DBREAD_HEADER_LEN 100
bool dbread_is_header(const uint8_t header[static DBREAD_HEADER_LEN]);

/* program: this executable.  Owns: *out: caller ends it with dbread_free. */
int dbread_start(const char *program, struct dbread **out) __attribute__((warn_unused_result));
struct dbread *dbread_free(struct dbread *d);

/* Add dirfd/name, a regular file with this inode, under the caller's number.  dirfd stays the caller's. */
int dbread_add(struct dbread *d, uint32_t id, int dirfd, const char *name, uint64_t dev, uint64_t inode)
    __attribute__((warn_unused_result));

/* Cut all that were added.  wal_limit: give up a database whose WAL grows by more while it is read; 0: the default. */
int dbread_cut(struct dbread *d, uint64_t wal_limit) __attribute__((warn_unused_result));

/* FOUND: the next database in the helper's order, *id its number, *page_size (0: it has no image; ask dbread_look for the result).
 * AT_END: all were given out and released. */
int dbread_next(struct dbread *d, uint32_t *id, uint32_t *page_size) __attribute__((warn_unused_result));

/*
 * The image in order.  FOUND: its next len > 0 bytes are at *p, as far as they were not used yet; the helper can change them.  AT_END: *res
 * tells how it ended, and only if it is DBREAD_CAPTURED do the bytes count; OK: begin anew, the bytes so far are void.
 */
int dbread_look(struct dbread *d, const uint8_t **p, size_t *len, struct dbread_result *res) __attribute__((warn_unused_result));

/* So many of these bytes are not wanted any more. */
int dbread_used(struct dbread *d, size_t n) __attribute__((warn_unused_result));

#endif
