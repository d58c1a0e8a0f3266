/* test_format_nodes: lists and trees: limits that need large nodes, iterators, where writers end nodes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "format/listnode.h"
#include "format/treenode.h"

/* LN-1: 16,384 rows and not one more. */
static void
listnode_holds_the_most(void **state)
{
	size_t len = LISTNODE_HEAD_LEN + 16385 * LISTNODE_ROW_LEN;
	uint8_t *buf = malloc(len), *p = buf;
	struct listnode_row r = { .len = 3, .id.b = { 1 } }, got;
	struct listnode l;

	(void)state;
	p += listnode_head_encode(p, len, 0);
	for (uint8_t i = 0; p < buf + len; i++) {
		r.fingerprint[0] = i;
		p += listnode_row_encode(p, LISTNODE_ROW_LEN, &r);
	}
	assert_int_equal(listnode_decode(&l, buf, len - LISTNODE_ROW_LEN),
	    CURSOR_OK);
	assert_int_equal(l.row_count, 16384);
	assert_int_equal(l.total, 3 * 16384);
	listnode_row_at(&l, 16383, &got);
	assert_int_equal(got.fingerprint[0], 0xff);
	assert_int_equal(listnode_decode(&l, buf, len), CURSOR_MALFORMED);
	free(buf);
}

/* LN-1.  Lost: rows that break the list they are put in. */
static void
listnode_encoder_refuses_what_decoders_do(void **state)
{
	struct listnode_row r = { .len = 0, .id.b = { 1 } };
	uint8_t buf[LISTNODE_ROW_LEN];

	(void)state;
	assert_int_equal(listnode_head_encode(buf, sizeof(buf), 8), 0);
	assert_int_equal(listnode_head_encode(buf, 7, 0), 0);
	assert_int_equal(listnode_row_encode(buf, sizeof(buf), &r), 0);
	r.len = 1;
	assert_int_equal(listnode_row_encode(buf, sizeof(buf), &r), 56);
	assert_int_equal(listnode_row_encode(buf, 55, &r), 0);
	r.id.b[0] = 0;
	assert_int_equal(listnode_row_encode(buf, sizeof(buf), &r), 56);
	r.fingerprint[15] = 1;
	assert_int_equal(listnode_row_encode(buf, sizeof(buf), &r), 0);
}

/* LN-3.  Lost: equal files make unequal lists, and share nothing. */
static void
listnode_ends_where_ids_say(void **state)
{
	struct listnode_row hit = { .id.b = { 0x00, 0x04, 0x12, 0x34 } },
	    miss = { .id.b = { 0x00, 0x05, 0x12, 0x34 } },
	    hole = { .len = 4096 };

	(void)state;
	assert_false(listnode_ends(63, &hit));
	assert_true(listnode_ends(64, &hit));
	assert_false(listnode_ends(64, &miss));
	assert_false(listnode_ends(4095, &miss));
	assert_true(listnode_ends(4096, &miss));
	assert_false(listnode_ends(64, &hole));
	assert_false(listnode_ends(4096, &hole));
	assert_true(listnode_ends(4097, &miss));
}

static struct treenode_entry
named(const char *name)
{
	struct treenode_entry e = { .name = (const uint8_t *)name,
	    .name_len = (uint16_t)strlen(name), .kind = TREENODE_FILE,
	    .size = 1, .content.b = { 1 }, .fingerprint = { 2 } };

	return e;
}

/* TN-1: names of 1 ... 255 bytes. */
static void
treenode_names_are_components(void **state)
{
	uint8_t longest[256];

	(void)state;
	memset(longest, 'n', sizeof(longest));
	assert_true(treenode_name_ok(longest, 255));
	assert_false(treenode_name_ok(longest, 256));
	assert_false(treenode_name_ok(longest, 0));
	assert_false(treenode_name_ok((const uint8_t *)".", 1));
	assert_false(treenode_name_ok((const uint8_t *)"..", 2));
	assert_true(treenode_name_ok((const uint8_t *)"...", 3));
	assert_true(treenode_name_ok((const uint8_t *)".a", 2));
	assert_false(treenode_name_ok((const uint8_t *)"a/b", 3));
	assert_false(treenode_name_ok((const uint8_t *)"a\0b", 3));
	assert_true(treenode_name_cmp((const uint8_t *)"a", 1,
	    (const uint8_t *)"ab", 2) < 0);
	assert_true(treenode_name_cmp((const uint8_t *)"\xff", 1,
	    (const uint8_t *)"ab", 2) > 0);
	assert_int_equal(treenode_name_cmp((const uint8_t *)"ab", 2,
	    (const uint8_t *)"ab", 2), 0);
}

