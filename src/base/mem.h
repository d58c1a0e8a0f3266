/* mem: checked allocation, and a growable run of bytes. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

/* Zeroed memory for *p's type; OK or ERR_NOMEM.  Owns: out: caller frees with free(). */
#define MEM_NEW(p) mem_new((void **)&(p), sizeof(*(p)))
int mem_new(void **out, size_t size) __attribute__((warn_unused_result));

/* count * size, or SIZE_MAX when that overflows. */
size_t mem_array(size_t count, size_t size);

/* Make *p an array with room for at least `need` elements of `size` bytes, growing by half; *cap is the room in elements. */
int mem_grow(void **p, size_t *cap, size_t need, size_t size) __attribute__((warn_unused_result));

/* Copies: zero-terminated text; n bytes plus a zero. */
int mem_dup(char **out, const char *text) __attribute__((warn_unused_result));
int mem_dup_bytes(uint8_t **out, const void *p, size_t n) __attribute__((warn_unused_result));

struct mem_buf {
	uint8_t *p;             /* NULL until something is added; freed with mem_buf_clear */
	size_t len, cap;
};

int mem_buf_reserve(struct mem_buf *b, size_t more) __attribute__((warn_unused_result));
int mem_buf_add(struct mem_buf *b, const void *p, size_t n) __attribute__((warn_unused_result));
void mem_buf_clear(struct mem_buf *b);

#endif
