/*
 * restore: what comes out is what went in, and nothing outside the target is
 * touched.
 *
 * The repository is faked: chunks lie in memory, and put_tree() is a small
 * snapshot of a real directory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail                              /* base/err.h has one too */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/digest.h"
#include "format/listnode.h"
#include "format/treenode.h"
#include "ops/restore.h"
#include "store/fetch.h"
#include "store/index.h"
#include "store/reader.h"
#include "sys/fsys.h"
#include "sys/target.h"

#define PIECE (64u << 10)
#define NODE_CAP (1u << 20)
#define CHUNKS 4096
#define DEEP 320
#define LINKED 100
#define GAP "gap"                       /* in the source: as if its node were lost, and repair had been there */

struct chunk {
	struct name id;
	uint8_t *p;
	size_t len;
	bool damaged;
};

struct reader {
	struct chunk chunk[CHUNKS];
	size_t count;
};

struct index {
	int unused;
};

struct box {
	char dir[400];
	int fd, src, dst;               /* all; the source; the target */
	char target[420];
	struct reader rd;
	struct repo repo;
	struct io io;
	struct snapshots_item snap;
	struct restore_options o;
	struct restore_result res;
	char items[4096], problems[1024];
	uint64_t named;                 /* a sum over the paths of items */
	struct restore_progress progress;
	unsigned told;                  /* how often */
};

/* The parts of the store that restore_run asks for. */
int
index_load(struct repo *r, struct index **out)
{
	(void)r;
	*out = NULL;
	return OK;
}

struct index *
index_free(struct index *ix)
{
	return ix;
}

int
reader_new(struct repo *r, struct index *ix, size_t cache, struct reader **out)
{
	(void)ix;
	(void)cache;
	*out = &((struct box *)((char *)r - offsetof(struct box, repo)))->rd;
	return OK;
}

int
reader_ahead(struct reader *rd, unsigned jobs)
{
	(void)rd;
	(void)jobs;
	return OK;
}

struct reader *
reader_free(struct reader *rd)
{
	(void)rd;
	return NULL;
}

int
reader_get(struct reader *rd, const struct name *id, uint8_t type,
    const uint8_t **p, size_t *len)
{
	(void)type;
	for (size_t i = 0; i < rd->count; i++) {
		struct chunk *c = &rd->chunk[i];

		if (name_cmp(&c->id, id) != 0)
			continue;
		if (c->damaged)
			return fail(ERR_AUTH, "damaged");
		*p = c->p;
		*len = c->len;
		return OK;
	}
	return fail(ERR_ABSENT, "missing");
}

unsigned
fetch_jobs(void)
{
	return 2;
}

int
fetch_new(struct reader *rd, unsigned jobs, struct fetch **out)
{
	(void)jobs;
	*out = (struct fetch *)rd;
	return OK;
}

struct fetch *
fetch_free(struct fetch *f)
{
	(void)f;
	return NULL;
}

int
fetch_content(struct fetch *f, const struct treenode_entry *e, fetch_fn fn,
    void *arg)
{
	struct reader *rd = (struct reader *)f;
	struct tree_content *c = NULL;
	struct tree_piece t;
	const uint8_t *p;
	size_t len;
	int rc = tree_content_open(rd, e, &c);

	while (rc == OK && (rc = tree_content_next(c, &t)) == FOUND &&
	    (rc = t.hole ? OK : reader_get(rd, &t.id, 'D', &p, &len)) == OK)
		rc = fn(arg, &t, t.hole ? NULL : p);
	tree_content_close(c);
	return rc == AT_END ? OK : rc;
}

static int
lock(struct io *io, enum io_lock kind, bool wait)
{
	(void)io;
	(void)kind;
	(void)wait;
	return OK;
}

static const struct io_ops fake_ops = { .lock = lock };

static void
put(struct box *b, uint8_t type, const void *p, size_t len, struct name *id)
{
	struct chunk *c = &b->rd.chunk[b->rd.count];

	digest_chunk_id(id, b->repo.keys->id, type, p, len);
	for (size_t i = 0; i < b->rd.count; i++)
		if (name_cmp(&b->rd.chunk[i].id, id) == 0)
			return;
	assert_true(b->rd.count++ < CHUNKS);
	c->id = *id;
	c->len = len;
	assert_int_equal(mem_dup_bytes(&c->p, p, len), OK);
}

static void
put_piece(struct box *b, int fd, uint64_t off, size_t len, uint8_t *list,
    size_t *used, struct listnode_row *row)
{
	uint8_t *buf = malloc(len);
	size_t got;

	assert_non_null(buf);
	*row = (struct listnode_row){ .len = len };
	assert_int_equal(fsys_read_at(fd, off, buf, len, &got), OK);
	assert_int_equal(got, len);
	put(b, 'D', buf, len, &row->id);
	digest_poly1305(row->fingerprint, b->repo.keys->fingerprint, buf, len);
	*used += listnode_row_encode(list + *used, NODE_CAP - *used, row);
	free(buf);
}

static void
put_file(struct box *b, int dirfd, const char *name, struct treenode_entry *e)
{
	uint64_t off = 0, start, end;
	uint8_t *list = malloc(NODE_CAP);
	size_t used = listnode_head_encode(list, NODE_CAP, 0);
	struct listnode_row row = { 0 };
	unsigned rows = 0;
	int fd;

	assert_non_null(list);
	assert_int_equal(fsys_open_file(dirfd, name, &fd), OK);
	while (off < e->size) {
		assert_int_equal(fsys_next_data(fd, off, e->size, &start,
		    &end), OK);
		if (start > off) {
			row = (struct listnode_row){ .len = start - off };
			used += listnode_row_encode(list + used,
			    NODE_CAP - used, &row);
			rows++;
		}
		for (off = start; off < end; off += row.len, rows++)
			put_piece(b, fd, off, end - off < PIECE ?
			    (size_t)(end - off) : PIECE, list, &used, &row);
	}
	fsys_close(fd);
	if (rows == 1 && !name_is_zero(&row.id)) {
		e->content = row.id;
		memcpy(e->fingerprint, row.fingerprint, 16);
	} else if (rows > 0) {
		e->flags |= TREENODE_LIST;
		put(b, 'L', list, used, &e->content);
	}
	free(list);
}

