/* packin: one pack file open for reading: its key, and its frames as they are stored (SPEC §6, PK-2 to PK-4). */
#ifndef STORE_PACKIN_H
#define STORE_PACKIN_H

#include "base/mem.h"
#include "store/index.h"
#include "store/repo.h"

#define PACKIN_PATH 80                  /* packs/<aa>/<64 digits> */

struct packin {
	struct io_file *file;           /* NULL: not open */
	uint32_t no, kind;              /* of the index that named it */
	struct name_sid id;
	uint8_t key[32];                /* opens the frames */
};

void packin_path(char out[static PACKIN_PATH], const struct name *name);

/* Open the pack at this place and check its header.  Owns: pk: caller ends it with packin_close; after a failure it is closed. */
int packin_open(struct packin *pk, struct repo *r, const struct index_place *at) __attribute__((warn_unused_result));

/* Wipes the key.  Harmless on one that is not open. */
void packin_close(struct packin *pk, struct repo *r);

/* Read the frame of len bytes at off, still sealed, into `sealed`, whose old content is dropped.  Cost: one pread.  Thread-safe. */
int packin_read(const struct packin *pk, struct repo *r, uint32_t off, uint32_t len, struct mem_buf *sealed)
    __attribute__((warn_unused_result));

/* The length of the frame with this ordinal, which begins at off: FOUND; OK when no such frame begins there. */
int packin_length(const struct packin *pk, struct repo *r, uint32_t off, uint32_t ordinal, uint32_t *len);

#endif
