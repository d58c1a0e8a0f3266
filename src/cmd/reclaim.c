#include "cmd/reclaim.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "cmd/cmd.h"
#include "ops/prune.h"
#include "sys/clock.h"

struct outcome {
	size_t kept, forgotten;
	bool chosen;                    /* a choice was made */
	struct settle_preview preview;  /* dry run */
	struct prune_result pruned;
	size_t bad;                     /* forgotten records that cannot be read */
	struct report *rp;
};

static void
waiting(void *arg)
{
	struct outcome *o = arg;

	report_info(o->rp, "waiting for other processes that use the repository");
}

static void
bad_record(void *arg, const char *sid_hex)
{
	struct outcome *o = arg;

	o->bad++;
	report_talk(o->rp, "forgotten snapshot '%.8s' cannot be read and stays: %s", sid_hex, err_text());
}

/* The ids that the operands name. */
static int
resolve(struct reclaim *c, char **operands, int count, struct name_sid *sids)
{
	const struct snapshots_item *snap;
	const char *path;
	int rc;

	for (int i = 0; i < count; i++) {
		if ((rc = choose_one(&c->choose, operands[i], &snap, &path)))
			return rc;
		/* It may be another one than is meant, and what follows cannot be asked again. */
		if (c->choose.by_time && c->choose.view.snaps.damaged)
			return fail(ERR_CORRUPT, "'%s': with a record that cannot be read its place in time is not known; name it by its id",
			    operands[i]);
		if (path)
			return fail(ERR_USAGE, "'%s': a snapshot is forgotten as a whole", operands[i]);
		sids[i] = snap->sid;
	}
	return OK;
}

static int
forget(struct context *ctx, struct reclaim *c, char **operands, int count, struct outcome *out)
{
	struct forget_request *q = &c->keep.request;
	struct forget_plan plan = { 0 };
	struct name_sid *sids;
	int rc = mem_new((void **)&sids, mem_array((size_t)count, sizeof(*sids)));

	if (rc || (rc = resolve(c, operands, count, sids)))
		goto out;
	q->named = sids;
	q->named_count = (size_t)count;
	q->filter = c->choose.filter;
	q->like = c->like;
	q->now_ns = clock_wall_ns();    /* a snapshot that was just made is not of the future */
	if ((rc = forget_choose(&c->choose.view, q, &plan)) ||
	    ((ctx->json || ((c->dry_run || ctx->verbose) && !ctx->quiet)) &&
	    (rc = keep_show(&ctx->report, &plan, true))))
		goto out;
	out->chosen = true;
	out->forgotten = plan.gone_count;
	out->kept = plan.count - plan.gone_count;
	if (!c->dry_run)
		rc = forget_apply(&c->choose.view, &plan);
	else if (c->prune)
		rc = prune_preview(ctx->repo, plan.gone, plan.gone_count, &out->preview);
	else
		rc = settle_preview(ctx->repo, plan.gone, plan.gone_count, &out->preview);
out:
	forget_clear(&plan);
	free(sids);
	return rc;
}

static void
summary_json(struct context *ctx, const struct reclaim *c, const struct outcome *o)
{
	const struct settle_stats *s = &o->pruned.stats;
	struct report *rp = &ctx->report;
	json_t *obj = json_object();

	report_set_text(rp, obj, "type", "summary");
	if (o->chosen) {
		report_set_number(rp, obj, "snapshots_forgotten", o->forgotten);
		report_set_number(rp, obj, "snapshots_kept", o->kept);
	}
	if (c->dry_run) {
		report_set_number(rp, obj, "chunks_removed", o->preview.chunks);
		report_set_number(rp, obj, "packs_removed", o->preview.packs);
		report_set_number(rp, obj, "bytes_freed", o->preview.bytes_freed);
		report_set_number(rp, obj, "bytes_unused", o->preview.bytes_unused);
	} else if (c->prune) {
		report_set_number(rp, obj, "snapshots_removed", s->snapshots_removed);
		report_set_number(rp, obj, "chunks_removed", s->chunks_removed);
		report_set_number(rp, obj, "packs_removed", s->packs_removed);
		report_set_number(rp, obj, "bytes_freed", o->pruned.bytes_freed);
		report_set_number(rp, obj, "bytes_rewritten", s->rewrite.bytes_written);
		report_set_seconds(rp, obj, "seconds", o->pruned.elapsed_ns);
		report_set_seconds(rp, obj, "seconds_locked", o->pruned.locked_ns);
	}
	report_set_flag(rp, obj, "dry_run", c->dry_run);
	report_json(rp, obj);
}

