/*
 * dbset: the databases of one snapshot: found before everything else is read, cut together, stored; then the walk takes them from here.
 *
 *      found (dbfind) -> DBSET_WAITING -> dbset_take -> TAKEN or RAW
 *                     -> DBSET_REUSED
 */
#ifndef OPS_DBSET_H
#define OPS_DBSET_H

#include "format/treenode.h"
#include "ops/filebuild.h"
#include "source/dbread.h"
#include "sys/fsys.h"

struct scan;

enum dbset_state {
	DBSET_WAITING,
	DBSET_TAKEN,                    /* content is stored */
	DBSET_REUSED,                   /* as in the parent snapshot */
	DBSET_RAW,                      /* to be stored as found, with the files beside it; res.text says why */
	DBSET_NOT                       /* it is no database after all */
};

#define DBSET_EXT_LEN 64

/* The -wal and -journal of a database, as far as they have content. */
struct dbset_beside {
	uint8_t id[TREENODE_BESIDE_LEN];        /* SPEC §8, extension 3; 0: neither has */
	int64_t newest;                         /* the last of their times, in seconds; INT64_MIN: neither has content */
	uint64_t inode[2];                      /* 0: none, or without content */
	bool shm;                               /* a -shm is there: somebody has a WAL database open by this name, or had */
};

struct dbset_item {
	char *path;                     /* absolute; owned */
	uint64_t hash;                  /* of path */
	enum dbset_state state;
	struct fsys_stat st;            /* of the file, from before the cut */
	size_t via;                     /* index of the item that is read for it: its own, or another name of the same file */
	bool shared;                    /* it is read for others */
	struct filebuild_content content;
	struct dbread_result res;       /* if TAKEN or RAW */
	struct dbset_beside beside;     /* from before the cut */
	uint8_t ext[DBSET_EXT_LEN];     /* value of TREENODE_EXT_DATABASE */
};

struct dbset {
	struct dbset_item *items;
	size_t count, cap;
	struct dbread *helper;
	bool scattered;                 /* not all were cut together */
	bool walking;                   /* what is settled may be in trees already */
};

void dbset_clear(struct dbset *d);

/* What lies beside the database dirfd/name. */
void dbset_look_beside(int dirfd, const char *name, struct dbset_beside *out);

/* Add the file at sc->path.  reuse: the entry whose content it still has; NULL: it is to be read. */
int dbset_add(struct scan *sc, const struct fsys_stat *st, const struct treenode_entry *reuse) __attribute__((warn_unused_result));

/*
 * Cut and store all that wait; names of one file get one image, with what lies beside any of them.  What cannot be captured becomes RAW;
 * errors are the store's, ERR_NOMEM, ERR_INTERRUPTED.
 */
int dbset_take(struct scan *sc) __attribute__((warn_unused_result));

/* The item of the path at hand, or NULL. */
struct dbset_item *dbset_find(const struct scan *sc);

/* Is the file at hand, dirfd/name, the -wal, -shm or -journal of a database that was captured, by its name and its first bytes? */
bool dbset_is_side(const struct scan *sc, int dirfd, const char *name);

/* Were all databases of the snapshot, at least one, cut at one instant? */
bool dbset_one_instant(const struct dbset *d);

#endif
