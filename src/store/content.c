/*
 * content: the pieces of a file (the tree_content_* part of store/tree.h).
 *
 * As in tree.c, the way from the top list to the next piece is a stack of
 * levels.  Each knows the range of the file that it stands for, and the length
 * of a list is compared with that of the row that names it when it is opened
 * (LN-2), so pieces follow each other without gaps and end where the file ends.
 */
#include "store/tree.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "format/frame.h"

#define LEVELS (LISTNODE_LEVEL_MAX + 1)

struct level {
	struct mem_buf mem;             /* the list's plaintext */
	struct listnode list;           /* slice of mem */
	struct name id;
	uint64_t start;                 /* of the list in the file */
	uint64_t off;                   /* of row `next` in the file */
	uint32_t next;                  /* row to be given out */
};

struct tree_content {
	struct reader *rd;
	struct level level[LEVELS];
	unsigned depth;                 /* levels in use; 0: no list */
	struct tree_piece single;       /* the piece when there is no list */
	bool single_left;               /* it is still to be given out */
	int rc;                         /* the failure that ended it */
};

static int
list_context(int rc, const struct name *id)
{
	char hex[NAME_HEX];

	name_hex(id, hex);
	return err_context(rc, "list %s", hex);
}

static int
level_load(struct tree_content *c, struct level *l, const struct name *id,
    uint64_t start, uint64_t len)
{
	const uint8_t *p;
	size_t n;
	int rc;

	l->mem.len = 0;
	l->id = *id;
	l->start = l->off = start;
	l->next = 0;
	if ((rc = reader_get(c->rd, id, FRAME_LIST, &p, &n)) ||
	    (rc = mem_buf_add(&l->mem, p, n)))
		return rc;
	rc = err_verdict(listnode_decode(&l->list, l->mem.p, l->mem.len),
	    "list");
	if (rc == OK && l->list.total != len)
		rc = fail(ERR_CORRUPT,
		    "of another length than what names it says");
	return rc ? list_context(rc, id) : OK;
}

/* Take the next row of the lowest level. */
static void
row_take(struct level *l, struct listnode_row *row, uint64_t *off)
{
	listnode_row_at(&l->list, l->next++, row);
	*off = l->off;
	l->off += row->len;
}

static int
descend(struct tree_content *c, const struct listnode_row *row, uint64_t off)
{
	struct level *up = &c->level[c->depth - 1], *l = up + 1;
	int rc;

	if ((rc = level_load(c, l, &row->id, off, row->len)))
		return rc;
	if (l->list.level != up->list.level - 1)
		return list_context(fail(ERR_CORRUPT, "of another level than "
		    "what names it says"), &row->id);
	c->depth++;
	return OK;
}

int
tree_content_open(struct reader *rd, const struct treenode_entry *entry,
    struct tree_content **out)
{
	struct tree_content *c;
	int rc;

	*out = NULL;
	if (entry->kind != TREENODE_FILE)
		return fail(ERR_USAGE, "not a file");
	if (entry->flags & TREENODE_UNREAD)
		return fail(ERR_FAILED, "the content could not be read when "
		    "the snapshot was made");
	if ((rc = MEM_NEW(c)))
		return rc;
	c->rd = rd;
	if (entry->flags & TREENODE_LIST) {
		c->depth = 1;
		rc = level_load(c, &c->level[0], &entry->content, 0,
		    entry->size);
	} else if (entry->size > FRAME_CHUNK_MAX) {
		rc = fail(ERR_CORRUPT, "a chunk cannot be that long");
	} else if (entry->size > 0) {
		c->single_left = true;
		c->single.len = entry->size;
		c->single.id = entry->content;
		memcpy(c->single.fingerprint, entry->fingerprint,
		    sizeof(c->single.fingerprint));
	}
	*out = rc ? tree_content_close(c) : c;
	return rc;
}

struct tree_content *
tree_content_close(struct tree_content *c)
{
	if (!c)
		return NULL;
	for (size_t i = 0; i < LEVELS; i++)
		mem_buf_clear(&c->level[i].mem);
	free(c);
	return NULL;
}

static int
piece_fill(struct tree_piece *piece, const struct listnode_row *row,
    uint64_t off)
{
	piece->off = off;
	piece->len = row->len;
	piece->hole = name_is_zero(&row->id);
	piece->id = row->id;
	memcpy(piece->fingerprint, row->fingerprint,
	    sizeof(piece->fingerprint));
	if (!piece->hole && row->len > FRAME_CHUNK_MAX)
		return fail(ERR_CORRUPT,
		    "list names a chunk longer than a chunk can be");
	return FOUND;
}

static int
advance(struct tree_content *c, struct tree_piece *piece)
{
	while (c->depth > 0) {
		struct level *l = &c->level[c->depth - 1];
		struct listnode_row row;
		uint64_t off;
		int rc;

		if (l->next == l->list.row_count) {
			if (c->depth == 1)
				return AT_END;
			c->depth--;
			continue;
		}
		row_take(l, &row, &off);
		if (l->list.level == 0)
			return piece_fill(piece, &row, off);
		if ((rc = descend(c, &row, off)))
			return rc;
	}
	if (!c->single_left)
		return AT_END;
	c->single_left = false;
	*piece = c->single;
	return FOUND;
}

int
tree_content_next(struct tree_content *c, struct tree_piece *piece)
{
	int rc = c->rc ? c->rc : advance(c, piece);

	if (rc < 0)
		c->rc = rc;
	return rc;
}

/* Make the row that holds `off` the next one; off is within the list. */
static void
level_seek(struct level *l, uint64_t off)
{
	struct listnode_row row;

	if (off < l->off) {
		l->next = 0;
		l->off = l->start;
	}
	listnode_row_at(&l->list, l->next, &row);
	while (off - l->off >= row.len) {
		l->off += row.len;
		listnode_row_at(&l->list, ++l->next, &row);
	}
}

int
tree_content_seek(struct tree_content *c, uint64_t off)
{
	struct listnode_row row;
	struct level *l;
	uint64_t at;
	int rc;

	if (c->rc)
		return c->rc;
	if (c->depth == 0) {
		c->single_left = off < c->single.len;
		return OK;
	}
	while (c->depth > 1 && (off < c->level[c->depth - 1].start ||
	    off - c->level[c->depth - 1].start >=
	    c->level[c->depth - 1].list.total))
		c->depth--;
	l = &c->level[c->depth - 1];
	if (off >= l->start + l->list.total) {
		l->next = l->list.row_count;
		l->off = l->start + l->list.total;
		return OK;
	}
	for (;;) {
		level_seek(l, off);
		if (l->list.level == 0)
			return OK;
		row_take(l, &row, &at);
		if ((rc = descend(c, &row, at)))
			return c->rc = rc;
		l = &c->level[c->depth - 1];
	}
}

const struct name *
tree_content_node_id(const struct tree_content *c)
{
	return c->depth > 0 ? &c->level[c->depth - 1].id : NULL;
}
