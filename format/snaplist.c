#include "format/snaplist.h"

#include "format/emit.h"
#include "format/snaprec.h"

size_t
snaplist_encode(uint8_t *buf, size_t cap, const struct snaplist_row *row)
{
	struct emit e;

	if (row->len == 0 || row->len > SNAPREC_LEN_MAX)
		return 0;
	emit_init(&e, buf, cap);
	emit_bytes(&e, row->sid.b, NAME_SID_LEN);
	emit_u32(&e, row->len);
	emit_bytes(&e, row->payload, row->len);
	return emit_done(&e);
}

void
snaplist_init(struct snaplist_iter *it, const uint8_t *buf, size_t len)
{
	cursor_init(&it->c, buf, len);
	it->begun = false;
}

bool
snaplist_next(struct snaplist_iter *it, struct snaplist_row *row)
{
	if (it->c.left == 0)
		return false;
	cursor_copy(&it->c, row->sid.b, NAME_SID_LEN);
	row->len = cursor_u32(&it->c);
	row->payload = cursor_bytes(&it->c, row->len);
	if (row->len == 0 || row->len > SNAPREC_LEN_MAX || (it->begun && name_sid_cmp(&it->last, &row->sid) >= 0))
		it->c.broken = true;
	it->begun = true;
	it->last = row->sid;
	return !it->c.broken;
}
