/* chosen: the paths that a restore was asked for, beneath its target. */
#ifndef OPS_CHOSEN_H
#define OPS_CHOSEN_H

#include "store/tree.h"

struct chosen {
	char **path;                    /* relative to the target: "a/b"; owned */
	size_t count;
	bool whole;                     /* none was chosen, or the root */
};

/*
 * Look up `count` paths beneath `base` ("/a/b", or "" for the root), which must be there; the root itself stands for everything.
 *
 * Owns:   c: chosen_clear, whatever happens.
 * Errors: ERR_ABSENT  no such path;  ERR_USAGE  it is not beneath base;  those of tree_lookup
 */
int chosen_load(struct chosen *c, struct reader *rd, const struct name *root, const char *base, const char *const *paths,
    size_t count) __attribute__((warn_unused_result));
void chosen_clear(struct chosen *c);

/* Is the path, relative to the target, chosen (beneath one that is the caller knows it is)?  WAY: it leads to one that is. */
enum chosen_part { CHOSEN_NO, CHOSEN_WAY, CHOSEN_ALL };
enum chosen_part chosen_part(const struct chosen *c, const char *rel);

/* prefix/path as "/a/b", of any spelling; "" for the root.  Owns: *out: caller frees. */
int chosen_normal(const char *prefix, const char *path, char **out) __attribute__((warn_unused_result));

/* The entry of a path of the snapshot; ERR_ABSENT names it.  Owns: e: tree_entry_clear. */
int chosen_look_up(struct reader *rd, const struct name *root, const char *path, struct tree_entry *e)
    __attribute__((warn_unused_result));

#endif
