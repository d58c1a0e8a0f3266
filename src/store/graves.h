/*
 * graves: forgetting and taking it back (SPEC PB-10): one rename between snapshots/ and forgotten/.
 *
 * The caller holds the shared lock.  Nothing is freed here: that is for a settle that collects (settle.h).
 */
#ifndef STORE_GRAVES_H
#define STORE_GRAVES_H

#include "store/index.h"
#include "store/repo.h"

/* A list of snapshots; p is freed with free(). */
struct graves {
	struct name_sid *p;
	size_t count, cap;
};

/*
 * Forget these: after OK it is durable.  One that somebody else has forgotten meanwhile is no error.
 * Errors: ERR_ABSENT  one is in neither directory
 */
int graves_bury(struct repo *r, const struct name_sid *sids, size_t count) __attribute__((warn_unused_result));

/* Take it back.  Errors: ERR_ABSENT  it is not forgotten, or a prune has collected it already (the note says which). */
int graves_raise(struct repo *r, const struct name_sid *sid) __attribute__((warn_unused_result));

/* FOUND when the head says that a prune has collected it (IX-12): its record may still be there if the prune was killed. */
int graves_collected(struct index *ix, const struct name_sid *sid) __attribute__((warn_unused_result));

/* The names in forgotten/ (or another directory of records) in any order. */
int graves_list(struct repo *r, const char *dir, struct graves *out) __attribute__((warn_unused_result));

#endif
