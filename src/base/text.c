#include "base/text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/err.h"

#define NS 1000000000ll

/* n in decimal, with leading zeros up to `width` digits; the end of it. */
static char *
put_digits(char *p, uint64_t n, unsigned width)
{
	char digits[20];
	unsigned len = 0;

	do {
		digits[len++] = (char)('0' + n % 10);
		n /= 10;
	} while (n || len < width);
	while (len)
		*p++ = digits[--len];
	return p;
}

const char *
text_number(char buf[static TEXT_SIZE_MAX], uint64_t n)
{
	*put_digits(buf, n, 1) = 0;
	return buf;
}

const char *
text_size(char buf[static TEXT_SIZE_MAX], uint64_t bytes)
{
	static const char *const unit[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	uint64_t whole = bytes, tenths;
	size_t u = 0;
	char *p;

	if (bytes < 1024) {
		memcpy(put_digits(buf, bytes, 1), " B", 3);
		return buf;
	}
	/* Rounded in units of 1/1024 of the next one: 1023.96 KiB must become 1.0 MiB. */
	while (whole >= 1024 * 1024 - 512) {
		whole /= 1024;
		u++;
	}
	tenths = (whole * 10 + 512) / 1024;
	if (tenths < 1000) {
		p = put_digits(buf, tenths / 10, 1);
		*p++ = '.';
		p = put_digits(p, tenths % 10, 1);
	} else {
		p = put_digits(buf, (whole + 512) / 1024, 1);
	}
	*p++ = ' ';
	memcpy(p, unit[u], 4);
	return buf;
}

/* log2 of a size's unit; -1 when there is no such unit. */
static int
size_shift(const char *unit)
{
	static const char letters[] = "KMGTPE";
	const char *at;

	if (!*unit || ((unit[0] == 'B' || unit[0] == 'b') && !unit[1]))
		return 0;
	at = strchr(letters, toupper((unsigned char)unit[0]));
	if (!at)
		return -1;
	unit++;
	if (*unit == 'i' || *unit == 'I')
		unit++;
	if (*unit == 'b' || *unit == 'B')
		unit++;
	return *unit ? -1 : (int)(at - letters + 1) * 10;
}

/* Digits at *s as a number; *s moves behind them. */
static bool
digits(const char **s, uint64_t *n)
{
	const char *p = *s;

	for (*n = 0; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(*n, 10u, n) || __builtin_add_overflow(*n,
		    (uint64_t)(*p - '0'), n))
			return false;
	if (p == *s)
		return false;
	*s = p;
	return true;
}

int
text_parse_size(const char *text, uint64_t *bytes)
{
	const char *s = text;
	uint64_t whole, part = 0, scale = 1;
	int shift;

	if (!digits(&s, &whole))
		return fail(ERR_USAGE, "'%s' is not a size (examples: 4096, 64K, 1.5G)", text);
	if (*s == '.')
		for (s++; *s >= '0' && *s <= '9'; s++)
			if (scale < 1000000) {
				part = part * 10 + (uint64_t)(*s - '0');
				scale *= 10;
			}
	while (*s == ' ')
		s++;
	shift = size_shift(s);
	if (shift < 0 || (scale > 1 && !shift))
		return fail(ERR_USAGE, "'%s' is not a size (examples: 4096, 64K, 1.5G)", text);
	if (whole > UINT64_MAX >> shift)
		return fail(ERR_USAGE, "'%s' is too large", text);
	whole <<= shift;
	/* part < scale <= 10^6, so that only the large units need the division first. */
	part = shift > 40 ? (part << 40) / scale << (shift - 40) : (part << shift) / scale;
	*bytes = whole + part;
	return OK;
}

const char *
text_duration(char buf[static TEXT_SIZE_MAX], int64_t ns)
{
	int64_t s = ns / NS, hundredths;

	if (ns < 0)
		ns = s = 0;
	hundredths = s < 100 ? (ns + NS / 200) / (NS / 100) : s * 100;
	if (hundredths < 1000)
		snprintf(buf, TEXT_SIZE_MAX, "%d.%02d s", (int)(hundredths / 100),
		    (int)(hundredths % 100));
	else if (hundredths < 6000)
		snprintf(buf, TEXT_SIZE_MAX, "%d.%d s", (int)(hundredths / 100),
		    (int)(hundredths % 100 / 10));
	else if (s < 3600)
		snprintf(buf, TEXT_SIZE_MAX, "%d min %02d s", (int)(s / 60), (int)(s % 60));
	else if (s < 86400)
		snprintf(buf, TEXT_SIZE_MAX, "%d h %02d min", (int)(s / 3600), (int)(s / 60 % 60));
	else
		snprintf(buf, TEXT_SIZE_MAX, "%lld d %02d h", (long long)(s / 86400),
		    (int)(s / 3600 % 24));
	return buf;
}

int
text_parse_duration(const char *text, int64_t *ns)
{
	static const char letters[] = "wdhms";
	static const int64_t seconds[] = { 7 * 86400, 86400, 3600, 60, 1 };
	const char *s = text, *next = letters, *at;
	uint64_t n;
	int64_t step, sum = 0;

	do {
		if (!digits(&s, &n) || !*s || !(at = strchr(letters, *s)) || at < next)
			return fail(ERR_USAGE,
			    "'%s' is not a duration (examples: 45s, 90m, 3h, 2d12h, 1w)", text);
		if (n > (uint64_t)(INT64_MAX / NS / seconds[at - letters]))
			return fail(ERR_USAGE, "'%s' is too long", text);
		step = (int64_t)n * seconds[at - letters] * NS;
		if (__builtin_add_overflow(sum, step, &sum))
			return fail(ERR_USAGE, "'%s' is too long", text);
		next = at + 1;
	} while (*++s);
	*ns = sum;
	return OK;
}

const char *
text_plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

int
text_parse_number(const char *text, uint64_t *n)
{
	const char *s = text;

	if (!digits(&s, n) || *s)
		return fail(ERR_USAGE, "'%s' is not a number", text);
	return OK;
}

/* Seconds and nanoseconds of a time, the latter never negative. */
static time_t
split_time(int64_t ns, long *rest)
{
	int64_t t = ns / NS;

	*rest = (long)(ns % NS);
	if (*rest < 0) {
		*rest += NS;
		t--;
	}
	return (time_t)t;
}

/* n < 100. */
static char *
put_two(char *p, int n)
{
	*p++ = (char)('0' + n / 10);
	*p++ = (char)('0' + n % 10);
	return p;
}

/* Its date and time of the day, with `between` between them; the end of it.  No time in nanoseconds is beyond the years 1677 to 2262. */
static char *
put_time(char *p, const struct tm *tm, char between)
{
	int year = tm->tm_year + 1900;

	p = put_two(put_two(p, year / 100), year % 100);
	*p++ = '-';
	p = put_two(p, tm->tm_mon + 1);
	*p++ = '-';
	p = put_two(p, tm->tm_mday);
	*p++ = between;
	p = put_two(p, tm->tm_hour);
	*p++ = ':';
	p = put_two(p, tm->tm_min);
	*p++ = ':';
	p = put_two(p, tm->tm_sec);
	*p = 0;
	return p;
}

const char *
text_time(char buf[static TEXT_TIME_MAX], int64_t ns)
{
	struct tm tm;
	long rest;
	time_t t = split_time(ns, &rest);

	if (localtime_r(&t, &tm))
		put_time(buf, &tm, ' ');
	else
		memcpy(buf, "?", 2);
	return buf;
}

const char *
text_time_utc(char buf[static TEXT_TIME_MAX], int64_t ns)
{
	struct tm tm;
	long rest;
	time_t t = split_time(ns, &rest);
	char *p;

	if (!gmtime_r(&t, &tm)) {
		memcpy(buf, "?", 2);
		return buf;
	}
	p = put_time(buf, &tm, 'T');
	*p++ = '.';
	p = put_digits(p, (uint64_t)rest, 9);
	memcpy(p, "Z", 2);
	return buf;
}

size_t
text_utf8_next(const uint8_t *p, size_t left, uint32_t *code)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t c = p[0];
	size_t n = c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;

	if (!n || n > left)
		return 0;
	if (n > 1)
		c &= 0x7fu >> n;
	for (size_t i = 1; i < n; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3fu);
	}
	if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
		return 0;
	if (code)
		*code = c;
	return n;
}

