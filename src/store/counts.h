/*
 * counts: the arithmetic of a settle (SPEC PB-6, IX-7): sum all segments over the tables, then follow zeros downward.
 *
 * Everything touched is in memory: rows of the unsettled segments, and what dies.  Nothing here writes.
 */
#ifndef STORE_COUNTS_H
#define STORE_COUNTS_H

#include "format/frame.h"
#include "format/indexfile.h"
#include "store/index.h"
#include "store/reader.h"

#define COUNTS_NONE 0xffffffffu

/* A pack, frame, copy of a chunk, or chunk that a settle touches. */
struct counts_pack {
	struct indexfile_pack row;
	bool known;                     /* a table has it; then: */
	uint64_t was_live_bytes;
	uint32_t was_live_frames;
	uint64_t dropped;               /* live bytes it lost */
};

struct counts_frame {
	struct indexfile_frame row;     /* .pack: index into packs[]; .live as it will be */
	bool known;
};

/* Cells of what a copy stands on. */
struct counts_bases {
	uint32_t cell[FRAME_BASES_MAX];
	uint8_t count;
};

struct counts_copy {
	uint32_t next;                  /* of the same chunk; COUNTS_NONE at the end */
	uint32_t frame;                 /* index into frames[]; COUNTS_NONE: being moved, see counts_move */
	struct counts_bases bases;      /* if they are known; none: the frame says */
	uint16_t slot;
	uint8_t depth;
};

struct counts_cell {
	struct name id;
	int64_t refs, uses;
	uint32_t copies;                /* first copy; COUNTS_NONE when there is none */
	bool counted;                   /* nodes: the children have this one's reference */
	uint8_t type;
	bool known;                     /* a table has a row for it */
	bool queued;
};

struct counts {
	struct repo *repo;
	struct index *index;
	struct reader *reader;
	struct counts_cell *cells;
	size_t cell_count, cell_cap;
	struct counts_copy *copies;
	size_t copy_count, copy_cap;
	struct counts_frame *frames;
	size_t frame_count, frame_cap;
	struct counts_pack *packs;
	size_t pack_count, pack_cap;
	uint32_t *cell_hash, *frame_hash, *pack_hash;
	size_t cell_size, frame_size, pack_size;
	uint32_t *todo;                 /* cells to look at again */
	size_t todo_count, todo_cap;
	uint64_t nodes_read, chunks_removed;
};

void counts_init(struct counts *c, struct repo *r, struct index *ix, struct reader *rd);
void counts_clear(struct counts *c);

/* Add every chunk placed, frame, pack and base use of a segment.  References come from the roots: counts_acquire. */
int counts_absorb(struct counts *c, struct index_file *segment) __attribute__((warn_unused_result));

/* Add n (1 or -1) to the references of a root tree. */
int counts_root(struct counts *c, const struct name *root, int n) __attribute__((warn_unused_result));

/*
 * Before anything is released: every node that has references and is not counted yet gives one to each distinct child, and so
 * downward.  Reads the nodes stored since the last settle, no others.
 * Errors: ERR_CORRUPT, ERR_AUTH, ERR_ABSENT  such a node cannot be read.  Without its children's counts they would be collected:
 *         nothing may be published then.
 */
int counts_acquire(struct counts *c) __attribute__((warn_unused_result));

/* Follow zeros and surplus copies.  ERR_CORRUPT when a count falls below zero: nothing may be published then.
 * Cost: reads each dead node once, and the frames of dead delta blocks. */
int counts_cascade(struct counts *c) __attribute__((warn_unused_result));

/*
 * Moving what lives to new packs (PB-6), after counts_cascade.  All three: FOUND, OK (no table or segment has it), or an error.
 * Indices into packs[], frames[], cells[].
 */
int counts_find_pack(struct counts *c, const struct name *name, uint32_t *pack) __attribute__((warn_unused_result));
int counts_find_frame(struct counts *c, uint32_t pack, uint32_t ordinal, uint32_t *frame) __attribute__((warn_unused_result));
int counts_find_cell(struct counts *c, const struct name *id, uint8_t type, uint32_t *cell) __attribute__((warn_unused_result));

/* The cells of what a chunk of this type stands on, there or not. */
int counts_find_bases(struct counts *c, const struct reader_bases *names, uint8_t type, struct counts_bases *out)
    __attribute__((warn_unused_result));

/* Is the pack among those that were touched?  Its index, or COUNTS_NONE. */
uint32_t counts_touched(const struct counts *c, const struct name *pack);

/* Where the frame of this copy lies, for the reader. */
int counts_place(struct counts *c, uint32_t cell, struct index_place *place) __attribute__((warn_unused_result));

/*
 * The cell's copy gives way to one that is being written, of `depth` on `bases` (NULL: none).  old: of the copy that goes, likewise.
 * The new one gets its place with counts_moved.
 */
int counts_move(struct counts *c, uint32_t cell, const struct counts_bases *old, uint8_t depth, const struct counts_bases *bases)
    __attribute__((warn_unused_result));

/* New packs and their frames, without anything in them; *first: index of the first frame. */
int counts_add_pack(struct counts *c, const struct indexfile_pack *row, uint32_t *pack) __attribute__((warn_unused_result));
int counts_add_frame(struct counts *c, const struct indexfile_frame *row, uint32_t *frame) __attribute__((warn_unused_result));
void counts_moved(struct counts *c, uint32_t cell, uint32_t frame, uint16_t slot);

#endif
