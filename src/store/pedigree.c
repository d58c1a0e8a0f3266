/*
 * pedigree: nodes are the members, and what members stand on outside of the family (`outside`).  What one costs on another is estimated
 * from the anchors they share, which is many times cheaper than to compress it.
 *
 * The tree grows from one member that is stored whole: each time the cheapest one joins, on any that has joined and is not too deep, or
 * whole.  A slope makes deep ones dearer, so that long lines of versions branch near the root and not at the limit.  All members are tried as
 * the first, with several slopes, and the cheapest tree wins.
 *
 * Circles: a chunk is deeper than its base, always.  A member may get deeper only if all that stands on it is in the plan.
 */
#include "store/pedigree.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/squeeze.h"
#include "format/frame.h"
#include "store/anchors.h"
#include "store/framejob.h"
#include "store/packer.h"

#define LEVEL 3
#define NONE UINT32_MAX
#define NODES (2 * FAMILY_MOST)         /* each member has one base at most */
#define DEPTH_MOST 16                   /* as sessions build */
#define RATE 3                          /* an anchor in 8 bytes, at first */
#define ANCHORS 256                     /* of the longest chunk, about */
#define ANCHORS_MOST (4 * ANCHORS)      /* whatever somebody has put into it */
#define HEAD 60                         /* what a difference costs beside the bytes that are new: more in the frame's head, and zstd's frame */
#define STEP 8                          /* bytes that a step of depth is worth */

struct node {
	uint32_t cell;
	uint32_t stands;                /* node that it stands on now, or NONE */
	struct mem_buf text;
	uint32_t *anchors;              /* ascending */
	size_t anchor_count, anchor_cap;
	uint32_t whole;                 /* bytes when it is stored whole, about */
	uint8_t most;                   /* depth that it must not exceed */
	bool needed, outside;
};

struct tree {
	uint64_t bytes;
	uint32_t on[NODES];             /* node, or NONE */
	uint8_t depth[NODES];
};

struct pedigree {
	struct counts *c;               /* borrowed */
	struct squeeze *sq;
	struct mem_buf packed;
	struct node node[NODES];
	uint32_t cost[FAMILY_MOST][NODES];      /* of a member on a node; NONE: that does not pay */
	size_t members, count;          /* nodes[0, members) are the items; then those outside */
	bool leaving;                   /* something outside lives for the members only */
	struct tree best;
	uint32_t order[FAMILY_MOST];
	size_t order_count;
};

int
pedigree_new(struct counts *c, struct pedigree **out)
{
	struct pedigree *p;
	int rc;

	if ((rc = MEM_NEW(p)) == OK) {
		p->c = c;
		rc = squeeze_new(LEVEL, &p->sq);
	}
	*out = rc ? pedigree_free(p) : p;
	return rc;
}

static void
forget(struct pedigree *p)
{
	for (size_t i = 0; i < p->count; i++) {
		mem_buf_clear(&p->node[i].text);
		free(p->node[i].anchors);
	}
	p->count = p->members = p->order_count = 0;
	p->leaving = false;
}

struct pedigree *
pedigree_free(struct pedigree *p)
{
	if (p) {
		forget(p);
		squeeze_free(p->sq);
		mem_buf_clear(&p->packed);
		free(p);
	}
	return NULL;
}

/* ----------------------------------------------------------------------------------------------------------- nodes */

/* One step down: the first base of the copy of cell `at`.  FOUND, OK (it has none, or that cannot be told), or an error. */
static int
beneath(struct pedigree *p, uint32_t *at)
{
	struct counts *c = p->c;
	const struct counts_copy *copy;
	struct reader_bases names;
	struct index_place place;
	int rc;

	if (c->cells[*at].copies == COUNTS_NONE)
		return OK;
	copy = &c->copies[c->cells[*at].copies];
	if (copy->bases.count) {
		*at = copy->bases.cell[0];
		return FOUND;
	}
	if (copy->depth == 0 || copy->frame == COUNTS_NONE)
		return OK;
	if ((rc = counts_place(c, *at, &place)) || (rc = reader_bases(c->reader, &place, &names)) ||
	    (rc = counts_find_cell(c, &names.id[0], c->cells[*at].type, at)) < 0)
		return err_is_damage(rc) ? OK : rc;
	return FOUND;
}

