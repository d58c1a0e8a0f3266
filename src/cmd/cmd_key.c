#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/text.h"
#include "cmd/cmd.h"
#include "cmd/secret.h"
#include "store/keyring.h"
#include "store/paper.h"
#include "store/repo.h"

#define SHORT_ID 8              /* digits shown */
#define PREFIX_MIN 4            /* digits that name a slot to remove */
#define PAPER_MAX (64u << 10)

struct key {
	const char *label;
	uint64_t kdf_passes, kdf_memory;
	struct keys_cost cost;
	struct secret_source fresh;     /* of the --new-... options */
	bool made;                      /* its key file */
};

struct sub {
	const char *name;
	int least, most;                /* operands */
	const char *missing;
	bool fresh;                     /* makes a slot: takes --new-... */
	int (*run)(struct context *ctx, struct key *k, char **argv);
};

static void
show_id(struct report *rp, const struct name_sid *id)
{
	char hex[NAME_SID_HEX];

	name_sid_hex(id, hex);
	report_out(rp, "%.*s", SHORT_ID, hex);
}

static const char *
state_of(const struct keyring_entry *e)
{
	switch (e->verdict) {
	case OK:
		return "ok";
	case ERR_CORRUPT:
		return "damaged";
	case ERR_UNSUPPORTED:
		return "unsupported";
	default:
		return "unreadable";
	}
}

static json_t *
entry_json(struct report *rp, const struct keyring_entry *e)
{
	json_t *o = json_object();

	report_set_text(rp, o, "type", "slot");
	report_set_sid(rp, o, "id", &e->slot.slot_id);
	report_set_text(rp, o, "state", state_of(e));
	report_set_flag(rp, o, "current", e->current);
	if (e->verdict)
		return o;
	report_set_text(rp, o, "kind", secret_kind(e->slot.kind));
	if (e->slot.kind == KEYSLOT_PASSPHRASE) {
		report_set_number(rp, o, "kdf_passes", e->slot.passes);
		report_set_number(rp, o, "kdf_memory",
		    (uint64_t)e->slot.memory_kib * 1024);
	}
	if (e->current) {
		report_set_time(rp, o, "created", e->created_ns);
		report_set_text(rp, o, "label", e->label);
	}
	return o;
}

static void
entry_text(struct report *rp, const struct keyring_entry *e)
{
	char when[TEXT_TIME_MAX], memory[TEXT_SIZE_MAX];

	report_out(rp, "%c ", e->current ? '*' : ' ');
	show_id(rp, &e->slot.slot_id);
	if (e->verdict) {
		report_out(rp, "  %s\n", state_of(e));
		return;
	}
	report_out(rp, "  %s", secret_kind(e->slot.kind));
	if (e->slot.kind == KEYSLOT_PASSPHRASE)
		report_out(rp, " (%u x %s)", e->slot.passes, text_size(memory,
		    (uint64_t)e->slot.memory_kib * 1024));
	if (e->current) {
		report_out(rp, "  %s", text_time(when, e->created_ns));
		report_out(rp, "%s", e->label[0] ? "  " : "");
		report_out_name(rp, e->label, strlen(e->label));
	}
	report_out(rp, "\n");
}

static int
list(struct context *ctx, struct key *k, char **argv)
{
	struct keyring_entry *all;
	json_t *array = NULL;
	size_t count, unknown = 0;
	int rc;

	(void)k;
	(void)argv;
	if ((rc = cmd_open(ctx, CMD_KEY)) ||
	    (rc = keyring_list(ctx->repo, &all, &count)))
		return rc;
	if (ctx->json)
		array = json_array();
	for (size_t i = 0; i < count; i++) {
		unknown += all[i].verdict && all[i].verdict != ERR_CORRUPT && all[i].verdict != ERR_UNSUPPORTED;
		if (!ctx->json)
			entry_text(&ctx->report, &all[i]);
		else if (json_array_append_new(array,
		    entry_json(&ctx->report, &all[i])))
			ctx->report.broken = true;
	}
	if (ctx->json)
		report_json(&ctx->report, array);
	free(all);
	return unknown ? fail(ERR_IO, "%zu slot%s could not be read: what they are is not known", unknown, unknown == 1 ? "" : "s") : OK;
}

