/* clock: time.  No clock ever decides safety. */
#ifndef SYS_CLOCK_H
#define SYS_CLOCK_H

#include <stdint.h>

#define CLOCK_NS 1000000000ll

int64_t clock_wall_ns(void);            /* nanoseconds since 1970 */
int64_t clock_coarse_ns(void);          /* the clock file systems stamp files with */
int64_t clock_steady_ns(void);          /* for durations */
void clock_sleep_ns(int64_t ns);          /* at most; a signal ends it */

#endif