static uint32_t
find_node(const struct pedigree *p, uint32_t cell)
{
	for (uint32_t i = 0; i < p->count; i++)
		if (p->node[i].cell == cell)
			return i;
	return NONE;
}

static uint32_t
standing_on(const struct family_item *items, size_t count, uint32_t cell)
{
	uint32_t n = 0;

	for (size_t i = 0; i < count; i++)
		n += items[i].bases.count && items[i].bases.cell[0] == cell;
	return n;
}

static void
add_members(struct pedigree *p, const struct family_item *items, size_t count)
{
	const struct counts_cell *cell;
	struct node *n;
	bool fixed;

	p->members = p->count = count;
	for (size_t i = 0; i < count; i++) {
		cell = &p->c->cells[items[i].cell];
		fixed = cell->uses > standing_on(items, count, items[i].cell);
		n = &p->node[i];
		*n = (struct node){ .cell = items[i].cell, .stands = NONE, .needed = cell->refs > 0 || fixed, .most = DEPTH_MOST };
		if (fixed && items[i].depth < n->most)
			n->most = items[i].depth;
	}
}

/*
 * What a member stands on outside of the family, or the nearest beneath that which lives without the members.  A use that is more than
 * theirs keeps it alive.
 */
static int
add_outside(struct pedigree *p, const struct family_item *items, size_t i)
{
	struct counts *c = p->c;
	uint32_t at = items[i].bases.cell[0], mine = standing_on(items, p->members, at), n;
	int rc;

	for (int steps = 0; c->cells[at].refs <= 0 && c->cells[at].uses <= mine; steps++) {
		p->leaving = true;
		mine = 1;
		if (steps > FRAME_DEPTH_MAX || (rc = beneath(p, &at)) == OK)
			return OK;
		if (rc < 0)
			return rc;
	}
	if ((n = find_node(p, at)) == NONE) {
		n = (uint32_t)p->count++;
		p->node[n] = (struct node){ .cell = at, .stands = NONE, .needed = true, .outside = true };
	}
	p->node[i].stands = n;
	return OK;
}

/* Other bases than the first live on their own, or for others, too; or they are to be got rid of. */
static void
note_others(struct pedigree *p, const struct family_item *it)
{
	for (unsigned i = 1; i < it->bases.count; i++) {
		const struct counts_cell *cell = &p->c->cells[it->bases.cell[i]];

		p->leaving = p->leaving || (cell->refs <= 0 && cell->uses <= 1);
	}
}

static int
add_nodes(struct pedigree *p, const struct family_item *items, size_t count)
{
	uint32_t at;
	int rc;

	add_members(p, items, count);
	for (size_t i = 0; i < count; i++) {
		if (items[i].bases.count == 0)
			continue;
		note_others(p, &items[i]);
		at = find_node(p, items[i].bases.cell[0]);
		if (at == NONE && (rc = add_outside(p, items, i)))
			return rc;
		if (at != NONE)
			p->node[i].stands = at;
	}
	return OK;
}

/* ----------------------------------------------------------------------------------------------------------- costs */

static int
fetch(struct pedigree *p, struct node *n)
{
	const struct counts_cell *cell = &p->c->cells[n->cell];
	const uint8_t *text;
	size_t len;
	int rc = reader_get(p->c->reader, &cell->id, cell->type, &text, &len);

	return rc ? rc : mem_buf_add(&n->text, text, len);
}

