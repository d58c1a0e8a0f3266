/*
 * retention: which snapshots of a group a policy keeps, and by which rule.  Pure: times and tags in, reasons out.
 *
 * Times are taken in the local zone.  An hour begins at an instant, so the hour that clocks show twice in autumn is two hours.
 * A snapshot of the future (made while a clock was wrong) is kept and fills no rule's place; of one writer the chain of its
 * snapshots says which is the last, not its clock, except for those that were given their time.  The newest by time and the
 * newest by chain are kept always.
 */
#ifndef OPS_RETENTION_H
#define OPS_RETENTION_H

#include "format/name.h"

/* One bit each; the order is that of retention_reason. */
#define RETENTION_LAST 1u
#define RETENTION_HOURLY 2u             /* and five more up to YEARLY in the order of enum retention_period */
#define RETENTION_YEARLY 32u
#define RETENTION_WITHIN 64u
#define RETENTION_WITHIN_HOURLY 128u
#define RETENTION_WITHIN_YEARLY 2048u
#define RETENTION_TAG 4096u
#define RETENTION_PINNED 8192u
#define RETENTION_NEWEST 16384u
#define RETENTION_FUTURE 32768u
#define RETENTION_YOUNG 65536u          /* --older-than; set by the caller */
#define RETENTION_REASONS 17

/* What begins so much later than now is of the future; less is what clocks of several machines differ by. */
#define RETENTION_AHEAD_NS (5 * 60 * 1000000000ll)

enum retention_period { RETENTION_BY_HOUR, RETENTION_BY_DAY, RETENTION_BY_WEEK, RETENTION_BY_MONTH, RETENTION_BY_YEAR,
	RETENTION_PERIODS };

struct retention_span {
	uint32_t years, months;         /* of the calendar */
	int64_t ns;
	bool set;
};

struct retention_policy {
	uint64_t last;                  /* 0: no such rule, also below */
	uint64_t periods[RETENTION_PERIODS];
	struct retention_span within, within_periods[RETENTION_PERIODS];
};

struct retention_item {
	int64_t time_ns;
	struct name_sid writer;
	uint64_t sequence;              /* of the writer */
	bool dated;                     /* given its time, not stamped by a clock */
	bool tagged, pinned;            /* kept by tag, by a pin */
	uint32_t why;                   /* out: RETENTION_...; 0: no rule keeps it */
};

/*
 * Decide about one group.  Shape: items sorted by time, oldest first.  Cost: n log n.
 */
int retention_apply(const struct retention_policy *p, struct retention_item *items, size_t count, int64_t now_ns)
    __attribute__((warn_unused_result));

/* "last", "hourly", ... of bit number i. */
const char *retention_reason(unsigned i);

/* "2y6mo", "8w", "36h": y and mo by the calendar, then what text_parse_duration takes.  ERR_USAGE otherwise. */
int retention_parse_span(const char *text, struct retention_span *out) __attribute__((warn_unused_result));

/* The instant that lies so long before t. */
int64_t retention_before(int64_t t_ns, const struct retention_span *s);

#endif
