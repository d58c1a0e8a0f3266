/* lookback: warn of a repository that is older than this user saw it last (ops/heads.h). */
#ifndef CMD_LOOKBACK_H
#define CMD_LOOKBACK_H

#include <stdint.h>

struct context;
struct snapshots;
struct heads_writer;

/* all: every record of snapshots/.  What cannot be remembered is told with --verbose only. */
void lookback_warn(struct context *ctx, const struct snapshots *all);

/* The newest table that was seen; 0: none. */
uint64_t lookback_table(struct context *ctx);

/* A snapshot was made. */
void lookback_made(struct context *ctx, const struct heads_writer *made);

#endif
