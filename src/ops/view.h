/*
 * view: what a reading command needs, opened in the order that keeps it safe from writers (SPEC
 *         PB-9).
 */
#ifndef OPS_VIEW_H
#define OPS_VIEW_H

#include "store/index.h"
#include "store/reader.h"
#include "store/repo.h"
#include "store/snapshots.h"

#define VIEW_FORGOTTEN 1u               /* records of forgotten/ instead of snapshots/ */
#define VIEW_CONTENT 2u                 /* index and reader as well */
#define VIEW_BARE 4u                    /* only the lock: no record is read */

struct view {
	struct repo *r;                 /* borrowed */
	struct snapshots snaps;
	struct index *ix;               /* NULL without VIEW_CONTENT */
	struct reader *rd;
	bool locked;
};

/*
 * Take the shared lock, read all snapshot records, then (VIEW_CONTENT) the index.  A bad record is
 * told to `bad` and counted in v->snaps.damaged.
 * Owns: *v: caller clears with view_close, also after a failure.
 */
int view_open(struct repo *r, unsigned what, snapshots_bad_fn bad, void *arg,
    struct view *v) __attribute__((warn_unused_result));
void view_close(struct view *v);

/*
 * An object that the index or a node names and that is not there is damage: ERR_ABSENT becomes
 * ERR_CORRUPT, the note stays.
 */
int view_damage(int rc);

#endif
