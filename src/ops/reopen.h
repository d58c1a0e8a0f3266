/* reopen: a name of the target is found again by its path, component by component, never through a link. */
#ifndef OPS_REOPEN_H
#define OPS_REOPEN_H

/*
 * Open the directory that holds the last component of path ("/a/b", beneath the open directory root_fd).
 * Owns: *dirfd: root_fd itself, or the caller closes it; -1 on failure.  *last: borrowed from path.
 */
int reopen_above(int root_fd, const char *path, int *dirfd, const char **last) __attribute__((warn_unused_result));

#endif
