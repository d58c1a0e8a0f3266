/*
 * select: which snapshot does the user mean?  `latest`, `latest~2`, a hex prefix, `@TIME`; narrowed
 *         by host, path, tag.
 */
#ifndef OPS_SELECT_H
#define OPS_SELECT_H

#include "store/snapshots.h"

struct select_filter {
	/* any host; all paths; any tag ("a,b" both) */
	const char *const *hosts, *const *paths, *const *tags;
	size_t host_count, path_count, tag_count;
};

/* f may be NULL: everything matches. */
bool select_matches(const struct snaprec *rec, const struct select_filter *f);

/*
 * Resolve text among all (sorted) snapshots.  *out borrowed from all.
 *
 * `SNAP~N` is the N-th that matches before SNAP; a prefix must fit exactly one snapshot; `@TIME` is the
 * newest that does not begin after TIME (select_parse_until); `latest` is one of the future (RETENTION_AHEAD_NS) only if all are.
 * Errors: ERR_USAGE  ambiguous or malformed;  ERR_ABSENT  no such snapshot.  The note says what to
 *         do next.
 */
int select_one(const struct snapshots *all, const struct select_filter *f, const char *text,
    int64_t now_ns,
    const struct snapshots_item **out) __attribute__((warn_unused_result));

/* The newest by time, where `latest` or `latest~N` as text passes it over because it is of the future; else NULL. */
const struct snapshots_item *select_passed_over(const struct snapshots *all, const struct select_filter *f, const char *text,
    int64_t now_ns);

/* Does text name a snapshot by (a prefix of) its id, not by its place in time? */
bool select_is_id(const char *text);

/*
 * "SNAP:PATH" apart: *path is NULL without a colon, else it points into text.  In
 * "@2026-11-20T09:00:etc" the colons of the time belong to the time: those behind the T that stand
 * between two pairs of digits.
 * Owns: *snap: caller frees.
 */
int select_split(const char *text, char **snap,
    const char **path) __attribute__((warn_unused_result));

/*
 * A time in the local zone, unless the text says another: "2026-11-20",
 * "2026-11-20T09:00[:30[.5]][Z|+01:00]" ("T" may be a space), "now", "today", "yesterday", or a
 * duration before now: "3h", "2d12h".
 *
 * Of a text that names a longer span (a day, a minute, a second; an hour that occurs twice when
 * clocks are set back) *ns is its first instant with select_parse_time, its last one with
 * select_parse_until: `@2026-11-20` shall find a snapshot made on that day.
 * Errors: ERR_USAGE
 */
int select_parse_time(const char *text, int64_t now_ns,
    int64_t *ns) __attribute__((warn_unused_result));
int select_parse_until(const char *text, int64_t now_ns,
    int64_t *ns) __attribute__((warn_unused_result));

#endif
