/* copy: a private copy of some files, and locks of others. */
#ifndef SYS_COPY_H
#define SYS_COPY_H

#include <stdbool.h>
#include <stdint.h>

/* A new directory only we can enter, under TMPDIR or /var/tmp.  Owns: *path and *fd: caller frees and closes. */
int copy_private_dir(char **path, int *fd) __attribute__((warn_unused_result));

/* Remove it with the files in it (it has no directories); NULL is none. */
void copy_remove_dir(const char *path);

/* Bytes that can still be written in the file system of this directory. */
int copy_room(int fd, uint64_t *bytes) __attribute__((warn_unused_result));

/* Copy the regular file dirfd/name to to/as, replacing it; sharing its blocks where the file system can. */
int copy_file(int dirfd, const char *name, int to, const char *as) __attribute__((warn_unused_result));

/* Does another process hold an exclusive POSIX lock in this range? */
bool copy_is_locked(int fd, uint64_t off, uint64_t len);

#endif
