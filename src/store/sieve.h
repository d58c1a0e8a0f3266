/*
 * sieve: which of many small segments may have an id, in one look.  A snapshot
 * asks for every chunk of a database that is captured every hour, and the
 * segments of all hours since the last settle would each be searched for it.
 *
 * Cost: some 60 ns for each row when it is made, 16 to 32 bytes of memory; about
 * one cache miss when it is asked.
 */
#ifndef STORE_SIEVE_H
#define STORE_SIEVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct index_file;
struct name;
struct sieve;

#define SIEVE_SEGMENTS 64u
#define SIEVE_ROWS (1u << 19)           /* at most */

/* For so many rows altogether.  Owns: *out: sieve_free. */
int sieve_new(uint64_t rows, struct sieve **out)
    __attribute__((warn_unused_result));
struct sieve *sieve_free(struct sieve *s);

/* Segment n's rows.  If they cannot all be read it may have any id. */
int sieve_add(struct sieve *s, unsigned n, struct index_file *f)
    __attribute__((warn_unused_result));

/* Bit n: segment n may have it; set, too, if n was not added. */
uint64_t sieve_ask(const struct sieve *s, const struct name *id);

#endif