/* What happened to which slots; NULL: to none. */
static void
show_change(struct context *ctx, const struct name_sid *made, uint32_t kind,
    const struct name_sid *removed)
{
	struct report *rp = &ctx->report;
	json_t *o;

	if (!ctx->json) {
		report_out(rp, "slot ");
		show_id(rp, made ? made : removed);
		report_out(rp, made ? " added (%s)" : " removed",
		    secret_kind(kind));
		if (made && removed) {
			report_out(rp, ", ");
			show_id(rp, removed);
			report_out(rp, " removed");
		}
		report_out(rp, "\n");
		return;
	}
	o = json_object();
	report_set_text(rp, o, "type", "summary");
	if (made) {
		report_set_sid(rp, o, "slot", made);
		report_set_text(rp, o, "kind", secret_kind(kind));
	}
	if (removed)
		report_set_sid(rp, o, "removed", removed);
	report_json(rp, o);
}

/* The new slot's secret; the notes that belong to it go to stderr. */
static int
fresh_secret(struct context *ctx, struct key *k, struct secret *s)
{
	struct name_sid id;
	char hex[NAME_SID_HEX];
	int rc;

	k->fresh.outside = ctx->repo_path;
	if ((rc = secret_new(&k->fresh, s, &k->made)))
		return rc;
	rc = k->made ? OK : keyring_find(ctx->repo, &s->given, &id);
	if (rc == FOUND) {
		name_sid_hex(&id, hex);
		return fail(ERR_FAILED, "this secret opens the repository"
		    " already (slot %.*s)", SHORT_ID, hex);
	}
	if (rc)
		return rc;
	if (k->made)
		report_info(&ctx->report, "the key file '%s' was made: keep a"
		    " copy of it elsewhere", k->fresh.key_file);
	if (s->given.kind == KEYSLOT_KEYFILE &&
	    guard_is_exposed(k->fresh.key_file))
		report_talk(&ctx->report, "warning: others than its owner may"
		    " read '%s'", k->fresh.key_file);
	if (ctx->repo->keys->public_slot)
		report_talk(&ctx->report, "warning: this repository was not"
		    " encrypted: whoever had a copy can still read all of it");
	return OK;
}

/* A key file made for a slot that there is not.  After other failures than these a slot may be there. */
static void
discard(const struct key *k, int rc)
{
	if (k->made && (rc == ERR_LOCKED || rc == ERR_FAILED ||
	    rc == ERR_UNSUPPORTED))
		guard_discard_file(k->fresh.key_file);
}

/* The repository is unlocked; give it one more slot. */
static int
add_to(struct context *ctx, struct key *k)
{
	struct secret s = { 0 };
	struct name_sid id;
	int rc;

	if ((rc = fresh_secret(ctx, k, &s)) == OK &&
	    (rc = keyring_add(ctx->repo, &s.given, &k->cost, k->label,
	    &id)) == OK)
		show_change(ctx, &id, s.given.kind, NULL);
	discard(k, rc);
	secret_clear(&s);
	return rc;
}

static int
add(struct context *ctx, struct key *k, char **argv)
{
	int rc;

	(void)argv;
	if ((rc = cmd_open(ctx, CMD_KEY | CMD_WRITES)))
		return rc;
	return add_to(ctx, k);
}

/* Does the old secret open another slot?  Of one that was typed or was in the environment nothing is left to ask with. */
static void
warn_old(struct context *ctx)
{
	struct secret_source src;
	struct secret s = { 0 };
	struct name_sid id;
	char hex[NAME_SID_HEX];

	secret_source_of(ctx, &src);
	if (!src.key_file && (!src.password_file || strcmp(src.password_file, "-") == 0))
		return;
	if (secret_get(&src, &s) == FOUND && keyring_find(ctx->repo, &s.given, &id) == FOUND) {
		name_sid_hex(&id, hex);
		report_talk(&ctx->report, "warning: the old secret still opens the repository (slot %.*s);"
		    " 'varve key remove' takes that slot away", SHORT_ID, hex);
	}
	secret_clear(&s);
}

