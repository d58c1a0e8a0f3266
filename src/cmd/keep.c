#include "cmd/keep.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "cmd/choose.h"
#include "cmd/record.h"
#include "sys/clock.h"

int
keep_span(void *out, const char *value)
{
	return retention_parse_span(value, out);
}

static int
parse_group_by(const char *text, unsigned *by)
{
	static const char *const words[] = { "host", "paths", "tags" };
	const char *s = text;
	size_t n;

	*by = 0;
	if (strcmp(text, "none") == 0)
		return OK;
	for (; *s; s += n + (s[n] == ',')) {
		unsigned found = 0;

		n = strcspn(s, ",");
		for (unsigned i = 0; i < 3; i++)
			if (strlen(words[i]) == n && strncmp(words[i], s, n) == 0)
				found = 1u << i;
		if (!found)
			return fail(ERR_USAGE, "--group-by '%s': any of host,paths,tags, or none", text);
		*by |= found;
	}
	return OK;
}

static bool
is_policy(const struct keep *k)
{
	const struct retention_policy *p = &k->policy;
	bool any = p->last || p->within.set || k->tags.count;

	for (unsigned i = 0; i < RETENTION_PERIODS; i++)
		any = any || p->periods[i] || p->within_periods[i].set;
	return any;
}

int
keep_request(struct keep *k)
{
	struct forget_request *q = &k->request;
	struct retention_span age;
	int rc;

	*q = (struct forget_request){ .policy = &k->policy, .keep_tags = k->tags.v, .keep_tag_count = k->tags.count,
		.group_by = FORGET_BY_HOST | FORGET_BY_PATHS, .younger_ns = INT64_MAX, .now_ns = clock_wall_ns() };
	if (k->group_by && (rc = parse_group_by(k->group_by, &q->group_by)))
		return rc;
	if (k->older_than) {
		if ((rc = retention_parse_span(k->older_than, &age)))
			return err_context(rc, "--older-than");
		q->younger_ns = retention_before(q->now_ns, &age);
	}
	k->given = is_policy(k) || k->older_than;
	if (k->group_by && !is_policy(k))
		return fail(ERR_USAGE, "--group-by belongs to the --keep options");
	return OK;
}

static void
show_json(struct report *rp, const struct forget_choice *c)
{
	json_t *obj = record_json(rp, c->snap), *why = json_array();

	for (unsigned i = 0; i < RETENTION_REASONS; i++)
		if (c->why & 1u << i && json_array_append_new(why, json_string(retention_reason(i))))
			rp->broken = true;
	report_set_text(rp, obj, "type", "snapshot");
	report_set_text(rp, obj, "action", c->why ? "keep" : "forget");
	if (json_object_set_new(obj, "reasons", why))
		rp->broken = true;
	report_json(rp, obj);
}

static int
show_group(struct report *rp, const struct snaprec *r)
{
	struct mem_buf b = { 0 };
	int rc = record_join(&b, &r->paths_raw, ", ");

	report_out_name(rp, r->host.p, r->host.len);
	report_out(rp, ": ");
	if (rc == OK)
		report_out(rp, "%.*s\n", (int)b.len, b.p ? (const char *)b.p : "");
	mem_buf_clear(&b);
	return rc;
}

static int
show_text(struct report *rp, const struct forget_choice *c)
{
	char id[CHOOSE_SHORT], when[TEXT_TIME_MAX], size[TEXT_SIZE_MAX];
	struct mem_buf tags = { 0 };
	bool first = true;
	int rc = record_join(&tags, &c->snap->rec.tags_raw, ",");

	report_out(rp, "%-6s  %s  %s  %9s", c->why ? "keep" : "forget", choose_short(id, &c->snap->sid),
	    text_time(when, c->snap->rec.begin_ns), text_size(size, record_stored(c->snap)));
	for (unsigned i = 0; i < RETENTION_REASONS; i++)
		if (c->why & 1u << i) {
			report_out(rp, "%s%s", first ? "  " : ", ", retention_reason(i));
			first = false;
		}
	if (rc == OK && tags.len)
		report_out(rp, "  [%.*s]", (int)tags.len, (const char *)tags.p);
	report_out(rp, "\n");
	mem_buf_clear(&tags);
	return rc;
}

int
keep_show(struct report *rp, const struct forget_plan *plan, bool all)
{
	int rc = OK;

	for (size_t i = 0; rc == OK && i < plan->count; i++) {
		const struct forget_choice *c = &plan->choices[i];

		if (c->first && all && !rp->json)
			rc = show_group(rp, &c->snap->rec);
		if (rc || (c->why && !all))
			continue;
		if (rp->json)
			show_json(rp, c);
		else
			rc = show_text(rp, c);
		if (rc == OK)
			rc = report_check(rp);
	}
	return rc;
}

void
keep_clear(struct keep *k)
{
	args_list_clear(&k->tags);
	*k = (struct keep){ .given = false };
}
