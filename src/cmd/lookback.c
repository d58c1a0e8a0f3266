#include "cmd/lookback.h"

#include "base/err.h"
#include "cmd/cmd.h"
#include "ops/heads.h"

static void
warn(void *arg, const char *text)
{
	report_talk(arg, "warning: the repository is not as it was: %s", text);
}

static void
tell_failure(struct context *ctx, int rc)
{
	if (rc < 0 && ctx->verbose)
		report_talk(&ctx->report, "what was seen of the repository is not remembered: %s", err_text());
}

void
lookback_warn(struct context *ctx, const struct snapshots *all)
{
	uint64_t older;

	if (!ctx->no_state)
		tell_failure(ctx, heads_look(ctx->repo, all, warn, &ctx->report, &older));
}

uint64_t
lookback_table(struct context *ctx)
{
	uint64_t number = 0;

	if (!ctx->no_state)
		tell_failure(ctx, heads_table_seen(ctx->repo, &number));
	return number;
}

void
lookback_made(struct context *ctx, const struct heads_writer *made)
{
	if (!ctx->no_state)
		tell_failure(ctx, heads_made(ctx->repo, made));
}
