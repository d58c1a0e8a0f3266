/*
 * keys, digest, seal and the making of a repository.  The expected values were
 * computed with Python's hashlib (BLAKE2b) and PyNaCl (Argon2id,
 * XChaCha20-Poly1305) from the text of SPEC.md: master key 00 01 ... 1f,
 * repository id 40 ... 4f, slot id 50 ... 5f, salt 60 ... 6f, key file
 * 80 ... 9f, nonce a0 ... b7, header hash c0 ... df.
 */
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail                              /* base/err.h has one too */

#include "base/err.h"
#include "codec/digest.h"
#include "codec/keys.h"
#include "codec/seal.h"
#include "store/repo.h"

#define CREATED_NS 1700000000000000000ll

static const char subkeys[7][65] = {
	"c05cd58a392c8ac567af6b40be16f653c9429e7468c50da04c84aaf7c1318a32",
	"39090add442b75e8f0ce24736ed9e7f4450cba7923fae28021b004a16f9e53fc",
	"07d109d47062cfabb1dc77dc5ec8066ccd632f38cbf98840fcd8e80c7cf7d69a",
	"1e7357b100f9064225d6d6607c3136e2405878af9b54e55c547fb785b9c2cc9d",
	"67920af9d85311414f1b3591c4ee5356c4c2c8c101b0fc32b67f54f168975859",
	"204236e61514cd38668dccbab94b89b749bed4ed4a9547176ea4ff643a4c567b",
	"0524feab002c75796ecfdc5fdb6f5eba9c4f60c5a10e7d6086a8567f65d07d47",
};

/* Kinds 1, 2, 3; passphrase "correct horse", 1 pass, 8192 KiB. */
static const char *const slots[3] = {
	"76617276656b65790100000001000000404142434445464748494a4b4c4d4e4f"
	"505152535455565758595a5b5c5d5e5f01000000002000006061626364656667"
	"68696a6b6c6d6e6f5ff3d35a78bce7d07cdf704791f506bece86bc85ed7d921c"
	"608beee576bed5f9a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7"
	"499a00049bd11e1ff50982ce6c3c016c498c03727a02588181fe18bbb9869479"
	"746a2179427c876fe5040aa6ab5a8877f0c382f2559fb8d0e832e43d80f2e515"
	"d9c22ea95025c3f3bf49132b7375e67cf9e6f5d9695740a69b435bc85a6015c6"
	"0f5a8c55bb1e25664687d34a73ab1478a5118fe1c23b28f3dc541ab39ec02726"
	"8cf8ec4c6136183b2052957690392ab8f0cb30828d2f6bf9956dd01b001c27e6"
	"987e6035567be994b9e4f5025094ade3ee6bbbf3bd56870422fd8a6d8a477fad",
	"76617276656b65790100000002000000404142434445464748494a4b4c4d4e4f"
	"505152535455565758595a5b5c5d5e5f00000000000000000000000000000000"
	"000000000000000088c79abfdcd43a6f3f4aa67d4f1890cf842673b396c2ccb9"
	"84920e9aafa4f6a1a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7"
	"3bc8d6975d3edf83ac69d43f9e22644034e051d105bd6444a47c82bddc8ddf2a"
	"65d20602ec5dd28b467c994893adfb1f588c3a107c5f83a7576a443d2ddc8783"
	"5c4cbb6c044827bdaa224775925040a09fe28ca8b5d1175028d88d53a92ab399"
	"9caa257747558e7bb2596078e5e61e98709a0e43f60226e9f05ebfaeb4d3be19"
	"acbadb924de48f20f999656dfe4666dc2cb2ec4066965c8f92bcc4fa99b8b1cc"
	"fac8d9e1050180a31f61117c806dbec5147fba324435fee91576d766ce448c4e",
	"76617276656b65790100000003000000404142434445464748494a4b4c4d4e4f"
	"505152535455565758595a5b5c5d5e5f00000000000000000000000000000000"
	"00000000000000002e2ef529963900e750c67ce338db01fd3af6d82776ab5f10"
	"932cb3c36a2641aea0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7"
	"4c331ee50f0cd57658811177047c5d2f0b0d34ac9e9dd1205e6df4cfb532e7bb"
	"50e1e25f816e1ce5213ca7714e3c3350f1926b96ebc1baaa7833b73c2b2eb7da"
	"e22c4693069d0f2a267d72b882fdc1f0f28969be36c239b55dbb6a1568338578"
	"32cd0aef24cd5825fa045a2864275ffcda6ea2f278013af4d94fe73957912cc8"
	"00c9ec3b0703edce396e3be680308b709473500b691becd66540200ce0c5fa14"
	"0b2a675a654c78cb64c49ee1567cbadc12541a5bbb703e5e238a09db45312f18",
};

