/*
 * confine: what a process gives up before it touches what others wrote.  Best effort: a kernel or sandbox that does not offer a means is
 * no failure.  With VARVE_CONFINE=no in the environment only the limits are set.
 */
#ifndef SYS_CONFINE_H
#define SYS_CONFINE_H

#include <stddef.h>

/*
 * From now on this thread, and threads and children it starts, can create, write, rename and remove beneath these paths only (Landlock);
 * of a path that is not there yet: beneath the nearest directory above it that is.  Temporary directories and /dev/null are always
 * allowed.  Reading is not touched.  A NULL path is passed over.
 */
void confine_writes(const char *const *paths, size_t count);

/*
 * For the database helper: no core dump, bounded memory, and no network, no other program, no new process, no other process's memory,
 * no new name or removal but of its own copies (seccomp).
 */
void confine_helper(void);

#endif
