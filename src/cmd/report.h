/*
 * report: everything a command says: data on stdout (text or JSON), talk and progress on
 *         stderr.  Names of files go out only through these functions, so that no control character
 *         of a name reaches a terminal.
 */
#ifndef CMD_REPORT_H
#define CMD_REPORT_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct report {
	bool json, quiet;
	bool terminal;                  /* stderr is one: progress is shown */
	bool line;                      /* a progress line stands on the terminal */
	bool broken;                    /* something could not be rendered: out of memory */
	int64_t begun_ns, shown_ns;     /* steady clock: first and latest progress; 0: none yet */
};

void report_init(struct report *rp);

/* A line on stderr: "varve: " and the text, made printable. */
void report_talk(struct report *rp, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The same, left out with --quiet. */
void report_info(struct report *rp, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Text to stdout as it is (no names in it), and the bytes of a name made printable. */
void report_out(struct report *rp, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void report_out_bytes(struct report *rp, const void *p, size_t len);    /* printable already */
void report_out_name(struct report *rp, const void *name, size_t len);

/*
 * One JSON value and a newline on stdout.  Owns: takes obj; NULL (out of memory) makes
 * report_finish fail.
 */
void report_json(struct report *rp, json_t *obj);

/* obj[key] = the name; when it is not UTF-8 also obj[key_b64] = its bytes. */
void report_set_name(struct report *rp, json_t *obj, const char *key, const void *name, size_t len);

/* obj[key] = n, text, RFC 3339 time, or 32 hex digits of an id (null when zero). */
void report_set_number(struct report *rp, json_t *obj, const char *key, uint64_t n);
void report_set_text(struct report *rp, json_t *obj, const char *key, const char *text);
void report_set_flag(struct report *rp, json_t *obj, const char *key, bool on);
void report_set_time(struct report *rp, json_t *obj, const char *key, int64_t ns);
void report_set_seconds(struct report *rp, json_t *obj, const char *key, int64_t ns);

struct name_sid;
void report_set_sid(struct report *rp, json_t *obj, const char *key, const struct name_sid *sid);

/* What a progress line shows; zeros and NULL are left out. */
struct report_progress {
	const char *verb;               /* "storing", "restoring" */
	uint64_t items, items_total;    /* files */
	uint64_t bytes, bytes_total;
	uint64_t errors;
	const char *path;
};

/*
 * Show or renew the progress line: at most five times a second, only on a terminal, never with
 * --quiet.
 */
void report_progress(struct report *rp, const struct report_progress *p);

/* Remove the progress line, if there is one. */
void report_clear(struct report *rp);

/*
 * ERR_IO when stdout refused something.  Loops that print ask it now and then, so that a closed
 * pipe ends them.
 */
int report_check(struct report *rp) __attribute__((warn_unused_result));

/* Standard output is a pipe that nobody reads any more. */
bool report_is_unread(void);

/* At the end: clear the line, flush stdout.  ERR_IO or ERR_NOMEM when not everything came out. */
int report_finish(struct report *rp) __attribute__((warn_unused_result));

#endif
