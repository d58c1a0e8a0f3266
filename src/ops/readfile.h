/*
 * readfile: file contents into the session.
 *
 * Large files are cut and stored as they are read.  Files that are one chunk are staged: read into a buffer, and hashed and stored
 * together, many at a time (codec/lanes.h).  A staged entry gets its content at the next readfile_flush.
 */
#ifndef OPS_READFILE_H
#define OPS_READFILE_H

#include "codec/chunker.h"
#include "ops/cuts.h"
#include "ops/filebuild.h"
#include "store/session.h"

struct fsys_stat;
struct readfile_staged;

#define READFILE_BUFFER (2u << 20)

struct readfile {
	struct repo *repo;
	struct session *s;
	struct reader *parent_reader;   /* for the parent's lists; NULL without parent */
	struct chunker chunker;
	struct filebuild build;
	struct cuts cuts;               /* of the large file being read */
	uint8_t *buf;                   /* read buffer of large files */
	uint8_t *stage;                 /* contents of staged files */
	size_t stage_len;
	struct readfile_staged *staged;
	size_t staged_count;
	uint64_t bytes_read, bytes_new;
	int (*tick)(void *arg);         /* called between reads; a failure ends the reading */
	void *arg;
};

int readfile_init(struct readfile *f, struct repo *r, struct session *s, bool fingerprints) __attribute__((warn_unused_result));
void readfile_clear(struct readfile *f);

/* Outcome of reading the source, apart from the store's errors. */
enum readfile_outcome {
	READFILE_DONE,                  /* e has its content, or will have it after readfile_flush */
	READFILE_CHANGED,               /* done, but the file changed while it was read, twice */
	READFILE_FAILED                 /* it could not be read: err_text() */
};

/*
 * Read the open regular file, which st describes, into e: size, content, fingerprint, flags (TREENODE_LIST, _CHANGED, _UNREAD);
 * when the file changed meanwhile st and e's times and size are those of the second reading.
 * old: the parent snapshot's entry, or NULL.  e must stay where it is until the next readfile_flush.
 */
int readfile_read(struct readfile *f, int fd, struct fsys_stat *st, const struct treenode_entry *old, struct treenode_entry *e,
    enum readfile_outcome *outcome) __attribute__((warn_unused_result));

/* Hash and store what is staged. */
int readfile_flush(struct readfile *f) __attribute__((warn_unused_result));

/* A stream to its end.  ERR_IO when it cannot be read. */
int readfile_stream(struct readfile *f, int fd, struct treenode_entry *e) __attribute__((warn_unused_result));

#endif
