/*
 * lost: which files of which snapshots cannot be read, by the index: a chunk is lost if nothing places it, or its pack is gone.
 * Data is not read (that is for verify); every node is, once, whatever the number of snapshots.
 */
#ifndef OPS_LOST_H
#define OPS_LOST_H

#include "ops/view.h"

struct lost_file {
	const struct snapshots_item *snap;
	const char *path;               /* absolute; path_len bytes */
	size_t path_len;
	bool directory;                 /* a part of its entries is lost, or all of them */
};

struct lost_options {
	void (*file)(void *arg, const struct lost_file *f);
	void *arg;
};

struct lost_stats {
	uint64_t snapshots, files, directories;         /* that have something lost; that are lost, once per snapshot */
};

/* v: opened with VIEW_CONTENT.  Cost: reads every node once, and those above a loss once per snapshot that has it. */
int lost_run(struct view *v, const struct lost_options *o, struct lost_stats *stats) __attribute__((warn_unused_result));

/* The same for one snapshot by its root: FOUND when nothing is lost, OK when something is.  seen: shared between calls. */
struct lost_seen;
int lost_seen_new(struct lost_seen **out) __attribute__((warn_unused_result));
struct lost_seen *lost_seen_free(struct lost_seen *s);

/* Is every chunk of this entry's content placed and there (a file), or every node and file beneath it (a directory)?  FOUND or OK. */
struct treenode_entry;
int lost_entry_whole(struct view *v, struct lost_seen *seen, const struct treenode_entry *e) __attribute__((warn_unused_result));

#endif
