/*
 * fsys: the user's file trees: fd-relative calls only, one path component at a time, links never followed unless it says so.
 * Names are single components, zero-terminated.  Functions return an enum err with the system's words in the note.
 */
#ifndef SYS_FSYS_H
#define SYS_FSYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct fsys_stat {
	uint32_t mode;                  /* st_mode: type and permissions */
	uint32_t uid, gid;
	uint64_t dev, inode, nlink, size, blocks;       /* blocks of 512 bytes */
	uint64_t rdev_major, rdev_minor;
	int64_t mtime, ctime;           /* seconds */
	uint32_t mtime_ns, ctime_ns;
	bool mount_root;                /* statx says: root of a mount */
};

/* lstat of dirfd/name; name "" is dirfd itself. */
int fsys_stat(int dirfd, const char *name, struct fsys_stat *st) __attribute__((warn_unused_result));

/* Open a directory (O_NOFOLLOW | O_DIRECTORY), or a regular file for reading (O_NOFOLLOW | O_NONBLOCK | O_NOATIME where allowed).
 * Owns: *fd: caller closes with fsys_close. */
int fsys_open_dir(int dirfd, const char *name, int *fd) __attribute__((warn_unused_result));
int fsys_open_file(int dirfd, const char *name, int *fd) __attribute__((warn_unused_result));
void fsys_close(int fd);

/* An absolute or relative path as the user wrote it: ancestors are followed, the last component is not.  *dirfd: the parent opened;
 * *name: the last component (points into path's copy `store`, which the caller frees).  "/", "." and "x/.." give that directory
 * itself as dirfd and name "". */
int fsys_open_parent(const char *path, int *dirfd, char **name, char **store) __attribute__((warn_unused_result));

/* Names in a directory, sorted bytewise, without "." and "..". */
struct fsys_names {
	char **name;                    /* each zero-terminated; all owned by the struct; name[i][-1]: its d_type, DT_UNKNOWN possible */
	size_t count;
	char *mem;
};
int fsys_list(int dirfd, struct fsys_names *out) __attribute__((warn_unused_result));
void fsys_names_clear(struct fsys_names *n);

/* Text of a symbolic link; at most cap - 1 bytes, zero-terminated; *len its length.  A longer one is ERR_IO (ENAMETOOLONG). */
int fsys_readlink(int dirfd, const char *name, char *buf, size_t cap, size_t *len) __attribute__((warn_unused_result));

/* Read at the offset, 0 at the end. */
int fsys_read_at(int fd, uint64_t off, void *buf, size_t len, size_t *got) __attribute__((warn_unused_result));

/*
 * A file from its beginning, which has `size` bytes as far as is known: as many are asked for and one more, which tells a file that has grown.  With
 * as many it is taken to end there, without another call; the caller looks at it once more anyway.
 */
int fsys_read_file(int fd, size_t size, void *buf, size_t *got) __attribute__((warn_unused_result));

/* Next run of data at or after off (SEEK_DATA/SEEK_HOLE): [*start, *end); start == size when only a hole follows.
 * On a file system without holes the whole rest is data. */
int fsys_next_data(int fd, uint64_t off, uint64_t size, uint64_t *start, uint64_t *end) __attribute__((warn_unused_result));

/* All extended attributes of dirfd/name (not followed), those the kernel lets us see; encoded as TREENODE_EXT_XATTR's value, sorted by
 * name; *len 0 when there are none or the file system has none.  Owns: *out: caller frees.  max: longer is ERR_FAILED. */
int fsys_xattrs(int dirfd, const char *name, uint32_t mode, size_t max, uint8_t **out, size_t *len) __attribute__((warn_unused_result));

/* The file flags kept: those a program may set and that mean the same elsewhere (names of <linux/fs.h>). */
#define FSYS_FLAGS_SETTABLE \
	(FS_SECRM_FL | FS_UNRM_FL | FS_COMPR_FL | FS_SYNC_FL | FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL | \
	    FS_NOCOMP_FL | FS_JOURNAL_DATA_FL | FS_NOTAIL_FL | FS_DIRSYNC_FL | FS_TOPDIR_FL | FS_NOCOW_FL)

/* FS_IOC_GETFLAGS of an open file or directory, restricted to FSYS_FLAGS_SETTABLE; 0 where the file system has none. */
uint32_t fsys_flags(int fd);

/* Magic of the file system the fd is on (statfs f_type). */
uint64_t fsys_type(int fd);

/* Names of users and groups; "" when unknown.  Always OK.  Cached by the caller. */
int fsys_user_name(uint32_t uid, char *buf, size_t cap);
int fsys_group_name(uint32_t gid, char *buf, size_t cap);
bool fsys_user_id(const char *name, uint32_t *uid);
bool fsys_group_id(const char *name, uint32_t *gid);

/* The path with links resolved by the kernel if it ends in "/" or has ".." in it, where text and kernel may disagree; else as fsys_absolute. */
int fsys_resolve(const char *path, char **out) __attribute__((warn_unused_result));

/* Lexically absolute, without "." "..", double or trailing slashes.  Owns: *out: caller frees. */
int fsys_absolute(const char *path, char **out) __attribute__((warn_unused_result));

/* How many files this process may have open. */
unsigned fsys_files_most(void);

/* Raise the limit of open descriptors to the hard limit. */
void fsys_raise_limits(void);

#endif