static uint8_t
kind_of(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return TREENODE_DIR;
	case S_IFLNK:
		return TREENODE_LINK;
	case S_IFIFO:
		return TREENODE_FIFO;
	case S_IFSOCK:
		return TREENODE_SOCKET;
	default:
		return TREENODE_FILE;
	}
}

/* Begin like this: files that one after the other had the same number while the snapshot was made. */
#define REUSED "reused"

static void put_tree(struct box *b, int fd, struct name *id);

static size_t
put_entry(struct box *b, int dirfd, const char *name, uint8_t *buf, size_t cap)
{
	char target[TREENODE_TARGET_MAX + 1];
	struct treenode_entry e = { .name = (const uint8_t *)name,
	    .name_len = (uint16_t)strlen(name) };
	uint8_t *xattrs, *ext = NULL;
	struct fsys_stat st;
	size_t len, n;
	int fd;

	if (strcmp(name, GAP) == 0) {
		e.kind = TREENODE_FILE;
		e.flags = TREENODE_UNREAD;
		return treenode_entry_encode(buf, cap, &e);
	}
	assert_int_equal(fsys_stat(dirfd, name, &st), OK);
	e.kind = kind_of(st.mode);
	e.mode = st.mode & 07777;
	e.uid = st.uid;
	e.gid = st.gid;
	e.mtime = st.mtime;
	e.mtime_ns = st.mtime_ns;
	e.inode = st.inode;
	e.size = e.kind == TREENODE_FILE ? st.size : 0;
	if (e.kind != TREENODE_DIR && st.nlink > 1) {
		e.flags |= TREENODE_HARDLINK;
		e.dev = st.dev;
	}
	if (strncmp(name, REUSED, strlen(REUSED)) == 0) {
		e.flags |= TREENODE_HARDLINK;
		e.inode = e.dev = 7;
		e.mtime = e.mtime_ns = 7;
	}
	if (e.kind == TREENODE_LINK) {
		assert_int_equal(fsys_readlink(dirfd, name, target,
		    sizeof(target), &len), OK);
		e.target = (const uint8_t *)target;
		e.size = len;
	}
	assert_int_equal(fsys_xattrs(dirfd, name, st.mode, 1 << 18, &xattrs,
	    &len), OK);
	if (len) {
		assert_non_null(ext = malloc(len + 8));
		e.ext_len = (uint32_t)treenode_ext_encode(ext, len + 8,
		    TREENODE_EXT_XATTR, xattrs, len);
		e.ext = ext;
	}
	if (e.kind == TREENODE_FILE)
		put_file(b, dirfd, name, &e);
	if (e.kind == TREENODE_DIR) {
		assert_int_equal(fsys_open_dir(dirfd, name, &fd), OK);
		put_tree(b, fd, &e.content);
		fsys_close(fd);
	}
	n = treenode_entry_encode(buf, cap, &e);
	assert_true(n > 0);
	free(xattrs);
	free(ext);
	return n;
}

static void
put_tree(struct box *b, int fd, struct name *id)
{
	uint8_t *node = malloc(NODE_CAP);
	size_t used = treenode_head_encode(node, NODE_CAP, 0);
	struct fsys_names names;

	assert_non_null(node);
	assert_int_equal(fsys_list(fd, &names), OK);
	for (size_t i = 0; i < names.count; i++)
		used += put_entry(b, fd, names.name[i], node + used,
		    NODE_CAP - used);
	fsys_names_clear(&names);
	put(b, 'T', node, used, id);
	free(node);
}

/* A snapshot of box/ with the one entry "src", its way there being implied. */
static void
snapshot(struct box *b)
{
	uint8_t node[4096];
	size_t used = treenode_head_encode(node, sizeof(node), 0);
	struct treenode_entry home = { .name = (const uint8_t *)"home",
	    .name_len = 4, .kind = TREENODE_DIR, .flags = TREENODE_IMPLIED,
	    .mode = 0755, .uid = geteuid(), .gid = getegid() };

	used += put_entry(b, b->fd, "src", node + used, sizeof(node) - used);
	put(b, 'T', node, used, &home.content);
	used = treenode_head_encode(node, sizeof(node), 0);
	used += treenode_entry_encode(node + used, sizeof(node) - used, &home);
	put(b, 'T', node, used, &b->snap.rec.root);
}

static void
on_item(void *arg, char what, const char *path, const char *beneath, uint64_t size)
{
	struct box *b = arg;
	size_t len = strlen(b->items);

	(void)size;
	b->named += digest_xxh3(path, strlen(path)) ^ strlen(beneath);
	if (len + 1 < sizeof(b->items)) {
		b->items[len] = what;
		b->items[len + 1] = '\0';
	}
}

static void
on_problem(void *arg, const char *path, const char *text)
{
	struct box *b = arg;
	size_t len = strlen(b->problems);

	snprintf(b->problems + len, sizeof(b->problems) - len, "%.200s: %s\n",
	    path, text);
}

