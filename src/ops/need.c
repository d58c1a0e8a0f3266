#include "ops/need.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "format/packfile.h"

static bool
counts(const struct census_cell *c)
{
	return census_flags(c) & (CENSUS_LIVE | CENSUS_FRESH);
}

int
need_note(struct need *n, struct census *c, uint32_t cell, uint32_t base)
{
	int rc;

	if (counts(&c->cells[cell])) {
		census_mark(&c->cells[base], CENSUS_NEEDED);
		return OK;
	}
	if ((rc = mem_grow((void **)&n->v, &n->cap, n->count + 1, sizeof(*n->v))))
		return rc;
	n->v[n->count++] = (struct need_base){ cell, base };
	return OK;
}

void
need_clear(struct prove *p)
{
	for (unsigned i = 0; p->need && i < p->workers; i++)
		free(p->need[i].v);
	free(p->need);
	p->need = NULL;
}

/* From what is needed to what it stands on; true when something was added. */
static bool
follow(const struct need *n, struct census *c)
{
	bool more = false;

	for (size_t i = 0; i < n->count; i++) {
		struct census_cell *base = &c->cells[n->v[i].base];

		if (!(c->cells[n->v[i].cell].flags & CENSUS_NEEDED) || base->flags & CENSUS_NEEDED)
			continue;
		census_mark(base, CENSUS_NEEDED);
		more = true;
	}
	return more;
}

static void
mark_frames(struct census *c)
{
	for (size_t i = 0; i < c->cell_count; i++) {
		struct census_cell *cell = &c->cells[i];

		if (counts(cell))
			census_mark(cell, CENSUS_NEEDED);
		if (cell->flags & CENSUS_NEEDED && cell->frame != CENSUS_NONE)
			c->frames[cell->frame].needed = true;
	}
}

static bool
pack_needed(const struct census *c, const struct census_pack *p)
{
	for (uint32_t i = 0; i < p->frames; i++)
		if (c->frames[p->first + i].needed)
			return true;
	return false;
}

void
need_forgive(struct prove *p)
{
	struct census *c = p->c;

	for (bool more = true; more;) {
		more = false;
		for (unsigned i = 0; i < p->workers; i++)
			more = follow(&p->need[i], c) || more;
	}
	mark_frames(c);
	p->needs_known = true;
	for (size_t i = 0; i < c->pack_count; i++) {
		struct census_pack *cp = &c->packs[i];

		if (!cp->problem || pack_needed(c, cp))
			continue;
		damage_forgive(p->d, cp->problem);
		cp->spare = true;
		p->spare++;
		p->packs--;
		p->nodes_lost -= cp->kind == PACKFILE_META;
	}
	for (size_t i = 0; i < c->frame_count; i++) {
		struct census_frame *f = &c->frames[i];

		if (!f->problem || f->needed)
			continue;
		damage_forgive(p->d, f->problem);
		f->problem = 0;
		f->spare = true;
		p->spare++;
	}
}
