/* tags: is this directory marked as one to leave out?  (--exclude-caches, --exclude-if-present) */
#ifndef SOURCE_TAGS_H
#define SOURCE_TAGS_H

#include <stdbool.h>

/* CACHEDIR.TAG with its standard signature; an error of reading counts as "no". */
bool tags_is_cache(int dirfd);

/* A file of this name is there; "NAME:TEXT" also wants the file to begin with TEXT (as restic). */
bool tags_is_present(int dirfd, const char *spec);

#endif