static unsigned
open_files(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 1000; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

/* Whatever comes of it, no file is left open. */
static int
restore(struct box *b)
{
	unsigned before = open_files();
	int rc;

	b->items[0] = b->problems[0] = '\0';
	b->named = 0;
	b->o.target = b->target;
	b->o.item = on_item;
	b->o.problem = on_problem;
	b->o.arg = b;
	rc = restore_run(&b->repo, &b->snap, &b->o, &b->res);
	assert_int_equal(open_files(), before);
	return rc;
}

static int
setup(void **state)
{
	const char *tmp = getenv("TMPDIR");
	const uint8_t master[32] = { 9 };
	struct box *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	snprintf(b->dir, sizeof(b->dir), "%s/varve-restore-XXXXXX",
	    tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(b->dir));
	b->fd = open(b->dir, O_RDONLY | O_DIRECTORY);
	assert_int_equal(mkdirat(b->fd, "src", 0700), 0);
	assert_int_equal(mkdirat(b->fd, "dst", 0700), 0);
	assert_int_equal(fsys_open_dir(b->fd, "src", &b->src), OK);
	assert_int_equal(fsys_open_dir(b->fd, "dst", &b->dst), OK);
	snprintf(b->target, sizeof(b->target), "%s/dst", b->dir);
	assert_int_equal(keys_new(master, &b->repo.keys), OK);
	b->io.ops = &fake_ops;
	b->repo.io = &b->io;
	b->o.subpath = "/home/src/";
	*state = b;
	return 0;
}

static int
teardown(void **state)
{
	struct box *b = *state;
	uint64_t count = 0;

	(void)!fchmodat(b->src, "locked", 0700, 0);
	(void)!fchmodat(b->dst, "locked", 0700, 0);
	assert_int_equal(target_remove(b->fd, "src", false, &count), OK);
	assert_int_equal(target_remove(b->fd, "dst", false, &count), OK);
	assert_int_equal(target_remove(b->fd, "else", false, &count), OK);
	close(b->src);
	close(b->dst);
	close(b->fd);
	assert_int_equal(rmdir(b->dir), 0);
	for (size_t i = 0; i < b->rd.count; i++)
		free(b->rd.chunk[i].p);
	keys_free(b->repo.keys);
	free(b);
	return 0;
}

static void
make(int dirfd, const char *name, const char *text, uint32_t mode)
{
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static bool
holds(int dirfd, const char *name, const char *text)
{
	char buf[256] = "";
	size_t got = 0;
	int fd;

	if (fsys_open_file(dirfd, name, &fd))
		return false;
	assert_int_equal(fsys_read_at(fd, 0, buf, sizeof(buf) - 1, &got), OK);
	fsys_close(fd);
	return strcmp(buf, text) == 0;
}

static struct fsys_stat
stat_of(int dirfd, const char *name)
{
	struct fsys_stat st = { 0 };

	if (fsys_stat(dirfd, name, &st))
		st = (struct fsys_stat){ 0 };
	return st;
}

static void
set_time(int dirfd, const char *name, int64_t s)
{
	const struct timespec t[2] = { { s, 1 }, { s, 1 } };

	assert_int_equal(utimensat(dirfd, name, t, AT_SYMLINK_NOFOLLOW), 0);
}

/*
 * Both trees have the same names, kinds, modes, owners, times, attributes and
 * content.
 */
static void
assert_same_tree(int a, int b)
{
	struct fsys_names x, y;
	struct fsys_stat s, t;

	assert_int_equal(fsys_list(a, &x), OK);
	assert_int_equal(fsys_list(b, &y), OK);
	assert_int_equal(x.count, y.count);
	for (size_t i = 0; i < x.count; i++) {
		uint8_t *p, *q, one[4096], two[4096];
		size_t n, m;
		int c, d;

		assert_string_equal(x.name[i], y.name[i]);
		s = stat_of(a, x.name[i]);
		t = stat_of(b, x.name[i]);
		assert_int_equal(s.mode, t.mode);
		assert_int_equal(s.uid, t.uid);
		assert_int_equal(s.gid, t.gid);
		assert_int_equal(s.mtime, t.mtime);
		assert_int_equal(s.mtime_ns, t.mtime_ns);
		assert_int_equal(s.nlink, t.nlink);
		assert_int_equal(fsys_xattrs(a, x.name[i], s.mode, 1 << 18, &p,
		    &n), OK);
		assert_int_equal(fsys_xattrs(b, x.name[i], s.mode, 1 << 18, &q,
		    &m), OK);
		assert_int_equal(n, m);
		assert_true(n == 0 || memcmp(p, q, n) == 0);
		free(p);
		free(q);
		if (S_ISLNK(s.mode)) {
			assert_int_equal(fsys_readlink(a, x.name[i],
			    (char *)one, sizeof(one), &n), OK);
			assert_int_equal(fsys_readlink(b, x.name[i],
			    (char *)two, sizeof(two), &m), OK);
			assert_string_equal((char *)one, (char *)two);
		}
		if (S_ISDIR(s.mode)) {
			assert_int_equal(fsys_open_dir(a, x.name[i], &c), OK);
			assert_int_equal(fsys_open_dir(b, x.name[i], &d), OK);
			assert_same_tree(c, d);
			fsys_close(c);
			fsys_close(d);
		}
		if (!S_ISREG(s.mode) || s.size > 1 << 20)
			continue;
		assert_int_equal(s.size, t.size);
		assert_int_equal(fsys_open_file(a, x.name[i], &c), OK);
		assert_int_equal(fsys_open_file(b, x.name[i], &d), OK);
		for (uint64_t off = 0; off < s.size; off += n) {
			assert_int_equal(fsys_read_at(c, off, one,
			    sizeof(one), &n), OK);
			assert_int_equal(fsys_read_at(d, off, two,
			    sizeof(two), &m), OK);
			assert_true(n == m && memcmp(one, two, n) == 0);
		}
		fsys_close(c);
		fsys_close(d);
	}
	fsys_names_clear(&x);
	fsys_names_clear(&y);
}

static void
fill(int dirfd, const char *name, size_t len, unsigned seed)
{
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT, 0640);
	char *p = malloc(len);

	assert_true(fd >= 0 && p);
	for (size_t i = 0; i < len; i++)
		p[i] = (char)((i * 2654435761u + seed) >> 13);
	assert_int_equal(write(fd, p, len), (ssize_t)len);
	free(p);
	close(fd);
}

static void
nasty(struct box *b)
{
	char deep[41];
	int fd = dup(b->src), next;

	make(b->src, "empty", "", 0644);
	make(b->src, "readonly", "r", 0444);
	make(b->src, "secret", "s", 0000);
	make(b->src, "setuid", "s", 06755);
	make(b->src, "odd\n\x1b[31m\xff", "odd", 0600);
	fill(b->src, "large", 300000, 1);
	assert_int_equal(mkdirat(b->src, "dir", 0755), 0);
	assert_int_equal(mkdirat(b->src, "dir/none", 02770), 0);
	assert_int_equal(mkdirat(b->src, "locked", 0700), 0);
	make(b->src, "locked/in", "in", 0600);
	assert_int_equal(linkat(b->src, "large", b->src, "dir/large2", 0), 0);
	assert_int_equal(linkat(b->src, "large", b->src, "zlarge", 0), 0);
	for (int i = 0; i < LINKED; i++) {
		char one[20], two[20];

		snprintf(one, sizeof(one), "h%d", i);
		snprintf(two, sizeof(two), "i%d", i);
		make(b->src, one, two, 0644);
		assert_int_equal(linkat(b->src, one, b->src, two, 0), 0);
	}
	assert_int_equal(symlinkat("nowhere", b->src, "dangling"), 0);
	assert_int_equal(symlinkat("/", b->src, "root"), 0);
	assert_int_equal(linkat(b->src, "root", b->src, "root2", 0), 0);
	assert_int_equal(mkfifoat(b->src, "fifo", 0620), 0);
	assert_int_equal(mknodat(b->src, "socket", S_IFSOCK | 0600, 0), 0);
	assert_int_equal(fchmodat(b->src, "locked", 0500, 0), 0);
	memset(deep, 'd', 40);
	deep[40] = '\0';
	for (int i = 0; i < DEEP; i++) {
		assert_int_equal(mkdirat(fd, deep, 0700), 0);
		assert_int_equal(fsys_open_dir(fd, deep, &next), OK);
		fsys_close(fd);
		fd = next;
	}
	make(fd, "bottom", "b", 0600);
	fsys_close(fd);
	fd = openat(b->src, "large", O_WRONLY);
	(void)fsetxattr(fd, "user.note", "x", 1, 0);
	close(fd);
	set_time(b->src, "large", -5);
	set_time(b->src, "dangling", 77);
	set_time(b->src, "dir", 1000000000);
	set_time(b->src, "fifo", 5000000000);
}

static void
test_everything_comes_back(void **state)
{
	struct box *b = *state;
	struct fsys_stat one, two;

	nasty(b);
	if (geteuid() != 0)
		assert_int_equal(unlinkat(b->src, "secret", 0), 0);
	snapshot(b);
	b->o.verify = geteuid() == 0;
	if (restore(b) != OK)
		print_error("%s: %s", err_text(), b->problems);
	assert_string_equal(b->problems, "");
	assert_same_tree(b->src, b->dst);
	one = stat_of(b->dst, "large");
	two = stat_of(b->dst, "dir/large2");
	assert_int_equal(one.inode, two.inode);
	assert_int_equal(stat_of(b->dst, "").mode, stat_of(b->src, "").mode);
	assert_int_equal(stat_of(b->dst, "").mtime,
	    stat_of(b->src, "").mtime);
}

/* A restore over what is right already must not touch it. */
static void
test_second_restore_changes_nothing(void **state)
{
	struct box *b = *state;
	struct fsys_stat was, now;
	static const char *const names[] = { "large", "dir", "dangling",
		"fifo", "dir/large2", "setuid", "root" };
	uint64_t named;

	nasty(b);
	if (geteuid() != 0)
		assert_int_equal(unlinkat(b->src, "secret", 0), 0);
	snapshot(b);
	assert_int_equal(restore(b), OK);
	named = b->named;
	for (int pass = 0; pass < 2; pass++) {
		struct fsys_stat all[7];

		for (size_t i = 0; i < 7; i++)
			all[i] = stat_of(b->dst, names[i]);
		b->o.overwrite = pass ? RESTORE_IF_CHANGED : RESTORE_ALWAYS;
		b->o.delete_extra = true;
		assert_int_equal(restore(b), OK);
		assert_int_equal(strspn(b->items, "U"), strlen(b->items));
		assert_int_equal(b->res.bytes_written, 0);
		assert_int_equal(b->res.deleted, 0);
		assert_true(named == b->named);
		for (size_t i = 0; i < 7; i++) {
			was = all[i];
			now = stat_of(b->dst, names[i]);
			assert_int_equal(was.inode, now.inode);
			assert_int_equal(was.ctime, now.ctime);
			assert_int_equal(was.ctime_ns, now.ctime_ns);
		}
	}
}

/* Only what differs is written again, and it is never half there. */
static void
changed_parts(struct box *b)
{
	uint64_t ino;
	int fd;

	fill(b->src, "big", 1000000, 1);
	make(b->src, "meta", "m", 0640);
	snapshot(b);
	assert_int_equal(restore(b), OK);
	fd = openat(b->dst, "big", O_WRONLY);
	assert_int_equal(pwrite(fd, "?", 1, 700000), 1);
	close(fd);
	ino = stat_of(b->dst, "meta").inode;
	assert_int_equal(fchmodat(b->dst, "meta", 0600, 0), 0);
	assert_int_equal(restore(b), OK);
	assert_string_equal(b->items, "MmU");
	assert_same_tree(b->src, b->dst);
	assert_int_equal(ino, stat_of(b->dst, "meta").inode);
}

static void
test_changed_parts_are_rewritten(void **state)
{
	changed_parts(*state);
}

/* Where everybody has the keys, a fingerprint proves nothing, and ids are compared. */
static void
test_changed_parts_in_public(void **state)
{
	struct box *b = *state;

	b->repo.keys->public_slot = true;
	changed_parts(b);
}

/* A file of the target that has another name elsewhere: what that one says of itself stays. */
static void
test_another_name_keeps_its_mode(void **state)
{
	struct box *b = *state;

	make(b->src, "f", "same", 0640);
	snapshot(b);
	assert_int_equal(restore(b), OK);
	assert_int_equal(linkat(b->dst, "f", b->fd, "outside", 0), 0);
	assert_int_equal(restore(b), OK);
	assert_string_equal(b->items, "UU");
	assert_int_equal(fchmodat(b->fd, "outside", 0600, 0), 0);
	assert_int_equal(restore(b), OK);
	assert_same_tree(b->src, b->dst);
	assert_int_equal(stat_of(b->fd, "outside").mode & 0777, 0600);
	assert_true(holds(b->fd, "outside", "same"));
	assert_int_equal(unlinkat(b->fd, "outside", 0), 0);
}

/* Linked by the number alone, one would have the other's content. */
static void
test_a_number_used_again_is_no_link(void **state)
{
	struct box *b = *state;

	make(b->src, REUSED "-1", "one", 0640);
	make(b->src, REUSED "-2", "two", 0640);
	make(b->src, REUSED "-3", "two", 0640);
	assert_int_equal(symlinkat("one", b->src, REUSED "-4"), 0);
	assert_int_equal(symlinkat("two", b->src, REUSED "-5"), 0);
	snapshot(b);
	for (unsigned i = 0; i < 2; i++) {
		assert_int_equal(restore(b), OK);
		assert_true(holds(b->dst, REUSED "-1", "one"));
		assert_true(holds(b->dst, REUSED "-2", "two"));
		assert_int_equal(stat_of(b->dst, REUSED "-1").nlink, 1);
		assert_int_equal(stat_of(b->dst, REUSED "-3").nlink, 2);
		assert_int_equal(stat_of(b->dst, REUSED "-5").nlink, 1);
	}
	assert_string_equal(b->items, "UUUUUU");
}

/* A name that was linked to the one that is there, from outside: its mode stays, and it gets no more names. */
static void
test_linked_names_leave_others_alone(void **state)
{
	struct box *b = *state;

	make(b->src, "f", "same", 0640);
	assert_int_equal(linkat(b->src, "f", b->src, "g", 0), 0);
	snapshot(b);
	make(b->fd, "outside", "same", 0600);
	assert_int_equal(linkat(b->fd, "outside", b->dst, "f", 0), 0);
	assert_int_equal(restore(b), OK);
	assert_same_tree(b->src, b->dst);
	assert_int_equal(stat_of(b->fd, "outside").mode & 0777, 0600);
	assert_int_equal(stat_of(b->fd, "outside").nlink, 1);
	assert_int_equal(unlinkat(b->fd, "outside", 0), 0);
}

/* Writing through a link in the target would reach files outside of it. */
static void
test_links_in_the_target_are_not_followed(void **state)
{
	struct box *b = *state;
	int out;

	assert_int_equal(mkdirat(b->src, "d", 0755), 0);
	make(b->src, "d/x", "new", 0644);
	make(b->src, "f", "new", 0644);
	snapshot(b);
	assert_int_equal(mkdirat(b->fd, "else", 0700), 0);
	assert_int_equal(fsys_open_dir(b->fd, "else", &out), OK);
	make(out, "x", "old", 0600);
	make(out, "f", "old", 0600);
	assert_int_equal(symlinkat("../else", b->dst, "d"), 0);
	assert_int_equal(symlinkat("../else/f", b->dst, "f"), 0);
	assert_int_equal(restore(b), OK);
	assert_true(holds(out, "x", "old"));
	assert_true(holds(out, "f", "old"));
	assert_int_equal(stat_of(out, "f").mode, S_IFREG | 0600);
	assert_same_tree(b->src, b->dst);
	fsys_close(out);
}

/* A damaged chunk costs its file, named, and nothing else. */
static void
test_damage_costs_only_its_file(void **state)
{
	struct box *b = *state;
	struct name id;

	make(b->src, "a", "aaaa", 0644);
	make(b->src, "bad", "bbbb", 0644);
	make(b->src, "bad2", "bbbb", 0644);
	make(b->src, "c", "cccc", 0644);
	snapshot(b);
	digest_chunk_id(&id, b->repo.keys->id, 'D', "bbbb", 4);
	for (size_t i = 0; i < b->rd.count; i++)
		if (name_cmp(&b->rd.chunk[i].id, &id) == 0)
			b->rd.chunk[i].damaged = true;
	make(b->dst, "bad2", "precious", 0600);
	assert_int_equal(restore(b), ERR_CORRUPT);
	assert_int_equal(b->res.damaged, 2);
	assert_string_equal(b->problems, "/home/src/bad: damaged\n"
	    "/home/src/bad2: damaged\n");
	assert_true(holds(b->dst, "a", "aaaa"));
	assert_true(holds(b->dst, "c", "cccc"));
	assert_int_equal(stat_of(b->dst, "bad").mode, 0);
	assert_true(holds(b->dst, "bad2", "precious"));
	/* no temporary file stays: a, bad2, c */
	struct fsys_names n;

	assert_int_equal(fsys_list(b->dst, &n), OK);
	assert_int_equal(n.count, 3);
	fsys_names_clear(&n);

	/* What is there already needs no chunk. */
	make(b->dst, "bad", "bbbb", 0600);
	make(b->dst, "bad2", "bbbb", 0600);
	assert_int_equal(restore(b), OK);
	assert_same_tree(b->src, b->dst);
}

/* In a new directory threads make the files: what is wrong meanwhile is told in its turn, and counts. */
static void
test_damage_in_a_new_directory(void **state)
{
	struct box *b = *state;
	struct name id;
	char name[16];

	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "f%02d", i);
		make(b->src, name, i % 20 == 7 ? "bbbb" : name, 0644);
	}
	snapshot(b);
	digest_chunk_id(&id, b->repo.keys->id, 'D', "bbbb", 4);
	for (size_t i = 0; i < b->rd.count; i++)
		if (name_cmp(&b->rd.chunk[i].id, &id) == 0)
			b->rd.chunk[i].damaged = true;
	strcat(b->target, "/new");
	assert_int_equal(restore(b), ERR_CORRUPT);
	assert_int_equal(b->res.damaged, 3);
	assert_int_equal(b->res.files_restored, 47);
	assert_string_equal(b->problems, "/home/src/f07: damaged\n"
	    "/home/src/f27: damaged\n/home/src/f47: damaged\n");
}

