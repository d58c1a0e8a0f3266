#include "ops/slice.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

struct turn {
	int64_t time_ns;
	uint32_t pack;
};

static int
turn_cmp(const void *a, const void *b)
{
	const struct turn *x = a, *y = b;

	if (x->time_ns != y->time_ns)
		return x->time_ns < y->time_ns ? -1 : 1;
	return x->pack < y->pack ? -1 : x->pack > y->pack;
}

int
slice_choose(const struct census *c, const struct proofs *p, const struct slice_ask *ask, uint8_t *chosen)
{
	uint64_t total = 0, bytes = 0;
	struct turn *t;
	size_t n = 0;
	int rc = mem_new((void **)&t, mem_array(c->pack_count + 1, sizeof(*t)));

	for (uint32_t i = 0; rc == OK && i < c->pack_count; i++) {
		if (c->packs[i].dead || c->packs[i].gone)
			continue;
		t[n++] = (struct turn){ proofs_of_pack(p, &c->packs[i].name), i };
		total += c->packs[i].bytes;
	}
	if (rc == OK && n)
		qsort(t, n, sizeof(*t), turn_cmp);
	for (size_t i = 0; rc == OK && i < n; i++) {
		if (ask->older_ns && t[i].time_ns >= ask->older_ns)
			break;
		/* In floating point: the product may be longer than 64 bits. */
		if (ask->of && (double)bytes >= (double)total * (double)ask->part / (double)ask->of)
			break;
		chosen[t[i].pack] = 1;
		bytes += c->packs[t[i].pack].bytes;
	}
	free(t);
	return rc;
}

int
slice_note(const struct census *c, const uint8_t *good, const uint8_t *bad, int64_t now_ns, struct proofs *p, int64_t *all_ns)
{
	struct proofs fresh = { 0 };
	int rc = OK;

	*all_ns = now_ns;
	for (size_t i = 0; rc == OK && i < c->pack_count; i++) {
		int64_t t = bad[i] ? 0 : good[i] ? now_ns : proofs_of_pack(p, &c->packs[i].name);

		if (c->packs[i].dead || c->packs[i].spare)
			continue;
		if (t < *all_ns)
			*all_ns = t;
		if (t > 0)
			rc = proofs_note_pack(&fresh, &c->packs[i].name, t);
	}
	if (rc == OK) {
		free(p->packs);
		p->packs = fresh.packs;
		p->pack_count = fresh.pack_count;
		p->pack_cap = fresh.pack_cap;
	} else {
		proofs_clear(&fresh);
	}
	return rc;
}
