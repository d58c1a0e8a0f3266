/* mkvec_slots: vectors of key slots.  Argon2id at its least cost. */
#include <string.h>

#include <sodium.h>

#include "format/keyslot.h"
#include "tools/mkvec.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define PHRASE "correct horse"
#define PHRASE_HEX "636f727265637420686f727365"
#define FILE_HEX "c0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf"

/* What to make, and what to spoil on the way. */
struct plan {
	struct mkvec_case c;
	uint32_t kind;
	struct mkvec_patch clear;       /* of bytes 0 ... 71, before stretching */
	struct mkvec_patch payload;     /* before sealing */
	struct mkvec_patch sealed;      /* of the finished slot */
	const char *label;              /* of the AAD */
	bool other_repo;                /* in the AAD */
};

static void
stretch(uint8_t out[static 64], const struct keyslot *s,
    const uint8_t clear[static KEYSLOT_STRETCHED])
{
	uint8_t key[32] = { 0 };

	if (s->kind == KEYSLOT_PASSPHRASE) {
		mkvec_must(crypto_pwhash(out, 64, PHRASE, strlen(PHRASE),
		    s->salt, s->passes, (size_t)s->memory_kib * 1024,
		    crypto_pwhash_ALG_ARGON2ID13) == 0, "argon2id");
		return;
	}
	if (s->kind == KEYSLOT_KEYFILE)
		mkvec_fill(key, sizeof(key), 0xc0);
	crypto_generichash(out, 64, clear, KEYSLOT_STRETCHED, key, 32);
}

static void
payload_make(struct mkvec_bytes *b, const struct mkvec *m)
{
	struct keyslot_payload p = {
		.role = KEYSLOT_FULL, .created_ns = 1700000000000000000,
		.label = "ann@vault",
	};

	memcpy(p.master, m->master, sizeof(p.master));
	mkvec_hash(&p.header_hash, NULL, m->repo, sizeof(m->repo));
	b->len = keyslot_payload_encode(b->b, MKVEC_MAX, &p);
	mkvec_must(b->len == KEYSLOT_PAYLOAD_LEN, "slot payload");
}

static void
make(struct mkvec *m, const struct plan *p)
{
	struct mkvec_bytes b = { 0 }, payload = { 0 };
	struct name_sid repo = m->repo_id;
	struct keyslot s = {
		.kind = p->kind, .repo_id = m->repo_id,
		.passes = p->kind == KEYSLOT_PASSPHRASE ? 1 : 0,
		.memory_kib = p->kind == KEYSLOT_PASSPHRASE ? 8192 : 0,
	};
	struct mkvec_case c = p->c;
	uint8_t secret[64];

	mkvec_fill(s.slot_id.b, NAME_SID_LEN, 0x11);
	if (p->kind == KEYSLOT_PASSPHRASE)
		mkvec_fill(s.salt, sizeof(s.salt), 0xe0);
	b.len = keyslot_encode(b.b, MKVEC_MAX, &s);
	mkvec_must(b.len == KEYSLOT_LEN, "slot");
	mkvec_patch(&b, &p->clear);
	stretch(secret, &s, b.b);
	memcpy(b.b + KEYSLOT_STRETCHED, secret + 32, 32);
	b.len = KEYSLOT_AAD;
	payload_make(&payload, m);
	mkvec_patch(&payload, &p->payload);
	repo.b[0] ^= p->other_repo;
	mkvec_seal(&b, secret, p->label != NULL ? p->label : "varve slot",
	    &repo, b.b, KEYSLOT_AAD, payload.b, payload.len);
	mkvec_patch(&b, &p->sealed);
	c.record = "keyslot";
	c.repo = true;
	if (c.file_name == NULL)
		c.file_name = "1112131415161718191a1b1c1d1e1f20";
	mkvec_put(m, &c, b.b, b.len);
}

#define CASE(n, e, r, t, s) \
	.c = { .name = n, .expect = e, .rule = r, .comment = t, .secret = s }
#define FILE_CASE(n, e, r, t) \
	CASE(n, e, r, t, FILE_HEX), .kind = KEYSLOT_KEYFILE

