/*
 * test_rs: the Reed-Solomon arithmetic (PA-2, PA-3).  Lost if it failed: what parity brings back is not what was there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "codec/rs.h"
#include "format/sidecar.h"

#define LEN 5001

static uint64_t state = 1;

static uint32_t
below(uint32_t n)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(state >> 33) % n;
}

/* Multiplication by shifting, the other way round than the program's. */
static uint8_t
product(unsigned a, unsigned b)
{
	unsigned r = 0;

	for (int bit = 7; bit >= 0; bit--) {
		r <<= 1;
		if (r & 256)
			r ^= 0x11d;
		if (b >> bit & 1)
			r ^= a;
	}
	return (uint8_t)r;
}

static void
test_coefficients(void **unused)
{
	(void)unused;
	for (unsigned j = 0; j < RS_DATA_MAX; j++) {
		assert_int_equal(rs_coefficient(0, j), 1);
		for (unsigned p = 0; p < RS_PARITY_MAX; p++)
			assert_int_equal(product(rs_coefficient(p, j), (128 + p) ^ j), 128 ^ j);
	}
	/* Written down once and for all. */
	assert_int_equal(rs_coefficient(1, 0), 85);
	assert_int_equal(rs_coefficient(1, 1), 26);
	assert_int_equal(rs_coefficient(3, 127), 128);
	assert_int_equal(rs_coefficient(31, 64), 200);
}

static void
test_engines_agree(void **unused)
{
	unsigned rows[RS_PARITY_MAX];
	uint8_t *a[RS_PARITY_MAX], *b[RS_PARITY_MAX], *data = malloc(LEN);

	(void)unused;
	assert_non_null(data);
	if (!rs_has_isal()) {
		free(data);
		skip();
	}
	for (unsigned i = 0; i < RS_PARITY_MAX; i++) {
		rows[i] = RS_PARITY_MAX - 1 - i;
		a[i] = calloc(1, LEN);
		b[i] = calloc(1, LEN);
		assert_true(a[i] && b[i]);
	}
	for (unsigned round = 0; round < 40; round++) {
		unsigned count = 1 + below(RS_PARITY_MAX), j = below(RS_DATA_MAX);
		size_t len = 1 + below(LEN);

		for (size_t i = 0; i < len; i++)
			data[i] = (uint8_t)below(256);
		rs_add(RS_BEST, rows, count, j, data, len, a);
		rs_add(RS_PORTABLE, rows, count, j, data, len, b);
	}
	for (unsigned i = 0; i < RS_PARITY_MAX; i++) {
		assert_memory_equal(a[i], b[i], LEN);
		free(a[i]);
		free(b[i]);
	}
	free(data);
}

/* k data blocks, e of them lost, e of m parity rows used: any choice. */
static void
one_trial(enum rs_engine engine, unsigned k, unsigned m, size_t len)
{
	unsigned rows[RS_PARITY_MAX], all[RS_PARITY_MAX], lost[RS_PARITY_MAX], e = 1 + below(m < k ? m : k);
	uint8_t *data[RS_DATA_MAX], *parity[RS_PARITY_MAX], *sums[RS_PARITY_MAX], gone[RS_DATA_MAX] = { 0 };

	for (unsigned p = 0; p < m; p++) {
		all[p] = p;
		parity[p] = calloc(1, len);
		assert_non_null(parity[p]);
	}
	for (unsigned j = 0; j < k; j++) {
		data[j] = malloc(len);
		assert_non_null(data[j]);
		for (size_t i = 0; i < len; i++)
			data[j][i] = (uint8_t)below(256);
		rs_add(engine, all, m, j, data[j], len, parity);
	}
	for (unsigned i = 0; i < m; i++) {      /* a random order of the rows */
		unsigned x = i + below(m - i), t = all[x];

		all[x] = all[i];
		all[i] = t;
	}
	for (unsigned i = 0; i < e; i++) {
		do
			lost[i] = below(k);
		while (gone[lost[i]]);
		gone[lost[i]] = 1;
		rows[i] = all[i];
		sums[i] = parity[rows[i]];
	}
	for (unsigned j = 0; j < k; j++)
		if (!gone[j])
			rs_add(engine, rows, e, j, data[j], len, sums);
	rs_solve(engine, rows, lost, e, sums, len);
	for (unsigned i = 0; i < e; i++)
		assert_memory_equal(sums[i], data[lost[i]], len);
	for (unsigned p = 0; p < m; p++)
		free(parity[p]);
	for (unsigned j = 0; j < k; j++)
		free(data[j]);
}

static void
test_solve(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < 60; i++) {
		one_trial(RS_BEST, 1 + below(RS_DATA_MAX), 1 + below(RS_PARITY_MAX), 1 + below(300));
		one_trial(RS_PORTABLE, 1 + below(RS_DATA_MAX), 1 + below(RS_PARITY_MAX), 1 + below(300));
	}
	one_trial(RS_BEST, RS_DATA_MAX, RS_PARITY_MAX, 9000);
	one_trial(RS_BEST, RS_DATA_MAX, 4, 65536);
}

/* PA-2: every block is in one group, groups are full, and the parts of the file follow each other. */
static void
test_shape(void **unused)
{
	(void)unused;
	for (unsigned i = 0; i < 400; i++) {
		struct sidecar_shape s = { .block = 65536 * (1 + below(3)), .data = 1 + below(128), .parity = 1 + below(32) };
		uint64_t at, blocks = 0, parities = 0;

		s.len = 1 + (uint64_t)below(1u << 30) * (i % 3 ? 1 : below(65536)) % SIDECAR_LEN_MAX / (i % 2 ? 1 : 1000);
		assert_true(sidecar_shape_ok(&s));
		if (sidecar_blocks(&s) > 100000)
			continue;
		at = sidecar_header_len(&s);
		for (uint64_t g = 0; g < sidecar_groups(&s); g++) {
			uint32_t k = sidecar_group_data(&s, g);

			assert_true(k >= 1 && k <= s.data);
			assert_true(sidecar_block_at(&s, g, k - 1) < sidecar_blocks(&s));
			assert_true(sidecar_block_at(&s, g, k) >= sidecar_blocks(&s));
			assert_int_equal(sidecar_first_parity(&s, g), parities);
			assert_int_equal(sidecar_parity_off(&s, g), at);
			at += (uint64_t)sidecar_group_parity(&s, g) * sidecar_parity_len(&s, g);
			blocks += k;
			parities += sidecar_group_parity(&s, g);
		}
		assert_int_equal(blocks, sidecar_blocks(&s));
		assert_int_equal(parities, sidecar_parity_blocks(&s));
		assert_int_equal(at, sidecar_file_len(&s));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_coefficients),
		cmocka_unit_test(test_engines_agree),
		cmocka_unit_test(test_solve),
		cmocka_unit_test(test_shape),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
