#include "ops/packorder.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"

struct step {
	uint32_t pack, next;            /* dependencies looked at */
};

struct walk {
	uint32_t *const *deps;
	struct step *stack;
	size_t depth;
	uint8_t *seen;
	uint32_t *order;
	size_t done;
};

static void
push(struct walk *w, uint32_t pack)
{
	if (w->seen[pack])
		return;
	w->seen[pack] = 1;
	w->stack[w->depth++] = (struct step){ .pack = pack };
}

static void
walk(struct walk *w)
{
	while (w->depth > 0) {
		struct step *s = &w->stack[w->depth - 1];
		const uint32_t *deps = w->deps[s->pack];

		if (deps && s->next < deps[0]) {
			push(w, deps[++s->next]);
			continue;
		}
		w->order[w->done++] = s->pack;
		w->depth--;
	}
}

int
packorder_make(uint32_t *const *deps, size_t count, uint32_t *order)
{
	struct walk w = { .deps = deps, .order = order };
	int rc;

	if ((rc = mem_new((void **)&w.seen, count + 1)) == OK &&
	    (rc = mem_new((void **)&w.stack, mem_array(count + 1, sizeof(*w.stack)))) == OK)
		for (uint32_t i = 0; i < count; i++) {
			push(&w, i);
			walk(&w);
		}
	free(w.stack);
	free(w.seen);
	return rc;
}