static void
count_up(uint8_t *p, size_t len, unsigned from)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(from + i);
}

static void
expect_hex(const uint8_t *p, size_t len, const char *hex)
{
	char text[2 * KEYSLOT_LEN + 1];

	assert_true(len <= KEYSLOT_LEN);
	name_hex_bytes(p, len, text);
	assert_string_equal(text, hex);
}

static struct name_sid
repo_id(void)
{
	struct name_sid id;

	count_up(id.b, sizeof(id.b), 0x40);
	return id;
}

static struct keys_secret
passphrase(const char *text)
{
	return (struct keys_secret){ KEYSLOT_PASSPHRASE, (const uint8_t *)text,
	    strlen(text) };
}

static struct keys_secret
key_file(uint8_t buf[static 32])
{
	count_up(buf, 32, 0x80);
	return (struct keys_secret){ KEYSLOT_KEYFILE, buf, 32 };
}

static void
raw_slot(unsigned kind, uint8_t raw[static KEYSLOT_LEN])
{
	assert_true(name_unhex_bytes(raw, KEYSLOT_LEN, slots[kind - 1]));
}

/* A hash of our own is a repository nobody else can read. */
static void
digests_are_blake2b(void **state)
{
	uint8_t key[32], out[64];
	struct name n;

	(void)state;
	count_up(key, sizeof(key), 0);
	digest_hash(&n, "varve", 5);
	expect_hex(n.b, NAME_LEN, "5f398b3d7d3686691910c61928f703015918bd3fff1c3f5a9680c0745b060546");
	digest_keyed(&n, key, "varve", 5);
	expect_hex(n.b, NAME_LEN, "6e850fe29729e0088c83fa0fa89c52eadc5d345b7b31e66d9422061b65af9a72");
	digest_keyed2(&n, key, "var", 3, "ve", 2);
	expect_hex(n.b, NAME_LEN, "6e850fe29729e0088c83fa0fa89c52eadc5d345b7b31e66d9422061b65af9a72");
	digest_keyed512(out, key, "varve", 5);
	expect_hex(out, 64,
	    "f42962414b25baa699ae3896f22de912f6a6160cdf87fa00cf220ac1392843b4"
	    "3873ed68f68319600f807c0337329a63084c4a266b6c34955755153c473c6308");
}

/* CH-1, CH-4, IX-3: ids that differ store everything a second time. */
static void
chunk_ids_and_fingerprints(void **state)
{
	uint8_t key[32], out[16];
	struct name n;

	(void)state;
	count_up(key, sizeof(key), 0);
	digest_chunk_id(&n, key, 'D', "varve", 5);
	expect_hex(n.b, NAME_LEN, "f44b46e647820d0b151c103d5cd5aebaa07a7c346054eb98ee38b0cfe6f7d2d9");
	digest_poly1305(out, key, "varve", 5);
	expect_hex(out, 16, "4fc652f18592bae20a335b83abd3fb23");
	/* PK-1: XXH3-64 of nothing, as its specification has it. */
	assert_true(digest_xxh3("", 0) == 0x2d06800538d394c2ull);
}

/* CH-1, CH-4, CH-5, PK-3, SR-2, SR-4, IX-2: one wrong subkey, nothing opens. */
static void
subkeys_are_as_specified(void **state)
{
	uint8_t master[32];
	struct keys *k;

	(void)state;
	count_up(master, sizeof(master), 0);
	assert_int_equal(keys_new(master, &k), OK);
	expect_hex(k->id, 32, subkeys[0]);
	expect_hex(k->gear, 32, subkeys[1]);
	expect_hex(k->fingerprint, 32, subkeys[2]);
	expect_hex(k->pack, 32, subkeys[3]);
	expect_hex(k->record, 32, subkeys[4]);
	expect_hex(k->index, 32, subkeys[5]);
	expect_hex(k->writer, 32, subkeys[6]);
	assert_memory_equal(k->master, master, 32);
	assert_false(k->public_slot);
	assert_null(keys_free(k));
	assert_null(keys_free(NULL));
}

