/*
 * mirror: what this program does to a directory through the target_* functions of sys/target.h, written down on a disk in memory.
 *
 * The program is linked with --wrap for those functions (tests/trust.mk).  Each does the real call, then the same on the disk, as one
 * step for all threads; a sync is only written down.  Calls inside of target.c are not seen: target_remove is mirrored as the removal of
 * every name.  Metadata is not on the disk.
 */
#ifndef TESTS_CRASH_MIRROR_H
#define TESTS_CRASH_MIRROR_H

#include <stdbool.h>

struct support_disk;

/* A symbolic link is a file of these bytes and its text. */
#define MIRROR_LINK "\001link to "

/* From now on what happens beneath `root`, an absolute path without links in it, happens on d too, which has what is there. */
void mirror_begin(struct support_disk *d, const char *root);

/* No longer.  False when something could not be done on the disk: then it is no picture of the directory. */
bool mirror_end(void);

/* A disk with what is there, all of it durable.  NULL: it cannot be read.  Owns: out: support_disk_free. */
struct support_disk *mirror_read(const char *root);

/* What the disk has, in a new directory. */
bool mirror_write(const struct support_disk *d, const char *root);

#endif
