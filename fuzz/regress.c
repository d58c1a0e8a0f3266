/*
 * regress DIR ...: run every file of the directories through the fuzz target
 * that this is linked with; no libFuzzer needed.  Of a test vector (*.vec) the
 * body is taken, whatever record it holds.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "format/name.h"

#define FILE_MAX (1u << 24)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Digits after the first empty line, in place. */
static size_t
vec_body(uint8_t *p)
{
	char *text = (char *)p, *line = strstr(text, "\n\n"), digits[3] = "";
	size_t n = 0;

	if (line == NULL)
		return 0;
	for (line += 2; line[0] != '\0' && line[1] != '\0';) {
		if (*line == '\n') {
			line++;
			continue;
		}
		memcpy(digits, line, 2);
		if (!name_unhex_bytes(p + n++, 1, digits))
			return 0;
		line += 2;
	}
	return n;
}

static int
run_file(const char *path)
{
	size_t n = strlen(path), len;
	uint8_t *p, *exact;
	struct stat st;
	FILE *f;

	if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return 0;
	f = fopen(path, "rb");
	p = malloc(FILE_MAX + 1);
	if (f == NULL || p == NULL) {
		perror(path);
		exit(1);
	}
	len = fread(p, 1, FILE_MAX, f);
	p[len] = '\0';
	fclose(f);
	if (n > 4 && strcmp(path + n - 4, ".vec") == 0)
		len = vec_body(p);
	exact = malloc(len + (len == 0));       /* a sanitizer sees one byte too far */
	if (exact == NULL)
		exit(1);
	memcpy(exact, p, len);
	LLVMFuzzerTestOneInput(exact, len);
	free(exact);
	free(p);
	return 1;
}

static int
run_dir(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	int count = 0;

	if (d == NULL) {
		perror(path);
		exit(1);
	}
	while ((e = readdir(d)) != NULL) {
		char file[4096];

		snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
		count += run_file(file);
	}
	closedir(d);
	return count;
}

int
main(int argc, char **argv)
{
	int count = 0;

	for (int i = 1; i < argc; i++)
		count += run_dir(argv[i]);
	printf("%d files\n", count);
	return count > 0 ? 0 : 1;
}
