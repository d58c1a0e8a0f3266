/*
 * choose: the options that narrow snapshots, and the way from a SNAP[:PATH] on the command line to
 *         a snapshot.
 */
#ifndef CMD_CHOOSE_H
#define CMD_CHOOSE_H

#include "base/args.h"
#include "ops/select.h"
#include "ops/view.h"

struct context;
struct report;

/* Owned; cleared with choose_close. */
struct choose {
	struct args_list hosts, paths, tags;    /* as given */
	char **absolute;                        /* paths made absolute */
	struct select_filter filter;            /* borrows from the above */
	struct view view;
	struct report *report;                  /* of the context that opened it */
	bool open;
	bool told;                              /* that a snapshot of the future was passed over */
	bool by_time;                           /* one was chosen by its place in time */
};

/* Rows of an option table. */
#define CHOOSE_OPTIONS(c) \
	{ 'H', "host", ARGS_LIST, &(c)->hosts, NULL }, \
	{ 0, "path", ARGS_LIST, &(c)->paths, NULL }, \
	{ 0, "tag", ARGS_LIST, &(c)->tags, NULL }

#define CHOOSE_USAGE \
	"  -H, --host HOST       only snapshots of this host (repeatable: of any of them)\n" \
	"      --path PATH       only snapshots of this path (repeatable: of all of them)\n" \
	"      --tag TAG[,TAG]   only snapshots with these tags (repeatable: any of them)\n"

/*
 * Open the repository and a view of it (VIEW_...); damaged records are reported on stderr.  Owns:
 * clear with choose_close anyway.
 */
int choose_open(struct context *ctx, struct choose *c,
    unsigned what) __attribute__((warn_unused_result));

/*
 * The same for snapshots that the user names: if all of them are ids (or their beginnings), only their records are read.
 */
int choose_open_named(struct context *ctx, struct choose *c, char **operands, size_t count)
    __attribute__((warn_unused_result));

/*
 * The snapshot that "SNAP" or "SNAP:PATH" names.
 * Owns: *snap borrowed from c->view, *path (NULL without a colon) from text.
 */
int choose_one(struct choose *c, const char *text, const struct snapshots_item **snap,
    const char **path)
    __attribute__((warn_unused_result));

/*
 * When an operation found no such path in the snapshot (ERR_ABSENT, no answer of the system): its note says which snapshot that was,
 * of which paths, and how to choose another.  Returns rc.
 */
int choose_missing(const struct choose *c, const struct snapshots_item *snap, int rc) __attribute__((warn_unused_result));

/*
 * The command's result when its own was rc: ERR_CORRUPT when records are damaged and every snapshot
 * was asked for (all) or one by its place in time, which one of the damaged may have had.
 */
int choose_result(const struct choose *c, int rc, bool all) __attribute__((warn_unused_result));

void choose_close(struct choose *c);

/* The first eight digits of the id. */
#define CHOOSE_SHORT 9
const char *choose_short(char buf[static CHOOSE_SHORT], const struct name_sid *sid);

#endif
