/* refill: the content of a file, piece by piece: is it there already, and bring it. */
#ifndef OPS_REFILL_H
#define OPS_REFILL_H

#include <stdbool.h>
#include <stdint.h>

struct fetch;
struct keys;
struct reader;
struct treenode_entry;

struct refill {
	struct reader *rd;              /* borrowed */
	const struct keys *keys;        /* borrowed */
	bool sparse;                    /* make holes of zero chunks */
	uint8_t *buf;                   /* a chunk of the file that is there; owned */
	unsigned jobs;                  /* threads for a large file that is not there; 0: none */
	struct fetch *fetch;            /* owned; NULL until there was one */
	uint64_t written;               /* bytes, over all files */
	void (*tick)(void *arg, uint64_t bytes);        /* after each piece */
	void *arg;
};

int refill_init(struct refill *f) __attribute__((warn_unused_result));
void refill_clear(struct refill *f);

/*
 * Is the content of fd (size bytes) that of the entry?  FOUND: yes; OK: no.
 *
 * Errors: ERR_CORRUPT  the repository's description of the content is damaged or missing
 *         ERR_INTERRUPTED, ERR_NOMEM; others: fd cannot be read
 * Cost:   reads the file up to the first difference; holes where the entry has holes are not read.
 * Spec:   CH-4 (with a public key CH-1)
 */
int refill_same(struct refill *f, const struct treenode_entry *e, int fd, uint64_t size) __attribute__((warn_unused_result));

/*
 * Write the entry's content to the empty file `out`, taking the pieces that are equal from `old` (-1: there is none).
 * Holes stay holes.  ERR_CORRUPT: a chunk or list is damaged or missing.
 */
int refill_write(struct refill *f, const struct treenode_entry *e, int out, int old) __attribute__((warn_unused_result));

/*
 * The entry's content to memory, e->size bytes.  FOUND: it is there; OK: it has holes, which memory cannot hold.  Errors as refill_write.
 */
int refill_read(struct refill *f, const struct treenode_entry *e, uint8_t *to) __attribute__((warn_unused_result));

#endif
