/* dbfind: which files of a snapshot are databases, before anything else is read. */
#ifndef OPS_DBFIND_H
#define OPS_DBFIND_H

#include <stdbool.h>
#include <stddef.h>

struct fsys_stat;
struct scan;

/*
 * Walk as scan_paths will and add to sc->db what is a database by its content.  Looked at are files the parent snapshot does not have or
 * has as a database, captured or not, and those with a -wal or -journal beside them; a file of the parent that has turned into one is found by the walk
 * itself (dbfind_late).
 */
int dbfind_paths(struct scan *sc, char *const *paths, size_t count) __attribute__((warn_unused_result));

/* The file at sc->path, open as fd, is about to be read: is it a database that dbfind_paths did not find?  *is says so. */
int dbfind_late(struct scan *sc, int fd, const struct fsys_stat *st, bool *is) __attribute__((warn_unused_result));

#endif
