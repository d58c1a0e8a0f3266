/* host: what this machine and user are called. */
#ifndef SYS_HOST_H
#define SYS_HOST_H

#include <stddef.h>
#include <stdint.h>

/* The host name; "localhost" when it has none.  Zero-terminated. */
void host_name(char *buf, size_t cap);

/* Name of the effective user, or its number. */
void host_user(char *buf, size_t cap);

/* Text of /etc/machine-id without the newline; its length, 0 when there is none.  Not zero-terminated. */
size_t host_machine_id(char *buf, size_t cap);

/* Bytes of memory this machine has. */
uint64_t host_memory(void);

/* Processors this process may run on, at least 1. */
unsigned host_cpus(void);

/* These bytes will all be written soon: the system may give the pages now.  No matter if it does not. */
void host_populate(void *p, size_t len);

#endif
