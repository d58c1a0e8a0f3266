/* snapshot: store directories as they are now. */
#ifndef OPS_SNAPSHOT_H
#define OPS_SNAPSHOT_H

#include "format/snaprec.h"
#include "store/repo.h"

struct dbread_result;
struct filter;

/* A problem's text: the file was read and stored, though not at one moment. */
#define SNAPSHOT_CHANGED "changed while it was read: stored as it was found"

struct snapshots;

struct snapshot_progress {
	uint64_t files, dirs, bytes_total, bytes_read, bytes_new, errors;
	const char *path;               /* being worked on; any bytes */
};

struct snapshot_options {
	const char *const *paths;       /* as the user wrote them */
	size_t path_count;
	const char *host, *user;        /* NULL: this machine's, this process's */
	const char *const *tags;
	size_t tag_count;
	const struct filter *filter;    /* or NULL */
	bool exclude_caches;
	const char *const *if_present;  /* specs of --exclude-if-present */
	size_t if_present_count;
	uint64_t larger_than;           /* bytes; 0: no limit */
	bool one_file_system;
	bool rehash;                    /* read every file */
	bool paranoid;                  /* no fingerprints */
	bool skip_if_unchanged, dry_run;
	bool store_only;                /* store what is not there, and make no snapshot of it */
	const char *parent;             /* hex prefix of the parent to use; NULL: chosen; "none": none */
	bool from_stdin;                /* content is standard input ... */
	const char *command;            /* ... or this shell command's output */
	const char *name;               /* the file's name in the snapshot (default "stdin") */
	const char *helper;             /* this program, to capture SQLite databases (source/dbread.h); NULL: they are files */
	const struct filter *sqlite_exclude;    /* databases that are files; or NULL */
	uint64_t wal_limit;             /* bytes a WAL may grow by while its database is read; 0: the default */
	int64_t time_ns;                /* 0: now */
	uint64_t memory;                /* for blocks under way; 0: default */
	unsigned jobs;
	int level;
	/* Called a few times a second; may be NULL. */
	void (*progress)(void *arg, const struct snapshot_progress *p);
	/* Called for everything that could not be read; text has the path and the reason. */
	void (*problem)(void *arg, const char *path, const char *text);
	/* Called for each path that is new or changed ('+', 'M') or unmodified ('U'); may be NULL (--verbose). */
	void (*item)(void *arg, char what, const char *path, uint64_t size);
	/* Called for each database: captured, or to be stored as found.  May be NULL. */
	void (*database)(void *arg, const char *path, bool captured, const struct dbread_result *res);
	/* Called once with all records there are.  May be NULL. */
	void (*records)(void *arg, const struct snapshots *all);
	void *arg;
};

struct snapshot_result {
	struct name_sid sid, parent;    /* sid zero: none was made (dry run, unchanged, store_only) */
	struct name_sid writer;         /* SR-4 */
	uint64_t sequence;
	bool unchanged;                 /* --skip-if-unchanged took effect */
	uint64_t stats[SNAPREC_STAT_COUNT];     /* bytes stored: with the record */
	int settle_rc;                  /* housekeeping after the snapshot failed, which takes nothing from it ... */
	char settle_note[256];          /* ... and why */
	int64_t elapsed_ns;
};

/* OK; ERR_PARTIAL when something could not be read (the snapshot was made); ERR_INTERRUPTED after a signal (what was stored
 * can be reused); others: no snapshot was made. */
int snapshot_run(struct repo *r, const struct snapshot_options *o, struct snapshot_result *res) __attribute__((warn_unused_result));

#endif
