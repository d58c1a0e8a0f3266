/* cat: the content of a file of a snapshot, in order. */
#ifndef OPS_CAT_H
#define OPS_CAT_H

#include "format/treenode.h"
#include "store/reader.h"

/* A failure ends the reading and is returned. */
typedef int (*cat_sink_fn)(void *arg, const void *p, size_t len);

/*
 * Give the bytes of the file at `path` to sink, holes as zeros.  Damage ends it: what was given
 * before is right and in order.
 *
 * *bytes: how many were given, also after a failure.
 * Errors: ERR_ABSENT   no such path
 *         ERR_FAILED   not a regular file, or its content could not be read when the snapshot was
 *             made
 *         ERR_CORRUPT, ERR_AUTH  damage
 */
int cat_file(struct reader *rd, const struct name *root, const char *path, cat_sink_fn sink,
    void *arg, uint64_t *bytes)
    __attribute__((warn_unused_result));

#endif
