/* delta: a chunk as the difference to others, if that pays.  One per thread. */
#ifndef STORE_DELTA_H
#define STORE_DELTA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct delta;
struct packer_base;

/*
 * level: of zstd.  At the default one differences are made at the level below,
 * and the long ones that delta_make is asked to take its time with at a higher.
 * Owns: *out: delta_free.
 */
int delta_new(int level, struct delta **out) __attribute__((warn_unused_result));
struct delta *delta_free(struct delta *d);

/*
 * A level that is worth its time where little is compressed, if `level` was not
 * chosen for speed; else `level`.
 */
int delta_slow_level(int level);

/*
 * FOUND: *stored (until the next call) is the difference of these bytes, at most
 * FRAME_CHUNK_MAX, and saves at least one part in `save` of the plain block.
 * OK: it does not pay.
 */
int delta_make(struct delta *d, const void *p, size_t len,
    const struct packer_base *base, unsigned save, bool slow,
    const uint8_t **stored, size_t *stored_len)
    __attribute__((warn_unused_result));

#endif