/* GN-3: a box made elsewhere opens, and gives nothing when a bit differs. */
static void
seal_opens_what_was_sealed_elsewhere(void **state)
{
	uint8_t key[32], box[64], plain[9], again[9 + SEAL_OVERHEAD];
	const struct name_sid id = repo_id();
	const struct seal_aad aad = { "varve snap", &id, "ctx", 3 };
	size_t len = 9 + SEAL_OVERHEAD;

	(void)state;
	count_up(key, sizeof(key), 0);
	assert_true(name_unhex_bytes(box, len,
	    "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b735806b74d929c1d4"
	    "153287fe798dc4923dd49885d082fdfd85"));
	assert_int_equal(seal_open(plain, box, len, key, &aad), OK);
	assert_memory_equal(plain, "plaintext", 9);
	for (size_t i = 0; i < len * 8; i++) {
		box[i / 8] ^= (uint8_t)(1u << i % 8);
		memset(plain, 'x', sizeof(plain));
		assert_int_equal(seal_open(plain, box, len, key, &aad),
		    ERR_AUTH);
		assert_memory_equal(plain, "\0\0\0\0\0\0\0\0\0", 9);
		box[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	assert_int_equal(seal_open(plain, box, SEAL_OVERHEAD - 1, key, &aad),
	    ERR_CORRUPT);
	/* Nonces are never the same, and sealing in place works. */
	memcpy(again + 24, "plaintext", 9);
	seal_box(again, again + 24, 9, key, &aad);
	assert_memory_not_equal(again, box, 24);
	assert_int_equal(seal_open(plain, again, len, key, &aad), OK);
	assert_memory_equal(plain, "plaintext", 9);
}

/* GN-3: a box in another place, repository or role does not open. */
static void
seal_binds_every_byte_of_its_place(void **state)
{
	uint8_t key[32] = { 1 }, box[1 + SEAL_OVERHEAD], plain;
	uint8_t context[SEAL_CONTEXT_MAX];
	struct name_sid id = repo_id();
	struct seal_aad aad = { "varve frame head", &id, context,
	    sizeof(context) };

	(void)state;
	count_up(context, sizeof(context), 0);
	seal_box(box, "p", 1, key, &aad);
	for (size_t i = 0; i < sizeof(context); i++) {
		context[i] ^= 1;
		assert_int_equal(seal_open(&plain, box, sizeof(box), key, &aad),
		    ERR_AUTH);
		context[i] ^= 1;
	}
	for (size_t i = 0; i < sizeof(id.b); i++) {
		id.b[i] ^= 1;
		assert_int_equal(seal_open(&plain, box, sizeof(box), key, &aad),
		    ERR_AUTH);
		id.b[i] ^= 1;
	}
	aad.label = "varve frame body";
	assert_int_equal(seal_open(&plain, box, sizeof(box), key, &aad),
	    ERR_AUTH);
	aad.label = "varve frame head";
	aad.context_len--;
	assert_int_equal(seal_open(&plain, box, sizeof(box), key, &aad),
	    ERR_AUTH);
	aad.context_len++;
	assert_int_equal(seal_open(&plain, box, sizeof(box), key, &aad), OK);
	assert_int_equal(plain, 'p');
}

/* PK-3, SR-2: the key of a pack or record is bound to its header. */
static void
wrapped_keys_come_back(void **state)
{
	uint8_t subkey[32], want[32], key[32];
	const struct name_sid id = repo_id();
	struct keyslot_wrap w = { .kind = KEYSLOT_WRAP_SYMMETRIC };

	(void)state;
	count_up(subkey, sizeof(subkey), 0);
	(void)key_file(want);
	assert_true(name_unhex_bytes(w.box, sizeof(w.box),
	    "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3b4b5b6b7c56d889e33d8222b"
	    "e9e6a702fdbd2d4fab3b0dbf3e935c4e85d9117c7b3e60a9d828076fa8e0e56c"
	    "fbb3b8d33dcc12d1"));
	assert_int_equal(keys_unwrap(key, &w, subkey, "varve pack key", &id,
	    "ctx", 3), OK);
	assert_memory_equal(key, want, 32);
	assert_int_equal(keys_unwrap(key, &w, subkey, "varve snap key", &id,
	    "ctx", 3), ERR_AUTH);
	keys_wrap(&w, subkey, "varve pack key", &id, "cty", 3, want);
	assert_int_equal(keys_unwrap(key, &w, subkey, "varve pack key", &id,
	    "ctx", 3), ERR_AUTH);
	assert_int_equal(keys_unwrap(key, &w, subkey, "varve pack key", &id,
	    "cty", 3), OK);
	assert_memory_equal(key, want, 32);
	w.kind = 2;
	assert_int_equal(keys_unwrap(key, &w, subkey, "varve pack key", &id,
	    "cty", 3), ERR_UNSUPPORTED);
}

/* KS-1: slots made from the specification by another program open. */
static void
slots_made_elsewhere_open(void **state)
{
	struct keys_secret secret[3];
	uint8_t raw[KEYSLOT_LEN], kf[32], master[32], hash[32];
	struct keyslot_payload p;
	struct keyslot slot;

	(void)state;
	secret[0] = passphrase("correct horse");
	secret[1] = key_file(kf);
	secret[2] = (struct keys_secret){ KEYSLOT_PUBLIC, NULL, 0 };
	count_up(master, sizeof(master), 0);
	count_up(hash, sizeof(hash), 0xc0);
	for (unsigned kind = 1; kind <= 3; kind++) {
		raw_slot(kind, raw);
		assert_int_equal(keyslot_decode(&slot, raw, sizeof(raw)),
		    CURSOR_OK);
		assert_int_equal(keys_slot_open(&slot, &secret[kind - 1], &p),
		    OK);
		assert_int_equal(p.role, KEYSLOT_FULL);
		assert_true(p.created_ns == CREATED_NS);
		assert_memory_equal(p.master, master, 32);
		assert_memory_equal(p.header_hash.b, hash, 32);
		assert_string_equal(p.label, "k\xc3\xbc" "che");
	}
}

static void
expect_wiped(const struct keyslot_payload *p)
{
	static const struct keyslot_payload zero;

	assert_memory_equal(p, &zero, sizeof(zero));
}

/* KS-3: another secret is told from damage, and gives nothing away. */
static void
another_secret_does_not_open(void **state)
{
	struct keys_secret wrong[] = { passphrase("correct horsf"),
	    passphrase(""), { KEYSLOT_PUBLIC, NULL, 0 } };
	uint8_t raw[KEYSLOT_LEN], kf[32];
	struct keys_secret file;
	struct keyslot_payload p;
	struct keyslot slot;

	(void)state;
	raw_slot(KEYSLOT_PASSPHRASE, raw);
	assert_int_equal(keyslot_decode(&slot, raw, sizeof(raw)), CURSOR_OK);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(keys_slot_open(&slot, &wrong[i], &p), ERR_KEY);
		expect_wiped(&p);
	}
	raw_slot(KEYSLOT_KEYFILE, raw);
	assert_int_equal(keyslot_decode(&slot, raw, sizeof(raw)), CURSOR_OK);
	file = key_file(kf);
	for (size_t i = 0; i < 32; i++) {
		kf[i] ^= 0x10;
		assert_int_equal(keys_slot_open(&slot, &file, &p), ERR_KEY);
		kf[i] ^= 0x10;
	}
	file.len = 31;
	assert_int_equal(keys_slot_open(&slot, &file, &p), ERR_KEY);
	expect_wiped(&p);
}

/* KS-1, KS-2, KS-3: no bit of a slot may be changed, swapped in or forged. */
static void
every_flipped_byte_of_a_slot_is_rejected(void **state)
{
	uint8_t raw[KEYSLOT_LEN], kf[32];
	struct keyslot_payload p;
	struct keys_secret file;
	struct keyslot slot;
	int rc;

	(void)state;
	file = key_file(kf);
	raw_slot(KEYSLOT_KEYFILE, raw);
	for (size_t i = 0; i < KEYSLOT_LEN; i++) {
		raw[i] ^= 1;
		if (keyslot_decode(&slot, raw, sizeof(raw)) == CURSOR_OK) {
			rc = keys_slot_open(&slot, &file, &p);
			assert_int_equal(rc, i < KEYSLOT_AAD ? ERR_KEY :
			    ERR_AUTH);
			expect_wiped(&p);
		}
		raw[i] ^= 1;
	}
}

/* KS-1: in a passphrase slot the repository id is not stretched: the box alone
 * must bind it. */
static void
passphrase_slots_bind_their_head(void **state)
{
	static const struct {
		size_t at;
		int rc;
	} cases[] = { { 16, ERR_AUTH }, { 31, ERR_AUTH }, { 32, ERR_AUTH },
	    { 47, ERR_AUTH }, { 56, ERR_KEY }, { 71, ERR_KEY },
	    { 72, ERR_KEY }, { 103, ERR_KEY }, { 104, ERR_AUTH },
	    { 319, ERR_AUTH } };
	struct keys_secret secret = passphrase("correct horse");
	uint8_t raw[KEYSLOT_LEN];
	struct keyslot_payload p;
	struct keyslot slot;

	(void)state;
	raw_slot(KEYSLOT_PASSPHRASE, raw);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		raw[cases[i].at] ^= 0x80;
		assert_int_equal(keyslot_decode(&slot, raw, sizeof(raw)),
		    CURSOR_OK);
		assert_int_equal(keys_slot_open(&slot, &secret, &p),
		    cases[i].rc);
		expect_wiped(&p);
		raw[cases[i].at] ^= 0x80;
	}
}

