/* secret: how a command obtains the passphrase or the key file.  Whatever is obtained lies in guarded memory. */
#ifndef CMD_SECRET_H
#define CMD_SECRET_H

#include <stdbool.h>
#include <stdint.h>

#include "codec/keys.h"
#include "sys/guard.h"

struct context;
struct repo;

/*
 * Where a secret comes from; the first that is set counts, in this order: public slot, key file, password file, password command,
 * VARVE_PASSWORD (if environment), a prompt on the terminal.  VARVE_PASSWORD is wiped and removed from the environment in any case.
 */
struct secret_source {
	bool insecure;                  /* the public slot (KS-4) */
	const char *key_file, *password_file, *password_command;        /* NULL: not given */
	bool environment;               /* VARVE_PASSWORD may be used */
	const char *outside;            /* a new key file must not lie in this directory (the repository); or NULL */
};

struct secret {
	struct keys_secret given;       /* points into mem */
	struct guard_buf mem;
	bool prompted;                  /* somebody typed it, and may have mistyped it */
};

/* Once, before anything is parsed: no core dumps, libsodium set up. */
void secret_protect(void);

/* The source that the context's options and the environment describe. */
void secret_source_of(const struct context *ctx, struct secret_source *src);

/*
 * The secret of an existing slot from every source but the prompt: FOUND, or OK when none is given.
 * Owns:   *out: caller clears with secret_clear, also after a failure.
 * Errors: ERR_KEY  not a key file, an empty passphrase;  ERR_FAILED  the command;  others as reading files
 */
int secret_get(const struct secret_source *src, struct secret *out) __attribute__((warn_unused_result));

/*
 * A secret for a new slot: a prompt asks twice; an empty passphrase is refused; a key file that is not there is made and
 * durable before this returns.  *made (may be NULL): it was made.
 * Errors: ERR_USAGE  no source is given and there is no terminal to ask on; empty; the two differ; the key file would lie inside
 */
int secret_new(const struct secret_source *src, struct secret *out, bool *made) __attribute__((warn_unused_result));

void secret_clear(struct secret *s);

/* Cost of a new passphrase from --kdf-passes and --kdf-memory (bytes); zeros mean the defaults.  ERR_USAGE out of range. */
int secret_cost(uint64_t passes, uint64_t memory, struct keys_cost *out) __attribute__((warn_unused_result));

/* ERR_USAGE when it cannot be a slot's label; NULL is none. */
int secret_check_label(const char *label) __attribute__((warn_unused_result));

/* "passphrase", "key-file", "public". */
const char *secret_kind(uint32_t kind);

/* Unlock an open repository with the context's secret; somebody who types may try three times, and is asked only if some slot takes
 * a passphrase. */
int secret_unlock(struct context *ctx, struct repo *r) __attribute__((warn_unused_result));

#endif
