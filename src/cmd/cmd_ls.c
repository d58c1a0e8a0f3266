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
#include "ops/listing.h"

struct ls {
	struct report *rp;
	const struct snapshots_item *snap;
	bool full, null;                /* --long, --null */
	uint64_t entries, bytes, bad;
};

static void
print_owner(struct report *rp, const struct snaprec_string *raw, uint32_t number)
{
	struct snaprec_string name;
	struct mem_buf b = { 0 };

	if (!record_owner(raw, number, &name))
		report_out(rp, " %-8u", number);
	else if (text_printable(&b, name.p, name.len) || mem_buf_add(&b, "", 1))
		rp->broken = true;
	else
		report_out(rp, " %-8s", (const char *)b.p);
	mem_buf_clear(&b);
}

static void
print_long(struct ls *ls, const struct listing_item *item)
{
	const struct treenode_entry *e = item->e;
	struct report *rp = ls->rp;
	char mode[RECORD_MODE_LEN], when[TEXT_TIME_MAX], size[TEXT_SIZE_MAX];

	report_out(rp, "%s", record_mode(mode, e));
	print_owner(rp, &ls->snap->rec.users_raw, e->uid);
	print_owner(rp, &ls->snap->rec.groups_raw, e->gid);
	if (e->kind == TREENODE_CHAR || e->kind == TREENODE_BLOCK)
		snprintf(size, sizeof(size), "%u, %u", (unsigned)(e->size >> 32),
		    (unsigned)e->size);
	else
		snprintf(size, sizeof(size), "%ju", (uintmax_t)e->size);
	report_out(rp, " %12s %s ", size, text_time(when, record_mtime_ns(e)));
	report_out_name(rp, item->path, item->path_len);
	if (e->kind == TREENODE_LINK) {
		report_out(rp, " -> ");
		report_out_name(rp, e->target, (size_t)e->size);
	}
	report_out(rp, "%s\n", e->flags & TREENODE_UNREAD ? " (unreadable)" :
	    e->flags & TREENODE_CHANGED ? " (changed while read)" : "");
}

static int
show(void *arg, const struct listing_item *item)
{
	struct ls *ls = arg;
	json_t *obj;

	ls->entries++;
	if (item->e->kind == TREENODE_FILE)
		ls->bytes += item->e->size;
	if (ls->rp->json) {
		obj = json_object();
		report_set_text(ls->rp, obj, "type", "entry");
		record_set_entry(ls->rp, obj, item->path, item->e, ls->snap);
		report_json(ls->rp, obj);
	} else if (ls->null) {
		fwrite(item->path, 1, item->path_len + 1, stdout);
	} else if (ls->full) {
		print_long(ls, item);
	} else {
		report_out_name(ls->rp, item->path, item->path_len);
		report_out(ls->rp, "\n");
	}
	return report_check(ls->rp);
}

static void
problem(void *arg, const char *path)
{
	struct ls *ls = arg;

	ls->bad++;
	report_talk(ls->rp, "cannot read directory '%s': %s", path, err_text());
}

static void
summarize(struct ls *ls)
{
	json_t *obj = json_object();

	report_set_text(ls->rp, obj, "type", "summary");
	report_set_sid(ls->rp, obj, "snapshot", &ls->snap->sid);
	report_set_time(ls->rp, obj, "time", ls->snap->rec.begin_ns);
	report_set_number(ls->rp, obj, "entries", ls->entries);
	report_set_number(ls->rp, obj, "bytes", ls->bytes);
	report_set_number(ls->rp, obj, "damaged", ls->bad);
	report_json(ls->rp, obj);
}

/* Each operand beneath SNAP:PATH; without any, everything. */
static int
walk(struct ls *ls, struct choose *c, const char *sub, char **paths, int count, bool recursive)
{
	struct listing_options o = {
		.recursive = recursive || (!count && !sub), .item = show, .problem = problem,
		    .arg = ls,
	};
	char *path;
	int rc, worst = OK;

	for (int i = 0; i < (count ? count : 1); i++) {
		if ((rc = listing_clean_path(sub, count ? paths[i] : NULL, &path)))
			return rc;
		rc = listing_walk(c->view.rd, &ls->snap->rec.root, path, &o);
		free(path);
		if (rc < 0 && (!ls->bad || rc == ERR_INTERRUPTED || rc == ERR_IO))
			return rc;
		worst = rc < 0 ? rc : worst;
	}
	if (worst < 0 && ls->bad)
		return fail(ERR_CORRUPT, "%ju director%s could not be read; the rest is listed",
		    (uintmax_t)ls->bad,
		    ls->bad == 1 ? "y" : "ies");
	return worst;
}

static int
run(struct context *ctx, int argc, char **argv)
{
	struct choose c = { .open = false };
	struct ls ls = { .rp = &ctx->report };
	bool recursive = false;
	const struct args_option opts[] = {
		CHOOSE_OPTIONS(&c),
		{ 'l', "long", ARGS_FLAG, &ls.full, NULL },
		{ 'R', "recursive", ARGS_FLAG, &recursive, NULL },
		{ '0', "null", ARGS_FLAG, &ls.null, NULL },
	};
	const char *sub;
	int rc;

	if ((rc = cmd_parse(ctx, opts, ARGS_COUNT(opts), &argc, argv)) ||
	    (rc = cmd_operands(argc, argv, 1, -1, "SNAP")) ||
	    (rc = choose_open(ctx, &c, VIEW_CONTENT)) || (rc = choose_one(&c, argv[1], &ls.snap,
	    &sub)))
		goto out;
	rc = walk(&ls, &c, sub, argv + 2, argc - 2, recursive);
	if (ctx->json && (rc >= 0 || ls.bad))
		summarize(&ls);
	rc = choose_result(&c, choose_missing(&c, ls.snap, rc), false);
out:
	choose_close(&c);
	return rc;
}

const struct cmd cmd_ls = {
	.name = "ls",
	.summary = "what a snapshot contains",
	.usage =
	    "Usage: varve ls [OPTIONS] SNAP[:PATH] [PATH...]\n"
	    "\n"
	    "Without PATH: everything.  Of a directory: what lies directly in it.  Control\n"
	    "characters in names are shown as \\xNN; --json and --null give names as they\n"
	    "are.\n"
	    "\n"
	    "  -l, --long            mode, owner, group, size, local time of last change\n"
	    "  -R, --recursive       directories with all that is beneath them\n"
	    "  -0, --null            names end with a zero byte\n"
	    CHOOSE_USAGE
	    "\n"
	    "Examples:\n"
	    "  varve ls latest\n"
	    "  varve ls -l latest:/etc\n"
	    "  varve ls -lR @yesterday /srv/app\n",
	.needs = CMD_REPO | CMD_KEY,
	.run = run,
};