bool
text_is_utf8(const void *p, size_t len)
{
	const uint8_t *b = p;
	size_t n;

	for (; len; b += n, len -= n)
		if (!(n = text_utf8_next(b, len, NULL)))
			return false;
	return true;
}

bool
text_is_unsafe(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e || c == 0x200f ||
	    (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x206f) || c == 0xfeff;
}

int
text_printable(struct mem_buf *out, const void *p, size_t len)
{
	static const char hex[] = "0123456789abcdef";
	const uint8_t *b = p;
	uint32_t code = 0;
	size_t n;
	int rc = OK;

	for (; len && rc == OK; b += n, len -= n) {
		for (n = 0; n < len && b[n] >= 0x20 && b[n] < 0x7f; n++)
			;
		if (n > 0) {                    /* nearly always all of it */
			rc = mem_buf_add(out, b, n);
			continue;
		}
		n = text_utf8_next(b, len, &code);
		if (n && !text_is_unsafe(code)) {
			rc = mem_buf_add(out, b, n);
			continue;
		}
		n = n ? n : 1;
		for (size_t i = 0; i < n && rc == OK; i++) {
			char esc[4] = { '\\', 'x', hex[b[i] >> 4], hex[b[i] & 15] };

			rc = mem_buf_add(out, esc, sizeof(esc));
		}
	}
	return rc;
}

