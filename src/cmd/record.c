#include "cmd/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "cmd/choose.h"
#include "sys/clock.h"

static json_t *
repaired(struct report *rp, const struct snaprec_string *s)
{
	struct mem_buf b = { 0 };
	json_t *v = NULL;

	if (text_repair_utf8(&b, s->p, s->len) == OK)
		v = json_stringn(b.p ? (const char *)b.p : "", b.len);
	if (!v)
		rp->broken = true;
	mem_buf_clear(&b);
	return v;
}

static json_t *
encoded(struct report *rp, const struct snaprec_string *s)
{
	char *text = malloc(TEXT_BASE64_MAX((size_t)s->len));
	json_t *v = NULL;

	if (text) {
		text_base64(text, s->p, s->len);
		v = json_string(text);
	}
	if (!v)
		rp->broken = true;
	free(text);
	return v;
}

static void
put(struct report *rp, json_t *obj, const char *key, json_t *value)
{
	if (json_object_set_new(obj, key, value))
		rp->broken = true;
}

void
record_set_strings(struct report *rp, json_t *obj, const char *key,
    const struct snaprec_string *raw)
{
	json_t *list = json_array(), *list64 = json_array();
	struct snaprec_string s;
	struct cursor c;
	bool clean = true;
	char key64[64];

	cursor_init(&c, raw->p, raw->len);
	while (snaprec_next_string(&c, &s)) {
		clean = clean && text_is_utf8(s.p, s.len);
		if (json_array_append_new(list, repaired(rp, &s)) ||
		    json_array_append_new(list64, encoded(rp, &s)))
			rp->broken = true;
	}
	put(rp, obj, key, list);
	snprintf(key64, sizeof(key64), "%s_b64", key);
	if (!clean)
		put(rp, obj, key64, list64);
	else
		json_decref(list64);
}

int
record_join(struct mem_buf *out, const struct snaprec_string *raw, const char *separator)
{
	struct snaprec_string s;
	struct cursor c;
	bool first = true;
	int rc = OK;

	cursor_init(&c, raw->p, raw->len);
	while (rc == OK && snaprec_next_string(&c, &s)) {
		if (!first)
			rc = mem_buf_add(out, separator, strlen(separator));
		if (rc == OK)
			rc = text_printable(out, s.p, s.len);
		first = false;
	}
	return rc;
}

uint64_t
record_stored(const struct snapshots_item *snap)
{
	return snap->rec.stats[SNAPREC_BYTES_STORED] + snap->file_bytes;
}

json_t *
record_json(struct report *rp, const struct snapshots_item *snap)
{
	static const struct {
		const char *key;
		enum snaprec_stat stat;
	} stats[] = {
		{ "files", SNAPREC_FILES }, { "dirs", SNAPREC_DIRS }, { "others", SNAPREC_OTHERS },
		{ "files_new", SNAPREC_FILES_NEW }, { "files_changed", SNAPREC_FILES_CHANGED },
		{ "files_unmodified", SNAPREC_FILES_UNMODIFIED },
		    { "databases", SNAPREC_DATABASES },
		{ "errors", SNAPREC_ERRORS }, { "bytes_total", SNAPREC_BYTES_TOTAL },
		    { "bytes_read", SNAPREC_BYTES_READ },
		{ "bytes_new", SNAPREC_BYTES_NEW },
		{ "chunks_new", SNAPREC_CHUNKS_NEW },
	};
	const struct snaprec *r = &snap->rec;
	char shortened[CHOOSE_SHORT];
	json_t *obj = json_object();

	report_set_sid(rp, obj, "id", &snap->sid);
	report_set_text(rp, obj, "short_id", choose_short(shortened, &snap->sid));
	report_set_time(rp, obj, "time", r->begin_ns);
	report_set_seconds(rp, obj, "seconds", r->end_ns - r->begin_ns);
	report_set_name(rp, obj, "host", r->host.p, r->host.len);
	report_set_name(rp, obj, "user", r->user.p, r->user.len);
	report_set_name(rp, obj, "program", r->program.p, r->program.len);
	record_set_strings(rp, obj, "paths", &r->paths_raw);
	record_set_strings(rp, obj, "tags", &r->tags_raw);
	report_set_sid(rp, obj, "parent", &r->parent);
	report_set_sid(rp, obj, "writer", &r->writer);
	report_set_number(rp, obj, "sequence", r->sequence);
	report_set_flag(rp, obj, "incomplete", r->flags & SNAPREC_INCOMPLETE);
	report_set_flag(rp, obj, "from_pipe", r->flags & SNAPREC_PIPE);
	for (size_t i = 0; i < sizeof(stats) / sizeof(stats[0]); i++)
		report_set_number(rp, obj, stats[i].key, r->stats[stats[i].stat]);
	report_set_number(rp, obj, "bytes_stored", record_stored(snap));
	return obj;
}

