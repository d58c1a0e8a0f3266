#include "cmd/secret.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "cmd/cmd.h"
#include "store/keyring.h"
#include "store/repo.h"
#include "sys/entropy.h"

#define VARIABLE "VARVE_PASSWORD"
#define PASSPHRASE_MAX 4096
#define KEYFILE_LEN 32
#define TRIES 3

void
secret_protect(void)
{
	guard_process();
}

/* A variable that is empty is not set. */
static const char *
variable(const char *name)
{
	const char *value = getenv(name);

	return value && *value ? value : NULL;
}

void
secret_source_of(const struct context *ctx, struct secret_source *src)
{
	*src = (struct secret_source){
		.insecure = ctx->insecure,
		.key_file = ctx->key_file,
		.password_file = ctx->password_file,
		.password_command = ctx->password_command,
	};
	/* An option says enough: what the environment says is left aside. */
	if (src->key_file || src->password_file || src->password_command)
		return;
	src->key_file = variable("VARVE_KEY_FILE");
	src->password_file = variable("VARVE_PASSWORD_FILE");
	src->password_command = variable("VARVE_PASSWORD_COMMAND");
	src->environment = true;
}

void
secret_clear(struct secret *s)
{
	guard_buf_clear(&s->mem);
	*s = (struct secret){ 0 };
}

static void
give(struct secret *s, uint32_t kind)
{
	s->given = (struct keys_secret){ kind, s->mem.p, s->mem.len };
}

/* Files and commands end their only line; the end is not part of it. */
static void
trim(struct guard_buf *b)
{
	while (b->len > 0 &&
	    (b->p[b->len - 1] == '\n' || b->p[b->len - 1] == '\r'))
		b->p[--b->len] = 0;
}

static int
read_key_file(const char *path, struct secret *s)
{
	int rc = guard_read_file(path, KEYFILE_LEN, &s->mem);

	if (rc == ERR_USAGE)
		return fail(ERR_KEY, "'%s' is not a key file: it has more than"
		    " %d bytes", path, KEYFILE_LEN);
	if (rc)
		return err_context(rc, "key file");
	if (s->mem.len != KEYFILE_LEN)
		return fail(ERR_KEY, "'%s' is not a key file: it has %zu bytes,"
		    " not %d", path, s->mem.len, KEYFILE_LEN);
	give(s, KEYSLOT_KEYFILE);
	return OK;
}

/* Random bytes in a file that is durable before anything depends on it. */
static int
make_key_file(const char *path, struct secret *s)
{
	int rc;

	if ((rc = guard_buf_init(&s->mem, KEYFILE_LEN)))
		return rc;
	entropy_fill(s->mem.p, KEYFILE_LEN);
	s->mem.len = KEYFILE_LEN;
	give(s, KEYSLOT_KEYFILE);
	return guard_create_file(path, s->mem.p, s->mem.len);
}

/* From a file or a command, if one is given: FOUND. */
static int
read_passphrase(const struct secret_source *src, struct secret *s)
{
	int rc;

	if (src->password_file)
		rc = err_context(guard_read_file(src->password_file,
		    PASSPHRASE_MAX, &s->mem), "password file");
	else if (src->password_command)
		rc = err_context(guard_read_command(src->password_command,
		    PASSPHRASE_MAX, &s->mem), "password command");
	else
		return OK;
	if (rc)
		return rc;
	trim(&s->mem);
	if (s->mem.len == 0)
		return fail(ERR_KEY, src->password_file ?
		    "the password file is empty" :
		    "the password command printed nothing");
	give(s, KEYSLOT_PASSPHRASE);
	return FOUND;
}

/* VARVE_PASSWORD leaves the environment even where it is not wanted. */
static int
take_variable(const struct secret_source *src, bool wanted, struct secret *s)
{
	int rc = guard_take_variable(VARIABLE, PASSPHRASE_MAX, &s->mem);

	if (!src->environment || !wanted) {
		guard_buf_clear(&s->mem);
		return OK;
	}
	if (rc == FOUND && s->mem.len == 0)
		return fail(ERR_KEY, VARIABLE " is empty");
	if (rc == FOUND)
		give(s, KEYSLOT_PASSPHRASE);
	return rc;
}

static int
ask(const char *prompt, struct secret *s)
{
	int rc = guard_ask(prompt, PASSPHRASE_MAX, &s->mem);

	if (rc == ERR_ABSENT)
		return fail(ERR_USAGE, "no passphrase and no key file given, and"
		    " no terminal to ask on: use --key-file, --password-file or"
		    " VARVE_PASSWORD");
	if (rc)
		return rc;
	give(s, KEYSLOT_PASSPHRASE);
	s->prompted = true;
	return OK;
}

