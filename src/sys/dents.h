/* dents: the names in a directory, as they come. */
#ifndef SYS_DENTS_H
#define SYS_DENTS_H

#include <stdint.h>

/* type: a DT_ of <dirent.h>.  A negative result ends it. */
typedef int (*dents_fn)(void *arg, uint8_t type, const char *name);

/*
 * From where the descriptor stands, without "." and "..".
 * Errors: fn's; ERR_IO, which `what` explains ("cannot read directory 'x'")
 */
int dents_list(int fd, const char *what, dents_fn fn, void *arg)
    __attribute__((warn_unused_result));

#endif