/* The system refuses some of them, in the threads: each is told once, also when what was restored is read back. */
static void
test_refused_in_a_new_directory(void **state)
{
	struct box *b = *state;
	struct rlimit before, now;
	char name[16];
	int rc;

	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof(name), "f%02d", i);
		if (i % 20 == 7)
			fill(b->src, name, 5000, (unsigned)i);
		else
			make(b->src, name, name, 0644);
	}
	snapshot(b);
	strcat(b->target, "/new");
	b->o.verify = true;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	now = (struct rlimit){ 1000, before.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &now), 0);
	rc = restore(b);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(rc, ERR_PARTIAL);
	assert_int_equal(b->res.errors, 3);
	assert_int_equal(b->res.files_restored, 47);
	assert_int_equal(b->res.verified, 47);
	assert_string_equal(b->problems, "/home/src/f07: cannot write: "
	    "File too large\n/home/src/f27: cannot write: File too large\n"
	    "/home/src/f47: cannot write: File too large\n");
	assert_int_equal(stat_of(b->dst, "new/f07").mode, 0);
}

static void
test_overwrite_rules(void **state)
{
	struct box *b = *state;

	make(b->src, "f", "snapshot", 0644);
	set_time(b->src, "f", 1000);
	snapshot(b);
	make(b->dst, "f", "targeted", 0600);
	set_time(b->dst, "f", 2000);
	b->o.overwrite = RESTORE_NEVER;
	assert_int_equal(restore(b), OK);
	assert_int_equal(b->res.files_skipped, 1);
	b->o.overwrite = RESTORE_IF_NEWER;
	assert_int_equal(restore(b), OK);
	assert_true(holds(b->dst, "f", "targeted"));
	assert_int_equal(stat_of(b->dst, "f").mode, S_IFREG | 0600);
	set_time(b->dst, "f", 1000);
	b->o.overwrite = RESTORE_IF_CHANGED;
	assert_int_equal(restore(b), OK);
	assert_true(holds(b->dst, "f", "targeted"));
	set_time(b->dst, "f", 999);
	b->o.overwrite = RESTORE_IF_NEWER;
	assert_int_equal(restore(b), OK);
	assert_true(holds(b->dst, "f", "snapshot"));
}

