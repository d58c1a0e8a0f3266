#include "store/sums.h"

#include "base/err.h"
#include "base/mem.h"
#include "format/packfile.h"
#include "store/index_file.h"

void
sums_add(struct tablesums *s, const struct indexfile_pack *p, int n)
{
	uint64_t sign = n < 0 ? UINT64_MAX : 1;

	if (p->live_frames == 0)
		return;
	s->frames += sign * p->frames;
	s->bytes += sign * p->bytes;
	s->live_bytes += sign * p->live_bytes;
	s->packs[p->kind - 1][tablesums_size(p->bytes)] += (uint32_t)sign;
}

/* FOUND, OK, or an error; without a table all is zero. */
static int
of_head(struct counts *c, struct tablesums *out)
{
	struct mem_buf raw = { 0 };
	int rc;

	*out = (struct tablesums){ 0 };
	if (index_table_count(c->index) == 0)
		return FOUND;
	rc = index_file_extra(index_table_at(c->index, 0), INDEXFILE_SUMS, &raw);
	if (rc == FOUND && (rc = err_verdict(tablesums_decode(out, raw.p, raw.len), "sums of a table")) == OK)
		rc = FOUND;
	mem_buf_clear(&raw);
	return rc;
}

int
sums_now(struct counts *c, struct tablesums *out)
{
	int rc = of_head(c, out);

	if (rc != FOUND)
		return rc;
	for (size_t i = 0; i < c->pack_count; i++) {
		const struct counts_pack *p = &c->packs[i];
		struct indexfile_pack was = p->row;

		was.live_bytes = p->was_live_bytes;
		was.live_frames = p->was_live_frames;
		if (p->known)
			sums_add(out, &was, -1);
		sums_add(out, &p->row, 1);
	}
	return FOUND;
}

uint64_t
sums_unused_bound(const struct tablesums *s)
{
	uint64_t packs = 0, used;

	for (int kind = 0; kind < 2; kind++)
		for (int i = 0; i < TABLESUMS_SIZES; i++)
			packs += s->packs[kind][i];
	/* What header and footer of all of them take at least. */
	used = s->live_bytes + packs * (PACKFILE_HEADER_LEN + packfile_footer_bound(0, 0)) + 4 * s->frames +
	    s->bytes / PACKFILE_BLOCK * 8;
	return s->bytes > used ? s->bytes - used : 0;
}
