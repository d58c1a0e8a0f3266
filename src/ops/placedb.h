/* placedb: what is special about restoring an SQLite database (TREENODE_EXT_DATABASE). */
#ifndef OPS_PLACEDB_H
#define OPS_PLACEDB_H

#include <stdbool.h>

struct treenode_entry;

/* How the entry came to be, if it is a database (SPEC §8, extension 3); 0: it is none. */
#define PLACEDB_BACKUP 1u               /* complete, as one of its readers would see it */
#define PLACEDB_RAW 2u                  /* copied as found while it was locked, or unreadable for SQLite; never verified */
unsigned placedb_capture(const struct treenode_entry *e);

/* Is the entry a database that was captured?  Then what lies beside its name (-wal, -shm, -journal) is not its own. */
bool placedb_is(const struct treenode_entry *e);

/* Does a -wal or -journal with content lie beside the name? */
bool placedb_has_side(int dirfd, const char *name);

/*
 * Before the database at dirfd/name is replaced.  fd: it is open for reading, by us alone, or -1.
 * Errors: ERR_FAILED when another process has it open, unless force
 */
int placedb_may_replace(int fd, bool force) __attribute__((warn_unused_result));

/*
 * The complete file dirfd/temp, open as fd, is to become dirfd/name: make it durable and, if `check`, see that it is sound
 * (PRAGMA integrity_check, else ERR_FAILED with SQLite's first complaint), before anything of the old one goes; then remove what
 * lies beside the name: it would be taken for the new file's.
 */
int placedb_ready(int dirfd, const char *name, const char *temp, int fd, bool check) __attribute__((warn_unused_result));

/* Remove what lies beside the name (-journal, -wal, -shm), durably. */
int placedb_alone(int dirfd, const char *name) __attribute__((warn_unused_result));

/* The database that is there is the right one: see that it still is after a loss of power, also if a restore that was killed put it
 * there.  dry: nothing. */
int placedb_settle(int dirfd, const char *name, bool dry) __attribute__((warn_unused_result));

#endif
