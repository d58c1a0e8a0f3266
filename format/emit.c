#include <string.h>

#include "format/emit.h"

void
emit_init(struct emit *e, uint8_t *buf, size_t cap)
{
	e->p = buf;
	e->cap = cap;
	e->len = 0;
	e->broken = false;
}

/* Room for n more bytes, or NULL. */
static uint8_t *
reserve(struct emit *e, size_t n)
{
	uint8_t *at;

	if (e->broken || n > e->cap - e->len) {
		e->broken = true;
		return NULL;
	}
	if (n == 0)
		return NULL;
	at = e->p + e->len;
	e->len += n;
	return at;
}

static void
put_le(struct emit *e, uint64_t v, size_t n)
{
	uint8_t *at = reserve(e, n);

	if (at == NULL)
		return;
	for (size_t i = 0; i < n; i++, v >>= 8)
		at[i] = (uint8_t)v;
}

void
emit_u8(struct emit *e, uint8_t v)
{
	put_le(e, v, 1);
}

void
emit_u16(struct emit *e, uint16_t v)
{
	put_le(e, v, 2);
}

void
emit_u24(struct emit *e, uint32_t v)
{
	if (v > 0xffffff)
		e->broken = true;
	put_le(e, v, 3);
}

void
emit_u32(struct emit *e, uint32_t v)
{
	put_le(e, v, 4);
}

void
emit_u64(struct emit *e, uint64_t v)
{
	put_le(e, v, 8);
}

void
emit_i64(struct emit *e, int64_t v)
{
	put_le(e, (uint64_t)v, 8);
}

void
emit_bytes(struct emit *e, const void *src, size_t n)
{
	uint8_t *at = reserve(e, n);

	if (at != NULL)
		memcpy(at, src, n);
}

void
emit_zero(struct emit *e, size_t n)
{
	uint8_t *at = reserve(e, n);

	if (at != NULL)
		memset(at, 0, n);
}

size_t
emit_done(const struct emit *e)
{
	return e->broken ? 0 : e->len;
}
