/*
 * place: one entry of a snapshot that is not a directory, brought into an open directory of the target; and what that shares
 * with the walk in restore.c: paths, reports, metadata.
 */
#ifndef OPS_PLACE_H
#define OPS_PLACE_H

#include "format/treenode.h"
#include "ops/home.h"
#include "ops/later.h"
#include "ops/links.h"
#include "ops/owners.h"
#include "ops/refill.h"
#include "ops/restore.h"
#include "sys/fsys.h"
#include "sys/target.h"

struct snaprec;

/* A directory of the target. */
struct place_dir {
	int fd;                         /* -1: a dry run that would make it */
	bool fresh;                     /* made by this run: nothing is in it that we did not put there */
	bool acl;                       /* it passes an ACL on to what is made in it */
};

struct place {
	const struct restore_options *o;
	struct restore_result *res;
	const struct snaprec *snap;
	const struct chosen *chosen;
	bool all;                       /* the directory at hand is restored as a whole, but for what is excluded */
	struct home home;
	struct refill content;
	struct owners owners;
	struct links links;
	int root_fd;                    /* the target; -1 as in place_dir */
	bool root;                      /* effective user 0: owners can be set */
	uint32_t uid;                   /* effective user */
	uint64_t temp;                  /* of target_temp_name */
	struct mem_buf path;            /* of the entry at hand, in the snapshot, "/a/b"; zero-terminated */
	size_t base_len;                /* the part of it above the target */
	struct mem_buf locked;          /* files to be locked at the end: flags (u32), path beneath the target, zero */
	struct mem_buf unproved;        /* paths skipped or failed, zero-terminated, in the order met */
	struct mem_buf refused;         /* of placedb_refuse: paths, zero-terminated */
	/* Repositories in the target that the snapshot does not have (surplus.c): how many; the one that the directory at hand is, or is
	 * in, and the one last reported, 0: none. */
	unsigned repositories, repository, repository_told;
	struct restore_progress progress;
	int64_t next_tick_ns;
	struct later later;
};

/* The entry at hand, with what is there under its name. */
struct place_spot {
	const struct place_dir *dir;
	const struct treenode_entry *e;
	char name[TREENODE_NAME_MAX + 1];
	bool there;
	bool database;                  /* captured, or as found; or what it replaces is one */
	bool lasts;                     /* that, or a part of it: durable at the end */
	struct fsys_stat st;
};

/*
 * Restore the entry whose path p->path holds, whatever is there now.  Reports an item, and problems of this entry alone.
 *
 * Errors: only what ends the restore: ERR_NOMEM, ERR_INTERRUPTED, a full or read-only target (ERR_IO).
 */
int place_entry(struct place *p, const struct place_dir *dir, const struct treenode_entry *e)
    __attribute__((warn_unused_result));

/* After all entries: make immutable what is to be.  Errors as place_entry. */
int place_lock(struct place *p) __attribute__((warn_unused_result));

/* May what is there (st) be changed, as o->overwrite says? */
bool place_may_replace(const struct place *p, const struct treenode_entry *e, const struct fsys_stat *st);

/*
 * Before something takes the place of what is there: place_way says whether a directory may go (and ERR_FAILED if it is a mount point, or
 * something beneath it is to stay, or what comes belongs to a database that stays), place_look whether a database may, which need not be
 * open elsewhere (fd: it is open for reading, by us alone, or -1), and sets s->database; then, when the new one is complete, place_clear
 * removes a directory.  Nothing in a dry run.
 */
int place_way(struct place *p, const struct place_spot *s) __attribute__((warn_unused_result));
int place_look(struct place *p, struct place_spot *s, int fd) __attribute__((warn_unused_result));
int place_clear(struct place *p, struct place_spot *s) __attribute__((warn_unused_result));

/* Do size and time of what is there (st) say that it is the entry? */
bool place_same_times(const struct treenode_entry *e, const struct fsys_stat *st);

/* Is there nothing that it replaces, but for a directory? */
bool place_anew(const struct place_spot *s);

/* Does what is_final ends this restore?  rc with its note. */
bool place_is_final(int rc);

/* Does the filter exclude the entry at hand? */
bool place_excluded(const struct place *p, bool dir);

/* The metadata an entry asks for here; m borrows from e. */
void place_meta(const struct place *p, const struct treenode_entry *e, struct target_meta *m);

/* p->path: enter a name, leave it again. */
int place_push(struct place *p, const void *name, size_t len, size_t *old_len) __attribute__((warn_unused_result));
void place_pop(struct place *p, size_t old_len);
const char *place_path(const struct place *p);

void place_item(struct place *p, char what, uint64_t size);

/* Call o->progress if it is time to. */
void place_tick(struct place *p);

/* A failure rc with its note: told and counted; OK if the restore can go on, else rc with the path in its note. */
int place_problem(struct place *p, int rc) __attribute__((warn_unused_result));

/* Remember that the entry at hand cannot be verified. */
int place_unproved(struct place *p) __attribute__((warn_unused_result));

#endif