bool
record_owner(const struct snaprec_string *raw, uint32_t number, struct snaprec_string *name)
{
	struct snaprec_owner o;
	struct cursor c;

	cursor_init(&c, raw->p, raw->len);
	while (snaprec_next_owner(&c, &o))
		if (o.number == number) {
			*name = o.name;
			return o.name.len > 0;
		}
	return false;
}

const char *
record_kind(uint8_t kind)
{
	static const char *const names[] = { "?", "file", "dir", "link", "fifo", "char", "block",
	    "socket" };

	return names[kind <= TREENODE_SOCKET ? kind : 0];
}

const char *
record_mode(char buf[static RECORD_MODE_LEN], const struct treenode_entry *e)
{
	static const char letters[] = "?-dlpcbs", bits[] = "rwxrwxrwx";
	static const struct {
		uint16_t bit;
		int at;
		char with_x, without;
	} special[] = { { 04000, 3, 's', 'S' }, { 02000, 6, 's', 'S' }, { 01000, 9, 't', 'T' } };

	buf[0] = letters[e->kind <= TREENODE_SOCKET ? e->kind : 0];
	for (int i = 0; i < 9; i++)
		buf[i + 1] = e->mode & (0400 >> i) ? bits[i] : '-';
	for (int i = 0; i < 3; i++)
		if (e->mode & special[i].bit)
			buf[special[i].at] = buf[special[i].at] == 'x' ? special[i].with_x :
			    special[i].without;
	buf[10] = 0;
	return buf;
}

/* Times beyond the range of 64-bit nanoseconds are cut to it. */
static int64_t
time_ns(int64_t seconds, uint32_t ns)
{
	int64_t t;

	if (__builtin_mul_overflow(seconds, CLOCK_NS, &t) || __builtin_add_overflow(t, (int64_t)ns,
	    &t))
		return seconds < 0 ? INT64_MIN : INT64_MAX;
	return t;
}

int64_t
record_mtime_ns(const struct treenode_entry *e)
{
	return time_ns(e->mtime, e->mtime_ns);
}

static void
set_owner(struct report *rp, json_t *obj, const char *key, const struct snaprec_string *raw,
    uint32_t number)
{
	struct snaprec_string name;

	if (record_owner(raw, number, &name))
		report_set_name(rp, obj, key, name.p, name.len);
}

static void
set_kind_fields(struct report *rp, json_t *obj, const struct treenode_entry *e)
{
	char hex[NAME_HEX];

	if (e->kind == TREENODE_FILE)
		report_set_number(rp, obj, "size", e->size);
	if (e->kind == TREENODE_LINK)
		report_set_name(rp, obj, "target", e->target, (size_t)e->size);
	if (e->kind == TREENODE_CHAR || e->kind == TREENODE_BLOCK) {
		report_set_number(rp, obj, "major", e->size >> 32);
		report_set_number(rp, obj, "minor", e->size & 0xffffffffu);
	}
	if (!name_is_zero(&e->content)) {
		name_hex(&e->content, hex);
		report_set_text(rp, obj, "content", hex);
	}
	if (e->flags & TREENODE_HARDLINK)
		report_set_number(rp, obj, "device", e->dev);
	if (e->flags & TREENODE_CHANGED)
		report_set_flag(rp, obj, "changed_while_read", true);
	if (e->flags & TREENODE_UNREAD)
		report_set_flag(rp, obj, "unreadable", true);
	if (e->flags & TREENODE_IMPLIED)
		report_set_flag(rp, obj, "implied", true);
}

void
record_set_entry(struct report *rp, json_t *obj, const char *path, const struct treenode_entry *e,
    const struct snapshots_item *snap)
{
	char mode[8];

	report_set_text(rp, obj, "path", path);
	report_set_name(rp, obj, "name", e->name, e->name_len);
	report_set_text(rp, obj, "kind", record_kind(e->kind));
	snprintf(mode, sizeof(mode), "%04o", e->mode & 07777u);
	report_set_text(rp, obj, "mode", mode);
	report_set_number(rp, obj, "uid", e->uid);
	report_set_number(rp, obj, "gid", e->gid);
	if (snap) {
		set_owner(rp, obj, "user", &snap->rec.users_raw, e->uid);
		set_owner(rp, obj, "group", &snap->rec.groups_raw, e->gid);
	}
	report_set_time(rp, obj, "mtime", record_mtime_ns(e));
	report_set_time(rp, obj, "ctime", time_ns(e->ctime, e->ctime_ns));
	report_set_number(rp, obj, "inode", e->inode);
	set_kind_fields(rp, obj, e);
}
