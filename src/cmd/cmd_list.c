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

/* A line being put together, and columns of it, printable; used again for each snapshot. */
struct line {
	struct mem_buf host, tags, paths, text;
	int rc;                         /* the first failure: of the line no more is of use */
};

struct widths {
	size_t host, tags;
	bool verified;                  /* is there such a column? */
};

static void
line_clear(struct line *l)
{
	mem_buf_clear(&l->host);
	mem_buf_clear(&l->tags);
	mem_buf_clear(&l->paths);
	mem_buf_clear(&l->text);
}

/* n bytes, and spaces before and after them. */
static void
add(struct line *l, const void *p, size_t n, size_t before, size_t after)
{
	uint8_t *to;

	if (l->rc || (l->rc = mem_buf_reserve(&l->text, before + n + after)))
		return;
	to = l->text.p + l->text.len;
	for (size_t i = 0; i < before; i++)
		*to++ = ' ';
	if (n)
		memcpy(to, p, n);
	to += n;
	for (size_t i = 0; i < after; i++)
		*to++ = ' ';
	l->text.len += before + n + after;
}

/* Columns, and two spaces. */
static void
add_left(struct line *l, const void *p, size_t len, size_t width)
{
	add(l, p, len, 0, (len < width ? width - len : 0) + 2);
}

static void
add_text(struct line *l, const char *text, size_t width)
{
	add_left(l, text, strlen(text), width);
}

static void
add_right(struct line *l, const char *text, size_t width)
{
	size_t len = strlen(text);

	add(l, text, len, len < width ? width - len : 0, 2);
}

static int
fill_columns(struct line *l, const struct snaprec *r)
{
	int rc;

	l->host.len = l->tags.len = 0;
	if ((rc = text_printable(&l->host, r->host.p, r->host.len)))
		return rc;
	return record_join(&l->tags, &r->tags_raw, ",");
}

static int
fill_paths(struct line *l, const struct snaprec *r)
{
	int rc;

	l->paths.len = 0;
	if ((rc = record_join(&l->paths, &r->paths_raw, ", ")) || !(r->flags & SNAPREC_INCOMPLETE))
		return rc;
	return mem_buf_add(&l->paths, " (incomplete)", 13);
}

static void
widen(size_t *width, size_t len)
{
	len = len > WIDTH_MAX ? WIDTH_MAX : len;
	*width = len > *width ? len : *width;
}

static int
print_row(struct report *rp, struct line *l, const struct widths *w, const struct snapshots_item *it, const struct proofs *proofs)
{
	char id[CHOOSE_SHORT], time[TEXT_TIME_MAX], size[TEXT_SIZE_MAX];
	int64_t ns = w->verified ? proofs_of_snap(proofs, &it->sid) : 0;

	if ((l->rc = fill_columns(l, &it->rec)) || (l->rc = fill_paths(l, &it->rec)))
		return l->rc;
	l->text.len = 0;
	add_text(l, choose_short(id, &it->sid), 0);
	add_text(l, text_time(time, it->rec.begin_ns), 0);
	add_left(l, l->host.p, l->host.len, w->host);
	add_left(l, l->tags.p, l->tags.len, w->tags);
	add_right(l, text_number(size, it->rec.stats[SNAPREC_FILES]), 9);
	add_right(l, text_size(size, it->rec.stats[SNAPREC_BYTES_TOTAL]), 9);
	add_right(l, text_size(size, record_stored(it)), 9);
	if (w->verified)
		add_text(l, ns ? text_time(time, ns) : "never", 19);
	add(l, l->paths.p, l->paths.len, 0, 0);
	add(l, "\n", 1, 0, 0);
	if (l->rc == OK)
		report_out_bytes(rp, l->text.p, l->text.len);
	return l->rc;
}

/* proofs: NULL without that column. */
static int
print_table(struct report *rp, const struct snapshots_item *const *list, size_t count, const struct proofs *proofs)
{
	struct widths w = { 4, 4, proofs != NULL };
	struct line l = { .rc = OK };
	int rc = OK;

	for (size_t i = 0; rc == OK && i < count; i++)
		if ((rc = fill_columns(&l, &list[i]->rec)) == OK) {
			widen(&w.host, l.host.len);
			widen(&w.tags, l.tags.len);
		}
	if (rc == OK && count && !rp->quiet)
		report_out(rp, "%-8s  %-19s  %-*s  %-*s  %9s  %9s  %9s  %*s%s\n", "id", "time",
		    (int)w.host, "host", (int)w.tags, "tags",
		    "files", "size", "stored", proofs ? -21 : 0, proofs ? "verified" : "", "paths");
	for (size_t i = 0; rc == OK && i < count; i++)
		if ((rc = print_row(rp, &l, &w, list[i], proofs)) == OK)
			rc = report_check(rp);
	if (rc == OK && !rp->quiet)
		report_out(rp, "%zu snapshot%s\n", count, count == 1 ? "" : "s");
	line_clear(&l);
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
