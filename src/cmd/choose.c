#include "cmd/choose.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "cmd/cmd.h"
#include "cmd/lookback.h"
#include "cmd/record.h"
#include "sys/clock.h"
#include "sys/fsys.h"

static void
bad_record(void *arg, const char *sid_hex, int rc)
{
	(void)rc;
	report_talk(arg, "snapshot record '%.8s' is damaged: %s", sid_hex, err_text());
}

static int
make_filter(struct choose *c)
{
	int rc = mem_new((void **)&c->absolute, mem_array(c->paths.count + 1, sizeof(char *)));

	for (size_t i = 0; rc == OK && i < c->paths.count; i++)
		rc = fsys_absolute(c->paths.v[i], &c->absolute[i]);
	c->filter = (struct select_filter){
		.hosts = c->hosts.v, .host_count = c->hosts.count,
		.paths = (const char *const *)c->absolute, .path_count = c->paths.count,
		.tags = c->tags.v, .tag_count = c->tags.count,
	};
	return rc;
}

int
choose_open(struct context *ctx, struct choose *c, unsigned what)
{
	int rc;

	if ((rc = make_filter(c)) || (rc = cmd_open(ctx, ctx->cmd->needs)))
		return rc;
	c->open = true;
	c->report = &ctx->report;
	rc = view_open(ctx->repo, what, bad_record, &ctx->report, &c->view);
	if (rc == OK && !(what & (VIEW_BARE | VIEW_FORGOTTEN)))
		lookback_warn(ctx, &c->view.snaps);
	return rc;
}

int
choose_open_named(struct context *ctx, struct choose *c, char **operands, size_t count)
{
	const char *const *ids = (const char *const *)operands;
	bool all = count > 0;
	int rc;

	for (size_t i = 0; i < count; i++)
		all = all && select_is_id(operands[i]);
	/* The names in the repository are lower case. */
	for (size_t i = 0; all && i < count; i++)
		for (char *s = operands[i]; *s; s++)
			*s = (char)tolower((unsigned char)*s);
	if ((rc = choose_open(ctx, c, all ? VIEW_BARE : 0)) || !all)
		return rc;
	return snapshots_load_some(ctx->repo, false, ids, count, bad_record, &ctx->report, &c->view.snaps);
}

/* Once; a clock was wrong, and the newest by time is not the newest state. */
static void
tell_passed_over(struct choose *c, const char *name, int64_t now_ns)
{
	const struct snapshots_item *it = select_passed_over(&c->view.snaps, &c->filter, name, now_ns);
	char id[CHOOSE_SHORT];

	if (!it || c->told)
		return;
	c->told = true;
	report_talk(c->report, "snapshot %s is dated in the future: passed over", choose_short(id, &it->sid));
}

int
choose_one(struct choose *c, const char *text, const struct snapshots_item **snap,
    const char **path)
{
	int64_t now_ns = clock_wall_ns();
	char *name;
	int rc;

	*snap = NULL;
	if ((rc = select_split(text, &name, path)))
		return rc;
	if (!select_is_id(name))
		c->by_time = true;
	rc = select_one(&c->view.snaps, &c->filter, name, now_ns, snap);
	if (rc == OK)
		tell_passed_over(c, name, now_ns);
	free(name);
	return rc;
}

int
choose_missing(const struct choose *c, const struct snapshots_item *snap, int rc)
{
	char id[CHOOSE_SHORT], what[512];
	struct mem_buf paths = { 0 };

	if (rc != ERR_ABSENT || err_errno())
		return rc;
	snprintf(what, sizeof(what), "%s", err_text());
	if (record_join(&paths, &snap->rec.paths_raw, ", ") == OK && mem_buf_add(&paths, "", 1) == OK)
		rc = fail(ERR_ABSENT, "snapshot %s (paths: %.300s) has %s%s", choose_short(id, &snap->sid),
		    (const char *)paths.p, what, c->by_time ?
		    " (--path chooses among the snapshots of a path)" : "");
	mem_buf_clear(&paths);
	return rc;
}

int
choose_result(const struct choose *c, int rc, bool all)
{
	size_t n = c->view.snaps.damaged;

	if (rc < 0 || !n || !(all || c->by_time))
		return rc;
	return fail(ERR_CORRUPT, "%zu snapshot record%s damaged and left out", n,
	    n == 1 ? " is" : "s are");
}

void
choose_close(struct choose *c)
{
	for (size_t i = 0; c->absolute && i < c->paths.count; i++)
		free(c->absolute[i]);
	free(c->absolute);
	if (c->open)
		view_close(&c->view);
	args_list_clear(&c->hosts);
	args_list_clear(&c->paths);
	args_list_clear(&c->tags);
	*c = (struct choose){ .open = false };
}

const char *
choose_short(char buf[static CHOOSE_SHORT], const struct name_sid *sid)
{
	name_hex_bytes(sid->b, 4, buf);
	return buf;
}
