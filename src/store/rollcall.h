/*
 * rollcall: the names in snapshots/ and forgotten/ taken together, by which
 * prune knows that the index counts every snapshot there is (SPEC IX-12).
 *
 * It is all that prune reads of what stays, and grows with it: so of many
 * snapshots another thread takes it, while this one syncs, sweeps and counts.
 */
#ifndef STORE_ROLLCALL_H
#define STORE_ROLLCALL_H

#include "format/recordsum.h"
#include "store/repo.h"

struct rollcall;

/* A name that is in both directories counts twice. */
int rollcall_now(struct repo *r, struct recordsum *out)
    __attribute__((warn_unused_result));

/*
 * Begin in a thread, with the lock or before.  NULL: nothing is forgotten, there
 * are few snapshots, or it cannot be done.
 * Owns: the result: rollcall_free, which does not wait for all names.  io is
 * borrowed until then.
 */
struct rollcall *rollcall_ahead(struct io *io);
struct rollcall *rollcall_free(struct rollcall *c);

/*
 * Is this the sum of what it found?  Names may have come and gone meanwhile, and
 * it may have failed: only yes says something, else call again, now.
 */
bool rollcall_is(struct rollcall *c, const struct recordsum *sum);

#endif
