/*
 * filebuild: rows of a list are gathered per level like the digits of a counter: a full node is put and becomes a row above.
 *
 * The parent's content runs along: its piece that covers the same offset gives the chunk for free when length and fingerprint are
 * equal (CH-4), and else the base that the new chunk is likely to resemble.
 */
#include "ops/filebuild.h"

#include <assert.h>
#include <string.h>

#include "base/err.h"
#include "codec/digest.h"
#include "codec/lanes.h"
#include "format/frame.h"

void
filebuild_init(struct filebuild *b, struct session *s, const struct repo *r, const struct chunker *c, bool fingerprints)
{
	*b = (struct filebuild){ .s = s, .repo = r, .chunker = c, .fingerprints = fingerprints };
}

void
filebuild_clear(struct filebuild *b)
{
	for (int i = 0; i <= LISTNODE_LEVEL_MAX; i++)
		mem_buf_clear(&b->level[i].buf);
}

void
filebuild_begin(struct filebuild *b, struct tree_content *old)
{
	for (int i = 0; i <= LISTNODE_LEVEL_MAX; i++) {
		b->level[i].buf.len = 0;
		b->level[i].rows = b->level[i].closed = 0;
		b->level[i].total = 0;
	}
	b->off = 0;
	b->old = old;
	b->cur.have = b->ahead.have = false;
	b->cur.node = (struct name){ { 0 } };
	b->run = b->most = (struct filebuild_likeness){ .rows = 0 };
	b->waiting = 0;
	b->bytes_new = 0;
}

static int level_close(struct filebuild *b, int n);

static int
level_row(struct filebuild *b, int n, const struct listnode_row *row, enum filebuild_ends ends)
{
	struct filebuild_level *l;
	int rc;

	if (n > LISTNODE_LEVEL_MAX)
		return fail(ERR_FAILED, "the file is too long");
	l = &b->level[n];
	if ((rc = mem_buf_reserve(&l->buf, LISTNODE_HEAD_LEN + LISTNODE_ROW_LEN)))
		return rc;
	if (l->buf.len == 0)
		l->buf.len = listnode_head_encode(l->buf.p, l->buf.cap, (uint8_t)n);
	l->buf.len += listnode_row_encode(l->buf.p + l->buf.len, l->buf.cap - l->buf.len, row);
	l->rows++;
	l->total += row->len;
	l->only = *row;
	if (ends == FILEBUILD_BY_CONTENT || l->rows >= LISTNODE_END_ROWS)
		ends = listnode_ends(l->rows, row) ? FILEBUILD_HERE : FILEBUILD_NOT;
	return ends == FILEBUILD_HERE ? level_close(b, n) : OK;
}

/* The newest row replaces one that is in this node of the parent's.  Two nodes become one when the row between them changes: the greater part is the base. */
static void
liken(struct filebuild *b, const struct name *node)
{
	if (name_cmp(&b->run.node, node) != 0)
		b->run = (struct filebuild_likeness){ .node = *node };
	b->run.rows++;
	if (b->run.rows > b->most.rows)
		b->most = b->run;
}

static int
level_put(struct filebuild *b, int n, struct name *id)
{
	struct filebuild_level *l = &b->level[n];
	struct name base = b->most.node;

	if (n > 0)
		return session_put(b->s, FRAME_LIST, l->buf.p, l->buf.len, NULL, id, NULL);
	b->run = b->most = (struct filebuild_likeness){ .rows = 0 };
	return session_put(b->s, FRAME_LIST, l->buf.p, l->buf.len, name_is_zero(&base) ? NULL : &base, id, NULL);
}

static int
level_close(struct filebuild *b, int n)
{
	struct filebuild_level *l = &b->level[n];
	struct listnode_row row = { .len = l->total };
	int rc;

	if ((rc = level_put(b, n, &row.id)))
		return rc;
	l->closed++;
	l->buf.len = 0;
	l->rows = 0;
	l->total = 0;
	return level_row(b, n + 1, &row, FILEBUILD_BY_CONTENT);
}

/* The parent's next piece into ahead. */
static int
look_ahead(struct filebuild *b)
{
	const struct name *node;
	int rc;

	b->ahead.have = false;
	if (!b->old)
		return OK;
	rc = tree_content_next(b->old, &b->ahead.piece);
	if (rc == FOUND) {
		node = tree_content_node_id(b->old);
		b->ahead.node = node ? *node : (struct name){ { 0 } };
		b->ahead.have = true;
		return OK;
	}
	b->old = NULL;
	/* A damaged parent only costs the shortcut. */
	return rc == AT_END || err_is_damage(rc) ? OK : rc;
}

/* Let the parent's pieces catch up with our offset. */
static int
follow(struct filebuild *b)
{
	int rc;

	if (b->old && !b->cur.have && (rc = look_ahead(b)))
		return rc;
	while (b->ahead.have && (!b->cur.have || b->cur.piece.off + b->cur.piece.len <= b->off)) {
		b->cur = b->ahead;
		if ((rc = look_ahead(b)))
			return rc;
	}
	if (b->cur.piece.off + b->cur.piece.len <= b->off)
		b->cur.have = false;
	return OK;
}

/*
 * A row at the same place and as long as one of the parent's ends a list if that one did, and else does not: were it left to its content, a
 * changed row would part lists, or make one of two, and what is not in the base would be stored anew.
 */
static enum filebuild_ends
ends_as_before(const struct filebuild *b, uint64_t len)
{
	if (!b->cur.have || !b->ahead.have || b->cur.piece.off != b->off || b->cur.piece.len != len || b->cur.piece.hole)
		return FILEBUILD_BY_CONTENT;
	return name_cmp(&b->cur.node, &b->ahead.node) == 0 ? FILEBUILD_NOT : FILEBUILD_HERE;
}

