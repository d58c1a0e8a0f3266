/* entropy: random bytes from the system (libsodium's randombytes). */
#ifndef SYS_ENTROPY_H
#define SYS_ENTROPY_H

#include <stddef.h>

void entropy_fill(void *buf, size_t len);

#endif
