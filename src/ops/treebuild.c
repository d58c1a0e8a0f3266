#include "ops/treebuild.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "codec/digest.h"
#include "format/frame.h"

#define CUT_MIN 64
#define CUT_MODULUS 512
#define CUT_ROWS 2048

void
treebuild_init(struct treebuild *b, struct session *s)
{
	*b = (struct treebuild){ .s = s };
}

void
treebuild_clear(struct treebuild *b)
{
	for (int i = 0; i <= TREENODE_LEVEL_MAX; i++)
		if (b->level[i]) {
			mem_buf_clear(&b->level[i]->buf);
			free(b->level[i]);
		}
	*b = (struct treebuild){ 0 };
}

void
treebuild_hint(struct treebuild *b, const struct name *id)
{
	b->hint = id ? *id : (struct name){ { 0 } };
}

/* Room for `more` bytes in the level's node, begun if need be. */
static int
level_open(struct treebuild *b, int n, size_t more, struct treebuild_level **out)
{
	struct treebuild_level *l = b->level[n];
	int rc;

	if (!l) {
		if ((rc = MEM_NEW(l)))
			return rc;
		b->level[n] = l;
	}
	if ((rc = mem_buf_reserve(&l->buf, TREENODE_HEAD_LEN + more)))
		return rc;
	if (l->buf.len == 0)
		l->buf.len = treenode_head_encode(l->buf.p, l->buf.cap, (uint8_t)n);
	*out = l;
	return OK;
}

static int level_close(struct treebuild *b, int n);

static int
level_row(struct treebuild *b, int n, const struct treenode_row *row)
{
	struct treebuild_level *l;
	int rc;

	if (n > TREENODE_LEVEL_MAX)
		return fail(ERR_FAILED, "a directory has too many entries");
	if ((rc = level_open(b, n, 40 + (size_t)row->name_len, &l)))
		return rc;
	l->buf.len += treenode_row_encode(l->buf.p + l->buf.len, l->buf.cap - l->buf.len, row);
	if (l->rows++ == 0) {
		memcpy(l->first, row->name, row->name_len);
		l->first_len = row->name_len;
	}
	l->entries += row->entries;
	if (l->rows >= CUT_ROWS || (l->rows >= CUT_MIN && digest_xxh3(row->name, row->name_len) % CUT_MODULUS == 0))
		return level_close(b, n);
	return OK;
}

static int
level_put(struct treebuild *b, int n, struct name *id)
{
	struct treebuild_level *l = b->level[n];
	const struct name *base = n == 0 && !name_is_zero(&b->hint) ? &b->hint : NULL;

	return session_put(b->s, FRAME_TREE, l->buf.p, l->buf.len, base, id, NULL);
}

/* Put the node and name it one level up. */
static int
level_close(struct treebuild *b, int n)
{
	struct treebuild_level *l = b->level[n];
	struct treenode_row row = { .entries = l->entries, .name = l->first, .name_len = l->first_len };
	int rc;

	if ((rc = level_put(b, n, &row.id)) || (rc = level_row(b, n + 1, &row)))
		return rc;
	l->closed++;
	l->buf.len = 0;
	l->rows = l->entries = 0;
	return OK;
}

int
treebuild_add(struct treebuild *b, const struct treenode_entry *e)
{
	size_t bound = 160 + (size_t)e->name_len + (e->target ? (size_t)e->size : 0) + e->ext_len, n;
	struct treebuild_level *l;
	int rc;

	if ((rc = level_open(b, 0, bound, &l)))
		return rc;
	n = treenode_entry_encode(l->buf.p + l->buf.len, l->buf.cap - l->buf.len, e);
	if (n == 0)
		return fail(ERR_FAILED, "its name or attributes cannot be stored");
	l->buf.len += n;
	if (l->rows++ == 0) {
		memcpy(l->first, e->name, e->name_len);
		l->first_len = e->name_len;
	}
	l->entries++;
	if (l->buf.len >= TREENODE_TARGET_LEN ||
	    (l->rows >= CUT_MIN && digest_xxh3(e->name, e->name_len) % CUT_MODULUS == 0))
		return level_close(b, 0);
	return OK;
}

int
treebuild_end(struct treebuild *b, struct name *id)
{
	struct treebuild_level *l;
	struct treenode_row row;
	struct treenode t;
	int rc;

	for (int n = 0;; n++) {
		if ((rc = level_open(b, n, 0, &l)))
			return rc;
		if (l->closed == 0) {
			/* A node of one row above level 0 is not written: its child takes its place. */
			if (n > 0 && l->rows == 1) {
				rc = err_verdict(treenode_open(&t, l->buf.p, l->buf.len), "tree");
				if (rc == OK && treenode_next_row(&t, &row))
					*id = row.id;
				return rc;
			}
			return level_put(b, n, id);
		}
		if (l->rows && (rc = level_close(b, n)))
			return rc;
	}
}

int
treebuild_empty(struct session *s, struct name *id)
{
	struct treebuild b;
	int rc;

	treebuild_init(&b, s);
	rc = treebuild_end(&b, id);
	treebuild_clear(&b);
	return rc;
}
