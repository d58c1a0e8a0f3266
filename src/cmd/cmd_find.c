#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "cmd/choose.h"
#include "cmd/cmd.h"
#include "cmd/record.h"
#include "ops/find.h"

struct find_cmd {
	struct report *rp;
	const struct snapshots_item **snaps;    /* searched; oldest first */
	size_t snap_count;
	bool each, null;                /* --each, --null */
	uint64_t bad;
};

static void
problem(void *arg, const struct snapshots_item *snap, const char *path)
{
	struct find_cmd *f = arg;
	char id[CHOOSE_SHORT];

	f->bad++;
	report_talk(f->rp, "snapshot %s: cannot read directory '%s': %s",
	    choose_short(id, &snap->sid), path, err_text());
}

static void
show_json(struct find_cmd *f, const struct find_version *v)
{
	const struct snapshots_item *first = f->snaps[v->snaps[0]],
	    *last = f->snaps[v->snaps[v->snap_count - 1]];
	json_t *obj = json_object(), *ids = json_array();
	char hex[NAME_SID_HEX];

	report_set_text(f->rp, obj, "type", "match");
	record_set_entry(f->rp, obj, v->path, &v->entry.e, last);
	for (size_t i = 0; i < v->snap_count; i++) {
		name_sid_hex(&f->snaps[v->snaps[i]]->sid, hex);
		if (json_array_append_new(ids, json_string(hex)))
			f->rp->broken = true;
	}
	if (json_object_set_new(obj, "snapshots", ids))
		f->rp->broken = true;
	report_set_time(f->rp, obj, "first_seen", first->rec.begin_ns);
	report_set_time(f->rp, obj, "last_seen", last->rec.begin_ns);
	report_json(f->rp, obj);
}

static void
show_entry(struct find_cmd *f, const struct find_version *v)
{
	char when[TEXT_TIME_MAX], size[TEXT_SIZE_MAX];
	const struct treenode_entry *e = &v->entry.e;

	report_out(f->rp, "  %9s  %s  ", e->kind == TREENODE_FILE ? text_size(size, e->size) :
	    record_kind(e->kind),
	    text_time(when, record_mtime_ns(e)));
	report_out_name(f->rp, v->path, strlen(v->path));
	report_out(f->rp, "\n");
}

/* One line for each version, or for each snapshot that has it. */
static void
show_text(struct find_cmd *f, const struct find_version *v)
{
	char first[CHOOSE_SHORT], last[CHOOSE_SHORT], when[TEXT_TIME_MAX];

	if (f->null) {
		fwrite(v->path, 1, strlen(v->path) + 1, stdout);
		return;
	}
	for (size_t i = 0; f->each && i < v->snap_count; i++) {
		const struct snapshots_item *snap = f->snaps[v->snaps[i]];

		report_out(f->rp, "%s  %s", choose_short(first, &snap->sid),
		    text_time(when, snap->rec.begin_ns));
		show_entry(f, v);
	}
	if (f->each)
		return;
	choose_short(first, &f->snaps[v->snaps[0]]->sid);
	choose_short(last, &f->snaps[v->snaps[v->snap_count - 1]]->sid);
	report_out(f->rp, "%s ... %s  %5zu", first, last, v->snap_count);
	show_entry(f, v);
}

static void
summarize(struct find_cmd *f, const struct find_result *res)
{
	json_t *obj = json_object();

	report_set_text(f->rp, obj, "type", "summary");
	report_set_number(f->rp, obj, "snapshots", f->snap_count);
	report_set_number(f->rp, obj, "versions", res->count);
	report_set_number(f->rp, obj, "matches", res->matches);
	report_set_number(f->rp, obj, "damaged", f->bad);
	report_json(f->rp, obj);
}

static int
show(struct find_cmd *f, const struct find_result *res)
{
	int rc;

	if (!f->rp->json && !f->null && !f->each && !f->rp->quiet && res->count)
		report_out(f->rp, "%-8s     %-8s  %5s  %9s  %-19s  %s\n", "first in", "last in",
		    "times", "size", "modified", "path");
	for (size_t i = 0; i < res->count; i++) {
		const struct find_version *v = &res->versions[i];

		/* With --null a path is given once, however many versions it has. */
		if (f->rp->json)
			show_json(f, v);
		else if (!f->null || !i || strcmp(v->path, res->versions[i - 1].path) != 0)
			show_text(f, v);
		if ((rc = report_check(f->rp)))
			return rc;
	}
	if (f->rp->json)
		summarize(f, res);
	else if (!res->count)
		report_info(f->rp, "nothing found in %zu snapshot%s", f->snap_count,
		    f->snap_count == 1 ? "" : "s");
	return OK;
}

