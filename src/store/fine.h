/*
 * fine: how the chunks of databases are stored.  Each becomes a difference to
 * the one that was at its place, if that saves half.  Else it waits until all
 * are known, and is compared with all that were replaced (store/kin.h).
 *
 * Threads find the bases, make the differences and compress; what comes of it
 * goes to the packer in the order in which the chunks came, so that it does not
 * depend on their number.
 */
#ifndef STORE_FINE_H
#define STORE_FINE_H

#include "store/packer.h"

struct fine;
struct index;
struct reader;
struct repo;

struct fine_config {
	struct repo *repo;              /* borrowed, as all of these */
	struct packer *packer;
	struct index *ix;               /* what was there before; with rd for the caller's thread */
	struct reader *rd;
	unsigned jobs;                  /* threads; below 2: the caller's own */
	int level;
	/* The chunk of this row is stored as a difference to these. */
	int (*uses)(void *arg, const struct packer_base *b, uint32_t row);
	void *arg;
};

/* Cost: with threads 16 MiB for chunks under way, and some 16 MiB and the files of a reader for each. */
int fine_new(const struct fine_config *c, struct fine **out)
    __attribute__((warn_unused_result));

/* What was not settled is dropped. */
struct fine *fine_free(struct fine *f);

/*
 * Store a data chunk (copied); base: the one that was at its place, or NULL.
 * FOUND: it will be, and it->row will be told to the packer.  OK: the caller
 * stores it as it is.  Errors may be those of earlier chunks; after one every
 * call fails the same way.
 */
int fine_put(struct fine *f, const struct packer_item *it,
    const struct name *base) __attribute__((warn_unused_result));

/* What has taken this chunk's place is there already; its content may have gone elsewhere. */
int fine_replaced(struct fine *f, const struct name *base)
    __attribute__((warn_unused_result));

/* Until all that was put is with the packer. */
int fine_settle(struct fine *f) __attribute__((warn_unused_result));

#endif
