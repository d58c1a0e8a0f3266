/* tree: what a snapshot lists and restores.  A node not checked is a file left out, listed twice, or of the wrong length. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail                              /* base/err.h has one too */

#include "fakepack.h"
#include "store/tree.h"

#define CACHE (8u << 20)
#define NODE_CAP (1u << 20)
#define ENTRIES 10000
#define PER_NODE 300
#define PER_ROW_NODE 10

/* A node being made. */
struct maker {
	struct fake *f;
	uint8_t type;
	uint8_t *p;
	size_t len;
};

static void
node_put(struct maker *m, struct name *id)
{
	struct fake *f = m->f;

	fake_begin(f, PACKFILE_META);
	fake_put(f, m->type, m->p, m->len, id);
	fake_block(f, FRAME_ZSTD, NULL, NULL, 0, 0);
	fake_frame(f);
	fake_end(f);
	free(m->p);
}

static struct maker
node(struct fake *f, uint8_t type, uint8_t level)
{
	struct maker m = { f, type, malloc(NODE_CAP), 0 };

	assert_non_null(m.p);
	m.len = type == FRAME_TREE ?
	    treenode_head_encode(m.p, NODE_CAP, level) :
	    listnode_head_encode(m.p, NODE_CAP, level);
	assert_true(m.len > 0);
	return m;
}

static void
add_entry(struct maker *m, const struct treenode_entry *e)
{
	size_t n = treenode_entry_encode(m->p + m->len, NODE_CAP - m->len, e);

	assert_true(n > 0);
	m->len += n;
}

/* An empty file. */
static void
add_name(struct maker *m, const char *name)
{
	struct treenode_entry e = { .name = (const uint8_t *)name,
	    .name_len = (uint16_t)strlen(name), .kind = TREENODE_FILE };

	add_entry(m, &e);
}

static void
add_dir(struct maker *m, const char *name, const struct name *content)
{
	struct treenode_entry e = { .name = (const uint8_t *)name,
	    .name_len = (uint16_t)strlen(name), .kind = TREENODE_DIR,
	    .content = *content };

	add_entry(m, &e);
}

static void
add_row(struct maker *m, const struct name *id, const char *name,
    uint32_t entries)
{
	struct treenode_row r = { .id = *id, .entries = entries,
	    .name = (const uint8_t *)name, .name_len = (uint16_t)strlen(name) };
	size_t n = treenode_row_encode(m->p + m->len, NODE_CAP - m->len, &r);

	assert_true(n > 0);
	m->len += n;
}

static void
number(char text[static 16], unsigned i)
{
	snprintf(text, 16, "f%05u", i * 3);
}

/* ENTRIES files in three levels; leaf ids in order. */
static void
big_tree(struct fake *f, struct name *leaf, struct name *root)
{
	struct maker top = node(f, FRAME_TREE, 2);
	unsigned leaves = 0;

	for (unsigned i = 0; i < ENTRIES;) {
		struct maker mid = node(f, FRAME_TREE, 1);
		unsigned from = i;
		struct name id;
		char name[16];

		for (unsigned k = 0; k < PER_ROW_NODE && i < ENTRIES; k++) {
			struct maker m = node(f, FRAME_TREE, 0);
			unsigned first = i;

			for (; i < first + PER_NODE && i < ENTRIES; i++) {
				number(name, i);
				add_name(&m, name);
			}
			node_put(&m, &leaf[leaves]);
			number(name, first);
			add_row(&mid, &leaf[leaves++], name, i - first);
		}
		node_put(&mid, &id);
		number(name, from);
		add_row(&top, &id, name, i - from);
	}
	node_put(&top, root);
}

/* Run through a directory: its number of entries, or the error. */
static int
walk(struct fake *f, const struct name *root)
{
	struct treenode_entry e;
	struct tree_dir *d;
	int rc, n = 0;

	if ((rc = tree_open(f->rd, root, &d)))
		return rc;
	while ((rc = tree_next(d, &e)) == FOUND)
		n++;
	/* an ended iterator stays ended */
	assert_int_equal(tree_next(d, &e), rc);
	tree_close(d);
	return rc == AT_END ? n : rc;
}

