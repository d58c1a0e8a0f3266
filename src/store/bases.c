/* bases: see the header. */
#include "store/bases.h"

#include "base/err.h"

#define DEPTH_MAX 8                     /* of what stands on one base */
#define DEPTH_FAR 1                     /* of the ancestor of a deeper one */
#define DEPTH_MAX_SEVERAL 12            /* of what stands on several */

void
bases_clear(struct bases *b)
{
	mem_buf_clear(&b->joined);
}

/* The place of the chunk, or, if that is too deep to be a base, of an ancestor
 * near the root: *id is its name then. */
static int
place_of(const struct bases *b, struct name *id, struct index_place *place)
{
	struct reader_bases next;
	int rc = index_find(b->ix, id, place, NULL);

	if (rc != FOUND || place->depth < DEPTH_MAX)
		return rc;
	for (int i = 0; rc == FOUND && place->depth > DEPTH_FAR; i++) {
		if (i > FRAME_DEPTH_MAX)
			return fail(ERR_CORRUPT,
			    "a chain of bases does not end");
		if ((rc = reader_bases(b->rd, place, &next)))
			return rc;
		*id = next.id[0];
		rc = index_find(b->ix, id, place, NULL);
	}
	return rc;
}

int
bases_one(struct bases *b, uint8_t type, const struct name *self,
    const struct name *id, struct packer_base *out)
{
	struct index_place place;
	int rc;

	out->id[0] = *id;
	out->count = 1;
	rc = place_of(b, &out->id[0], &place);
	/* A hollow node that is stored again may be what came after it stands on. */
	if (rc == FOUND && place.type == type &&
	    name_cmp(&out->id[0], self) != 0)
		rc = (b->unproved ? reader_get_unproved : reader_get)(b->rd,
		    &out->id[0], type, &out->p, &out->len);
	else if (rc >= 0)
		return OK;
	out->depth = (uint8_t)(place.depth + 1);
	/* A damaged base is no reason not to store the chunk whole. */
	return err_is_damage(rc) ? OK : rc ? rc : FOUND;
}

static bool
have(const struct packer_base *all, const struct name *id)
{
	for (unsigned i = 0; i < all->count; i++)
		if (name_cmp(&all->id[i], id) == 0)
			return true;
	return false;
}

int
bases_several(struct bases *b, const struct name *self,
    const struct name *ids, unsigned count, struct packer_base *out)
{
	struct packer_base one;
	int rc;

	b->joined.len = 0;
	*out = (struct packer_base){ .count = 0 };
	for (unsigned i = 0; i < count && out->count < FRAME_BASES_MAX; i++) {
		if ((rc = bases_one(b, FRAME_DATA, self, &ids[i], &one)) < 0)
			return rc;
		if (rc != FOUND || have(out, &one.id[0]) ||
		    out->depth + one.depth > DEPTH_MAX_SEVERAL)
			continue;
		if ((rc = mem_buf_add(&b->joined, one.p, one.len)))
			return rc;
		out->id[out->count++] = one.id[0];
		out->depth = (uint8_t)(out->depth + one.depth);
	}
	out->p = b->joined.p;
	out->len = b->joined.len;
	return out->count ? FOUND : OK;
}
