/* child: run a shell command whose output we read. */
#ifndef SYS_CHILD_H
#define SYS_CHILD_H

#include <sys/types.h>

/* /bin/sh -c command with standard output in a pipe; *fd: its reading end.  Ended with child_wait. */
int child_start(const char *command, pid_t *pid, int *fd) __attribute__((warn_unused_result));

/* Close fd and wait.  ERR_FAILED when it did not exit with 0; the note says how it ended. */
int child_wait(pid_t pid, int fd) __attribute__((warn_unused_result));

#endif
