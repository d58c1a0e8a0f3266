/*
 * provedb: every distinct database image of the snapshots, opened where it lies and checked by SQLite, as ops/sql.h opens images:
 * nothing in them can change or run anything, memory and time are bounded.
 */
#ifndef OPS_PROVEDB_H
#define OPS_PROVEDB_H

#include "ops/prove.h"
#include "store/reader.h"
#include "store/snapshots.h"

/* For one image by default: these seconds, and one more for each MiB. */
#define PROVEDB_SECONDS 60

enum provedb_why {
	PROVEDB_RAW,                    /* stored as found: not even the snapshot says that it is consistent */
	PROVEDB_FOREIGN,                /* it needs a collation, function or module that this SQLite does not have */
	PROVEDB_UNPROVED                /* no end in time, or too much memory */
};

/* An image that was not checked. */
struct provedb_note {
	enum provedb_why why;
	char *path;                     /* in the first snapshot that has it; owned */
	char *text;                     /* the reason; owned */
	struct name_sid sid;
	struct name content;
};

struct provedb {
	uint64_t checked, damaged;      /* the damaged ones are among those checked */
	uint64_t raw, foreign, unproved;
	uint64_t unreadable;            /* left out: damage of the repository, which was told */
	struct provedb_note *notes;     /* at most PROVEDB_NOTES; owned */
	size_t note_count, note_cap;
};

#define PROVEDB_NOTES 10000

struct provedb_ask {
	const struct prove *p;          /* its census tells images apart (CENSUS_VISITED); damage goes to p->d */
	struct reader *rd;              /* of the same lock */
	const struct snapshots_item *const *snaps;      /* by time; NULL ones are passed over */
	size_t count;
	uint64_t seconds;               /* for one image; 0: the default */
	int (*progress)(void *arg);     /* before each image; a failure ends it */
	void *arg;
};

/*
 * A fault is a DAMAGE_DATABASE whose id is the image's content: ops/trace.h then finds all files that have it.
 * Owns: *out: caller clears, also after a failure.
 * Cost: each distinct directory once, and what integrity_check reads of each distinct image.
 */
int provedb_run(const struct provedb_ask *ask, struct provedb *out) __attribute__((warn_unused_result));
void provedb_clear(struct provedb *d);

#endif
