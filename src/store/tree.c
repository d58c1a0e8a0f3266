/*
 * tree: directories.  A large one is a tree of nodes; the iterator keeps the
 * way from the top to the entry as a stack of levels:
 *
 *     level[0]   rows  a  m  t          upper bound: none
 *                         |
 *     level[1]   rows  m  o             upper bound: t
 *                      |
 *     level[2]   entries  m mm n        upper bound: o
 *
 * A child is checked as a whole against the row that names it before anything
 * of it is given out (TN-3), so what comes out is in order across nodes, and a
 * level below the row's means that a ring of nodes cannot be followed forever.
 * Each level has a copy of its node: the reader's memory lasts one call.
 */
#include "store/tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "format/frame.h"

#define LEVELS (TREENODE_LEVEL_MAX + 1)
#define IMPLIED_MODE 0755

struct text {                           /* a name; p NULL: none */
	const uint8_t *p;
	uint16_t len;
};

struct level {
	struct mem_buf mem;             /* the node's plaintext */
	struct treenode node;           /* iterates mem */
	struct text upper;              /* all names are before it */
	struct name id;
};

struct tree_dir {
	struct reader *rd;
	struct level level[LEVELS];
	unsigned depth;                 /* levels in use, >= 1 */
	int rc;                         /* the failure that ended it */
};

static struct text
text_of(const uint8_t *p, uint16_t len)
{
	return (struct text){ p, len };
}

static bool
before(struct text a, struct text b)
{
	return !b.p || treenode_name_cmp(a.p, a.len, b.p, b.len) < 0;
}

/* Next entry or row; false at the end, or when node->verdict is not OK. */
static bool
next_name(struct treenode *node, struct text *name, uint64_t *entries)
{
	struct treenode_entry e;
	struct treenode_row r;

	if (node->level == 0) {
		if (!treenode_next_entry(node, &e))
			return false;
		*name = text_of(e.name, e.name_len);
		*entries = 1;
	} else {
		if (!treenode_next_row(node, &r))
			return false;
		*name = text_of(r.name, r.name_len);
		*entries = r.entries;
	}
	return true;
}

/* TN-3; `node` is a copy and may be run through. */
static int
check_child(struct treenode node, unsigned level,
    const struct treenode_row *row, struct text upper)
{
	uint64_t total = 0, entries;
	struct text name, first = { NULL, 0 }, last = { NULL, 0 };

	while (next_name(&node, &name, &entries)) {
		if (!first.p)
			first = name;
		last = name;
		total += entries;
	}
	if (node.verdict != CURSOR_OK)
		return err_verdict(node.verdict, "directory node");
	if (node.level != level || !first.p || total != row->entries ||
	    treenode_name_cmp(first.p, first.len, row->name, row->name_len) ||
	    !before(last, upper))
		return fail(ERR_CORRUPT,
		    "directory node does not fit the row that names it");
	return OK;
}

static int
node_context(int rc, const struct name *id)
{
	char hex[NAME_HEX];

	name_hex(id, hex);
	return err_context(rc, "tree %s", hex);
}

static int
level_load(struct tree_dir *d, struct level *l, const struct name *id)
{
	const uint8_t *p;
	size_t len;
	int rc;

	l->mem.len = 0;
	l->id = *id;
	l->upper = text_of(NULL, 0);
	if ((rc = reader_get(d->rd, id, FRAME_TREE, &p, &len)) ||
	    (rc = mem_buf_add(&l->mem, p, len)))
		return rc;
	return node_context(err_verdict(treenode_open(&l->node, l->mem.p,
	    l->mem.len), "directory node"), id);
}

/* Open what `row`, just read from the lowest level, names. */
static int
descend(struct tree_dir *d, const struct treenode_row *row)
{
	struct level *up = &d->level[d->depth - 1], *l = up + 1;
	struct treenode peek = up->node;
	struct treenode_row next;
	struct text upper = up->upper;
	int rc;

	if (treenode_next_row(&peek, &next))
		upper = text_of(next.name, next.name_len);
	else if (peek.verdict != CURSOR_OK)
		return node_context(err_verdict(peek.verdict,
		    "directory node"), &up->id);
	if ((rc = level_load(d, l, &row->id)))
		return rc;
	rc = check_child(l->node, up->node.level - 1u, row, upper);
	if (rc)
		return node_context(rc, &row->id);
	l->upper = upper;
	d->depth++;
	return OK;
}

int
tree_open(struct reader *rd, const struct name *tree_id, struct tree_dir **out)
{
	struct tree_dir *d;
	int rc;

	*out = NULL;
	if ((rc = MEM_NEW(d)))
		return rc;
	d->rd = rd;
	d->depth = 1;
	/* Nothing of a bad node is given out (TN-1). */
	if ((rc = level_load(d, &d->level[0], tree_id)) == OK)
		rc = node_context(err_verdict(treenode_check(d->level[0].mem.p,
		    d->level[0].mem.len), "directory node"), tree_id);
	*out = rc ? tree_close(d) : d;
	return rc;
}

struct tree_dir *
tree_close(struct tree_dir *d)
{
	if (!d)
		return NULL;
	for (size_t i = 0; i < LEVELS; i++)
		mem_buf_clear(&d->level[i].mem);
	free(d);
	return NULL;
}

