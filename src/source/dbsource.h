/* dbsource: the VFS through which the helper reads databases: it cannot write to them, and it sees their page 1 pass. */
#ifndef SOURCE_DBSOURCE_H
#define SOURCE_DBSOURCE_H

#include <stdint.h>

struct sqlite3;

/* Once per process.  In place: files are opened for reading only, whatever SQLite asks for, and nothing is deleted.  Private: all is
 * allowed, for copies of our own. */
#define DBSOURCE_IN_PLACE "varve-in-place"
#define DBSOURCE_PRIVATE "varve-private"
int dbsource_register(void) __attribute__((warn_unused_result));

/*
 * Page 1 as the connection's last read transaction sees it, and its length; NULL: it was not read.  Borrowed until the next use of db.
 * It was read from the file or from the WAL; when SQLite has it still in its cache, what was read last is still true.
 */
const uint8_t *dbsource_first_page(struct sqlite3 *db, uint32_t *len);

#endif
