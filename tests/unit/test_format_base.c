/* test_format_base: cursor, emit, name and extension records, on which every decoder rests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/cursor.h"
#include "format/emit.h"
#include "format/extrec.h"
#include "format/name.h"

/* Lost: little-endian on disk, whatever the machine is. */
static void
cursor_reads_what_emit_wrote(void **state)
{
	static const uint8_t want[] = { 0x11, 0x22, 0x11, 0x33, 0x22, 0x11,
	    0x44, 0x33, 0x22, 0x11, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22,
	    0x11, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 'a' };
	uint8_t buf[64], copy[2];
	struct cursor c;
	struct emit e;

	(void)state;
	emit_init(&e, buf, sizeof(buf));
	emit_u8(&e, 0x11);
	emit_u16(&e, 0x1122);
	emit_u24(&e, 0x112233);
	emit_u32(&e, 0x11223344);
	emit_u64(&e, 0x1122334455667788);
	emit_i64(&e, -2);
	emit_zero(&e, 2);
	emit_bytes(&e, "a", 1);
	assert_int_equal(emit_done(&e), sizeof(want));
	assert_memory_equal(buf, want, sizeof(want));
	cursor_init(&c, buf, sizeof(want));
	assert_int_equal(cursor_u8(&c), 0x11);
	assert_int_equal(cursor_u16(&c), 0x1122);
	assert_int_equal(cursor_u24(&c), 0x112233);
	assert_int_equal(cursor_u32(&c), 0x11223344);
	assert_true(cursor_u64(&c) == 0x1122334455667788);
	assert_true(cursor_i64(&c) == -2);
	assert_false(cursor_done(&c));
	cursor_copy(&c, copy, 2);
	assert_int_equal(copy[0] | copy[1], 0);
	cursor_expect(&c, "a", 1);
	assert_true(cursor_done(&c));
}

/* GN-2.  Lost: a short record read past its end, or half a record taken for a whole one. */
static void
cursor_stays_broken(void **state)
{
	static const uint8_t buf[] = { 1, 2, 3, 4, 5 };
	uint8_t copy[8];
	struct cursor c;

	(void)state;
	cursor_init(&c, buf, sizeof(buf));
	assert_int_equal(cursor_u32(&c), 0x04030201);
	assert_int_equal(cursor_u16(&c), 0);
	assert_true(c.broken);
	assert_int_equal(cursor_u8(&c), 0);
	assert_null(cursor_bytes(&c, 0));
	memset(copy, 0xee, sizeof(copy));
	cursor_copy(&c, copy, sizeof(copy));
	for (size_t i = 0; i < sizeof(copy); i++)
		assert_int_equal(copy[i], 0);
	assert_false(cursor_done(&c));

	cursor_init(&c, buf, sizeof(buf));
	assert_null(cursor_bytes(&c, SIZE_MAX));
	assert_true(c.broken);
	cursor_init(&c, buf, 1);
	cursor_zero(&c, 1);             /* GN-1 */
	assert_true(c.broken);
	cursor_init(&c, buf, 1);
	cursor_expect(&c, "\2", 1);
	assert_true(c.broken);
	cursor_init(&c, NULL, 0);
	assert_true(cursor_done(&c));
	assert_int_equal(cursor_u64(&c), 0);
	assert_false(cursor_done(&c));
}

/* Lost: a record cut off without notice, or a write past the caller's buffer. */
static void
emit_writes_all_or_says_so(void **state)
{
	uint8_t buf[8] = { 0 };
	struct emit e;

	(void)state;
	emit_init(&e, buf, 5);
	emit_u32(&e, 0xffffffff);
	emit_u16(&e, 0xffff);
	emit_u8(&e, 0xff);              /* would fit, but the record is broken */
	assert_int_equal(emit_done(&e), 0);
	assert_int_equal(buf[4] | buf[5], 0);
	emit_init(&e, buf, sizeof(buf));
	emit_u24(&e, 1u << 24);
	assert_int_equal(emit_done(&e), 0);
	emit_init(&e, NULL, 0);
	emit_bytes(&e, NULL, 0);
	assert_false(e.broken);
	emit_u8(&e, 0);
	assert_true(e.broken);
}

