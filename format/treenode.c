/*
 * treenode: entries of a directory.  An entry has optional fields whose
 * presence follows from kind, flags and size (has_content() and its kin), so
 * that there is nothing to contradict.  The encoder writes the bytes and then
 * decodes them: an entry that breaks a rule never leaves the program.
 */
#include <string.h>

#include "format/emit.h"
#include "format/extrec.h"
#include "format/treenode.h"

#define NODE_LEN_MAX (1u << 20)         /* CH-2: a node is a chunk */
#define FLAGS_KNOWN 0x1fu
#define MODE_MAX 07777
#define NS_MAX 999999999u
#define DATABASE_LEN 64
#define DATABASE_VERSION 1
#define DATABASE_CAPTURE_MAX 2
#define DATABASE_ATOMIC 1u

bool
treenode_name_ok(const uint8_t *name, size_t len)
{
	if (len < 1 || len > TREENODE_NAME_MAX)
		return false;
	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		return false;
	return memchr(name, '/', len) == NULL && memchr(name, 0, len) == NULL;
}

int
treenode_name_cmp(const uint8_t *a, size_t alen, const uint8_t *b, size_t blen)
{
	size_t common = alen < blen ? alen : blen;
	int d = common > 0 ? memcmp(a, b, common) : 0;

	if (d != 0)
		return d;
	return (alen > blen) - (alen < blen);
}

size_t
treenode_ext_encode(uint8_t *buf, size_t cap, uint16_t tag,
    const uint8_t *val, size_t val_len)
{
	struct extrec r = { .tag = tag, .val = val };

	if (val_len > TREENODE_EXT_MAX)
		return 0;
	r.len = (uint32_t)val_len;
	return extrec_encode(buf, cap, &r);
}

bool
treenode_ext_find(const uint8_t *ext, size_t len, uint16_t tag,
    const uint8_t **val, size_t *val_len)
{
	struct extrec_iter it;
	struct extrec r;

	extrec_init(&it, ext, len);
	while (extrec_next(&it, &r)) {
		if (r.tag != tag)
			continue;
		*val = r.val;
		*val_len = r.len;
		return true;
	}
	return false;
}

size_t
treenode_xattr_encode(uint8_t *buf, size_t cap, const struct treenode_xattr *x)
{
	struct emit e;

	if (x->name_len == 0 || memchr(x->name, 0, x->name_len) != NULL)
		return 0;
	emit_init(&e, buf, cap);
	emit_u16(&e, x->name_len);
	emit_zero(&e, 2);
	emit_u32(&e, x->value_len);
	emit_bytes(&e, x->name, x->name_len);
	emit_bytes(&e, x->value, x->value_len);
	return emit_done(&e);
}

bool
treenode_xattr_next(struct cursor *c, struct treenode_xattr *x)
{
	if (c->left == 0)
		return false;
	x->name_len = cursor_u16(c);
	cursor_zero(c, 2);
	x->value_len = cursor_u32(c);
	x->name = cursor_bytes(c, x->name_len);
	x->value = cursor_bytes(c, x->value_len);
	if (!c->broken &&
	    (x->name_len == 0 || memchr(x->name, 0, x->name_len) != NULL))
		c->broken = true;
	return !c->broken;
}

static enum cursor_verdict
xattrs_check(const struct extrec *r)
{
	struct treenode_xattr x, prev;
	bool any = false;
	struct cursor c;

	cursor_init(&c, r->val, r->len);
	while (treenode_xattr_next(&c, &x)) {
		if (any && treenode_name_cmp(prev.name, prev.name_len,
		    x.name, x.name_len) >= 0)
			return CURSOR_MALFORMED;
		prev = x;
		any = true;
	}
	return any && cursor_done(&c) ? CURSOR_OK : CURSOR_MALFORMED;
}

static enum cursor_verdict
flags_check(const struct extrec *r)
{
	uint32_t flags;
	struct cursor c;

	cursor_init(&c, r->val, r->len);
	flags = cursor_u32(&c);
	return cursor_done(&c) && flags != 0 ? CURSOR_OK : CURSOR_MALFORMED;
}

static enum cursor_verdict
database_check(const struct extrec *r)
{
	uint32_t version, capture, flags;
	struct cursor c;

	cursor_init(&c, r->val, r->len);
	version = cursor_u32(&c);
	if (!c.broken && version != DATABASE_VERSION)
		return CURSOR_UNSUPPORTED;
	capture = cursor_u32(&c);
	cursor_bytes(&c, 4);
	flags = cursor_u32(&c);
	cursor_bytes(&c, 8 + 8);
	cursor_bytes(&c, TREENODE_BESIDE_LEN);
	cursor_zero(&c, 16);
	return cursor_done(&c) && r->len == DATABASE_LEN && capture >= 1 &&
	    capture <= DATABASE_CAPTURE_MAX && flags <= DATABASE_ATOMIC ?
	    CURSOR_OK : CURSOR_MALFORMED;
}

