/*
 * guard: secrets between the system and the program.  What is read here lies in memory that is locked, surrounded by guard pages and
 * wiped when it is freed (libsodium's sodium_malloc); no copy stays in a stdio buffer, on the stack, or in the environment.
 */
#ifndef SYS_GUARD_H
#define SYS_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct guard_buf {
	uint8_t *p;                     /* owned; NULL: nothing */
	size_t len, cap;                /* one byte behind cap is kept zero */
};

/* Room for cap bytes.  Owns: *b: caller frees with guard_buf_clear. */
int guard_buf_init(struct guard_buf *b, size_t cap) __attribute__((warn_unused_result));

/* Wipes and frees; harmless on zeroed memory. */
void guard_buf_clear(struct guard_buf *b);

/* This process leaves no core dump and cannot be read by other processes of the user. */
void guard_process(void);

/*
 * The whole of a file, "-" being standard input; at most max bytes, else ERR_USAGE.
 * Owns: *out: caller frees with guard_buf_clear; cleared on failure.  So do the next three.
 */
int guard_read_file(const char *path, size_t max, struct guard_buf *out) __attribute__((warn_unused_result));

/* What a shell command prints; its standard input is /dev/null.  ERR_FAILED when it does not exit with 0. */
int guard_read_command(const char *command, size_t max, struct guard_buf *out) __attribute__((warn_unused_result));

/*
 * Move a variable out of the environment: its place there is overwritten, children do not get it.
 * FOUND (the value may be empty), or OK when it is not set.
 */
int guard_take_variable(const char *name, size_t max, struct guard_buf *out) __attribute__((warn_unused_result));

/*
 * Ask on /dev/tty, echo off; one line without its end.
 * Errors: ERR_ABSENT       there is no terminal
 *         ERR_INTERRUPTED  SIGINT or SIGTERM came (see signals.h); the echo is on again
 */
int guard_ask(const char *prompt, size_t max, struct guard_buf *out) __attribute__((warn_unused_result));

/* A line on standard output, not through stdio. */
int guard_print(const char *text, size_t len) __attribute__((warn_unused_result));

/* Create a file of mode 0600 (ERR_EXISTS if it is there); it and its directory are synced; on failure nothing is left. */
int guard_create_file(const char *path, const uint8_t *p, size_t len) __attribute__((warn_unused_result));

/* Remove a file that guard_create_file made and that is of no use after a failure; the note stays. */
void guard_discard_file(const char *path);

/* Others than the owner may read or write this file. */
bool guard_is_exposed(const char *path);

/* Would this file lie in the directory or beneath it?  Links are resolved; false when either cannot be. */
bool guard_is_beneath(const char *file, const char *dir);

/* Make the entry of this file or directory in its parent durable. */
int guard_sync_parent(const char *path) __attribute__((warn_unused_result));

#endif
