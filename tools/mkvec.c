#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sodium.h>

#include "format/name.h"
#include "format/repohdr.h"
#include "tools/mkvec.h"

void
mkvec_must(bool ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "mkvectors: %s\n", what);
	exit(1);
}

void
mkvec_fill(void *p, size_t len, uint8_t seed)
{
	uint8_t *b = p;

	for (size_t i = 0; i < len; i++)
		b[i] = (uint8_t)(seed + i);
}

void
mkvec_hash(struct name *out, const uint8_t *key, const void *p, size_t len)
{
	crypto_generichash(out->b, NAME_LEN, p, len, key, key != NULL ? 32 : 0);
}

void
mkvec_chunk_id(const struct mkvec *m, struct name *out, uint8_t type,
    const void *p, size_t len)
{
	crypto_generichash_state st;

	crypto_generichash_init(&st, m->id, 32, NAME_LEN);
	crypto_generichash_update(&st, &type, 1);
	crypto_generichash_update(&st, p, len);
	crypto_generichash_final(&st, out->b, NAME_LEN);
}

static void
repo_make(struct mkvec *m)
{
	struct repohdr h = {
		.repo_id = m->repo_id,
		.chunk_min = 32768, .chunk_avg = 131072, .chunk_max = 524288,
	};

	mkvec_must(repohdr_encode(m->repo, sizeof(m->repo), &h) == REPOHDR_LEN,
	    "repository header");
	mkvec_hash(&h.checksum, NULL, m->repo, REPOHDR_COVERED);
	repohdr_encode(m->repo, sizeof(m->repo), &h);
}

void
mkvec_init(struct mkvec *m, const char *dir)
{
	uint8_t *subkeys[] = { m->id, NULL, m->fingerprint, m->pack, m->record,
	    m->index };

	memset(m, 0, sizeof(*m));
	m->dir = dir;
	mkvec_fill(m->master, sizeof(m->master), 0x40);
	mkvec_fill(m->repo_id.b, NAME_SID_LEN, 0xa0);
	for (size_t i = 0; i < sizeof(subkeys) / sizeof(subkeys[0]); i++)
		if (subkeys[i] != NULL)
			crypto_kdf_derive_from_key(subkeys[i], 32, i + 1,
			    "varve-01", m->master);
	repo_make(m);
}

static void
print_hex(FILE *f, const uint8_t *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		fprintf(f, "%02x%s", p[i],
		    i % 32 == 31 || i + 1 == len ? "\n" : "");
}

static void
print_line(FILE *f, const char *key, const char *value)
{
	if (value != NULL)
		fprintf(f, "%s: %s\n", key, value);
}

static void
print_bytes(FILE *f, const char *key, const uint8_t *p, size_t len)
{
	fprintf(f, "%s: ", key);
	for (size_t i = 0; i < len; i++)
		fprintf(f, "%02x", p[i]);
	fputc('\n', f);
}

void
mkvec_put(struct mkvec *m, const struct mkvec_case *c, const void *body,
    size_t len)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.vec", m->dir, c->name);
	f = fopen(path, "wx");          /* two faults of one name are a mistake */
	mkvec_must(f != NULL, path);
	print_line(f, "record", c->record);
	print_line(f, "expect", c->expect);
	print_line(f, "rule", c->rule);
	print_line(f, "comment", c->comment);
	if (c->master)
		print_bytes(f, "master", m->master, sizeof(m->master));
	if (c->repo)
		print_bytes(f, "repo", m->repo, sizeof(m->repo));
	print_line(f, "name", c->file_name);
	print_line(f, "secret", c->secret);
	fputc('\n', f);
	print_hex(f, body, len);
	mkvec_must(fclose(f) == 0, path);
	m->count++;
}

void
mkvec_patch(struct mkvec_bytes *b, const struct mkvec_patch *p)
{
	uint8_t bytes[1024];
	size_t n = p->hex != NULL ? strlen(p->hex) / 2 : 0, off;

	if (p->grow > 0)
		memset(b->b + b->len, 0, (size_t)p->grow);
	b->len += (size_t)p->grow;
	off = p->off < 0 ? b->len - (size_t)-p->off : (size_t)p->off;
	mkvec_must(b->len <= MKVEC_MAX && n <= sizeof(bytes) &&
	    (n == 0 || (off <= b->len && n <= b->len - off &&
	    name_unhex_bytes(bytes, n, p->hex))), "patch");
	for (size_t i = 0; i < n; i++)
		b->b[off + i] = (uint8_t)(bytes[i] ^
		    (p->flip ? b->b[off + i] : 0));
}

void
mkvec_faults(struct mkvec *m, const char *record,
    const struct mkvec_bytes *good, const struct mkvec_fault *list,
    size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct mkvec_case c = {
			.name = list[i].name, .record = record,
			.expect = list[i].expect, .rule = list[i].rule,
			.comment = list[i].comment,
		};
		struct mkvec_bytes b = *good;

		mkvec_patch(&b, &list[i].patch);
		mkvec_put(m, &c, b.b, b.len);
	}
}

void
mkvec_add(struct mkvec_bytes *b, const void *p, size_t len)
{
	mkvec_must(len <= MKVEC_MAX - b->len, "too long");
	memcpy(b->b + b->len, p, len);
	b->len += len;
}

void
mkvec_add_hex(struct mkvec_bytes *b, const char *hex)
{
	size_t n = strlen(hex) / 2;

	mkvec_must(n <= MKVEC_MAX - b->len &&
	    name_unhex_bytes(b->b + b->len, n, hex), hex);
	b->len += n;
}

void
mkvec_seal(struct mkvec_bytes *b, const uint8_t key[static 32],
    const char *label, const struct name_sid *repo_id, const void *context,
    size_t context_len, const void *p, size_t len)
{
	uint8_t aad[32 + 160] = { 0 }, nonce[24];
	crypto_generichash_state st;

	mkvec_must(strlen(label) <= 16 && context_len <= 160 &&
	    len + 40 <= MKVEC_MAX - b->len, "seal");
	memcpy(aad, label, strlen(label));
	memcpy(aad + 16, repo_id->b, NAME_SID_LEN);
	memcpy(aad + 32, context, context_len);
	crypto_generichash_init(&st, key, 32, sizeof(nonce));
	crypto_generichash_update(&st, aad, 32 + context_len);
	crypto_generichash_update(&st, p, len);
	crypto_generichash_final(&st, nonce, sizeof(nonce));
	mkvec_add(b, nonce, sizeof(nonce));
	crypto_aead_xchacha20poly1305_ietf_encrypt(b->b + b->len, NULL, p, len,
	    aad, 32 + context_len, NULL, nonce, key);
	b->len += len + 16;
}
