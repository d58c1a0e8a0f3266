#include "sys/entropy.h"

#include <sodium.h>
#include <stdlib.h>

void
entropy_fill(void *buf, size_t len)
{
	/* Repeated calls are cheap; without the first one threads would race. */
	if (sodium_init() < 0)
		abort();
	randombytes_buf(buf, len);
}
