#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"

int
mem_new(void **out, size_t size)
{
	*out = size == SIZE_MAX ? NULL : calloc(1, size ? size : 1);
	return *out ? OK : fail(ERR_NOMEM, "out of memory (%zu bytes)", size);
}

size_t
mem_array(size_t count, size_t size)
{
	size_t n;

	return __builtin_mul_overflow(count, size, &n) ? SIZE_MAX : n;
}

int
mem_grow(void **p, size_t *cap, size_t need, size_t size)
{
	size_t room = *cap + *cap / 2 + 16, n;
	void *q;

	if (need <= *cap)
		return OK;
	if (room < need)
		room = need;
	n = mem_array(room, size);
	q = n == SIZE_MAX ? NULL : realloc(*p, n);
	if (!q)
		return fail(ERR_NOMEM, "out of memory (%zu bytes)", n);
	*p = q;
	*cap = room;
	return OK;
}

int
mem_dup(char **out, const char *text)
{
	return mem_dup_bytes((uint8_t **)out, text, strlen(text));
}

int
mem_dup_bytes(uint8_t **out, const void *p, size_t n)
{
	/* Not mem_new: all of it is written at once. */
	*out = n == SIZE_MAX ? NULL : malloc(n + 1);
	if (!*out)
		return fail(ERR_NOMEM, "out of memory (%zu bytes)", n);
	if (n)
		memcpy(*out, p, n);
	(*out)[n] = 0;
	return OK;
}

int
mem_buf_reserve(struct mem_buf *b, size_t more)
{
	if (more > SIZE_MAX - b->len)
		return fail(ERR_NOMEM, "out of memory");
	return mem_grow((void **)&b->p, &b->cap, b->len + more, 1);
}

int
mem_buf_add(struct mem_buf *b, const void *p, size_t n)
{
	int rc = mem_buf_reserve(b, n);

	if (rc == OK && n) {
		memcpy(b->p + b->len, p, n);
		b->len += n;
	}
	return rc;
}

void
mem_buf_clear(struct mem_buf *b)
{
	free(b->p);
	*b = (struct mem_buf){ 0 };
}