/* Lost: a walk that goes on after the first bad entry, or stops without saying so. */
static void
treenode_iterator_stops_at_the_first_fault(void **state)
{
	struct treenode_entry a = named("a"), b = named("b"), got;
	uint8_t buf[512];
	struct treenode_row row;
	struct treenode t;
	size_t n, second;

	(void)state;
	n = treenode_head_encode(buf, sizeof(buf), 0);
	n += treenode_entry_encode(buf + n, sizeof(buf) - n, &a);
	second = n;
	n += treenode_entry_encode(buf + n, sizeof(buf) - n, &b);
	assert_int_equal(treenode_open(&t, buf, n), CURSOR_OK);
	assert_false(treenode_next_row(&t, &row));
	assert_true(treenode_next_entry(&t, &got));
	assert_int_equal(got.fingerprint[0], 2);
	assert_true(treenode_next_entry(&t, &got));
	assert_false(treenode_next_entry(&t, &got));
	assert_int_equal(t.verdict, CURSOR_OK);
	for (size_t len = 0; len < n; len++)
		if (len != TREENODE_HEAD_LEN && len != second)
			assert_int_equal(treenode_check(buf, len),
			    CURSOR_MALFORMED);
	buf[second + 2] = 'a';
	assert_int_equal(treenode_open(&t, buf, n), CURSOR_OK);
	assert_true(treenode_next_entry(&t, &got));
	assert_false(treenode_next_entry(&t, &got));
	assert_int_equal(t.verdict, CURSOR_MALFORMED);
	assert_false(treenode_next_entry(&t, &got));
}

/* TN-1.  Lost: a tree that is written and cannot be read. */
static void
treenode_encoder_refuses_what_decoders_do(void **state)
{
	struct treenode_entry e = named("a");
	uint8_t buf[5000], target[4096];

	(void)state;
	assert_true(treenode_entry_encode(buf, sizeof(buf), &e) > 0);
	e.mode = 010000;
	assert_int_equal(treenode_entry_encode(buf, sizeof(buf), &e), 0);
	e.mode = 07777;
	e.mtime_ns = 1000000000;
	assert_int_equal(treenode_entry_encode(buf, sizeof(buf), &e), 0);
	e.mtime_ns = 0;
	e.flags = TREENODE_IMPLIED;
	assert_int_equal(treenode_entry_encode(buf, sizeof(buf), &e), 0);
	e.flags = TREENODE_LIST;
	e.size = 0;
	assert_int_equal(treenode_entry_encode(buf, sizeof(buf), &e), 0);
	e = named("l");
	e.kind = TREENODE_LINK;
	memset(target, 't', sizeof(target));
	e.target = target;
	e.size = 4095;
	assert_true(treenode_entry_encode(buf, sizeof(buf), &e) > 4095);
	e.size = 4096;
	assert_int_equal(treenode_entry_encode(buf, sizeof(buf), &e), 0);
	e.size = 0;
	assert_int_equal(treenode_entry_encode(buf, sizeof(buf), &e), 0);
	assert_int_equal(treenode_head_encode(buf, sizeof(buf), 8), 0);
}

/* Fields that an entry does not have are not written; the rest is told apart by kind. */
static void
treenode_absent_fields_are_absent(void **state)
{
	struct treenode_entry e = named("a"), got;
	uint8_t buf[512];
	struct treenode t;
	size_t full, n;

	(void)state;
	n = treenode_head_encode(buf, sizeof(buf), 0);
	full = treenode_entry_encode(buf + n, sizeof(buf) - n, &e);
	e.size = 0;
	assert_int_equal(treenode_entry_encode(buf + n, sizeof(buf) - n, &e),
	    full - 48);
	e.size = 9;
	e.flags = TREENODE_UNREAD;
	assert_int_equal(treenode_entry_encode(buf + n, sizeof(buf) - n, &e),
	    full - 48);
	e.flags = TREENODE_LIST;
	assert_int_equal(treenode_entry_encode(buf + n, sizeof(buf) - n, &e),
	    full - 16);
	e.flags = TREENODE_HARDLINK;
	e.dev = 5;
	assert_int_equal(treenode_entry_encode(buf + n, sizeof(buf) - n, &e),
	    full + 8);
	assert_int_equal(treenode_open(&t, buf, n + full + 8), CURSOR_OK);
	assert_true(treenode_next_entry(&t, &got));
	assert_int_equal(got.dev, 5);
	assert_null(got.target);
	assert_null(got.ext);
}

