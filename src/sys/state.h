/*
 * state: small texts that this user's programs remember about repositories, outside of them:
 * $VARVE_STATE_DIR, else $XDG_STATE_HOME/varve, else ~/.local/state/varve.  An empty VARVE_STATE_DIR, or no home: nothing is remembered.
 */
#ifndef SYS_STATE_H
#define SYS_STATE_H

#include <stdbool.h>

#define STATE_MAX (1u << 20)
#define STATE_PATH 4096

/* Where they are, made if it was not there; false: nowhere. */
bool state_directory(char path[static STATE_PATH]) __attribute__((warn_unused_result));

/* OK with *text NULL when there is none.  Owns: *text: caller frees; zero-terminated. */
int state_read(const char *name, char **text) __attribute__((warn_unused_result));

/* Replace it as a whole; directories are made as needed. */
int state_write(const char *name, const char *text) __attribute__((warn_unused_result));

#endif
