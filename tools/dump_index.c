/* dump_index: segments and tables, row by row, and snapshot records. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/digest.h"
#include "codec/keys.h"
#include "codec/seal.h"
#include "format/extrec.h"
#include "format/indexfile.h"
#include "format/snaprec.h"
#include "tools/dump.h"

static void
index_head(const struct indexfile_header *h)
{
	dump_line("object", h->kind == INDEXFILE_TABLE ? "table" : "segment");
	dump_hex("repository id", h->repo_id.b, NAME_SID_LEN);
	dump_hex("nonce", h->nonce, sizeof(h->nonce));
	if (h->kind == INDEXFILE_SEGMENT)
		dump_hex("sid", h->sid.b, NAME_SID_LEN);
	dump_number(h->kind == INDEXFILE_TABLE ? "number" : "part", h->number);
	if (h->flags & INDEXFILE_LAST_PART)
		dump_hex("root", h->root.b, NAME_LEN);
	printf("%-18s keep %u remove %u packs %u frames %u rows %" PRIu64
	    " extra %" PRIu64 "\n", "counts", h->keep_count, h->remove_count,
	    h->pack_count, h->frame_count, h->row_count, h->extra_len);
}

static void
index_names(const struct indexfile_header *h, struct cursor *c)
{
	static const char *const dead[] = { "", "segment", "record", "pack" };
	struct indexfile_remove r;
	char id[NAME_HEX];

	for (uint32_t i = 0; i < h->keep_count; i++)
		printf("keep %016" PRIx64 "\n", cursor_u64(c));
	for (uint32_t i = 0; i < h->remove_count; i++) {
		const uint8_t *row = cursor_bytes(c, INDEXFILE_REMOVE_LEN);

		if (indexfile_remove_decode(&r, row, INDEXFILE_REMOVE_LEN) !=
		    CURSOR_OK) {
			printf("remove MALFORMED\n");
			continue;
		}
		name_hex(&r.name, id);
		if (r.kind != INDEXFILE_DEAD_PACK)
			id[NAME_SID_HEX - 1] = '\0';
		printf("remove %s %s", dead[r.kind], id);
		printf(r.kind == INDEXFILE_DEAD_SEGMENT ? "-%08x\n" : "\n",
		    r.part);
	}
}

static void
index_places(const struct indexfile_header *h, struct cursor *c)
{
	struct indexfile_frame f;
	struct indexfile_pack p;
	char id[NAME_HEX];

	for (uint32_t i = 0; i < h->pack_count; i++) {
		enum cursor_verdict v = indexfile_pack_decode(&p,
		    cursor_bytes(c, INDEXFILE_PACK_LEN), INDEXFILE_PACK_LEN);

		name_hex(&p.name, id);
		printf("pack %u %s kind %u bytes %" PRIu64 " live %" PRIu64
		    " frames %u live %u%s\n", i, id, p.kind, p.bytes,
		    p.live_bytes, p.frames, p.live_frames,
		    v == CURSOR_OK ? "" : " MALFORMED");
	}
	for (uint32_t i = 0; i < h->frame_count; i++) {
		enum cursor_verdict v = indexfile_frame_decode(&f,
		    cursor_bytes(c, INDEXFILE_FRAME_LEN), INDEXFILE_FRAME_LEN);

		printf("frame %u pack %u ordinal %u at %u length %u chunks %u"
		    " live %u%s\n", i, f.pack, f.ordinal, f.off, f.len,
		    f.chunks, f.live, v == CURSOR_OK ? "" : " MALFORMED");
	}
}

static void
index_rows(const struct indexfile_header *h, struct cursor *c)
{
	struct indexfile_row r;
	char id[NAME_HEX];

	for (uint64_t i = 0; i < h->row_count; i++) {
		enum cursor_verdict v = indexfile_row_decode(&r,
		    cursor_bytes(c, INDEXFILE_ROW_LEN), INDEXFILE_ROW_LEN);

		name_hex(&r.id, id);
		printf("row %s %c refs %u uses %u", id,
		    r.type >= 0x20 && r.type < 0x7f ? r.type : '?', r.refs,
		    r.uses);
		if (r.frame != INDEXFILE_NO_FRAME)
			printf(" frame %u slot %u depth %u", r.frame, r.slot,
			    r.depth);
		printf("%s\n", v == CURSOR_OK ? "" : " MALFORMED");
	}
}

/* IX-2 */
static int
index_mac(const struct dump *d, const struct indexfile_header *h,
    const uint8_t *p, const struct indexfile_layout *l)
{
	struct mem_buf b = { 0 };
	struct name mac;
	int rc;

	if (!(rc = mem_buf_add(&b, "varve index head", 16)) &&
	    !(rc = mem_buf_add(&b, p, INDEXFILE_MAC_OFF)) &&
	    !(rc = mem_buf_add(&b, p + l->upper_off,
	    (size_t)(l->file_len - l->upper_off)))) {
		digest_keyed(&mac, d->keys->index, b.p, b.len);
		dump_line("MAC", dump_fits(memcmp(mac.b, h->mac, NAME_LEN) == 0));
	}
	mem_buf_clear(&b);
	return rc;
}