static int
look(struct fake *f, const struct name *root, const char *path,
    struct tree_entry *e)
{
	return tree_lookup(f->rd, root, path, strlen(path), e);
}

/* TN-3: all entries of a split directory, in order, each once; the node each came from. */
static void
test_split_directory_is_whole_and_in_order(void **state)
{
	static struct name leaf[ENTRIES / PER_NODE + 1];
	struct fake *f = fake_new(CACHE);
	struct treenode_entry e;
	struct tree_dir *d;
	struct name root;

	(void)state;
	big_tree(f, leaf, &root);
	assert_int_equal(tree_open(f->rd, &root, &d), OK);
	for (unsigned i = 0; i < ENTRIES; i++) {
		char name[16];

		number(name, i);
		assert_int_equal(tree_next(d, &e), FOUND);
		assert_int_equal(e.name_len, strlen(name));
		assert_memory_equal(e.name, name, e.name_len);
		assert_int_equal(name_cmp(tree_node_id(d),
		    &leaf[i / PER_NODE]), 0);
	}
	assert_int_equal(tree_next(d, &e), AT_END);
	assert_int_equal(tree_next(d, &e), AT_END);
	tree_close(d);
	fake_free(f);
}

/* A path is found if and only if it is there, with few nodes read. */
static void
test_lookup_finds_what_is_there(void **state)
{
	static struct name leaf[ENTRIES / PER_NODE + 1];
	struct fake *f = fake_new(CACHE);
	struct name root;

	(void)state;
	big_tree(f, leaf, &root);
	for (unsigned n = 0; n < 3 * ENTRIES + 10; n += 37) {
		struct tree_entry e;
		char name[16];
		int rc;

		snprintf(name, sizeof(name), "f%05u", n);
		rc = look(f, &root, name, &e);
		assert_int_equal(rc, n % 3 == 0 && n < 3 * ENTRIES ?
		    FOUND : OK);
		if (rc == FOUND)
			assert_memory_equal(e.e.name, name, e.e.name_len);
		tree_entry_clear(&e);
	}
	fake_reopen(f, CACHE);
	for (unsigned i = 0; i < 2; i++) {
		struct tree_entry e;

		assert_int_equal(look(f, &root, i ? "a" : "f15000", &e),
		    i ? OK : FOUND);
		tree_entry_clear(&e);
	}
	assert_int_equal(reader_stats(f->rd)->frames_read, 3);
	fake_free(f);
}

/* Paths through directories, as people write them. */
static void
test_lookup_goes_down_directories(void **state)
{
	static const struct {
		const char *path, *name;        /* NULL: not there */
	} table[] = {
		{ "", "" }, { "/", "" }, { "//", "" },
		{ "a", "a" }, { "/a", "a" }, { "a/", "a" },
		{ "a/b", "b" }, { "a/b/x", "x" }, { "//a//b///x", "x" },
		{ "a/c", NULL }, { "a/x/b", NULL }, { "x", NULL },
		{ "a/b/x/y", NULL }, { "a/b/..", NULL }, { ".", NULL },
		{ "a/unread", "unread" }, { "a/unread/x", NULL },
	};
	struct treenode_entry unread = { .name = (const uint8_t *)"unread",
	    .name_len = 6, .kind = TREENODE_DIR, .flags = TREENODE_UNREAD };
	struct fake *f = fake_new(CACHE);
	struct name b, a, root;
	struct tree_entry e;
	struct maker m;
	char *longer;

	(void)state;
	m = node(f, FRAME_TREE, 0);
	add_name(&m, "x");
	node_put(&m, &b);
	m = node(f, FRAME_TREE, 0);
	add_dir(&m, "b", &b);
	add_entry(&m, &unread);
	node_put(&m, &a);
	m = node(f, FRAME_TREE, 0);
	add_dir(&m, "a", &a);
	node_put(&m, &root);
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const char *want = table[i].name;

		assert_int_equal(look(f, &root, table[i].path, &e),
		    want ? FOUND : OK);
		if (want) {
			assert_int_equal(e.e.name_len, strlen(want));
			assert_string_equal((const char *)e.e.name, want);
		}
		if (want && !*want) {
			assert_int_equal(e.e.kind, TREENODE_DIR);
			assert_int_equal(e.e.flags, TREENODE_IMPLIED);
			assert_int_equal(name_cmp(&e.e.content, &root), 0);
		}
		tree_entry_clear(&e);
	}
	/* 65537 bytes must not be taken for one */
	assert_non_null(longer = malloc(65538));
	memset(longer, 'a', 65537);
	longer[65537] = '\0';
	assert_int_equal(look(f, &root, longer, &e), OK);
	tree_entry_clear(&e);
	free(longer);
	fake_free(f);
}

