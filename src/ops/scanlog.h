/* scanlog: where a scan is, and what it tells. */
#ifndef OPS_SCANLOG_H
#define OPS_SCANLOG_H

#include <stddef.h>

struct scan;

/* The path being worked on; borrowed.  Enter a name, leave it again. */
const char *scanlog_path(const struct scan *sc);
int scanlog_push(struct scan *sc, const char *name, size_t *old) __attribute__((warn_unused_result));
void scanlog_pop(struct scan *sc, size_t old);

/* Something of the path could not be read: told and counted. */
void scanlog_problem(struct scan *sc, const char *text);

/* What the source refused (rc and its note) is a problem of one path, OK; anything else ends the snapshot: rc. */
int scanlog_refused(struct scan *sc, int rc) __attribute__((warn_unused_result));

/* Progress, and a look at the signals; arg is the scan. */
int scanlog_tick(void *arg) __attribute__((warn_unused_result));

#endif
