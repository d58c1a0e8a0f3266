#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define NOTE_CAP 1024

/* The one exception to "no mutable file-scope data": each thread's last note. */
static _Thread_local struct {
	char text[NOTE_CAP];
	int sys_errno;
} note;

/* Names in notes may hold anything; a terminal must not obey them. */
static void
note_clean(char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
}

static void __attribute__((format(printf, 1, 0)))
note_set(const char *fmt, va_list ap)
{
	vsnprintf(note.text, sizeof(note.text), fmt, ap);
	note_clean(note.text);
}

void
err_note(int code, const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	(void)code;
	(void)file;
	(void)line;
	note.sys_errno = 0;
	va_start(ap, fmt);
	note_set(fmt, ap);
	va_end(ap);
}

int
err_note_io(const char *file, int line, const char *fmt, ...)
{
	int saved = errno;
	size_t len;
	va_list ap;

	(void)file;
	(void)line;
	va_start(ap, fmt);
	note_set(fmt, ap);
	va_end(ap);
	len = strlen(note.text);
	snprintf(note.text + len, sizeof(note.text) - len, ": %s", strerror(saved));
	note.sys_errno = saved;
	errno = saved;
	switch (saved) {
	case ENOENT:
		return ERR_ABSENT;
	case EEXIST:
		return ERR_EXISTS;
	case ENOMEM:
		return ERR_NOMEM;
	default:
		return ERR_IO;
	}
}

int
err_context(int rc, const char *fmt, ...)
{
	char old[NOTE_CAP];
	size_t len;
	va_list ap;

	if (rc >= 0)
		return rc;
	memcpy(old, note.text, sizeof(old));
	va_start(ap, fmt);
	note_set(fmt, ap);
	va_end(ap);
	len = strlen(note.text);
	snprintf(note.text + len, sizeof(note.text) - len, ": %s", old);
	return rc;
}

const char *
err_text(void)
{
	return note.text;
}

int
err_errno(void)
{
	return note.sys_errno;
}

void
err_set(int code, const char *text)
{
	(void)code;
	note.sys_errno = 0;
	snprintf(note.text, sizeof(note.text), "%s", text);
}

int
err_verdict(enum cursor_verdict v, const char *what)
{
	switch (v) {
	case CURSOR_OK:
		return OK;
	case CURSOR_UNSUPPORTED:
		return fail(ERR_UNSUPPORTED, "%s needs a newer version of varve", what);
	default:
		return fail(ERR_CORRUPT, "bad %s", what);
	}
}

void
err_set_errno(int sys_errno)
{
	note.sys_errno = sys_errno;
}

bool
err_is_damage(int rc)
{
	return rc == ERR_CORRUPT || rc == ERR_AUTH || rc == ERR_ABSENT;
}

bool
err_is_lost(int rc)
{
	return err_is_damage(rc) || (rc == ERR_IO && err_errno() == EIO);
}

int
err_exit_status(int rc)
{
	switch (rc) {
	case ERR_USAGE:
		return 2;
	case ERR_PARTIAL:
		return 3;
	case ERR_CORRUPT:
	case ERR_AUTH:
		return 4;
	case ERR_NOREPO:
		return 10;
	case ERR_LOCKED:
		return 11;
	case ERR_KEY:
		return 12;
	case ERR_INTERRUPTED:
		return 130;
	default:
		return rc < 0 ? 1 : 0;
	}
}