/* KS-2: a slot that the storage wrote must not make us spend a terabyte: with
 * these costs stretching would end in ERR_NOMEM, or not at all. */
static void
cost_is_bounded_before_stretching(void **state)
{
	static const struct keys_cost bad[] = { { 0, 8192 }, { 17, 8192 },
	    { UINT32_MAX, 8192 }, { 1, 8191 }, { 1, 0 }, { 1, 4194305 },
	    { 1, UINT32_MAX } };
	struct keyslot_payload p = { .role = KEYSLOT_FULL };
	struct keys_secret secret = passphrase("correct horse");
	const struct name_sid id = repo_id();
	uint8_t raw[KEYSLOT_LEN];
	struct keyslot slot;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		raw_slot(KEYSLOT_PASSPHRASE, raw);
		for (size_t j = 0; j < 4; j++) {
			raw[48 + j] = (uint8_t)(bad[i].passes >> 8 * j);
			raw[52 + j] = (uint8_t)(bad[i].memory_kib >> 8 * j);
		}
		assert_int_equal(keyslot_decode(&slot, raw, sizeof(raw)),
		    CURSOR_MALFORMED);
		/* Nor when a caller did not look at the verdict. */
		assert_int_equal(keys_slot_open(&slot, &secret, &p),
		    ERR_CORRUPT);
		p = (struct keyslot_payload){ .role = KEYSLOT_FULL };
		assert_int_equal(keys_slot_seal(&slot, &id, &secret, &bad[i],
		    &p), ERR_USAGE);
	}
}

