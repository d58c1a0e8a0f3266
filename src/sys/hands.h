/*
 * hands: threads that do small jobs for one caller, who goes on meanwhile and hears of them in the order in which he gave them.
 *
 * A job is a run of bytes in one ring of fixed size: its arguments, what it works on, and what came of it.  It is done in any order, and
 * "reaped" in the caller's thread, in order, when room is wanted or at the end.
 */
#ifndef SYS_HANDS_H
#define SYS_HANDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hands;

/* In one of the threads.  What comes of it stays in the job. */
typedef void (*hands_run)(void *job);

/*
 * In the caller's thread; must not use the hands.  dropped: it was not done and will not be; only what it owns is to be freed.
 * A failure ends everything: what follows is dropped, and every call after that fails the same way.
 */
typedef int (*hands_reap)(void *arg, void *job, bool dropped);

/* Starts `threads` threads, or as many as the system lets us; arg is for `reap`.  Owns: *out: hands_free. */
int hands_new(unsigned threads, size_t ring_bytes, void *arg, struct hands **out) __attribute__((warn_unused_result));

/* Jobs that are left are dropped; the note of a failure stays. */
struct hands *hands_free(struct hands *h);

/* Room for a job, at most a quarter of the ring.  *job is aligned for any type, and the caller's until the next call. */
int hands_room(struct hands *h, size_t len, void **job) __attribute__((warn_unused_result));

/* Only the first len bytes of the room asked for last are needed: the rest is free again when the job is given away. */
void hands_trim(struct hands *h, size_t len);

/*
 * Give away the job in the room asked for last.  run may be NULL: there is nothing to do but to reap it.  Of two jobs with the same `place`
 * one waits for the other, if there is anything else to do.
 */
void hands_give(struct hands *h, hands_run run, hands_reap reap, uint64_t place);

/* Are there jobs that were not reaped? */
bool hands_pending(const struct hands *h);

/* The failure that ended everything, or OK. */
int hands_check(const struct hands *h) __attribute__((warn_unused_result));

/* Until all are reaped. */
int hands_drain(struct hands *h) __attribute__((warn_unused_result));

#endif