/* Lost: objects under names that other programs do not find. */
static void
names_are_lower_case_hexadecimal(void **state)
{
	char hex[NAME_HEX], sid_hex[NAME_SID_HEX];
	struct name n, m;
	struct name_sid s, t;

	(void)state;
	for (size_t i = 0; i < NAME_LEN; i++)
		n.b[i] = (uint8_t)(i * 0x11);
	memcpy(s.b, n.b, NAME_SID_LEN);
	name_hex(&n, hex);
	assert_string_equal(hex, "00112233445566778899aabbccddeeff"
	    "102132435465768798a9bacbdcedfe0f");
	assert_true(name_unhex(&m, hex));
	assert_int_equal(name_cmp(&n, &m), 0);
	name_sid_hex(&s, sid_hex);
	assert_string_equal(sid_hex, "00112233445566778899aabbccddeeff");
	assert_true(name_sid_unhex(&t, sid_hex));
	assert_int_equal(name_sid_cmp(&s, &t), 0);
	assert_false(name_sid_unhex(&t, hex));
	assert_false(name_unhex(&m, sid_hex));
	assert_false(name_unhex(&m, ""));
	hex[63] = 'F';
	assert_false(name_unhex(&m, hex));
	hex[63] = 'g';
	assert_false(name_unhex(&m, hex));
	hex[63] = '\0';
	assert_false(name_unhex(&m, hex));
}

static void
names_compare_as_bytes(void **state)
{
	struct name a = { { 0 } }, b = { { 0 } };
	struct name_sid s = { { 0 } };

	(void)state;
	assert_true(name_is_zero(&a));
	assert_true(name_sid_is_zero(&s));
	b.b[31] = 0x80;
	s.b[15] = 1;
	assert_false(name_is_zero(&b));
	assert_false(name_sid_is_zero(&s));
	assert_true(name_cmp(&a, &b) < 0);
	a.b[0] = 0x7f;
	b.b[0] = 0x80;
	assert_true(name_cmp(&a, &b) < 0);
	assert_true(name_cmp(&b, &a) > 0);
}

/* GN-1.  Lost: extensions that one program finds and another does not. */
static void
extensions_ascend(void **state)
{
	struct extrec a = { 1, 2, (const uint8_t *)"xy" }, b = { 9, 0, NULL };
	struct extrec_iter it;
	struct extrec r;
	uint8_t buf[32];
	size_t n;

	(void)state;
	n = extrec_encode(buf, sizeof(buf), &a);
	n += extrec_encode(buf + n, sizeof(buf) - n, &b);
	assert_int_equal(n, 18);
	extrec_init(&it, buf, n);
	assert_true(extrec_next(&it, &r));
	assert_int_equal(r.tag, 1);
	assert_memory_equal(r.val, "xy", 2);
	assert_true(extrec_next(&it, &r));
	assert_int_equal(r.tag, 9);
	assert_false(extrec_next(&it, &r));
	assert_true(cursor_done(&it.c));
	buf[10] = 1;                    /* the second tag equals the first */
	extrec_init(&it, buf, n);
	assert_true(extrec_next(&it, &r));
	assert_false(extrec_next(&it, &r));
	assert_false(extrec_next(&it, &r));
	assert_false(cursor_done(&it.c));
	for (size_t cut = 1; cut < 10; cut++) {
		extrec_init(&it, buf, cut);
		assert_false(extrec_next(&it, &r));
		assert_false(cursor_done(&it.c));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cursor_reads_what_emit_wrote),
		cmocka_unit_test(cursor_stays_broken),
		cmocka_unit_test(emit_writes_all_or_says_so),
		cmocka_unit_test(names_are_lower_case_hexadecimal),
		cmocka_unit_test(names_compare_as_bytes),
		cmocka_unit_test(extensions_ascend),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