/* A copy must not depend on the node it came from. */
static void
test_copy_has_memory_of_its_own(void **state)
{
	uint8_t name[] = "name", target[] = "target", ext[] = "extension";
	struct treenode_entry e = { .name = name, .name_len = 4,
	    .kind = TREENODE_LINK, .size = 6, .target = target, .ext = ext,
	    .ext_len = 9 };
	struct tree_entry copy;

	(void)state;
	assert_int_equal(tree_entry_copy(&copy, &e), OK);
	memset(name, 'x', 4);
	memset(target, 'x', 6);
	memset(ext, 'x', 9);
	assert_string_equal((const char *)copy.e.name, "name");
	assert_string_equal((const char *)copy.e.target, "target");
	assert_memory_equal(copy.e.ext, "extension", 9);
	tree_entry_clear(&copy);
	assert_null(copy.mem);
}

/* An empty directory is one; a node that is not a tree, or not there, is none. */
static void
test_empty_and_bad_roots(void **state)
{
	struct fake *f = fake_new(CACHE);
	struct name id, none = { { 1 } };
	struct tree_entry e;
	struct maker m;

	(void)state;
	m = node(f, FRAME_TREE, 0);
	node_put(&m, &id);
	assert_int_equal(walk(f, &id), 0);
	assert_int_equal(look(f, &id, "x", &e), OK);
	tree_entry_clear(&e);
	m = node(f, FRAME_TREE, 0);
	add_name(&m, "a");
	m.p[m.len++] = 0;
	node_put(&m, &id);
	assert_int_equal(walk(f, &id), ERR_CORRUPT);
	m = node(f, FRAME_TREE, 0);
	add_name(&m, "b");
	add_name(&m, "a");
	node_put(&m, &id);
	assert_int_equal(walk(f, &id), ERR_CORRUPT);
	assert_int_equal(walk(f, &none), ERR_ABSENT);
	fake_free(f);
}

enum fault {
	GOOD, COUNT_MORE, COUNT_LESS, OTHER_FIRST, SECOND_OVERLAPS,
	EMPTY_CHILD, LEVEL_SAME, LEVEL_SKIPPED, DEEP_OVERLAP, FAULTS
};

/*
 *     level 2:  a          m
 *     level 1:  a    e     m
 *     level 0:  a c  e g   m o        with one thing wrong
 */
static void
faulty_tree(struct fake *f, enum fault what, struct name *root)
{
	struct name leaf[3], mid[2];
	struct maker m;

	m = node(f, FRAME_TREE, 0);
	add_name(&m, what == OTHER_FIRST ? "aa" : "a");
	add_name(&m, what == SECOND_OVERLAPS ? "f" : "c");
	node_put(&m, &leaf[0]);
	m = node(f, FRAME_TREE, what == LEVEL_SAME);
	if (what == LEVEL_SAME) {
		add_row(&m, &leaf[0], "e", 2);
	} else if (what != EMPTY_CHILD) {
		add_name(&m, "e");
		add_name(&m, what == DEEP_OVERLAP ? "n" : "g");
	}
	node_put(&m, &leaf[1]);
	m = node(f, FRAME_TREE, 0);
	add_name(&m, "m");
	add_name(&m, "o");
	node_put(&m, &leaf[2]);
	m = node(f, FRAME_TREE, 1);
	add_row(&m, &leaf[0], "a", what == COUNT_MORE ? 3 :
	    what == COUNT_LESS ? 1 : 2);
	add_row(&m, &leaf[1], "e", what == COUNT_MORE ? 1 :
	    what == COUNT_LESS ? 3 : 2);
	node_put(&m, &mid[0]);
	m = node(f, FRAME_TREE, 1);
	add_row(&m, &leaf[2], "m", 2);
	node_put(&m, &mid[1]);
	m = node(f, FRAME_TREE, 2);
	add_row(&m, &mid[0], "a", 4);
	add_row(&m, what == LEVEL_SKIPPED ? &leaf[2] : &mid[1], "m", 2);
	node_put(&m, root);
}