int
dump_index(const struct dump *d, const uint8_t *p, size_t len)
{
	struct indexfile_header h;
	struct indexfile_layout l;
	struct extrec_iter it;
	struct extrec x;
	struct cursor c;
	int rc;

	if (len < INDEXFILE_HEADER_LEN)
		return fail(ERR_CORRUPT, "bad index file: too short");
	if ((rc = err_verdict(indexfile_header_decode(&h, p,
	    INDEXFILE_HEADER_LEN), "index file")))
		return rc;
	indexfile_layout(&h, &l);
	if (l.file_len != len)
		return fail(ERR_CORRUPT, "bad index file: %zu bytes instead of"
		    " %" PRIu64, len, l.file_len);
	index_head(&h);
	if (d->keys && (rc = index_mac(d, &h, p, &l)))
		return rc;
	cursor_init(&c, p + l.body_off, (size_t)l.end);
	index_names(&h, &c);
	index_places(&h, &c);
	index_rows(&h, &c);
	cursor_bytes(&c, (size_t)(l.extra - l.fanout));
	extrec_init(&it, c.p, c.left);
	while (extrec_next(&it, &x))
		printf("extension %u, %u bytes\n", x.tag, x.len);
	return OK;
}

static void
owners_print(const char *label, const struct snaprec_string *raw)
{
	struct snaprec_owner o;
	struct cursor c;
	char what[32];

	cursor_init(&c, raw->p, raw->len);
	while (snaprec_next_owner(&c, &o)) {
		snprintf(what, sizeof(what), "%s %u", label, o.number);
		dump_words(what, o.name.p, o.name.len);
	}
}

static void
strings_print(const char *label, const struct snaprec_string *raw)
{
	struct snaprec_string s;
	struct cursor c;

	cursor_init(&c, raw->p, raw->len);
	while (snaprec_next_string(&c, &s))
		dump_words(label, s.p, s.len);
}

static void
payload_print(const struct snaprec *s)
{
	static const char *const stats[] = { "files", "directories", "others",
	    "files new", "files changed", "files unmodified", "databases",
	    "errors", "bytes total", "bytes read", "bytes new",
	    "bytes stored", "chunks new" };

	dump_hex("root", s->root.b, NAME_LEN);
	dump_hex("parent", s->parent.b, NAME_SID_LEN);
	dump_hex("writer", s->writer.b, NAME_SID_LEN);
	dump_number("sequence", s->sequence);
	dump_hex("previous", s->previous.b, NAME_SID_LEN);
	dump_when("begin", s->begin_ns);
	dump_when("end", s->end_ns);
	dump_when("clock", s->clock_ns);
	dump_number("flags", s->flags);
	for (size_t i = 0; i < sizeof(stats) / sizeof(stats[0]); i++)
		dump_number(stats[i], s->stats[i]);
	dump_words("host", s->host.p, s->host.len);
	dump_words("user", s->user.p, s->user.len);
	dump_words("program", s->program.p, s->program.len);
	strings_print("path", &s->paths_raw);
	strings_print("tag", &s->tags_raw);
	owners_print("uid", &s->users_raw);
	owners_print("gid", &s->groups_raw);
}

int
dump_snapshot(const struct dump *d, const uint8_t *p, size_t len)
{
	struct seal_aad aad = { "varve snap", &d->repo.repo_id, p,
	    SNAPREC_HEAD_LEN };
	struct mem_buf plain = { 0 };
	struct snaprec_head h;
	struct snaprec s;
	uint8_t key[32];
	int rc;

	if (len < SNAPREC_HEAD_LEN + SEAL_OVERHEAD || len > SNAPREC_LEN_MAX)
		return fail(ERR_CORRUPT, "bad snapshot record: length");
	if ((rc = err_verdict(snaprec_head_decode(&h, p, SNAPREC_HEAD_LEN),
	    "snapshot record")))
		return rc;
	dump_line("object", "snapshot record");
	dump_hex("sid", h.sid.b, NAME_SID_LEN);
	if (!d->keys)
		return OK;
	if (!(rc = keys_unwrap(key, &h.wrap, d->keys->record, "varve snap key",
	    &d->repo.repo_id, p, SNAPREC_WRAP_CONTEXT)) &&
	    !(rc = mem_buf_reserve(&plain, len)) &&
	    !(rc = seal_open(plain.p, p + SNAPREC_HEAD_LEN,
	    len - SNAPREC_HEAD_LEN, key, &aad)) &&
	    !(rc = err_verdict(snaprec_decode(&s, plain.p,
	    len - SNAPREC_HEAD_LEN - SEAL_OVERHEAD), "snapshot record")))
		payload_print(&s);
	sodium_memzero(key, sizeof(key));
	mem_buf_clear(&plain);
	return rc;
}
