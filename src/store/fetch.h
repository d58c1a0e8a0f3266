/*
 * fetch: the content of a large file, decoded and proved by several threads,
 * handed out in order by the caller's.  Frames without bases are read ahead by
 * the reader itself (ahead.h); where most chunks are differences, as in a
 * database that is captured every hour, that leaves the work to one thread.
 */
#ifndef STORE_FETCH_H
#define STORE_FETCH_H

#include "store/reader.h"
#include "store/tree.h"

#define FETCH_LEAST (16ull << 20)       /* shorter files are not worth it */

/* Threads that are worth it and can be had; 0: none.  Each holds up to 100 files open. */
unsigned fetch_jobs(void);

struct fetch;

/*
 * Readers of the same repository as rd's, each with a cache of its own.
 * Owns: rd borrowed; *out: fetch_free.
 * Cost: some 40 MiB for each of `jobs` threads.
 */
int fetch_new(struct reader *rd, unsigned jobs, struct fetch **out)
    __attribute__((warn_unused_result));
struct fetch *fetch_free(struct fetch *f);

/* p: the piece's plaintext, of its length; NULL for a hole.  Not OK ends it. */
typedef int (*fetch_fn)(void *arg, const struct tree_piece *piece,
    const uint8_t *p);

/*
 * Errors: those of tree_content_open, tree_content_next and reader_get;
 *         ERR_CORRUPT when a chunk has not the length its list says; fn's.
 *         What came before the first failure was handed out, nothing after.
 */
int fetch_content(struct fetch *f, const struct treenode_entry *e, fetch_fn fn,
    void *arg) __attribute__((warn_unused_result));

#endif
