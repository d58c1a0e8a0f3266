/*
 * scout: directories that a walk will come to, opened, listed and looked at by other threads before it does.
 *
 * The walk goes down by descriptors, names in order.  On entering a directory it says which of its subdirectories it wants (scout_ahead);
 * on coming to one of them it takes what is there (scout_open), which is what it would have found itself, at most SCOUT_FRESH_NS before.
 * Whatever was not foreseen, did not go well or has become older, it does itself, so that nothing but time depends on the threads.
 */
#ifndef SYS_SCOUT_H
#define SYS_SCOUT_H

#include <stdbool.h>
#include <stddef.h>

#include "sys/fsys.h"

#define SCOUT_FRESH_NS 1000000000ll

struct scout;
struct scout_group;

/* A directory of the walk. */
struct scout_dir {
	int fd;
	int64_t since;                  /* of the steady clock: what is below is as old as that; 0: nothing was foreseen */
	struct fsys_stat self;          /* mode 0: ask yourself */
	bool listed;                    /* names is what fsys_list() said */
	struct fsys_names names;
	struct fsys_stat *stats;        /* by name; mode 0: ask yourself.  NULL: for all of them */
	struct scout_group *group;      /* subdirectories asked for */
};

/* Starts `threads` threads, or as many as the system lets us; none is no failure.  Owns: *out: scout_free, after all directories are closed. */
int scout_new(unsigned threads, struct scout **out) __attribute__((warn_unused_result));
struct scout *scout_free(struct scout *s);

/* Shall entries be looked at, or names only be listed?  While nothing is asked for. */
void scout_set_stats(struct scout *s, bool stats);

/* Open dirfd/name as fsys_open_dir() does.  name: one of the names of the directory entered last, for which scout_ahead() was called; else
 * it was not foreseen.  Owns: *d: scout_close. */
int scout_open(struct scout *s, int dirfd, const char *name, struct scout_dir *d) __attribute__((warn_unused_result));

/* What is in d->stats about entry i, or NULL when that is to be asked for (anew). */
const struct fsys_stat *scout_stat(const struct scout_dir *d, size_t i);

/* d->names, if they are not there yet. */
int scout_list(struct scout_dir *d) __attribute__((warn_unused_result));

/* The subdirectories that `wants` says will be opened; others can be, too.  A failure costs nothing but time. */
void scout_ahead(struct scout *s, struct scout_dir *d, bool (*wants)(void *arg, const char *name), void *arg);

/* Leave it; directories are left in the reverse order of scout_ahead(). */
void scout_close(struct scout *s, struct scout_dir *d);

#endif
