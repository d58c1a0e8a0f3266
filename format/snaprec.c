#include <string.h>

#include "format/emit.h"
#include "format/extrec.h"
#include "format/snaprec.h"

#define VERSION 1
#define FLAGS_KNOWN (SNAPREC_INCOMPLETE | SNAPREC_PIPE | SNAPREC_ATOMIC)
#define FIXED_LEN (248 + 8 * 4)         /* root ... statistics; counts and lengths */

size_t
snaprec_head_encode(uint8_t *buf, size_t cap, const struct snaprec_head *h)
{
	uint8_t wrap[KEYSLOT_WRAP_LEN];
	struct snaprec_head again;
	struct emit e;

	emit_init(&e, buf, cap);
	emit_bytes(&e, "varvesnp", 8);
	emit_u32(&e, VERSION);
	emit_zero(&e, 4);
	emit_bytes(&e, h->sid.b, NAME_SID_LEN);
	emit_bytes(&e, wrap, keyslot_wrap_encode(wrap, sizeof(wrap), &h->wrap));
	if (snaprec_head_decode(&again, buf, emit_done(&e)) != CURSOR_OK)
		return 0;
	return emit_done(&e);
}

enum cursor_verdict
snaprec_head_decode(struct snaprec_head *h, const uint8_t *buf, size_t len)
{
	uint32_t version;
	struct cursor c;

	memset(h, 0, sizeof(*h));
	if (len != SNAPREC_HEAD_LEN)
		return CURSOR_MALFORMED;
	cursor_init(&c, buf, len);
	cursor_expect(&c, "varvesnp", 8);
	version = cursor_u32(&c);
	if (!c.broken && version != VERSION)
		return CURSOR_UNSUPPORTED;
	cursor_zero(&c, 4);
	cursor_copy(&c, h->sid.b, NAME_SID_LEN);
	if (c.broken)
		return CURSOR_MALFORMED;
	return keyslot_wrap_decode(&h->wrap, c.p, c.left);
}

size_t
snaprec_bound(const struct snaprec *s)
{
	size_t n = FIXED_LEN;

	n += s->host.len + s->user.len + s->program.len + s->ext.len;
	for (uint32_t i = 0; i < s->path_count; i++)
		n += 4 + (size_t)s->paths[i].len;
	for (uint32_t i = 0; i < s->tag_count; i++)
		n += 4 + (size_t)s->tags[i].len;
	for (uint32_t i = 0; i < s->user_count; i++)
		n += 8 + (size_t)s->users[i].name.len;
	for (uint32_t i = 0; i < s->group_count; i++)
		n += 8 + (size_t)s->groups[i].name.len;
	return n;
}

static void
string_emit(struct emit *e, const struct snaprec_string *s)
{
	emit_u32(e, s->len);
	emit_bytes(e, s->p, s->len);
}

static void
strings_emit(struct emit *e, const struct snaprec_string *list, uint32_t count)
{
	emit_u32(e, count);
	for (uint32_t i = 0; i < count && !e->broken; i++)
		string_emit(e, &list[i]);
}

static void
owners_emit(struct emit *e, const struct snaprec_owner *list, uint32_t count)
{
	emit_u32(e, count);
	for (uint32_t i = 0; i < count && !e->broken; i++) {
		emit_u32(e, list[i].number);
		string_emit(e, &list[i].name);
	}
}

size_t
snaprec_encode(uint8_t *buf, size_t cap, const struct snaprec *s)
{
	struct snaprec again;
	struct emit e;

	emit_init(&e, buf, cap);
	emit_bytes(&e, s->root.b, NAME_LEN);
	emit_bytes(&e, s->parent.b, NAME_SID_LEN);
	emit_bytes(&e, s->writer.b, NAME_SID_LEN);
	emit_u64(&e, s->sequence);
	emit_bytes(&e, s->previous.b, NAME_SID_LEN);
	emit_i64(&e, s->begin_ns);
	emit_i64(&e, s->end_ns);
	emit_i64(&e, s->clock_ns);
	emit_u64(&e, s->flags);
	for (size_t i = 0; i < SNAPREC_STAT_COUNT; i++)
		emit_u64(&e, s->stats[i]);
	string_emit(&e, &s->host);
	string_emit(&e, &s->user);
	string_emit(&e, &s->program);
	strings_emit(&e, s->paths, s->path_count);
	strings_emit(&e, s->tags, s->tag_count);
	owners_emit(&e, s->users, s->user_count);
	owners_emit(&e, s->groups, s->group_count);
	string_emit(&e, &s->ext);
	if (snaprec_decode(&again, buf, emit_done(&e)) != CURSOR_OK)
		return 0;
	return emit_done(&e);
}

