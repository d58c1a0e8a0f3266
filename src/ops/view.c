#include "ops/view.h"

#include <stdio.h>

#include "base/err.h"
#include "sys/io.h"

#define CACHE_BYTES (32u << 20)

int
view_open(struct repo *r, unsigned what, snapshots_bad_fn bad, void *arg, struct view *v)
{
	int rc;

	*v = (struct view){ .r = r };
	if ((rc = io_lock(r->io, IO_SHARED, true)))
		return rc;
	v->locked = true;
	if (what & VIEW_BARE)
		return OK;
	if ((rc = snapshots_load(r, what & VIEW_FORGOTTEN, bad, arg, &v->snaps)) ||
	    !(what & VIEW_CONTENT))
		return rc;
	if ((rc = index_load(r, &v->ix)))
		return rc;
	return reader_new(r, v->ix, CACHE_BYTES, &v->rd);
}

void
view_close(struct view *v)
{
	reader_free(v->rd);
	index_free(v->ix);
	snapshots_clear(&v->snaps);
	/* Releasing a lock cannot hurt what was read. */
	if (v->locked && io_lock(v->r->io, IO_UNLOCKED, false) != OK)
		v->locked = false;
	*v = (struct view){ 0 };
}

int
view_damage(int rc)
{
	char text[512];

	if (rc != ERR_ABSENT)
		return rc;
	snprintf(text, sizeof(text), "%s", err_text());
	return fail(ERR_CORRUPT, "%s", text);
}
