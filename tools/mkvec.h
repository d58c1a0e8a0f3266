/*
 * mkvec: what the makers of test vectors share: fixed keys, sealing with fixed
 * nonces, patching, and the text form of a vector (tests/vectors/README.md).
 * Nothing here is fit for real use: nonces follow from the content.
 */
#ifndef TOOLS_MKVEC_H
#define TOOLS_MKVEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/name.h"

#define MKVEC_MAX 16384

struct mkvec {
	const char *dir;                /* where the files go */
	unsigned count;                 /* files made so far */
	uint8_t master[32];
	uint8_t id[32], pack[32], record[32], index[32], fingerprint[32];
	uint8_t repo[160];              /* the repository header of all vectors */
	struct name_sid repo_id;
};

struct mkvec_bytes {
	size_t len;
	uint8_t b[MKVEC_MAX];
};

/* What a vector's text header says.  NULL members are left out. */
struct mkvec_case {
	const char *name;               /* of the file, without .vec */
	const char *record, *expect, *rule, *comment;
	const char *file_name;          /* the object's name in the repository */
	const char *secret;             /* of a key slot, in hexadecimal */
	bool master, repo;              /* print the master key, the repository header */
};

/* Change bytes at `off` (from the end if negative) after growing by `grow` zero bytes (cut, if negative). */
struct mkvec_patch {
	long off;
	const char *hex;                /* new bytes; with flip: bits to flip */
	long grow;
	bool flip;
};

/* A patch and the vector that it makes. */
struct mkvec_fault {
	const char *name, *rule, *expect, *comment;
	struct mkvec_patch patch;
};

void mkvec_init(struct mkvec *m, const char *dir);
void mkvec_put(struct mkvec *m, const struct mkvec_case *c, const void *body, size_t len);
void mkvec_patch(struct mkvec_bytes *b, const struct mkvec_patch *p);

/* Make one vector for each fault from the same good bytes. */
void mkvec_faults(struct mkvec *m, const char *record, const struct mkvec_bytes *good, const struct mkvec_fault *list, size_t count);

void mkvec_add(struct mkvec_bytes *b, const void *p, size_t len);
void mkvec_add_hex(struct mkvec_bytes *b, const char *hex);

/* SEAL(key, AAD(label, context), p), appended to b. */
void mkvec_seal(struct mkvec_bytes *b, const uint8_t key[static 32], const char *label, const struct name_sid *repo_id,
    const void *context, size_t context_len, const void *p, size_t len);

void mkvec_hash(struct name *out, const uint8_t *key, const void *p, size_t len);     /* key may be NULL */
void mkvec_chunk_id(const struct mkvec *m, struct name *out, uint8_t type, const void *p, size_t len);

/* Bytes seed, seed + 1, ... */
void mkvec_fill(void *p, size_t len, uint8_t seed);

/* End the program with a message unless ok: a good object must encode. */
void mkvec_must(bool ok, const char *what);

/* All vectors of the plain and of the sealed records. */
void mkvec_plain(struct mkvec *m);
void mkvec_trees(struct mkvec *m);
void mkvec_slots(struct mkvec *m);
void mkvec_packs(struct mkvec *m);
void mkvec_indexes(struct mkvec *m);
void mkvec_snaps(struct mkvec *m);
void mkvec_sidecars(struct mkvec *m);
void mkvec_proofs(struct mkvec *m);

#endif
