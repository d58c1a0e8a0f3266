/*
 * prop_mend REPO COUNT [SEED] | REPO all [PART OF]: each bit of each object of a repository flipped, each object cut at each length,
 * removed, or replaced by another one of its kind; each time scrub finds it and, with repair, everything is as it was, to the byte.
 * REPO has parity, and nobody else uses it; it is as it was in the end.
 *
 * Lost if it failed: a file, to a bit that parity was there to bring back.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "ops/scrub.h"
#include "sys/io.h"

#define OBJECTS_MAX 512
#define PATH_CAP 512

enum fault { FLIP, CUT, GONE, SWAP, FAULTS };

static const char *const fault_names[FAULTS] = { "flipped", "cut", "removed", "replaced" };

struct object {
	char path[PATH_CAP];            /* in the repository, which is the working directory */
	uint8_t *bytes;
	size_t len;
};

struct run {
	struct io *io;
	struct object o[OBJECTS_MAX];
	size_t count;
	uint64_t places;                /* bits, lengths but its own, removal, a swap: of all objects */
	unsigned long tried, failed;
};

static void
die(const char *what)
{
	printf("# %s: ", what);
	fflush(stdout);
	perror("");
	exit(1);
}

static uint8_t *
read_whole(const char *path, size_t *len)
{
	struct stat st;
	uint8_t *p = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	*len = 0;
	if (fd < 0)
		return NULL;
	if (fstat(fd, &st) == 0 && (p = malloc((size_t)st.st_size + 1)) != NULL && read(fd, p, (size_t)st.st_size) == st.st_size)
		*len = (size_t)st.st_size;
	close(fd);
	return p;
}

static void
write_whole(const char *path, const uint8_t *p, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, p, len) != (ssize_t)len || close(fd))
		die(path);
}

static bool
is_sidecar(const struct object *o)
{
	return strncmp(o->path, "parity/", 7) == 0;
}

/* Every object that has a sidecar, and the sidecars. */
static void
list(struct run *u, const char *dir)
{
	static const char *const not[] = { ".", "..", "locks", "reserve", "tmp", "damaged", "pins", "verified" };
	DIR *d = opendir(dir[0] ? dir : ".");
	struct dirent *e;

	if (!d)
		die(dir);
	while ((e = readdir(d)) != NULL) {
		struct object *o = &u->o[u->count];
		struct stat st;
		bool skip = strncmp(e->d_name, "data-", 5) == 0;

		for (size_t i = 0; i < sizeof(not) / sizeof(not[0]); i++)
			skip = skip || strcmp(e->d_name, not[i]) == 0;
		if (skip)
			continue;
		if (u->count == OBJECTS_MAX || snprintf(o->path, PATH_CAP, "%s%s%s", dir, dir[0] ? "/" : "", e->d_name) >= PATH_CAP ||
		    lstat(o->path, &st))
			die(e->d_name);
		if (S_ISDIR(st.st_mode)) {
			char path[PATH_CAP];

			snprintf(path, sizeof(path), "%s", o->path);
			list(u, path);
			continue;
		}
		o->bytes = read_whole(o->path, &o->len);
		if (!o->bytes)
			die(o->path);
		u->count++;
		u->places += 9 * (uint64_t)o->len + 2;
	}
	closedir(d);
}

/* What damaged/ keeps goes; how many there were. */
static unsigned
set_aside(void)
{
	DIR *d = opendir("damaged");
	struct dirent *e;
	unsigned n = 0;

	while (d && (e = readdir(d)) != NULL)
		if (e->d_name[0] != '.' && unlinkat(dirfd(d), e->d_name, 0) == 0)
			n++;
	if (d)
		closedir(d);
	return n;
}

/* A record that was lost comes back as a snapshot: its sidecar does not know whether it was forgotten, and a snapshot is safe. */
static void
forget_again(const struct object *o)
{
	char path[PATH_CAP];

	if (strncmp(o->path, "forgotten/", 10) != 0 || access(o->path, F_OK) == 0)
		return;
	snprintf(path, sizeof(path), "snapshots/%s", o->path + 10);
	(void)rename(path, o->path);
}

/* Puts right what is not as it was; true when nothing had to be. */
static bool
put_back(struct run *u, const struct object *only)
{
	bool same = true;

	for (size_t i = 0; i < u->count; i++) {
		const struct object *o = &u->o[i];
		size_t len;
		uint8_t *p;

		if (only && o != only)
			continue;
		forget_again(o);
		p = read_whole(o->path, &len);
		if (!p || len != o->len || memcmp(p, o->bytes, len) != 0) {
			same = false;
			write_whole(o->path, o->bytes, o->len);
		}
		free(p);
	}
	return same;
}

