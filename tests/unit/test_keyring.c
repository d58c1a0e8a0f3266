/* keyring and paper: slots of a repository, added, removed, changed, lost and brought back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <ctype.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail                              /* base/err.h has one too */

#include "base/err.h"
#include "codec/keys.h"
#include "store/keyring.h"
#include "store/paper.h"
#include "store/repo.h"

#define PAPER_LINES 6

/* Each test has a repository that opens with the key file `first`. */
struct fixture {
	char top[256], dir[300];
	struct keys_secret first, second, third, public, phrase;
	uint8_t bytes[3][32];
};

static const struct keys_cost cheap = { 1, KEYSLOT_MEMORY_MIN };

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static struct repo *
create(const char *dir, const struct keys_secret *secret)
{
	struct repo *r;
	struct io *io;

	assert_int_equal(io_posix_new(dir, true, &io), OK);
	assert_int_equal(repo_create(io, NULL, secret, &cheap, "first", NULL,
	    &r), OK);
	return r;
}

static int
setup(void **state)
{
	const char *tmp = getenv("TMPDIR");
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	snprintf(f->top, sizeof(f->top), "%s/varve-keyring-XXXXXX",
	    tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(f->top));
	snprintf(f->dir, sizeof(f->dir), "%s/repo", f->top);
	for (int i = 0; i < 3; i++)
		memset(f->bytes[i], 'a' + i, 32);
	f->first = (struct keys_secret){ KEYSLOT_KEYFILE, f->bytes[0], 32 };
	f->second = (struct keys_secret){ KEYSLOT_KEYFILE, f->bytes[1], 32 };
	f->third = (struct keys_secret){ KEYSLOT_KEYFILE, f->bytes[2], 32 };
	f->public = (struct keys_secret){ KEYSLOT_PUBLIC, NULL, 0 };
	f->phrase = (struct keys_secret){ KEYSLOT_PASSPHRASE,
	    (const uint8_t *)"correct horse", 13 };
	repo_close(create(f->dir, &f->first));
	*state = f;
	return 0;
}

