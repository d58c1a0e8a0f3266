#include "cmd/found.h"

#include <inttypes.h>
#include <string.h>

#include "cmd/choose.h"
#include "cmd/report.h"
#include "ops/verify.h"

#define FILES_SHOWN 20                  /* of one damage, without --verbose */
#define SNAPS_SHOWN 5

static void
damage_json(struct report *rp, const struct verify_result *res, const struct damage *d, const char *type)
{
	json_t *obj = json_object(), *files = json_array(), *snaps = json_array(), *f;
	char hex[NAME_SID_HEX];

	report_set_text(rp, obj, "type", type);
	report_set_text(rp, obj, "object", d->object);
	if (d->place)
		report_set_text(rp, obj, "place", d->place);
	report_set_text(rp, obj, "reason", d->text);
	report_set_text(rp, obj, "advice", damage_advice(d->kind));
	for (size_t i = 0; i < d->file_count; i++) {
		const struct damage_file *it = &d->files[i];

		f = json_object();
		report_set_name(rp, f, "path", it->path, strlen(it->path));
		report_set_number(rp, f, "snapshots", it->count);
		report_set_sid(rp, f, "first", &res->items[it->first].sid);
		report_set_sid(rp, f, "last", &res->items[it->last].sid);
		if (json_array_append_new(files, f))
			rp->broken = true;
	}
	for (size_t i = 0; i < d->snap_count; i++) {
		name_sid_hex(&d->snaps[i], hex);
		if (json_array_append_new(snaps, json_string(hex)))
			rp->broken = true;
	}
	if (json_object_set_new(obj, "files", files) || json_object_set_new(obj, "snapshots", snaps))
		rp->broken = true;
	if (d->files_more)
		report_set_number(rp, obj, "files_more", d->files_more);
	report_json(rp, obj);
}

static void
show_snaps(struct report *rp, const struct damage *d)
{
	size_t shown = d->snap_count > SNAPS_SHOWN + 1 ? SNAPS_SHOWN : d->snap_count;
	char id[CHOOSE_SHORT];

	report_out(rp, "  snapshots:");
	for (size_t i = 0; i < shown; i++)
		report_out(rp, " %s", choose_short(id, &d->snaps[i]));
	if (shown < d->snap_count)
		report_out(rp, " and %zu more, the last %s", d->snap_count - shown,
		    choose_short(id, &d->snaps[d->snap_count - 1]));
	report_out(rp, "\n");
}

static void
damage_text(struct report *rp, const struct damage *d, bool verbose)
{
	size_t shown = verbose || d->file_count <= FILES_SHOWN ? d->file_count : FILES_SHOWN;

	report_out(rp, "damaged: ");
	report_out_name(rp, d->object, strlen(d->object));
	if (d->place)
		report_out(rp, ", %s", d->place);
	report_out(rp, ": ");
	report_out_name(rp, d->text, strlen(d->text));
	report_out(rp, "\n");
	for (size_t i = 0; i < shown; i++) {
		report_out(rp, "  needed by: ");
		report_out_name(rp, d->files[i].path, strlen(d->files[i].path));
		report_out(rp, d->files[i].count == 1 ? "\n" : " (in %zu snapshots)\n", d->files[i].count);
	}
	if (d->file_count + d->files_more > shown)
		report_out(rp, "  needed by: %" PRIu64 " more\n", d->file_count + d->files_more - shown);
	if (d->snap_count)
		show_snaps(rp, d);
	if (d->kind == DAMAGE_PACK && !d->snap_count)
		report_out(rp, "  no file of the snapshots looked at needs it\n");
}

void
found_show(struct report *rp, const struct verify_result *res, const char *type, bool verbose)
{
	report_clear(rp);
	for (size_t i = 0; i < res->damages.count; i++) {
		if (res->damages.v[i].dropped)
			continue;
		if (rp->json)
			damage_json(rp, res, &res->damages.v[i], type);
		else
			damage_text(rp, &res->damages.v[i], verbose);
	}
}

void
found_advice(struct report *rp, const struct verify_result *res)
{
	unsigned told = 0;

	for (size_t i = 0; i < res->damages.count; i++) {
		enum damage_kind kind = res->damages.v[i].kind;

		if (told & 1u << kind || res->damages.v[i].dropped)
			continue;
		told |= 1u << kind;
		report_out(rp, "what to do: %s\n", damage_advice(kind));
	}
}