static int
change(struct context *ctx, struct key *k, char **argv)
{
	struct secret s = { 0 };
	struct name_sid id = { { 0 } }, old;
	int rc;

	(void)argv;
	if ((rc = cmd_open(ctx, CMD_KEY | CMD_WRITES)))
		return rc;
	old = ctx->repo->slot_id;
	if ((rc = fresh_secret(ctx, k, &s)) == OK &&
	    (rc = keyring_change(ctx->repo, &s.given, &k->cost, k->label,
	    &id)) == OK)
		show_change(ctx, &id, s.given.kind, &old);
	if (rc == OK)
		warn_old(ctx);
	if (name_sid_is_zero(&id))
		discard(k, rc);
	secret_clear(&s);
	return rc;
}

/* The slot that begins with these digits. */
static int
find(struct repo *r, const char *prefix, struct name_sid *id)
{
	struct keyring_entry *all;
	char hex[NAME_SID_HEX];
	size_t count, hits = 0, len = strlen(prefix);
	int rc;

	if (len < PREFIX_MIN)
		return fail(ERR_USAGE, "'%s': give at least %d digits of the"
		    " slot's id", prefix, PREFIX_MIN);
	if ((rc = keyring_list(r, &all, &count)))
		return rc;
	for (size_t i = 0; i < count; i++) {
		name_sid_hex(&all[i].slot.slot_id, hex);
		if (strncmp(hex, prefix, len) != 0)
			continue;
		*id = all[i].slot.slot_id;
		hits++;
	}
	free(all);
	if (hits == 0)
		return fail(ERR_ABSENT, "there is no key slot '%s'", prefix);
	if (hits > 1)
		return fail(ERR_USAGE, "'%s' names %zu key slots: give more"
		    " digits", prefix, hits);
	return OK;
}

static int
drop(struct context *ctx, struct key *k, char **argv)
{
	struct name_sid id;
	int rc;

	(void)k;
	if ((rc = cmd_open(ctx, CMD_KEY | CMD_WRITES)) ||
	    (rc = find(ctx->repo, argv[1], &id)) ||
	    (rc = keyring_remove(ctx->repo, &id)))
		return rc;
	show_change(ctx, NULL, 0, &id);
	return OK;
}

static int
export(struct context *ctx, struct key *k, char **argv)
{
	char *text;
	int rc;

	(void)k;
	(void)argv;
	if (ctx->json)
		return fail(ERR_USAGE, "a paper key is text, there is no JSON"
		    " of it");
	if ((rc = cmd_open(ctx, CMD_KEY)) ||
	    (rc = paper_export(ctx->repo, &text)))
		return rc;
	fflush(stdout);
	rc = guard_print(text, strlen(text));
	paper_free(text);
	return rc;
}

static int
import(struct context *ctx, struct key *k, char **argv)
{
	struct guard_buf text = { 0 };
	int rc;

	if ((rc = cmd_open(ctx, CMD_REPO | CMD_WRITES)) ||
	    (rc = guard_read_file(argv[1] ? argv[1] : "-", PAPER_MAX, &text)))
		return rc;
	rc = err_context(paper_import(ctx->repo, (const char *)text.p),
	    "paper key");
	guard_buf_clear(&text);
	return rc ? rc : add_to(ctx, k);
}

static const struct sub subs[] = {
	{ "list", 0, 0, "", false, list },
	{ "add", 0, 0, "", true, add },
	{ "remove", 1, 1, "the slot's id", false, drop },
	{ "change", 0, 0, "", true, change },
	{ "export", 0, 0, "", false, export },
	{ "import", 0, 1, "", true, import },
};

static const struct sub *
find_sub(const char *name)
{
	for (size_t i = 0; i < sizeof(subs) / sizeof(subs[0]); i++)
		if (strcmp(subs[i].name, name) == 0)
			return &subs[i];
	return NULL;
}

