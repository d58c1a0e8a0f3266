/* sidecar: the header of a sidecar, and where its parts lie (SPEC §13).  The arithmetic is in codec/rs. */
#ifndef FORMAT_SIDECAR_H
#define FORMAT_SIDECAR_H

#include "format/cursor.h"
#include "format/name.h"

#define SIDECAR_FIXED 120               /* before the checksums */
#define SIDECAR_NAME 64                 /* longest name of an object */
#define SIDECAR_BLOCK_MIN 65536u
#define SIDECAR_BLOCK_MAX (1u << 20)
#define SIDECAR_DATA_MAX 128u           /* data blocks of a group */
#define SIDECAR_PARITY_MAX 32u          /* parity blocks of a group */
#define SIDECAR_LEN_MAX (1ull << 40)    /* of the object */

enum sidecar_kind {
	SIDECAR_HEADER = 1, SIDECAR_SLOT, SIDECAR_RECORD, SIDECAR_INDEX, SIDECAR_PACK
};

/* How an object is cut. */
struct sidecar_shape {
	uint64_t len;                   /* of the object, 1 ... SIDECAR_LEN_MAX */
	uint32_t block;                 /* bytes of a block */
	uint32_t data, parity;          /* most data blocks, and parity blocks, of a group */
};

struct sidecar {
	enum sidecar_kind kind;
	struct name_sid repo_id;
	char name[SIDECAR_NAME + 1];    /* filled up with zeros */
	struct sidecar_shape shape;
	const uint8_t *data_sums;       /* u64 little-endian, one per data block; slice */
	const uint8_t *parity_sums;
};

/* Numbers that follow from a shape. */
uint64_t sidecar_blocks(const struct sidecar_shape *s);                 /* data blocks */
uint64_t sidecar_groups(const struct sidecar_shape *s);
uint32_t sidecar_group_data(const struct sidecar_shape *s, uint64_t group);
uint32_t sidecar_group_parity(const struct sidecar_shape *s, uint64_t group);
uint64_t sidecar_parity_blocks(const struct sidecar_shape *s);          /* of all groups */
uint64_t sidecar_first_parity(const struct sidecar_shape *s, uint64_t group);
uint64_t sidecar_header_len(const struct sidecar_shape *s);             /* with checksums and hash */
uint64_t sidecar_file_len(const struct sidecar_shape *s);

/* Data block j of a group: its number, and how long it is. */
uint64_t sidecar_block_at(const struct sidecar_shape *s, uint64_t group, uint32_t j);
uint32_t sidecar_block_len(const struct sidecar_shape *s, uint64_t block);

/* Length of the parity blocks of a group, and where the first one lies in the file. */
uint32_t sidecar_parity_len(const struct sidecar_shape *s, uint64_t group);
uint64_t sidecar_parity_off(const struct sidecar_shape *s, uint64_t group);

/* The lengths and limits are possible (PA-1). */
bool sidecar_shape_ok(const struct sidecar_shape *s);

/* The header without the hash that follows it: bytes written, or 0. */
size_t sidecar_encode(uint8_t *buf, size_t cap, const struct sidecar *s);

/* The first SIDECAR_FIXED bytes: enough to know how long the header is.  Sums are NULL. */
enum cursor_verdict sidecar_fixed_decode(struct sidecar *s, const uint8_t *buf, size_t len);

/* A whole header with its hash, not checked here: *hash points at it. */
enum cursor_verdict sidecar_decode(struct sidecar *s, const uint8_t *buf, size_t len, const uint8_t **hash);

#endif
