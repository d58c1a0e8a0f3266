/*
 * varve-dump: print a file of a repository as text; its magic says what it is.
 *
 * Without a key it prints what the storage sees.  With one (--key-file, or a
 * passphrase in VARVE_PASSWORD) it also opens the boxes: the heads of frames,
 * payloads of slots and records, and with --nodes the lists and trees that are
 * not stored as differences.  The repository is the one FILE lies in unless
 * --repo names another.  It reads with stdio and knows nothing of store/: what
 * it shows does not depend on the code that is being looked into.
 */
#include <dirent.h>
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sodium.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/digest.h"
#include "codec/keys.h"
#include "codec/squeeze.h"
#include "format/keyslot.h"
#include "format/repohdr.h"
#include "tools/dump.h"

static int
slurp(const char *path, struct mem_buf *b)
{
	FILE *f = fopen(path, "rb");
	int rc = OK;

	if (!f)
		return fail_io("%s", path);
	do {
		size_t n;

		if ((rc = mem_buf_reserve(b, 1u << 16)))
			break;
		n = fread(b->p + b->len, 1, 1u << 16, f);
		b->len += n;
	} while (!feof(f) && !ferror(f));
	if (!rc && ferror(f))
		rc = fail_io("%s", path);
	fclose(f);
	return rc;
}

static int
repohdr_print(const uint8_t *p, size_t len)
{
	struct repohdr h;
	struct name sum;
	int rc = err_verdict(repohdr_decode(&h, p, len), "repository header");

	if (rc)
		return rc;
	dump_line("object", "repository header");
	dump_hex("repository id", h.repo_id.b, NAME_SID_LEN);
	printf("%-18s %" PRIx64 " %" PRIx64 " %" PRIx64 "\n", "features",
	    h.compat, h.ro_compat, h.incompat);
	printf("%-18s %u %u %u\n", "chunk sizes", h.chunk_min, h.chunk_avg,
	    h.chunk_max);
	digest_hash(&sum, p, REPOHDR_COVERED);
	dump_line("checksum", dump_fits(name_cmp(&sum, &h.checksum) == 0));
	return OK;
}

/* The secret that fits the kind of slot; a public slot only on demand (KS-4). */
static int
secret_for(const struct dump *d, uint32_t kind, struct mem_buf *file,
    struct keys_secret *s)
{
	const char *phrase = getenv("VARVE_PASSWORD");

	s->kind = kind;
	if (kind == KEYSLOT_KEYFILE && d->key_file) {
		int rc = slurp(d->key_file, file);

		s->p = file->p;
		s->len = file->len;
		return rc;
	}
	if (kind == KEYSLOT_PASSPHRASE && phrase && !d->key_file) {
		s->p = (const uint8_t *)phrase;
		s->len = strlen(phrase);
		return OK;
	}
	if (kind == KEYSLOT_PUBLIC && d->public_slot)
		return OK;
	return fail(ERR_KEY, "no secret for this kind of slot");
}

static int
slot_try(const struct dump *d, const uint8_t *p, size_t len,
    struct keyslot_payload *payload)
{
	struct mem_buf file = { 0 };
	struct keys_secret secret;
	struct keyslot s;
	int rc;

	if ((rc = err_verdict(keyslot_decode(&s, p, len), "key slot")))
		return rc;
	if (!(rc = secret_for(d, s.kind, &file, &secret)))
		rc = keys_slot_open(&s, &secret, payload);
	if (file.p)
		sodium_memzero(file.p, file.len);
	mem_buf_clear(&file);
	return rc;
}

static int
keyslot_print(const struct dump *d, const uint8_t *p, size_t len)
{
	static const char *const kinds[] = { "", "passphrase", "key file",
	    "public" };
	struct keyslot_payload payload;
	struct keyslot s;
	int rc = err_verdict(keyslot_decode(&s, p, len), "key slot");

	if (rc)
		return rc;
	dump_line("object", "key slot");
	dump_line("kind", kinds[s.kind]);
	dump_hex("repository id", s.repo_id.b, NAME_SID_LEN);
	dump_hex("slot id", s.slot_id.b, NAME_SID_LEN);
	if (s.kind == KEYSLOT_PASSPHRASE) {
		dump_number("passes", s.passes);
		dump_number("memory KiB", s.memory_kib);
	}
	if (slot_try(d, p, len, &payload))
		return OK;
	dump_when("created", payload.created_ns);
	dump_words("label", payload.label, strlen(payload.label));
	dump_line("header hash", dump_fits(name_cmp(&payload.header_hash,
	    &d->repo_hash) == 0));
	sodium_memzero(&payload, sizeof(payload));
	return OK;
}

/* The directory that holds varve-repo, at or above that of the file. */
static int
repo_find(const struct dump *d, const char *file, char dir[static PATH_MAX])
{
	char probe[PATH_MAX + 16];
	char *slash;

	if (d->repo_dir) {
		snprintf(dir, PATH_MAX, "%s", d->repo_dir);
		return OK;
	}
	if (!realpath(file, dir))
		return fail_io("%s", file);
	while ((slash = strrchr(dir, '/')) != NULL) {
		*slash = '\0';
		snprintf(probe, sizeof(probe), "%s/varve-repo", dir);
		if (access(probe, F_OK) == 0)
			return OK;
	}
	return fail(ERR_NOREPO, "%s lies in no repository", file);
}