/* The chunk's fingerprint, and from the parent's piece its id or a base. */
static int
look_back(struct filebuild *b, const uint8_t *p, struct filebuild_pending *k, bool *known)
{
	int rc;

	*known = false;
	if ((rc = follow(b)))
		return rc;
	k->old_node = b->cur.node;
	k->ends = ends_as_before(b, k->row.len);
	digest_poly1305(k->row.fingerprint, b->repo->keys->fingerprint, p, (size_t)k->row.len);
	if (!b->cur.have || b->cur.piece.hole)
		return OK;
	k->base = b->cur.piece.id;
	if (!b->fingerprints || b->cur.piece.off != b->off || b->cur.piece.len != k->row.len ||
	    memcmp(b->cur.piece.fingerprint, k->row.fingerprint, sizeof(k->row.fingerprint)) != 0)
		return OK;
	k->row.id = b->cur.piece.id;
	rc = session_has(b->s, &b->cur.piece.id);
	*known = rc == FOUND;
	return rc < 0 ? rc : OK;
}

static int
put_row(struct filebuild *b, const struct filebuild_pending *k)
{
	/* Its own predecessor's, not one that later chunks have reached. */
	liken(b, &k->old_node);
	return level_row(b, 0, &k->row, k->ends);
}

int
filebuild_take(struct filebuild *b, const uint8_t *p, size_t len)
{
	struct filebuild_pending *k = &b->wait[b->waiting];
	bool known;
	int rc;

	assert(b->waiting < FILEBUILD_BATCH);
	*k = (struct filebuild_pending){ .row = { .len = len } };
	if ((rc = look_back(b, p, k, &known)))
		return rc;
	k->p = known ? NULL : p;
	b->waiting++;
	b->off += len;
	return OK;
}

int
filebuild_same(struct filebuild *b, const uint8_t *p, size_t len)
{
	struct filebuild_pending k = { .row = { .len = len } };
	bool known;
	int rc;

	assert(b->waiting < FILEBUILD_BATCH);
	if ((rc = look_back(b, p, &k, &known)) || !known)
		return rc;
	b->off += len;
	if (b->waiting == 0)
		rc = put_row(b, &k);
	else
		b->wait[b->waiting++] = k;
	return rc ? rc : FOUND;
}

int
filebuild_flush(struct filebuild *b)
{
	struct lanes_job jobs[FILEBUILD_BATCH];
	size_t n = b->waiting, count = 0, done = 0;
	bool was_new;
	int rc;

	for (size_t i = 0; i < n; i++)
		if (b->wait[i].p)
			jobs[count++] = (struct lanes_job){ .p = b->wait[i].p, .len = (size_t)b->wait[i].row.len,
				.type = FRAME_DATA };
	lanes_chunk_ids(b->repo->keys->id, jobs, count);
	b->waiting = 0;
	for (size_t i = 0; i < n; i++) {
		struct filebuild_pending *k = &b->wait[i];

		if (k->p) {
			k->row.id = jobs[done++].id;
			if ((rc = session_put_named(b->s, FRAME_DATA, k->p, (size_t)k->row.len,
			    name_is_zero(&k->base) ? NULL : &k->base, &k->row.id, &was_new)))
				return rc;
			if (was_new)
				b->bytes_new += k->row.len;
		}
		if ((rc = put_row(b, k)))
			return rc;
	}
	return OK;
}

int
filebuild_chunks(struct filebuild *b, const uint8_t *p, const size_t *lens, size_t count)
{
	int rc = OK;

	assert(count <= FILEBUILD_BATCH);
	for (size_t i = 0; rc == OK && i < count; p += lens[i++])
		rc = filebuild_take(b, p, lens[i]);
	return rc ? rc : filebuild_flush(b);
}

int
filebuild_named(struct filebuild *b, const uint8_t *p, size_t len, const struct name *id, const uint8_t fingerprint[static 16],
    const struct name *base)
{
	struct listnode_row row = { .id = *id, .len = len };
	bool was_new;
	int rc;

	memcpy(row.fingerprint, fingerprint, sizeof(row.fingerprint));
	if ((rc = session_put_named(b->s, FRAME_DATA, p, len, base, id, &was_new)))
		return rc;
	if (was_new)
		b->bytes_new += len;
	b->off += len;
	return level_row(b, 0, &row, FILEBUILD_BY_CONTENT);
}

int
filebuild_hole(struct filebuild *b, uint64_t len)
{
	struct listnode_row row = { .len = len };

	b->off += len;
	return level_row(b, 0, &row, FILEBUILD_BY_CONTENT);
}

int
filebuild_end(struct filebuild *b, struct filebuild_content *out)
{
	struct filebuild_level *l;
	int rc;

	*out = (struct filebuild_content){ .size = b->off };
	if (b->off == 0)
		return OK;
	l = &b->level[0];
	if (l->closed == 0 && l->rows == 1 && !name_is_zero(&l->only.id)) {
		out->id = l->only.id;
		memcpy(out->fingerprint, l->only.fingerprint, sizeof(out->fingerprint));
		return OK;
	}
	out->list = true;
	for (int n = 0; n <= LISTNODE_LEVEL_MAX; n++) {
		l = &b->level[n];
		if (l->closed == 0) {
			if (n > 0 && l->rows == 1) {
				out->id = l->only.id;
				return OK;
			}
			return level_put(b, n, &out->id);
		}
		if (l->rows && (rc = level_close(b, n)))
			return rc;
	}
	return fail(ERR_FAILED, "the file is too long");
}