static int
ascending(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static int
add_anchors(struct node *n, unsigned rate)
{
	struct anchors w;
	uint32_t h;
	int rc;

	anchors_begin(&w, n->text.p, n->text.len, rate);
	while (n->anchor_count < ANCHORS_MOST && (h = anchors_next(&w))) {
		if ((rc = mem_grow((void **)&n->anchors, &n->anchor_cap, n->anchor_count + 1, sizeof(h))))
			return rc;
		n->anchors[n->anchor_count++] = h;
	}
	if (n->anchor_count)
		qsort(n->anchors, n->anchor_count, sizeof(h), ascending);
	return OK;
}

static int
read_nodes(struct pedigree *p)
{
	size_t longest = 0;
	unsigned rate = RATE;
	int rc;

	for (size_t i = 0; i < p->count; i++) {
		if ((rc = fetch(p, &p->node[i])))
			return rc;
		longest = p->node[i].text.len > longest ? p->node[i].text.len : longest;
	}
	while (longest >> rate > ANCHORS)
		rate++;
	for (size_t i = 0; i < p->count; i++)
		if ((rc = add_anchors(&p->node[i], rate)))
			return rc;
	return OK;
}

/* Anchors of a that b lacks. */
static uint32_t
missing(const struct node *a, const struct node *b)
{
	size_t k = 0;
	uint32_t n = 0;

	for (size_t i = 0; i < a->anchor_count; i++) {
		while (k < b->anchor_count && b->anchors[k] < a->anchors[i])
			k++;
		n += k == b->anchor_count || b->anchors[k] != a->anchors[i];
	}
	return n;
}

/* They are alike: the first one tells how well they compress. */
static int
measure(struct pedigree *p)
{
	const struct mem_buf *text = &p->node[0].text;
	size_t len;
	int rc;

	p->packed.len = 0;
	if ((rc = mem_buf_reserve(&p->packed, squeeze_bound(text->len))) ||
	    (rc = squeeze_pack(p->sq, p->packed.p, p->packed.cap, text->p, text->len, NULL, 0, &len)))
		return rc;
	if (len > text->len)
		len = text->len;
	for (size_t i = 0; i < p->members; i++)
		p->node[i].whole = (uint32_t)((uint64_t)p->node[i].text.len * len / text->len);
	return OK;
}

static void
estimate(struct pedigree *p, uint32_t v, uint32_t u)
{
	const struct node *n = &p->node[v];
	size_t bytes = n->whole;

	if (n->anchor_count)
		bytes = (size_t)((uint64_t)n->whole * missing(n, &p->node[u]) / n->anchor_count);
	p->cost[v][u] = framejob_delta_pays(bytes, 1, n->text.len, n->whole, PACKER_SAVE_ANY) ? (uint32_t)bytes + HEAD : NONE;
}

static void
estimate_all(struct pedigree *p)
{
	for (uint32_t v = 0; v < p->members; v++)
		for (uint32_t u = 0; u < p->count; u++)
			if (u != v)
				estimate(p, v, u);
			else
				p->cost[v][u] = NONE;
}

/* ------------------------------------------------------------------------------------------------------------ trees */

struct grower {
	const struct pedigree *p;
	uint32_t slope;                 /* what a step of depth seems to cost */
	struct tree *t;
	bool in[NODES];
	uint64_t least[NODES];
};

/* u has joined: others may stand on it. */
static void
offer(struct grower *g, uint32_t u)
{
	const struct pedigree *p = g->p;
	uint64_t w;

	for (uint32_t v = 0; v < p->members; v++) {
		if (g->in[v] || !p->node[v].needed || p->cost[v][u] == NONE || g->t->depth[u] >= p->node[v].most)
			continue;
		w = p->cost[v][u] + (uint64_t)g->slope * g->t->depth[u];
		if (w < g->least[v]) {
			g->least[v] = w;
			g->t->on[v] = u;
		}
	}
}

static void
join(struct grower *g, uint32_t v)
{
	uint32_t on = g->t->on[v];

	g->in[v] = true;
	g->t->depth[v] = on == NONE ? 0 : (uint8_t)(g->t->depth[on] + 1);
	g->t->bytes += (on == NONE ? g->p->node[v].whole : g->p->cost[v][on]) + STEP * (uint64_t)g->t->depth[v];
	offer(g, v);
}

/* first: a member that is stored whole, or NONE. */
static void
grow(const struct pedigree *p, uint32_t first, uint32_t slope, struct tree *t)
{
	struct grower g = { .p = p, .slope = slope, .t = t };
	uint32_t v, best;

	t->bytes = 0;
	for (v = 0; v < p->count; v++) {
		t->on[v] = NONE;
		g.least[v] = p->node[v].whole;
	}
	for (v = (uint32_t)p->members; v < p->count; v++) {
		t->depth[v] = p->c->copies[p->c->cells[p->node[v].cell].copies].depth;
		offer(&g, v);
	}
	if (first != NONE) {
		t->on[first] = NONE;
		join(&g, first);
	}
	for (;;) {
		best = NONE;
		for (v = 0; v < p->members; v++)
			if (p->node[v].needed && !g.in[v] && (best == NONE || g.least[v] < g.least[best]))
				best = v;
		if (best == NONE)
			return;
		join(&g, best);
	}
}

/* What one difference costs, on average. */
static uint32_t
usual(const struct pedigree *p)
{
	uint64_t sum = 0, n = 0;

	for (size_t v = 0; v < p->members; v++)
		for (size_t u = 0; u < p->count; u++)
			if (p->cost[v][u] != NONE) {
				sum += p->cost[v][u];
				n++;
			}
	return n ? (uint32_t)(sum / n) : 0;
}

static void
grow_best(struct pedigree *p)
{
	static const uint32_t parts[] = { 0, 16, 8, 4, 2 };     /* of what is usual: the slopes */
	uint32_t mean = usual(p);
	struct tree t = { .bytes = 0 };

	p->best.bytes = UINT64_MAX;
	for (uint32_t first = 0; first <= p->members; first++) {
		if (first < p->members && !p->node[first].needed)
			continue;
		for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
			grow(p, first < p->members ? first : NONE, parts[i] ? mean / parts[i] : 0, &t);
			if (t.bytes < p->best.bytes)
				p->best = t;
		}
	}
}