static int
slots_try(struct dump *d, const char *dir)
{
	struct keyslot_payload payload;
	char path[PATH_MAX + 300];
	struct dirent *e;
	DIR *keys;
	int rc;

	snprintf(path, sizeof(path), "%s/keys", dir);
	if (!(keys = opendir(path)))
		return fail_io("%s", path);
	rc = fail(ERR_KEY, "no key slot opens with this secret");
	while (rc && (e = readdir(keys)) != NULL) {
		struct mem_buf b = { 0 };

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/keys/%s", dir, e->d_name);
		if (!slurp(path, &b) && !slot_try(d, b.p, b.len, &payload))
			rc = keys_new(payload.master, &d->keys);
		mem_buf_clear(&b);
	}
	sodium_memzero(&payload, sizeof(payload));
	closedir(keys);
	if (rc)
		return fail(ERR_KEY, "no key slot opens with this secret");
	return OK;
}

/* The repository header, and the keys if a secret was given. */
static int
unlock(struct dump *d, const char *file)
{
	char dir[PATH_MAX], path[PATH_MAX + 16];
	struct mem_buf b = { 0 };
	uint8_t master[32];
	int rc;

	if (!d->key_file && !d->master && !d->public_slot &&
	    !getenv("VARVE_PASSWORD"))
		return OK;
	if ((rc = repo_find(d, file, dir)))
		return rc;
	snprintf(path, sizeof(path), "%s/varve-repo", dir);
	if (!(rc = slurp(path, &b)) &&
	    !(rc = err_verdict(repohdr_decode(&d->repo, b.p, b.len),
	    "repository header")))
		digest_hash(&d->repo_hash, b.p, b.len);
	mem_buf_clear(&b);
	if (rc)
		return rc;
	if (!d->master)
		return slots_try(d, dir);
	if (!name_unhex_bytes(master, sizeof(master), d->master))
		return fail(ERR_USAGE, "a master key has 64 digits");
	return keys_new(master, &d->keys);
}

static int
file_print(struct dump *d, const char *path)
{
	struct mem_buf b = { 0 };
	char magic[9] = "";
	int rc;

	if ((rc = slurp(path, &b)) || (!d->keys && (rc = unlock(d, path))))
		goto out;
	memcpy(magic, b.len >= 8 ? (const char *)b.p : "", b.len >= 8 ? 8 : 0);
	if (strcmp(magic, "varverep") == 0)
		rc = repohdr_print(b.p, b.len);
	else if (strcmp(magic, "varvekey") == 0)
		rc = keyslot_print(d, b.p, b.len);
	else if (strcmp(magic, "varvepak") == 0)
		rc = dump_pack(d, b.p, b.len);
	else if (strcmp(magic, "varveidx") == 0)
		rc = dump_index(d, b.p, b.len);
	else if (strcmp(magic, "varvesnp") == 0)
		rc = dump_snapshot(d, b.p, b.len);
	else
		rc = fail(ERR_CORRUPT, "not a file of a repository");
out:
	mem_buf_clear(&b);
	return err_context(rc, "%s", path);
}

static int
options(struct dump *d, int argc, char **argv)
{
	static const struct option list[] = {
		{ "repo", required_argument, NULL, 'r' },
		{ "key-file", required_argument, NULL, 'k' },
		{ "master", required_argument, NULL, 'm' },
		{ "insecure-no-encryption", no_argument, NULL, 'p' },
		{ "nodes", no_argument, NULL, 'n' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", list, NULL)) != -1) {
		if (c == 'r')
			d->repo_dir = optarg;
		else if (c == 'k')
			d->key_file = optarg;
		else if (c == 'm')
			d->master = optarg;
		else if (c == 'p')
			d->public_slot = true;
		else if (c == 'n')
			d->nodes = true;
		else
			return ERR_USAGE;
	}
	return optind < argc ? OK : ERR_USAGE;
}

int
main(int argc, char **argv)
{
	struct dump d = { 0 };
	int rc, worst = OK;

	if (options(&d, argc, argv)) {
		fprintf(stderr, "usage: varve-dump [--repo DIR]"
		    " [--key-file FILE | --insecure-no-encryption]"
		    " [--nodes] FILE...\n"
		    "A passphrase is taken from VARVE_PASSWORD.\n");
		return 2;
	}
	if (sodium_init() < 0 || squeeze_new(3, &d.squeeze))
		return 1;
	for (int i = optind; i < argc; i++) {
		if (i > optind)
			printf("\n");
		if (argc - optind > 1)
			dump_words("file", argv[i], strlen(argv[i]));
		if ((rc = file_print(&d, argv[i])) != OK) {
			fflush(stdout);
			fprintf(stderr, "varve-dump: %s\n", err_text());
			worst = rc;
		}
	}
	squeeze_free(d.squeeze);
	keys_free(d.keys);
	return err_exit_status(worst);
}