/* TN-3: rows and what they name must agree, or names would be hidden or appear twice. */
static void
test_rows_that_lie_are_malformed(void **state)
{
	(void)state;
	for (enum fault what = GOOD; what < FAULTS; what++) {
		struct fake *f = fake_new(CACHE);
		const char *at = what == LEVEL_SKIPPED ? "m" :
		    what == OTHER_FIRST || what == SECOND_OVERLAPS ||
		    what == COUNT_MORE || what == COUNT_LESS ? "c" : "e";
		struct tree_entry e;
		struct name root;

		faulty_tree(f, what, &root);
		assert_int_equal(walk(f, &root), what == GOOD ? 6 :
		    ERR_CORRUPT);
		assert_int_equal(look(f, &root, at, &e), what == GOOD ? FOUND :
		    ERR_CORRUPT);
		if (what != GOOD)
			assert_non_null(strstr(err_text(), "directory node"));
		tree_entry_clear(&e);
		fake_free(f);
	}
}

/* ---- contents ---- */

static void
add_piece(struct maker *m, const struct name *id, uint64_t len, bool child)
{
	struct listnode_row r = { .id = *id, .len = len };
	size_t n;

	if (!child && !name_is_zero(id))
		memset(r.fingerprint, id->b[0], sizeof(r.fingerprint));
	n = listnode_row_encode(m->p + m->len, NODE_CAP - m->len, &r);
	assert_true(n > 0);
	m->len += n;
}

#define PIECES 100

/* Piece i of a file of PIECES: every seventh is a hole. */
static void
piece_of(unsigned i, struct name *id, uint64_t *len)
{
	memset(id, 0, sizeof(*id));
	if (i % 7 != 3)
		memset(id->b, (int)(i + 1), NAME_LEN);
	*len = i % 7 == 3 ? 1ull << 40 : 1000 + i;
}

/* Three levels: 4 pieces a list, 5 lists a list. */
static uint64_t
big_list(struct fake *f, struct name *root)
{
	struct maker top = node(f, FRAME_LIST, 2);
	uint64_t total = 0;

	for (unsigned i = 0; i < PIECES;) {
		struct maker mid = node(f, FRAME_LIST, 1);
		uint64_t mid_total = 0, leaf_total, len;
		struct name id;

		for (unsigned k = 0; k < 5; k++) {
			struct maker m = node(f, FRAME_LIST, 0);

			leaf_total = 0;
			for (unsigned end = i + 4; i < end; i++) {
				piece_of(i, &id, &len);
				add_piece(&m, &id, len, false);
				leaf_total += len;
			}
			node_put(&m, &id);
			add_piece(&mid, &id, leaf_total, true);
			mid_total += leaf_total;
		}
		node_put(&mid, &id);
		add_piece(&top, &id, mid_total, true);
		total += mid_total;
	}
	node_put(&top, root);
	return total;
}

static struct treenode_entry
file_of(const struct name *content, uint64_t size, uint8_t flags)
{
	return (struct treenode_entry){ .kind = TREENODE_FILE, .flags = flags,
	    .size = size, .content = *content };
}

static void
expect_piece(struct tree_content *c, unsigned i, uint64_t off)
{
	struct tree_piece p;
	struct name id;
	uint64_t len;

	piece_of(i, &id, &len);
	assert_int_equal(tree_content_next(c, &p), FOUND);
	assert_true(p.off == off && p.len == len);
	assert_int_equal(name_cmp(&p.id, &id), 0);
	assert_int_equal(p.hole, name_is_zero(&id));
	assert_int_equal(p.fingerprint[5], p.hole ? 0 : id.b[0]);
	assert_non_null(tree_content_node_id(c));
}

