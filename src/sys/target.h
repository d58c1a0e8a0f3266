/*
 * target: what a restore does to the directory it writes into.  Every call takes an open directory and one name beneath it and
 * never follows a link; nothing here sees a path.  On failure the note has the system's words.
 */
#ifndef SYS_TARGET_H
#define SYS_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fsys_names;
struct fsys_stat;

#define TARGET_TEMP_MAX 40              /* room for a temporary name */

/* Open a directory for reading, beneath dirfd, no links.  Owns: *fd: caller closes with fsys_close. */
int target_open_dir(int dirfd, const char *name, int *fd) __attribute__((warn_unused_result));

/* Make a directory of mode 0700. */
int target_make_dir(int dirfd, const char *name) __attribute__((warn_unused_result));

/* The user's own path: make it and its parents unless it is there (links and ".." in it are the user's, and lead where the kernel says), open
 * it.  *made: it was not there, and is ours.  dry: make nothing; then *fd is -1 when it is not there.  Owns: *fd: caller closes.
 * Errors: ERR_USAGE  ".." comes after what is not there */
int target_open_root(const char *path, uint32_t mode, bool dry, int *fd, bool *made) __attribute__((warn_unused_result));

/* ".varve-<hex>.tmp", another one with every call; *seed starts random. */
void target_temp_name(uint64_t *seed, char name[static TARGET_TEMP_MAX]);

bool target_is_temp_name(const char *name);

/* Create a file that was not there, for reading and writing.  Owns: *fd: caller closes. */
int target_create(int dirfd, const char *name, uint32_t mode, int *fd) __attribute__((warn_unused_result));

/* Close a file that was written: some file systems tell only now what could not be. */
int target_close(int fd) __attribute__((warn_unused_result));

/* Has another process this file open?  fd: ours, for reading, the only one of this process.  Asks for a lease, which the kernel grants
 * only then; where there are none, for locks, false if nothing can be told.  True where it may not be asked (neither owner nor root). */
bool target_in_use(int fd);

/* Make a file's content, or a directory's names, durable. */
int target_sync(int fd) __attribute__((warn_unused_result));

/* Make the content of dirfd/name durable; if it may not be opened, with all else of its file system. */
int target_sync_name(int dirfd, const char *name) __attribute__((warn_unused_result));

/* Remove a temporary name; nothing more can be done if that fails. */
void target_drop(int dirfd, const char *name);

/* Effective user id. */
uint32_t target_user(void);

int target_write_at(int fd, uint64_t off, const void *p, size_t len) __attribute__((warn_unused_result));
int target_set_size(int fd, uint64_t size) __attribute__((warn_unused_result));
int target_symlink(int dirfd, const char *name, const char *text) __attribute__((warn_unused_result));

/* A fifo, socket or device of mode 0600; type is S_IFIFO, S_IFSOCK, S_IFCHR or S_IFBLK. */
int target_make_node(int dirfd, const char *name, uint32_t type, uint32_t major, uint32_t minor)
    __attribute__((warn_unused_result));

int target_link(int from_dirfd, const char *from, int dirfd, const char *name) __attribute__((warn_unused_result));

/* Within one directory, replacing what is there. */
int target_rename(int dirfd, const char *from, const char *to) __attribute__((warn_unused_result));
int target_unlink(int dirfd, const char *name) __attribute__((warn_unused_result));

#define TARGET_REPOSITORY "varve-repo"  /* the directory that it lies in is a repository */

/* Are these the names in a repository? */
bool target_is_repository(const struct fsys_names *names);

/* Remove a name with all that is beneath it.  Neither a mount point nor a directory that holds a repository is entered: ERR_FAILED.
 * With dry nothing is removed.  *count grows by the names removed, or to be removed.  Cost: one descriptor per level, at most 4096 levels. */
int target_remove(int dirfd, const char *name, bool dry, uint64_t *count) __attribute__((warn_unused_result));

/* Does the directory pass an ACL on to what is made in it? */
bool target_has_default_acl(int fd);
int target_drop_default_acl(int fd) __attribute__((warn_unused_result));

/* Write out the whole file system, and forget a file's pages, so that what is read next comes from the disk. */
void target_flush(int fd);
void target_forget(int fd);

/* Flags that forbid to rename, link and change a file: set when nothing else is to be done. */
#define TARGET_FLAGS_LOCKING (FS_IMMUTABLE_FL | FS_APPEND_FL)

/* Set these flags of a file or directory besides those it has; or take the locking ones away. */
int target_add_flags(int dirfd, const char *name, uint32_t flags) __attribute__((warn_unused_result));
int target_unlock(int dirfd, const char *name) __attribute__((warn_unused_result));

struct target_meta {
	uint32_t mode;                  /* permission bits, 07777 */
	uint32_t uid, gid;
	int64_t mtime;                  /* seconds */
	uint32_t mtime_ns;
	uint32_t flags;                 /* of FSYS_FLAGS_SETTABLE */
	const uint8_t *xattrs;          /* encoded as TREENODE_EXT_XATTR's value; borrowed */
	size_t xattrs_len;
	bool only_access;               /* mode and owner only: times, attributes and flags stay as they are */
};

struct target_place {
	int dirfd;
	const char *name;
	int fd;                         /* the file or directory itself when it is open, else -1 */
	bool root;                      /* we may set owners and every kind of attribute */
	bool bare;                      /* just made: it has no attributes and flags to take away */
	bool dry;                       /* only find out */
};

/*
 * Give the file the metadata it should have, changing only what differs from st, which is its state now.
 * setuid and setgid are set only if the owner (group) is the one wanted.  Attributes a program has no right to are left out
 * unless `root`.
 *
 * *changed becomes true if anything differed.  All parts are tried; the first failure is returned.
 */
int target_fix(const struct target_place *at, const struct fsys_stat *st, const struct target_meta *want, bool *changed)
    __attribute__((warn_unused_result));

#endif
