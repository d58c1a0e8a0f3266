#include "format/emit.h"
#include "format/extrec.h"

size_t
extrec_encode(uint8_t *buf, size_t cap, const struct extrec *r)
{
	struct emit e;

	emit_init(&e, buf, cap);
	emit_u16(&e, r->tag);
	emit_zero(&e, 2);
	emit_u32(&e, r->len);
	emit_bytes(&e, r->val, r->len);
	return emit_done(&e);
}

void
extrec_init(struct extrec_iter *it, const uint8_t *buf, size_t len)
{
	cursor_init(&it->c, buf, len);
	it->begun = false;
	it->last_tag = 0;
}

bool
extrec_next(struct extrec_iter *it, struct extrec *r)
{
	if (it->c.left == 0)
		return false;
	r->tag = cursor_u16(&it->c);
	cursor_zero(&it->c, 2);
	r->len = cursor_u32(&it->c);
	r->val = cursor_bytes(&it->c, r->len);
	if (it->begun && r->tag <= it->last_tag)
		it->c.broken = true;
	it->begun = true;
	it->last_tag = r->tag;
	return !it->c.broken;
}