static int
advance(struct tree_dir *d, struct treenode_entry *e)
{
	for (;;) {
		struct level *l = &d->level[d->depth - 1];
		struct treenode_row row;
		int rc;

		if (l->node.level == 0 && treenode_next_entry(&l->node, e))
			return FOUND;
		if (l->node.level > 0 && treenode_next_row(&l->node, &row)) {
			if ((rc = descend(d, &row)))
				return rc;
			continue;
		}
		if (l->node.verdict != CURSOR_OK)
			return node_context(err_verdict(l->node.verdict,
			    "directory node"), &l->id);
		if (d->depth == 1)
			return AT_END;
		d->depth--;
	}
}

int
tree_next(struct tree_dir *d, struct treenode_entry *e)
{
	int rc = d->rc ? d->rc : advance(d, e);

	if (rc < 0)
		d->rc = rc;
	return rc;
}

const struct name *
tree_node_id(const struct tree_dir *d)
{
	return &d->level[d->depth - 1].id;
}

int
tree_entry_copy(struct tree_entry *dst, const struct treenode_entry *src)
{
	size_t target_len = src->target ? (size_t)src->size : 0;
	struct mem_buf b = { 0 };
	int rc;

	*dst = (struct tree_entry){ .e = *src };
	if ((rc = mem_buf_reserve(&b, src->name_len + target_len +
	    src->ext_len + 2)) ||
	    (rc = mem_buf_add(&b, src->name, src->name_len)) ||
	    (rc = mem_buf_add(&b, "", 1)) ||
	    (rc = mem_buf_add(&b, src->target, target_len)) ||
	    (rc = mem_buf_add(&b, "", 1)) ||
	    (rc = mem_buf_add(&b, src->ext, src->ext_len)))
		return rc;              /* only reserving can fail */
	dst->mem = b.p;
	dst->e.name = b.p;
	if (src->target)
		dst->e.target = b.p + src->name_len + 1;
	if (src->ext)
		dst->e.ext = b.p + src->name_len + 1 + target_len + 1;
	return OK;
}

void
tree_entry_clear(struct tree_entry *e)
{
	free(e->mem);
	*e = (struct tree_entry){ 0 };
}

/* At the lowest level, the row under which `name` is, if it is anywhere. */
static int
choose(struct tree_dir *d, struct text name)
{
	struct level *l = &d->level[d->depth - 1];
	struct treenode peek = l->node;
	struct treenode_row row, at;
	bool any = false;

	while (treenode_next_row(&peek, &row) &&
	    treenode_name_cmp(row.name, row.name_len, name.p, name.len) <= 0) {
		l->node = peek;
		at = row;
		any = true;
	}
	if (peek.verdict != CURSOR_OK)
		return node_context(err_verdict(peek.verdict,
		    "directory node"), &l->id);
	if (!any)
		return AT_END;
	return descend(d, &at);
}

/* FOUND with the entry of this name, OK, or an error. */
static int
find(struct reader *rd, const struct name *tree_id, struct text name,
    struct tree_entry *out)
{
	struct treenode_entry e;
	struct tree_dir *d;
	int rc, cmp = -1;

	if ((rc = tree_open(rd, tree_id, &d)))
		return rc;
	while (rc == OK && d->level[d->depth - 1].node.level > 0)
		rc = choose(d, name);
	while (rc == OK && cmp < 0 && (rc = tree_next(d, &e)) == FOUND) {
		cmp = treenode_name_cmp(e.name, e.name_len, name.p, name.len);
		rc = OK;
	}
	if (rc == OK && cmp == 0 && (rc = tree_entry_copy(out, &e)) == OK)
		rc = FOUND;
	tree_close(d);
	return rc == AT_END ? OK : rc;
}

/* The next component of a path, or false. */
static bool
component(const char **path, size_t *len, struct text *name)
{
	const char *slash;
	size_t n;

	while (*len > 0 && **path == '/') {
		(*path)++;
		(*len)--;
	}
	slash = memchr(*path, '/', *len);
	n = slash ? (size_t)(slash - *path) : *len;
	if (n == 0)
		return false;
	/* a longer one than a name can be is found nowhere */
	*name = text_of((const uint8_t *)*path,
	    (uint16_t)(n < UINT16_MAX ? n : UINT16_MAX));
	*path += n;
	*len -= n;
	return true;
}

int
tree_lookup(struct reader *rd, const struct name *root, const char *path,
    size_t path_len, struct tree_entry *out)
{
	struct treenode_entry top = { .name = (const uint8_t *)"",
	    .kind = TREENODE_DIR, .flags = TREENODE_IMPLIED,
	    .mode = IMPLIED_MODE, .content = *root };
	struct text name;
	int rc;

	if ((rc = tree_entry_copy(out, &top)))
		return rc;
	for (unsigned depth = 0; component(&path, &path_len, &name); depth++) {
		struct name in = out->e.content;
		bool dir = out->e.kind == TREENODE_DIR &&
		    !(out->e.flags & TREENODE_UNREAD);

		tree_entry_clear(out);
		if (!dir)
			return OK;
		if (depth >= TREENODE_DEPTH_MAX)
			return fail(ERR_CORRUPT, "directories deeper than %d",
			    TREENODE_DEPTH_MAX);
		if ((rc = find(rd, &in, name, out)) != FOUND)
			return rc;
	}
	return FOUND;
}
