/*
 * ahead: frames that will be wanted soon, opened by other threads (SPEC §6).
 *
 * Who restores asks for chunks in the order in which they were stored, nearly: one frame of a pack after the other.  Where that is so,
 * the frames behind the last one asked for are read, opened, decoded and proved (framebox.h) meanwhile.  Memory is bounded: at most
 * AHEAD_FRAMES frames are kept or worked on.
 *
 * All calls are made by one thread.
 */
#ifndef STORE_AHEAD_H
#define STORE_AHEAD_H

#include "store/framebox.h"

#define AHEAD_FRAMES 10

struct ahead;

/* Starts `jobs` threads, or as many as the system lets us.  Owns: *out: ahead_free.  r is borrowed. */
int ahead_new(struct repo *r, unsigned jobs, struct ahead **out) __attribute__((warn_unused_result));
struct ahead *ahead_free(struct ahead *a);

/*
 * The frame at this place, if it was opened ahead: FOUND, and `box` belongs to the caller.  OK: the caller has to read it, which also
 * shows what is wrong with it.
 *
 * Either way the frames behind it in its pack may be begun with.
 */
int ahead_take(struct ahead *a, const struct index_place *at, struct framebox *box);

#endif
