/* sieve: a cell for some hashes of ids, a bit of it for each segment. */
#include "store/sieve.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "store/index_file.h"

struct sieve {
	uint64_t *cell;
	size_t mask;                    /* cells - 1 */
	uint64_t added;                 /* segments of which all rows are in it */
};

int
sieve_new(uint64_t rows, struct sieve **out)
{
	size_t cells = 1024;
	struct sieve *s;
	int rc = MEM_NEW(s);

	*out = NULL;
	if (rc)
		return rc;
	while (cells < 2 * rows && cells < 2 * SIEVE_ROWS)
		cells *= 2;
	s->mask = cells - 1;
	rc = mem_new((void **)&s->cell, mem_array(cells, sizeof(*s->cell)));
	*out = rc ? sieve_free(s) : s;
	return rc;
}

struct sieve *
sieve_free(struct sieve *s)
{
	if (s) {
		free(s->cell);
		free(s);
	}
	return NULL;
}

/* Ids are as good as random; their first bits are spent on buckets. */
static uint64_t *
cell_of(const struct sieve *s, const struct name *id)
{
	size_t h;

	memcpy(&h, id->b + 8, sizeof(h));
	return &s->cell[h & s->mask];
}

int
sieve_add(struct sieve *s, unsigned n, struct index_file *f)
{
	uint64_t count = index_file_header(f)->row_count;
	struct indexfile_row row;
	int rc;

	for (uint64_t i = 0; i < count; i++) {
		if ((rc = index_file_row(f, i, &row)))
			return rc == ERR_NOMEM ? rc : OK;
		*cell_of(s, &row.id) |= 1ull << n;
	}
	s->added |= 1ull << n;
	return OK;
}

uint64_t
sieve_ask(const struct sieve *s, const struct name *id)
{
	return *cell_of(s, id) | ~s->added;
}
