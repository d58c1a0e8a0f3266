/* beneath: ways below a directory that no symbolic link can lead elsewhere. */
#ifndef SYS_BENEATH_H
#define SYS_BENEATH_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * openat() of a path below dirfd of which no component is a link, nor "..".  ERR_ABSENT and so on are for the caller to make: errno as
 * of openat, ELOOP or ENOTDIR where a link is.
 */
int beneath_open(int dirfd, const char *path, int flags, mode_t mode);

/*
 * The directory of the path's last component, and in *base that component.  dirfd itself when the path has no other.
 * Owns: the result: caller gives it back with beneath_close.  -1 and errno as above.
 */
int beneath_parent(int dirfd, const char *path, const char **base);

/* fd: what beneath_parent gave for dirfd.  errno stays. */
void beneath_close(int dirfd, int fd);

/* Is the last component, and none on the way to it, a link?  errno stays. */
bool beneath_is_link(int dirfd, const char *path);

#endif
