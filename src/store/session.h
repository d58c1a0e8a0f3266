/*
 * session: one writer of the repository (SPEC §11): chunks go in, each stored once; packs, segment and record are published in
 * the order of PB-2.  References are counted by the next settle, from the nodes themselves.
 */
#ifndef STORE_SESSION_H
#define STORE_SESSION_H

#include "format/snaprec.h"
#include "store/index.h"
#include "store/reader.h"
#include "store/repo.h"

struct session;

struct session_config {
	unsigned jobs;                  /* threads that compress and seal; 0: one per core */
	uint64_t memory;                /* bounds the threads: bytes for what they work on; 0: the default 384 MiB */
	int level;                      /* zstd level; 0: the default 3 */
	uint64_t part_bytes;            /* stored bytes after which a part is published; 0: default */
	bool dry_run;                   /* count, but write nothing */
	bool no_settle;                 /* leave the segments to somebody else: whoever keeps the lock for more than the session */
};

struct session_stats {
	uint64_t chunks_new, bytes_new; /* plaintext not stored before */
	uint64_t bytes_stored;          /* bytes of packs and segments made */
	int settle_rc;                  /* OK, or why folding the segments after the commit failed (busy is not failure) */
	char settle_note[256];
};

/* Takes the shared lock (waits), loads the index.  Owns: *out: caller ends it with session_commit or session_abort, then session_free. */
int session_begin(struct repo *r, const struct session_config *cfg, struct session **out) __attribute__((warn_unused_result));

struct index *session_index(struct session *s);
struct reader *session_reader(struct session *s);       /* reads what was published before the session began */
const struct name_sid *session_sid(const struct session *s);
const struct session_stats *session_stats(const struct session *s);

/*
 * Store a chunk unless it is there; *id is its name.  The children of a node (L, T) must have been
 * put before it.  base: a chunk of the same type published before the session, whose plaintext is likely to resemble it, or NULL.
 * was_new may be NULL.
 */
int session_put(struct session *s, uint8_t type, const void *p, size_t len, const struct name *base, struct name *id, bool *was_new)
    __attribute__((warn_unused_result));

/* The same when the caller has computed the id already (CH-1; several at once, codec/lanes.h). */
int session_put_named(struct session *s, uint8_t type, const void *p, size_t len, const struct name *base, const struct name *id,
    bool *was_new) __attribute__((warn_unused_result));

/*
 * Data stored while this is on is read in places, not as a whole, and moves about in itself (databases): it is packed in small blocks, and
 * what has no good base at its own place waits until this is off, to be given one among the bases of the others.
 */
int session_fine(struct session *s, bool on) __attribute__((warn_unused_result));

/* May a chunk be named without storing it, its pack being there (IX-8)?  FOUND or OK. */
int session_has(struct session *s, const struct name *id) __attribute__((warn_unused_result));

/* Is every pack there that the index names?  FOUND or OK: then what an old list names may be gone.  Cost: one look per pack, once. */
int session_packs_whole(struct session *s) __attribute__((warn_unused_result));

/* Publish what there is so far as a part without a root, so that another session can reuse it (interrupt). */
int session_checkpoint(struct session *s) __attribute__((warn_unused_result));

/*
 * Publish the last part with this root and the record; rec->root names a tree that was put.  After OK the snapshot is durable.
 * Not after a session_put that failed: ERR_FAILED, if nothing else is wrong.
 */
int session_commit(struct session *s, const struct snaprec *rec) __attribute__((warn_unused_result));

/* Remove unfinished files. */
void session_abort(struct session *s);

/* Releases the lock.  Owns: frees s.  Returns NULL. */
struct session *session_free(struct session *s);

#endif
