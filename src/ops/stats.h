/* stats: how much the snapshots hold, and how much of the repository that takes. */
#ifndef OPS_STATS_H
#define OPS_STATS_H

#include "ops/select.h"
#include "ops/view.h"

struct stats_result {
	uint64_t snapshots;             /* that match the filter */
	uint64_t files, databases;      /* in them, each time it occurs */
	uint64_t bytes_total;           /* what restoring all of them would write */
	uint64_t bytes_new;             /* plaintext that they stored first; what only others did that are gone is not in it */
	uint64_t bytes_stored;          /* what that took when it was stored */
	/* The whole repository, whatever the filter: */
	uint64_t chunks, packs, pack_bytes, live_bytes, data_bytes, meta_bytes, index_bytes,
	    record_bytes;
	uint64_t repository_bytes;      /* packs, index, records */
	int64_t verified_ns;            /* every snapshot that matches was proved since; 0: not all were */
};

/* v: opened with VIEW_CONTENT. */
int stats_run(struct view *v, const struct select_filter *f,
    struct stats_result *res) __attribute__((warn_unused_result));

#endif
