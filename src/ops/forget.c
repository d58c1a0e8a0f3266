#include "ops/forget.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "store/graves.h"
#include "store/pins.h"
#include "store/reserve.h"

#define DATED_NS 1000000000ll           /* by so much the time that was given differs from the clock */

struct chooser {
	const struct forget_request *q;
	struct graves pins;
	struct forget_plan *plan;
	struct retention_item *items;   /* of one group */
};

static int
string_cmp(const struct snaprec_string *a, const struct snaprec_string *b)
{
	size_t n = a->len < b->len ? a->len : b->len;
	int cmp = n ? memcmp(a->p, b->p, n) : 0;

	return cmp ? cmp : a->len < b->len ? -1 : a->len > b->len;
}

/* Lists are sorted in the record, so equal lists are equal bytes. */
static int
group_cmp(const struct snaprec *a, const struct snaprec *b, unsigned by)
{
	int cmp = 0;

	if (by & FORGET_BY_HOST)
		cmp = string_cmp(&a->host, &b->host);
	if (!cmp && by & FORGET_BY_PATHS)
		cmp = string_cmp(&a->paths_raw, &b->paths_raw);
	if (!cmp && by & FORGET_BY_TAGS)
		cmp = string_cmp(&a->tags_raw, &b->tags_raw);
	return cmp;
}

static int
choice_cmp(const void *a, const void *b, void *arg)
{
	const struct snapshots_item *x = ((const struct forget_choice *)a)->snap, *y = ((const struct forget_choice *)b)->snap;
	int cmp = group_cmp(&x->rec, &y->rec, *(const unsigned *)arg);

	if (cmp)
		return cmp;
	/* Their order in the view: by time. */
	return x < y ? -1 : x > y;
}

static bool
is_named(const struct forget_request *q, const struct name_sid *sid)
{
	for (size_t i = 0; i < q->named_count; i++)
		if (name_sid_cmp(&q->named[i], sid) == 0)
			return true;
	return false;
}

/* Those that the request speaks of. */
static int
gather(struct chooser *c, const struct snapshots *all)
{
	struct forget_plan *plan = c->plan;
	const struct snapshots_item *like = NULL;
	int rc = mem_new((void **)&plan->choices, mem_array(all->count, sizeof(*plan->choices)));

	for (size_t i = 0; c->q->like && i < all->count; i++)
		if (name_sid_cmp(&all->items[i].sid, c->q->like) == 0)
			like = &all->items[i];
	for (size_t i = 0; rc == OK && i < all->count; i++) {
		const struct snapshots_item *it = &all->items[i];

		if (c->q->like && (!like || group_cmp(&it->rec, &like->rec, c->q->group_by) != 0))
			continue;
		if (c->q->named_count ? is_named(c->q, &it->sid) : select_matches(&it->rec, &c->q->filter))
			plan->choices[plan->count++].snap = it;
	}
	return rc;
}

static int
choose_named(struct chooser *c)
{
	char hex[NAME_SID_HEX];

	for (size_t i = 0; i < c->plan->count; i++) {
		if (!pins_have(&c->pins, &c->plan->choices[i].snap->sid))
			continue;
		name_sid_hex(&c->plan->choices[i].snap->sid, hex);
		return fail(ERR_USAGE, "snapshot %.8s is pinned; 'varve unpin %.8s' lets it go", hex, hex);
	}
	return OK;
}

/* Was the snapshot given its time?  Else both were taken from the clock, one after the other. */
static bool
is_dated(const struct snaprec *rec)
{
	int64_t ahead_ns;

	return __builtin_sub_overflow(rec->begin_ns, rec->clock_ns, &ahead_ns) || ahead_ns > DATED_NS || ahead_ns < -DATED_NS;
}

static int
choose_group(struct chooser *c, struct forget_choice *group, size_t count)
{
	const struct forget_request *q = c->q;
	struct select_filter tags = { .tags = q->keep_tags, .tag_count = q->keep_tag_count };
	int rc;

	for (size_t i = 0; i < count; i++) {
		const struct snaprec *rec = &group[i].snap->rec;

		c->items[i] = (struct retention_item){ .time_ns = rec->begin_ns, .writer = rec->writer, .sequence = rec->sequence,
			.dated = is_dated(rec), .tagged = q->keep_tag_count && select_matches(rec, &tags),
			.pinned = pins_have(&c->pins, &group[i].snap->sid) };
	}
	if ((rc = retention_apply(q->policy, c->items, count, q->now_ns)))
		return rc;
	for (size_t i = 0; i < count; i++) {
		group[i].why = c->items[i].why;
		group[i].first = i == 0;
		if (group[i].snap->rec.begin_ns >= q->younger_ns)
			group[i].why |= RETENTION_YOUNG;
	}
	return OK;
}

static int
choose_by_policy(struct chooser *c)
{
	struct forget_choice *all = c->plan->choices;
	unsigned by = c->q->group_by;
	size_t end;
	int rc = mem_new((void **)&c->items, mem_array(c->plan->count, sizeof(*c->items)));

	if (rc)
		return rc;
	qsort_r(all, c->plan->count, sizeof(*all), choice_cmp, &by);
	for (size_t i = 0; i < c->plan->count; i = end) {
		for (end = i + 1; end < c->plan->count; end++)
			if (group_cmp(&all[i].snap->rec, &all[end].snap->rec, by) != 0)
				break;
		if ((rc = choose_group(c, all + i, end - i)))
			return rc;
	}
	return OK;
}

int
forget_choose(struct view *v, const struct forget_request *q, struct forget_plan *plan)
{
	struct chooser c = { .q = q, .plan = plan };
	int rc;

	*plan = (struct forget_plan){ 0 };
	if ((rc = pins_load(v->r, &c.pins)) || (rc = gather(&c, &v->snaps)) ||
	    (rc = q->named_count ? choose_named(&c) : choose_by_policy(&c)) ||
	    (rc = mem_new((void **)&plan->gone, mem_array(plan->count, sizeof(*plan->gone)))))
		goto out;
	for (size_t i = 0; i < plan->count; i++)
		if (!plan->choices[i].why)
			plan->gone[plan->gone_count++] = plan->choices[i].snap->sid;
out:
	free(c.items);
	free(c.pins.p);
	if (rc)
		forget_clear(plan);
	return rc;
}

int
forget_apply(struct view *v, const struct forget_plan *plan)
{
	int rc = graves_bury(v->r, plan->gone, plan->gone_count);

	/* Even a rename may need room in a directory. */
	if (reserve_is_full(rc) && reserve_give(v->r->io) == FOUND)
		rc = graves_bury(v->r, plan->gone, plan->gone_count);
	return rc;
}

void
forget_clear(struct forget_plan *plan)
{
	free(plan->choices);
	free(plan->gone);
	*plan = (struct forget_plan){ 0 };
}