int
secret_get(const struct secret_source *src, struct secret *out)
{
	bool other = src->insecure || src->key_file || src->password_file ||
	    src->password_command;
	int rc;

	*out = (struct secret){ 0 };
	if ((rc = take_variable(src, !other, out)))
		return rc;
	if (src->insecure) {
		give(out, KEYSLOT_PUBLIC);
		return FOUND;
	}
	if (!src->key_file)
		return read_passphrase(src, out);
	rc = read_key_file(src->key_file, out);
	return rc ? rc : FOUND;
}

static int
ask_twice(struct secret *out)
{
	struct secret again = { 0 };
	int rc;

	if ((rc = ask("new passphrase: ", out)))
		return rc;
	if (out->mem.len == 0)
		return fail(ERR_USAGE, "a passphrase is not empty");
	rc = ask("once more: ", &again);
	if (rc == OK && (again.mem.len != out->mem.len ||
	    memcmp(again.mem.p, out->mem.p, out->mem.len) != 0))
		rc = fail(ERR_USAGE, "the two passphrases differ");
	secret_clear(&again);
	return rc;
}

int
secret_new(const struct secret_source *src, struct secret *out, bool *made)
{
	int rc;

	*out = (struct secret){ 0 };
	if (made)
		*made = false;
	if (src->key_file && src->outside &&
	    guard_is_beneath(src->key_file, src->outside))
		return fail(ERR_USAGE, "'%s' lies in the repository: whoever has"
		    " the repository would have the key", src->key_file);
	rc = secret_get(src, out);
	if (rc == ERR_ABSENT && src->key_file) {
		rc = make_key_file(src->key_file, out);
		if (made)
			*made = rc == OK;
		return rc;
	}
	if (rc < 0)
		return rc;
	return rc == FOUND ? OK : ask_twice(out);
}

int
secret_cost(uint64_t passes, uint64_t memory, struct keys_cost *out)
{
	uint64_t kib = memory / 1024;

	out->passes = KEYS_PASSES_DEFAULT;
	out->memory_kib = KEYS_MEMORY_DEFAULT;
	if (passes > KEYSLOT_PASSES_MAX)
		return fail(ERR_USAGE, "--kdf-passes is 1 to %d",
		    KEYSLOT_PASSES_MAX);
	if (memory && (kib < KEYSLOT_MEMORY_MIN || kib > KEYSLOT_MEMORY_MAX))
		return fail(ERR_USAGE, "--kdf-memory is %dM to %dG",
		    KEYSLOT_MEMORY_MIN >> 10, KEYSLOT_MEMORY_MAX >> 20);
	if (passes)
		out->passes = (uint32_t)passes;
	if (memory)
		out->memory_kib = (uint32_t)kib;
	return OK;
}

int
secret_check_label(const char *label)
{
	size_t len = label ? strlen(label) : 0;

	if (len > KEYSLOT_LABEL_LEN || !text_is_utf8(label, len))
		return fail(ERR_USAGE, "a label is UTF-8 of at most %d bytes",
		    KEYSLOT_LABEL_LEN);
	return OK;
}

const char *
secret_kind(uint32_t kind)
{
	return kind == KEYSLOT_PASSPHRASE ? "passphrase" :
	    kind == KEYSLOT_KEYFILE ? "key-file" : "public";
}

/* Nobody is asked for a passphrase that no slot takes: FOUND if one does. */
static int
takes_passphrase(struct repo *r)
{
	struct keyring_entry *all;
	size_t count;
	int rc = keyring_list(r, &all, &count);

	for (size_t i = 0; rc == OK && i < count; i++)
		if (!all[i].verdict && all[i].slot.kind == KEYSLOT_PASSPHRASE)
			rc = FOUND;
	free(all);
	return rc;
}

/* Somebody who types may mistype. */
static int
unlock_asking(struct context *ctx, struct repo *r)
{
	struct secret s;
	int rc = ERR_KEY;

	for (int left = TRIES; left > 0 && rc == ERR_KEY; left--) {
		s = (struct secret){ 0 };
		if ((rc = ask("passphrase: ", &s)) == OK)
			rc = repo_unlock(r, &s.given);
		if (rc == ERR_KEY && left > 1)
			report_talk(&ctx->report, "%s", err_text());
		secret_clear(&s);
	}
	return rc;
}

int
secret_unlock(struct context *ctx, struct repo *r)
{
	static const struct keys_secret nothing = { KEYSLOT_PASSPHRASE, NULL, 0 };
	struct secret_source src;
	struct secret s;
	int rc;

	secret_source_of(ctx, &src);
	rc = secret_get(&src, &s);
	if (rc == FOUND)
		rc = repo_unlock(r, &s.given);
	else if (rc == OK && (rc = takes_passphrase(r)) == FOUND)
		rc = unlock_asking(ctx, r);
	else if (rc == OK)
		rc = repo_unlock(r, &nothing);  /* it knows what to say */
	secret_clear(&s);
	return rc;
}
