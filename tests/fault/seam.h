/*
 * seam: what stands between this program and the system when it is linked with seam.c (--wrap, tests/trust.mk): allocations and
 * system calls of its own objects, any one of which can be told to fail; and a ledger of the allocations that are alive.
 *
 * What the disk in memory (support_io) does for itself neither counts nor fails.
 */
#ifndef TESTS_FAULT_SEAM_H
#define TESTS_FAULT_SEAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum seam { SEAM_NONE, SEAM_MEMORY, SEAM_CALLS, SEAM_SIGNALS };         /* SIGNALS: looks at whether one has come */

/* Counted from now: the nth (from 1) fails with this errno, and with `forever` all later ones; nth 0: they are only counted. */
void seam_arm(enum seam what, uint64_t nth, int err, bool forever);
void seam_disarm(void);

/* How many were asked for since seam_arm, and how many failed. */
uint64_t seam_asked(void);
uint64_t seam_refused(void);
const char *seam_refused_what(void);    /* the name of the last system call that failed */

/* Allocations that were made and not freed; print those made since there were `since` (addresses for addr2line), a few. */
size_t seam_live(void);
uint64_t seam_made(void);
void seam_print_since(uint64_t made);

#endif
