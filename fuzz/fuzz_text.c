/*
 * fuzz_text: sizes, durations, numbers, times and what is made safe to print.  What is printed is valid UTF-8 without control
 * characters; what names a snapshot never crashes whoever looks it up.
 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "ops/select.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
printable(const uint8_t *data, size_t size)
{
	struct mem_buf safe = { 0 };
	uint32_t code;
	size_t n;

	if (text_printable(&safe, data, size))
		abort();
	for (size_t at = 0; at < safe.len; at += n) {
		n = text_utf8_next(safe.p + at, safe.len - at, &code);
		if (n == 0 || text_is_unsafe(code))
			abort();
	}
	mem_buf_clear(&safe);
	if (text_repair_utf8(&safe, data, size) || !text_is_utf8(safe.p, safe.len))
		abort();
	mem_buf_clear(&safe);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct snapshots none = { .count = 0 };
	struct select_filter all = { .host_count = 0 };
	const struct snapshots_item *snap;
	char *text = malloc(size + 1), size_text[TEXT_SIZE_MAX];
	const char *path;
	uint64_t n, again;
	char *name;
	int64_t ns;

	if (!text)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	/* What is shown for whole units reads back. */
	if (text_parse_size(text, &n) == OK && n < 1024)
		if (text_parse_size(text_size(size_text, n), &again) == OK && again != n)
			abort();
	if (text_parse_duration(text, &ns) == OK)
		(void)text_duration(size_text, ns);
	(void)!text_parse_number(text, &n);
	if (select_split(text, &name, &path) == OK) {
		(void)!select_one(&none, &all, name, 1750000000000000000, &snap);
		free(name);
	}
	(void)text_distance(text, "snapshot");
	printable(data, size);
	free(text);
	return 0;
}