/* Deleting too much is losing data. */
static void
test_delete_stays_in_what_was_snapshotted(void **state)
{
	struct box *b = *state;

	assert_int_equal(mkdirat(b->src, "d", 0755), 0);
	make(b->src, "d/keep", "k", 0644);
	make(b->src, "m", "m", 0644);
	snapshot(b);
	assert_int_equal(mkdirat(b->dst, "d", 0755), 0);
	assert_int_equal(mkdirat(b->dst, "d/extra", 0755), 0);
	make(b->dst, "d/extra/f", "x", 0644);
	make(b->dst, "a", "x", 0644);
	make(b->dst, "z", "x", 0644);
	assert_int_equal(restore(b), OK);
	assert_true(holds(b->dst, "a", "x"));
	assert_true(holds(b->dst, "d/extra/f", "x"));

	b->o.delete_extra = b->o.dry_run = true;
	assert_int_equal(restore(b), OK);
	assert_string_equal(b->items, "--UUU-U");
	assert_true(holds(b->dst, "z", "x"));

	b->o.dry_run = false;
	assert_int_equal(restore(b), OK);
	assert_int_equal(b->res.deleted, 4);
	assert_same_tree(b->src, b->dst);

	/* /home is implied: what else is in it was not part of the snapshot. */
	b->o.subpath = NULL;
	make(b->dst, "other", "x", 0644);
	assert_int_equal(mkdirat(b->dst, "home", 0711), 0);
	make(b->dst, "home/other", "x", 0644);
	assert_int_equal(restore(b), OK);
	assert_true(holds(b->dst, "other", "x"));
	assert_true(holds(b->dst, "home/other", "x"));
	assert_int_equal(stat_of(b->dst, "home").mode, S_IFDIR | 0711);
	assert_true(holds(b->dst, "home/src/m", "m"));
}

