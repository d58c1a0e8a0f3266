/* restore_source: the directory that crash_restore makes two snapshots of. */
#ifndef TESTS_CRASH_RESTORE_SOURCE_H
#define TESTS_CRASH_RESTORE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SOURCE_DATABASE "db/app.db"
#define SOURCE_LINK "dc/same.db"        /* a hard link to it */
#define SOURCE_FOUND "db/found.db"      /* one that is stored as found, with its WAL */

/* The directory s as it is first, and what changes in it then. */
bool source_first(const char *s);
bool source_second(const char *s);

/*
 * In the directory s: SOURCE_FOUND anew, which a process keeps locked, so that it is stored as found with its WAL.  *holder, 0 if there is
 * none, goes to source_release, which kills it.
 */
bool source_hold(const char *s, int rows, pid_t *holder);
void source_release(pid_t holder);

/* dir/name: a directory; nothing, however much is beneath it. */
bool source_put_dir(const char *dir, const char *name);
bool source_take(const char *dir, const char *name);

#endif
