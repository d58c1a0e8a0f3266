/* cursor: bounded reader over bytes of unknown origin.  Reading past the end gives zero and marks the cursor broken for good. */
#ifndef FORMAT_CURSOR_H
#define FORMAT_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a decoder thinks of its input (SPEC §1).  Hashes and seals are not its business. */
enum cursor_verdict {
	CURSOR_OK = 0,
	CURSOR_MALFORMED,               /* breaks a rule of shape */
	CURSOR_UNSUPPORTED              /* well formed so far, but of a newer version or with unknown obligatory parts */
};

struct cursor {
	const uint8_t *p;               /* next byte; borrowed from the caller */
	size_t left;                    /* bytes that remain */
	bool broken;                    /* something was read past the end, or a check failed */
};

void cursor_init(struct cursor *c, const uint8_t *buf, size_t len);

/* Little-endian integers; 0 once broken.  u24 fills the low 24 bits. */
uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c);
uint32_t cursor_u24(struct cursor *c);
uint32_t cursor_u32(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);
int64_t cursor_i64(struct cursor *c);

/* The next n bytes, borrowed from the input; NULL (and broken) when fewer remain. */
const uint8_t *cursor_bytes(struct cursor *c, size_t n);

/* Copy the next n bytes to dst; zeros when fewer remain. */
void cursor_copy(struct cursor *c, void *dst, size_t n);

/* Skip n bytes that must be zero (GN-1); broken otherwise. */
void cursor_zero(struct cursor *c, size_t n);

/* Skip the given bytes, which must be exactly these (a magic). */
void cursor_expect(struct cursor *c, const void *bytes, size_t n);

/* True when everything was read and nothing failed. */
bool cursor_done(const struct cursor *c);

#endif
