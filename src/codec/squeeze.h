/* squeeze: zstd behind one file (SPEC FR-3, FR-4).  One context per thread. */
#ifndef CODEC_SQUEEZE_H
#define CODEC_SQUEEZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct squeeze;

int squeeze_new(int level, struct squeeze **out) __attribute__((warn_unused_result));
struct squeeze *squeeze_free(struct squeeze *s);

size_t squeeze_bound(size_t len);

/* Compress into dst (cap >= squeeze_bound(len)); base may be NULL.  *out_len is the stored length. */
int squeeze_pack(struct squeeze *s, uint8_t *dst, size_t cap, const void *src, size_t len, const void *base, size_t base_len,
    size_t *out_len) __attribute__((warn_unused_result));

/*
 * Nothing in a sample of it says that it would become shorter: the bytes of each piece are spread as evenly as random ones.
 * Cost: a thirtieth of squeeze_pack for what does not become shorter; else one piece.
 */
bool squeeze_hopeless(const void *src, size_t len);

/* Decompress to exactly raw_len bytes, else ERR_CORRUPT. */
int squeeze_unpack(struct squeeze *s, uint8_t *dst, size_t raw_len, const void *src, size_t len, const void *base,
    size_t base_len) __attribute__((warn_unused_result));

#endif
