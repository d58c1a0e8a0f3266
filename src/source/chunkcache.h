/*
 * chunkcache: data chunks that were used lately, whole, for reading at random.  The reader keeps
 *             decoded blocks, but computes a chunk's id every time it hands it out (FR-5); who
 *             takes a page of 4 KiB out of a chunk of 64 KiB, and then the next, pays that once.
 */
#ifndef SOURCE_CHUNKCACHE_H
#define SOURCE_CHUNKCACHE_H

#include "store/reader.h"

struct chunkcache;

/* bytes bounds the chunks kept (at least one is).  Owns: rd borrowed; *out: caller frees. */
int chunkcache_new(struct reader *rd, size_t bytes,
    struct chunkcache **out) __attribute__((warn_unused_result));
struct chunkcache *chunkcache_free(struct chunkcache *cc);

/* Read through another reader of the same repository from now on; what is kept stays. */
void chunkcache_set_reader(struct chunkcache *cc, struct reader *rd);

/*
 * The plaintext of a D chunk that a list says to be len bytes long (LN-2), borrowed until the next
 * call.
 * Errors: those of reader_get; ERR_CORRUPT when it has another length.
 * Cost:   of a chunk that is kept: one look.
 */
int chunkcache_get(struct chunkcache *cc, const struct name *id, uint64_t len,
    const uint8_t **p) __attribute__((warn_unused_result));

/* Keep a copy of a chunk that was read and proved elsewhere. */
int chunkcache_put(struct chunkcache *cc, const struct name *id, const uint8_t *p,
    size_t len) __attribute__((warn_unused_result));

#endif
