/* text: numbers, times and names as people read and write them. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

#define TEXT_SIZE_MAX 24                /* room for what text_size and text_duration write */
#define TEXT_TIME_MAX 48

/* "0 B", "1023 B", "1.0 KiB", "12.3 MiB", "456 GiB": at most four digits.  Returns buf. */
const char *text_size(char buf[static TEXT_SIZE_MAX], uint64_t bytes);

/* "1234".  Returns buf. */
const char *text_number(char buf[static TEXT_SIZE_MAX], uint64_t n);

/*
 * "64", "64K", "1.5G", "10MiB", "2TB": all powers of 1024, case does not matter.  ERR_USAGE
 * otherwise or past 2^64 - 1.
 */
int text_parse_size(const char *text, uint64_t *bytes) __attribute__((warn_unused_result));

/* "0.12 s", "59.4 s", "3 min 12 s", "2 h 05 min", "3 d 04 h".  Returns buf. */
const char *text_duration(char buf[static TEXT_SIZE_MAX], int64_t ns);

/*
 * "45s", "90m", "3h", "2d12h", "1w": units s, m, h, d (24 hours), w, each at most once, from large
 * to small.  ERR_USAGE otherwise.
 */
int text_parse_duration(const char *text, int64_t *ns) __attribute__((warn_unused_result));

/* What a noun ends in after the number n: "" or "s". */
const char *text_plural(uint64_t n);

/* Decimal digits only.  ERR_USAGE otherwise. */
int text_parse_number(const char *text, uint64_t *n) __attribute__((warn_unused_result));

/* "2026-11-20 09:00:00" in the local zone.  Returns buf. */
const char *text_time(char buf[static TEXT_TIME_MAX], int64_t ns);

/* RFC 3339 in UTC with nanoseconds: "2026-11-20T08:00:00.000000000Z".  Returns buf. */
const char *text_time_utc(char buf[static TEXT_TIME_MAX], int64_t ns);

/*
 * Length of the UTF-8 sequence at p, 0 when it is malformed (overlong, surrogate, above U+10FFFF,
 * cut off).
 * Shape: left > 0 bytes at p.  *code may be NULL.
 */
size_t text_utf8_next(const uint8_t *p, size_t left, uint32_t *code);
bool text_is_utf8(const void *p, size_t len);

/*
 * A character that must not reach a terminal: C0, DEL, C1, line separators, everything that changes
 * the direction of text.
 */
bool text_is_unsafe(uint32_t code);

/*
 * Append a form of the bytes that is safe on a terminal: every byte of an unsafe character and
 * every byte that is not UTF-8 becomes \xNN, all else stays as it is.  Meant for eyes: the form
 * cannot be turned back.
 */
int text_printable(struct mem_buf *out, const void *p,
    size_t len) __attribute__((warn_unused_result));

/* Valid UTF-8 of the bytes: whatever is not becomes U+FFFD. */
int text_repair_utf8(struct mem_buf *out, const void *p,
    size_t len) __attribute__((warn_unused_result));

/* Room for the base64 form of n bytes, the final zero included. */
#define TEXT_BASE64_MAX(n) (((n) + 2) / 3 * 4 + 1)

/* RFC 4648 with padding and a final zero. */
void text_base64(char *out, const void *p, size_t len);

/*
 * Insertions, deletions, exchanges and swaps of neighbours that turn a into b; texts longer than 40
 * bytes are far from everything.
 */
unsigned text_distance(const char *a, const char *b);

#endif
