/*
 * test_packwrite: frames written by another thread.  Lost if it failed: a pack
 * whose frames are in another order than the index says, or one that gets its
 * footer although a frame could not be written.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef fail                             /* base/err.h has one too */

#include "base/err.h"
#include "store/packwrite.h"
#include "tests/unit/support_store.h"

#define FRAMES 40u
#define LEN 3000u

struct fixture {
	struct support_disk *disk;
	struct repo *r;
	struct packout out;
	struct packwrite *w;
	unsigned finished;
};

static void
finished(void *arg, struct packout *o)
{
	struct fixture *f = arg;

	assert_ptr_equal(o, &f->out);
	f->finished++;
}

static int
setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->disk = support_disk_new();
	assert_int_equal(support_store_init(f->disk, &f->r), OK);
	assert_int_equal(packout_begin(&f->out, f->r, PACKFILE_DATA), OK);
	assert_int_equal(packwrite_new(finished, f, &f->w), OK);
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	packwrite_free(f->w);
	packout_discard(&f->out);
	packout_clear(&f->out);
	repo_close(f->r);
	support_disk_free(f->disk);
	free(f);
	return 0;
}

/* Frame i, all of its bytes i, in whatever buffer came back. */
static int
give(struct fixture *f, uint8_t **buf, size_t *cap, unsigned i)
{
	size_t len = LEN + i;

	if (*cap < len) {
		free(*buf);
		*buf = malloc(len);
		*cap = len;
		assert_non_null(*buf);
	}
	memset(*buf, (int)i, len);
	return packwrite_frame(f->w, &f->out, buf, cap, len);
}

static void
test_in_order(void **state)
{
	struct fixture *f = *state;
	uint8_t *buf = NULL, got[LEN + FRAMES];
	uint64_t off = f->out.bytes;
	char path[SUPPORT_IO_PATH];
	struct io_file *file;
	size_t cap = 0;

	for (unsigned i = 0; i < FRAMES; i++)
		assert_int_equal(give(f, &buf, &cap, i), OK);
	assert_int_equal(packwrite_finish(f->w, &f->out), OK);
	assert_int_equal(packwrite_drain(f->w), OK);
	assert_int_equal(f->finished, 1);
	assert_int_equal(f->out.frames, FRAMES);
	assert_int_equal(packout_sync(&f->out), OK);
	assert_int_equal(packout_publish(&f->out), OK);
	support_store_pack_path(path, &f->out.name);
	assert_int_equal(io_open(f->r->io, path, &file), OK);
	for (unsigned i = 0; i < FRAMES; off += LEN + i++) {
		assert_int_equal(io_read_at(f->r->io, file, off, got, LEN + i),
		    OK);
		for (size_t k = 0; k < LEN + i; k++)
			assert_int_equal(got[k], i);
	}
	assert_int_equal(io_close(f->r->io, file), OK);
	free(buf);
}

/* The n-th write fails: nothing after it is written, nor is there a footer,
 * and whoever asks is told. */
static void
test_failure(void **state)
{
	struct fixture *f = *state;
	uint8_t *buf = NULL;
	size_t cap = 0;
	int rc = OK;

	support_disk_fail(f->disk, SUPPORT_BIT(SUPPORT_APPEND), 5, ENOSPC,
	    false);
	for (unsigned i = 0; rc == OK && i < 6; i++)
		rc = give(f, &buf, &cap, i);
	if (rc == OK)
		rc = packwrite_finish(f->w, &f->out);
	assert_true(rc == OK || rc == ERR_IO);
	assert_int_equal(packwrite_drain(f->w), ERR_IO);
	assert_int_equal(err_errno(), ENOSPC);
	assert_int_equal(f->finished, 0);
	assert_int_equal(support_disk_failures(f->disk), 1);
	assert_int_equal(support_disk_asked(f->disk), 5);
	assert_int_equal(give(f, &buf, &cap, 7), ERR_IO);
	support_disk_fail(f->disk, 0, 0, 0, false);
	free(buf);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failure, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