/* The deepest first. */
static void
order(struct pedigree *p)
{
	for (unsigned depth = DEPTH_MOST + 1; depth-- > 0;)
		for (uint32_t v = 0; v < p->members; v++)
			if (p->node[v].needed && p->best.depth[v] == depth)
				p->order[p->order_count++] = v;
}

/* Is there anything to get away from? */
static bool
wanted(const struct pedigree *p)
{
	bool any = p->leaving;

	for (size_t i = 0; i < p->members; i++)
		any = any || !p->node[i].needed || (p->node[i].stands != NONE && p->c->cells[p->node[p->node[i].stands].cell].refs <= 0);
	return any;
}

/* The same estimate of what there is. */
static uint64_t
bytes_now(const struct pedigree *p, const struct family_item *items)
{
	uint64_t bytes = 0;

	for (size_t v = 0; v < p->members; v++) {
		uint32_t on = p->node[v].stands;

		bytes += on == NONE || p->cost[v][on] == NONE ? p->node[v].whole : p->cost[v][on];
		bytes += STEP * (uint64_t)items[v].depth;
	}
	return bytes;
}

int
pedigree_plan(struct pedigree *p, const struct family_item *items, size_t count)
{
	int rc;

	forget(p);
	if (count == 0 || count > FAMILY_MOST)
		return OK;
	if ((rc = add_nodes(p, items, count)))
		return rc;
	if (!wanted(p))
		return OK;
	if ((rc = read_nodes(p)) || (rc = measure(p)))
		return err_is_damage(rc) ? OK : rc;
	estimate_all(p);
	grow_best(p);
	if (!p->leaving && p->best.bytes >= bytes_now(p, items))
		return OK;
	order(p);
	return FOUND;
}

bool
pedigree_choice(const struct pedigree *p, size_t i, struct pedigree_choice *out)
{
	const struct node *n;
	uint32_t v, on;

	if (i >= p->order_count)
		return false;
	v = p->order[i];
	on = p->best.on[v];
	n = &p->node[v];
	*out = (struct pedigree_choice){ .item = v, .base = COUNTS_NONE, .depth = p->best.depth[v], .p = n->text.p, .len = n->text.len };
	if (on != NONE) {
		out->base = p->node[on].cell;
		out->base_depth = p->best.depth[on];
		out->base_p = p->node[on].text.p;
		out->base_len = p->node[on].text.len;
	}
	return true;
}
