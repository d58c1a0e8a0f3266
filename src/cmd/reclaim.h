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
	const char *max_unused;         /* NULL: the default */
	const char *max_rewrite;
	const struct name_sid *like;    /* only the group that has this snapshot; NULL: all */
};

#define RECLAIM_OPTIONS(c) \
	{ 0, "max-unused", ARGS_TEXT, &(c)->max_unused, NULL }, \
	{ 0, "max-rewrite", ARGS_TEXT, &(c)->max_rewrite, NULL }

#define RECLAIM_USAGE \
	"      --max-unused PERCENT  dead bytes that may stay in packs that also hold living\n" \
	"                            ones (default: 5%)\n" \
	"      --max-rewrite SIZE    rewrite at most so much this time; 0: nothing\n"

/* operands: snapshots to forget, as the user names them; the count may be 0.  Prints what was done. */
int reclaim_run(struct context *ctx, struct reclaim *c, char **operands, int count) __attribute__((warn_unused_result));

void reclaim_clear(struct reclaim *c);

#endif
