/* forget: choose snapshots by id, by a retention policy, by age or by what they are of; and hide them until prune. */
#ifndef OPS_FORGET_H
#define OPS_FORGET_H

#include "ops/retention.h"
#include "ops/select.h"
#include "ops/view.h"

#define FORGET_BY_HOST 1u
#define FORGET_BY_PATHS 2u
#define FORGET_BY_TAGS 4u

struct forget_request {
	const struct name_sid *named;   /* these, and nothing else counts; sorted or not */
	size_t named_count;
	const struct retention_policy *policy;
	struct select_filter filter;    /* only these are looked at */
	const struct name_sid *like;    /* and of these only the group that has this one; NULL: all */
	const char *const *keep_tags;   /* as in select_filter.tags: any of them keeps */
	size_t keep_tag_count;
	unsigned group_by;              /* FORGET_BY_... */
	int64_t younger_ns;             /* those that begin at or after it stay; INT64_MAX: no such rule */
	int64_t now_ns;
};

struct forget_choice {
	const struct snapshots_item *snap;      /* borrowed from the view */
	uint32_t why;                   /* RETENTION_...; 0: it goes */
	bool first;                     /* of its group */
};

struct forget_plan {
	struct forget_choice *choices;  /* those looked at, by group, oldest first; owned */
	size_t count;
	struct name_sid *gone;          /* those that go; owned */
	size_t gone_count;
};

/*
 * Decide; nothing is changed.  Owns: *plan: forget_clear; borrows from v.
 * Errors: ERR_USAGE  a named one is pinned
 */
int forget_choose(struct view *v, const struct forget_request *q, struct forget_plan *plan) __attribute__((warn_unused_result));

/* Do it; durable after OK.  The view is still open: its lock covers both. */
int forget_apply(struct view *v, const struct forget_plan *plan) __attribute__((warn_unused_result));

void forget_clear(struct forget_plan *plan);

#endif