static enum cursor_verdict
ext_check(const uint8_t *ext, size_t len)
{
	enum cursor_verdict v = CURSOR_OK;
	struct extrec_iter it;
	struct extrec r;

	extrec_init(&it, ext, len);
	while (v == CURSOR_OK && extrec_next(&it, &r)) {
		if (r.tag == TREENODE_EXT_XATTR)
			v = xattrs_check(&r);
		else if (r.tag == TREENODE_EXT_FLAGS)
			v = flags_check(&r);
		else if (r.tag == TREENODE_EXT_DATABASE)
			v = database_check(&r);
		else if (r.tag < EXTREC_OPTIONAL)
			v = CURSOR_UNSUPPORTED;
	}
	if (v != CURSOR_OK)
		return v;
	return cursor_done(&it.c) ? CURSOR_OK : CURSOR_MALFORMED;
}

static bool
has_content(const struct treenode_entry *e)
{
	if (e->flags & TREENODE_UNREAD)
		return false;
	return e->kind == TREENODE_DIR ||
	    (e->kind == TREENODE_FILE && e->size > 0);
}

static bool
has_fingerprint(const struct treenode_entry *e)
{
	return e->kind == TREENODE_FILE && has_content(e) &&
	    !(e->flags & TREENODE_LIST);
}

static bool
flags_fit(const struct treenode_entry *e)
{
	bool file = e->kind == TREENODE_FILE, dir = e->kind == TREENODE_DIR;

	if (e->flags & ~FLAGS_KNOWN)
		return false;
	if ((e->flags & (TREENODE_CHANGED | TREENODE_LIST)) && !file)
		return false;
	if ((e->flags & TREENODE_IMPLIED) && !dir)
		return false;
	if ((e->flags & TREENODE_HARDLINK) && dir)
		return false;
	if ((e->flags & TREENODE_UNREAD) && !file && !dir)
		return false;
	return !(e->flags & TREENODE_LIST) || has_content(e);
}

static bool
size_fits(const struct treenode_entry *e)
{
	switch (e->kind) {
	case TREENODE_FILE:
	case TREENODE_CHAR:
	case TREENODE_BLOCK:
		return true;
	case TREENODE_LINK:
		return e->size >= 1 && e->size <= TREENODE_TARGET_MAX;
	default:
		return e->size == 0;
	}
}

/* An implied directory is only a way: of its metadata it has an owner and a mode. */
static bool
implied_fits(const struct treenode_entry *e)
{
	return e->mtime == 0 && e->ctime == 0 && e->mtime_ns == 0 &&
	    e->ctime_ns == 0 && e->inode == 0 && e->ext_len == 0;
}

/* What must hold before the optional fields are read. */
static bool
fixed_ok(const struct treenode_entry *e)
{
	return treenode_name_ok(e->name, e->name_len) &&
	    e->kind >= TREENODE_FILE && e->kind <= TREENODE_SOCKET &&
	    e->mode <= MODE_MAX && e->mtime_ns <= NS_MAX &&
	    e->ctime_ns <= NS_MAX && flags_fit(e) && size_fits(e);
}

static enum cursor_verdict
entry_decode(struct treenode_entry *e, struct cursor *c)
{
	memset(e, 0, sizeof(*e));
	e->name_len = cursor_u16(c);
	e->name = cursor_bytes(c, e->name_len);
	e->kind = cursor_u8(c);
	e->flags = cursor_u8(c);
	e->mode = cursor_u16(c);
	e->uid = cursor_u32(c);
	e->gid = cursor_u32(c);
	e->mtime = cursor_i64(c);
	e->mtime_ns = cursor_u32(c);
	e->ctime_ns = cursor_u32(c);
	e->ctime = cursor_i64(c);
	e->inode = cursor_u64(c);
	if (e->flags & TREENODE_HARDLINK)
		e->dev = cursor_u64(c);
	e->size = cursor_u64(c);
	if (c->broken || !fixed_ok(e))
		return CURSOR_MALFORMED;
	if (has_content(e))
		cursor_copy(c, e->content.b, NAME_LEN);
	if (has_fingerprint(e))
		cursor_copy(c, e->fingerprint, sizeof(e->fingerprint));
	if (e->kind == TREENODE_LINK)
		e->target = cursor_bytes(c, (size_t)e->size);
	e->ext_len = cursor_u32(c);
	if (c->broken || e->ext_len > TREENODE_EXT_MAX)
		return CURSOR_MALFORMED;
	if (e->ext_len > 0)
		e->ext = cursor_bytes(c, e->ext_len);
	if (c->broken)
		return CURSOR_MALFORMED;
	if (e->target != NULL && memchr(e->target, 0, (size_t)e->size) != NULL)
		return CURSOR_MALFORMED;
	if ((e->flags & TREENODE_IMPLIED) && !implied_fits(e))
		return CURSOR_MALFORMED;
	return ext_check(e->ext, e->ext_len);
}

