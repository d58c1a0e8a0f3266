#include <string.h>

#include "format/emit.h"
#include "format/listnode.h"

#define END_ROWS_MIN 64
#define END_MOD 1024

size_t
listnode_head_encode(uint8_t *buf, size_t cap, uint8_t level)
{
	struct emit e;

	if (level > LISTNODE_LEVEL_MAX)
		return 0;
	emit_init(&e, buf, cap);
	emit_u8(&e, level);
	emit_zero(&e, LISTNODE_HEAD_LEN - 1);
	return emit_done(&e);
}

static bool
fingerprint_is_zero(const struct listnode_row *r)
{
	static const uint8_t none[LISTNODE_FP_LEN];

	return memcmp(r->fingerprint, none, sizeof(none)) == 0;
}

static bool
row_ok(const struct listnode_row *r)
{
	if (r->len < 1 || r->len > INT64_MAX)
		return false;
	return !name_is_zero(&r->id) || fingerprint_is_zero(r);
}

size_t
listnode_row_encode(uint8_t *buf, size_t cap, const struct listnode_row *r)
{
	struct emit e;

	if (!row_ok(r))
		return 0;
	emit_init(&e, buf, cap);
	emit_bytes(&e, r->id.b, NAME_LEN);
	emit_u64(&e, r->len);
	emit_bytes(&e, r->fingerprint, LISTNODE_FP_LEN);
	return emit_done(&e);
}

static void
row_read(struct listnode_row *r, struct cursor *c)
{
	cursor_copy(c, r->id.b, NAME_LEN);
	r->len = cursor_u64(c);
	cursor_copy(c, r->fingerprint, LISTNODE_FP_LEN);
}

enum cursor_verdict
listnode_decode(struct listnode *l, const uint8_t *buf, size_t len)
{
	bool hole = false;
	struct cursor c;

	memset(l, 0, sizeof(*l));
	cursor_init(&c, buf, len);
	l->level = cursor_u8(&c);
	cursor_zero(&c, LISTNODE_HEAD_LEN - 1);
	if (c.broken || l->level > LISTNODE_LEVEL_MAX || c.left == 0 ||
	    c.left % LISTNODE_ROW_LEN != 0 ||
	    c.left / LISTNODE_ROW_LEN > LISTNODE_ROWS_MAX)
		return CURSOR_MALFORMED;
	l->rows = c.p;
	l->row_count = (uint32_t)(c.left / LISTNODE_ROW_LEN);
	while (c.left > 0) {
		bool after_hole = hole;
		struct listnode_row r;

		row_read(&r, &c);
		hole = name_is_zero(&r.id);
		if (!row_ok(&r) || (hole && after_hole) ||
		    r.len > INT64_MAX - l->total)
			return CURSOR_MALFORMED;
		if (l->level > 0 && (hole || !fingerprint_is_zero(&r)))
			return CURSOR_MALFORMED;
		l->total += r.len;
	}
	return CURSOR_OK;
}

void
listnode_row_at(const struct listnode *l, uint32_t i, struct listnode_row *r)
{
	struct cursor c;

	cursor_init(&c, l->rows, (size_t)l->row_count * LISTNODE_ROW_LEN);
	cursor_bytes(&c, (size_t)i * LISTNODE_ROW_LEN);
	row_read(r, &c);
}

bool
listnode_ends(uint32_t rows, const struct listnode_row *last)
{
	struct cursor c;

	if (name_is_zero(&last->id))
		return false;
	cursor_init(&c, last->id.b, NAME_LEN);
	return rows >= LISTNODE_END_ROWS ||
	    (rows >= END_ROWS_MIN && cursor_u32(&c) % END_MOD == 0);
}
