/*
 * kin: which of the chunks shown to it have most of the content of another one.  What moved inside a file (a database's index
 * segments are merged into new pages) has no base at its own place, but often one among the chunks that were replaced at the same time.
 */
#ifndef STORE_KIN_H
#define STORE_KIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/packer.h"

struct kin;
struct mem_buf;

int kin_new(struct kin **out) __attribute__((warn_unused_result));
struct kin *kin_free(struct kin *k);

/* What is remembered of a chunk: hashes, behind what *to has.  Cost: about 1 ns a byte.  Needs no kin: any thread may do it. */
int kin_look(const void *p, size_t len, struct mem_buf *to) __attribute__((warn_unused_result));

/* Remember a chunk by len bytes of these; when there is no more room it is not remembered. */
int kin_add(struct kin *k, const struct name *id, const uint8_t *hashes, size_t len) __attribute__((warn_unused_result));

/* Are there any? */
bool kin_any(const struct kin *k);

/* Those that share most with these bytes, at most KIN_MOST, the best first; how many share enough.  Many threads may ask at once. */
#define KIN_MOST 8
unsigned kin_find(const struct kin *k, const void *p, size_t len, struct name ids[static KIN_MOST]);

/* A chunk that waits until all others were shown. */
struct kin_waiting {
	struct packer_item it;
	struct name base;               /* the one at its own place; zero: none */
};

/* Keep a copy of the chunk: FOUND; OK when there is no room for more. */
int kin_wait(struct kin *k, const struct packer_item *it, const struct name *base) __attribute__((warn_unused_result));

/* The next one that waits, no more then; NULL: none.  Borrowed until the next call. */
const struct kin_waiting *kin_next(struct kin *k);

#endif
