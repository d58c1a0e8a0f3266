/* byid: rows put into the order of their ids, which are as good as random. */
#ifndef STORE_BYID_H
#define STORE_BYID_H

#include <stdint.h>

#include "format/name.h"

typedef const struct name *(*byid_fn)(const void *arg, uint32_t row);

/*
 * The numbers 0 ... count - 1, ordered by the ids that `id` gives.
 * Owns: *list: caller frees.
 * Cost: each id is read about three times; quadratic in how many share their
 * first bits, so it is for ids that nobody chooses.
 */
int byid_order(uint32_t count, byid_fn id, const void *arg, uint32_t **list)
    __attribute__((warn_unused_result));

#endif
