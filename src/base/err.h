/* err: the closed set of failures, and the one note that says what went wrong. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "format/cursor.h"

enum err {
	OK = 0,
	FOUND = 1,              /* outcomes that are not failures */
	AT_END = 2,

	ERR_USAGE = -1,         /* the caller's or the user's arguments (exit 2) */
	ERR_NOMEM = -2,
	ERR_IO = -3,            /* the system said no; its words are in the note */
	ERR_ABSENT = -4,        /* ENOENT, and only that (GN-5) */
	ERR_EXISTS = -5,
	ERR_CORRUPT = -6,       /* malformed object (exit 4) */
	ERR_UNSUPPORTED = -7,   /* needs a newer program */
	ERR_AUTH = -8,          /* well formed, but not sealed with this key for this place (exit 4) */
	ERR_KEY = -9,           /* wrong passphrase or key file (exit 12) */
	ERR_NOREPO = -10,       /* no repository there (exit 10) */
	ERR_LOCKED = -11,       /* somebody else holds the lock (exit 11) */
	ERR_PARTIAL = -12,      /* done, but something could not be read (exit 3) */
	ERR_INTERRUPTED = -13,  /* SIGINT or SIGTERM (exit 130) */
	ERR_FAILED = -14        /* anything else (exit 1) */
};

/* Record the innermost note (message, file, line) and yield `code`, a constant, as the value. */
#define fail(code, ...) (err_note((code), __FILE__, __LINE__, __VA_ARGS__), (code))

/* The same for a failed system call: appends strerror(errno); the value is ERR_ABSENT for ENOENT, ERR_EXISTS for EEXIST,
 * ERR_NOMEM for ENOMEM, else ERR_IO. */
#define fail_io(...) err_note_io(__FILE__, __LINE__, __VA_ARGS__)

void err_note(int code, const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
int err_note_io(const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Prefix the note with "fmt: " when rc < 0; rc passes through. */
int err_context(int rc, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The note of this thread: never NULL, borrowed until the next failure.  Control characters are already made visible. */
const char *err_text(void);

/* errno of the last fail_io of this thread, 0 if none. */
int err_errno(void);

/* Take a note from another thread (copies text). */
void err_set(int code, const char *text);
/* ... and the errno that belongs to it. */
void err_set_errno(int sys_errno);

/* OK, ERR_CORRUPT or ERR_UNSUPPORTED with the note "bad <what>" or "<what> needs a newer version of varve". */
int err_verdict(enum cursor_verdict v, const char *what);

/* Is this about one object that is damaged or missing, and not about the system? */
bool err_is_damage(int rc);

/* The same, or the last failure of this thread was a medium that cannot be read (EIO); another errno tells of the system or of rights. */
bool err_is_lost(int rc);

/* Exit status of design: see `enum err`. */
int err_exit_status(int rc);

#endif
