/*
 * family: a union of sets over cells.  Families that are too large are cut along a walk from their tops down, every child after what it
 * stands on; the parts are then taken from the end.
 */
#include "store/family.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"

struct sorter {
	struct family_item *items;
	size_t count;
	uint32_t *parent;               /* by cell: of its set */
	uint32_t *first;                /* by set: place + 1 of its least deep item, the first of these */
	uint32_t *item;                 /* by cell: place + 1 */
	uint32_t *child, *sibling;      /* by place: place + 1 of what stands on it, and of the next one that does so */
	uint32_t *stack, *order;        /* of one family */
};

static uint32_t
set_of(uint32_t *parent, uint32_t cell)
{
	while (parent[cell] != cell) {
		parent[cell] = parent[parent[cell]];
		cell = parent[cell];
	}
	return cell;
}

static int
by_family(const void *a, const void *b)
{
	const struct family_item *x = a, *y = b;

	if (x->family != y->family)
		return x->family < y->family ? -1 : 1;
	if (x->depth != y->depth)
		return x->depth > y->depth ? -1 : 1;
	return x->at < y->at ? -1 : x->at > y->at;
}

static void
unite(struct sorter *s, size_t cells)
{
	for (size_t i = 0; i < cells; i++)
		s->parent[i] = (uint32_t)i;
	for (size_t i = 0; i < s->count; i++) {
		s->items[i].at = (uint32_t)i;
		if (s->items[i].bases.count)
			s->parent[set_of(s->parent, s->items[i].cell)] = set_of(s->parent, s->items[i].bases.cell[0]);
	}
	for (size_t i = 0; i < s->count; i++) {
		uint32_t set = set_of(s->parent, s->items[i].cell);

		if (!s->first[set] || s->items[i].depth < s->items[s->first[set] - 1].depth)
			s->first[set] = (uint32_t)i + 1;
	}
	for (size_t i = 0; i < s->count; i++)
		s->items[i].family = s->first[set_of(s->parent, s->items[i].cell)] - 1;
}

/* The order of one family, items[from, to): what stands on another one comes after it. */
static void
walk(struct sorter *s, size_t from, size_t to)
{
	size_t top = 0, n = 0;
	uint32_t i;

	for (size_t k = from; k < to; k++)
		s->item[s->items[k].cell] = (uint32_t)k + 1;
	for (size_t k = to; k-- > from;) {
		i = s->items[k].bases.count ? s->item[s->items[k].bases.cell[0]] : 0;
		if (i == 0) {
			s->stack[top++] = (uint32_t)k;
			continue;
		}
		s->sibling[k] = s->child[i - 1];
		s->child[i - 1] = (uint32_t)k + 1;
	}
	while (top) {
		i = s->stack[--top];
		s->order[n++] = i;
		for (i = s->child[i]; i; i = s->sibling[i - 1])
			s->stack[top++] = i - 1;
	}
	/* A circle of bases is damage; any order will do. */
	for (size_t k = from; n < to - from && k < to; k++)
		s->order[k - from] = (uint32_t)k;
}

/* Numbers of the parts, from the end of the walk; *next is the first that is free. */
static void
part(struct sorter *s, size_t n, uint32_t *next)
{
	size_t members = 0, bytes = 0;

	for (size_t i = n; i-- > 0;) {
		struct family_item *it = &s->items[s->order[i]];

		if (members && (members == FAMILY_MOST || bytes + it->len > FAMILY_BYTES)) {
			members = bytes = 0;
			++*next;
		}
		members++;
		bytes += it->len;
		it->family = *next;
	}
	++*next;
}

static int
run(struct sorter *s, size_t cells)
{
	uint32_t next = 0;
	size_t end;
	int rc;

	if ((rc = mem_new((void **)&s->parent, mem_array(cells, sizeof(uint32_t)))) ||
	    (rc = mem_new((void **)&s->first, mem_array(cells, sizeof(uint32_t)))) ||
	    (rc = mem_new((void **)&s->item, mem_array(cells, sizeof(uint32_t)))) ||
	    (rc = mem_new((void **)&s->child, mem_array(s->count, sizeof(uint32_t)))) ||
	    (rc = mem_new((void **)&s->sibling, mem_array(s->count, sizeof(uint32_t)))) ||
	    (rc = mem_new((void **)&s->stack, mem_array(s->count, sizeof(uint32_t)))) ||
	    (rc = mem_new((void **)&s->order, mem_array(s->count, sizeof(uint32_t)))))
		return rc;
	unite(s, cells);
	qsort(s->items, s->count, sizeof(*s->items), by_family);
	for (size_t i = 0; i < s->count; i = end) {
		for (end = i + 1; end < s->count && s->items[end].family == s->items[i].family; end++)
			continue;
		walk(s, i, end);
		part(s, end - i, &next);
	}
	qsort(s->items, s->count, sizeof(*s->items), by_family);
	return OK;
}

int
family_sort(struct family_item *items, size_t count, size_t cells)
{
	struct sorter s = { .items = items, .count = count };
	int rc = count ? run(&s, cells) : OK;

	free(s.parent);
	free(s.first);
	free(s.item);
	free(s.child);
	free(s.sibling);
	free(s.stack);
	free(s.order);
	return rc;
}
