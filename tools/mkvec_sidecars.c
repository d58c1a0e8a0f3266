/* mkvec_sidecars: vectors of sidecars: of a key slot, whose sidecar is its copy. */
#include <string.h>

#include "codec/digest.h"
#include "format/sidecar.h"
#include "tools/mkvec.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define SLOT_NAME "1112131415161718191a1b1c1d1e1f20"
#define OBJECT_LEN 80

struct plan {
	struct mkvec_case c;
	struct mkvec_patch fixed;       /* before the hash is made */
	struct mkvec_patch file;        /* of the finished sidecar */
};

static void
put_sum(struct mkvec_bytes *b, const uint8_t *p, size_t len)
{
	uint64_t sum = digest_xxh3(p, len);
	uint8_t raw[8];

	for (int i = 0; i < 8; i++)
		raw[i] = (uint8_t)(sum >> (8 * i));
	mkvec_add(b, raw, sizeof(raw));
}

static void
make(struct mkvec *m, const struct plan *p)
{
	struct sidecar s = { .kind = SIDECAR_SLOT, .repo_id = m->repo_id, .name = SLOT_NAME,
		.shape = { .len = OBJECT_LEN, .block = 65536, .data = 128, .parity = 4 } };
	struct mkvec_bytes b = { 0 }, sums = { 0 };
	struct mkvec_case c = p->c;
	uint8_t object[OBJECT_LEN];
	struct name hash;

	mkvec_fill(object, sizeof(object), 0x30);
	put_sum(&sums, object, sizeof(object));
	s.data_sums = s.parity_sums = sums.b;
	b.len = sidecar_encode(b.b, MKVEC_MAX, &s);
	mkvec_must(b.len > 0, "sidecar");
	mkvec_patch(&b, &p->fixed);
	mkvec_hash(&hash, NULL, b.b, b.len);
	mkvec_add(&b, hash.b, NAME_LEN);
	mkvec_add(&b, object, sizeof(object));
	mkvec_patch(&b, &p->file);
	c.record = "sidecar";
	c.repo = true;
	if (c.file_name == NULL)
		c.file_name = SLOT_NAME;
	mkvec_put(m, &c, b.b, b.len);
}

#define CASE(n, e, r, t) \
	.c = { .name = n, .expect = e, .rule = r, .comment = t }

static const struct plan plans[] = {
	{ CASE("pa-ok", "ok", "PA-1", "the sidecar of a key slot, its copy") },
	{ CASE("pa-magic", "malformed", "PA-1", "another magic"), .fixed = { 0, "56", 0, false } },
	{ CASE("pa-version", "unsupported", "PA-1", "version 2"), .fixed = { 8, "02", 0, false } },
	{ CASE("pa-kind", "unsupported", "PA-1", "kind 6"), .fixed = { 12, "06", 0, false } },
	{ CASE("pa-kind-zero", "unsupported", "PA-1", "kind 0"), .fixed = { 12, "00", 0, false } },
	{ CASE("pa-repo", "auth", "PA-1", "of another repository"), .fixed = { 16, "01", 0, true } },
	{ .c = { .name = "pa-name", .expect = "auth", .rule = "PA-1", .comment = "of another object",
	    .file_name = "1112131415161718191a1b1c1d1e1f21" } },
	{ CASE("pa-name-slash", "malformed", "PA-1", "a slash in the name"), .fixed = { 33, "2f", 0, false } },
	{ CASE("pa-name-padding", "malformed", "PA-1", "a byte behind the name's zeros"), .fixed = { 95, "61", 0, false } },
	{ CASE("pa-name-none", "malformed", "PA-1", "no name"), .fixed = { 32, "00", 0, false } },
	{ CASE("pa-length-zero", "malformed", "PA-1", "length 0"), .fixed = { 96, "00", 0, false } },
	{ CASE("pa-length-large", "malformed", "GN-2", "length 2^40 + 80"), .fixed = { 101, "01", 0, false } },
	{ CASE("pa-length-other", "malformed", "PA-1", "another length than the file's"), .fixed = { 96, "51", 0, false } },
	{ CASE("pa-block-odd", "malformed", "PA-1", "blocks of 65,537 bytes"), .fixed = { 104, "01", 0, false } },
	{ CASE("pa-block-zero", "malformed", "PA-1", "blocks of no bytes"), .fixed = { 106, "00", 0, false } },
	{ CASE("pa-block-large", "malformed", "PA-1", "blocks of 2^21 bytes"), .fixed = { 106, "20", 0, false } },
	{ CASE("pa-data-zero", "malformed", "PA-2", "no data blocks in a group"), .fixed = { 108, "00", 0, false } },
	{ CASE("pa-data-many", "malformed", "PA-2", "129 data blocks in a group"), .fixed = { 108, "81", 0, false } },
	{ CASE("pa-parity-zero", "malformed", "PA-2", "no parity blocks"), .fixed = { 112, "00", 0, false } },
	{ CASE("pa-parity-many", "malformed", "PA-2", "33 parity blocks"), .fixed = { 112, "21", 0, false } },
	{ CASE("pa-reserved", "malformed", "GN-1", "reserved bytes"), .fixed = { 116, "01", 0, false } },
	{ CASE("pa-hash", "auth", "PA-1", "a bit of a checksum flipped after the hash was made"), .file = { 120, "01", 0, true } },
	{ CASE("pa-copy", "auth", "PA-1", "a bit of the parity flipped"), .file = { -1, "01", 0, true } },
	{ CASE("pa-cut", "malformed", "PA-1", "last byte missing"), .file = { .grow = -1 } },
	{ CASE("pa-long", "malformed", "PA-1", "one byte too many"), .file = { .grow = 1 } },
	{ CASE("pa-tiny", "malformed", "GN-2", "119 bytes"), .file = { .grow = -129 } },
};

void
mkvec_sidecars(struct mkvec *m)
{
	for (size_t i = 0; i < COUNT(plans); i++)
		make(m, &plans[i]);
}