static bool
string_read(struct cursor *c, struct snaprec_string *s)
{
	s->len = cursor_u32(c);
	if (s->len > SNAPREC_STRING_MAX)
		c->broken = true;
	s->p = cursor_bytes(c, s->len);
	return !c->broken;
}

bool
snaprec_next_string(struct cursor *c, struct snaprec_string *s)
{
	return c->left > 0 && string_read(c, s);
}

bool
snaprec_next_owner(struct cursor *c, struct snaprec_owner *o)
{
	if (c->left == 0)
		return false;
	o->number = cursor_u32(c);
	return string_read(c, &o->name);
}

static bool
string_before(const struct snaprec_string *a, const struct snaprec_string *b)
{
	uint32_t common = a->len < b->len ? a->len : b->len;
	int d = common > 0 ? memcmp(a->p, b->p, common) : 0;

	return d != 0 ? d < 0 : a->len < b->len;
}

static uint32_t
count_read(struct cursor *c)
{
	uint32_t count = cursor_u32(c);

	if (count > SNAPREC_COUNT_MAX)
		c->broken = true;
	return count;
}

/* The bytes that c moved over since it stood at `from`. */
static struct snaprec_string
passed(const struct cursor *from, const struct cursor *c)
{
	struct snaprec_string s = { .p = from->p };

	s.len = (uint32_t)(from->left - c->left);
	return s;
}

static uint32_t
strings_read(struct cursor *c, struct snaprec_string *raw)
{
	uint32_t count = count_read(c);
	struct snaprec_string s, prev = { 0 };
	struct cursor from = *c;

	for (uint32_t i = 0; i < count && string_read(c, &s); i++) {
		if (i > 0 && !string_before(&prev, &s))
			c->broken = true;
		prev = s;
	}
	*raw = passed(&from, c);
	return count;
}

static uint32_t
owners_read(struct cursor *c, struct snaprec_string *raw)
{
	uint32_t count = count_read(c), prev = 0;
	struct cursor from = *c;

	for (uint32_t i = 0; i < count && !c->broken; i++) {
		struct snaprec_owner o;

		o.number = cursor_u32(c);
		string_read(c, &o.name);
		if (i > 0 && o.number <= prev)
			c->broken = true;
		prev = o.number;
	}
	*raw = passed(&from, c);
	return count;
}

/* TN-2; no tag has a meaning in version 1, tag 1 being reserved. */
static enum cursor_verdict
ext_check(const struct snaprec_string *ext)
{
	bool obligatory = false;
	struct extrec_iter it;
	struct extrec r;

	extrec_init(&it, ext->p, ext->len);
	while (extrec_next(&it, &r))
		obligatory = obligatory || r.tag < EXTREC_OPTIONAL;
	if (!cursor_done(&it.c))
		return CURSOR_MALFORMED;
	return obligatory ? CURSOR_UNSUPPORTED : CURSOR_OK;
}

static bool
fixed_ok(const struct snaprec *s)
{
	uint64_t unused = 0;

	for (size_t i = SNAPREC_CHUNKS_NEW + 1; i < SNAPREC_STAT_COUNT; i++)
		unused |= s->stats[i];
	return s->sequence >= 1 && (s->flags & ~FLAGS_KNOWN) == 0 &&
	    unused == 0;
}

static void
fixed_read(struct snaprec *s, struct cursor *c)
{
	cursor_copy(c, s->root.b, NAME_LEN);
	cursor_copy(c, s->parent.b, NAME_SID_LEN);
	cursor_copy(c, s->writer.b, NAME_SID_LEN);
	s->sequence = cursor_u64(c);
	cursor_copy(c, s->previous.b, NAME_SID_LEN);
	s->begin_ns = cursor_i64(c);
	s->end_ns = cursor_i64(c);
	s->clock_ns = cursor_i64(c);
	s->flags = cursor_u64(c);
	for (size_t i = 0; i < SNAPREC_STAT_COUNT; i++)
		s->stats[i] = cursor_u64(c);
}

enum cursor_verdict
snaprec_decode(struct snaprec *s, const uint8_t *buf, size_t len)
{
	struct cursor c;

	memset(s, 0, sizeof(*s));
	if (len > SNAPREC_LEN_MAX)
		return CURSOR_MALFORMED;
	cursor_init(&c, buf, len);
	fixed_read(s, &c);
	string_read(&c, &s->host);
	string_read(&c, &s->user);
	string_read(&c, &s->program);
	s->path_count = strings_read(&c, &s->paths_raw);
	s->tag_count = strings_read(&c, &s->tags_raw);
	s->user_count = owners_read(&c, &s->users_raw);
	s->group_count = owners_read(&c, &s->groups_raw);
	s->ext.len = cursor_u32(&c);
	s->ext.p = cursor_bytes(&c, s->ext.len);
	if (!cursor_done(&c) || !fixed_ok(s))
		return CURSOR_MALFORMED;
	return ext_check(&s->ext);
}
