#include "format/proofrec.h"

#include <string.h>

#include "format/emit.h"

#define VERSION 1

size_t
proofrec_head_encode(uint8_t *buf, size_t cap, const struct proofrec_head *h)
{
	uint8_t wrap[KEYSLOT_WRAP_LEN];
	struct proofrec_head again;
	struct emit e;

	emit_init(&e, buf, cap);
	emit_bytes(&e, "varvevfd", 8);
	emit_u32(&e, VERSION);
	emit_zero(&e, 4);
	emit_bytes(&e, h->sid.b, NAME_SID_LEN);
	emit_bytes(&e, wrap, keyslot_wrap_encode(wrap, sizeof(wrap), &h->wrap));
	if (proofrec_head_decode(&again, buf, emit_done(&e)) != CURSOR_OK)
		return 0;
	return emit_done(&e);
}

enum cursor_verdict
proofrec_head_decode(struct proofrec_head *h, const uint8_t *buf, size_t len)
{
	uint32_t version;
	struct cursor c;

	memset(h, 0, sizeof(*h));
	if (len != PROOFREC_HEAD_LEN)
		return CURSOR_MALFORMED;
	cursor_init(&c, buf, len);
	cursor_expect(&c, "varvevfd", 8);
	version = cursor_u32(&c);
	if (!c.broken && version != VERSION)
		return CURSOR_UNSUPPORTED;
	cursor_zero(&c, 4);
	cursor_copy(&c, h->sid.b, NAME_SID_LEN);
	if (c.broken)
		return CURSOR_MALFORMED;
	return keyslot_wrap_decode(&h->wrap, c.p, c.left);
}

size_t
proofrec_bound(const struct proofrec *p)
{
	return PROOFREC_FIXED_LEN + (size_t)p->pack_count * PROOFREC_PACK_LEN + (size_t)p->snap_count * PROOFREC_SNAP_LEN;
}

size_t
proofrec_encode(uint8_t *buf, size_t cap, const struct proofrec *p)
{
	struct proofrec again;
	struct emit e;

	emit_init(&e, buf, cap);
	emit_i64(&e, p->written_ns);
	emit_i64(&e, p->drill_ns);
	emit_u32(&e, p->pack_count);
	emit_u32(&e, p->snap_count);
	for (uint32_t i = 0; i < p->pack_count && !e.broken; i++) {
		emit_bytes(&e, p->packs[i].name.b, NAME_LEN);
		emit_i64(&e, p->packs[i].time_ns);
	}
	for (uint32_t i = 0; i < p->snap_count && !e.broken; i++) {
		emit_bytes(&e, p->snaps[i].sid.b, NAME_SID_LEN);
		emit_i64(&e, p->snaps[i].time_ns);
	}
	if (proofrec_decode(&again, buf, emit_done(&e)) != CURSOR_OK)
		return 0;
	return emit_done(&e);
}

static bool
packs_fit(const struct proofrec *p)
{
	struct proofrec_pack row, last = { .time_ns = 0 };

	for (uint32_t i = 0; i < p->pack_count; i++, last = row) {
		proofrec_pack_at(p, i, &row);
		if (row.time_ns < 1 || (i > 0 && name_cmp(&last.name, &row.name) >= 0))
			return false;
	}
	return true;
}

static bool
snaps_fit(const struct proofrec *p)
{
	struct proofrec_snap row, last = { .time_ns = 0 };

	for (uint32_t i = 0; i < p->snap_count; i++, last = row) {
		proofrec_snap_at(p, i, &row);
		if (row.time_ns < 1 || (i > 0 && name_sid_cmp(&last.sid, &row.sid) >= 0))
			return false;
	}
	return true;
}

enum cursor_verdict
proofrec_decode(struct proofrec *p, const uint8_t *buf, size_t len)
{
	struct cursor c;

	memset(p, 0, sizeof(*p));
	cursor_init(&c, buf, len);
	p->written_ns = cursor_i64(&c);
	p->drill_ns = cursor_i64(&c);
	p->pack_count = cursor_u32(&c);
	p->snap_count = cursor_u32(&c);
	if (c.broken || p->written_ns < 1 || p->drill_ns < 0 || p->pack_count > PROOFREC_COUNT_MAX ||
	    p->snap_count > PROOFREC_COUNT_MAX || len != proofrec_bound(p))
		return CURSOR_MALFORMED;
	p->packs_raw = cursor_bytes(&c, (size_t)p->pack_count * PROOFREC_PACK_LEN);
	p->snaps_raw = cursor_bytes(&c, (size_t)p->snap_count * PROOFREC_SNAP_LEN);
	return cursor_done(&c) && packs_fit(p) && snaps_fit(p) ? CURSOR_OK : CURSOR_MALFORMED;
}

void
proofrec_pack_at(const struct proofrec *p, uint32_t i, struct proofrec_pack *row)
{
	struct cursor c;

	cursor_init(&c, p->packs_raw, (size_t)p->pack_count * PROOFREC_PACK_LEN);
	cursor_bytes(&c, (size_t)i * PROOFREC_PACK_LEN);
	cursor_copy(&c, row->name.b, NAME_LEN);
	row->time_ns = cursor_i64(&c);
}

void
proofrec_snap_at(const struct proofrec *p, uint32_t i, struct proofrec_snap *row)
{
	struct cursor c;

	cursor_init(&c, p->snaps_raw, (size_t)p->snap_count * PROOFREC_SNAP_LEN);
	cursor_bytes(&c, (size_t)i * PROOFREC_SNAP_LEN);
	cursor_copy(&c, row->sid.b, NAME_SID_LEN);
	row->time_ns = cursor_i64(&c);
}
