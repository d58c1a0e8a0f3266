/* packout: one pack file being written under tmp/ (SPEC §6, PK-1 to PK-3). */
#ifndef STORE_PACKOUT_H
#define STORE_PACKOUT_H

#include "format/packfile.h"
#include "store/repo.h"

struct packout {
	struct repo *repo;
	struct io_file *file;           /* NULL once synced and closed */
	char tmp[48];                   /* its path; empty when there is nothing to remove */
	uint32_t kind;
	struct name_sid id;
	uint8_t key[32];                /* seals the frames */
	struct name name;               /* after packout_finish */
	uint64_t bytes, frame_bytes;    /* of the file so far; of its frames (after packout_finish) */
	uint32_t frames;
	uint32_t *lens;                 /* of the frames */
	size_t lens_cap;
	uint64_t *sums;                 /* checksums of 64 KiB blocks */
	size_t sum_count, sums_cap;
	uint8_t *part;                  /* the block that is not full yet */
	size_t fill;
};

/* Create the file with a fresh id and key, and write the header.  On failure packout_discard. */
int packout_begin(struct packout *o, struct repo *r, uint32_t kind) __attribute__((warn_unused_result));

/* Append a sealed frame; its ordinal is o->frames before the call, its offset o->bytes. */
int packout_frame(struct packout *o, const uint8_t *p, size_t len) __attribute__((warn_unused_result));

/* Write the footer: bytes and name are final. */
int packout_finish(struct packout *o) __attribute__((warn_unused_result));

/* Sync and close the file.  May run in another thread than the rest. */
int packout_sync(struct packout *o) __attribute__((warn_unused_result));

/* Rename it to its name under packs/, and make its sidecar if it is to have one; the directory is not synced. */
int packout_publish(struct packout *o) __attribute__((warn_unused_result));

/* Remove the file if it was not published; then, or instead, packout_clear frees the memory and wipes the key. */
void packout_discard(struct packout *o);
void packout_clear(struct packout *o);

#endif
