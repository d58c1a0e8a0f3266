/* repo: an open repository: its door, its header, its keys. */
#ifndef STORE_REPO_H
#define STORE_REPO_H

#include "codec/keys.h"
#include "format/repohdr.h"
#include "format/sidecar.h"
#include "sys/io.h"

struct repo {
	struct io *io;                  /* owned */
	struct repohdr hdr;
	struct name header_hash;        /* RH-2 */
	struct keys *keys;              /* owned; NULL until repo_unlock */
	struct name_sid slot_id;        /* the slot that opened it; zero: none yet, or the paper form */
	int64_t slot_created_ns;        /* what that slot's payload says */
	char slot_label[KEYSLOT_LABEL_LEN + 1];
	bool parity_known, parity_data; /* parity_policy was asked: data packs get sidecars ... */
	struct sidecar_shape parity_shape;      /* ... of this shape */
	bool read_only;                 /* an unknown read-compatible feature: do not write */
};

/* Parameters of a new repository; zeros mean the defaults 16, 64, 256 KiB. */
struct repo_params {
	uint32_t chunk_min, chunk_avg, chunk_max;
	bool parity;                    /* of data packs, too, of this shape */
	struct sidecar_shape shape;
};

#define REPO_CHUNK_MIN 16384u
#define REPO_CHUNK_AVG 65536u
#define REPO_CHUNK_MAX 262144u

/* ERR_USAGE when the sizes break a rule of SPEC §4, or no sidecar can have that shape. */
int repo_check_params(const struct repo_params *params) __attribute__((warn_unused_result));

/* OK when the directory holds nothing (lost+found, and what an init left that was cut short, apart), else ERR_EXISTS. */
int repo_check_vacant(struct io *io) __attribute__((warn_unused_result));

/*
 * Make a repository in an empty (or new) directory, with one slot (GN-7: varve-repo is published last).  What an init left that
 * was cut short is taken over.
 * master: NULL for a fresh random one (import passes the exported one).
 * Errors: ERR_EXISTS  a repository or other files are there already
 * Owns:   takes io in any case.  *out: caller frees with repo_close.
 */
int repo_create(struct io *io, const struct repo_params *params, const struct keys_secret *secret, const struct keys_cost *cost,
    const char *label, const uint8_t *master, struct repo **out) __attribute__((warn_unused_result));

/* Read and check the header; no key yet.  ERR_NOREPO when there is no varve-repo.  Owns: takes io in any case. */
int repo_open(struct io *io, struct repo **out) __attribute__((warn_unused_result));

/* The same for a directory of this machine; the note of ERR_NOREPO names it and says what to do. */
int repo_open_dir(const char *dir, struct repo **out) __attribute__((warn_unused_result));

/*
 * Try the slots of the secret's kind (KS-3 ... KS-6).
 * Errors: ERR_KEY   none opens with this secret
 *         ERR_AUTH  the secret fits, but the slot was tampered with, or the header is another one (RH-2)
 *         ERR_CORRUPT, ERR_UNSUPPORTED  no slot of the kind could be tried
 */
int repo_unlock(struct repo *r, const struct keys_secret *secret) __attribute__((warn_unused_result));

struct repo *repo_close(struct repo *r);

/* Write a slot under tmp/, rename it to keys/<slot>, sync keys/ (GN-6). */
int repo_publish_slot(struct repo *r, const struct keyslot *slot) __attribute__((warn_unused_result));

#endif
