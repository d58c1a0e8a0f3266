/*
 * support_io: a disk in memory behind `struct io`, that remembers every change, can be told to fail, and can say what would be
 * found on it after a kill or a power loss at any moment.
 *
 * A change of a name (create, rename, unlink, mkdir) is durable once the directory it was made in is synced (of a rename: the
 * one it went to; it moves the name in one step or not at all).  Bytes of a file are durable once the file is synced; a sync that
 * failed makes later syncs of that file lie, as those of Linux do.  All functions may be called by several threads, except those
 * that make or free a disk.
 */
#ifndef TESTS_UNIT_SUPPORT_IO_H
#define TESTS_UNIT_SUPPORT_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sys/io.h"

#define SUPPORT_IO_PATH 96

struct support_disk;
struct support_bytes;

enum support_kind {
	SUPPORT_CREATE, SUPPORT_APPEND, SUPPORT_WRITE_AT, SUPPORT_SYNC, SUPPORT_RENAME, SUPPORT_UNLINK, SUPPORT_MKDIR,
	SUPPORT_SYNC_DIR,
	SUPPORT_OPEN, SUPPORT_LIST, SUPPORT_STAT, SUPPORT_READ, /* change nothing; SUPPORT_READ is not in the log ... */
	SUPPORT_SIZE, SUPPORT_CLOSE, SUPPORT_LOCK               /* ... nor are these.  A file that was not written to closes well */
};

#define SUPPORT_BIT(kind) (1u << (kind))
#define SUPPORT_WRITES 0xffu                            /* the first row */
#define SUPPORT_READS 0xf00u
#define SUPPORT_REST 0x7000u

/* One operation that succeeded (or a write that failed half-way: then with what was written). */
struct support_op {
	enum support_kind kind;
	uint32_t inode, dir;            /* of files; number of the directory whose sync makes it durable */
	char path[SUPPORT_IO_PATH], to[SUPPORT_IO_PATH];        /* to: of a rename */
	uint64_t off;
	struct support_bytes *bytes;    /* of writes */
};

/* Owns: out: support_disk_free. */
struct support_disk *support_disk_new(void);
struct support_disk *support_disk_free(struct support_disk *d);

/* One process with this disk; locks are between such.  Owns: out: io_free, before the disk. */
struct io *support_disk_io(struct support_disk *d);

/* The log. */
size_t support_disk_ops(const struct support_disk *d);
const struct support_op *support_disk_op(const struct support_disk *d, size_t i);
size_t support_op_len(const struct support_op *op);
const uint8_t *support_op_data(const struct support_op *op);

/* From now on only what changes the disk is in the log: for runs that read for hours. */
void support_disk_blind(struct support_disk *d);

/* Operations whose bit is in `kinds`, counted from now: the nth (from 1) fails with this errno, and with `forever` all later ones. */
void support_disk_fail(struct support_disk *d, uint32_t kinds, uint64_t nth, int err, bool forever);

/* Above 0 while this thread is inside of an operation of a disk. */
extern _Thread_local volatile unsigned support_io_inside;

/* How many of these kinds were asked for since support_disk_fail, and how many of them failed. */
uint64_t support_disk_asked(const struct support_disk *d);
uint64_t support_disk_failures(const struct support_disk *d);

enum support_loss_kind {
	SUPPORT_KEEP_ALL,               /* everything became durable after all */
	SUPPORT_LOSE_ALL,               /* unsynced bytes and names are gone */
	SUPPORT_LOSE_BYTES,             /* names stay, unsynced bytes are gone */
	SUPPORT_KEEP_NAME,              /* of the unsynced names only number `which` stays; unsynced bytes are gone */
	SUPPORT_LOSE_NAME,              /* of the unsynced names only number `which` is gone; bytes stay */
	SUPPORT_TORN,                   /* all stays, but of the last write only the first `which` sectors of 512 bytes */
	SUPPORT_RANDOM                  /* each unsynced name and sector stays or not; `which` is the seed */
};

struct support_loss {
	enum support_loss_kind kind;
	uint64_t which;
};

/* What is there when every process was killed after the first n operations; what was not synced still is not. */
struct support_disk *support_disk_kill(const struct support_disk *d, size_t n);

/* What is there after the power was lost after the first n operations: all of it is durable. */
struct support_disk *support_disk_loss(const struct support_disk *d, size_t n, const struct support_loss *loss);

/* Name operations among the first n that are not durable then; sectors in the last write if it is not durable, else 0. */
size_t support_disk_pending(const struct support_disk *d, size_t n);
size_t support_disk_torn(const struct support_disk *d, size_t n);

/*
 * What a repository never does and the target of a restore sees; io_* refuses it or has no word for it.  Each changes names in one step,
 * durable as other names are, and is in the log as what it amounts to.  False when it cannot be, and nothing has changed.
 */
bool support_disk_replace(struct support_disk *d, const char *from, const char *to);    /* a rename over a file, if there is one: SUPPORT_RENAME */
bool support_disk_link(struct support_disk *d, const char *from, const char *to);       /* a second name for a file: SUPPORT_CREATE */
bool support_disk_rmdir(struct support_disk *d, const char *path);                      /* an empty directory: SUPPORT_UNLINK, inode 0 */

/* A file whose bytes are as durable as its name, as those of a symbolic link are: SUPPORT_CREATE with bytes. */
bool support_disk_whole(struct support_disk *d, const char *path, const void *p, size_t len);

/* All that is there, sorted by path; inode 0: a directory.  Names of one file have one inode.  p is borrowed until the disk is changed. */
typedef void (*support_disk_fn)(void *arg, const char *path, uint32_t inode, const uint8_t *p, size_t len);
void support_disk_each(const struct support_disk *d, support_disk_fn fn, void *arg);

/* Change one byte of a file, as a bad disk would; false when it has no such byte. */
bool support_disk_flip(struct support_disk *d, const char *path, uint64_t off);

/* Cut a file to len bytes; remove a file; neither is in the log. */
bool support_disk_cut(struct support_disk *d, const char *path, uint64_t len);
bool support_disk_remove(struct support_disk *d, const char *path);

#endif
