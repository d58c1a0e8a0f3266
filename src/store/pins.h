/* pins: snapshots that no rule and no option may forget (SPEC SR-5): empty files pins/<sid>. */
#ifndef STORE_PINS_H
#define STORE_PINS_H

#include "store/graves.h"

/*
 * Pin or unpin; durable after OK; either is no error when it is so already.  The caller holds the shared lock.
 * Errors: ERR_ABSENT  there is no such snapshot to pin
 */
int pins_set(struct repo *r, const struct name_sid *sid, bool on) __attribute__((warn_unused_result));

/* All pins, sorted.  Owns: out->p: caller frees. */
int pins_load(struct repo *r, struct graves *out) __attribute__((warn_unused_result));

bool pins_have(const struct graves *pins, const struct name_sid *sid);

#endif
