#include <inttypes.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/text.h"
#include "cmd/choose.h"
#include "cmd/cmd.h"
#include "ops/heads.h"
#include "store/repo.h"

static void
tell_older(void *arg, const char *text)
{
	report_talk(arg, "%s", text);
}

static void
show_json(struct report *rp, const struct repo *r, const struct heads *h, const char *text)
{
	json_t *obj = json_object(), *list = json_array(), *w;

	report_set_text(rp, obj, "type", "summary");
	report_set_sid(rp, obj, "repository", &r->hdr.repo_id);
	report_set_number(rp, obj, "index", h->table);
	report_set_text(rp, obj, "check", text);
	for (size_t i = 0; i < h->count; i++) {
		const struct heads_writer *it = &h->writers[i];

		w = json_object();
		report_set_sid(rp, w, "writer", &it->writer);
		report_set_name(rp, w, "host", it->item->rec.host.p, it->item->rec.host.len);
		report_set_number(rp, w, "sequence", it->sequence);
		report_set_sid(rp, w, "snapshot", &it->sid);
		report_set_time(rp, w, "time", it->item->rec.begin_ns);
		if (json_array_append_new(list, w))
			rp->broken = true;
	}
	if (json_object_set_new(obj, "writers", list))
		rp->broken = true;
	report_json(rp, obj);
}

static void
show_text(struct report *rp, const struct repo *r, const struct heads *h, const char *text)
{
	char hex[NAME_SID_HEX], when[TEXT_TIME_MAX];

	name_sid_hex(&r->hdr.repo_id, hex);
	report_out(rp, "repository  %s\nindex       %" PRIu64 "\n", hex, h->table);
	for (size_t i = 0; i < h->count; i++) {
		const struct heads_writer *it = &h->writers[i];

		name_sid_hex(&it->sid, hex);
		report_out(rp, "snapshot    %s  number %" PRIu64 " of ", hex, it->sequence);
		report_out_name(rp, it->item->rec.host.p, it->item->rec.host.len);
		report_out(rp, "  %s\n", text_time(when, it->item->rec.begin_ns));
	}
	report_out(rp, "check       %s\n", text);
}

static int
compare(struct context *ctx, const struct heads *now, const char *check)
{
	uint64_t older;
	int rc = heads_check(ctx->repo, now, check, tell_older, &ctx->report, &older);

	if (rc)
		return rc;
	if (older)
		return fail(ERR_CORRUPT, "the repository is older than that");
	if (!ctx->quiet && !ctx->json)
		report_out(&ctx->report, "nothing of that is missing\n");
	return OK;
}

static int
run(struct context *ctx, int argc, char **argv)
{
	struct choose c = { .open = false };
	bool accept = false;
	const struct args_option opts[] = { { 0, "accept", ARGS_FLAG, &accept, NULL } };
	struct heads now = { 0 };
	char *text = NULL;
	int rc;

	if ((rc = cmd_parse(ctx, opts, ARGS_COUNT(opts), &argc, argv)) || (rc = cmd_operands(argc, argv, 0, 1, "")) ||
	    (rc = choose_open(ctx, &c, 0)) || (rc = heads_now(ctx->repo, &c.view.snaps, &now)))
		goto out;
	if (argc > 1) {
		rc = compare(ctx, &now, argv[1]);
		goto out;
	}
	if ((accept && (rc = heads_accept(ctx->repo, &now))) || (rc = heads_text(&now, &text)))
		goto out;
	if (ctx->json)
		show_json(&ctx->report, ctx->repo, &now, text);
	else
		show_text(&ctx->report, ctx->repo, &now, text);
	rc = choose_result(&c, rc, true);
out:
	free(text);
	heads_clear(&now);
	choose_close(&c);
	return rc;
}

const struct cmd cmd_head = {
	.name = "head",
	.summary = "how far the repository has come, to be noted on paper",
	.usage =
	    "Usage: varve head [OPTIONS] [CHECK]\n"
	    "\n"
	    "Prints the number of the newest index table, the newest snapshot of each writer,\n"
	    "and all of that in one line, CHECK.  With CHECK it says whether anything that\n"
	    "was there then has gone without being pruned (exit status 4): then somebody put\n"
	    "back an older copy of the repository, or took a snapshot away.\n"
	    "\n"
	    "The same is remembered for each user ($VARVE_STATE_DIR, ~/.local/state/varve)\n"
	    "and looked at by every command; --no-state leaves that out.\n"
	    "\n"
	    "      --accept          remember the repository as it is now, although it is older\n"
	    "\n"
	    "Examples:\n"
	    "  varve head\n"
	    "  varve head 57,9c1f2a3b:12:a1b2c3d4e5f6a7b8\n",
	.needs = CMD_REPO | CMD_KEY,
	.run = run,
};
