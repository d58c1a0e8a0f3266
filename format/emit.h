/* emit: bounded writer, the mirror image of cursor.  Writing past the end marks it broken and writes nothing more. */
#ifndef FORMAT_EMIT_H
#define FORMAT_EMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct emit {
	uint8_t *p;                     /* first byte of the caller's buffer */
	size_t cap;                     /* its size */
	size_t len;                     /* bytes written so far */
	bool broken;                    /* something did not fit */
};

void emit_init(struct emit *e, uint8_t *buf, size_t cap);
void emit_u8(struct emit *e, uint8_t v);
void emit_u16(struct emit *e, uint16_t v);
void emit_u24(struct emit *e, uint32_t v);
void emit_u32(struct emit *e, uint32_t v);
void emit_u64(struct emit *e, uint64_t v);
void emit_i64(struct emit *e, int64_t v);
void emit_bytes(struct emit *e, const void *src, size_t n);
void emit_zero(struct emit *e, size_t n);

/* Bytes written, or 0 when something did not fit. */
size_t emit_done(const struct emit *e);

#endif
