/*
 * rates: what one core can do with bytes that no compressor helps: the limits that bench/scale.py compares with.
 *
 *     rates [MEGABYTES]       each step of storing a large file, alone, over fresh random bytes in memory: bytes per second
 *
 * all: cut, fingerprint, chunk id and seal, one after the other: two cores can store at most twice as much.
 * library: the same with libsodium's fingerprint and seal.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/chunker.h"
#include "codec/digest.h"
#include "codec/lanes.h"
#include "codec/seal.h"
#include "codec/squeeze.h"
#include "format/frame.h"
#include "sys/clock.h"
#include "sys/entropy.h"

#define FRAME_BYTES (2u << 20)
#define BATCH 64

static const uint8_t key[32] = { 1 };

static size_t
cut(const uint8_t *p, size_t len, struct lanes_job *jobs)
{
	static const uint8_t gear_key[32] = { 2 };
	struct chunker c;
	size_t count = 0, n;

	chunker_init(&c, gear_key, 16384, 65536, 262144);
	for (size_t at = 0; at < len; at += n) {
		n = chunker_cut(&c, p + at, len - at, true);
		jobs[count++] = (struct lanes_job){ .p = p + at, .len = n, .type = FRAME_DATA };
	}
	return count;
}

static int64_t
told(const char *what, size_t len, int64_t begin)
{
	int64_t ns = clock_steady_ns() - begin;

	printf("%s %.0f\n", what, (double)len * 1e9 / (double)ns);
	return ns;
}

/* What libsodium takes for the two steps that we do ourselves, ns. */
static int64_t
library(const uint8_t *p, uint8_t *out, size_t len, const struct lanes_job *jobs, size_t count)
{
	const uint8_t nonce[24] = { 3 };
	uint8_t mac[16];
	int64_t ns = 0, begin = clock_steady_ns();

	for (size_t i = 0; i < count; i++)
		(void)crypto_onetimeauth_poly1305(mac, jobs[i].p, jobs[i].len, key);
	ns += told("libsodium-fingerprint", len, begin);
	begin = clock_steady_ns();
	for (size_t at = 0; at + FRAME_BYTES <= len; at += FRAME_BYTES)
		(void)crypto_aead_xchacha20poly1305_ietf_encrypt(out, NULL, p + at, FRAME_BYTES, key, sizeof(key), NULL, nonce, key);
	return ns + told("libsodium-seal", len, begin);
}

static int
run(uint8_t *p, uint8_t *out, size_t len, struct lanes_job *jobs)
{
	struct name_sid repo = { { 0 } };
	struct seal_aad aad = { "rates", &repo, key, sizeof(key) };
	struct squeeze *sq;
	uint8_t mac[16];
	int64_t ns = 0, own = 0, begin;
	size_t count, n;
	int rc = squeeze_new(3, &sq);

	begin = clock_steady_ns();
	count = cut(p, len, jobs);
	ns += told("cut", len, begin);
	begin = clock_steady_ns();
	for (size_t i = 0; i < count; i++)
		digest_poly1305(mac, key, jobs[i].p, jobs[i].len);
	own += told("fingerprint", len, begin);
	begin = clock_steady_ns();
	for (size_t i = 0; i < count; i += BATCH)
		lanes_chunk_ids(key, jobs + i, count - i < BATCH ? count - i : BATCH);
	ns += told("id", len, begin);
	begin = clock_steady_ns();
	for (size_t at = 0; at + FRAME_BYTES <= len; at += FRAME_BYTES)
		seal_box(out, p + at, FRAME_BYTES, key, &aad);
	own += told("seal", len, begin);
	printf("all %.0f\n", (double)len * 1e9 / (double)(ns + own));
	printf("library %.0f\n", (double)len * 1e9 / (double)(ns + library(p, out, len, jobs, count)));
	begin = clock_steady_ns();
	for (size_t at = 0; rc == OK && at + FRAME_BYTES <= len; at += FRAME_BYTES)
		rc = squeeze_pack(sq, out, squeeze_bound(FRAME_BYTES), p + at, FRAME_BYTES, NULL, 0, &n);
	(void)told("compress", len, begin);
	squeeze_free(sq);
	return rc;
}

int
main(int argc, char **argv)
{
	size_t len = (argc > 1 ? strtoul(argv[1], NULL, 10) : 256) << 20;
	struct lanes_job *jobs = NULL;
	uint8_t *p = NULL, *out = NULL;
	int rc;

	if (len == 0) {
		fprintf(stderr, "usage: rates [MEGABYTES]\n");
		return 2;
	}
	if ((rc = mem_new((void **)&p, len)) || (rc = mem_new((void **)&out, squeeze_bound(FRAME_BYTES) + SEAL_OVERHEAD)) ||
	    (rc = mem_new((void **)&jobs, mem_array(len / 16384 + 1, sizeof(*jobs)))))
		goto out;
	entropy_fill(p, len);
	rc = run(p, out, len, jobs);
out:
	if (rc)
		fprintf(stderr, "rates: %s\n", err_text());
	free(p);
	free(out);
	free(jobs);
	return rc ? 1 : 0;
}