/* LN-2: the pieces of a file of several lists, in order and without gaps. */
static void
test_pieces_of_a_file_follow_each_other(void **state)
{
	struct fake *f = fake_new(CACHE);
	struct treenode_entry e;
	struct tree_content *c;
	struct tree_piece p;
	struct name root;
	uint64_t off = 0;

	(void)state;
	e = file_of(&root, big_list(f, &root), TREENODE_LIST);
	e.content = root;
	assert_int_equal(tree_content_open(f->rd, &e, &c), OK);
	for (unsigned i = 0; i < PIECES; i++) {
		struct name id;
		uint64_t len;

		piece_of(i, &id, &len);
		expect_piece(c, i, off);
		off += len;
	}
	assert_true(off == e.size);
	assert_int_equal(tree_content_next(c, &p), AT_END);
	assert_int_equal(tree_content_next(c, &p), AT_END);
	tree_content_close(c);
	fake_free(f);
}

/* A read in the middle of a large file must give the bytes from there, from whatever position before. */
static void
test_seek_goes_to_the_piece_that_holds_the_offset(void **state)
{
	struct fake *f = fake_new(CACHE);
	uint64_t start[PIECES + 1] = { 0 }, before;
	struct treenode_entry e;
	struct tree_content *c;
	struct tree_piece p;
	struct name root, id;

	(void)state;
	e = file_of(&root, big_list(f, &root), TREENODE_LIST);
	e.content = root;
	for (unsigned i = 0; i < PIECES; i++) {
		piece_of(i, &id, &start[i + 1]);
		start[i + 1] += start[i];
	}
	assert_int_equal(tree_content_open(f->rd, &e, &c), OK);
	for (unsigned n = 0; n < 1000; n++) {
		unsigned i = n * 61 % PIECES;
		uint64_t off = n % 3 == 0 ? start[i] : n % 3 == 1 ?
		    start[i + 1] - 1 : start[i] + 500;

		assert_int_equal(tree_content_seek(c, off), OK);
		for (unsigned k = i; k < PIECES && k < i + n % 11; k++)
			expect_piece(c, k, start[k]);
		if (n % 50 == 0) {
			assert_int_equal(tree_content_seek(c, e.size +
			    n % 100), OK);
			assert_int_equal(tree_content_next(c, &p), AT_END);
		}
	}
	tree_content_close(c);
	/* one path down */
	fake_reopen(f, CACHE);
	assert_int_equal(tree_content_open(f->rd, &e, &c), OK);
	assert_int_equal(tree_content_seek(c, start[57]), OK);
	expect_piece(c, 57, start[57]);
	assert_int_equal(reader_stats(f->rd)->frames_read, 3);
	tree_content_close(c);
	/* and what is in the node at hand is not looked for from above */
	fake_reopen(f, 1);
	assert_int_equal(tree_content_open(f->rd, &e, &c), OK);
	assert_int_equal(tree_content_seek(c, start[57]), OK);
	before = reader_stats(f->rd)->frames_read;
	for (unsigned n = 1; n < 9; n++) {
		assert_int_equal(tree_content_seek(c, start[57] + n), OK);
		expect_piece(c, 57, start[57]);
	}
	assert_int_equal(reader_stats(f->rd)->frames_read, before);
	tree_content_close(c);
	fake_free(f);
}

