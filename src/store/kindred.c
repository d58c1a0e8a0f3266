#include "store/kindred.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

void
kindred_clear(struct kindred *k)
{
	free(k->newest);
	free(k->links);
	*k = (struct kindred){ 0 };
}

int
kindred_add(struct kindred *k, uint32_t ancestor, uint32_t cell)
{
	size_t old = k->room;
	int rc;

	if ((rc = mem_grow((void **)&k->newest, &k->room, ancestor + 1u, sizeof(*k->newest))))
		return rc;
	if (k->room > old)
		memset(k->newest + old, 0, (k->room - old) * sizeof(*k->newest));
	if ((rc = mem_grow((void **)&k->links, &k->cap, k->count + 1, sizeof(*k->links))))
		return rc;
	k->links[k->count++] = (struct kindred_link){ cell, k->newest[ancestor] };
	k->newest[ancestor] = (uint32_t)k->count;
	return OK;
}

size_t
kindred_of(const struct kindred *k, uint32_t ancestor, uint32_t cells[static KINDRED_MOST])
{
	uint32_t at = ancestor < k->room ? k->newest[ancestor] : 0;
	size_t n = 0;

	for (; at && n < KINDRED_MOST; at = k->links[at - 1].next)
		cells[n++] = k->links[at - 1].cell;
	return n;
}
