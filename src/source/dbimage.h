/* dbimage: the pages of a database inside a read transaction, in order, by the backup API into a VFS that hands them on.  Only for the
 * helper process. */
#ifndef SOURCE_DBIMAGE_H
#define SOURCE_DBIMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sqlite3;

struct dbimage_sink {
	/* Pages 1, 2, ... ; not OK ends the capture with that. */
	int (*page)(void *arg, const uint8_t *p, uint32_t len);
	/* Between steps; not OK ends the capture with that. */
	int (*tick)(void *arg);
	void *arg;
};

struct dbimage {
	uint32_t page_size;
	uint64_t pages;
	bool moved;                     /* the source changed under an unlocked capture: begin anew */
};

/* Once per process, under the name DBIMAGE_VFS. */
#define DBIMAGE_VFS "varve-image"
int dbimage_register(void) __attribute__((warn_unused_result));

/*
 * Capture `main` of src.  first: page 1 as src has it; the image's page 1 is exactly this one (its change counter, version-valid-for
 * number, library version and schema cookie are rewritten by the backup API), and all its other bytes are compared.
 * step: pages at a time; between steps an unlocked source lets its writers in.
 *
 * Errors: ERR_CORRUPT  SQLite cannot read the source;  ERR_LOCKED  it is busy;  ERR_FAILED  it said something else, or img->moved, or
 * the file goes on behind its last page with bytes other than 0 that are no whole pages, and in no image
 */
int dbimage_capture(struct sqlite3 *src, const uint8_t *first, uint32_t page_size, int step, const struct dbimage_sink *sink,
    struct dbimage *img) __attribute__((warn_unused_result));

/* An SQLite failure as an error with db's words (db may be NULL). */
int dbimage_error(struct sqlite3 *db, int code) __attribute__((warn_unused_result));

#endif
