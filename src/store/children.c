#include "store/children.h"

#include "base/err.h"
#include "format/frame.h"
#include "format/listnode.h"
#include "format/treenode.h"

static int
of_list(const uint8_t *p, size_t len, children_fn fn, void *arg)
{
	struct listnode_row row;
	struct listnode l;
	int rc = err_verdict(listnode_decode(&l, p, len), "list");

	for (uint32_t i = 0; rc == OK && i < l.row_count; i++) {
		listnode_row_at(&l, i, &row);
		if (!name_is_zero(&row.id))
			rc = fn(arg, &row.id, l.level ? FRAME_LIST : FRAME_DATA);
	}
	return rc;
}

static int
of_tree(const uint8_t *p, size_t len, children_fn fn, void *arg)
{
	struct treenode_entry e;
	struct treenode_row row;
	struct treenode t;
	int rc = err_verdict(treenode_open(&t, p, len), "tree");

	if (rc)
		return rc;
	if (t.level) {
		while (rc == OK && treenode_next_row(&t, &row))
			rc = fn(arg, &row.id, FRAME_TREE);
	} else {
		while (rc == OK && treenode_next_entry(&t, &e))
			if (!name_is_zero(&e.content))
				rc = fn(arg, &e.content, e.kind == TREENODE_DIR ? FRAME_TREE :
				    e.flags & TREENODE_LIST ? FRAME_LIST : FRAME_DATA);
	}
	return rc ? rc : err_verdict(t.verdict, "tree");
}

int
children_each(uint8_t type, const uint8_t *p, size_t len, children_fn fn, void *arg)
{
	return type == FRAME_LIST ? of_list(p, len, fn, arg) : of_tree(p, len, fn, arg);
}
