#include <string.h>

#include "format/name.h"

int
name_cmp(const struct name *a, const struct name *b)
{
	return memcmp(a->b, b->b, NAME_LEN);
}

int
name_sid_cmp(const struct name_sid *a, const struct name_sid *b)
{
	return memcmp(a->b, b->b, NAME_SID_LEN);
}

static bool
all_zero(const uint8_t *p, size_t len)
{
	uint8_t any = 0;

	for (size_t i = 0; i < len; i++)
		any |= p[i];
	return any == 0;
}

bool
name_is_zero(const struct name *n)
{
	return all_zero(n->b, NAME_LEN);
}

bool
name_sid_is_zero(const struct name_sid *n)
{
	return all_zero(n->b, NAME_SID_LEN);
}

void
name_hex_bytes(const uint8_t *p, size_t len, char *out)
{
	const char *digits = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		*out++ = digits[p[i] >> 4];
		*out++ = digits[p[i] & 15];
	}
	*out = '\0';
}

/* Of no digit: a bit that no digit has. */
#define BAD 16u

/* A table: which of them a digit is nobody can foresee, and 10,000 names have 320,000. */
static unsigned
digit(char c)
{
	static const uint8_t above[256] = {
		['0'] = 1, ['1'] = 2, ['2'] = 3, ['3'] = 4, ['4'] = 5, ['5'] = 6, ['6'] = 7, ['7'] = 8,
		['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12, ['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
	};

	return above[(unsigned char)c] - 1u;
}

bool
name_unhex_bytes(uint8_t *p, size_t len, const char *text)
{
	unsigned all = 0;

	for (size_t i = 0; i < len; i++, text += 2) {
		unsigned hi, lo;

		if (!text[0] || !text[1])
			return false;
		hi = digit(text[0]);
		lo = digit(text[1]);
		all |= hi | lo;
		p[i] = (uint8_t)(hi << 4 | lo);
	}
	return *text == '\0' && !(all & BAD);
}

void
name_hex(const struct name *n, char out[static NAME_HEX])
{
	name_hex_bytes(n->b, NAME_LEN, out);
}

void
name_sid_hex(const struct name_sid *n, char out[static NAME_SID_HEX])
{
	name_hex_bytes(n->b, NAME_SID_LEN, out);
}

bool
name_unhex(struct name *n, const char *text)
{
	return name_unhex_bytes(n->b, NAME_LEN, text);
}

bool
name_sid_unhex(struct name_sid *n, const char *text)
{
	return name_unhex_bytes(n->b, NAME_SID_LEN, text);
}