/* KS-1, KS-5: what is sealed opens again, never twice with the same salt. */
static void
sealed_slots_open_again(void **state)
{
	const struct keys_cost cost = { 1, KEYSLOT_MEMORY_MIN };
	const struct name_sid id = repo_id();
	struct keyslot_payload p = { .role = KEYSLOT_FULL, .created_ns = -1,
	    .label = "label" }, q;
	struct keys_secret secret[3];
	struct keyslot a, b;
	uint8_t kf[32];

	(void)state;
	secret[0] = passphrase("correct horse");
	secret[1] = key_file(kf);
	secret[2] = (struct keys_secret){ KEYSLOT_PUBLIC, NULL, 0 };
	count_up(p.master, sizeof(p.master), 7);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(keys_slot_seal(&a, &id, &secret[i], &cost, &p),
		    OK);
		assert_int_equal(keys_slot_seal(&b, &id, &secret[i], &cost, &p),
		    OK);
		assert_int_not_equal(name_sid_cmp(&a.slot_id, &b.slot_id), 0);
		if (i == 0)
			assert_memory_not_equal(a.salt, b.salt, 16);
		assert_memory_not_equal(a.commitment, b.commitment, 32);
		assert_int_equal(keys_slot_open(&a, &secret[i], &q), OK);
		assert_memory_equal(q.master, p.master, 32);
		assert_true(q.created_ns == -1);
		assert_string_equal(q.label, "label");
	}
	strcpy(p.label, "no\xff" "utf8");
	assert_int_equal(keys_slot_seal(&a, &id, &secret[1], &cost, &p),
	    ERR_USAGE);
}

/* A door that keeps a log, and can refuse the n-th change. */
struct logged {
	struct io io;
	struct io *inner;
	char *log;                      /* lines: "mkdir packs" */
	size_t len;
	unsigned changes, refuse;       /* refuse: 0: none */
};

static struct logged *
logged_of(struct io *io)
{
	return (struct logged *)io;
}

static int
change(struct io *io, const char *what, const char *a, const char *b)
{
	struct logged *l = logged_of(io);
	size_t n = strlen(what) + strlen(a) + strlen(b) + 4;
	char *p = realloc(l->log, l->len + n);

	assert_non_null(p);
	l->log = p;
	l->len += (size_t)sprintf(p + l->len, "%s %s%s%s\n", what, a,
	    *b ? " " : "", b);
	if (++l->changes == l->refuse)
		return fail(ERR_IO, "refused");
	return OK;
}

static int
logged_open(struct io *io, const char *path, struct io_file **out)
{
	return io_open(logged_of(io)->inner, path, out);
}

static int
logged_create(struct io *io, const char *path, struct io_file **out)
{
	int rc = change(io, "create", path, "");

	return rc ? rc : io_create(logged_of(io)->inner, path, out);
}

static int
logged_rename(struct io *io, const char *from, const char *to)
{
	int rc = change(io, "rename", from, to);

	return rc ? rc : io_rename(logged_of(io)->inner, from, to);
}

static int
logged_unlink(struct io *io, const char *path)
{
	int rc = change(io, "unlink", path, "");

	return rc ? rc : io_unlink(logged_of(io)->inner, path);
}

static int
logged_mkdir(struct io *io, const char *path)
{
	int rc = change(io, "mkdir", path, "");

	return rc ? rc : io_mkdir(logged_of(io)->inner, path);
}

