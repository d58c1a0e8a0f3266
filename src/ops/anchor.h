/* anchor: the snapshot path that an entry lies in; patterns with a slash start there, in restore as in snapshot. */
#ifndef OPS_ANCHOR_H
#define OPS_ANCHOR_H

#include <stdbool.h>
#include <stddef.h>

struct filter;
struct snaprec_string;

/*
 * Do the patterns exclude this path of a snapshot?  They start at its first root_len bytes (SNAP:PATH); when that is zero, at the longest
 * snapshot path (of the record's paths_raw) around it, or at the parent of one that is no directory.  Where none is around it, only
 * absolute patterns match.
 *
 * Shape:  f may be NULL: no.
 */
bool anchor_excludes(const struct filter *f, const struct snaprec_string *paths_raw, size_t root_len, const char *path, bool dir);

#endif
