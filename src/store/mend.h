/*
 * mend: an object made whole again from its sidecar (SPEC §13, PA-5).  What is rebuilt is proven before it takes the place of
 * anything, and what it replaces is kept in damaged/.
 */
#ifndef STORE_MEND_H
#define STORE_MEND_H

#include "store/parity.h"

/* What a comparison of an object with its sidecar shows. */
struct mend_look {
	bool there, length;             /* it is there; it has its length */
	uint64_t bad;                   /* data blocks that are bad or missing */
	uint64_t bad_parity;            /* parity blocks that are */
	bool possible;                  /* no group has lost more blocks than it has good parity blocks */
};

/* Read both.  p->state is PARITY_WHOLE.  bad (may be NULL) is told of each bad data block. */
int mend_look(struct repo *r, const struct parity *p, const char *path, int (*bad)(void *arg, uint64_t block), void *arg,
    struct mend_look *out) __attribute__((warn_unused_result));

/* Only the parity blocks: *bad of them.  buf has room for SIDECAR_BLOCK_MAX; *read grows by what was read. */
int mend_check_parity(struct repo *r, const struct parity *p, uint8_t *buf, uint64_t *bad, uint64_t *read)
    __attribute__((warn_unused_result));

/*
 * Rebuild the object at `path` and put it in its place; the damaged one, if there is one, moves to damaged/.  The caller holds the
 * exclusive lock.
 * Errors: ERR_CORRUPT  more is lost than parity can bring back, or what came out is not the object: nothing was changed
 */
int mend_object(struct repo *r, const struct parity *p, enum objects_kind kind, const char *path)
    __attribute__((warn_unused_result));

/*
 * Make a sidecar anew whose header or parity blocks are damaged.  A pack or the header of the repository proves itself; any other object must be
 * proven by what is left of the sidecar, or by the caller (`proven`): else ERR_CORRUPT, and nothing was changed.
 */
int mend_sidecar(struct repo *r, const struct parity *p, enum objects_kind kind, const char *path, bool proven)
    __attribute__((warn_unused_result));

/* Make the sidecar of an object that the caller has proven (a pack is proven on the way), in place of one that is there. */
int mend_replace(struct repo *r, enum objects_kind kind, const char *path, const struct sidecar_shape *shape)
    __attribute__((warn_unused_result));

/* Move an object out of the way to damaged/, under a name that no other has there. */
int mend_set_aside(struct repo *r, const char *path) __attribute__((warn_unused_result));

/* The same for one of several: the caller syncs damaged/, then the directory that it was in. */
int mend_move_aside(struct repo *r, const char *path) __attribute__((warn_unused_result));

#endif