/* What follows a damaged node is unknown, so nothing there is extra. */
static void
test_nothing_is_deleted_where_the_tree_is_damaged(void **state)
{
	struct box *b = *state;
	struct name id;
	int fd;

	assert_int_equal(mkdirat(b->src, "d", 0755), 0);
	make(b->src, "d/f", "f", 0644);
	make(b->src, "g", "g", 0644);
	snapshot(b);
	assert_int_equal(fsys_open_dir(b->src, "d", &fd), OK);
	put_tree(b, fd, &id);
	fsys_close(fd);
	for (size_t i = 0; i < b->rd.count; i++)
		if (name_cmp(&b->rd.chunk[i].id, &id) == 0)
			b->rd.chunk[i].damaged = true;
	assert_int_equal(mkdirat(b->dst, "d", 0700), 0);
	make(b->dst, "d/precious", "p", 0644);
	make(b->dst, "extra", "x", 0644);
	b->o.delete_extra = true;
	assert_int_equal(restore(b), ERR_CORRUPT);
	assert_int_equal(b->res.damaged, 1);
	assert_string_equal(b->problems, "/home/src/d: damaged\n");
	assert_int_equal(b->res.deleted, 1);
	assert_true(holds(b->dst, "d/precious", "p"));
	assert_int_equal(stat_of(b->dst, "d").mode, S_IFDIR | 0755);
	assert_true(holds(b->dst, "g", "g"));
}