static int
teardown(void **state)
{
	struct fixture *f = *state;

	nftw(f->top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

static struct repo *
locked(const struct fixture *f)
{
	struct repo *r;

	assert_int_equal(repo_open_dir(f->dir, &r), OK);
	return r;
}

static struct repo *
unlocked(const struct fixture *f, const struct keys_secret *secret)
{
	struct repo *r = locked(f);

	assert_int_equal(repo_unlock(r, secret), OK);
	return r;
}

/* What unlocking with this secret says. */
static int
opens(const struct fixture *f, const struct keys_secret *secret)
{
	struct repo *r = locked(f);
	int rc = repo_unlock(r, secret);

	assert_true((rc == OK) == (r->keys != NULL));
	repo_close(r);
	return rc;
}

static size_t
slot_count(const struct fixture *f)
{
	struct keyring_entry *all;
	struct repo *r = locked(f);
	size_t count;

	assert_int_equal(keyring_list(r, &all, &count), OK);
	free(all);
	repo_close(r);
	return count;
}

static void
slot_path(const struct fixture *f, const struct name_sid *id,
    char path[static 400])
{
	char hex[NAME_SID_HEX];

	name_sid_hex(id, hex);
	snprintf(path, 400, "%s/keys/%s", f->dir, hex);
}

/* Change one byte of a slot's file. */
static void
damage(const struct fixture *f, const struct name_sid *id, long at)
{
	char path[400];
	FILE *file;
	int c;

	slot_path(f, id, path);
	assert_non_null(file = fopen(path, "r+"));
	assert_int_equal(fseek(file, at, SEEK_SET), 0);
	c = fgetc(file);
	assert_int_equal(fseek(file, at, SEEK_SET), 0);
	assert_int_equal(fputc(c ^ 1, file), c ^ 1);
	assert_int_equal(fclose(file), 0);
}

/* KS-6: a second secret must not cost the first one. */
static void
each_added_secret_opens(void **state)
{
	struct fixture *f = *state;
	struct repo *r = unlocked(f, &f->first), *s;
	struct keyring_entry *all;
	struct name_sid a, b;
	size_t count, current = 0;

	assert_int_equal(opens(f, &f->second), ERR_KEY);
	assert_int_equal(opens(f, &f->phrase), ERR_KEY);
	assert_int_equal(keyring_add(r, &f->second, NULL, "k\xc3\xbc" "che",
	    &a), OK);
	assert_int_equal(keyring_add(r, &f->phrase, &cheap, NULL, &b), OK);
	assert_int_equal(opens(f, &f->first), OK);
	assert_int_equal(opens(f, &f->phrase), OK);
	assert_int_equal(opens(f, &f->third), ERR_KEY);
	s = unlocked(f, &f->second);
	assert_memory_equal(s->keys->master, r->keys->master, 32);
	assert_int_equal(name_sid_cmp(&s->slot_id, &a), 0);
	assert_int_equal(keyring_list(s, &all, &count), OK);
	assert_int_equal(count, 3);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(all[i].verdict, OK);
		assert_true(i == 0 || name_sid_cmp(&all[i - 1].slot.slot_id,
		    &all[i].slot.slot_id) < 0);
		if (all[i].current) {
			current++;
			assert_int_equal(name_sid_cmp(&all[i].slot.slot_id, &a),
			    0);
			assert_string_equal(all[i].label, "k\xc3\xbc" "che");
			assert_true(all[i].created_ns > 0);
		} else {
			assert_string_equal(all[i].label, "");
		}
	}
	assert_int_equal(current, 1);
	free(all);
	repo_close(s);
	repo_close(r);
}

static int
count_name(void *arg, const char *name)
{
	(void)name;
	++*(size_t *)arg;
	return OK;
}

/* GN-6: what fails leaves neither a slot nor a file. */
static void
bad_new_slots_are_refused(void **state)
{
	static const char long_label[] = "0123456789012345678901234567890123"
	    "4567890123456789012345678901234";
	const struct keys_cost dear = { 1, KEYSLOT_MEMORY_MAX + 1u };
	struct fixture *f = *state;
	struct repo *r = unlocked(f, &f->first);
	struct name_sid id;
	size_t left = 0;

	assert_int_equal(keyring_add(r, &f->second, NULL, long_label, &id),
	    ERR_USAGE);
	assert_int_equal(keyring_add(r, &f->second, NULL, "\xc3", &id),
	    ERR_USAGE);
	assert_int_equal(keyring_add(r, &f->phrase, &dear, NULL, &id),
	    ERR_USAGE);
	assert_int_equal(keyring_change(r, &f->phrase, &dear, NULL, &id),
	    ERR_USAGE);
	assert_int_equal(keyring_add(r, &f->second, NULL, long_label + 1, &id),
	    OK);
	r->read_only = true;
	assert_int_equal(keyring_add(r, &f->third, NULL, NULL, &id),
	    ERR_UNSUPPORTED);
	assert_int_equal(keyring_remove(r, &id), ERR_UNSUPPORTED);
	assert_int_equal(io_list(r->io, "tmp", count_name, &left), OK);
	assert_int_equal(left, 0);
	assert_int_equal(slot_count(f), 2);
	repo_close(r);
}

/* KS-6: a removed secret opens nothing; the last one cannot be removed. */
static void
removing_stops_at_the_last_slot(void **state)
{
	struct fixture *f = *state;
	struct repo *r = unlocked(f, &f->first);
	struct name_sid own = r->slot_id, id, none = { { 1 } };

	assert_int_equal(keyring_remove(r, &own), ERR_FAILED);
	assert_non_null(strstr(err_text(), "last"));
	assert_int_equal(keyring_add(r, &f->second, NULL, NULL, &id), OK);
	assert_int_equal(keyring_remove(r, &none), ERR_ABSENT);
	/* Nobody tried the other one: it may not open. */
	assert_int_equal(keyring_remove(r, &own), ERR_FAILED);
	assert_int_equal(keyring_remove(r, &id), OK);
	assert_int_equal(opens(f, &f->second), ERR_KEY);
	assert_int_equal(opens(f, &f->first), OK);
	assert_int_equal(keyring_remove(r, &id), ERR_ABSENT);
	assert_int_equal(slot_count(f), 1);
	repo_close(r);
}

/* KS-6: two people who remove each other's slot at a time must not remove both. */
static void
two_removals_leave_one_slot(void **state)
{
	struct fixture *f = *state;
	struct repo *a = unlocked(f, &f->first), *b, *c;
	struct name_sid first = a->slot_id, second, third;

	assert_int_equal(keyring_add(a, &f->second, NULL, NULL, &second), OK);
	assert_int_equal(keyring_add(a, &f->third, NULL, NULL, &third), OK);
	b = unlocked(f, &f->second);
	c = unlocked(f, &f->third);
	/* While somebody works in the repository nothing is removed. */
	assert_int_equal(io_lock(c->io, IO_SHARED, false), OK);
	assert_int_equal(keyring_remove(a, &second), ERR_LOCKED);
	assert_int_equal(io_lock(c->io, IO_UNLOCKED, false), OK);
	assert_int_equal(keyring_remove(a, &second), OK);
	assert_int_equal(keyring_remove(b, &first), ERR_ABSENT);
	assert_int_equal(opens(f, &f->first), OK);
	/* And the lock is free again after success and failure. */
	assert_int_equal(io_lock(c->io, IO_EXCLUSIVE, false), OK);
	repo_close(a);
	repo_close(b);
	repo_close(c);
}

/* KS-6: `change` ends with the new secret alone, and never with none. */
static void
change_replaces_the_slot_that_opened(void **state)
{
	struct fixture *f = *state;
	struct repo *r = unlocked(f, &f->first);
	struct name_sid old = r->slot_id, id;

	assert_int_equal(keyring_change(r, &f->phrase, &cheap, NULL, &id), OK);
	assert_int_not_equal(name_sid_cmp(&old, &id), 0);
	assert_int_equal(name_sid_cmp(&r->slot_id, &id), 0);
	assert_int_equal(opens(f, &f->first), ERR_KEY);
	assert_int_equal(slot_count(f), 1);
	repo_close(r);
	r = unlocked(f, &f->phrase);
	assert_string_equal(r->slot_label, "first");
	assert_int_equal(keyring_change(r, &f->second, NULL, "second", &id),
	    OK);
	repo_close(r);
	assert_int_equal(opens(f, &f->phrase), ERR_KEY);
	r = unlocked(f, &f->second);
	assert_string_equal(r->slot_label, "second");
	repo_close(r);
}

/* KS-4: a server could put a public slot there; only who asks for it gets it. */
static void
public_slots_open_only_when_asked_for(void **state)
{
	struct fixture *f = *state;
	struct repo *r = unlocked(f, &f->first), *p;
	struct name_sid id, own = r->slot_id;
	char path[400];

	assert_int_equal(opens(f, &f->public), ERR_KEY);
	assert_int_equal(keyring_add(r, &f->public, NULL, NULL, &id), OK);
	assert_false(r->keys->public_slot);
	repo_close(r);
	assert_int_equal(opens(f, &f->second), ERR_KEY);
	p = unlocked(f, &f->public);
	assert_true(p->keys->public_slot);
	repo_close(p);
	r = unlocked(f, &f->first);
	assert_false(r->keys->public_slot);
	repo_close(r);
	slot_path(f, &own, path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(opens(f, &f->first), ERR_KEY);
	assert_non_null(strstr(err_text(), "--insecure-no-encryption"));
}

/* KS-6: one bad slot must not shut out the others; GN-4: nor a stray file. */
static void
bad_slots_are_ignored_while_another_opens(void **state)
{
	struct fixture *f = *state;
	struct repo *r = unlocked(f, &f->first), *s;
	struct name_sid own = r->slot_id, id;
	struct keyring_entry *all;
	char path[400], from[400];
	size_t count;
	FILE *file;

	snprintf(path, sizeof(path), "%s/keys/README", f->dir);
	assert_non_null(file = fopen(path, "w"));
	fclose(file);
	assert_int_equal(keyring_add(r, &f->second, NULL, NULL, &id), OK);
	damage(f, &own, 50);
	assert_int_equal(opens(f, &f->second), OK);
	assert_int_equal(opens(f, &f->third), ERR_KEY);
	assert_non_null(strstr(err_text(), "could not be tried"));
	s = locked(f);
	assert_int_equal(keyring_list(s, &all, &count), OK);
	assert_int_equal(count, 2);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(all[i].verdict, name_sid_cmp(&own,
		    &all[i].slot.slot_id) == 0 ? ERR_CORRUPT : OK);
	free(all);
	repo_close(s);
	/* A slot that its owner's secret fits, but that was tampered with. */
	damage(f, &own, 50);
	damage(f, &own, 200);
	assert_int_equal(opens(f, &f->first), ERR_AUTH);
	/* The slot that opened r is not sound any more: keep the other. */
	damage(f, &own, 200);
	damage(f, &own, 8);
	assert_int_equal(keyring_remove(r, &id), ERR_UNSUPPORTED);
	/* No slot can even be tried. */
	slot_path(f, &id, path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(opens(f, &f->first), ERR_UNSUPPORTED);
	/* KS-2: under another name, or from another repository. */
	damage(f, &own, 8);
	assert_int_equal(opens(f, &f->first), OK);
	slot_path(f, &own, from);
	assert_int_equal(rename(from, path), 0);
	assert_int_equal(opens(f, &f->first), ERR_CORRUPT);
	repo_close(r);
}

/* KS-2: a slot brought along from another repository with the same secret. */
static void
slots_of_another_repository_do_not_count(void **state)
{
	struct fixture *f = *state;
	char other[300], from[400], to[400], hex[NAME_SID_HEX];
	struct repo *r, *s;
	struct name_sid own;

	snprintf(other, sizeof(other), "%s/rep2", f->top);
	s = create(other, &f->second);
	r = unlocked(f, &f->first);
	own = r->slot_id;
	name_sid_hex(&s->slot_id, hex);
	snprintf(from, sizeof(from), "%s/keys/%s", other, hex);
	snprintf(to, sizeof(to), "%s/keys/%s", f->dir, hex);
	assert_int_equal(rename(from, to), 0);
	assert_int_equal(opens(f, &f->first), OK);
	slot_path(f, &own, to);
	assert_int_equal(unlink(to), 0);
	assert_int_equal(opens(f, &f->second), ERR_CORRUPT);
	repo_close(r);
	repo_close(s);
}

/* KS-6, GN-2: the limit is one for writers and for readers. */
static void
there_are_at_most_64_slots(void **state)
{
	struct fixture *f = *state;
	struct repo *r = unlocked(f, &f->first);
	struct name_sid id;
	char path[400];
	FILE *file;

	for (int i = 1; i < KEYSLOT_COUNT_MAX; i++)
		assert_int_equal(keyring_add(r, &f->second, NULL, NULL, &id),
		    OK);
	assert_int_equal(keyring_add(r, &f->second, NULL, NULL, &id),
	    ERR_FAILED);
	assert_int_equal(keyring_change(r, &f->third, NULL, NULL, &id),
	    ERR_FAILED);
	assert_int_equal(slot_count(f), KEYSLOT_COUNT_MAX);
	assert_int_equal(opens(f, &f->first), OK);
	id = (struct name_sid){ { 7 } };
	slot_path(f, &id, path);
	assert_non_null(file = fopen(path, "w"));
	fclose(file);
	assert_int_equal(opens(f, &f->first), ERR_CORRUPT);
	repo_close(r);
}

static void
remove_slots(const struct fixture *f)
{
	struct keyring_entry *all;
	struct repo *r = locked(f);
	size_t count;
	char path[400];

	assert_int_equal(keyring_list(r, &all, &count), OK);
	for (size_t i = 0; i < count; i++) {
		slot_path(f, &all[i].slot.slot_id, path);
		assert_int_equal(unlink(path), 0);
	}
	free(all);
	repo_close(r);
}

/* The paper is for the day when everything else is lost. */
static void
paper_brings_the_key_back(void **state)
{
	struct fixture *f = *state;
	struct repo *r = unlocked(f, &f->first);
	struct name_sid id;
	char *text, typed[4096];
	uint8_t master[32];
	size_t n = 0;

	memcpy(master, r->keys->master, 32);
	assert_int_equal(paper_export(r, &text), OK);
	repo_close(r);
	remove_slots(f);
	assert_int_equal(opens(f, &f->first), ERR_KEY);
	assert_non_null(strstr(err_text(), "key import"));
	/* As somebody types: only the lines, in capitals, with odd spaces. */
	for (const char *p = strstr(text, "  1:"); *p && n + 3 < sizeof(typed);
	    p++) {
		if (*p != ' ' && *p != '-')
			typed[n++] = (char)toupper((unsigned char)*p);
		if (*p == ':' || (*p == '-' && n % 2))
			typed[n++] = '\t';
	}
	typed[n] = '\0';
	paper_free(text);
	r = locked(f);
	assert_int_equal(paper_import(r, typed), OK);
	assert_memory_equal(r->keys->master, master, 32);
	/* Which slots open is not known, and there is none to rely on. */
	assert_int_equal(keyring_add(r, &f->third, NULL, "again", &id), OK);
	assert_int_equal(keyring_remove(r, &id), ERR_FAILED);
	assert_int_equal(keyring_change(r, &f->second, NULL, NULL, &id),
	    ERR_FAILED);
	repo_close(r);
	assert_int_equal(slot_count(f), 1);
	r = unlocked(f, &f->third);
	assert_memory_equal(r->keys->master, master, 32);
	repo_close(r);
}

/* One wrong digit in 200 is found, and the line named; nothing is installed. */
static void
every_mistyped_digit_is_found(void **state)
{
	struct fixture *f = *state;
	struct repo *r = unlocked(f, &f->first), *s = locked(f);
	char *text, *lines, want[32];
	unsigned line = 0, digits = 0;

	assert_int_equal(paper_export(r, &text), OK);
	lines = strstr(text, "  1:");
	for (char *p = lines; line <= PAPER_LINES && *p; p++) {
		char was = *p;

		if (p == lines || p[-1] == '\n')
			line = p[0] == ' ' ? (unsigned)(p[2] - '0') :
			    PAPER_LINES + 1;
		if (line > PAPER_LINES)
			break;
		if (!isxdigit((unsigned char)was) || p[1] == ':')
			continue;
		digits++;
		*p = was == '9' ? 'a' : was == 'f' ? '0' : (char)(was + 1);
		snprintf(want, sizeof(want), "line %u", line);
		assert_int_equal(paper_import(s, text), ERR_KEY);
		assert_non_null(strstr(err_text(), want));
		*p = 'o';
		assert_int_equal(paper_import(s, text), ERR_KEY);
		assert_non_null(strstr(err_text(), want));
		assert_null(s->keys);
		*p = was;
	}
	assert_int_equal(digits, 5 * 36 + 20);
	assert_int_equal(paper_import(s, text), OK);
	paper_free(text);
	repo_close(r);
	repo_close(s);
}

/* A line left out, written twice, too long, from another repository. */
static void
lines_that_do_not_fit_are_refused(void **state)
{
	struct fixture *f = *state;
	struct repo *r = unlocked(f, &f->first), *s = locked(f), *t;
	char *text, *other, *line, *end, dir[300], twice[8192];

	assert_int_equal(paper_export(r, &text), OK);
	snprintf(dir, sizeof(dir), "%s/rep2", f->top);
	t = create(dir, &f->first);
	assert_int_equal(paper_export(t, &other), OK);
	assert_int_equal(paper_import(s, other), ERR_KEY);
	assert_non_null(strstr(err_text(), "another repository"));
	line = strstr(text, "  4:");
	end = strchr(line, '\n');
	snprintf(twice, sizeof(twice), "%s\n%.*s\n", text, (int)(end - line),
	    line);
	assert_int_equal(paper_import(s, twice), ERR_KEY);
	assert_non_null(strstr(err_text(), "line 4 is there twice"));
	/* A whole line of the other paper passes its own check. */
	snprintf(twice, sizeof(twice), "%.*s%.*s%s", (int)(line - text), text,
	    (int)(end - line), strstr(other, "  4:"), end);
	assert_int_equal(paper_import(s, twice), ERR_KEY);
	assert_non_null(strstr(err_text(), "do not belong together"));
	snprintf(twice, sizeof(twice), "%.*s0%s", (int)(end - text), text, end);
	assert_int_equal(paper_import(s, twice), ERR_KEY);
	assert_non_null(strstr(err_text(), "line 4 has too many digits"));
	memmove(line, end + 1, strlen(end + 1) + 1);
	assert_int_equal(paper_import(s, text), ERR_KEY);
	assert_non_null(strstr(err_text(), "line 4 is missing"));
	assert_int_equal(paper_import(s, ""), ERR_KEY);
	assert_int_equal(paper_import(s, "7: 00\n"), ERR_KEY);
	assert_null(s->keys);
	paper_free(text);
	paper_free(other);
	repo_close(r);
	repo_close(s);
	repo_close(t);
}

/* RH-2: paper printed before the header was replaced does not hide that. */
static void
paper_is_bound_to_the_header(void **state)
{
	struct fixture *f = *state;
	struct repo *r = unlocked(f, &f->first), *s = locked(f);
	char *text;

	assert_int_equal(paper_export(r, &text), OK);
	s->header_hash.b[31] ^= 1;
	assert_int_equal(paper_import(s, text), ERR_KEY);
	assert_non_null(strstr(err_text(), "header"));
	assert_null(s->keys);
	paper_free(text);
	repo_close(r);
	repo_close(s);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_added_secret_opens),
		TEST(bad_new_slots_are_refused),
		TEST(removing_stops_at_the_last_slot),
		TEST(two_removals_leave_one_slot),
		TEST(change_replaces_the_slot_that_opened),
		TEST(public_slots_open_only_when_asked_for),
		TEST(bad_slots_are_ignored_while_another_opens),
		TEST(slots_of_another_repository_do_not_count),
		TEST(there_are_at_most_64_slots),
		TEST(paper_brings_the_key_back),
		TEST(every_mistyped_digit_is_found),
		TEST(lines_that_do_not_fit_are_refused),
		TEST(paper_is_bound_to_the_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
