#include "cmd/report.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "format/name.h"
#include "sys/clock.h"

#define EVERY_NS (CLOCK_NS / 5)         /* between two progress lines */
#define ETA_AFTER_NS (2 * CLOCK_NS)     /* an earlier guess is worth nothing */
#define COLUMNS_DEFAULT 80
#define WIDE 0x1100u                    /* first code point that may take two columns */

void
report_init(struct report *rp)
{
	*rp = (struct report){ .terminal = isatty(STDERR_FILENO) == 1 };
}

void
report_clear(struct report *rp)
{
	if (!rp->line)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	rp->line = false;
}

/* Without memory: what fits, and nothing that could be unsafe. */
static void __attribute__((format(printf, 1, 0)))
talk_short(const char *fmt, va_list ap)
{
	char text[512] = "varve: ";
	int len = vsnprintf(text + 7, sizeof(text) - 8, fmt, ap);

	if (len < 0)
		snprintf(text + 7, sizeof(text) - 8, "out of memory");
	for (char *p = text; *p; p++)
		if ((uint8_t)*p < 0x20 || (uint8_t)*p >= 0x7f)
			*p = '?';
	strcat(text, "\n");
	(void)!write(STDERR_FILENO, text, strlen(text));
}

/* One line on stderr in one write, so that lines of several programs do not mix. */
static void __attribute__((format(printf, 2, 0)))
talk(struct report *rp, const char *fmt, va_list ap)
{
	struct mem_buf line = { 0 };
	char *text = NULL;
	va_list again;
	int len;

	va_copy(again, ap);
	len = vasprintf(&text, fmt, ap);
	report_clear(rp);
	if (len >= 0 && !mem_buf_add(&line, "varve: ", 7) && !text_printable(&line, text,
	    (size_t)len) &&
	    !mem_buf_add(&line, "\n", 1))
		fwrite(line.p, 1, line.len, stderr);
	else
		talk_short(fmt, again);
	va_end(again);
	if (len >= 0)
		free(text);
	mem_buf_clear(&line);
}

void
report_talk(struct report *rp, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	talk(rp, fmt, ap);
	va_end(ap);
}

void
report_info(struct report *rp, const char *fmt, ...)
{
	va_list ap;

	if (rp->quiet)
		return;
	va_start(ap, fmt);
	talk(rp, fmt, ap);
	va_end(ap);
}

void
report_out(struct report *rp, const char *fmt, ...)
{
	va_list ap;

	report_clear(rp);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
}

void
report_out_bytes(struct report *rp, const void *p, size_t len)
{
	report_clear(rp);
	fwrite(p, 1, len, stdout);
}

void
report_out_name(struct report *rp, const void *name, size_t len)
{
	struct mem_buf safe = { 0 };

	report_clear(rp);
	if (text_printable(&safe, name, len))
		rp->broken = true;
	else if (safe.len)
		fwrite(safe.p, 1, safe.len, stdout);
	mem_buf_clear(&safe);
}

/*
 * JSON text is valid UTF-8; what may harm a terminal stands inside of strings and all of it below
 * U+10000.
 */
static void
put_json_text(const char *text)
{
	const uint8_t *p = (const uint8_t *)text;
	size_t left = strlen(text), n;
	uint32_t code = 0;

	for (; left; p += n, left -= n) {
		n = text_utf8_next(p, left, &code);
		if (n && !text_is_unsafe(code))
			fwrite(p, 1, n, stdout);
		else
			printf("\\u%04x", n ? (unsigned)code : 0xfffdu);
		n = n ? n : 1;
	}
}

void
report_json(struct report *rp, json_t *obj)
{
	char *text = obj ? json_dumps(obj, JSON_COMPACT | JSON_REAL_PRECISION(12)) : NULL;

	report_clear(rp);
	if (text) {
		put_json_text(text);
		putchar('\n');
	} else {
		rp->broken = true;
	}
	free(text);
	json_decref(obj);
}

static void
set(struct report *rp, json_t *obj, const char *key, json_t *value)
{
	if (json_object_set_new(obj, key, value))
		rp->broken = true;
}

void
report_set_name(struct report *rp, json_t *obj, const char *key, const void *name, size_t len)
{
	struct mem_buf repaired = { 0 };
	char key64[64], *text;

	if (text_is_utf8(name, len)) {
		set(rp, obj, key, json_stringn(name, len));
		return;
	}
	text = malloc(TEXT_BASE64_MAX(len));
	if (text && text_repair_utf8(&repaired, name, len) == OK) {
		text_base64(text, name, len);
		snprintf(key64, sizeof(key64), "%s_b64", key);
		set(rp, obj, key, json_stringn((const char *)repaired.p, repaired.len));
		set(rp, obj, key64, json_string(text));
	} else {
		rp->broken = true;
	}
	mem_buf_clear(&repaired);
	free(text);
}

void
report_set_number(struct report *rp, json_t *obj, const char *key, uint64_t n)
{
	set(rp, obj, key, json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n));
}

void
report_set_text(struct report *rp, json_t *obj, const char *key, const char *text)
{
	if (text)
		report_set_name(rp, obj, key, text, strlen(text));
	else
		set(rp, obj, key, json_null());
}

