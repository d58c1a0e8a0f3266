/*
 * packwrite: frames on their way into pack files, in a thread of its own.
 *
 * Who cuts, hashes and hands out has most to do when data does not compress,
 * and a quarter of that was copying finished frames into the page cache.
 */
#ifndef STORE_PACKWRITE_H
#define STORE_PACKWRITE_H

#include "store/packout.h"

struct packwrite;

/* In the caller's thread: the footer is written, it can be synced. */
typedef void (*packwrite_finished)(void *arg, struct packout *o);

/* Owns: *out: packwrite_free, before the packs. */
int packwrite_new(packwrite_finished finished, void *arg,
    struct packwrite **out) __attribute__((warn_unused_result));

/* What was not begun is not written. */
struct packwrite *packwrite_free(struct packwrite *w);

/*
 * Append in the order of the calls.  *buf goes, and another buffer, or NULL,
 * comes in its place, of *cap bytes.
 * Errors: those of what was given before, which are told again and again
 */
int packwrite_frame(struct packwrite *w, struct packout *o, uint8_t **buf,
    size_t *cap, size_t len) __attribute__((warn_unused_result));
int packwrite_finish(struct packwrite *w, struct packout *o)
    __attribute__((warn_unused_result));

/* Until all is written. */
int packwrite_drain(struct packwrite *w) __attribute__((warn_unused_result));

#endif
