/* children: what a node names (SPEC §8). */
#ifndef STORE_CHILDREN_H
#define STORE_CHILDREN_H

#include <stddef.h>
#include <stdint.h>

#include "format/name.h"

/* Called for each child in the node's order, repeated ids included; a failure ends the walk and is returned. */
typedef int (*children_fn)(void *arg, const struct name *id, uint8_t type);

/* Decode the node (type L or T), all of it.  ERR_CORRUPT, ERR_UNSUPPORTED, or what fn returned. */
int children_each(uint8_t type, const uint8_t *p, size_t len, children_fn fn, void *arg) __attribute__((warn_unused_result));

#endif
