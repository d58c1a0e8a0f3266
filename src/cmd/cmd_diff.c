#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "cmd/choose.h"
#include "cmd/cmd.h"
#include "cmd/record.h"
#include "ops/dbdiff.h"
#include "ops/diff.h"

struct diff_cmd {
	struct report *rp;
	struct reader *rd;
	bool no_metadata, databases;
	uint64_t bad;                   /* directories that could not be read */
	uint64_t not_compared;          /* databases, for any reason */
	bool damage;                    /* the repository's is one of the reasons */
	const char *path;               /* of the database that is being compared */
	bool any;                       /* a difference in it was shown */
};

static void
set_side(struct report *rp, json_t *obj, const char *key, const struct treenode_entry *e)
{
	json_t *side;

	if (!e)
		return;
	side = json_object();
	report_set_text(rp, side, "kind", record_kind(e->kind));
	if (e->kind == TREENODE_FILE)
		report_set_number(rp, side, "size", e->size);
	report_set_time(rp, side, "mtime", record_mtime_ns(e));
	if (json_object_set_new(obj, key, side))
		rp->broken = true;
}

static void
show_json(struct report *rp, const struct diff_item *item)
{
	static const struct {
		char what;
		const char *change;
	} words[] = { { '+', "added" }, { '-', "removed" }, { 'M', "modified" },
	    { 'm', "metadata" }, { 'T', "type" } };
	json_t *obj = json_object();

	report_set_text(rp, obj, "type", "change");
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (words[i].what == item->what)
			report_set_text(rp, obj, "change", words[i].change);
	report_set_text(rp, obj, "path", item->path);
	set_side(rp, obj, "old", item->old_entry);
	set_side(rp, obj, "new", item->new_entry);
	report_json(rp, obj);
}

static const char *
size_of(char buf[static TEXT_SIZE_MAX], const struct treenode_entry *e)
{
	return e && e->kind == TREENODE_FILE ? text_size(buf, e->size) : "";
}

static void
table_json(struct diff_cmd *d, const struct dbdiff_item *item)
{
	json_t *obj = json_object();

	report_set_text(d->rp, obj, "type", item->type);
	report_set_text(d->rp, obj, "change", item->what == '+' ? "added" : item->what == '-' ?
	    "removed" : "modified");
	report_set_text(d->rp, obj, "database", d->path);
	report_set_text(d->rp, obj, "name", item->name);
	report_set_flag(d->rp, obj, "definition_changed", item->definition);
	if (item->counted) {
		report_set_number(d->rp, obj, "rows_added", item->added);
		report_set_number(d->rp, obj, "rows_removed", item->removed);
		report_set_number(d->rp, obj, "rows_changed", item->changed);
	}
	if (item->why)
		report_set_text(d->rp, obj, "not_counted", item->why);
	report_json(d->rp, obj);
}

static void
table_rows(struct report *rp, const struct dbdiff_item *item)
{
	const struct {
		uint64_t n;
		const char *word;
	} parts[] = { { item->added, "added" }, { item->removed, "removed" },
	    { item->changed, "changed" } };
	bool first = true;

	for (size_t i = 0; i < 3; i++)
		if (parts[i].n) {
			report_out(rp, "%s%ju%s %s", first ? "" : ", ", (uintmax_t)parts[i].n,
			    !first ? "" : parts[i].n == 1 ? " row" : " rows", parts[i].word);
			first = false;
		}
}

static int
show_table(void *arg, const struct dbdiff_item *item)
{
	struct diff_cmd *d = arg;
	bool rows = item->counted && item->added + item->removed + item->changed > 0;

	d->any = true;
	if (d->rp->json) {
		table_json(d, item);
		return report_check(d->rp);
	}
	report_out(d->rp, "    %s ", item->type);
	report_out_name(d->rp, item->name, strlen(item->name));
	report_out(d->rp, ": ");
	if (item->what != 'M')
		report_out(d->rp, item->what == '+' ? "new" : "gone");
	else if (item->definition)
		report_out(d->rp, "definition changed");
	if (rows || item->why)
		report_out(d->rp, item->what != 'M' || item->definition ? "; " : "");
	if (rows)
		table_rows(d->rp, item);
	if (item->why)
		report_out_name(d->rp, item->why, strlen(item->why));
	report_out(d->rp, "\n");
	return report_check(d->rp);
}

/* A database that cannot be compared does not hide the other differences. */
static int
show_database(struct diff_cmd *d, const struct diff_item *item)
{
	int rc = dbdiff_probe(d->rd, item->old_entry, item->new_entry);

	d->path = item->path;
	d->any = false;
	if (rc == FOUND) {
		rc = dbdiff_run(d->rd, item->old_entry, item->new_entry, show_table, d);
		if (rc == OK && !d->any && !d->rp->json)
			report_out(d->rp, "    every row is the same\n");
	}
	if (rc == ERR_INTERRUPTED || rc == ERR_IO || rc >= 0)
		return rc < 0 ? rc : OK;
	d->not_compared++;
	if (rc == ERR_CORRUPT || rc == ERR_AUTH)
		d->damage = true;
	report_talk(d->rp, "cannot compare database '%s': %s", item->path, err_text());
	return OK;
}

