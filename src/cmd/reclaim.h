/* reclaim: forgetting and pruning from the command line: forget, prune and snapshot --prune-after are the same steps. */
#ifndef CMD_RECLAIM_H
#define CMD_RECLAIM_H

#include "cmd/choose.h"
#include "cmd/keep.h"

struct context;

/* Filled by option tables; cleared with reclaim_clear. */
struct reclaim {
	struct choose choose;
	struct keep keep;
	bool dry_run;
	bool prune;                     /* give the space back as well */
	const struct name_sid *like;    /* only the group that has this snapshot; NULL: all */
};

/* operands: snapshots to forget, as the user names them; the count may be 0.  Prints what was done. */
int reclaim_run(struct context *ctx, struct reclaim *c, char **operands, int count) __attribute__((warn_unused_result));

void reclaim_clear(struct reclaim *c);

#endif
