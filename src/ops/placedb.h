/*
 * placedb: what is special about restoring an SQLite database (TREENODE_EXT_DATABASE).  SQLite would take a -wal or -journal beside its
 * name for its own, whosever it was.  One that was captured has none of its own.  One that was stored as found has those that the snapshot
 * has beside it, as entries that come after it: they belong to no other database that may be in its place.
 */
#ifndef OPS_PLACEDB_H
#define OPS_PLACEDB_H

#include <stdbool.h>

struct fsys_stat;
struct place;
struct treenode_entry;

/* How the entry came to be, if it is a database (SPEC §8, extension 3); 0: it is none. */
#define PLACEDB_BACKUP 1u               /* complete, as one of its readers would see it */
#define PLACEDB_RAW 2u                  /* copied as found while it was locked, or unreadable for SQLite; never verified */
unsigned placedb_capture(const struct treenode_entry *e);

/* Is the entry a database that was captured? */
bool placedb_is(const struct treenode_entry *e);

/*
 * The database e, whose path p->path holds, is at dirfd/name already; fd: open for reading, by us alone, or -1.  May it stay as it is?
 * FOUND: yes; OK: no, a -wal or -journal lies beside it that is not its own, and goes only when it is written anew.
 * Errors: ERR_FAILED  another process has it open, and something is to come beside it
 *         ERR_CORRUPT  what the snapshot has beside it cannot be told
 */
int placedb_same(struct place *p, const struct treenode_entry *e, int dirfd, const char *name, int fd) __attribute__((warn_unused_result));

/* Is what p->path names, in the snapshot, the journal or WAL of a database that was stored as found?  Then it has to last as that does.
 * Cost: a search in the tree, for a name that looks so. */
bool placedb_beside_raw(const struct place *p);

/* What is there in the place of the database at hand stays, and is another one, or in use: what lies beside it is not to be touched. */
int placedb_refuse(struct place *p) __attribute__((warn_unused_result));

/* Does the path at hand lie beside such a one? */
bool placedb_refused(const struct place *p);

/*
 * Before the database at dirfd/name is replaced.  fd: it is open for reading, by us alone; -1: it cannot be.
 * Errors: ERR_FAILED when another process has it open, or that cannot be told, unless force
 */
int placedb_may_replace(int fd, bool force) __attribute__((warn_unused_result));

/* Is the regular file dirfd/name (fd: open, or -1) a database, by its header, or by a WAL or journal beside it, whatever the snapshot has? */
bool placedb_is_there(int dirfd, const char *name, int fd);

/*
 * What p->path names lies in dirfd, and is to be written or removed: does a database lie beside it?  OK: none, or one that this restore
 * brings; FOUND: one that it leaves alone (excluded, not chosen, never read, not in the snapshot): then so is this.
 * Errors: ERR_FAILED when another process has that open, or that cannot be told, unless p->o->force
 */
int placedb_side(struct place *p, int dirfd) __attribute__((warn_unused_result));

/* st of the regular file dirfd/name: if it is a database, let it have the time of its WAL or journal, if that is later. */
void placedb_newest(int dirfd, const char *name, struct fsys_stat *st);

/*
 * The complete file dirfd/temp, open as fd, is to become dirfd/name: make it durable and, if that was asked for and it was captured, see
 * that it is sound (PRAGMA integrity_check, else ERR_FAILED with SQLite's first complaint), before anything of the old one goes; then
 * placedb_alone.
 */
int placedb_ready(struct place *p, const struct treenode_entry *e, int dirfd, const char *name, const char *temp, int fd)
    __attribute__((warn_unused_result));

/*
 * Remove what lies beside the name (-journal, -wal, -shm) and is not its own, durably.
 * Errors: ERR_FAILED  the snapshot has another one beside it that is not restored now (excluded, not chosen); nothing was removed
 */
int placedb_alone(struct place *p, const struct treenode_entry *e, int dirfd, const char *name) __attribute__((warn_unused_result));

/*
 * The database e is at dirfd/name (dirfd -1: would be).  Count it in p->res->parted when the snapshot has a journal or WAL with something
 * in it beside it, and that neither comes now nor is there: changes are in there that the database alone lacks.
 */
int placedb_count_parted(struct place *p, const struct treenode_entry *e, int dirfd, const char *name) __attribute__((warn_unused_result));

/* The database that is there is the right one: see that it still is after a loss of power, also if a restore that was killed put it
 * there.  dry: nothing. */
int placedb_settle(int dirfd, const char *name, bool dry) __attribute__((warn_unused_result));

#endif
