#include <string.h>

#include "format/emit.h"
#include "format/repohdr.h"

size_t
repohdr_encode(uint8_t *buf, size_t cap, const struct repohdr *h)
{
	struct repohdr again;
	struct emit e;

	emit_init(&e, buf, cap);
	emit_bytes(&e, "varverep", 8);
	emit_u32(&e, REPOHDR_VERSION);
	emit_zero(&e, 4);
	emit_bytes(&e, h->repo_id.b, NAME_SID_LEN);
	emit_u64(&e, h->compat);
	emit_u64(&e, h->ro_compat);
	emit_u64(&e, h->incompat);
	emit_u32(&e, h->chunk_min);
	emit_u32(&e, h->chunk_avg);
	emit_u32(&e, h->chunk_max);
	emit_zero(&e, 60);
	emit_bytes(&e, h->checksum.b, NAME_LEN);
	if (repohdr_decode(&again, buf, emit_done(&e)) != CURSOR_OK)
		return 0;
	return emit_done(&e);
}

/* The table of §4: 4096 <= min, 2 min <= avg, 2 avg <= max <= 2^20. */
static bool
sizes_ok(const struct repohdr *h)
{
	uint32_t min = h->chunk_min, avg = h->chunk_avg, max = h->chunk_max;

	return min >= 4096 && max <= 1u << 20 && avg <= max / 2 &&
	    min <= avg / 2 && (avg & (avg - 1)) == 0;
}

enum cursor_verdict
repohdr_decode(struct repohdr *h, const uint8_t *buf, size_t len)
{
	uint32_t version;
	struct cursor c;

	memset(h, 0, sizeof(*h));
	if (len != REPOHDR_LEN)
		return CURSOR_MALFORMED;
	cursor_init(&c, buf, len);
	cursor_expect(&c, "varverep", 8);
	version = cursor_u32(&c);
	if (!c.broken && version != REPOHDR_VERSION)
		return CURSOR_UNSUPPORTED;
	cursor_zero(&c, 4);
	cursor_copy(&c, h->repo_id.b, NAME_SID_LEN);
	h->compat = cursor_u64(&c);
	h->ro_compat = cursor_u64(&c);
	h->incompat = cursor_u64(&c);
	if (!c.broken && (h->incompat & ~REPOHDR_INCOMPAT_KNOWN) != 0)
		return CURSOR_UNSUPPORTED;
	h->chunk_min = cursor_u32(&c);
	h->chunk_avg = cursor_u32(&c);
	h->chunk_max = cursor_u32(&c);
	cursor_zero(&c, 60);
	cursor_copy(&c, h->checksum.b, NAME_LEN);
	return cursor_done(&c) && sizes_ok(h) ? CURSOR_OK : CURSOR_MALFORMED;
}
