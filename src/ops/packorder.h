/* packorder: packs in an order in which those come first that others stand on, as far as they do not stand on each other. */
#ifndef OPS_PACKORDER_H
#define OPS_PACKORDER_H

#include <stddef.h>
#include <stdint.h>

/* deps[i]: NULL, or the packs that pack i stands on, their number first.  order: room for count.  ERR_NOMEM. */
int packorder_make(uint32_t *const *deps, size_t count, uint32_t *order) __attribute__((warn_unused_result));

#endif
