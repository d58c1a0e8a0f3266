/*
 * every: operations of the store and of ops/, each over a repository on a disk in memory, to be run again and again while the N-th thing
 * that they ask for fails.
 */
#ifndef TESTS_FAULT_EVERY_H
#define TESTS_FAULT_EVERY_H

#include "store/repo.h"
#include "tests/unit/support_io.h"

/* Repositories that operations begin with.  All but the first two have a second key, and a policy of parity for data but EVERY_BARE. */
enum every_fixture {
	EVERY_NOTHING,                  /* an empty directory */
	EVERY_NEW,                      /* a repository without snapshots */
	EVERY_HISTORY,                  /* settled: 0, 1, 2 (pinned); not settled: 3 (forgotten), 4, 5 */
	EVERY_PRUNE,                    /* twelve snapshots, settled; 1 ... 9 of them forgotten */
	EVERY_SMALL,                    /* as many small packs as make a merge */
	EVERY_SEGMENTS,                 /* one more snapshot folds the segments */
	EVERY_DATABASE,                 /* a database that changed, captured twice; settled */
	EVERY_BAD,                      /* as EVERY_HISTORY: a pack of data, a table and a slot with a bad byte */
	EVERY_LOST,                     /* as EVERY_BARE: packs bad, some cut, and half of the sidecars, too */
	EVERY_SIDES,                    /* as EVERY_HISTORY: the header and many sidecars are bad, some objects are gone */
	EVERY_GIVEN_UP,                 /* as EVERY_LOST; then what cannot be read was given up */
	EVERY_BARE,                     /* as EVERY_HISTORY, without parity for data */
	EVERY_FIXTURES
};

#define EVERY_SNAPS 40

struct every {
	const struct every_op *op;
	struct support_disk *d;         /* of this case */
	struct repo *r;                 /* open, if the operation does not open it itself */
	char source[300], databases[300];       /* trees of the machine */
	char target[300];               /* a directory that is not there before the operation */
	struct name_sid sids[EVERY_SNAPS];      /* of the fixture, in the order of making */
	size_t count;
	char said[8192];                /* what the operation answered */
	size_t said_len;
};

#define EVERY_ON_DISK 1u                /* operations of the repository's disk fail */
#define EVERY_ON_MEMORY 2u              /* allocations fail */
#define EVERY_ON_CALLS 4u               /* system calls of the program fail */
#define EVERY_ON_SIGNALS 512u           /* it is interrupted */
#define EVERY_ALL (EVERY_ON_DISK | EVERY_ON_MEMORY | EVERY_ON_SIGNALS)
#define EVERY_OPENS 8u                  /* it opens the repository itself */
#define EVERY_MUTE 16u                  /* what it says depends on what threads did first */
#define EVERY_FORGIVES 32u              /* it goes on after a failure and says which: rc may be OK, and what is said another */
#define EVERY_ANEW 64u                  /* what it makes is another each time */
#define EVERY_WHOLE 256u                /* small: every N even where a sample of the others is taken */

#define EVERY_SPARES 1024u              /* it has space in reserve: a disk that is full once is no failure */

/* A repair: until it was done once more without a failure not all of it need be right; what a medium does not give back is lost to it. */
#define EVERY_HALF 128u

struct every_op {
	const char *name;
	enum every_fixture on;
	unsigned how;
	int (*run)(struct every *e);
	int also;                       /* what it may answer when it is done once more after a failure */
	const char *says;               /* what it must say at first when nothing fails; or NULL */
};

extern const struct every_op every_writes[], every_reads[], every_repairs[];     /* up to one without a name */

/* What the operation says; the same words must come whenever it succeeds. */
void every_say(struct every *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The fixtures.  Each disk has nothing in its log. */
bool every_fixture_make(struct every *e, enum every_fixture which);
bool every_source(struct every *e, const char *dir);
int every_open(struct support_disk *d, unsigned key, struct repo **out) __attribute__((warn_unused_result));
int every_snapshot(struct every *e, struct repo *r, const char *path) __attribute__((warn_unused_result));
bool every_change(const struct every *e, unsigned generation);
void every_remove_tree(const char *path);

/* What a tree on this machine is: names, kinds, modes, times, bytes. */
uint64_t every_tree_sum(const char *path);

#endif
