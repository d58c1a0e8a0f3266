/*
 * aside: directories of the repository listed by another thread, while the
 * caller does something else.  A listing of 10,000 names takes ext4 2 ms.
 */
#ifndef STORE_ASIDE_H
#define STORE_ASIDE_H

#include <stdbool.h>
#include <stddef.h>

#include "sys/io.h"

/* A directory's own length that makes it worth a thread: of 1,000 names. */
#define ASIDE_DIR_BYTES 65536u

struct aside;

/*
 * Begin to list dirs[0 ... count - 1], in that order; fn is called in the
 * other thread.  NULL: dirs[0] is short, or it cannot be done.
 * Owns: the result: aside_free.  All is borrowed until then.
 */
struct aside *aside_begin(struct io *io, const char *const *dirs, size_t count,
    io_list_fn fn, void *arg);

/* Wait for all names: were they listed?  If not, the caller lists anew, and
 * hears why.  a may be NULL: no. */
bool aside_done(struct aside *a);

/* Does not wait for more names. */
struct aside *aside_free(struct aside *a);

#endif
