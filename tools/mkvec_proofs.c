/* mkvec_proofs: vectors of records of what was verified. */
#include <string.h>

#include "format/proofrec.h"
#include "tools/mkvec.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SID_NAME "c1c2c3c4c5c6c7c8c9cacbcccdcecfd0"

struct plan {
	struct mkvec_case c;
	struct mkvec_patch payload, file;
	const char *wrap_label, *label;
};

static void
payload_make(struct mkvec_bytes *b)
{
	struct proofrec_pack packs[2] = { { .time_ns = 1700000000000000000 }, { .time_ns = 1700000001000000000 } };
	struct proofrec_snap snaps[1] = { { .time_ns = 1700000000000000000 } };
	struct proofrec p = { .written_ns = 1700000002000000000, .drill_ns = 1690000000000000000, .pack_count = 2,
		.snap_count = 1, .packs = packs, .snaps = snaps };

	mkvec_fill(packs[0].name.b, NAME_LEN, 0x10);
	mkvec_fill(packs[1].name.b, NAME_LEN, 0x30);
	mkvec_fill(snaps[0].sid.b, NAME_SID_LEN, 0xb1);
	b->len = proofrec_encode(b->b, MKVEC_MAX, &p);
	mkvec_must(b->len > 0, "proof payload");
}

static void
make(struct mkvec *m, const struct plan *p)
{
	struct proofrec_head h = { .wrap.kind = KEYSLOT_WRAP_SYMMETRIC };
	struct mkvec_bytes file = { 0 }, payload = { 0 }, box = { 0 };
	struct mkvec_case c = p->c;
	uint8_t key[32];

	mkvec_fill(key, sizeof(key), 0xa1);
	mkvec_fill(h.sid.b, NAME_SID_LEN, 0xc1);
	proofrec_head_encode(file.b, MKVEC_MAX, &h);
	mkvec_seal(&box, m->record, p->wrap_label ? p->wrap_label : "varve proof key", &m->repo_id, file.b,
	    PROOFREC_WRAP_CONTEXT, key, sizeof(key));
	memcpy(h.wrap.box, box.b, sizeof(h.wrap.box));
	file.len = proofrec_head_encode(file.b, MKVEC_MAX, &h);
	payload_make(&payload);
	mkvec_patch(&payload, &p->payload);
	mkvec_seal(&file, key, p->label ? p->label : "varve proof", &m->repo_id, file.b, PROOFREC_HEAD_LEN, payload.b,
	    payload.len);
	mkvec_patch(&file, &p->file);
	c.record = "proof";
	c.master = c.repo = true;
	if (!c.file_name)
		c.file_name = SID_NAME;
	mkvec_put(m, &c, file.b, file.len);
}

#define CASE(n, e, r, t) \
	.c = { .name = n, .expect = e, .rule = r, .comment = t }

static const struct plan plans[] = {
	{ CASE("vf-ok", "ok", "VF-1", "two packs and a snapshot") },
	{ CASE("vf-magic", "malformed", "VF-1", "another magic"), .file = { 0, "56", 0, false } },
	{ CASE("vf-version", "unsupported", "VF-1", "version 2"), .file = { 8, "02", 0, false } },
	{ CASE("vf-reserved", "malformed", "GN-1", "reserved bytes"), .file = { 12, "01", 0, false } },
	{ .c = { .name = "vf-name", .expect = "auth", .rule = "VF-1", .comment = "sid is not the file's name",
	    .file_name = "c1c2c3c4c5c6c7c8c9cacbcccdcecfd1" } },
	{ CASE("vf-wrap-label", "auth", "VF-1", "wrapped under the label of a snapshot record"), .wrap_label = "varve snap key" },
	{ CASE("vf-box-tag", "auth", "VF-1", "a bit of the box's tag flipped"), .file = { -1, "01", 0, true } },
	{ CASE("vf-box-label", "auth", "VF-1", "sealed under another label"), .label = "varve snap" },
	{ CASE("vf-box-tiny", "malformed", "GN-2", "39 bytes of a box"), .file = { .grow = -129 } },
	{ CASE("vf-sealed-written", "malformed", "VF-1", "written at 0"), .payload = { 0, "0000000000000000", 0, false } },
	{ CASE("vf-sealed-count", "malformed", "GN-2", "one pack more than there are bytes"), .payload = { 16, "03", 0, false } },
	{ CASE("vf-sealed-unsorted", "malformed", "GN-1", "packs out of order"), .payload = { 24, "ff", 0, false } },
	{ CASE("vf-sealed-time", "malformed", "VF-1", "a pack verified at 0"), .payload = { 56, "0000000000000000", 0, false } },
	{ CASE("vf-sealed-long", "malformed", "GN-1", "the payload has a byte too many"), .payload = { .grow = 1 } },
};

void
mkvec_proofs(struct mkvec *m)
{
	for (size_t i = 0; i < COUNT(plans); i++)
		make(m, &plans[i]);
}