static void
summary_text(struct context *ctx, const struct reclaim *c, const struct outcome *o)
{
	const struct settle_stats *s = &o->pruned.stats;
	const char *dry = c->dry_run ? "dry run: " : "", *would = c->dry_run ? "would be " : "";
	char a[TEXT_SIZE_MAX], b[TEXT_SIZE_MAX], took[TEXT_SIZE_MAX];
	struct report *rp = &ctx->report;

	if (rp->quiet)
		return;
	/* Those that were named were not chosen among others: none is kept. */
	if (o->chosen && o->forgotten && !o->kept)
		report_out(rp, "%s%zu snapshot%s %sforgotten\n", dry, o->forgotten, text_plural(o->forgotten), would);
	else if (o->chosen)
		report_out(rp, "%s%zu snapshot%s %sforgotten, %zu kept\n", dry, o->forgotten, text_plural(o->forgotten), would,
		    o->kept);
	if (c->dry_run) {
		report_out(rp, "prune would free %s in %ju pack%s; %s more would be unused in others\n",
		    text_size(a, o->preview.bytes_freed), (uintmax_t)o->preview.packs, text_plural(o->preview.packs),
		    text_size(b, o->preview.bytes_unused));
	} else if (c->prune) {
		report_out(rp, "pruned: %ju snapshot%s, %ju chunk%s, %ju pack%s in %s\n", (uintmax_t)s->snapshots_removed,
		    text_plural(s->snapshots_removed), (uintmax_t)s->chunks_removed, text_plural(s->chunks_removed),
		    (uintmax_t)s->packs_removed, text_plural(s->packs_removed), text_duration(took, o->pruned.elapsed_ns));
		report_out(rp, "freed: %s, rewritten: %s\n", text_size(a, o->pruned.bytes_freed), text_size(b, s->rewrite.bytes_written));
	} else if (o->forgotten) {
		report_out(rp, "'varve prune' gives the space back; until then 'varve undelete ID' takes back what was forgotten\n");
	} else if (o->kept && !c->keep.given) {
		report_out(rp, "the newest of each group stays, and so do pinned ones; 'varve forget ID' forgets the newest, too\n");
	}
}

static void
progress(void *arg, uint64_t done, uint64_t total)
{
	struct outcome *o = arg;

	report_progress(o->rp, &(struct report_progress){ .verb = "rewriting", .bytes = done, .bytes_total = total });
}

/* "5%", "2.5", "0". */
static int
parse_percent(const char *text, unsigned *thousandths)
{
	char *end;
	double percent;

	if (*text >= '0' && *text <= '9') {
		percent = strtod(text, &end);
		if (percent <= 100 && (!*end || (*end == '%' && !end[1]))) {
			*thousandths = (unsigned)(percent * 10 + 0.5);
			return OK;
		}
	}
	return fail(ERR_USAGE, "--max-unused '%s' is not a share (examples: 5%%, 0)", text);
}

static int
prune_options(const struct reclaim *c, struct prune_options *p)
{
	int rc = OK;

	*p = (struct prune_options){ .max_unused = REWRITE_UNUSED, .max_rewrite = UINT64_MAX };
	if (c->max_unused)
		rc = parse_percent(c->max_unused, &p->max_unused);
	if (rc == OK && c->max_rewrite)
		rc = text_parse_size(c->max_rewrite, &p->max_rewrite);
	return rc;
}

int
reclaim_run(struct context *ctx, struct reclaim *c, char **operands, int count)
{
	struct outcome o = { .rp = &ctx->report };
	struct prune_options p;
	bool chooses = count || c->keep.given || c->choose.hosts.count || c->choose.paths.count || c->choose.tags.count;
	int rc;

	if ((rc = prune_options(c, &p)) || (rc = count ? choose_open_named(ctx, &c->choose, operands, (size_t)count) :
	    choose_open(ctx, &c->choose, chooses ? 0 : VIEW_BARE)))
		return rc;
	if (chooses)
		rc = forget(ctx, c, operands, count, &o);
	else if (c->dry_run)
		rc = prune_preview(ctx->repo, NULL, 0, &o.preview);
	if (rc == OK)
		rc = choose_result(&c->choose, rc, count == 0 && chooses);
	if (rc && rc != ERR_CORRUPT)
		return rc;
	/* Others may go on: what follows waits for them, and they must not wait for us. */
	view_close(&c->choose.view);
	c->choose.open = false;
	if (c->prune && !c->dry_run) {
		int rc2;

		p.waiting = waiting;
		p.bad = bad_record;
		p.progress = progress;
		p.arg = &o;
		rc2 = prune_run(ctx->repo, &p, &o.pruned);

		if (rc2)
			return rc2;
		if (o.pruned.full)
			report_info(&ctx->report, "the disk was full: prune used the space that is reserved for it");
	}
	if (ctx->json)
		summary_json(ctx, c, &o);
	else
		summary_text(ctx, c, &o);
	if (rc == OK && o.bad)
		rc = fail(ERR_CORRUPT, "%zu forgotten snapshot%s cannot be read", o.bad, text_plural(o.bad));
	return rc;
}

void
reclaim_clear(struct reclaim *c)
{
	keep_clear(&c->keep);
	choose_close(&c->choose);
}