int
text_repair_utf8(struct mem_buf *out, const void *p, size_t len)
{
	const uint8_t *b = p;
	size_t n;
	int rc = OK;

	for (; len && rc == OK; b += n, len -= n) {
		n = text_utf8_next(b, len, NULL);
		rc = n ? mem_buf_add(out, b, n) : mem_buf_add(out, "\xef\xbf\xbd", 3);
		n = n ? n : 1;
	}
	return rc;
}

void
text_base64(char *out, const void *p, size_t len)
{
	static const char digit[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *b = p;

	for (; len; b += len < 3 ? len : 3, len -= len < 3 ? len : 3) {
		uint32_t v = (uint32_t)b[0] << 16 | (len > 1 ? (uint32_t)b[1] << 8 : 0) | (len > 2 ?
		    b[2] : 0u);

		*out++ = digit[v >> 18];
		*out++ = digit[v >> 12 & 63];
		*out++ = len > 1 ? digit[v >> 6 & 63] : '=';
		*out++ = len > 2 ? digit[v & 63] : '=';
	}
	*out = 0;
}

#define DISTANCE_MAX 40

unsigned
text_distance(const char *a, const char *b)
{
	/* Three rows of the table: two before, one before, this. */
	unsigned row[3][DISTANCE_MAX + 1];
	size_t alen = strlen(a), blen = strlen(b);

	if (alen > DISTANCE_MAX || blen > DISTANCE_MAX)
		return DISTANCE_MAX;
	for (size_t j = 0; j <= blen; j++)
		row[0][j] = (unsigned)j;
	for (size_t i = 1; i <= alen; i++) {
		unsigned *cur = row[i % 3], *up = row[(i + 2) % 3], *upup = row[(i + 1) % 3];

		cur[0] = (unsigned)i;
		for (size_t j = 1; j <= blen; j++) {
			unsigned best = up[j - 1] + (a[i - 1] != b[j - 1]);

			if (up[j] + 1 < best)
				best = up[j] + 1;
			if (cur[j - 1] + 1 < best)
				best = cur[j - 1] + 1;
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] &&
			    upup[j - 2] + 1 < best)
				best = upup[j - 2] + 1;
			cur[j] = best;
		}
	}
	return row[alen % 3][blen];
}