/* Which names were in a lost node is unknown, up to the first one of the next. */
static void
test_nothing_is_deleted_in_a_gap(void **state)
{
	struct box *b = *state;

	make(b->src, "b", "b", 0644);
	make(b->src, GAP, "g", 0644);
	make(b->src, "m", "m", 0644);
	assert_int_equal(mkdirat(b->src, "n", 0755), 0);
	make(b->src, "n/" GAP, "g", 0644);
	snapshot(b);
	assert_int_equal(mkdirat(b->dst, "n", 0755), 0);
	make(b->dst, "c", "x", 0644);
	make(b->dst, GAP, "g", 0644);
	make(b->dst, "h", "x", 0644);
	make(b->dst, "o", "x", 0644);
	make(b->dst, "n/a", "x", 0644);
	make(b->dst, "n/h", "x", 0644);
	b->o.delete_extra = true;
	assert_int_equal(restore(b), ERR_PARTIAL);
	assert_int_equal(b->res.deleted, 3);
	assert_int_equal(b->res.errors, 2);
	assert_true(holds(b->dst, GAP, "g"));
	assert_true(holds(b->dst, "h", "x"));
	assert_true(holds(b->dst, "n/h", "x"));
	assert_true(holds(b->dst, "m", "m"));
}

static void
test_a_directory_in_the_way_is_not_removed_unasked(void **state)
{
	struct box *b = *state;

	make(b->src, "f", "f", 0644);
	snapshot(b);
	assert_int_equal(mkdirat(b->dst, "f", 0755), 0);
	make(b->dst, "f/precious", "p", 0644);
	assert_int_equal(restore(b), ERR_PARTIAL);
	assert_string_equal(b->problems, "/home/src/f: a directory is in the way\n");
	assert_true(holds(b->dst, "f/precious", "p"));
	b->o.delete_extra = true;
	make(b->dst, "f/varve-repo", "", 0644);
	assert_int_equal(restore(b), ERR_PARTIAL);
	assert_true(holds(b->dst, "f/precious", "p"));
	assert_int_equal(unlinkat(b->dst, "f/varve-repo", 0), 0);
	assert_int_equal(restore(b), OK);
	assert_same_tree(b->src, b->dst);
}

static void
test_dry_run_changes_nothing(void **state)
{
	struct box *b = *state;
	struct fsys_stat st;
	struct fsys_names n;

	nasty(b);
	if (geteuid() != 0)
		assert_int_equal(unlinkat(b->src, "secret", 0), 0);
	snapshot(b);
	b->o.dry_run = true;
	st = stat_of(b->dst, "");
	assert_int_equal(restore(b), OK);
	assert_int_equal(fsys_list(b->dst, &n), OK);
	assert_int_equal(n.count, 0);
	fsys_names_clear(&n);
	assert_int_equal(st.ctime_ns, stat_of(b->dst, "").ctime_ns);
	/* all but the target itself */
	assert_int_equal(strspn(b->items, "+"), strlen(b->items) - 1);
	strcat(b->target, "/new");
	assert_int_equal(restore(b), OK);
	assert_int_equal(stat_of(b->dst, "new").mode, 0);
}

static void
test_holes_stay_holes(void **state)
{
	struct box *b = *state;
	int fd = openat(b->src, "s", O_WRONLY | O_CREAT, 0600);
	char data[4096];

	memset(data, 'x', sizeof(data));
	assert_int_equal(ftruncate(fd, 10ll << 30), 0);
	assert_int_equal(pwrite(fd, data, sizeof(data), 5ll << 30), 4096);
	close(fd);
	if (stat_of(b->src, "s").blocks > 4096)
		skip();
	snapshot(b);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(restore(b), OK);
		assert_int_equal(stat_of(b->dst, "s").size, 10ull << 30);
		assert_true(stat_of(b->dst, "s").blocks < 4096);
	}
	assert_int_equal(b->res.files_unchanged, 1);
	assert_int_equal(b->res.bytes_total, 10ull << 30);
	fd = openat(b->dst, "s", O_WRONLY);
	assert_int_equal(pwrite(fd, "y", 1, 7ll << 30), 1);
	close(fd);
	assert_int_equal(restore(b), OK);
	assert_int_equal(b->res.files_restored, 1);
	assert_true(stat_of(b->dst, "s").blocks < 4096);
}

/* Zeros that were written become a hole with `sparse`, and only then. */
static void
test_written_zeros(void **state)
{
	struct box *b = *state;
	static const char zeros[4 * PIECE];
	int fd = openat(b->src, "z", O_WRONLY | O_CREAT, 0600);

	assert_int_equal(write(fd, zeros, sizeof(zeros)), sizeof(zeros));
	close(fd);
	snapshot(b);
	assert_int_equal(restore(b), OK);
	if (stat_of(b->dst, "z").blocks < sizeof(zeros) / 512)
		skip();
	assert_int_equal(unlinkat(b->dst, "z", 0), 0);
	b->o.sparse = true;
	assert_int_equal(restore(b), OK);
	assert_int_equal(stat_of(b->dst, "z").size, sizeof(zeros));
	assert_true(stat_of(b->dst, "z").blocks < sizeof(zeros) / 512);
}

