/* Rows in the order of their ids.  A segment whose rows are in another one is
 * refused by every reader. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#undef fail                             /* base/err.h has one too */

#include "base/err.h"
#include "store/byid.h"

#define MOST 70000u

static const struct name *
id_of(const void *arg, uint32_t row)
{
	return (const struct name *)arg + row;
}

static uint64_t
next_random(uint64_t *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

/* Each number once, and ids that rise. */
static void
check(const struct name *ids, uint32_t count)
{
	uint8_t *seen = calloc(count + 1, 1);
	uint32_t *list;

	assert_non_null(seen);
	assert_int_equal(byid_order(count, id_of, ids, &list), OK);
	for (uint32_t i = 0; i < count; i++) {
		assert_true(list[i] < count && !seen[list[i]]);
		seen[list[i]] = 1;
		assert_true(i == 0 ||
		    name_cmp(&ids[list[i - 1]], &ids[list[i]]) <= 0);
	}
	free(list);
	free(seen);
}

static void
in_order(void **state)
{
	struct name *ids = calloc(MOST, sizeof(*ids));
	uint64_t s = 1;

	(void)state;
	assert_non_null(ids);
	for (uint32_t i = 0; i < MOST; i++)
		for (int k = 0; k < 32; k++)
			ids[i].b[k] = (uint8_t)next_random(&s);
	for (uint32_t n = 0; n < 300; n++)
		check(ids, n);
	for (uint32_t n = 4095; n < 4098; n++)
		check(ids, n);
	check(ids, MOST);
	/* All of one group; equal ones; the last bytes tell. */
	for (uint32_t i = 0; i < 500; i++) {
		memset(ids[i].b, 7, sizeof(ids[i].b));
		ids[i].b[31] = (uint8_t)next_random(&s);
	}
	check(ids, 500);
	free(ids);
}

int
main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(in_order) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