/* Files without a list: nothing, one chunk, what could not be read. */
static void
test_files_without_a_list(void **state)
{
	struct fake *f = fake_new(CACHE);
	struct name id = { { 1, 2, 3 } }, none = { { 0 } };
	struct treenode_entry e = file_of(&none, 0, 0);
	struct tree_content *c;
	struct tree_piece p;

	(void)state;
	assert_int_equal(tree_content_open(f->rd, &e, &c), OK);
	assert_int_equal(tree_content_next(c, &p), AT_END);
	tree_content_close(c);
	e = file_of(&id, 77, 0);
	e.fingerprint[3] = 9;
	assert_int_equal(tree_content_open(f->rd, &e, &c), OK);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(tree_content_next(c, &p), FOUND);
		assert_true(p.off == 0 && p.len == 77 && !p.hole);
		assert_int_equal(name_cmp(&p.id, &id), 0);
		assert_int_equal(p.fingerprint[3], 9);
		assert_null(tree_content_node_id(c));
		assert_int_equal(tree_content_next(c, &p), AT_END);
		assert_int_equal(tree_content_seek(c, 76), OK);
	}
	assert_int_equal(tree_content_seek(c, 77), OK);
	assert_int_equal(tree_content_next(c, &p), AT_END);
	tree_content_close(c);
	e = file_of(&id, FRAME_CHUNK_MAX + 1, 0);
	assert_int_equal(tree_content_open(f->rd, &e, &c), ERR_CORRUPT);
	assert_null(c);
	e = file_of(&none, 5, TREENODE_UNREAD);
	assert_int_equal(tree_content_open(f->rd, &e, &c), ERR_FAILED);
	e.kind = TREENODE_DIR;
	assert_int_equal(tree_content_open(f->rd, &e, &c), ERR_USAGE);
	fake_free(f);
}

enum list_fault {
	LIST_GOOD, CHILD_LONGER, CHILD_SHORTER, CHILD_SAME_LEVEL,
	CHUNK_TOO_LONG, SIZE_MORE, SIZE_LESS, NOT_A_LIST, LIST_FAULTS
};

/* LN-2: a list that stands for another length would shift everything behind it. */
static void
test_lists_with_wrong_lengths_are_malformed(void **state)
{
	(void)state;
	for (enum list_fault what = LIST_GOOD; what < LIST_FAULTS; what++) {
		struct name data = { { 1 } }, leaf, root, id;
		struct fake *f = fake_new(CACHE);
		uint64_t len = what == CHUNK_TOO_LONG ? FRAME_CHUNK_MAX + 1 :
		    100, said = what == CHILD_LONGER ? 99 :
		    what == CHILD_SHORTER ? 101 : len, size;
		struct treenode_entry e;
		struct tree_content *c;
		struct tree_piece p;
		struct maker m;
		int rc;

		m = node(f, FRAME_LIST, 0);
		add_piece(&m, &data, len, false);
		node_put(&m, &leaf);
		if (what == CHILD_SAME_LEVEL) {
			m = node(f, FRAME_LIST, 1);
			add_piece(&m, &leaf, len, true);
			node_put(&m, &id);
			leaf = id;
		}
		m = node(f, FRAME_LIST, 1);
		add_piece(&m, &leaf, said, true);
		add_piece(&m, &leaf, said, true);
		if (what == NOT_A_LIST)
			m.p[m.len++] = 0;
		node_put(&m, &root);
		size = 2 * said + (what == SIZE_MORE) - (what == SIZE_LESS);
		e = file_of(&root, size, TREENODE_LIST);
		rc = tree_content_open(f->rd, &e, &c);
		while (rc == OK || rc == FOUND)
			rc = tree_content_next(c, &p);
		assert_int_equal(rc, what == LIST_GOOD ? AT_END : ERR_CORRUPT);
		if (c) {
			assert_int_equal(tree_content_next(c, &p), rc);
			assert_int_equal(tree_content_seek(c, 0),
			    rc < 0 ? rc : OK);
			tree_content_close(c);
		}
		if (what == CHILD_LONGER) {
			assert_int_equal(tree_content_open(f->rd, &e, &c), OK);
			assert_int_equal(tree_content_seek(c, 150),
			    ERR_CORRUPT);
			tree_content_close(c);
		}
		fake_free(f);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split_directory_is_whole_and_in_order),
		cmocka_unit_test(test_lookup_finds_what_is_there),
		cmocka_unit_test(test_lookup_goes_down_directories),
		cmocka_unit_test(test_copy_has_memory_of_its_own),
		cmocka_unit_test(test_empty_and_bad_roots),
		cmocka_unit_test(test_rows_that_lie_are_malformed),
		cmocka_unit_test(test_pieces_of_a_file_follow_each_other),
		cmocka_unit_test(test_seek_goes_to_the_piece_that_holds_the_offset),
		cmocka_unit_test(test_files_without_a_list),
		cmocka_unit_test(test_lists_with_wrong_lengths_are_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
