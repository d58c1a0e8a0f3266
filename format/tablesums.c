#include "format/tablesums.h"

#include "format/emit.h"

size_t
tablesums_encode(uint8_t *buf, size_t cap, const struct tablesums *s)
{
	struct emit e;

	emit_init(&e, buf, cap);
	emit_u64(&e, s->frames);
	emit_u64(&e, s->bytes);
	emit_u64(&e, s->live_bytes);
	for (int kind = 0; kind < 2; kind++)
		for (int i = 0; i < TABLESUMS_SIZES; i++)
			emit_u32(&e, s->packs[kind][i]);
	return emit_done(&e);
}

enum cursor_verdict
tablesums_decode(struct tablesums *s, const uint8_t *buf, size_t len)
{
	struct cursor c;

	cursor_init(&c, buf, len);
	s->frames = cursor_u64(&c);
	s->bytes = cursor_u64(&c);
	s->live_bytes = cursor_u64(&c);
	for (int kind = 0; kind < 2; kind++)
		for (int i = 0; i < TABLESUMS_SIZES; i++)
			s->packs[kind][i] = cursor_u32(&c);
	return cursor_done(&c) && s->live_bytes <= s->bytes ? CURSOR_OK : CURSOR_MALFORMED;
}

unsigned
tablesums_size(uint64_t bytes)
{
	unsigned n = 0;

	while (n < TABLESUMS_SIZES - 1 && bytes >> (n + 1))
		n++;
	return n;
}
