/* tags: is this directory marked as one to leave out?  (--exclude-caches, --exclude-if-present) */
#ifndef SOURCE_TAGS_H
#define SOURCE_TAGS_H

#include <stdbool.h>
#include <stddef.h>

/* CACHEDIR.TAG with its standard signature; an error of reading counts as "no". */
bool tags_is_cache(int dirfd);

/* A file of this name is there; "NAME:TEXT" also wants the file to begin with TEXT (as restic). */
bool tags_is_present(int dirfd, const char *spec);

/* The tag for which a directory is to be left out, of CACHEDIR.TAG (if caches) and the specs; NULL: none. */
const char *tags_marked(int dirfd, bool caches, const char *const *specs, size_t count);

/* Is `name` the file that a spec, "NAME" or "NAME:TEXT", speaks of? */
bool tags_is_named(const char *name, const char *spec);

#endif
