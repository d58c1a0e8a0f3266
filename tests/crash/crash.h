/*
 * crash: what every phase of crash_snapshot shares: a source, a repository on a disk in memory, and the states that a crash can leave
 * of what a phase did there.
 *
 * The invariant, in words.  Whatever moment is chosen and whatever the disk made of what was not yet synced: a snapshot that was
 * reported as made reads back, byte for byte; at most the one that was being made is lost; a repository whose init was reported
 * opens, one whose init was not either opens or is none yet; a key that was reported as added opens, one reported as removed does
 * not, and at any moment one of them opens.  Nothing has to be repaired by hand: the next snapshot works at once, and the next
 * settle leaves exact counts and no rubbish.  After a repair that was cut short the repair works when it is done once more,
 * whatever was tried in between.
 *
 * Compound faults: every fourth state is recovered from twice more.  Once the recovery is itself cut short by a loss of power, once
 * operations of it fail (one, or all from one on); what it reported as made must be there, and the recovery after that is held to
 * the same invariant.
 */
#ifndef TESTS_CRASH_CRASH_H
#define TESTS_CRASH_CRASH_H

#include <stdbool.h>
#include <stdint.h>

#include "store/repo.h"
#include "tests/unit/support_io.h"

#define CRASH_SNAPS 24
#define CRASH_KEYS 3

/* A snapshot, and what its content hashes to when it is read back. */
struct crash_snap {
	struct name_sid sid;
	uint64_t sum;
	bool may_miss;                  /* being made, or being collected */
	bool hidden, gone;              /* may be in forgotten/; was forgotten for good */
};

enum crash_opens { CRASH_NEVER, CRASH_MAYBE, CRASH_SURELY };

struct crash {
	char source[300];
	uint64_t source_sum;            /* what a snapshot of it now hashes to, the times of directories apart */
	enum crash_opens key[CRASH_KEYS], key_next[CRASH_KEYS];         /* before the phase, and when it was reported as done */
	struct support_disk *d;         /* before the phase; then after it, with its log */
	struct crash_snap snap[CRASH_SNAPS];
	size_t count;
	const struct support_disk *cut; /* the phase whose states are tried */
	size_t end;                     /* operations of it */
	bool may_be_none;               /* init */
	int (*repair)(struct crash *u, struct repo *r);         /* the phase is this repair: cut short, it has to be done once more */
	uint64_t least;                 /* records that there must be */
	char why[600];
	unsigned long stride, number, tried, failed;    /* every stride-th state is tried; 0: none, they are only counted */
	unsigned long compound;         /* states beside, reached by a second fault */
};

/* False; the first thing that is wrong stays in u->why, with the error note. */
bool crash_wrong(struct crash *u, const char *what) __attribute__((noinline));

/* The source: directories of small files, one file of several chunks, a link. */
bool crash_source(struct crash *u);
void crash_source_remove(const struct crash *u);

/* Open with key k; with each that may open: the last that does stays, ERR_KEY is the only other answer.  Owns: *out: repo_close. */
int crash_unlock(struct repo *r, unsigned k) __attribute__((warn_unused_result));
int crash_open(struct crash *u, struct support_disk *d, bool complete, struct repo **out) __attribute__((warn_unused_result));

/* Phases: take a snapshot of the source; one with a file of 90,000 bytes and the next without it (`beside` comes with it and stays). */
bool crash_take(struct crash *u);
bool crash_passing_file(struct crash *u, const char *beside);

/* What was made so far is durable: only what follows is cut short. */
void crash_begin_here(struct crash *u);

/* Try every stride-th state of what is in the log of u->d; then some of its end, where nothing may be missing any more. */
void crash_try(struct crash *u);

/* Phases of crash_repairs.c. */
bool crash_repair_index(struct crash *u);
bool crash_repair_parity(struct crash *u);
bool crash_repair_packs(struct crash *u);
bool crash_repair_salvage(struct crash *u);
bool crash_repair_from(struct crash *u);
bool crash_repair_snapshots(struct crash *u);

#endif
