/*
 * damage: what a verify found to be wrong: which object, where in it, what to do next, and which files of which snapshots need it.
 * Adding is safe in several threads.
 */
#ifndef OPS_DAMAGE_H
#define OPS_DAMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/name.h"

enum damage_kind {
	DAMAGE_KEY,                     /* a key slot */
	DAMAGE_INDEX,                   /* an index file */
	DAMAGE_RECORD,                  /* a snapshot record */
	DAMAGE_PACK,                    /* a pack, a frame or a chunk of it */
	DAMAGE_NODE,                    /* a directory or list names what is not there */
	DAMAGE_COUNT,                   /* references counted too low */
	DAMAGE_DATABASE,                /* SQLite's own check failed */
	DAMAGE_HISTORY,                 /* the repository is older than it was */
	DAMAGE_FILE                     /* a file restored as a sample is not what the snapshot says */
};

struct damage_file {
	char *path;                     /* owned */
	size_t first, last, count;      /* snapshots, as numbers of the caller, in which it needs this */
};

struct damage {
	enum damage_kind kind;
	char *object;                   /* "packs/ab/..."; owned */
	char *place;                    /* "frame 3", or NULL; owned */
	char *text;                     /* owned */
	struct name cause;              /* the base that could not be had, or zero */
	bool dropped;                   /* the cause's damage stands for it */
	struct damage_file *files;      /* sorted by path; owned */
	size_t file_count, file_cap;
	uint64_t files_more;            /* further ones, not listed */
	struct name_sid *snaps;         /* snapshots touched; owned */
	size_t snap_count, snap_cap;
};

/* Something that a node may name, and the damage that took it. */
struct damage_id {
	struct name id;
	uint32_t no;                    /* of the damage, from 1 */
};

struct damages {
	struct damage *v;
	size_t count, cap;
	uint64_t total;                 /* not dropped; with those beyond DAMAGE_MAX, which are only counted */
	struct damage_id *ids;
	size_t id_count, id_cap;
	void *lock;
	int rc;                         /* ERR_NOMEM once something could not be kept */
};

#define DAMAGE_MAX 10000
#define DAMAGE_FILES 1000               /* listed for one damage */

int damage_init(struct damages *d) __attribute__((warn_unused_result));
void damage_clear(struct damages *d);

/*
 * Add one; text is the note of the last failure when fmt is NULL.  Its number, from 1; 0 when there are too many to be kept.
 * id: the chunk that cannot be had because of it, or NULL (the owner knows otherwise).
 */
uint32_t damage_add(struct damages *d, enum damage_kind kind, const char *object, const char *place, const struct name *id,
    const char *fmt, ...) __attribute__((format(printf, 6, 7)));

/* Damage `no` is that of a difference whose base could not be had. */
void damage_because(struct damages *d, uint32_t no, const struct name *base);

/* It was that of its base after all: `of` stands for it from now on.  Not while others add. */
void damage_drop(struct damages *d, uint32_t no, uint32_t of);

/* Damage `no` is none.  Not while others add. */
void damage_forgive(struct damages *d, uint32_t no);

/* After the last damage_add with an id: make ids[] ready for damage_of. */
void damage_sort(struct damages *d);

/* The damage of this chunk, 0: none.  What is there several times counts once. */
uint32_t damage_of(const struct damages *d, const struct name *id);

/* The file needs what is damaged; snap: number and id of the snapshot.  Called with snapshots in ascending order. */
int damage_file(struct damages *d, uint32_t no, const char *path, size_t snap, const struct name_sid *sid)
    __attribute__((warn_unused_result));

/* What to do next: a sentence. */
const char *damage_advice(enum damage_kind kind);

#endif
