/*
 * helper: a process of this same program that does one thing beside us, over a socket of packets and a piece of shared memory.
 * It inherits nothing else: no descriptor but those two and standard error, no variable that names a secret.
 */
#ifndef SYS_HELPER_H
#define SYS_HELPER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct helper {
	pid_t pid;
	int sock;
	uint8_t *shared;                /* shared_len bytes both can see */
	size_t shared_len;
};

/* Run `program arg` with the socket as descriptor 3, the memory as 4.  Ended with helper_stop. */
int helper_start(struct helper *h, const char *program, const char *arg, size_t shared_len) __attribute__((warn_unused_result));

/* Closing the socket tells it to end; waits for that, and kills it if it has not after five seconds: it may be stopped, or stuck. */
void helper_stop(struct helper *h);

/* In the helper: take over both descriptors, close all others. */
int helper_enter(struct helper *h, size_t shared_len) __attribute__((warn_unused_result));

/* One packet, with a descriptor (-1: none).  ERR_FAILED when the other side has gone. */
int helper_send(int sock, const void *p, size_t len, int fd) __attribute__((warn_unused_result));

/* FOUND: there is a packet, or the other side has gone; OK: not within ms milliseconds. */
int helper_wait(int sock, int ms) __attribute__((warn_unused_result));

/* One packet of exactly len bytes.  AT_END: the other side has gone.  *fd (NULL: not wanted): the descriptor that came with it, or -1;
 * the caller closes it.  ERR_INTERRUPTED after a signal. */
int helper_receive(int sock, void *p, size_t len, int *fd) __attribute__((warn_unused_result));

#endif
