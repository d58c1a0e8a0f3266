#include "store/rebase.h"

#include <string.h>

#include "base/err.h"
#include "codec/squeeze.h"
#include "format/frame.h"

#define LEVEL 3

int
rebase_begin(struct rebase *rb, struct counts *c)
{
	*rb = (struct rebase){ .c = c };
	return squeeze_new(LEVEL, &rb->sq);
}

void
rebase_clear(struct rebase *rb)
{
	squeeze_free(rb->sq);
	kindred_clear(&rb->kindred);
	mem_buf_clear(&rb->item);
	mem_buf_clear(&rb->base);
	mem_buf_clear(&rb->other);
	mem_buf_clear(&rb->packed);
	*rb = (struct rebase){ .c = NULL };
}

/* One step down: the base of the copy of cell `at`.  FOUND, OK (it cannot be told: damage), or an error. */
static int
beneath(struct rebase *rb, uint32_t *at)
{
	struct counts *c = rb->c;
	const struct counts_copy *copy = &c->copies[c->cells[*at].copies];
	struct index_place place;
	struct name next;
	int rc;

	if (copy->base != COUNTS_NONE) {
		*at = copy->base;
		return FOUND;
	}
	if (copy->frame == COUNTS_NONE)
		return OK;
	if ((rc = counts_place(c, *at, &place)) || (rc = reader_base(c->reader, &place, &next)) ||
	    (rc = counts_find_cell(c, &next, c->cells[*at].type, at)) < 0)
		return err_is_damage(rc) ? OK : rc;
	return FOUND;
}

int
rebase_ancestor(struct rebase *rb, struct rebase_chunk *ch)
{
	struct counts *c = rb->c;
	uint32_t at = ch->base;
	int rc;

	ch->ancestor = ch->family = ch->base;
	if (at == COUNTS_NONE)
		return OK;
	for (int i = 0; i <= FRAME_DEPTH_MAX; i++) {
		if (c->cells[at].refs > 0 || c->cells[at].uses > 1) {
			ch->ancestor = ch->family = at;
			return OK;
		}
		if (c->cells[at].copies == COUNTS_NONE)
			return OK;              /* damage: leave it as it is */
		if (c->copies[c->cells[at].copies].depth == 0) {
			ch->ancestor = COUNTS_NONE;
			ch->family = at;
			return OK;
		}
		if ((rc = beneath(rb, &at)) != FOUND)
			return rc;
	}
	return OK;
}

/* Those of its kind that it may stand on. */
static size_t
candidates(const struct rebase *rb, const struct rebase_chunk *ch, uint32_t out[static KINDRED_MOST])
{
	const struct counts *c = rb->c;
	uint32_t all[KINDRED_MOST];
	size_t n = 0, count = ch->family == COUNTS_NONE ? 0 : kindred_of(&rb->kindred, ch->family, all);

	for (size_t i = 0; i < count; i++) {
		const struct counts_cell *k = &c->cells[all[i]];

		if (k->refs > 0 && k->copies != COUNTS_NONE && c->copies[k->copies].depth < ch->depth && all[i] != ch->cell)
			out[n++] = all[i];
	}
	return n;
}

bool
rebase_keeps(const struct rebase *rb, const struct rebase_chunk *ch)
{
	uint32_t others[KINDRED_MOST];

	if (ch->base == COUNTS_NONE || ch->ancestor != ch->base)
		return false;
	/* What lives on its own is as good a base as any; what only serves others is one to get away from. */
	return rb->c->cells[ch->base].refs > 0 || candidates(rb, ch, others) == 0;
}

static int
fetch(struct rebase *rb, uint32_t cell, struct mem_buf *out)
{
	const struct counts_cell *k = &rb->c->cells[cell];
	const uint8_t *p;
	size_t len;
	int rc = reader_get(rb->c->reader, &k->id, k->type, &p, &len);

	out->len = 0;
	return rc ? rc : mem_buf_add(out, p, len);
}

/* Is the item smaller on what is in rb->other than *least?  Then that becomes rb->base. */
static int
try_base(struct rebase *rb, size_t *least, bool *better)
{
	struct mem_buf swap;
	size_t len;
	int rc;

	rb->packed.len = 0;
	if ((rc = mem_buf_reserve(&rb->packed, squeeze_bound(rb->item.len))) ||
	    (rc = squeeze_pack(rb->sq, rb->packed.p, rb->packed.cap, rb->item.p, rb->item.len, rb->other.p, rb->other.len, &len)))
		return rc;
	*better = len < *least;
	if (*better) {
		*least = len;
		swap = rb->base;
		rb->base = rb->other;
		rb->other = swap;
	}
	return OK;
}

int
rebase_choose(struct rebase *rb, const struct rebase_chunk *ch, uint32_t *chosen, struct packer_base *b)
{
	uint32_t all[KINDRED_MOST + 1];
	size_t count = candidates(rb, ch, all), least = SIZE_MAX;
	bool better;
	int rc;

	*chosen = COUNTS_NONE;
	if ((rc = fetch(rb, ch->cell, &rb->item)))
		return rc;
	if (ch->ancestor != COUNTS_NONE)
		all[count++] = ch->ancestor;
	for (size_t i = 0; i < count; i++) {
		if ((rc = fetch(rb, all[i], &rb->other)) || (rc = try_base(rb, &least, &better)))
			return rc;
		if (better)
			*chosen = all[i];
	}
	if (*chosen != COUNTS_NONE)
		*b = (struct packer_base){ .p = rb->base.p, .len = rb->base.len, .id = rb->c->cells[*chosen].id,
			.depth = rb->c->copies[rb->c->cells[*chosen].copies].depth };
	return OK;
}

int
rebase_moved(struct rebase *rb, const struct rebase_chunk *ch)
{
	if (ch->family == COUNTS_NONE || rb->c->cells[ch->cell].refs <= 0)
		return OK;
	return kindred_add(&rb->kindred, ch->family, ch->cell);
}
