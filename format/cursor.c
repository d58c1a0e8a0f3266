#include <string.h>

#include "format/cursor.h"

void
cursor_init(struct cursor *c, const uint8_t *buf, size_t len)
{
	c->p = buf;
	c->left = len;
	c->broken = false;
}

static void
give_up(struct cursor *c)
{
	c->left = 0;
	c->broken = true;
}

const uint8_t *
cursor_bytes(struct cursor *c, size_t n)
{
	const uint8_t *p = c->p;

	if (c->broken || n > c->left) {
		give_up(c);
		return NULL;
	}
	if (n > 0) {
		c->p += n;
		c->left -= n;
	}
	return p;
}

/* n is a constant wherever it is used, and small. */
static inline uint64_t
take_le(struct cursor *c, size_t n)
{
	const uint8_t *b = c->p;
	uint64_t v = 0;

	if (c->broken || n > c->left) {
		give_up(c);
		return 0;
	}
	c->p += n;
	c->left -= n;
	v |= b[0];
	if (n > 1)
		v |= (uint64_t)b[1] << 8;
	if (n > 2)
		v |= (uint64_t)b[2] << 16;
	if (n > 3)
		v |= (uint64_t)b[3] << 24;
	if (n > 4)
		v |= (uint64_t)b[4] << 32 | (uint64_t)b[5] << 40 | (uint64_t)b[6] << 48 | (uint64_t)b[7] << 56;
	return v;
}

uint8_t
cursor_u8(struct cursor *c)
{
	return (uint8_t)take_le(c, 1);
}

uint16_t
cursor_u16(struct cursor *c)
{
	return (uint16_t)take_le(c, 2);
}

uint32_t
cursor_u24(struct cursor *c)
{
	return (uint32_t)take_le(c, 3);
}

uint32_t
cursor_u32(struct cursor *c)
{
	return (uint32_t)take_le(c, 4);
}

uint64_t
cursor_u64(struct cursor *c)
{
	return take_le(c, 8);
}

int64_t
cursor_i64(struct cursor *c)
{
	return (int64_t)take_le(c, 8);
}

void
cursor_copy(struct cursor *c, void *dst, size_t n)
{
	const uint8_t *src = cursor_bytes(c, n);

	if (n == 0)
		return;
	if (src != NULL)
		memcpy(dst, src, n);
	else
		memset(dst, 0, n);
}

void
cursor_zero(struct cursor *c, size_t n)
{
	const uint8_t *p = cursor_bytes(c, n);
	uint8_t any = 0;

	if (p == NULL)
		return;
	for (size_t i = 0; i < n; i++)
		any |= p[i];
	if (any != 0)
		give_up(c);
}

void
cursor_expect(struct cursor *c, const void *bytes, size_t n)
{
	const uint8_t *p = cursor_bytes(c, n);

	if (p != NULL && n > 0 && memcmp(p, bytes, n) != 0)
		give_up(c);
}

bool
cursor_done(const struct cursor *c)
{
	return !c->broken && c->left == 0;
}