size_t
treenode_entry_encode(uint8_t *buf, size_t cap, const struct treenode_entry *e)
{
	struct treenode_entry again;
	struct cursor c;
	struct emit out;

	if (!fixed_ok(e) || e->ext_len > TREENODE_EXT_MAX)
		return 0;
	emit_init(&out, buf, cap);
	emit_u16(&out, e->name_len);
	emit_bytes(&out, e->name, e->name_len);
	emit_u8(&out, e->kind);
	emit_u8(&out, e->flags);
	emit_u16(&out, e->mode);
	emit_u32(&out, e->uid);
	emit_u32(&out, e->gid);
	emit_i64(&out, e->mtime);
	emit_u32(&out, e->mtime_ns);
	emit_u32(&out, e->ctime_ns);
	emit_i64(&out, e->ctime);
	emit_u64(&out, e->inode);
	if (e->flags & TREENODE_HARDLINK)
		emit_u64(&out, e->dev);
	emit_u64(&out, e->size);
	if (has_content(e))
		emit_bytes(&out, e->content.b, NAME_LEN);
	if (has_fingerprint(e))
		emit_bytes(&out, e->fingerprint, sizeof(e->fingerprint));
	if (e->kind == TREENODE_LINK)
		emit_bytes(&out, e->target, (size_t)e->size);
	emit_u32(&out, e->ext_len);
	emit_bytes(&out, e->ext, e->ext_len);
	cursor_init(&c, buf, emit_done(&out));
	return entry_decode(&again, &c) == CURSOR_OK ? emit_done(&out) : 0;
}

size_t
treenode_row_encode(uint8_t *buf, size_t cap, const struct treenode_row *r)
{
	struct emit e;

	if (!treenode_name_ok(r->name, r->name_len) || r->entries == 0)
		return 0;
	emit_init(&e, buf, cap);
	emit_bytes(&e, r->id.b, NAME_LEN);
	emit_u32(&e, r->entries);
	emit_u16(&e, r->name_len);
	emit_bytes(&e, r->name, r->name_len);
	return emit_done(&e);
}

static enum cursor_verdict
row_decode(struct treenode_row *r, struct cursor *c)
{
	cursor_copy(c, r->id.b, NAME_LEN);
	r->entries = cursor_u32(c);
	r->name_len = cursor_u16(c);
	r->name = cursor_bytes(c, r->name_len);
	return !c->broken && r->entries > 0 &&
	    treenode_name_ok(r->name, r->name_len) ?
	    CURSOR_OK : CURSOR_MALFORMED;
}

size_t
treenode_head_encode(uint8_t *buf, size_t cap, uint8_t level)
{
	struct emit e;

	if (level > TREENODE_LEVEL_MAX)
		return 0;
	emit_init(&e, buf, cap);
	emit_u8(&e, level);
	emit_zero(&e, TREENODE_HEAD_LEN - 1);
	return emit_done(&e);
}

enum cursor_verdict
treenode_open(struct treenode *t, const uint8_t *buf, size_t len)
{
	memset(t, 0, sizeof(*t));
	cursor_init(&t->c, buf, len);
	t->level = cursor_u8(&t->c);
	cursor_zero(&t->c, TREENODE_HEAD_LEN - 1);
	if (t->c.broken || len > NODE_LEN_MAX ||
	    t->level > TREENODE_LEVEL_MAX || (t->level > 0 && t->c.left == 0))
		t->verdict = CURSOR_MALFORMED;
	return t->verdict;
}

/* May another one be read?  Names ascend, which `accept` checks and remembers. */
static bool
more(const struct treenode *t, bool entries)
{
	return t->verdict == CURSOR_OK && t->c.left > 0 &&
	    entries == (t->level == 0);
}

static bool
accept(struct treenode *t, enum cursor_verdict v, const uint8_t *name,
    uint16_t name_len)
{
	if (v == CURSOR_OK && t->prev != NULL &&
	    treenode_name_cmp(t->prev, t->prev_len, name, name_len) >= 0)
		v = CURSOR_MALFORMED;
	t->prev = name;
	t->prev_len = name_len;
	t->verdict = v;
	return v == CURSOR_OK;
}

bool
treenode_next_entry(struct treenode *t, struct treenode_entry *e)
{
	enum cursor_verdict v;

	if (!more(t, true))
		return false;
	v = entry_decode(e, &t->c);
	return accept(t, v, e->name, e->name_len);
}

bool
treenode_next_row(struct treenode *t, struct treenode_row *r)
{
	enum cursor_verdict v;

	if (!more(t, false))
		return false;
	v = row_decode(r, &t->c);
	return accept(t, v, r->name, r->name_len);
}

enum cursor_verdict
treenode_check(const uint8_t *buf, size_t len)
{
	struct treenode_entry e;
	struct treenode_row r;
	struct treenode t;

	if (treenode_open(&t, buf, len) != CURSOR_OK)
		return t.verdict;
	while (t.level == 0 ? treenode_next_entry(&t, &e) :
	    treenode_next_row(&t, &r))
		continue;
	return t.verdict;
}
