/* tablesums: sums over the packs that a table and those it keeps tell of (SPEC IX-9): an extension record of tables. */
#ifndef FORMAT_TABLESUMS_H
#define FORMAT_TABLESUMS_H

#include "format/cursor.h"

#define TABLESUMS_LEN 280
#define TABLESUMS_SIZES 32

/* Of packs with live frames. */
struct tablesums {
	uint64_t frames, bytes, live_bytes;
	uint32_t packs[2][TABLESUMS_SIZES];     /* by kind - 1, and by the highest bit of their length */
};

size_t tablesums_encode(uint8_t *buf, size_t cap, const struct tablesums *s);
enum cursor_verdict tablesums_decode(struct tablesums *s, const uint8_t *buf, size_t len);

/* Highest bit of a pack's length (1 ... 2^32 - 1). */
unsigned tablesums_size(uint64_t bytes);

#endif
