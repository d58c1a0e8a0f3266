/* byid: by so many bits first as there are rows, then each few that share them. */
#include "store/byid.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"

#define BITS 16u

static uint32_t
group_of(const struct name *id, unsigned bits)
{
	return ((uint32_t)id->b[0] << 8 | id->b[1]) >> (BITS - bits);
}

static void
insert(uint32_t *list, uint32_t count, byid_fn id, const void *arg)
{
	for (uint32_t i = 1; i < count; i++) {
		const struct name *mine = id(arg, list[i]);
		uint32_t row = list[i], at = i;

		for (; at && name_cmp(id(arg, list[at - 1]), mine) > 0; at--)
			list[at] = list[at - 1];
		list[at] = row;
	}
}

int
byid_order(uint32_t count, byid_fn id, const void *arg, uint32_t **list)
{
	uint32_t *end = NULL, begin = 0, sum = 0, n, groups;
	unsigned bits = 0;
	int rc = mem_new((void **)list, mem_array(count, sizeof(**list)));

	while (bits < BITS && 1u << bits < count)
		bits++;
	groups = 1u << bits;
	if (rc == OK)
		rc = mem_new((void **)&end, groups * sizeof(*end));
	for (uint32_t i = 0; rc == OK && i < count; i++)
		end[group_of(id(arg, i), bits)]++;
	/* Where each group begins; it ends there when it has been filled. */
	for (uint32_t g = 0; rc == OK && g < groups; g++) {
		n = end[g];
		end[g] = sum;
		sum += n;
	}
	for (uint32_t i = 0; rc == OK && i < count; i++)
		(*list)[end[group_of(id(arg, i), bits)]++] = i;
	for (uint32_t g = 0; rc == OK && g < groups; begin = end[g++])
		insert(*list + begin, end[g] - begin, id, arg);
	free(end);
	return rc;
}
