#include "store/graves.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "store/index.h"

static void
path_of(char out[static 64], const char *dir, const struct name_sid *sid)
{
	char hex[NAME_SID_HEX];

	name_sid_hex(sid, hex);
	snprintf(out, 64, "%s/%s", dir, hex);
}

/* Where a rename is a link and an unlink, a crash between them left the record in both places: then only the old one goes. */
static int
move(struct repo *r, const char *from, const char *to)
{
	int rc = io_rename(r->io, from, to);

	return rc == ERR_EXISTS ? io_unlink(r->io, from) : rc;
}

/* The new place first: after a crash in between the record is in one of them, or in both. */
static int
sync_both(struct repo *r, const char *first, const char *second)
{
	int rc = io_sync_dir(r->io, first);

	return rc ? rc : io_sync_dir(r->io, second);
}

static int
writable(const struct repo *r)
{
	if (r->read_only)
		return fail(ERR_UNSUPPORTED, "this repository has features this version of varve may read but not write");
	return OK;
}

int
graves_bury(struct repo *r, const struct name_sid *sids, size_t count)
{
	char from[64], to[64];
	uint64_t size;
	int rc = writable(r), rc2;

	if (rc || !count)
		return rc;
	for (size_t i = 0; rc == OK && i < count; i++) {
		path_of(from, "snapshots", &sids[i]);
		path_of(to, "forgotten", &sids[i]);
		rc = move(r, from, to);
		if (rc == ERR_ABSENT && io_stat(r->io, to, &size) == OK)
			rc = OK;
	}
	rc2 = sync_both(r, "forgotten", "snapshots");
	return rc ? rc : rc2;
}

int
graves_collected(struct index *ix, const struct name_sid *sid)
{
	struct indexfile_remove what = { .kind = INDEXFILE_DEAD_RECORD };

	memcpy(what.name.b, sid->b, NAME_SID_LEN);
	return index_removed(ix, &what);
}

/* Its record may still be there when a prune was killed. */
static int
was_collected(struct repo *r, const struct name_sid *sid)
{
	struct index *ix;
	int rc;

	if ((rc = index_load(r, &ix)))
		return rc;
	rc = graves_collected(ix, sid);
	index_free(ix);
	return rc;
}

int
graves_raise(struct repo *r, const struct name_sid *sid)
{
	char from[64], to[64];
	int rc;

	if ((rc = writable(r)) || (rc = was_collected(r, sid)) < 0)
		return rc;
	path_of(from, "forgotten", sid);
	path_of(to, "snapshots", sid);
	if (rc == FOUND)
		return fail(ERR_ABSENT, "snapshot %.8s was pruned: it cannot come back", from + 10);
	rc = move(r, from, to);
	if (rc == ERR_ABSENT)
		return fail(ERR_ABSENT, "snapshot %.8s is not among the forgotten ones", from + 10);
	return rc ? rc : sync_both(r, "snapshots", "forgotten");
}

static int
list_one(void *arg, const char *name)
{
	struct graves *g = arg;
	struct name_sid sid;
	int rc;

	if (!name_sid_unhex(&sid, name))
		return OK;
	if ((rc = mem_grow((void **)&g->p, &g->cap, g->count + 1, sizeof(*g->p))) == OK)
		g->p[g->count++] = sid;
	return rc;
}

int
graves_list(struct repo *r, const char *dir, struct graves *out)
{
	int rc;

	*out = (struct graves){ 0 };
	if ((rc = io_list(r->io, dir, list_one, out))) {
		free(out->p);
		*out = (struct graves){ 0 };
	}
	return rc;
}
