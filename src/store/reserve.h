/* reserve: a file of no content that keeps space free, so that forget, prune and repair index run on a full disk (SPEC §2). */
#ifndef STORE_RESERVE_H
#define STORE_RESERVE_H

#include "store/repo.h"

/* Bytes that a repository with so many bytes of packs shall keep: 0.1 %, at least 4 MiB, at most 1 GiB. */
uint64_t reserve_want(uint64_t pack_bytes);

/*
 * Make it if it is not there or much too small.  A disk without room for it is no failure: it is then made another time.
 * The caller holds a lock, or nobody else knows of the repository yet.
 */
int reserve_make(struct io *io, uint64_t bytes) __attribute__((warn_unused_result));

/* Does rc, with the note, say that the disk is full? */
bool reserve_is_full(int rc);

/* Give the space up: FOUND if there was any, OK if not: then the note stays as it was. */
int reserve_give(struct io *io) __attribute__((warn_unused_result));

#endif
