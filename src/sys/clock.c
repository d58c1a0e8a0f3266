#include "sys/clock.h"

#include <assert.h>
#include <time.h>

static int64_t
now_ns(clockid_t id)
{
	struct timespec ts;
	int rc = clock_gettime(id, &ts);

	assert(rc == 0);
	return (int64_t)ts.tv_sec * CLOCK_NS + ts.tv_nsec;
}

int64_t
clock_wall_ns(void)
{
	return now_ns(CLOCK_REALTIME);
}

int64_t
clock_coarse_ns(void)
{
	return now_ns(CLOCK_REALTIME_COARSE);
}

int64_t
clock_steady_ns(void)
{
	return now_ns(CLOCK_MONOTONIC);
}

void
clock_sleep_ns(int64_t ns)
{
	struct timespec t = { .tv_sec = ns / CLOCK_NS, .tv_nsec = ns % CLOCK_NS };

	(void)nanosleep(&t, NULL);
}
