/*
 * test_stream: files written past the page cache.  Lost if it failed: bytes of
 * a pack that are missing, twice or elsewhere, or a full disk nobody hears of.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail                             /* base/err.h has one too */

#include "base/err.h"
#include "sys/stream.h"
#include "tests/unit/support_store.h"

#define LEN (3 * STREAM_PIECE + 12345)

struct fixture {
	char path[64];
	int fd;
	uint8_t *p;
};

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->p = malloc(LEN);
	assert_non_null(f->p);
	support_store_bytes(f->p, LEN, 1);
	snprintf(f->path, sizeof(f->path), "test_stream-XXXXXX");
	f->fd = mkstemp(f->path);
	assert_true(f->fd >= 0);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	close(f->fd);
	unlink(f->path);
	free(f->p);
	free(f);
	return 0;
}

static struct stream *
begin(struct fixture *f)
{
	struct stream *s = stream_new(f->fd);

	if (!s)
		skip();                 /* not on this file system */
	return s;
}

static void
check_content(struct fixture *f, size_t len)
{
	uint8_t *back = malloc(LEN + 1);

	assert_non_null(back);
	assert_int_equal(pread(f->fd, back, LEN + 1, 0), len);
	assert_memory_equal(back, f->p, len);
	free(back);
}

/* Pieces of all lengths come together as they were; then the file takes more, as any does. */
static void
test_whole(void **state)
{
	static const size_t steps[] = { 1, 4095, 4096, 100001, STREAM_PIECE,
		STREAM_PIECE + 1, LEN };
	static const size_t lens[] = { 0, 1, STREAM_PIECE - 1, STREAM_PIECE,
		2 * STREAM_PIECE + 4096, LEN - 3 };
	struct fixture *f = *state;

	for (size_t i = 0; i < 42; i++) {
		size_t step = steps[i % 7], len = lens[i / 7], n;
		struct stream *s;

		if (step == 1 && len > STREAM_PIECE)
			continue;
		assert_int_equal(ftruncate(f->fd, 0), 0);
		assert_int_equal(lseek(f->fd, 0, SEEK_SET), 0);
		s = begin(f);
		for (size_t at = 0; at < len; at += n) {
			n = len - at < step ? len - at : step;
			assert_int_equal(stream_append(s, f->p + at, n), 0);
		}
		assert_int_equal(stream_end(s), 0);
		check_content(f, len);
		assert_int_equal(fcntl(f->fd, F_GETFL) & O_DIRECT, 0);
		assert_int_equal(write(f->fd, f->p + len, 3), 3);
		check_content(f, len + 3);
		stream_free(s);
	}
}

/* The whole pieces did pass by the page cache. */
static void
test_not_cached(void **state)
{
	struct fixture *f = *state;
	struct stream *s = begin(f);
	unsigned char *pages;
	size_t page = (size_t)sysconf(_SC_PAGESIZE), in = 0;
	void *map;

	assert_int_equal(stream_append(s, f->p, LEN), 0);
	assert_int_equal(stream_end(s), 0);
	stream_free(s);
	map = mmap(NULL, 3 * STREAM_PIECE, PROT_READ, MAP_SHARED, f->fd, 0);
	pages = malloc(3 * STREAM_PIECE / page);
	assert_true(map != MAP_FAILED);
	assert_non_null(pages);
	assert_int_equal(mincore(map, 3 * STREAM_PIECE, pages), 0);
	for (size_t i = 0; i < 3 * STREAM_PIECE / page; i++)
		in += pages[i] & 1;
	assert_int_equal(in, 0);
	munmap(map, 3 * STREAM_PIECE);
	free(pages);
}

/* No room, in the middle or for what was held to the end: it is told. */
static void
test_no_room(void **state)
{
	static const size_t rooms[] = { 4096, STREAM_PIECE + 8192,
		3 * STREAM_PIECE + 100 };
	struct fixture *f = *state;
	struct rlimit before, now;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	for (size_t i = 0; i < 3; i++) {
		struct stream *s;
		int r;

		assert_int_equal(ftruncate(f->fd, 0), 0);
		assert_int_equal(lseek(f->fd, 0, SEEK_SET), 0);
		s = begin(f);
		now = before;
		now.rlim_cur = rooms[i];
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
		r = stream_append(s, f->p, LEN);
		if (r == 0)
			r = stream_end(s);
		assert_int_equal(r, -1);
		assert_int_equal(errno, EFBIG);
		stream_free(s);
	}
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_cached, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_room, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