/* Hundreds of real ones would take their time, and prove nothing here. */
static int
logged_sync_dir(struct io *io, const char *path)
{
	return change(io, "sync", *path ? path : ".", "");
}

static int
logged_list(struct io *io, const char *path, io_list_fn fn, void *arg)
{
	return io_list(logged_of(io)->inner, path, fn, arg);
}

static int
logged_stat(struct io *io, const char *path, uint64_t *size)
{
	return io_stat(logged_of(io)->inner, path, size);
}

static int
logged_lock(struct io *io, enum io_lock kind, bool wait)
{
	return io_lock(logged_of(io)->inner, kind, wait);
}

static void
logged_free(struct io *io)
{
	io_free(logged_of(io)->inner);
}

/* Files are the inner door's: their functions are its as well. */
static void
logged_init(struct logged *l, struct io_ops *ops, const char *dir)
{
	*l = (struct logged){ 0 };
	assert_int_equal(io_posix_new(dir, true, &l->inner), OK);
	*ops = *l->inner->ops;
	ops->open = logged_open;
	ops->create = logged_create;
	ops->rename = logged_rename;
	ops->unlink = logged_unlink;
	ops->mkdir = logged_mkdir;
	ops->sync_dir = logged_sync_dir;
	ops->list = logged_list;
	ops->stat = logged_stat;
	ops->lock = logged_lock;
	ops->free = logged_free;
	l->io.ops = ops;
}

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static void
remove_all(const char *dir)
{
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void
make_dir(char path[static 256])
{
	const char *tmp = getenv("TMPDIR");

	snprintf(path, 256, "%s/varve-keys-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(path));
}

/* Where a line stands in the log, from `from` on; -1: nowhere. */
static long
find(const struct logged *l, long from, const char *line)
{
	size_t n = strlen(line);

	for (const char *p = l->log + from; *p; p = strchr(p, '\n') + 1)
		if (strncmp(p, line, n) == 0 && p[n] == '\n')
			return p - l->log;
	return -1;
}

static void
expect_synced(const struct logged *l, const char *made, const char *dir,
    long before)
{
	char line[128];
	long at = find(l, 0, made), sync;

	assert_true(at >= 0);
	snprintf(line, sizeof(line), "sync %s", dir);
	sync = find(l, at, line);
	assert_true(sync > at && sync < before);
}

/* GN-7: a crash in the middle of init must never leave something that looks
 * like a repository and is not whole. */
static void
the_header_is_published_last(void **state)
{
	static const char *const dirs[] = { "packs", "keys", "index",
	    "snapshots", "forgotten", "parity", "damaged", "tmp" };
	static const char last[] = "rename tmp/varve-repo varve-repo\nsync .";
	uint8_t kf[32];
	struct keys_secret secret = key_file(kf);
	char dir[256], line[128], name[32], hex[NAME_SID_HEX];
	struct io_ops ops;
	struct logged l;
	struct repo *r;
	long end;

	(void)state;
	make_dir(dir);
	logged_init(&l, &ops, dir);
	assert_int_equal(repo_create(&l.io, NULL, &secret, NULL, "first", NULL,
	    &r), OK);
	end = find(&l, 0, last);
	assert_true(end >= 0);
	/* What follows are sidecars (PA-4). */
	assert_null(strstr(l.log + end + strlen(last), "sync"));
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(line, sizeof(line), "mkdir %s", dirs[i]);
		expect_synced(&l, line, ".", end);
		expect_synced(&l, line, dirs[i], end);
	}
	for (unsigned i = 0; i < 256; i++) {
		snprintf(name, sizeof(name), "packs/%02x", i);
		snprintf(line, sizeof(line), "mkdir %s", name);
		expect_synced(&l, line, "packs", end);
		expect_synced(&l, line, name, end);
	}
	expect_synced(&l, "rename tmp/locks locks", ".", end);
	name_sid_hex(&r->slot_id, hex);
	snprintf(line, sizeof(line), "rename tmp/%s keys/%s", hex, hex);
	expect_synced(&l, line, "keys", end);
	repo_close(r);
	free(l.log);
	remove_all(dir);
}

/* One init with a log, in a directory of its own; the n-th change is refused
 * (0: none).  The number of changes. */
static unsigned
try_init(unsigned n)
{
	uint8_t kf[32];
	struct keys_secret secret = key_file(kf);
	char dir[256];
	struct io_ops ops;
	struct logged l;
	struct repo *r;
	int rc;

	make_dir(dir);
	logged_init(&l, &ops, dir);
	l.refuse = n;
	rc = repo_create(&l.io, NULL, &secret, NULL, NULL, NULL, &r);
	assert_int_equal(rc, n ? ERR_IO : OK);
	repo_close(r);
	/* After the last rename only its durability is uncertain. */
	rc = repo_open_dir(dir, &r);
	assert_int_equal(rc,
	    strstr(l.log, "varve-repo varve-repo\nsync .\n") ? OK :
	    ERR_NOREPO);
	repo_close(r);
	free(l.log);
	remove_all(dir);
	return l.changes;
}

/* GN-7, PB-8: init that fails at any step says so and leaves no repository. */
static void
a_failed_init_is_no_repository(void **state)
{
	unsigned total = try_init(0);

	(void)state;
	/* Of the steps for packs/00 ... packs/ff only a few. */
	for (unsigned n = 1; n <= total;
	    n += n < 12 || n + 20 > total ? 1 : 83)
		(void)try_init(n);
}

/* A repository must not be made on top of somebody's files. */
static void
only_an_empty_directory_is_taken(void **state)
{
	uint8_t kf[32];
	struct keys_secret secret = key_file(kf);
	char dir[256], path[300];
	struct repo *r;
	struct io *io;
	FILE *f;

	(void)state;
	make_dir(dir);
	snprintf(path, sizeof(path), "%s/notes.txt", dir);
	assert_non_null(f = fopen(path, "w"));
	fclose(f);
	assert_int_equal(io_posix_new(dir, true, &io), OK);
	assert_int_equal(repo_create(io, NULL, &secret, NULL, NULL, NULL, &r),
	    ERR_EXISTS);
	assert_null(r);
	assert_non_null(strstr(err_text(), "notes.txt"));
	assert_int_equal(unlink(path), 0);
	snprintf(path, sizeof(path), "%s/lost+found", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(io_posix_new(dir, true, &io), OK);
	assert_int_equal(repo_create(io, NULL, &secret, NULL, NULL, NULL, &r),
	    OK);
	repo_close(r);
	assert_int_equal(io_posix_new(dir, true, &io), OK);
	assert_int_equal(repo_create(io, NULL, &secret, NULL, NULL, NULL, &r),
	    ERR_EXISTS);
	remove_all(dir);
}

static int
mode_of(const char *dir, const char *name)
{
	char path[600];
	struct stat st;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(stat(path, &st), 0);
	return (int)(st.st_mode & 07777);
}

/* GN-8, RH-1: what is made opens again, and is nobody else's to read. */
static void
a_new_repository_opens(void **state)
{
	const struct repo_params params = { .chunk_min = 4096, .chunk_avg = 8192, .chunk_max = 16384 };
	const struct repo_params bad = { .chunk_min = 4096, .chunk_avg = 8191, .chunk_max = 16384 };
	uint8_t kf[32], master[32];
	struct keys_secret secret = key_file(kf);
	char dir[256], path[300];
	struct repo *r, *s;
	struct io *io;

	(void)state;
	make_dir(dir);
	snprintf(path, sizeof(path), "%s/new", dir);
	count_up(master, sizeof(master), 0);
	assert_int_equal(io_posix_new(path, true, &io), OK);
	assert_int_equal(repo_create(io, &bad, &secret, NULL, NULL, NULL, &r),
	    ERR_USAGE);
	assert_int_equal(io_posix_new(path, true, &io), OK);
	assert_int_equal(repo_create(io, &params, &secret, NULL, "first",
	    master, &r), OK);
	expect_hex(r->keys->index, 32, subkeys[5]);
	assert_int_equal(repo_open_dir(path, &s), OK);
	assert_null(s->keys);
	assert_int_equal(name_sid_cmp(&r->hdr.repo_id, &s->hdr.repo_id), 0);
	assert_int_equal(name_cmp(&r->header_hash, &s->header_hash), 0);
	assert_int_equal(s->hdr.chunk_min, 4096);
	assert_int_equal(s->hdr.chunk_avg, 8192);
	assert_int_equal(s->hdr.chunk_max, 16384);
	assert_int_equal(repo_unlock(s, &secret), OK);
	assert_memory_equal(s->keys->master, master, 32);
	assert_int_equal(name_sid_cmp(&r->slot_id, &s->slot_id), 0);
	assert_string_equal(s->slot_label, "first");
	assert_true(s->slot_created_ns > CREATED_NS);
	assert_int_equal(mode_of(path, "varve-repo"), 0600);
	assert_int_equal(mode_of(path, "locks"), 0600);
	assert_int_equal(mode_of(path, "packs/a7"), 0700);
	assert_int_equal(mode_of(path, "tmp"), 0700);
	repo_close(r);
	repo_close(s);
	remove_all(dir);
}

static void
write_header(const char *dir, const uint8_t *raw, size_t len)
{
	char path[300];
	FILE *f;

	snprintf(path, sizeof(path), "%s/varve-repo", dir);
	assert_non_null(f = fopen(path, "w"));
	assert_int_equal(fwrite(raw, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static void
read_header(const char *dir, uint8_t raw[static REPOHDR_LEN])
{
	char path[300];
	FILE *f;

	snprintf(path, sizeof(path), "%s/varve-repo", dir);
	assert_non_null(f = fopen(path, "r"));
	assert_int_equal(fread(raw, 1, REPOHDR_LEN, f), REPOHDR_LEN);
	fclose(f);
}

static void
checksum(uint8_t raw[static REPOHDR_LEN])
{
	struct name sum;

	digest_hash(&sum, raw, REPOHDR_COVERED);
	memcpy(raw + REPOHDR_COVERED, sum.b, NAME_LEN);
}

/* RH-1, RH-2, KS-5: a header that was damaged or put in front of the keys by
 * somebody else is refused: its chunk sizes and features would be believed. */
static void
another_header_is_refused(void **state)
{
	uint8_t raw[REPOHDR_LEN + 1] = { 0 }, other[REPOHDR_LEN], kf[32];
	struct keys_secret secret = key_file(kf);
	char dir[256];
	struct repo *r;
	struct io *io;

	(void)state;
	make_dir(dir);
	assert_int_equal(repo_open_dir(dir, &r), ERR_NOREPO);
	assert_non_null(strstr(err_text(), dir));
	assert_non_null(strstr(err_text(), "varve init"));
	assert_int_equal(io_posix_new(dir, true, &io), OK);
	assert_int_equal(repo_create(io, NULL, &secret, NULL, NULL, NULL, &r),
	    OK);
	repo_close(r);
	read_header(dir, raw);
	for (size_t i = 0; i < REPOHDR_LEN; i += 3) {
		raw[i] ^= 4;
		write_header(dir, raw, REPOHDR_LEN);
		assert_int_not_equal(repo_open_dir(dir, &r), OK);
		assert_null(r);
		raw[i] ^= 4;
	}
	write_header(dir, raw, REPOHDR_LEN - 1);
	assert_int_equal(repo_open_dir(dir, &r), ERR_CORRUPT);
	write_header(dir, raw, REPOHDR_LEN + 1);
	assert_int_equal(repo_open_dir(dir, &r), ERR_CORRUPT);
	/* Well formed, the same repository id, other chunk sizes. */
	memcpy(other, raw, sizeof(other));
	other[57] ^= 0x60;
	checksum(other);
	write_header(dir, other, REPOHDR_LEN);
	assert_int_equal(repo_open_dir(dir, &r), OK);
	assert_int_equal(repo_unlock(r, &secret), ERR_AUTH);
	assert_null(r->keys);
	repo_close(r);
	/* A read-compatible feature of the future: read only. */
	memcpy(other, raw, sizeof(other));
	other[40] = 1;
	checksum(other);
	write_header(dir, other, REPOHDR_LEN);
	assert_int_equal(repo_open_dir(dir, &r), OK);
	assert_true(r->read_only);
	repo_close(r);
	other[40] = 0;
	other[48] = 1;
	checksum(other);
	write_header(dir, other, REPOHDR_LEN);
	assert_int_equal(repo_open_dir(dir, &r), ERR_UNSUPPORTED);
	write_header(dir, raw, REPOHDR_LEN);
	assert_int_equal(repo_open_dir(dir, &r), OK);
	assert_int_equal(repo_unlock(r, &secret), OK);
	repo_close(r);
	remove_all(dir);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(digests_are_blake2b),
		cmocka_unit_test(chunk_ids_and_fingerprints),
		cmocka_unit_test(subkeys_are_as_specified),
		cmocka_unit_test(seal_opens_what_was_sealed_elsewhere),
		cmocka_unit_test(seal_binds_every_byte_of_its_place),
		cmocka_unit_test(wrapped_keys_come_back),
		cmocka_unit_test(slots_made_elsewhere_open),
		cmocka_unit_test(another_secret_does_not_open),
		cmocka_unit_test(every_flipped_byte_of_a_slot_is_rejected),
		cmocka_unit_test(passphrase_slots_bind_their_head),
		cmocka_unit_test(cost_is_bounded_before_stretching),
		cmocka_unit_test(sealed_slots_open_again),
		cmocka_unit_test(the_header_is_published_last),
		cmocka_unit_test(a_failed_init_is_no_repository),
		cmocka_unit_test(only_an_empty_directory_is_taken),
		cmocka_unit_test(a_new_repository_opens),
		cmocka_unit_test(another_header_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