static int
check(const struct sub *sub, struct key *k)
{
	bool given = k->fresh.key_file || k->fresh.password_file ||
	    k->fresh.password_command || k->label || k->kdf_passes ||
	    k->kdf_memory;
	int rc;

	if (given && !sub->fresh)
		return fail(ERR_USAGE, "'key %s' makes no new slot: it takes"
		    " neither --new-..., --label nor --kdf-...", sub->name);
	if ((rc = secret_check_label(k->label)))
		return rc;
	return secret_cost(k->kdf_passes, k->kdf_memory, &k->cost);
}

static int
run(struct context *ctx, int argc, char **argv)
{
	struct key k = { 0 };
	const struct args_option opts[] = {
		{ 0, "new-key-file", ARGS_TEXT, &k.fresh.key_file, NULL },
		{ 0, "new-password-file", ARGS_TEXT, &k.fresh.password_file,
		    NULL },
		{ 0, "new-password-command", ARGS_TEXT,
		    &k.fresh.password_command, NULL },
		{ 0, "label", ARGS_TEXT, &k.label, NULL },
		{ 0, "kdf-passes", ARGS_NUMBER, &k.kdf_passes, NULL },
		{ 0, "kdf-memory", ARGS_SIZE, &k.kdf_memory, NULL },
	};
	const struct sub *sub;
	int rc;

	if ((rc = cmd_parse(ctx, opts, ARGS_COUNT(opts), &argc, argv)))
		return rc;
	sub = argc > 1 ? find_sub(argv[1]) : NULL;
	if (!sub)
		return fail(ERR_USAGE, "%s%s%s: list, add, remove, change,"
		    " export or import", argc > 1 ? "no 'key " : "which",
		    argc > 1 ? argv[1] : " key command",
		    argc > 1 ? "'" : "");
	if ((rc = cmd_operands(argc - 1, argv + 1, sub->least, sub->most,
	    sub->missing)) || (rc = check(sub, &k)))
		return rc;
	return sub->run(ctx, &k, argv + 1);
}

const struct cmd cmd_key = {
	.name = "key",
	.summary = "the secrets that open the repository",
	.usage =
	    "Usage: varve key list\n"
	    "       varve key add    [NEW] [--label TEXT]\n"
	    "       varve key change [NEW] [--label TEXT]\n"
	    "       varve key remove ID\n"
	    "       varve key export\n"
	    "       varve key import [NEW] [--label TEXT] [FILE]\n"
	    "\n"
	    "'key list --json' prints one array of slots.\n"
	    "Each secret has a slot that holds the master key; any of them"
	    " opens the repository.\n"
	    "\n"
	    "  list     all slots; * is the one that opened the repository now;"
	    " time and label of\n"
	    "           the others are sealed\n"
	    "  add      make a slot for one more secret\n"
	    "  change   make a slot for a new secret, then remove the one that"
	    " opened the\n"
	    "           repository now\n"
	    "  remove   remove another slot than the one that opened the"
	    " repository now: so the\n"
	    "           last one that opens cannot go\n"
	    "  export   print the master key in a form for paper\n"
	    "  import   make a slot from the paper form, typed into FILE or"
	    " standard input, when\n"
	    "           all others are lost\n"
	    "\n"
	    "A removed secret does not open the repository any more, but"
	    " whoever used it may have\n"
	    "kept the master key.  If it leaked, make a new repository.\n"
	    "\n"
	    "NEW, the new secret (without one of these it is asked for,"
	    " twice):\n"
	    "      --new-key-file F          a key file; made if it is not"
	    " there\n"
	    "      --new-password-file F     the passphrase is in F\n"
	    "      --new-password-command C  the passphrase is what C prints\n"
	    "      --kdf-passes N            cost of a passphrase: passes of"
	    " Argon2id (default 3)\n"
	    "      --kdf-memory SIZE         ... and its memory (default"
	    " 256M)\n"
	    "\n"
	    "Examples:\n"
	    "  varve key add --new-key-file /root/hourly.key --label 'hourly"
	    " job'\n"
	    "  varve key change --password-file old.txt --new-password-file"
	    " new.txt\n"
	    "  varve key export | lpr\n"
	    "  varve key import typed.txt\n",
	.needs = CMD_REPO | CMD_KEY | CMD_WRITES,
	.run = run,
};
