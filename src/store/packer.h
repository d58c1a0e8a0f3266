/*
 * packer: chunks into blocks, frames and packs under tmp/ (SPEC §6), compressed and sealed by a pool of threads.
 *
 * The caller's thread adds chunks; threads compress and seal whole frames; frames are appended to their pack in order by the
 * caller's thread.  Memory is bounded: 2 * jobs + 2 frames are under way.
 */
#ifndef STORE_PACKER_H
#define STORE_PACKER_H

#include "format/frame.h"
#include "format/packfile.h"
#include "store/repo.h"

struct packer;

/* Told for each chunk once its frame is closed; row is what packer_add was given. */
typedef void (*packer_placed_fn)(void *arg, uint32_t row, uint32_t frame, uint16_t slot);

int packer_new(struct repo *r, unsigned jobs, int level, packer_placed_fn placed, void *arg, struct packer **out)
    __attribute__((warn_unused_result));

/* So many threads, but only as many as this much memory (0: 384 MiB) allows, at least 1: each has two frames of 2 MiB under way, plain and
 * sealed, and zstd's tables. */
unsigned packer_jobs(unsigned wanted, uint64_t memory);

/* Ends the threads; removes packs under tmp/ that were not taken over by packer_publish. */
struct packer *packer_free(struct packer *p);

struct packer_base {
	const uint8_t *p;               /* plaintexts of the bases, one after the other, valid during the call */
	size_t len;
	struct name id[FRAME_BASES_MAX];
	uint8_t count;
	uint8_t depth;                  /* of what stands on them, <= FRAME_DEPTH_MAX */
};

/*
 * Add a chunk (copied).  base may be NULL; it is used only if it pays: *depth is base->depth then, else 0.
 * Errors: ERR_IO and ERR_NOMEM, also those of earlier chunks' frames: the packer is then of no further use.
 */
int packer_add(struct packer *p, uint8_t type, const struct name *id, const void *data, size_t len, const struct packer_base *base,
    uint32_t row, uint8_t *depth) __attribute__((warn_unused_result));

/* Add a chunk as the block that another pack has it in (FRAME_DELTA): b->stored_len bytes, copied. */
int packer_copy(struct packer *p, uint8_t type, const struct name *id, const struct frame_block *b, const void *stored, uint32_t row)
    __attribute__((warn_unused_result));

struct packer_item {
	struct name id;
	const void *p;
	size_t len;
	uint32_t row;
};

/* A delta is worth it if it saves at least one part in so many of storing the chunk plain. */
#define PACKER_SAVE_ANY 8
#define PACKER_SAVE_HALF 2

/* Data chunks from now on go into small blocks and frames: more bytes, but one is read without its neighbours.  Off at first. */
#define PACKER_FINE (128u << 10)        /* bytes of plain chunks in such a frame, at most */
int packer_fine(struct packer *p, bool on) __attribute__((warn_unused_result));

/* Chunks from now on are few, and worth more time: a higher level, unless one below the default was chosen.  Off at first. */
void packer_thorough(struct packer *p, bool on);

/* Close all frames and packs; after OK they are complete and synced under tmp/ and the tables below are final. */
int packer_flush(struct packer *p) __attribute__((warn_unused_result));

struct packer_pack {
	struct name name;
	uint32_t kind;
	uint64_t bytes, frame_bytes;    /* of the file; of its frames */
	uint32_t frames;
};

struct packer_frame {
	uint32_t pack;                  /* index of packer_pack */
	uint32_t ordinal, off, len, chunks;
};

const struct packer_pack *packer_packs(const struct packer *p, uint32_t *count);
const struct packer_frame *packer_frames(const struct packer *p, uint32_t *count);

/* Rename the flushed packs into packs/ and sync their directories; then forget them: numbering starts anew. */
int packer_publish(struct packer *p) __attribute__((warn_unused_result));

/* Bytes written to packs since packer_new. */
uint64_t packer_bytes(const struct packer *p);

#endif
