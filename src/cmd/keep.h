/* keep: the options of a retention policy, the same in forget, prune and snapshot --prune-after; and the table of what stays. */
#ifndef CMD_KEEP_H
#define CMD_KEEP_H

#include "base/args.h"
#include "cmd/report.h"
#include "ops/forget.h"

/* Cleared with keep_clear. */
struct keep {
	struct retention_policy policy;
	struct args_list tags;
	const char *group_by, *older_than;
	struct forget_request request;  /* after keep_request; borrows from the above */
	bool given;                     /* after keep_request: any of the options that choose */
};

/* Rows of an option table. */
#define KEEP_OPTIONS(k) \
	{ 0, "keep-last", ARGS_NUMBER, &(k)->policy.last, NULL }, \
	{ 0, "keep-hourly", ARGS_NUMBER, &(k)->policy.periods[RETENTION_BY_HOUR], NULL }, \
	{ 0, "keep-daily", ARGS_NUMBER, &(k)->policy.periods[RETENTION_BY_DAY], NULL }, \
	{ 0, "keep-weekly", ARGS_NUMBER, &(k)->policy.periods[RETENTION_BY_WEEK], NULL }, \
	{ 0, "keep-monthly", ARGS_NUMBER, &(k)->policy.periods[RETENTION_BY_MONTH], NULL }, \
	{ 0, "keep-yearly", ARGS_NUMBER, &(k)->policy.periods[RETENTION_BY_YEAR], NULL }, \
	{ 0, "keep-within", ARGS_CALL, &(k)->policy.within, keep_span }, \
	{ 0, "keep-within-hourly", ARGS_CALL, &(k)->policy.within_periods[RETENTION_BY_HOUR], keep_span }, \
	{ 0, "keep-within-daily", ARGS_CALL, &(k)->policy.within_periods[RETENTION_BY_DAY], keep_span }, \
	{ 0, "keep-within-weekly", ARGS_CALL, &(k)->policy.within_periods[RETENTION_BY_WEEK], keep_span }, \
	{ 0, "keep-within-monthly", ARGS_CALL, &(k)->policy.within_periods[RETENTION_BY_MONTH], keep_span }, \
	{ 0, "keep-within-yearly", ARGS_CALL, &(k)->policy.within_periods[RETENTION_BY_YEAR], keep_span }, \
	{ 0, "keep-tag", ARGS_LIST, &(k)->tags, NULL }, \
	{ 0, "group-by", ARGS_TEXT, &(k)->group_by, NULL }

#define KEEP_USAGE \
	"      --keep-last N         the newest N\n" \
	"      --keep-hourly N       the last one of each of the newest N hours that have any;\n" \
	"                            also --keep-daily, -weekly, -monthly, -yearly\n" \
	"      --keep-within SPAN    those not older than SPAN before the newest: 36h, 14d,\n" \
	"                            8w, 6mo, 2y\n" \
	"      --keep-within-hourly SPAN  of these the last one of each hour; also -daily,\n" \
	"                            -weekly, -monthly, -yearly\n" \
	"      --keep-tag TAG[,TAG]  those with these tags (repeatable: any of them)\n" \
	"      --group-by WHAT       rules count apart for each host and set of paths; or any of\n" \
	"                            host,paths,tags; or none (default: host,paths)\n"

/* ARGS_CALL of a span. */
int keep_span(void *out, const char *value);

/* Make k->request of the options.  The caller adds what narrows.  ERR_USAGE. */
int keep_request(struct keep *k) __attribute__((warn_unused_result));

/* The table of a plan: text, or one object for each snapshot; only those that go unless all. */
int keep_show(struct report *rp, const struct forget_plan *plan, bool all) __attribute__((warn_unused_result));

void keep_clear(struct keep *k);

#endif
