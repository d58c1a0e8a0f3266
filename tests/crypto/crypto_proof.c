/*
 * crypto_proof [answers | full]: what the encryption promises, tried out.
 *
 *   - every bit of a sealed object, and of everything that is authenticated with it (repository id, name, label, context, key), counts:
 *     with one of them changed nothing opens (SPEC §1 AAD, KS-2, KS-5, PK-1, FR-1, SR-1, SR-2, IX-2, IX-3)
 *   - nonces never repeat: 10^6 boxes, 10^7 with `full`
 *   - equal plaintexts under equal keys and contexts give ciphertexts that have nothing in common
 *
 * With `answers`: prints what codec/ computes for fixed inputs, for tests/crypto/crypto.py to compare with Python's own.
 */
#include <sodium.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "codec/chunker.h"
#include "codec/digest.h"
#include "codec/keys.h"
#include "codec/seal.h"
#include "tests/unit/support_open.h"

static unsigned number;
static bool failed;

static void __attribute__((format(printf, 2, 3)))
result(bool ok, const char *fmt, ...)
{
	va_list ap;

	failed = failed || !ok;
	printf("%sok %u - ", ok ? "" : "not ", ++number);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
}

static void
hex(const char *name, const void *p, size_t len)
{
	const uint8_t *b = p;

	printf("%s ", name);
	for (size_t i = 0; i < len; i++)
		printf("%02x", b[i]);
	printf("\n");
}

/* Bytes that Python makes as easily. */
static void
pattern(uint8_t *p, size_t len, unsigned seed)
{
	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(seed + 7 * i + (i >> 8) * 13);
}

/* ------------------------------------------------------------------------------------------------- answers */

static void
print_keys(const struct keys *k)
{
	hex("id", k->id, 32);
	hex("gear", k->gear, 32);
	hex("fingerprint", k->fingerprint, 32);
	hex("pack", k->pack, 32);
	hex("record", k->record, 32);
	hex("index", k->index, 32);
	hex("writer", k->writer, 32);
}

static void
print_digests(const struct keys *k, uint8_t *buf, size_t cap)
{
	static const size_t lens[] = { 1, 63, 64, 127, 128, 129, 4096, 65537, 300000, 1u << 20 };
	struct name id;
	uint8_t mac[16], wide[64];
	char name[64];

	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]) && lens[i] <= cap; i++) {
		pattern(buf, lens[i], (unsigned)i);
		digest_chunk_id(&id, k->id, 'D', buf, lens[i]);
		snprintf(name, sizeof(name), "chunk-%zu", i);
		hex(name, id.b, 32);
		digest_poly1305(mac, k->fingerprint, buf, lens[i]);
		snprintf(name, sizeof(name), "mac-%zu", i);
		hex(name, mac, 16);
		digest_hash(&id, buf, lens[i]);
		snprintf(name, sizeof(name), "hash-%zu", i);
		hex(name, id.b, 32);
		digest_keyed512(wide, k->id, buf, lens[i]);
		snprintf(name, sizeof(name), "wide-%zu", i);
		hex(name, wide, 64);
	}
}

/* Boxes that the other side has to open, and the cut points of bytes it knows. */
static void
print_boxes(const struct keys *k, uint8_t *buf, size_t cap)
{
	struct name_sid repo;
	uint8_t context[48], box[1000 + SEAL_OVERHEAD];
	struct seal_aad aad = { .label = "varve frame head", .repo_id = &repo, .context = context, .context_len = sizeof(context) };
	struct chunker c;
	size_t at = 0, n;

	pattern(repo.b, sizeof(repo.b), 200);
	pattern(context, sizeof(context), 100);
	pattern(buf, 1000, 5);
	seal_box(box, buf, 1000, k->pack, &aad);
	hex("box", box, sizeof(box));
	chunker_init(&c, k->gear, 4096, 16384, 65536);
	randombytes_buf_deterministic(buf, cap, k->master);
	printf("cuts");
	while (at < cap && (n = chunker_cut(&c, buf + at, cap - at, true))) {
		printf(" %zu", n);
		at += n;
	}
	printf("\n");
	hex("cut-bytes", buf, 64);
}

static int
answers(void)
{
	uint8_t master[32], *buf = malloc(1u << 20);
	struct keys *k;

	pattern(master, sizeof(master), 1);
	if (!buf || keys_new(master, &k))
		return 1;
	hex("master", master, 32);
	print_keys(k);
	print_digests(k, buf, 1u << 20);
	print_boxes(k, buf, 1u << 20);
	keys_free(k);
	free(buf);
	return 0;
}

/* ---------------------------------------------------------------------------------------------- every bit */

/* With any bit of `p` changed the vector must not open. */
static unsigned long
flips(struct support_vec *v, uint8_t *p, size_t len, unsigned long *opened)
{
	const char *got;

	for (size_t i = 0; i < 8 * len; i++) {
		p[i / 8] ^= (uint8_t)(1u << i % 8);
		got = support_open(v);
		*opened += got == NULL || strcmp(got, "ok") == 0;
		p[i / 8] ^= (uint8_t)(1u << i % 8);
	}
	return 8 * len;
}