void
report_set_flag(struct report *rp, json_t *obj, const char *key, bool on)
{
	set(rp, obj, key, json_boolean(on));
}

void
report_set_time(struct report *rp, json_t *obj, const char *key, int64_t ns)
{
	char buf[TEXT_TIME_MAX];

	set(rp, obj, key, json_string(text_time_utc(buf, ns)));
}

void
report_set_seconds(struct report *rp, json_t *obj, const char *key, int64_t ns)
{
	/* Milliseconds: more digits would only be noise. */
	set(rp, obj, key, json_real((double)(ns / 1000000) / 1000.0));
}

void
report_set_sid(struct report *rp, json_t *obj, const char *key, const struct name_sid *sid)
{
	char hex[NAME_SID_HEX];

	name_sid_hex(sid, hex);
	set(rp, obj, key, name_sid_is_zero(sid) ? json_null() : json_string(hex));
}

static int __attribute__((format(printf, 2, 3)))
add(struct mem_buf *b, const char *fmt, ...)
{
	char text[96];
	int n;
	va_list ap;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0)
		return OK;
	return mem_buf_add(b, text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1);
}

static int
add_bytes(struct mem_buf *b, const struct report_progress *p, int64_t elapsed_ns)
{
	char done[TEXT_SIZE_MAX], total[TEXT_SIZE_MAX], rate[TEXT_SIZE_MAX], eta[TEXT_SIZE_MAX];
	double per_ns = elapsed_ns > 0 ? (double)p->bytes / (double)elapsed_ns : 0;
	int rc;

	text_size(done, p->bytes);
	text_size(rate, (uint64_t)(per_ns * (double)CLOCK_NS));
	if (!p->bytes_total)
		return add(b, "  %s  %s/s", done, rate);
	text_size(total, p->bytes_total);
	rc = add(b, "  %s of %s  %s/s", done, total, rate);
	if (rc == OK && per_ns > 0 && elapsed_ns >= ETA_AFTER_NS && p->bytes <= p->bytes_total)
		rc = add(b, "  %s left", text_duration(eta,
		    (int64_t)((double)(p->bytes_total - p->bytes) / per_ns)));
	return rc;
}

/* Length of the part of the line that fits into so many columns. */
static size_t
fit(const uint8_t *p, size_t len, size_t columns)
{
	size_t i = 0, n;
	uint32_t code = 0;

	while (i < len) {
		size_t width;

		n = text_utf8_next(p + i, len - i, &code);
		width = n && code >= WIDE ? 2 : 1;
		if (width > columns)
			break;
		columns -= width;
		i += n ? n : 1;
	}
	return i;
}

static size_t
columns(void)
{
	struct winsize ws;

	return ioctl(STDERR_FILENO, TIOCGWINSZ, &ws) == 0 && ws.ws_col > 10 ? ws.ws_col :
	    COLUMNS_DEFAULT;
}

void
report_progress(struct report *rp, const struct report_progress *p)
{
	int64_t now;
	struct mem_buf b = { 0 };
	int rc;

	if (!rp->terminal || rp->quiet)
		return;
	now = clock_steady_ns();
	if (!rp->begun_ns)
		rp->begun_ns = now;
	if (rp->shown_ns && now - rp->shown_ns < EVERY_NS)
		return;
	rp->shown_ns = now;
	rc = add(&b, "%s", p->verb);
	if (rc == OK && p->items_total)
		rc = add(&b, "  %ju of %ju files", (uintmax_t)p->items, (uintmax_t)p->items_total);
	else if (rc == OK)
		rc = add(&b, "  %ju files", (uintmax_t)p->items);
	if (rc == OK)
		rc = add_bytes(&b, p, now - rp->begun_ns);
	if (rc == OK && p->errors)
		rc = add(&b, "  %ju errors", (uintmax_t)p->errors);
	if (rc == OK && p->path) {
		rc = mem_buf_add(&b, "  ", 2);
		rc = rc ? rc : text_printable(&b, p->path, strlen(p->path));
	}
	if (rc == OK) {
		fputs("\r\033[K", stderr);
		fwrite(b.p, 1, fit(b.p, b.len, columns() - 1), stderr);
		fflush(stderr);
		rp->line = true;
	}
	mem_buf_clear(&b);
}

bool
report_is_unread(void)
{
	struct pollfd p = { .fd = STDOUT_FILENO };

	return poll(&p, 1, 0) > 0 && (p.revents & POLLERR);
}

int
report_check(struct report *rp)
{
	(void)rp;
	if (!ferror(stdout))
		return OK;
	errno = report_is_unread() ? EPIPE : EIO;
	return fail_io("cannot write to standard output");
}

int
report_finish(struct report *rp)
{
	report_clear(rp);
	errno = 0;
	if (fflush(stdout) != 0)
		return fail_io("cannot write to standard output");
	if (ferror(stdout))
		return fail(ERR_IO, "cannot write to standard output");
	return rp->broken ? fail(ERR_NOMEM, "out of memory for the output") : OK;
}
