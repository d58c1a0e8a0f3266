#include <inttypes.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/text.h"
#include "tools/dump.h"

void
dump_line(const char *label, const char *value)
{
	printf("%-18s %s\n", label, value);
}

void
dump_number(const char *label, uint64_t n)
{
	printf("%-18s %" PRIu64 "\n", label, n);
}

void
dump_hex(const char *label, const void *p, size_t len)
{
	char text[2 * 64 + 1];

	name_hex_bytes(p, len <= 64 ? len : 64, text);
	dump_line(label, text);
}

void
dump_when(const char *label, int64_t ns)
{
	char buf[TEXT_TIME_MAX];

	dump_line(label, text_time_utc(buf, ns));
}

/* Bytes that somebody else chose. */
void
dump_words(const char *label, const void *p, size_t len)
{
	struct mem_buf b = { 0 };

	if (text_printable(&b, p, len) || mem_buf_add(&b, "", 1)) {
		mem_buf_clear(&b);
		return;
	}
	dump_line(label, (const char *)b.p);
	mem_buf_clear(&b);
}

const char *
dump_fits(bool ok)
{
	return ok ? "fits" : "DOES NOT FIT";
}
