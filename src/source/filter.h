/*
 * filter: which paths a snapshot takes (gitignore patterns, as restic, git and rsync users know them).
 *
 * Patterns are tried in the order given, the last one that matches decides.  A pattern excludes; with a leading "!" it includes
 * again.  "/" at the start or in the middle anchors it (at the root directory of the snapshot path; an absolute pattern "/home/x/..." is
 * matched against the absolute path as well), without a slash it matches at any depth; a trailing "/" matches directories only;
 * "*", "?", "[a-z]", "[!a-z]" do not match "/"; "**" does.  A backslash quotes.  Matching is bytewise; names are not decoded.
 */
#ifndef SOURCE_FILTER_H
#define SOURCE_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct filter;

struct filter *filter_free(struct filter *f);
int filter_new(struct filter **out) __attribute__((warn_unused_result));

/* A pattern of --exclude (or of --include: then the opposite).  ERR_USAGE when it is malformed. */
int filter_add(struct filter *f, const char *pattern, bool include) __attribute__((warn_unused_result));

/* A file of patterns, one a line; "#" comments and empty lines are skipped; "-" is standard input. */
int filter_add_file(struct filter *f, const char *path, bool include) __attribute__((warn_unused_result));

bool filter_is_empty(const struct filter *f);

/*
 * Excluded?  root_len: length of the snapshot path (prefix of abs_path) that anchored patterns start from.
 * abs_path: absolute path of the entry, any bytes but zero, no trailing slash.
 * Cost: linear in patterns; a pattern costs at most O(pattern * path) whatever its stars.
 */
bool filter_excludes(const struct filter *f, const char *abs_path, size_t root_len, bool is_dir);

/* One glob against one text, for find and ls: "*" does not match "/" unless `cross` is set. */
bool filter_glob(const char *pattern, const char *text, bool cross);

#endif
