/* dbcheck: is a file that nobody else uses a sound SQLite database? */
#ifndef SOURCE_DBCHECK_H
#define SOURCE_DBCHECK_H

#include <stdbool.h>

/* Does this code, plain or extended, say that the content of a database is damaged? */
bool dbcheck_is_damage(int sqlite_code);

/*
 * PRAGMA integrity_check on dirfd/name, opened as immutable: nothing is written, not even beside it.
 * Errors: ERR_FAILED  with the first thing that is wrong
 * Cost:   reads it all.
 */
int dbcheck_file(int dirfd, const char *name) __attribute__((warn_unused_result));

#endif
