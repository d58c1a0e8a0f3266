/* mkvec_snaps: vectors of whole snapshot records. */
#include <string.h>

#include "format/snaprec.h"
#include "tools/mkvec.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SID_NAME "b1b2b3b4b5b6b7b8b9babbbcbdbebfc0"

struct plan {
	struct mkvec_case c;
	struct mkvec_patch payload;     /* before sealing */
	struct mkvec_patch file;        /* of the finished record */
	const char *wrap_label, *label;
	bool wrap_subkey, other_repo;
};

static void
payload_make(struct mkvec_bytes *b)
{
	const uint8_t *host = (const uint8_t *)"vault";
	struct snaprec s = { .sequence = 1, .host = { host, 5 } };

	mkvec_fill(s.root.b, NAME_LEN, 0x20);
	b->len = snaprec_encode(b->b, MKVEC_MAX, &s);
	mkvec_must(b->len > 0, "snapshot payload");
}

static void
make(struct mkvec *m, const struct plan *p)
{
	struct snaprec_head h = { .wrap.kind = KEYSLOT_WRAP_SYMMETRIC };
	struct mkvec_bytes file = { 0 }, payload = { 0 }, box = { 0 };
	struct name_sid repo = m->repo_id;
	struct mkvec_case c = p->c;
	uint8_t key[32];

	mkvec_fill(key, sizeof(key), 0x91);
	mkvec_fill(h.sid.b, NAME_SID_LEN, 0xb1);
	snaprec_head_encode(file.b, MKVEC_MAX, &h);
	mkvec_seal(&box, p->wrap_subkey ? m->pack : m->record,
	    p->wrap_label != NULL ? p->wrap_label : "varve snap key",
	    &m->repo_id, file.b, SNAPREC_WRAP_CONTEXT, key, sizeof(key));
	memcpy(h.wrap.box, box.b, sizeof(h.wrap.box));
	file.len = snaprec_head_encode(file.b, MKVEC_MAX, &h);
	payload_make(&payload);
	mkvec_patch(&payload, &p->payload);
	repo.b[7] ^= p->other_repo;
	mkvec_seal(&file, key, p->label != NULL ? p->label : "varve snap",
	    &repo, file.b, SNAPREC_HEAD_LEN, payload.b, payload.len);
	mkvec_patch(&file, &p->file);
	c.record = "snapshot";
	c.master = c.repo = true;
	if (c.file_name == NULL)
		c.file_name = SID_NAME;
	mkvec_put(m, &c, file.b, file.len);
}

#define CASE(n, e, r, t) \
	.c = { .name = n, .expect = e, .rule = r, .comment = t }

static const struct plan plans[] = {
	{ CASE("sr-ok", "ok", "SR-1", "a snapshot record") },
	{ CASE("sr-magic", "malformed", "SR-1", "another magic"), .file = { 0, "56", 0, false } },
	{ CASE("sr-version", "unsupported", "SR-1", "version 2"), .file = { 8, "02", 0, false } },
	{ CASE("sr-reserved", "malformed", "GN-1", "reserved bytes"), .file = { 12, "01", 0, false } },
	{ .c = { .name = "sr-name", .expect = "auth", .rule = "SR-1", .comment = "sid is not the file's name",
	    .file_name = "b1b2b3b4b5b6b7b8b9babbbcbdbebfc1" } },
	{ CASE("sr-wrap-kind", "unsupported", "SR-2", "key wrap of kind 2"), .file = { 32, "02", 0, false } },
	{ CASE("sr-wrap-padding", "malformed", "GN-1", "padding of the key wrap"), .file = { 112, "01", 0, false } },
	{ CASE("sr-wrap-tag", "auth", "SR-1", "a bit of the key wrap's tag flipped"), .file = { 111, "01", 0, true } },
	{ CASE("sr-wrap-subkey", "auth", "SR-2", "wrapped with the pack key"), .wrap_subkey = true },
	{ CASE("sr-wrap-label", "auth", "SR-2", "wrapped under the label of a pack"), .wrap_label = "varve pack key" },
	{ CASE("sr-box-tag", "auth", "SR-1", "a bit of the box's tag flipped"), .file = { -1, "01", 0, true } },
	{ CASE("sr-box-nonce", "auth", "SR-1", "a bit of the box's nonce flipped"), .file = { 160, "01", 0, true } },
	{ CASE("sr-box-label", "auth", "SR-1", "sealed under another label"), .label = "varve slot" },
	{ CASE("sr-box-repo", "auth", "SR-1", "sealed for another repository"), .other_repo = true },
	{ CASE("sr-box-cut", "auth", "SR-1", "last byte missing"), .file = { .grow = -1 } },
	{ CASE("sr-box-long", "auth", "SR-1", "one byte too many"), .file = { .grow = 1 } },
	{ CASE("sr-box-tiny", "malformed", "GN-2", "39 bytes of a box"), .file = { .grow = -286 } },
	{ CASE("sr-head-only", "malformed", "GN-2", "half a head"), .file = { .grow = -405 } },
	{ CASE("sr-sealed-payload-bad", "malformed", "SR-1", "the box opens and the payload has sequence 0"),
	    .payload = { 64, "00", 0, false } },
	{ CASE("sr-sealed-payload-long", "malformed", "GN-1", "the box opens and the payload has a byte too many"), .payload = { .grow = 1 } },
	{ CASE("sr-sealed-extension", "unsupported", "TN-2", "the box opens and the payload has an unknown extension"),
	    .payload = { 281, "08000000027f000000000000", 8, false } },
};

void
mkvec_snaps(struct mkvec *m)
{
	for (size_t i = 0; i < COUNT(plans); i++)
		make(m, &plans[i]);
}
