#include "ops/twin.h"

#include "base/err.h"

int
twin_open(struct twin *t, struct reader *rd, const struct name *id)
{
	int rc;

	*t = (struct twin){ 0 };
	if (!id || name_is_zero(id))
		return OK;
	if ((rc = tree_open(rd, id, &t->dir)))
		return err_is_damage(rc) ? OK : rc;
	rc = tree_next(t->dir, &t->e);
	t->have = rc == FOUND;
	return rc < 0 && !err_is_damage(rc) ? rc : OK;
}

void
twin_close(struct twin *t)
{
	tree_close(t->dir);
	*t = (struct twin){ 0 };
}

int
twin_find(struct twin *t, const char *name, size_t len, const struct treenode_entry **out)
{
	int cmp, rc;

	*out = NULL;
	while (t->have) {
		cmp = treenode_name_cmp(t->e.name, t->e.name_len, (const uint8_t *)name, len);
		if (cmp == 0)
			*out = &t->e;
		if (cmp >= 0)
			return OK;
		rc = tree_next(t->dir, &t->e);
		t->have = rc == FOUND;
		if (rc < 0 && !err_is_damage(rc))
			return rc;
	}
	return OK;
}
