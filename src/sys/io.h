/*
 * io: the only door to the repository directory.  A vtable, so that crashes, faults and schedulers can be put behind it.
 *
 * Paths are relative to the repository ("packs/ab/..."), made of our own safe characters.  All functions return an enum err;
 * absence is ERR_ABSENT and nothing else (GN-5).  EINTR never comes out.
 */
#ifndef SYS_IO_H
#define SYS_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct io_file;
struct io;

enum io_lock { IO_UNLOCKED, IO_SHARED, IO_EXCLUSIVE };

typedef int (*io_list_fn)(void *arg, const char *name);        /* a negative result stops the listing and is returned */

struct io_ops {
	int (*open)(struct io *io, const char *path, struct io_file **out);             /* for reading */
	int (*create)(struct io *io, const char *path, struct io_file **out);           /* O_EXCL, for appending */
	int (*size)(struct io_file *f, uint64_t *size);
	int (*read_at)(struct io_file *f, uint64_t off, void *buf, size_t len);         /* all of it: a short file is ERR_CORRUPT */
	int (*append)(struct io_file *f, const void *buf, size_t len);
	int (*write_at)(struct io_file *f, uint64_t off, const void *buf, size_t len);  /* of an unfinished file */
	void (*stream)(struct io_file *f);                                              /* may be NULL */
	int (*sync)(struct io_file *f);
	int (*close)(struct io_file *f);                                                /* frees f whatever happens */
	int (*rename)(struct io *io, const char *from, const char *to);                 /* never replaces: ERR_EXISTS */
	int (*unlink)(struct io *io, const char *path);
	int (*mkdir)(struct io *io, const char *path);
	int (*sync_dir)(struct io *io, const char *path);                               /* "" is the repository itself */
	int (*list)(struct io *io, const char *path, io_list_fn fn, void *arg);         /* no "." and ".."; any order */
	int (*stat)(struct io *io, const char *path, uint64_t *size);
	int (*lock)(struct io *io, enum io_lock kind, bool wait);                       /* SPEC §11; ERR_LOCKED if !wait */
	int (*identity)(struct io *io, uint64_t *dev, uint64_t *inode);                 /* of its directory; NULL: it has none */
	void (*free)(struct io *io);
};

struct io {
	const struct io_ops *ops;
};

/* A repository in a directory of this machine.  With create, the directory and its parents are made if they are not there.
 * Owns: *out: caller frees with io_free. */
int io_posix_new(const char *dir, bool create, struct io **out) __attribute__((warn_unused_result));

/* io_free, and remove again the directories that io_posix_new made for `dir`, those that are empty.  The note stays. */
void io_posix_undo(struct io *io, const char *dir);
struct io *io_free(struct io *io);

int io_open(struct io *io, const char *path, struct io_file **out) __attribute__((warn_unused_result));
int io_create(struct io *io, const char *path, struct io_file **out) __attribute__((warn_unused_result));
int io_size(struct io *io, struct io_file *f, uint64_t *size) __attribute__((warn_unused_result));
int io_read_at(struct io *io, struct io_file *f, uint64_t off, void *buf, size_t len) __attribute__((warn_unused_result));
int io_append(struct io *io, struct io_file *f, const void *buf, size_t len) __attribute__((warn_unused_result));
int io_write_at(struct io *io, struct io_file *f, uint64_t off, const void *buf, size_t len) __attribute__((warn_unused_result));

/* Of a file that is still empty: it will be large, is appended to only, and nobody reads it soon.  It is whole once it is synced. */
void io_stream(struct io *io, struct io_file *f);
int io_sync(struct io *io, struct io_file *f) __attribute__((warn_unused_result));
int io_close(struct io *io, struct io_file *f);
int io_rename(struct io *io, const char *from, const char *to) __attribute__((warn_unused_result));
int io_unlink(struct io *io, const char *path) __attribute__((warn_unused_result));
int io_mkdir(struct io *io, const char *path) __attribute__((warn_unused_result));
int io_sync_dir(struct io *io, const char *path) __attribute__((warn_unused_result));
int io_list(struct io *io, const char *path, io_list_fn fn, void *arg) __attribute__((warn_unused_result));
int io_stat(struct io *io, const char *path, uint64_t *size) __attribute__((warn_unused_result));

/*
 * Take or release (IO_UNLOCKED) the repository's lock.  Taken again it is held until released as often, and stays what it is: shared
 * may be asked for under exclusive, but is never upgraded.  ERR_LOCKED if !wait and another process holds it; ERR_INTERRUPTED when a signal ends the waiting.
 */
int io_lock(struct io *io, enum io_lock kind, bool wait) __attribute__((warn_unused_result));

/* The repository's directory as the file system knows it: FOUND, or OK when it is no directory of this machine. */
int io_identity(struct io *io, uint64_t *dev, uint64_t *inode);

/* A whole small file, at most max bytes (else ERR_CORRUPT).  Owns: *out: caller frees. */
int io_read_file(struct io *io, const char *path, size_t max, uint8_t **out, size_t *len) __attribute__((warn_unused_result));

/* Create `tmp` with these bytes, synced; on failure nothing is left (PB-8). */
int io_write_file(struct io *io, const char *tmp, const void *buf, size_t len) __attribute__((warn_unused_result));

/* Remove a file that is of no use; failing to is harmless (a sweep will), and the error note stays as it was. */
void io_discard(struct io *io, const char *path);

#endif
