/*
 * packproof: one pack as it lies on the disk, proved from its own bytes: header, footer, name (PK-1, PK-2), then frame by frame.
 * Nothing is cached; the index is not asked.  One thread per object.
 */
#ifndef STORE_PACKPROOF_H
#define STORE_PACKPROOF_H

#include "base/mem.h"
#include "format/frame.h"
#include "format/packfile.h"
#include "store/repo.h"

#define PACKPROOF_PATH 80

struct packproof {
	struct repo *r;                 /* borrowed */
	struct io_file *file;           /* NULL: not open */
	struct packfile_header h;
	struct packfile_footer f;       /* slices of footer_mem */
	struct mem_buf footer_mem;
	uint64_t bytes;                 /* of the file */
	uint8_t key[32];
	uint64_t bytes_read;            /* over all packs opened with this object */
	/* PACKFILE_BLOCK sums over what packproof_frame read in order, see packproof_sums */
	uint64_t sum_off;
	uint8_t *block;
	uint32_t bad_sum;               /* number of the first block that differs; or UINT32_MAX */
};

/* A frame, opened.  Reused from frame to frame; the memory is freed with packproof_frame_clear. */
struct packproof_frame {
	uint32_t ordinal;
	uint64_t off;
	uint32_t len;
	struct mem_buf sealed, head_mem, body_mem;
	struct frame_head head;         /* slices of head_mem */
	const uint8_t *body;            /* head.body_len bytes; NULL when only the head was asked for */
};

void packproof_path(char out[static PACKPROOF_PATH], const struct name *name);

/*
 * Open the pack of this name and prove header and footer.  pc: zeroed at first, reused then.
 * Errors: ERR_ABSENT, ERR_CORRUPT, ERR_AUTH, ERR_UNSUPPORTED, ERR_IO
 * Cost:   three reads: header, end, footer
 */
int packproof_open(struct packproof *pc, struct repo *r, const struct name *name) __attribute__((warn_unused_result));
void packproof_close(struct packproof *pc);

/* Close it and free its memory. */
void packproof_clear(struct packproof *pc);

/*
 * Open the frame with this ordinal, which lies at f->off (set by the caller: frames follow each other).  f->len is set.
 * whole: the body as well, else the head alone, which is read alone.
 */
int packproof_frame(struct packproof *pc, uint32_t ordinal, bool whole, struct packproof_frame *f)
    __attribute__((warn_unused_result));
void packproof_frame_clear(struct packproof_frame *f);

/*
 * Compare the footer's checksums with what was read.  Between packproof_sums_begin and this, every frame must have been read whole and
 * in order.  FOUND: all fit; OK: block pc->bad_sum does not, or not all was read.
 */
int packproof_sums_begin(struct packproof *pc) __attribute__((warn_unused_result));
int packproof_sums(struct packproof *pc);

#endif
