/*
 * later: the part of a restore that needs no looking around is left to other threads (sys/hands.h): files that are new in a new directory.
 * The walk has read their content already and goes on; what it tells meanwhile waits its turn, so that reports come in the order of the
 * walk, and a directory gets its own metadata after all that is in it.
 */
#ifndef OPS_LATER_H
#define OPS_LATER_H

#include <stdbool.h>
#include <stdint.h>

struct hands;
struct place;
struct place_dir;
struct treenode_entry;

#define LATER_FILE_MAX (1u << 20)       /* longer files are written by the walk itself, while those threads do others */

struct later {
	struct hands *hands;            /* NULL: nothing is left for later */
	bool reaping;                   /* telling what came of it: now, not later */
	unsigned calls;                 /* of later_call, pending */
};

/* From now on leave files of p to `threads` threads; with fewer than two that would gain nothing, and nothing is. */
int later_begin(struct place *p, unsigned threads) __attribute__((warn_unused_result));

/* Wait for all; what came of it is told.  Errors as place_entry. */
int later_drain(struct place *p) __attribute__((warn_unused_result));

/* Drop what has not been begun, wait for the rest.  The note of a failure stays. */
void later_end(struct place *p);

/* The failure that ended it, or OK. */
int later_check(const struct place *p) __attribute__((warn_unused_result));

/* Has something to be told before what is told now? */
bool later_pending(const struct place *p);

/*
 * Leave the regular file `name`, whose path p->path holds, to a thread.  dir stays open until all is drained, or until a later_call.
 * FOUND: it is; OK: this is not a file for that, nothing has been done.  Errors: the content cannot be read (refill_write); as place_entry.
 */
int later_file(struct place *p, const struct place_dir *dir, const struct treenode_entry *e, const char *name, uint32_t first_mode)
    __attribute__((warn_unused_result));

/* Call fn after all that was given before, with p->path as it is now; dropped: only free what arg owns. */
int later_call(struct place *p, int (*fn)(void *arg, bool dropped), void *arg) __attribute__((warn_unused_result));

/* place_item, place_problem and place_unproved in their turn; a failure is found by later_check. */
void later_item(struct place *p, char what, uint64_t size);
int later_problem(struct place *p, int rc) __attribute__((warn_unused_result));
int later_unproved(struct place *p) __attribute__((warn_unused_result));

#endif
