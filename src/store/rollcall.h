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
 * Begin in a thread.  NULL: there are few snapshots, or it cannot be done.
 * The caller holds the exclusive lock: nobody else renames records.
 * Owns: the result: rollcall_free, which does not wait for all names.
 */
struct rollcall *rollcall_ahead(struct repo *r);
struct rollcall *rollcall_free(struct rollcall *c);

/*
 * What it found: FOUND, or OK when it failed or c is NULL.  Names may have
 * gone meanwhile, so that only a sum that is as expected says something: else
 * call again, now.
 */
int rollcall_sum(struct rollcall *c, struct recordsum *out);

#endif
