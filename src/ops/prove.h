/*
 * prove: packs against the census, by all processors: first heads (what lies where, what stands on what), then content: every chunk
 * that is wanted is opened, decompressed and hashed once, in the order of the packs.
 *
 * What is wrong goes into the damages; only what ends everything (memory, signals, a system that says no) is a failure.
 */
#ifndef OPS_PROVE_H
#define OPS_PROVE_H

#include "ops/damage.h"
#include "store/census.h"
#include "store/repo.h"

enum prove_todo {
	PROVE_SHAPE = 1,                /* header, footer, name */
	PROVE_HEADS = 2,                /* heads of frames */
	PROVE_CONTENT = 4,              /* chunks */
	PROVE_BAD = 16,                 /* out: something in it is damaged */
	PROVE_WHOLE = 8                 /* all frames, and checksums; else frames with wanted cells */
};

struct prove_worker;
struct need;

struct prove {
	struct repo *r;                 /* borrowed */
	struct census *c;
	struct damages *d;
	uint8_t *todo;                  /* by pack, of enum prove_todo; owned */
	unsigned workers;               /* 0 at first: one for each processor */
	/* counted by all threads */
	uint64_t nodes_lost;            /* could not be read: references beneath them are not counted */
	uint64_t bytes_read, bytes_decoded, chunks, packs, frames;
	uint64_t spare;                 /* damaged packs and frames in which nothing is needed: no damages */
	uint64_t bytes_todo;            /* about what reading content will take */
	bool needs_known;               /* private: CENSUS_NEEDED is set */
	int (*progress)(void *arg, const struct prove *p);      /* in the caller's thread; a failure ends it */
	void *arg;
	struct prove_worker *w;         /* private */
	struct need *need;              /* by worker; owned */
	struct shelf *shelf;
	uint32_t *order;                /* packs to be read, bases first */
	uint32_t **deps;                /* by pack: packs that it stands on; [0] is their number */
};

/* c, d, r, progress, arg are set.  Everything is to do to nothing at first. */
int prove_init(struct prove *p) __attribute__((warn_unused_result));
void prove_clear(struct prove *p);

int prove_heads(struct prove *p) __attribute__((warn_unused_result));
int prove_content(struct prove *p) __attribute__((warn_unused_result));

/* The damage that keeps this chunk from being read, as far as it was proved; 0: none. */
uint32_t prove_problem(const struct prove *p, const struct census_cell *cell);

/* Is this result damage of the repository (and not the end of everything)? */
bool prove_is_damage(int rc);

#endif