/* The snapshots named with --snapshot, else all that match. */
static int
collect(struct find_cmd *f, struct choose *c, const struct args_list *named)
{
	const struct snapshots *all = &c->view.snaps;
	const struct snapshots_item *one;
	const char *path;
	int rc;

	if ((rc = mem_new((void **)&f->snaps, mem_array(all->count + named->count + 1,
	    sizeof(*f->snaps)))))
		return rc;
	for (size_t i = 0; i < named->count; i++) {
		if ((rc = choose_one(c, named->v[i], &one, &path)))
			return rc;
		if (path)
			return fail(ERR_USAGE, "--snapshot takes no path: '%s'", named->v[i]);
		f->snaps[f->snap_count++] = one;
	}
	for (size_t i = 0; !named->count && i < all->count; i++)
		if (select_matches(&all->items[i].rec, &c->filter))
			f->snaps[f->snap_count++] = &all->items[i];
	return OK;
}

static int
search(struct find_cmd *f, struct choose *c, const struct find_options *o)
{
	struct find_result res;
	int rc = find_run(c->view.rd, f->snaps, f->snap_count, o, &res), shown;

	if (rc >= 0 || f->bad) {
		shown = show(f, &res);
		if (rc < 0 && rc != ERR_INTERRUPTED)
			rc = fail(ERR_CORRUPT,
			    "%ju director%s could not be read; the rest was searched",
			    (uintmax_t)f->bad,
			    f->bad == 1 ? "y" : "ies");
		rc = rc < 0 ? rc : shown;
	}
	find_clear(&res);
	return rc;
}

static int
run(struct context *ctx, int argc, char **argv)
{
	struct choose c = { .open = false };
	struct find_cmd f = { .rp = &ctx->report };
	struct find_options o = { .problem = problem, .arg = &f };
	struct args_list named = { .v = NULL };
	const struct args_option opts[] = {
		CHOOSE_OPTIONS(&c),
		{ 's', "snapshot", ARGS_LIST, &named, NULL },
		{ 'i', "ignore-case", ARGS_FLAG, &o.ignore_case, NULL },
		{ 0, "each", ARGS_FLAG, &f.each, NULL },
		{ '0', "null", ARGS_FLAG, &f.null, NULL },
	};
	int rc;

	if ((rc = cmd_parse(ctx, opts, ARGS_COUNT(opts), &argc, argv)) ||
	    (rc = cmd_operands(argc, argv, 1, -1, "PATTERN")) ||
	    (rc = choose_open(ctx, &c, VIEW_CONTENT)) || (rc = collect(&f, &c, &named)))
		goto out;
	o.patterns = (const char *const *)argv + 1;
	o.pattern_count = (size_t)argc - 1;
	rc = choose_result(&c, search(&f, &c, &o), true);
out:
	free(f.snaps);
	args_list_clear(&named);
	choose_close(&c);
	return rc;
}

const struct cmd cmd_find = {
	.name = "find",
	.summary = "in which snapshots a path occurs, and in which versions",
	.usage =
	    "Usage: varve find [OPTIONS] PATTERN...\n"
	    "\n"
	    "A pattern without a slash is compared with the last component of a path, one\n"
	    "that begins with a slash with the whole path, another one with the end of it.\n"
	    "* ? [a-z] stay within a component, ** does not.  One line for each version of a\n"
	    "path: the first and the last snapshot that has it, in how many it is, size,\n"
	    "time of last change.\n"
	    "\n"
	    "  -s, --snapshot SNAP   search only this one (repeatable)\n"
	    "  -i, --ignore-case     a is A\n"
	    "      --each            one line for each snapshot that has a match\n"
	    "  -0, --null            only paths, each once, ending with a zero byte\n"
	    CHOOSE_USAGE
	    "\n"
	    "Examples:\n"
	    "  varve find passwd\n"
	    "  varve find '/srv/app/**/*.sqlite'\n"
	    "  varve find --each -s latest '*.conf'\n",
	.needs = CMD_REPO | CMD_KEY,
	.run = run,
};
