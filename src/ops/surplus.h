/*
 * surplus: what lies in a directory of the target and not in the snapshot's: with --delete it goes.  Names of both are sorted, so it falls
 * out of walking them side by side.
 */
#ifndef OPS_SURPLUS_H
#define OPS_SURPLUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sys/fsys.h"

struct place;
struct treenode_entry;

struct surplus {
	struct fsys_names names;        /* found in the directory; none when nothing is to go */
	size_t next;                    /* of them */
	/* The directory is another mount than the one above it, and the snapshot has had nothing in it yet: to be set by the caller.  A
	 * snapshot that stays on one file system has mount points as empty directories: that says nothing about what is in them. */
	bool mount;
	bool gap;                       /* what the snapshot has next is not known: it may be any name that comes */
	/* Which of p->repositories it is, or lies in: nothing goes.  0: none; that of the directory above to be set by the caller. */
	unsigned repository;
};

/*
 * Begin with the directory that is open as dirfd, whose path p->path holds.  What a restore that was killed has left in it goes anyway, the
 * rest only if `deletes`.
 *
 * Owns:   s->names: caller frees with surplus_clear
 * Errors: as place_entry; a directory that cannot be listed is told when `deletes`
 */
int surplus_open(struct surplus *s, struct place *p, int dirfd, bool deletes) __attribute__((warn_unused_result));

/*
 * Remove what comes before e, the next that the snapshot has, or with NULL all that is left.  Nothing of a mount point in which it has
 * nothing, nor behind an entry that stands for a lost part of the directory (ops/excise.h) up to the one after it; nothing in a repository
 * that the snapshot does not have, which is reported once.  Errors as place_entry.
 */
int surplus_until(struct surplus *s, struct place *p, int dirfd, const struct treenode_entry *e) __attribute__((warn_unused_result));

/*
 * Is anything beneath the directory dirfd/name, whose path p->path holds, excluded by the filter?  FOUND: it must stay; OK.
 * Errors: ERR_FAILED  it lies in a repository that the snapshot does not have; and those for which target_remove could not remove it
 */
int surplus_holds(struct place *p, int dirfd, const char *name) __attribute__((warn_unused_result));

void surplus_clear(struct surplus *s);

#endif
