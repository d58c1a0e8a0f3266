#include "ops/cuts.h"

#include <string.h>

#include "base/err.h"
#include "ops/twin.h"

void
cuts_begin(struct cuts *k, struct tree_content *c)
{
	*k = (struct cuts){ .c = c };
}

void
cuts_end(struct cuts *k)
{
	k->c = tree_content_close(k->c);
}

/* Drop the first piece, if any; look one further ahead. */
static int
step(struct cuts *k)
{
	int rc;

	if (k->have == CUTS_AHEAD + 1 || (k->have && !k->c)) {
		memmove(&k->piece[0], &k->piece[1], CUTS_AHEAD * sizeof(k->piece[0]));
		k->have--;
	}
	if (!k->c)
		return OK;
	rc = tree_content_next(k->c, &k->piece[k->have]);
	if (rc == FOUND)
		k->have++;
	else
		cuts_end(k);
	/* A damaged parent only costs the help. */
	return rc == FOUND || rc == AT_END || err_is_damage(rc) ? OK : rc;
}

int
cuts_at(struct cuts *k, uint64_t off, unsigned *count, bool *last)
{
	unsigned n = 0;
	int rc;

	*count = 0;
	while ((k->c && k->have <= CUTS_AHEAD) || (k->have && k->piece[0].off + k->piece[0].len <= off))
		if ((rc = step(k)))
			return rc;
	if (k->have == 0 || k->piece[0].off != off)
		return OK;
	while (n < k->have && !k->piece[n].hole)
		n++;
	*count = n;
	*last = n < k->have || !k->c;
	return OK;
}
