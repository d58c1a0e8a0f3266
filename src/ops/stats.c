#include "ops/stats.h"

#include "store/proofs.h"

int
stats_run(struct view *v, const struct select_filter *f, struct stats_result *res)
{
	struct index_totals t;
	struct proofs proofs;
	int64_t proved;
	int rc;

	*res = (struct stats_result){ .verified_ns = INT64_MAX };
	if ((rc = proofs_load(v->r, &proofs)))
		return rc;
	for (size_t i = 0; i < v->snaps.count; i++) {
		const struct snapshots_item *it = &v->snaps.items[i];

		res->record_bytes += it->file_bytes;
		if (!select_matches(&it->rec, f))
			continue;
		res->snapshots++;
		proved = proofs_of_snap(&proofs, &it->sid);
		if (proved < res->verified_ns)
			res->verified_ns = proved;
		res->files += it->rec.stats[SNAPREC_FILES];
		res->databases += it->rec.stats[SNAPREC_DATABASES];
		res->bytes_total += it->rec.stats[SNAPREC_BYTES_TOTAL];
		res->bytes_new += it->rec.stats[SNAPREC_BYTES_NEW];
		res->bytes_stored += it->rec.stats[SNAPREC_BYTES_STORED] + it->file_bytes;
	}
	proofs_clear(&proofs);
	if (!res->snapshots)
		res->verified_ns = 0;
	if ((rc = index_totals(v->ix, &t)))
		return rc;
	res->chunks = t.rows;
	res->packs = t.packs;
	res->pack_bytes = t.pack_bytes;
	res->live_bytes = t.live_bytes;
	res->data_bytes = t.data_bytes;
	res->meta_bytes = t.meta_bytes;
	res->index_bytes = t.index_bytes;
	res->repository_bytes = t.pack_bytes + t.index_bytes + res->record_bytes;
	return rc;
}
