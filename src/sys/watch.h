/*
 * watch: somebody who looks at the signals and the clock while the program is busy in code that is
 *        not ours.
 */
#ifndef SYS_WATCH_H
#define SYS_WATCH_H

#include <stdint.h>

struct watch;

/*
 * A thread that calls stop(arg) about ten times a second while a signal has asked for an end
 * (signals_stop_asked) or the deadline is over; stop must be safe to call from it.  Idle at first.
 * Owns: *out: caller frees with watch_free, after which stop is not called any more.
 */
int watch_new(void (*stop)(void *arg), void *arg,
    struct watch **out) __attribute__((warn_unused_result));
struct watch *watch_free(struct watch *w);

/* Look from now on; deadline_ns of clock_steady_ns, 0: none. */
void watch_begin(struct watch *w, int64_t deadline_ns);

/* Stop looking: the thread sleeps. */
void watch_end(struct watch *w);

#endif
