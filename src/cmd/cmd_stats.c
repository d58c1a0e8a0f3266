#include <stdint.h>
#include <stdio.h>

#include "base/err.h"
#include "base/text.h"
#include "cmd/choose.h"
#include "cmd/cmd.h"
#include "cmd/record.h"
#include "ops/stats.h"

static double
ratio(uint64_t a, uint64_t b)
{
	return b ? (double)a / (double)b : 0;
}

/* What each snapshot added. */
static int
by_snapshot(struct report *rp, const struct choose *c)
{
	char id[CHOOSE_SHORT], when[TEXT_TIME_MAX], total[TEXT_SIZE_MAX], fresh[TEXT_SIZE_MAX],
	    stored[TEXT_SIZE_MAX];
	int rc = OK;

	if (!rp->json)
		report_out(rp, "%-8s  %-19s  %9s  %9s  %9s  %9s\n", "id", "time", "files", "size",
		    "new", "stored");
	for (size_t i = 0; rc == OK && i < c->view.snaps.count; i++) {
		const struct snapshots_item *it = &c->view.snaps.items[i];
		json_t *obj;

		if (!select_matches(&it->rec, &c->filter))
			continue;
		if (rp->json) {
			obj = record_json(rp, it);
			report_set_text(rp, obj, "type", "snapshot");
			report_json(rp, obj);
		} else {
			report_out(rp, "%s  %s  %9ju  %9s  %9s  %9s\n", choose_short(id, &it->sid),
			    text_time(when, it->rec.begin_ns),
			    (uintmax_t)it->rec.stats[SNAPREC_FILES],
			    text_size(total, it->rec.stats[SNAPREC_BYTES_TOTAL]),
			    text_size(fresh, it->rec.stats[SNAPREC_BYTES_NEW]),
			    text_size(stored, record_stored(it)));
		}
		rc = report_check(rp);
	}
	if (rc == OK && !rp->json)
		report_out(rp, "\n");
	return rc;
}

static void
set_time(struct report *rp, json_t *obj, const char *key, int64_t ns)
{
	if (ns)
		report_set_time(rp, obj, key, ns);
	else if (json_object_set_new(obj, key, json_null()))
		rp->broken = true;
}

static void
show_json(struct report *rp, const struct stats_result *s)
{
	const struct {
		const char *key;
		uint64_t n;
	} rows[] = {
		{ "snapshots", s->snapshots }, { "files", s->files }, { "databases", s->databases },
		{ "bytes_total", s->bytes_total }, { "bytes_new", s->bytes_new },
		    { "bytes_stored", s->bytes_stored },
		{ "packs", s->packs }, { "pack_bytes", s->pack_bytes },
		    { "live_bytes", s->live_bytes },
		{ "data_bytes", s->data_bytes }, { "meta_bytes", s->meta_bytes },
		    { "index_rows", s->chunks },
		{ "index_bytes", s->index_bytes }, { "record_bytes", s->record_bytes },
		{ "repository_bytes", s->repository_bytes },
	};
	json_t *obj = json_object();

	report_set_text(rp, obj, "type", "summary");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		report_set_number(rp, obj, rows[i].key, rows[i].n);
	if (json_object_set_new(obj, "ratio", json_real(ratio(s->bytes_total,
	    s->repository_bytes))))
		rp->broken = true;
	set_time(rp, obj, "verified", s->verified_ns);
	report_json(rp, obj);
}

static void
show_time(struct report *rp, const char *what, int64_t ns)
{
	char when[TEXT_TIME_MAX];

	report_out(rp, "%-34s %19s\n", what, ns ? text_time(when, ns) : "never");
}

static void
line(struct report *rp, const char *what, uint64_t bytes, const char *remark)
{
	char size[TEXT_SIZE_MAX];

	report_out(rp, "%-34s %10s%s\n", what, text_size(size, bytes), remark);
}

static void
show_text(struct report *rp, const struct stats_result *s)
{
	char remark[64];

	report_out(rp, "%-34s %10ju\n", "snapshots", (uintmax_t)s->snapshots);
	report_out(rp, "%-34s %10ju\n", "files in them", (uintmax_t)s->files);
	line(rp, "content of all snapshots", s->bytes_total, "");
	line(rp, "  new when they were made", s->bytes_new, "");
	snprintf(remark, sizeof(remark), "  (%.1f times less than all)",
	    ratio(s->bytes_total, s->repository_bytes));
	line(rp, "repository", s->repository_bytes, ratio(s->bytes_total, s->repository_bytes) >= 1.05 ? remark : "");
	snprintf(remark, sizeof(remark), "  in %ju pack%s", (uintmax_t)s->packs, s->packs == 1 ?
	    "" : "s");
	line(rp, "  packs", s->pack_bytes, remark);
	line(rp, "    of them file content", s->data_bytes, "");
	line(rp, "    of them directories and lists", s->meta_bytes, "");
	/* Below that it is not only headers and footers that are in no use. */
	if (s->live_bytes < s->pack_bytes / 10 * 9)
		line(rp, "    of them in use", s->live_bytes, "");
	line(rp, "  index", s->index_bytes, "");
	line(rp, "  snapshot records", s->record_bytes, "");
	show_time(rp, "all of them verified since", s->verified_ns);
}

static int
run(struct context *ctx, int argc, char **argv)
{
	struct choose c = { .open = false };
	bool snapshots = false;
	const struct args_option opts[] = {
		CHOOSE_OPTIONS(&c),
		{ 0, "snapshots", ARGS_FLAG, &snapshots, NULL },
	};
	struct stats_result s;
	int rc;

	if ((rc = cmd_parse(ctx, opts, ARGS_COUNT(opts), &argc, argv)) ||
	    (rc = cmd_operands(argc, argv, 0, 0, "")) ||
	    (rc = choose_open(ctx, &c, VIEW_CONTENT)) || (rc = stats_run(&c.view, &c.filter, &s)) ||
	    (snapshots && (rc = by_snapshot(&ctx->report, &c))))
		goto out;
	if (ctx->json)
		show_json(&ctx->report, &s);
	else
		show_text(&ctx->report, &s);
	rc = choose_result(&c, OK, true);
out:
	choose_close(&c);
	return rc;
}

const struct cmd cmd_stats = {
	.name = "stats",
	.summary = "how much the snapshots hold and what it costs",
	.usage =
	    "Usage: varve stats [OPTIONS]\n"
	    "\n"
	    "Sizes of the snapshots (those that match), of what was new in them when they\n"
	    "were made, and of the repository (without parity and the reserve).\n"
	    "\n"
	    "      --snapshots       also each snapshot: its size, what was new in it, what\n"
	    "                        storing that took\n"
	    CHOOSE_USAGE
	    "\n"
	    "Examples:\n"
	    "  varve stats\n"
	    "  varve stats --snapshots --host web1\n",
	.needs = CMD_REPO | CMD_KEY,
	.run = run,
};
