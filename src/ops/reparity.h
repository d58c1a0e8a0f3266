/* reparity: every object gets the sidecar that it should have, proven with the key; those of no use go. */
#ifndef OPS_REPARITY_H
#define OPS_REPARITY_H

#include "format/sidecar.h"
#include "store/repo.h"

struct reparity_options {
	bool set, none;                 /* set: data packs get `shape` from now on; none: they get nothing from now on */
	struct sidecar_shape shape;
	/* Told of an object that is damaged: it gets no sidecar, and one that it has stays; err_text() says why.  May be NULL. */
	void (*bad)(void *arg, const char *path);
	void (*progress)(void *arg, uint64_t done, uint64_t total);     /* objects; may be NULL */
	void *arg;
};

struct reparity_stats {
	uint64_t objects, kept, made, removed, damaged;         /* sidecars but for objects and damaged */
};

/*
 * Takes the exclusive lock.  A slot that did not open the repository cannot be proven: it counts as damaged when its sidecar, or what is
 * left of it, says otherwise, and gets one when it has none.  Sidecars of missing objects stay, but for those of packs that the index does not name.
 * Errors: ERR_USAGE    no sidecar can have o->shape: nothing was changed
 *         ERR_CORRUPT  an object is damaged (everything else was done)
 */
int reparity_run(struct repo *r, const struct reparity_options *o, struct reparity_stats *stats)
    __attribute__((warn_unused_result));

#endif
