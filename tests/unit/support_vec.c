#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format/name.h"
#include "tests/unit/support_open.h"

static int
store_text(char *dst, size_t cap, const char *value)
{
	if (strlen(value) >= cap)
		return -1;
	strcpy(dst, value);
	return 0;
}

static int
header_line(struct support_vec *v, char *line)
{
	char *value = strstr(line, ": ");
	size_t n;

	if (value == NULL)
		return -1;
	*value = '\0';
	value += 2;
	n = strlen(value);
	if (strcmp(line, "record") == 0)
		return store_text(v->record, sizeof(v->record), value);
	if (strcmp(line, "expect") == 0)
		return store_text(v->expect, sizeof(v->expect), value);
	if (strcmp(line, "rule") == 0)
		return store_text(v->rule, sizeof(v->rule), value);
	if (strcmp(line, "name") == 0)
		return store_text(v->name, sizeof(v->name), value);
	if (strcmp(line, "comment") == 0)
		return 0;
	if (strcmp(line, "master") == 0)
		return name_unhex_bytes(v->master, 32, value) ? 0 : -1;
	if (strcmp(line, "repo") == 0)
		return name_unhex_bytes(v->repo, 160, value) ? 0 : -1;
	if (strcmp(line, "secret") != 0 || n / 2 > sizeof(v->secret))
		return -1;
	v->has_secret = 1;
	v->secret_len = n / 2;
	return name_unhex_bytes(v->secret, n / 2, value) ? 0 : -1;
}

static int
body_line(struct support_vec *v, const char *line)
{
	size_t n = strlen(line);

	if (n == 0 || n % 2 != 0 || n > 64 ||
	    n / 2 > sizeof(v->body) - v->len ||
	    !name_unhex_bytes(v->body + v->len, n / 2, line))
		return -1;
	v->len += n / 2;
	return 0;
}

int
support_load(struct support_vec *v, const char *path)
{
	FILE *f = fopen(path, "r");
	int rc = 0, in_body = 0;
	char line[1024];

	memset(v, 0, sizeof(*v));
	if (f == NULL)
		return -1;
	while (rc == 0 && fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (!in_body && line[0] == '\0')
			in_body = 1;
		else
			rc = in_body ? body_line(v, line) : header_line(v, line);
	}
	fclose(f);
	return in_body ? rc : -1;
}