static int
show(void *arg, const struct diff_item *item)
{
	struct diff_cmd *d = arg;
	bool database = d->databases && item->what == 'M';
	const struct treenode_entry *a = item->old_entry, *b = item->new_entry;
	char old_size[TEXT_SIZE_MAX], new_size[TEXT_SIZE_MAX];

	if (item->what == 'm' && d->no_metadata)
		return OK;
	if (d->rp->json) {
		show_json(d->rp, item);
		return database ? show_database(d, item) : report_check(d->rp);
	}
	report_out(d->rp, "%c ", item->what);
	report_out_name(d->rp, item->path, strlen(item->path));
	if (item->what == 'M' && b->kind == TREENODE_FILE && a->size != b->size)
		report_out(d->rp, "  (%s -> %s)", size_of(old_size, a), size_of(new_size, b));
	else if (item->what == 'T')
		report_out(d->rp, "  (%s -> %s)", record_kind(a->kind), record_kind(b->kind));
	else if (item->what != 'm' && *size_of(new_size, b ? b : a))
		report_out(d->rp, "  (%s)", size_of(new_size, b ? b : a));
	report_out(d->rp, "\n");
	return database ? show_database(d, item) : report_check(d->rp);
}

static void
problem(void *arg, const char *path)
{
	struct diff_cmd *d = arg;

	d->bad++;
	report_talk(d->rp, "cannot read directory '%s': %s", path, err_text());
}

static void
summarize(struct diff_cmd *d, const struct snapshots_item *a, const struct snapshots_item *b,
    const struct diff_result *res)
{
	struct report *rp = d->rp;
	char added[TEXT_SIZE_MAX], removed[TEXT_SIZE_MAX], modified[TEXT_SIZE_MAX];
	json_t *obj;

	if (!rp->json) {
		if (!rp->quiet)
			report_out(rp,
			    "%ju added (%s), %ju removed (%s), %ju modified (%s), "
			    "%ju metadata only, %ju of another type\n",
			    (uintmax_t)res->added, text_size(added, res->bytes_added),
			    (uintmax_t)res->removed,
			    text_size(removed, res->bytes_removed), (uintmax_t)res->modified,
			    text_size(modified, res->bytes_modified), (uintmax_t)res->metadata,
			    (uintmax_t)res->retyped);
		return;
	}
	obj = json_object();
	report_set_text(rp, obj, "type", "summary");
	report_set_sid(rp, obj, "old", &a->sid);
	report_set_sid(rp, obj, "new", &b->sid);
	report_set_number(rp, obj, "added", res->added);
	report_set_number(rp, obj, "removed", res->removed);
	report_set_number(rp, obj, "modified", res->modified);
	report_set_number(rp, obj, "metadata", res->metadata);
	report_set_number(rp, obj, "type_changed", res->retyped);
	report_set_number(rp, obj, "bytes_added", res->bytes_added);
	report_set_number(rp, obj, "bytes_removed", res->bytes_removed);
	report_set_number(rp, obj, "bytes_modified", res->bytes_modified);
	report_set_number(rp, obj, "damaged", d->bad);
	if (d->databases)
		report_set_number(rp, obj, "databases_not_compared", d->not_compared);
	report_json(rp, obj);
}

static int
run(struct context *ctx, int argc, char **argv)
{
	struct choose c = { .open = false };
	struct diff_cmd d = { .rp = &ctx->report };
	const struct args_option opts[] = {
		CHOOSE_OPTIONS(&c),
		{ 0, "databases", ARGS_FLAG, &d.databases, NULL },
		{ 0, "no-metadata", ARGS_FLAG, &d.no_metadata, NULL },
	};
	const struct diff_options o = { .item = show, .problem = problem, .arg = &d };
	const struct snapshots_item *a, *b;
	const char *sub_a, *sub_b;
	struct diff_result res;
	int rc;

	if ((rc = cmd_parse(ctx, opts, ARGS_COUNT(opts), &argc, argv)) ||
	    (rc = cmd_operands(argc, argv, 2, 2, "SNAP")) ||
	    (rc = choose_open(ctx, &c, VIEW_CONTENT)) || (rc = choose_one(&c, argv[1], &a,
	    &sub_a)) ||
	    (rc = choose_one(&c, argv[2], &b, &sub_b)))
		goto out;
	d.rd = c.view.rd;
	/* What is said of one side alone is meant for both. */
	rc = diff_run(c.view.rd, &a->rec.root, sub_a ? sub_a : sub_b ? sub_b : "", &b->rec.root,
	    sub_b ? sub_b : sub_a ? sub_a : "",
	    &o, &res);
	if (rc >= 0 || d.bad)
		summarize(&d, a, b, &res);
	if (rc < 0 && d.bad && rc != ERR_INTERRUPTED && rc != ERR_IO)
		rc = fail(ERR_CORRUPT, "%ju director%s could not be read; the rest was compared",
		    (uintmax_t)d.bad,
		    d.bad == 1 ? "y" : "ies");
	if (rc >= 0 && d.not_compared)
		rc = fail(d.damage ? ERR_CORRUPT : ERR_FAILED, "%ju database%s could not be "
		    "compared", (uintmax_t)d.not_compared, d.not_compared == 1 ? "" : "s");
	rc = choose_result(&c, rc, false);
out:
	choose_close(&c);
	return rc;
}

const struct cmd cmd_diff = {
	.name = "diff",
	.summary = "what changed between two snapshots",
	.usage =
	    "Usage: varve diff [OPTIONS] SNAP[:PATH] SNAP[:PATH]\n"
	    "\n"
	    "One line for each path: + added, - removed, M content modified, m only mode,\n"
	    "owner, time or attributes modified, T another type.  Times of directories do not\n"
	    "count.\n"
	    "\n"
	    "      --databases       of SQLite databases also the tables that differ, and how many\n"
	    "                        rows of each were added, removed, changed\n"
	    "      --no-metadata     leave out the lines with m\n"
	    CHOOSE_USAGE
	    "\n"
	    "Examples:\n"
	    "  varve diff latest~1 latest\n"
	    "  varve diff @7d latest:/srv/app/app.db --databases\n"
	    "  varve diff @yesterday:/etc latest --json\n",
	.needs = CMD_REPO | CMD_KEY,
	.run = run,
};
