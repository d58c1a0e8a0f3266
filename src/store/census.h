/*
 * census: everything that the index says, merged and in memory, to be compared with what there is: packs, frames, and one cell for
 * each chunk that has a row.  Loading it reads every block and row of every valid index file and checks what IX-1 ... IX-6 say of
 * them.
 *
 * Cells are sorted by id.  Members that several threads count in are touched with census_add() only while they run.
 */
#ifndef STORE_CENSUS_H
#define STORE_CENSUS_H

#include "format/indexfile.h"
#include "store/index.h"

#define CENSUS_NONE 0xffffffffu

enum census_flag {
	CENSUS_LIVE = 1,                /* a table has it with refs above 0 */
	CENSUS_USED = 2,                /* a table has it with uses above 0 */
	CENSUS_FRESH = 4,               /* a segment places it: not counted yet */
	CENSUS_WANTED = 8,              /* for the owner: it is to be proved */
	CENSUS_BAD = 16,                /* for the owner: its content is damaged */
	CENSUS_SEEN = 32, CENSUS_TAINTED = 64,  /* for the owner */
	CENSUS_NEEDED = 128,            /* for the owner: not only a copy or a base that nobody reads */
	CENSUS_VISITED = 256            /* for the owner */
};

struct census_cell {
	struct name id;
	uint32_t frame;                 /* where readers find it (CH-3); CENSUS_NONE: nowhere */
	uint32_t table_frame;           /* where the tables place it; CENSUS_NONE */
	int32_t refs, uses;             /* minus what the tables say; the owner adds what he counts */
	uint32_t table_refs;            /* what the tables say */
	uint32_t waiting;               /* for the owner: differences on it that are still to come */
	uint16_t slot, table_slot;
	uint16_t flags;                 /* of enum census_flag */
	uint8_t type;
};

struct census_frame {
	uint32_t off, len, chunks;
	uint32_t live;                  /* what the row says; a segment's: chunks that it places */
	uint32_t found_live;            /* cells that the tables place here and that have refs or uses */
	uint32_t placed;                /* cells that readers find here */
	uint32_t wanted;                /* for the owner: cells to be proved */
	uint32_t problem;               /* for the owner, 0: none */
	bool known;                     /* some index file has a row for it */
	bool needed;                    /* for the owner: readers find something here that is needed */
	bool spare;                     /* for the owner: damaged, and not needed */
};

struct census_pack {
	struct name name;
	uint64_t bytes;
	uint32_t frames, kind;
	uint32_t first;                 /* of its frames in frames[]: the one of ordinal 0 */
	uint32_t live_frames;
	uint32_t problem;               /* for the owner, 0: none */
	bool dead;                      /* the newest row says that nothing in it lives */
	bool fresh;                     /* of a segment */
	bool differences;               /* some chunk that readers find here stands on another one */
	bool gone;                      /* not on the disk, or of another length */
	bool spare;                     /* for the owner: damaged, and nothing in it is needed */
};

struct census {
	struct census_cell *cells;
	size_t cell_count, cell_cap;
	uint32_t *fanout;               /* 2^bits + 1: cells below each bucket */
	uint32_t bits;
	struct census_frame *frames;
	size_t frame_count;
	struct census_pack *packs;
	size_t pack_count;
	uint64_t files;                 /* index files read */
};

/*
 * ix: of the same lock.
 * Errors: ERR_CORRUPT, ERR_AUTH  an index file is damaged: the note names it; ERR_IO; ERR_NOMEM
 * Cost:   reads the whole index; 64 bytes of memory for each chunk.
 */
int census_load(struct repo *r, struct index *ix, struct census *out) __attribute__((warn_unused_result));
void census_clear(struct census *c);

/* The cell with this id, or CENSUS_NONE.  Safe in several threads. */
uint32_t census_find(const struct census *c, const struct name *id);

/* The pack whose frame that is. */
uint32_t census_pack_of(const struct census *c, uint32_t frame);

/* Add to a counter that other threads count in, too. */
void census_add(int32_t *counter, int32_t n);
uint32_t census_wait(uint32_t *counter, int n);         /* its value now */
void census_mark(struct census_cell *cell, enum census_flag flag);

/* Its flags, while other threads may mark it. */
uint16_t census_flags(const struct census_cell *cell);

#endif