static const struct plan plans[] = {
	{ CASE("ks-passphrase-ok", "ok", "KS-1", "a passphrase slot", PHRASE_HEX), .kind = KEYSLOT_PASSPHRASE },
	{ CASE("ks-passphrase-wrong", "auth", "KS-3", "another passphrase", "636f727265637420686f7273"), .kind = KEYSLOT_PASSPHRASE },
	{ CASE("ks-passphrase-tag", "auth", "KS-1", "the box's tag changed", PHRASE_HEX), .kind = KEYSLOT_PASSPHRASE,
	    .sealed = { -1, "01", 0, true } },
	{ CASE("ks-passes-zero", "malformed", "KS-2", "0 passes", PHRASE_HEX), .kind = KEYSLOT_PASSPHRASE, .sealed = { 48, "00000000", 0, false } },
	{ CASE("ks-passes-many", "malformed", "KS-2", "17 passes", PHRASE_HEX), .kind = KEYSLOT_PASSPHRASE, .sealed = { 48, "11000000", 0, false } },
	{ CASE("ks-memory-small", "malformed", "KS-2", "8191 KiB", PHRASE_HEX), .kind = KEYSLOT_PASSPHRASE, .sealed = { 52, "ff1f0000", 0, false } },
	{ CASE("ks-memory-large", "malformed", "KS-2", "4 GiB and 1 KiB", PHRASE_HEX), .kind = KEYSLOT_PASSPHRASE,
	    .sealed = { 52, "01004000", 0, false } },
	{ FILE_CASE("ks-keyfile-ok", "ok", "KS-1", "a key file slot") },
	{ CASE("ks-keyfile-wrong", "auth", "KS-3", "another key file",
	    "d0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedf"), .kind = KEYSLOT_KEYFILE },
	{ FILE_CASE("ks-commitment", "auth", "KS-3", "a bit of the commitment flipped"), .sealed = { 72, "01", 0, true } },
	{ FILE_CASE("ks-box-nonce", "auth", "KS-1", "a bit of the nonce flipped"), .sealed = { 104, "80", 0, true } },
	{ FILE_CASE("ks-box-text", "auth", "KS-1", "a bit of the ciphertext flipped"), .sealed = { 128, "01", 0, true } },
	{ FILE_CASE("ks-box-tag", "auth", "KS-1", "a bit of the tag flipped"), .sealed = { -1, "80", 0, true } },
	{ FILE_CASE("ks-aad-label", "auth", "KS-1", "sealed under another label"), .label = "varve snap" },
	{ FILE_CASE("ks-aad-repo", "auth", "KS-1", "sealed for another repository"), .other_repo = true },
	{ FILE_CASE("ks-header-hash", "auth", "RH-2", "the slot was made for another header"), .payload = { 16, "01", 0, true } },
	{ FILE_CASE("ks-role-unknown", "unsupported", "KS-5", "role 2"), .payload = { 0, "02", 0, false } },
	{ FILE_CASE("ks-payload-reserved", "malformed", "GN-1", "reserved bytes behind the role"), .payload = { 4, "01", 0, false } },
	{ FILE_CASE("ks-payload-keys", "malformed", "GN-1", "reserved bytes behind the master key"), .payload = { 111, "01", 0, false } },
	{ FILE_CASE("ks-label-gap", "malformed", "GN-1", "a zero inside the label"), .payload = { 114, "00", 0, false } },
	{ FILE_CASE("ks-label-utf8", "malformed", "GN-1", "the label is not UTF-8"), .payload = { 112, "ff", 0, false } },
	{ FILE_CASE("ks-label-surrogate", "malformed", "GN-1", "a surrogate in the label"), .payload = { 112, "eda080", 0, false } },
	{ FILE_CASE("ks-label-overlong", "malformed", "GN-1", "an overlong form in the label"), .payload = { 112, "c0af", 0, false } },
	{ FILE_CASE("ks-label-cut", "malformed", "GN-1", "a half character at the end of the label"), .payload = { 173, "f09f98", 0, false } },
	{ FILE_CASE("ks-magic", "malformed", "KS-2", "another magic"), .sealed = { 0, "56", 0, false } },
	{ FILE_CASE("ks-version", "unsupported", "KS-2", "version 2"), .sealed = { 8, "02", 0, false } },
	{ FILE_CASE("ks-kind-unknown", "unsupported", "KS-2", "kind 4"), .sealed = { 12, "04", 0, false } },
	{ FILE_CASE("ks-kind-changed", "malformed", "KS-2", "a key file slot turned into a passphrase slot"), .sealed = { 12, "01", 0, false } },
	{ FILE_CASE("ks-kind-public", "auth", "KS-4", "a key file slot turned into a public one"), .sealed = { 12, "03", 0, false } },
	{ FILE_CASE("ks-repo", "auth", "KS-2", "repository id of another repository"), .sealed = { 16, "01", 0, true } },
	{ .c = { .name = "ks-name", .expect = "auth", .rule = "KS-2", .comment = "slot id is not the file's name", .secret = FILE_HEX,
	    .file_name = "1112131415161718191a1b1c1d1e1f21" }, .kind = KEYSLOT_KEYFILE },
	{ FILE_CASE("ks-keyfile-passes", "malformed", "KS-2", "1 pass of a key file slot"), .sealed = { 48, "01", 0, false } },
	{ FILE_CASE("ks-keyfile-memory", "malformed", "KS-2", "memory of a key file slot"), .sealed = { 53, "20", 0, false } },
	{ FILE_CASE("ks-keyfile-salt", "malformed", "KS-2", "salt of a key file slot"), .sealed = { 71, "01", 0, false } },
	{ FILE_CASE("ks-short", "malformed", "KS-2", "last byte missing"), .sealed = { .grow = -1 } },
	{ FILE_CASE("ks-long", "malformed", "GN-1", "one byte too many"), .sealed = { .grow = 1 } },
	{ CASE("ks-public-ok", "ok", "KS-1", "a public slot, asked for", NULL), .kind = KEYSLOT_PUBLIC },
	{ CASE("ks-public-unasked", "auth", "KS-4", "a public slot where a secret is expected", FILE_HEX), .kind = KEYSLOT_PUBLIC },
};

void
mkvec_slots(struct mkvec *m)
{
	for (size_t i = 0; i < COUNT(plans); i++)
		make(m, &plans[i]);
}
