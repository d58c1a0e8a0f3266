#include "format/recordsum.h"

#include <string.h>

#include "format/emit.h"

size_t
recordsum_encode(uint8_t *buf, size_t cap, const struct recordsum *s)
{
	struct emit e;

	emit_init(&e, buf, cap);
	emit_u64(&e, s->count);
	emit_bytes(&e, s->sids.b, NAME_SID_LEN);
	return emit_done(&e);
}

enum cursor_verdict
recordsum_decode(struct recordsum *s, const uint8_t *buf, size_t len)
{
	struct cursor c;

	cursor_init(&c, buf, len);
	s->count = cursor_u64(&c);
	cursor_copy(&c, s->sids.b, NAME_SID_LEN);
	return cursor_done(&c) ? CURSOR_OK : CURSOR_MALFORMED;
}

static void
mix(struct recordsum *s, const struct name_sid *sid)
{
	for (size_t i = 0; i < NAME_SID_LEN; i++)
		s->sids.b[i] ^= sid->b[i];
}

void
recordsum_add(struct recordsum *s, const struct name_sid *sid)
{
	s->count++;
	mix(s, sid);
}

void
recordsum_take(struct recordsum *s, const struct name_sid *sid)
{
	s->count--;
	mix(s, sid);
}

bool
recordsum_equal(const struct recordsum *a, const struct recordsum *b)
{
	return a->count == b->count && memcmp(a->sids.b, b->sids.b, NAME_SID_LEN) == 0;
}
