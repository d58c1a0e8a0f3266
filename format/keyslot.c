#include <string.h>

#include "format/emit.h"
#include "format/keyslot.h"

#define VERSION 1

size_t
keyslot_encode(uint8_t *buf, size_t cap, const struct keyslot *s)
{
	struct keyslot again;
	struct emit e;

	emit_init(&e, buf, cap);
	emit_bytes(&e, "varvekey", 8);
	emit_u32(&e, VERSION);
	emit_u32(&e, s->kind);
	emit_bytes(&e, s->repo_id.b, NAME_SID_LEN);
	emit_bytes(&e, s->slot_id.b, NAME_SID_LEN);
	emit_u32(&e, s->passes);
	emit_u32(&e, s->memory_kib);
	emit_bytes(&e, s->salt, sizeof(s->salt));
	emit_bytes(&e, s->commitment, sizeof(s->commitment));
	emit_bytes(&e, s->box, sizeof(s->box));
	if (keyslot_decode(&again, buf, emit_done(&e)) != CURSOR_OK)
		return 0;
	return emit_done(&e);
}

/* KS-2: the cost of a passphrase is bounded before anything is stretched. */
static bool
cost_ok(const struct keyslot *s)
{
	static const uint8_t none[sizeof(s->salt)];

	if (s->kind == KEYSLOT_PASSPHRASE)
		return s->passes >= 1 && s->passes <= KEYSLOT_PASSES_MAX &&
		    s->memory_kib >= KEYSLOT_MEMORY_MIN &&
		    s->memory_kib <= KEYSLOT_MEMORY_MAX;
	return s->passes == 0 && s->memory_kib == 0 &&
	    memcmp(s->salt, none, sizeof(none)) == 0;
}

enum cursor_verdict
keyslot_decode(struct keyslot *s, const uint8_t *buf, size_t len)
{
	uint32_t version;
	struct cursor c;

	memset(s, 0, sizeof(*s));
	if (len != KEYSLOT_LEN)
		return CURSOR_MALFORMED;
	cursor_init(&c, buf, len);
	cursor_expect(&c, "varvekey", 8);
	version = cursor_u32(&c);
	s->kind = cursor_u32(&c);
	if (c.broken)
		return CURSOR_MALFORMED;
	if (version != VERSION || s->kind < KEYSLOT_PASSPHRASE ||
	    s->kind > KEYSLOT_PUBLIC)
		return CURSOR_UNSUPPORTED;
	cursor_copy(&c, s->repo_id.b, NAME_SID_LEN);
	cursor_copy(&c, s->slot_id.b, NAME_SID_LEN);
	s->passes = cursor_u32(&c);
	s->memory_kib = cursor_u32(&c);
	cursor_copy(&c, s->salt, sizeof(s->salt));
	cursor_copy(&c, s->commitment, sizeof(s->commitment));
	cursor_copy(&c, s->box, sizeof(s->box));
	return cursor_done(&c) && cost_ok(s) ? CURSOR_OK : CURSOR_MALFORMED;
}

size_t
keyslot_payload_encode(uint8_t *buf, size_t cap,
    const struct keyslot_payload *p)
{
	const char *end = memchr(p->label, 0, sizeof(p->label));
	struct keyslot_payload again;
	struct emit e;
	size_t len;
	bool good;

	if (end == NULL)
		return 0;
	len = (size_t)(end - p->label);
	emit_init(&e, buf, cap);
	emit_u32(&e, p->role);
	emit_zero(&e, 4);
	emit_i64(&e, p->created_ns);
	emit_bytes(&e, p->header_hash.b, NAME_LEN);
	emit_bytes(&e, p->master, sizeof(p->master));
	emit_zero(&e, 32);
	emit_bytes(&e, p->label, len);
	emit_zero(&e, KEYSLOT_LABEL_LEN - len);
	good = keyslot_payload_decode(&again, buf, emit_done(&e)) == CURSOR_OK;
	return good ? emit_done(&e) : 0;
}

/* The length of the UTF-8 sequence that starts at s, or 0; s ends in a zero. */
static size_t
sequence(const uint8_t *s)
{
	static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
	uint32_t point;
	size_t n;

	if (s[0] < 0x80)
		return 1;
	n = s[0] >= 0xf8 ? 0 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 :
	    s[0] >= 0xc0 ? 2 : 0;
	if (n == 0)
		return 0;
	point = s[0] & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (s[i] & 0x3f);
	}
	if (point < least[n] || point > 0x10ffff ||
	    (point >= 0xd800 && point <= 0xdfff))
		return 0;
	return n;
}

static bool
label_ok(const char label[static KEYSLOT_LABEL_LEN + 1])
{
	size_t i = 0;

	while (label[i] != '\0') {
		size_t n = sequence((const uint8_t *)label + i);

		if (n == 0)
			return false;
		i += n;
	}
	for (; i < KEYSLOT_LABEL_LEN; i++)
		if (label[i] != '\0')
			return false;
	return true;
}

enum cursor_verdict
keyslot_payload_decode(struct keyslot_payload *p, const uint8_t *buf,
    size_t len)
{
	struct cursor c;

	memset(p, 0, sizeof(*p));
	if (len != KEYSLOT_PAYLOAD_LEN)
		return CURSOR_MALFORMED;
	cursor_init(&c, buf, len);
	p->role = cursor_u32(&c);
	if (p->role != KEYSLOT_FULL)
		return CURSOR_UNSUPPORTED;
	cursor_zero(&c, 4);
	p->created_ns = cursor_i64(&c);
	cursor_copy(&c, p->header_hash.b, NAME_LEN);
	cursor_copy(&c, p->master, sizeof(p->master));
	cursor_zero(&c, 32);
	cursor_copy(&c, p->label, KEYSLOT_LABEL_LEN);
	return cursor_done(&c) && label_ok(p->label) ?
	    CURSOR_OK : CURSOR_MALFORMED;
}

size_t
keyslot_wrap_encode(uint8_t *buf, size_t cap, const struct keyslot_wrap *w)
{
	struct keyslot_wrap again;
	struct emit e;

	emit_init(&e, buf, cap);
	emit_u32(&e, w->kind);
	emit_u32(&e, KEYSLOT_WRAP_BOX_LEN);
	emit_bytes(&e, w->box, KEYSLOT_WRAP_BOX_LEN);
	emit_zero(&e, KEYSLOT_WRAP_LEN - KEYSLOT_WRAP_BOX_LEN - 8);
	if (keyslot_wrap_decode(&again, buf, emit_done(&e)) != CURSOR_OK)
		return 0;
	return emit_done(&e);
}

enum cursor_verdict
keyslot_wrap_decode(struct keyslot_wrap *w, const uint8_t *buf, size_t len)
{
	uint32_t box_len;
	struct cursor c;

	memset(w, 0, sizeof(*w));
	if (len != KEYSLOT_WRAP_LEN)
		return CURSOR_MALFORMED;
	cursor_init(&c, buf, len);
	w->kind = cursor_u32(&c);
	box_len = cursor_u32(&c);
	if (w->kind != KEYSLOT_WRAP_SYMMETRIC)
		return CURSOR_UNSUPPORTED;
	cursor_copy(&c, w->box, KEYSLOT_WRAP_BOX_LEN);
	cursor_zero(&c, KEYSLOT_WRAP_LEN - KEYSLOT_WRAP_BOX_LEN - 8);
	return cursor_done(&c) && box_len == KEYSLOT_WRAP_BOX_LEN ?
	    CURSOR_OK : CURSOR_MALFORMED;
}
