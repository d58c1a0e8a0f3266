/*
 * heads: how far a repository has come: the number of its newest table, and each writer's newest snapshot (SR-4).  What this user saw
 * last is remembered outside of it (sys/state.h), so that an older copy of the repository, or one without a snapshot that was there, is
 * noticed.
 *
 * A snapshot that was seen and is neither in snapshots/ nor in forgotten/ was collected, if there is a newer table than the one seen with
 * it: only a table collects.  (If it was taken away and a table came later, then a root is counted that no record has: verify tells.)
 */
#ifndef OPS_HEADS_H
#define OPS_HEADS_H

#include "store/snapshots.h"

struct heads_writer {
	struct name_sid writer, sid;
	uint64_t sequence;
	const struct snapshots_item *item;      /* of heads_now; else NULL.  Borrowed */
};

struct heads {
	uint64_t table;                 /* 0: none */
	struct heads_writer *writers;   /* sorted by writer; owned */
	size_t count, cap;
};

/* Told of each thing that is not as it was. */
typedef void (*heads_fn)(void *arg, const char *text);

/* As it is.  The caller holds a lock; all: every record of snapshots/. */
int heads_now(struct repo *r, const struct snapshots *all, struct heads *out) __attribute__((warn_unused_result));
void heads_clear(struct heads *h);

/* For paper: "57,9c1f2a3b:12:a1b2c3d4e5f6a7b8,...".  Owns: *text: caller frees. */
int heads_text(const struct heads *h, char **text) __attribute__((warn_unused_result));

/* Compare with such a text: *older counts what fn was told.  ERR_USAGE when it is none. */
int heads_check(struct repo *r, const struct heads *now, const char *text, heads_fn fn, void *arg, uint64_t *older)
    __attribute__((warn_unused_result));

/* Compare with what is remembered, and if nothing is older, remember what is there now. */
int heads_look(struct repo *r, const struct snapshots *all, heads_fn fn, void *arg, uint64_t *older) __attribute__((warn_unused_result));

/* The newest table that this user saw; 0: none. */
int heads_table_seen(struct repo *r, uint64_t *number) __attribute__((warn_unused_result));

/* Remember it, whatever was seen before. */
int heads_accept(struct repo *r, const struct heads *now) __attribute__((warn_unused_result));

/* Remember the snapshot that was just made. */
int heads_made(struct repo *r, const struct heads_writer *made) __attribute__((warn_unused_result));

#endif
