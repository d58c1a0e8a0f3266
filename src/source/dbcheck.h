/* dbcheck: is a file that nobody else uses a sound SQLite database? */
#ifndef SOURCE_DBCHECK_H
#define SOURCE_DBCHECK_H

#include <stdbool.h>
#include <stdint.h>

/* Does this code, plain or extended, say that the content of a database is damaged? */
bool dbcheck_is_damage(int sqlite_code);

enum dbcheck_verdict {
	DBCHECK_SOUND,
	DBCHECK_DAMAGED,
	DBCHECK_FOREIGN,                /* nobody can tell: it needs what this SQLite does not have, or cannot be opened */
	DBCHECK_ENDLESS                 /* no end in time */
};

/*
 * PRAGMA integrity_check on dirfd/name, opened as immutable: nothing is written, not even beside it.  A signal ends it.
 * seconds: 0: any time.  *verdict is set unless interrupted or out of memory; verdict may be NULL.
 * Errors: ERR_FAILED  with the first thing that is wrong; ERR_INTERRUPTED; ERR_NOMEM
 * Cost:   reads it all.
 */
int dbcheck_file(int dirfd, const char *name, uint64_t seconds, enum dbcheck_verdict *verdict) __attribute__((warn_unused_result));

#endif