/* One byte that is not zero is not a hole, wherever it is. */
static void
test_nearly_zeros(void **state)
{
	struct box *b = *state;
	static char zeros[PIECE];
	int fd;

	zeros[PIECE - 1] = 1;
	fd = openat(b->src, "last", O_WRONLY | O_CREAT, 0600);
	assert_int_equal(write(fd, zeros, PIECE), PIECE);
	close(fd);
	make(b->src, "one", "1", 0600);
	for (int i = 0; i < 2; i++) {
		fd = openat(b->src, i ? "kept" : "hole", O_WRONLY | O_CREAT, 0600);
		assert_int_equal(ftruncate(fd, PIECE), 0);
		close(fd);
	}
	snapshot(b);
	for (int i = 0; i < 2; i++) {
		fd = openat(b->dst, i ? "kept" : "hole", O_WRONLY | O_CREAT, 0600);
		assert_int_equal(write(fd, zeros, PIECE), PIECE);
		close(fd);
		zeros[PIECE - 1] = 0;
	}
	b->o.sparse = true;
	assert_int_equal(restore(b), OK);
	assert_same_tree(b->src, b->dst);
	assert_int_equal(b->res.files_restored, 3);
	assert_int_equal(b->res.files_unchanged, 1);
}

static void
test_chosen_paths_and_single_files(void **state)
{
	const char *paths[] = { "d/x", "//e/" };
	struct box *b = *state;

	assert_int_equal(mkdirat(b->src, "d", 0750), 0);
	assert_int_equal(mkdirat(b->src, "e", 0750), 0);
	make(b->src, "d/x", "x", 0644);
	make(b->src, "d/y", "y", 0644);
	make(b->src, "e/z", "z", 0644);
	make(b->src, "f", "f", 0644);
	set_time(b->src, "e", 12);
	set_time(b->src, "d", 12);
	snapshot(b);
	b->o.paths = paths;
	b->o.path_count = 2;
	assert_int_equal(fchmodat(b->fd, "dst", 0711, 0), 0);
	assert_int_equal(restore(b), OK);
	/* What is only passed through stays as it is. */
	assert_int_equal(stat_of(b->fd, "dst").mode, S_IFDIR | 0711);
	assert_true(holds(b->dst, "d/x", "x"));
	assert_true(holds(b->dst, "e/z", "z"));
	assert_int_equal(stat_of(b->dst, "d/y").mode, 0);
	assert_int_equal(stat_of(b->dst, "f").mode, 0);
	assert_int_equal(stat_of(b->dst, "d").mode, S_IFDIR | 0750);
	assert_int_equal(stat_of(b->dst, "e").mtime, 12);
	assert_int_not_equal(stat_of(b->dst, "d").mtime, 12);

	paths[0] = "d/nothing";
	assert_int_equal(restore(b), ERR_ABSENT);
	paths[0] = "../../other";
	assert_int_not_equal(restore(b), OK);

	b->o.path_count = 0;
	b->o.subpath = "home/src/d/y";
	strcat(b->target, "/deep/er");
	assert_int_equal(restore(b), OK);
	assert_true(holds(b->dst, "deep/er/y", "y"));
}

static void
on_progress(void *arg, const struct restore_progress *p)
{
	struct box *b = arg;

	b->progress = *p;
	b->told++;
}

/* How much there is to do is known when all of it is restored; else it is not. */
static void
test_progress(void **state)
{
	struct box *b = *state;

	assert_int_equal(mkdirat(b->src, "d", 0750), 0);
	make(b->src, "d/x", "12345", 0644);
	make(b->src, "f", "678", 0644);
	snapshot(b);
	b->snap.rec.stats[SNAPREC_FILES] = 2;
	b->snap.rec.stats[SNAPREC_BYTES_TOTAL] = 8;
	b->o.progress = on_progress;
	for (int i = 0; i < 2; i++) {
		b->o.subpath = i ? "/home/src/" : NULL;
		b->told = 0;
		assert_int_equal(restore(b), OK);
		assert_true(b->told > 0);
		assert_int_equal(b->progress.files_total, i ? 0 : 2);
		assert_int_equal(b->progress.bytes_total, i ? 0 : 8);
		assert_int_equal(b->res.bytes_total, 8);
		assert_in_range(b->progress.bytes, 0, 8);
	}
}

static void
test_verify_reads_back(void **state)
{
	struct box *b = *state;

	make(b->src, "a", "a", 0644);
	make(b->src, "keep", "keep", 0644);
	fill(b->src, "large", 200000, 3);
	snapshot(b);
	make(b->dst, "keep", "mine", 0644);
	b->o.overwrite = RESTORE_NEVER;
	b->o.verify = true;
	assert_int_equal(restore(b), OK);
	assert_int_equal(b->res.verified, 2);
	b->o.overwrite = RESTORE_ALWAYS;
	assert_int_equal(restore(b), OK);
	assert_int_equal(b->res.verified, 3);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_everything_comes_back),
		T(test_second_restore_changes_nothing),
		T(test_changed_parts_are_rewritten),
		T(test_changed_parts_in_public),
		T(test_another_name_keeps_its_mode),
		T(test_a_number_used_again_is_no_link),
		T(test_linked_names_leave_others_alone),
		T(test_links_in_the_target_are_not_followed),
		T(test_damage_costs_only_its_file),
		T(test_damage_in_a_new_directory),
		T(test_refused_in_a_new_directory),
		T(test_overwrite_rules),
		T(test_delete_stays_in_what_was_snapshotted),
		T(test_nothing_is_deleted_where_the_tree_is_damaged),
		T(test_nothing_is_deleted_in_a_gap),
		T(test_a_directory_in_the_way_is_not_removed_unasked),
		T(test_dry_run_changes_nothing),
		T(test_holes_stay_holes),
		T(test_written_zeros),
		T(test_nearly_zeros),
		T(test_chosen_paths_and_single_files),
		T(test_progress),
		T(test_verify_reads_back),
	};
#undef T

	fsys_raise_limits();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
