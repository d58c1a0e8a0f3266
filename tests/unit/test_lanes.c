/* Ids made several at once are the ids made one by one: otherwise chunks would be stored twice, or not be found again.  CH-1 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/digest.h"
#include "codec/lanes.h"

#define LEN_MAX (300u << 10)
#define JOBS 64

static uint64_t
next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static void
check(const uint8_t *key, struct lanes_job *jobs, size_t count)
{
	static const enum lanes_width widths[] = { LANES_BEST, LANES_8, LANES_4, LANES_1 };
	struct name want;

	for (size_t w = 0; w < 4; w++) {
		for (size_t i = 0; i < count; i++)
			memset(&jobs[i].id, 0, sizeof(jobs[i].id));
		(void)lanes_chunk_ids_width(key, jobs, count, widths[w]);
		for (size_t i = 0; i < count; i++) {
			digest_chunk_id(&want, key, jobs[i].type, jobs[i].p, jobs[i].len);
			assert_memory_equal(&want, &jobs[i].id, sizeof(want));
		}
	}
}

/* Every short length, around every block boundary, in every number of jobs up to twice the lanes and one more. */
static void
short_lengths_agree(void **state)
{
	struct lanes_job jobs[17];
	uint8_t key[32], data[1200];
	uint64_t s = 1;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)next_random(&s);
	memcpy(key, data + 100, 32);
	for (size_t len = 1; len + 33 < sizeof(data); len++) {
		size_t count = 1 + len % 17;

		for (size_t i = 0; i < count; i++)
			jobs[i] = (struct lanes_job){ .p = data + i, .len = len + (i * len) % 17, .type = (uint8_t)"DLT"[i % 3] };
		check(key, jobs, count);
	}
}

/* Lengths from 1 to 300 KiB, mixed in one call, at odd addresses. */
static void
mixed_lengths_agree(void **state)
{
	struct lanes_job jobs[JOBS];
	uint8_t key[32], *data = malloc(LEN_MAX + 64);
	uint64_t s = 7;

	(void)state;
	assert_non_null(data);
	for (size_t i = 0; i < LEN_MAX + 64; i++)
		data[i] = (uint8_t)next_random(&s);
	memcpy(key, data, 32);
	for (int round = 0; round < 4; round++) {
		for (size_t i = 0; i < JOBS; i++)
			jobs[i] = (struct lanes_job){ .p = data + next_random(&s) % 64, .type = 'D',
				.len = 1 + next_random(&s) % (i % 4 ? 20000 : LEN_MAX) };
		check(key, jobs, JOBS);
	}
	free(data);
}

/* An id does not depend on what is hashed beside it. */
static void
neighbours_do_not_matter(void **state)
{
	uint8_t key[32] = { 1, 2, 3 }, a[1000] = { 5 }, b[3000] = { 6 };
	struct lanes_job one[9], two[9];

	(void)state;
	for (size_t i = 0; i < 9; i++) {
		one[i] = (struct lanes_job){ .p = a, .len = 500 + i, .type = 'D' };
		two[i] = i == 4 ? one[i] : (struct lanes_job){ .p = b, .len = 1 + 333 * i, .type = 'T' };
	}
	lanes_chunk_ids(key, one, 9);
	lanes_chunk_ids(key, two, 9);
	assert_memory_equal(&one[4].id, &two[4].id, sizeof(one[4].id));
	assert_memory_not_equal(&one[4].id, &one[5].id, sizeof(one[4].id));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(short_lengths_agree),
		cmocka_unit_test(mixed_lengths_agree),
		cmocka_unit_test(neighbours_do_not_matter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
