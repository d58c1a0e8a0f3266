/*
 * scrub: read every object of a repository and prove it without a key: packs by their names and block checksums, the header by its
 * own, what is sealed by the checksums of its sidecar (without one, for its shape only).  Says which bytes are bad, and mends them.
 */
#ifndef OPS_SCRUB_H
#define OPS_SCRUB_H

#include <stdbool.h>

#include "sys/io.h"

/* A damage, or what became of it.  len 0: the object as a whole. */
struct scrub_damage {
	enum { SCRUB_BAD, SCRUB_REPAIRED, SCRUB_LOST } state;   /* lost: it could not be repaired */
	const char *path;               /* in the repository */
	uint64_t off, len;              /* bytes of it */
	const char *what;               /* "is missing", "has bad blocks" ... */
};

struct scrub_options {
	unsigned jobs;                  /* threads; 0: one per core */
	bool repair;                    /* from parity; takes the exclusive lock */
	bool small;                     /* packs are only looked for, not read */
	/* Both are called by one thread at a time; may be NULL. */
	void (*damage)(void *arg, const struct scrub_damage *d);
	void (*progress)(void *arg, uint64_t done, uint64_t total, uint64_t bytes);     /* objects */
	void *arg;
};

struct scrub_stats {
	uint64_t objects, packs;        /* looked at */
	uint64_t proven;                /* every byte of them shown to be what was written */
	uint64_t damaged, missing;      /* objects and sidecars */
	uint64_t repaired;              /* of these */
	uint64_t sidecars;
	uint64_t bad_blocks;
	uint64_t bytes_read;
};

/*
 * The repository in io; the shared lock is held meanwhile if there is a lock file (a plain copy may have none).
 * Errors: ERR_NOREPO  there is nothing that looks like a repository
 *         ERR_CORRUPT damage was found and not repaired (everything was looked at; *stats is complete)
 *         others      the scrub itself could not go on
 */
int scrub_run(struct io *io, const struct scrub_options *o, struct scrub_stats *stats) __attribute__((warn_unused_result));

#endif
