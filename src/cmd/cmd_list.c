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
#include "store/proofs.h"

#define WIDTH_MAX 24                    /* host and tags take at most that many columns */

struct row {
	struct mem_buf host, tags, paths;       /* printable, zero behind them */
};

static int
row_fill(struct row *row, const struct snaprec *r)
{
	int rc;

	if ((rc = text_printable(&row->host, r->host.p, r->host.len)) ||
	    (rc = record_join(&row->tags, &r->tags_raw, ",")) ||
	    (rc = record_join(&row->paths, &r->paths_raw, ", ")))
		return rc;
	if (r->flags & SNAPREC_INCOMPLETE && (rc = mem_buf_add(&row->paths, " (incomplete)", 13)))
		return rc;
	if ((rc = mem_buf_add(&row->host, "", 1)) || (rc = mem_buf_add(&row->tags, "", 1)))
		return rc;
	return mem_buf_add(&row->paths, "", 1);
}

static void
row_clear(struct row *row)
{
	mem_buf_clear(&row->host);
	mem_buf_clear(&row->tags);
	mem_buf_clear(&row->paths);
}

static int
widen(int *width, const struct mem_buf *b)
{
	int len = b->len > WIDTH_MAX ? WIDTH_MAX : (int)b->len - 1;

	if (len > *width)
		*width = len;
	return *width;
}

/* proofs: NULL without that column. */
static int
print_row(struct report *rp, const struct snapshots_item *it, int host_width, int tag_width, const struct proofs *proofs)
{
	char id[CHOOSE_SHORT], when[TEXT_TIME_MAX], size[TEXT_SIZE_MAX], fresh[TEXT_SIZE_MAX];
	struct row row = { { 0 }, { 0 }, { 0 } };
	int rc = row_fill(&row, &it->rec);
	char since[TEXT_TIME_MAX];
	int64_t ns = proofs ? proofs_of_snap(proofs, &it->sid) : 0;

	if (rc == OK)
		report_out(rp, "%s  %s  %-*s  %-*s  %9ju  %9s  %9s  %*s%s\n",
		    choose_short(id, &it->sid),
		    text_time(when, it->rec.begin_ns), host_width, (const char *)row.host.p,
		    tag_width,
		    (const char *)row.tags.p, (uintmax_t)it->rec.stats[SNAPREC_FILES],
		    text_size(size, it->rec.stats[SNAPREC_BYTES_TOTAL]),
		    text_size(fresh, record_stored(it)), proofs ? -21 : 0,
		    ns ? text_time(since, ns) : proofs ? "never" : "",
		    (const char *)row.paths.p);
	row_clear(&row);
	return rc;
}

static int
print_table(struct report *rp, const struct snapshots_item *const *list, size_t count, const struct proofs *proofs)
{
	int host_width = 4, tag_width = 4, rc = OK;

	for (size_t i = 0; rc == OK && i < count; i++) {
		struct row row = { { 0 }, { 0 }, { 0 } };

		if ((rc = row_fill(&row, &list[i]->rec)) == OK) {
			widen(&host_width, &row.host);
			widen(&tag_width, &row.tags);
		}
		row_clear(&row);
	}
	if (rc == OK && count && !rp->quiet)
		report_out(rp, "%-8s  %-19s  %-*s  %-*s  %9s  %9s  %9s  %*s%s\n", "id", "time",
		    host_width, "host", tag_width, "tags",
		    "files", "size", "stored", proofs ? -21 : 0, proofs ? "verified" : "", "paths");
	for (size_t i = 0; rc == OK && i < count; i++)
		if ((rc = print_row(rp, list[i], host_width, tag_width, proofs)) == OK)
			rc = report_check(rp);
	if (rc == OK && !rp->quiet)
		report_out(rp, "%zu snapshot%s\n", count, count == 1 ? "" : "s");
	return rc;
}

static void
print_json(struct report *rp, const struct snapshots_item *const *list, size_t count, const struct proofs *proofs)
{
	json_t *array = json_array();

	for (size_t i = 0; i < count; i++) {
		int64_t ns = proofs_of_snap(proofs, &list[i]->sid);
		json_t *obj = record_json(rp, list[i]);

		if (ns)
			report_set_time(rp, obj, "verified", ns);
		else if (json_object_set_new(obj, "verified", json_null()))
			rp->broken = true;
		if (json_array_append_new(array, obj))
			rp->broken = true;
	}
	report_json(rp, array);
}

/* The matching ones, or the last of them; oldest first. */
static int
collect(const struct choose *c, uint64_t last, const struct snapshots_item ***out, size_t *count)
{
	const struct snapshots *all = &c->view.snaps;
	const struct snapshots_item **list;
	size_t n = 0;
	int rc = mem_new((void **)&list, mem_array(all->count + 1, sizeof(*list)));

	for (size_t i = 0; rc == OK && i < all->count; i++)
		if (select_matches(&all->items[i].rec, &c->filter))
			list[n++] = &all->items[i];
	if (rc == OK && last < n) {
		memmove(list, list + (n - last), (size_t)last * sizeof(*list));
		n = (size_t)last;
	}
	*out = list;
	*count = n;
	return rc;
}

static int
run(struct context *ctx, int argc, char **argv)
{
	struct choose c = { .open = false };
	uint64_t last = UINT64_MAX;
	bool forgotten = false, verified = false;
	struct proofs proofs = { 0 };
	const struct args_option opts[] = {
		CHOOSE_OPTIONS(&c),
		{ 'n', "last", ARGS_NUMBER, &last, NULL },
		{ 0, "forgotten", ARGS_FLAG, &forgotten, NULL },
		{ 0, "verified", ARGS_FLAG, &verified, NULL },
	};
	const struct snapshots_item **list = NULL;
	size_t count;
	int rc;

	if ((rc = cmd_parse(ctx, opts, ARGS_COUNT(opts), &argc, argv)) ||
	    (rc = cmd_operands(argc, argv, 0, 0, "")) ||
	    (rc = choose_open(ctx, &c, forgotten ? VIEW_FORGOTTEN : 0)) ||
	    (rc = collect(&c, last, &list, &count)) ||
	    ((ctx->json || verified) && (rc = proofs_load(ctx->repo, &proofs))))
		goto out;
	if (ctx->json)
		print_json(&ctx->report, list, count, &proofs);
	else
		rc = print_table(&ctx->report, list, count, verified ? &proofs : NULL);
	rc = choose_result(&c, rc, true);
out:
	free(list);
	proofs_clear(&proofs);
	choose_close(&c);
	return rc;
}

const struct cmd cmd_list = {
	.name = "list",
	.aliases = "snapshots",
	.summary = "the snapshots of the repository",
	.usage =
	    "Usage: varve list [OPTIONS]\n"
	    "\n"
	    "One line for each snapshot, oldest first: id, local time, host, tags, number of\n"
	    "files, their size, what the snapshot added to the repository, paths.\n"
	    "\n"
	    CHOOSE_USAGE
	    "  -n, --last N          only the newest N\n"
	    "      --forgotten       those that were forgotten and are not yet pruned\n"
	    "      --verified        also since when all of it is known to be right ('varve verify\n"
	    "                        --read'); always there with --json\n"
	    "      --json            one array of objects\n"
	    "\n"
	    "Examples:\n"
	    "  varve list --last 10\n"
	    "  varve list --host web1 --tag nightly --json\n",
	.needs = CMD_REPO | CMD_KEY,
	.run = run,
};
