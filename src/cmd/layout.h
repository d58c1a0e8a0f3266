/* layout: how much parity, as a user says it: "4/128", "8/64/256K": parity blocks, data blocks of a group, bytes of a block. */
#ifndef CMD_LAYOUT_H
#define CMD_LAYOUT_H

#include "format/sidecar.h"

/* text NULL: the default.  s->len is 1.  ERR_USAGE when it cannot be. */
int layout_parse(const char *text, struct sidecar_shape *s) __attribute__((warn_unused_result));

#endif
