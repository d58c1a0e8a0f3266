/* crew: threads that share out numbered jobs, while the caller's thread looks at the signals and shows how far they are. */
#ifndef SYS_CREW_H
#define SYS_CREW_H

#include <stddef.h>

struct crew_work {
	/* Job `job` in thread `worker` (below `workers`).  A failure ends all of it: no further job is begun. */
	int (*run)(void *arg, unsigned worker, size_t job);
	/* About ten times a second and at the end, in the caller's thread.  A failure ends it likewise.  May be NULL. */
	int (*look)(void *arg);
	void *arg;
};

/*
 * Run jobs 0 ... count - 1, begun in that order, in `workers` threads (one: in the caller's, then `look` comes between jobs).
 * The first failure, with its note; ERR_FAILED when no thread can be started.
 */
int crew_run(const struct crew_work *w, unsigned workers, size_t count) __attribute__((warn_unused_result));

#endif