/* Of a sealed object neither it nor a sidecar that is not whole is proven without the key; none at all is no damage. */
static bool
is_provable(const struct object *o, enum fault fault, uint64_t at)
{
	bool keyless = strncmp(o->path, "parity/packs/", 13) == 0 || !is_sidecar(o);

	return fault == FLIP || (keyless && !(is_sidecar(o) && (fault == GONE || (fault == CUT && at == 0))));
}

static void
attempt(struct run *u, const struct object *o, enum fault fault, uint64_t at)
{
	const struct scrub_options find = { .jobs = 1 }, mend = { .jobs = 1, .repair = true };
	const struct object *other = &u->o[(size_t)(o - u->o + 1) % u->count];
	struct scrub_stats s;
	int found = ERR_CORRUPT, rc;
	unsigned aside;
	uint8_t byte;

	if (!is_provable(o, fault, at))
		return;
	u->tried++;
	if (fault == FLIP) {
		int fd = open(o->path, O_WRONLY | O_CLOEXEC);

		byte = (uint8_t)(o->bytes[at / 8] ^ 1u << at % 8);
		if (fd < 0 || pwrite(fd, &byte, 1, (off_t)(at / 8)) != 1 || close(fd))
			die(o->path);
	} else if (fault == CUT) {
		if (truncate(o->path, (off_t)at))
			die(o->path);
	} else if (fault == GONE) {
		if (unlink(o->path))
			die(o->path);
	} else {
		write_whole(o->path, other->bytes, other->len);
	}
	if (u->tried % 8 == 0)          /* what repair mends it has found; now and then the other mode, too */
		found = scrub_run(u->io, &find, &s);
	rc = scrub_run(u->io, &mend, &s);
	aside = set_aside();
	if (put_back(u, u->tried % 64 ? o : NULL) && found == ERR_CORRUPT && rc == OK && s.repaired == 1 &&
	    aside == (fault != GONE && !is_sidecar(o)))
		return;
	u->failed++;
	printf("# %s %s at %ju: found %d, repair %d, %ju repaired, %u set aside: %s\n", o->path, fault_names[fault], (uintmax_t)at, found, rc,
	    (uintmax_t)s.repaired, aside, rc ? err_text() : "");
}

/* Place number n of all objects together. */
static void
one(struct run *u, uint64_t n)
{
	const struct object *o = u->o;

	for (; n >= 9 * (uint64_t)o->len + 2; o++)
		n -= 9 * (uint64_t)o->len + 2;
	if (n < 8 * (uint64_t)o->len)
		attempt(u, o, FLIP, n);
	else if ((n -= 8 * (uint64_t)o->len) < o->len)
		attempt(u, o, CUT, n);
	else
		attempt(u, o, n == o->len ? GONE : SWAP, 0);
}

int
main(int argc, char **argv)
{
	bool all = argc > 2 && strcmp(argv[2], "all") == 0;
	uint64_t part = all && argc > 4 ? strtoull(argv[3], NULL, 0) : 0, of = all && argc > 4 ? strtoull(argv[4], NULL, 0) : 1;
	struct run *u = calloc(1, sizeof(*u));
	bool failed;

	if (!u || argc < 3 || chdir(argv[1]) || io_posix_new(".", false, &u->io)) {
		fprintf(stderr, "usage: prop_mend REPO COUNT [SEED] | REPO all [PART OF]\n");
		return 1;
	}
	list(u, "");
	for (size_t i = 0; i < u->count && !all; i++) {
		attempt(u, &u->o[i], GONE, 0);
		attempt(u, &u->o[i], SWAP, 0);
	}
	if (all)
		for (uint64_t n = part; n < u->places; n += of)
			one(u, n);
	else
		for (uint64_t left = strtoull(argv[2], NULL, 0), x = argc > 3 ? strtoull(argv[3], NULL, 0) : 1; left > 0; left--)
			one(u, (x = x * 6364136223846793005u + 1442695040888963407u) % u->places);
	if (!put_back(u, NULL)) {
		printf("# something else was changed\n");
		u->failed++;
	}
	printf("%sok - %lu of %ju places in %zu objects\n", u->failed ? "not " : "", u->tried, (uintmax_t)u->places, u->count);
	for (size_t i = 0; i < u->count; i++)
		free(u->o[i].bytes);
	io_free(u->io);
	failed = u->failed > 0;
	free(u);
	return failed;
}