/* What is authenticated beside the bytes: the repository's id, the master key, the name. */
static unsigned long
flips_around(struct support_vec *v, unsigned long *opened)
{
	unsigned long n = 0;

	if (v->has_secret)
		n += flips(v, v->secret, v->secret_len, opened);
	else
		n += flips(v, v->master, sizeof(v->master), opened);
	/* The header hash of a slot covers all of it; elsewhere the id is what counts. */
	n += flips(v, v->repo + 16, 16, opened);
	for (size_t i = 0; v->name[i]; i++) {
		char was = v->name[i];

		v->name[i] = was == '0' ? '1' : '0';
		*opened += strcmp(support_open(v), "ok") == 0;
		v->name[i] = was;
		n++;
	}
	return n;
}

static void
every_bit(const char *dir, const char *file)
{
	struct support_vec *v = calloc(1, sizeof(*v));
	unsigned long opened = 0, n;
	char path[4200];

	snprintf(path, sizeof(path), "%s/%s.vec", dir, file);
	if (!v || support_load(v, path) || strcmp(support_open(v), "ok") != 0) {
		result(false, "%s opens", file);
		free(v);
		return;
	}
	n = flips(v, v->body, v->len, &opened);
	n += flips_around(v, &opened);
	result(opened == 0, "%s: %lu changes of one bit or digit, %lu accepted", file, n, opened);
	free(v);
}

/* Wraps and boxes by themselves: label, context, repository id, key. */
static void
every_context(void)
{
	uint8_t subkey[32], key[32], out[32], context[32];
	struct keyslot_wrap w;
	struct name_sid repo;
	unsigned long n = 0, opened = 0;
	uint8_t *const parts[] = { subkey, context, repo.b, w.box };
	const size_t lens[] = { sizeof(subkey), sizeof(context), sizeof(repo.b), 72 };
	char label[] = "varve pack key";

	pattern(subkey, 32, 1);
	pattern(key, 32, 2);
	pattern(context, 32, 3);
	pattern(repo.b, 16, 4);
	keys_wrap(&w, subkey, label, &repo, context, sizeof(context), key);
	if (keys_unwrap(out, &w, subkey, label, &repo, context, sizeof(context)) || memcmp(out, key, 32) != 0)
		opened = ~0ul;
	for (size_t part = 0; part < 4; part++)
		for (size_t i = 0; i < 8 * lens[part]; i++, n++) {
			parts[part][i / 8] ^= (uint8_t)(1u << i % 8);
			opened += keys_unwrap(out, &w, subkey, label, &repo, context, sizeof(context)) == OK;
			parts[part][i / 8] ^= (uint8_t)(1u << i % 8);
		}
	for (size_t i = 0; label[i]; i++, n++) {
		label[i] ^= 1;
		opened += keys_unwrap(out, &w, subkey, label, &repo, context, sizeof(context)) == OK;
		label[i] ^= 1;
	}
	opened += keys_unwrap(out, &w, subkey, label, &repo, context, sizeof(context) - 1) == OK;
	result(opened == 0, "key wraps: %lu changes, %lu accepted", n + 1, opened);
}

/* ------------------------------------------------------------------------------------------------- nonces */

static int
compare(const void *a, const void *b)
{
	return memcmp(a, b, 24);
}

static void
nonces(size_t count)
{
	uint8_t (*all)[24] = malloc(count * 24), box[SEAL_OVERHEAD], key[32] = { 0 };
	struct name_sid repo = { { 0 } };
	const struct seal_aad aad = { .label = "nonces", .repo_id = &repo, .context = "", .context_len = 0 };
	size_t twice = 0;

	if (!all)
		abort();
	for (size_t i = 0; i < count; i++) {
		seal_box(box, "", 0, key, &aad);
		memcpy(all[i], box, 24);
	}
	qsort(all, count, 24, compare);
	for (size_t i = 1; i < count; i++)
		twice += memcmp(all[i - 1], all[i], 24) == 0;
	free(all);
	result(twice == 0, "%zu nonces, %zu twice", count, twice);
}

/* Pieces of eight bytes that two boxes of one plaintext share: chance has one in 2^64 for each pair. */
static void
equal_plaintexts(void)
{
	enum { BOXES = 200, LEN = 512, WORDS = (LEN + SEAL_OVERHEAD) / 8 };
	uint64_t *all = calloc(BOXES * WORDS, 8);
	uint8_t box[LEN + SEAL_OVERHEAD], plain[LEN] = { 0 }, key[32] = { 1 };
	struct name_sid repo = { { 0 } };
	const struct seal_aad aad = { .label = "equal", .repo_id = &repo, .context = "", .context_len = 0 };
	size_t n = 0, shared = 0;

	if (!all)
		abort();
	for (size_t i = 0; i < BOXES; i++) {
		seal_box(box, plain, LEN, key, &aad);
		for (size_t at = 0; at + 8 <= sizeof(box); at += 8)
			memcpy(&all[n++], box + at, 8);
	}
	for (size_t i = 0; i < n; i++)
		for (size_t k = i + 1; k < n; k++)
			shared += all[i] == all[k];
	free(all);
	result(shared == 0, "%d boxes of one plaintext: %zu of %zu pieces of 8 bytes in common", BOXES, shared, n);
}

int
main(int argc, char **argv)
{
	static const char *const files[] = { "ks-keyfile-ok", "pk-ok", "ix-segment-ok", "sr-ok" };
	const char *dir = getenv("VECTORS");

	if (sodium_init() < 0)
		return 1;
	if (argc > 1 && strcmp(argv[1], "answers") == 0)
		return answers();
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		every_bit(dir ? dir : "tests/vectors", files[i]);
	every_context();
	nonces(argc > 1 && strcmp(argv[1], "full") == 0 ? 10000000 : 1000000);
	equal_plaintexts();
	printf("1..%u\n", number);
	return failed;
}
