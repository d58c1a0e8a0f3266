/*
 * imagevfs: files of a snapshot as SQLite sees files: a read-only VFS over the repository that
 *           fetches the chunks which hold the pages asked for, and no others.
 *
 * Images report that they never change (SQLITE_IOCAP_IMMUTABLE): SQLite takes no locks, looks for no
 * journal and no WAL, and opens an image whose header says WAL mode like any other.  What stands in
 * a -wal file beside it is not seen.
 */
#ifndef SOURCE_IMAGEVFS_H
#define SOURCE_IMAGEVFS_H

#include "format/treenode.h"
#include "store/reader.h"

struct imagevfs;

struct imagevfs_stats {
	uint64_t reads, bytes;          /* asked for by SQLite */
	uint64_t image_bytes;           /* lengths of all images */
};

/*
 * A VFS of its own name, registered with SQLite until it is freed.  No connection may use it then.
 * Owns: rd borrowed; *out: caller frees.
 */
int imagevfs_new(struct reader *rd, size_t cache_bytes,
    struct imagevfs **out) __attribute__((warn_unused_result));
struct imagevfs *imagevfs_free(struct imagevfs *v);

/* What sqlite3_open_v2 wants as the name of the VFS. */
const char *imagevfs_name(const struct imagevfs *v);

#define IMAGEVFS_FILE_MAX 32

/*
 * Make a file of a snapshot known; the text is the file name under which SQLite opens it.  The entry
 * is copied.
 * Errors: those of tree_content_open; ERR_FAILED when it is not an SQLite database (an empty file is
 *         one without tables)
 * Cost:   one chunk.
 */
int imagevfs_add(struct imagevfs *v, const struct treenode_entry *e,
    char file[static IMAGEVFS_FILE_MAX]) __attribute__((warn_unused_result));

/*
 * Fetch the image that was made known last, in so many threads, as far as the cache has room: for who
 * is about to read all of it in SQLite's order, which is none.  At what cannot be read it ends, and
 * leaves that to the read that wants it.
 * Errors: ERR_NOMEM, ERR_INTERRUPTED
 */
int imagevfs_fill(struct imagevfs *v, unsigned jobs) __attribute__((warn_unused_result));

/* Does the file begin like an SQLite database?  FOUND, OK (no), or an error.  Cost: one chunk. */
int imagevfs_probe(struct reader *rd,
    const struct treenode_entry *e) __attribute__((warn_unused_result));

/* Read through another reader of the same repository from now on. */
void imagevfs_set_reader(struct imagevfs *v, struct reader *rd);

/*
 * The failure behind an SQLITE_IOERR, with its note, once; OK when no read failed.
 * An image may have been closed by SQLite and opened again in between.
 */
int imagevfs_failure(struct imagevfs *v) __attribute__((warn_unused_result));

const struct imagevfs_stats *imagevfs_stats(const struct imagevfs *v);

#endif
