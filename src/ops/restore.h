/* restore: bring a snapshot, or part of it, into a directory. */
#ifndef OPS_RESTORE_H
#define OPS_RESTORE_H

#include "store/repo.h"
#include "store/snapshots.h"

struct filter;

/* What to do with a file that is there already. */
enum restore_overwrite {
	RESTORE_ALWAYS,                 /* compare the content by fingerprints, rewrite what differs (default) */
	RESTORE_IF_CHANGED,             /* take size and mtime as proof of equality, else as RESTORE_ALWAYS */
	RESTORE_IF_NEWER,               /* only if the snapshot's file is newer */
	RESTORE_NEVER
};

struct restore_progress {
	uint64_t files, files_total, bytes, bytes_total, errors;        /* totals from the record; 0 if unknown */
	const char *path;
};

struct restore_options {
	const char *target;             /* made if it is not there */
	const char *subpath;            /* SNAP:PATH: this directory (or file) becomes the root; NULL: all */
	const char *const *paths;       /* restore only these (below subpath), each must be there; none: all */
	size_t path_count;
	const struct filter *filter;    /* --exclude/--include, anchored at subpath, else at the snapshot's paths; or NULL */
	enum restore_overwrite overwrite;
	/* Remove what the snapshot does not have, in the directories restored: not in those only passed through (implied, or above a
	 * chosen path), not what the filter excludes nor directories that hold such, no mount point, no directory that is a repository, and
	 * nothing in one, at any depth, unless the snapshot has that repository (its varve-repo).
	 * In a mount point beneath the target only if the snapshot has something in it: else it was not crossed (--one-file-system), or
	 * not mounted.  Nothing where the repository lost part of a directory. */
	bool delete_extra;
	bool dry_run;                   /* report through item(), change nothing */
	bool verify;                    /* read back and compare every restored file */
	bool force;                     /* replace databases that a process has open, by files or by directories */
	bool check_databases;           /* PRAGMA integrity_check before a database gets its name */
	bool devices;                   /* make device nodes (root) */
	bool numeric_owner;             /* do not map owners by name */
	bool sparse;                    /* also make holes of zero chunks; recorded holes always are */
	void (*progress)(void *arg, const struct restore_progress *p);
	/* What could not be restored, and the reason alone.  Paths here and below are those in the snapshot, "/a/b"; any bytes. */
	void (*problem)(void *arg, const char *path, const char *text);
	/* '+' created, 'M' content rewritten, 'm' metadata only, 'U' unchanged, '-' deleted, 's' skipped (overwrite rule, device without
	 * --devices).  `beneath` is the path beneath the target, "/b", "" for the target itself. */
	void (*item)(void *arg, char what, const char *path, const char *beneath, uint64_t size);
	void *arg;
};

struct restore_result {
	uint64_t files_restored, files_unchanged, files_skipped, dirs, others, deleted;
	uint64_t bytes_written, bytes_total;
	uint64_t errors, damaged;       /* damaged: files not restored because of the repository */
	uint64_t verified;
	uint64_t devices;               /* left out for want of o->devices */
	uint64_t parted;                /* databases stored as found, without the journal or WAL that the snapshot has beside them */
	uint64_t mounts;                /* not deleted in, because the snapshot has nothing in them */
	int64_t elapsed_ns;
};

/*
 * After a kill or a loss of power at any moment a file that was there is what it was or what the snapshot has, whole: its replacement is
 * durable before it takes the name.  What is new, and the last names, are left to the kernel, as by cp and tar: after a loss of power
 * restore again.  A database is durable when success is reported, and never has the old one's journal or WAL beside it.  One
 * that was stored as found gets what the snapshot has beside it as files, as durable; while another one stays in its place, or a process has it open,
 * what lies beside that is neither written nor deleted.  What is in the way of a directory goes only if the entries of that can be read.
 * The same restore again mends what one that was cut short has left, with RESTORE_ALWAYS or RESTORE_IF_CHANGED: a directory that it made and
 * did not finish is of mode 0700 and has no owner, times or attributes yet, and by the other rules that is what was there, and stays.
 *
 * OK; ERR_CORRUPT when chunks were damaged or missing, all else was restored; ERR_PARTIAL (reported by exit 1) when the target refused
 * something; others: nothing more could be done.
 */
int restore_run(struct repo *r, const struct snapshots_item *snap, const struct restore_options *o, struct restore_result *res)
    __attribute__((warn_unused_result));

#endif