/* TN-1: 2^19 bytes of extensions; CH-2: a node of at most 2^20 bytes. */
static void
treenode_sizes_are_bounded(void **state)
{
	size_t cap = (1u << 20) + 1000, n;
	uint8_t *buf = calloc(1, cap), *ext = calloc(1, TREENODE_EXT_MAX + 1);
	struct treenode_entry e = named("a");

	(void)state;
	e.ext = ext;
	e.ext_len = TREENODE_EXT_MAX;
	assert_int_equal(treenode_ext_encode(ext, TREENODE_EXT_MAX, 0x8000,
	    buf, TREENODE_EXT_MAX - 8), TREENODE_EXT_MAX);
	n = treenode_head_encode(buf, cap, 0);
	n += treenode_entry_encode(buf + n, cap - n, &e);
	assert_true(n > TREENODE_EXT_MAX);
	assert_int_equal(treenode_check(buf, n), CURSOR_OK);
	e.ext_len++;
	assert_int_equal(treenode_entry_encode(buf + n, cap - n, &e), 0);
	e.ext_len--;
	e.name = (const uint8_t *)"b";
	n += treenode_entry_encode(buf + n, cap - n, &e);
	assert_true(n > 1u << 20);
	assert_int_equal(treenode_check(buf, n), CURSOR_MALFORMED);
	free(buf);
	free(ext);
}

/* TN-2.  Lost: ACLs and attributes, or a restore that finds them under the wrong tag. */
static void
treenode_extensions_are_found(void **state)
{
	struct treenode_xattr x = { .name = (const uint8_t *)"user.a",
	    .value = (const uint8_t *)"v", .name_len = 6, .value_len = 1 }, got;
	uint8_t val[64], ext[128];
	const uint8_t *found;
	struct cursor c;
	size_t n, len;

	(void)state;
	n = treenode_xattr_encode(val, sizeof(val), &x);
	assert_int_equal(n, 15);
	n = treenode_ext_encode(ext, sizeof(ext), TREENODE_EXT_XATTR, val, n);
	n += treenode_ext_encode(ext + n, sizeof(ext) - n, TREENODE_EXT_FLAGS,
	    (const uint8_t *)"\1\0\0\0", 4);
	assert_true(treenode_ext_find(ext, n, TREENODE_EXT_FLAGS, &found,
	    &len));
	assert_int_equal(len, 4);
	assert_false(treenode_ext_find(ext, n, TREENODE_EXT_DATABASE, &found,
	    &len));
	assert_false(treenode_ext_find(NULL, 0, TREENODE_EXT_FLAGS, &found,
	    &len));
	assert_true(treenode_ext_find(ext, n, TREENODE_EXT_XATTR, &found,
	    &len));
	cursor_init(&c, found, len);
	assert_true(treenode_xattr_next(&c, &got));
	assert_int_equal(got.name_len, 6);
	assert_memory_equal(got.value, "v", 1);
	assert_false(treenode_xattr_next(&c, &got));
	assert_true(cursor_done(&c));
	x.name_len = 0;
	assert_int_equal(treenode_xattr_encode(val, sizeof(val), &x), 0);
	x.name = (const uint8_t *)"u\0a";
	x.name_len = 3;
	assert_int_equal(treenode_xattr_encode(val, sizeof(val), &x), 0);
}

/* TN-3: rows count entries and carry names. */
static void
treenode_rows_come_back(void **state)
{
	struct treenode_row r = { .id.b = { 9 }, .entries = 70,
	    .name = (const uint8_t *)"m", .name_len = 1 }, got;
	struct treenode_entry e;
	struct treenode t;
	uint8_t buf[64];
	size_t n = treenode_head_encode(buf, sizeof(buf), 1);

	(void)state;
	n += treenode_row_encode(buf + n, sizeof(buf) - n, &r);
	assert_int_equal(treenode_open(&t, buf, n), CURSOR_OK);
	assert_false(treenode_next_entry(&t, &e));
	assert_true(treenode_next_row(&t, &got));
	assert_int_equal(got.entries, 70);
	assert_int_equal(got.id.b[0], 9);
	assert_false(treenode_next_row(&t, &got));
	assert_int_equal(t.verdict, CURSOR_OK);
	r.entries = 0;
	assert_int_equal(treenode_row_encode(buf, sizeof(buf), &r), 0);
	r.entries = 1;
	r.name = (const uint8_t *)"/";
	assert_int_equal(treenode_row_encode(buf, sizeof(buf), &r), 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(listnode_holds_the_most),
		cmocka_unit_test(listnode_encoder_refuses_what_decoders_do),
		cmocka_unit_test(listnode_ends_where_ids_say),
		cmocka_unit_test(treenode_names_are_components),
		cmocka_unit_test(treenode_iterator_stops_at_the_first_fault),
		cmocka_unit_test(treenode_encoder_refuses_what_decoders_do),
		cmocka_unit_test(treenode_absent_fields_are_absent),
		cmocka_unit_test(treenode_sizes_are_bounded),
		cmocka_unit_test(treenode_extensions_are_found),
		cmocka_unit_test(treenode_rows_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
