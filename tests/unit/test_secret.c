/* secret and guard: where passphrases and key files come from, and that they leave nothing behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#undef fail                              /* base/err.h has one too */

#include "base/err.h"
#include "cmd/cmd.h"
#include "cmd/secret.h"

#define CHILD_DIFFERS 77
#define WAIT_MS 20000

struct fixture {
	char top[256], path[300];       /* path: a file that is not there */
};

static int
remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	return remove(path);
}

static int
setup(void **state)
{
	const char *tmp = getenv("TMPDIR");
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	snprintf(f->top, sizeof(f->top), "%s/varve-secret-XXXXXX",
	    tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(f->top));
	snprintf(f->path, sizeof(f->path), "%s/file", f->top);
	unsetenv("VARVE_PASSWORD");
	unsetenv("VARVE_PASSWORD_FILE");
	unsetenv("VARVE_PASSWORD_COMMAND");
	unsetenv("VARVE_KEY_FILE");
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

static void
put(const char *path, const char *text, size_t len)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static void
expect(const struct secret_source *src, uint32_t kind, const char *text)
{
	struct secret s;

	assert_int_equal(secret_get(src, &s), FOUND);
	assert_int_equal(s.given.kind, kind);
	assert_int_equal(s.given.len, strlen(text));
	if (s.given.len > 0)
		assert_memory_equal(s.given.p, text, s.given.len);
	assert_false(s.prompted);
	secret_clear(&s);
}

static void
expect_error(const struct secret_source *src, int rc)
{
	struct secret s;

	assert_int_equal(secret_get(src, &s), rc);
	secret_clear(&s);
}

/* Children and /proc/self/environ must not show the passphrase. */
static void
the_variable_is_used_once_and_wiped(void **state)
{
	struct secret_source src = { .environment = true };
	const char *place;

	(void)state;
	setenv("VARVE_PASSWORD", "correct horse", 1);
	place = getenv("VARVE_PASSWORD");
	expect(&src, KEYSLOT_PASSPHRASE, "correct horse");
	assert_null(getenv("VARVE_PASSWORD"));
	for (size_t i = 0; i < strlen("correct horse"); i++)
		assert_int_equal(place[i], 0);
	setenv("VARVE_PASSWORD", "", 1);
	expect_error(&src, ERR_KEY);
	/* Also where something else is used. */
	setenv("VARVE_PASSWORD", "correct horse", 1);
	src.insecure = true;
	expect(&src, KEYSLOT_PUBLIC, "");
	assert_null(getenv("VARVE_PASSWORD"));
}

/* The wrong one of several secrets would lock somebody out, or in. */
static void
sources_have_an_order(void **state)
{
	struct fixture *f = *state;
	struct context ctx = { 0 };
	struct secret_source src;
	char key[400];

	snprintf(key, sizeof(key), "%s/key", f->top);
	put(key, "0123456789abcdef0123456789abcdef", 32);
	put(f->path, "from a file\n", 12);
	setenv("VARVE_PASSWORD", "from the variable", 1);
	setenv("VARVE_PASSWORD_COMMAND", "echo from the command", 1);
	secret_source_of(&ctx, &src);
	expect(&src, KEYSLOT_PASSPHRASE, "from the command");
	setenv("VARVE_PASSWORD_FILE", f->path, 1);
	secret_source_of(&ctx, &src);
	expect(&src, KEYSLOT_PASSPHRASE, "from a file");
	setenv("VARVE_KEY_FILE", key, 1);
	secret_source_of(&ctx, &src);
	expect(&src, KEYSLOT_KEYFILE, "0123456789abcdef0123456789abcdef");
	/* An option is meant, a variable may just be there. */
	ctx.password_command = "echo from the option";
	secret_source_of(&ctx, &src);
	expect(&src, KEYSLOT_PASSPHRASE, "from the option");
	setenv("VARVE_PASSWORD", "from the variable", 1);
	unsetenv("VARVE_KEY_FILE");
	setenv("VARVE_PASSWORD_FILE", "", 1);
	unsetenv("VARVE_PASSWORD_COMMAND");
	ctx.password_command = NULL;
	secret_source_of(&ctx, &src);
	expect(&src, KEYSLOT_PASSPHRASE, "from the variable");
	ctx.insecure = true;
	secret_source_of(&ctx, &src);
	expect(&src, KEYSLOT_PUBLIC, "");
}

/* An editor's newline is not part of a passphrase, anything else is. */
static void
password_files_lose_their_newline_only(void **state)
{
	struct fixture *f = *state;
	struct secret_source src = { .password_file = f->path };
	char big[5000];

	expect_error(&src, ERR_ABSENT);
	put(f->path, " two\twords \n", 12);
	expect(&src, KEYSLOT_PASSPHRASE, " two\twords ");
	put(f->path, "dos\r\n", 5);
	expect(&src, KEYSLOT_PASSPHRASE, "dos");
	put(f->path, "bare", 4);
	expect(&src, KEYSLOT_PASSPHRASE, "bare");
	put(f->path, "\n", 1);
	expect_error(&src, ERR_KEY);
	put(f->path, "", 0);
	expect_error(&src, ERR_KEY);
	memset(big, 'x', sizeof(big));
	put(f->path, big, 4096);
	big[4096] = '\0';
	expect(&src, KEYSLOT_PASSPHRASE, big);
	big[4096] = 'x';
	put(f->path, big, sizeof(big));
	expect_error(&src, ERR_USAGE);
}

/* A command that fails halfway must not pass for a passphrase. */
static void
password_commands_must_succeed(void **state)
{
	struct secret_source src = { 0 };

	(void)state;
	src.password_command = "printf 'a b\\n'";
	expect(&src, KEYSLOT_PASSPHRASE, "a b");
	/* Its input is empty: what is piped to us is not for it. */
	src.password_command = "cat; echo end";
	expect(&src, KEYSLOT_PASSPHRASE, "end");
	setenv("VARVE_PASSWORD", "secret", 1);
	src.password_command = "echo \"<$VARVE_PASSWORD>\"";
	expect(&src, KEYSLOT_PASSPHRASE, "<>");
	src.password_command = "echo half; exit 3";
	expect_error(&src, ERR_FAILED);
	assert_non_null(strstr(err_text(), "exit status 3"));
	src.password_command = "echo half; kill -9 $$";
	expect_error(&src, ERR_FAILED);
	src.password_command = "true";
	expect_error(&src, ERR_KEY);
	src.password_command = "no-such-command-anywhere 2>/dev/null";
	expect_error(&src, ERR_FAILED);
	src.password_command = "head -c 100000 /dev/zero";
	expect_error(&src, ERR_USAGE);
}

/* A key file that is cut off or readable by others is found out at once, and
 * one that is there is never overwritten. */
static void
key_files_are_made_once(void **state)
{
	struct fixture *f = *state;
	struct secret_source src = { .key_file = f->path, .outside = f->top };
	struct secret a, b;
	struct stat st;
	bool made;

	assert_int_equal(secret_new(&src, &a, &made), ERR_USAGE);
	assert_int_equal(access(f->path, F_OK), -1);
	src.outside = "/proc/self";
	expect_error(&src, ERR_ABSENT);
	assert_int_equal(access(f->path, F_OK), -1);
	assert_int_equal(secret_new(&src, &a, &made), OK);
	assert_true(made);
	assert_int_equal(a.given.kind, KEYSLOT_KEYFILE);
	assert_int_equal(a.given.len, 32);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_size, 32);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_false(guard_is_exposed(f->path));
	assert_int_equal(secret_new(&src, &b, &made), OK);
	assert_false(made);
	assert_memory_equal(a.given.p, b.given.p, 32);
	secret_clear(&a);
	secret_clear(&b);
	assert_int_equal(chmod(f->path, 0640), 0);
	assert_true(guard_is_exposed(f->path));
	assert_int_equal(guard_create_file(f->path, (const uint8_t *)"x", 1),
	    ERR_EXISTS);
	assert_int_equal(truncate(f->path, 31), 0);
	assert_int_equal(secret_new(&src, &a, &made), ERR_KEY);
	assert_int_equal(truncate(f->path, 33), 0);
	assert_int_equal(secret_new(&src, &a, NULL), ERR_KEY);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_size, 33);
	secret_clear(&a);
}

static void
files_beneath_a_directory_are_known(void **state)
{
	struct fixture *f = *state;
	char link[400], beside[400];

	snprintf(link, sizeof(link), "%s/link", f->top);
	snprintf(beside, sizeof(beside), "%s-beside", f->top);
	assert_int_equal(symlink(f->top, link), 0);
	assert_true(guard_is_beneath(f->path, f->top));
	assert_true(guard_is_beneath(f->path, link));
	assert_false(guard_is_beneath(beside, f->top));
	assert_false(guard_is_beneath(f->path, beside));
	assert_true(guard_is_beneath(f->path, "/"));
}

/* KS-2: what cannot be a slot is refused before anybody is asked. */
static void
costs_and_labels_have_bounds(void **state)
{
	struct keys_cost c;
	char label[66] = { 0 };

	(void)state;
	assert_int_equal(secret_cost(0, 0, &c), OK);
	assert_int_equal(c.passes, 3);
	assert_int_equal(c.memory_kib, 262144);
	assert_int_equal(secret_cost(16, 4ull << 30, &c), OK);
	assert_int_equal(c.passes, 16);
	assert_int_equal(c.memory_kib, 4194304);
	assert_int_equal(secret_cost(1, 8u << 20, &c), OK);
	assert_int_equal(c.memory_kib, 8192);
	assert_int_equal(secret_cost(17, 0, &c), ERR_USAGE);
	assert_int_equal(secret_cost(UINT64_MAX, 0, &c), ERR_USAGE);
	assert_int_equal(secret_cost(1, (8u << 20) - 1024, &c), ERR_USAGE);
	assert_int_equal(secret_cost(1, UINT64_MAX, &c), ERR_USAGE);
	assert_int_equal(secret_check_label(NULL), OK);
	memset(label, 'x', 64);
	assert_int_equal(secret_check_label(label), OK);
	label[64] = 'x';
	assert_int_equal(secret_check_label(label), ERR_USAGE);
	assert_int_equal(secret_check_label("\xff"), ERR_USAGE);
}

static int
result(int rc)
{
	return rc == OK ? 0 : -rc;
}

/* In a session of its own: the exit status is minus what `ask` returns. */
static pid_t
start(int (*ask)(void), const char *tty)
{
	pid_t pid = fork();
	int fd;

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	setsid();
	if (tty) {
		fd = open(tty, O_RDWR);
		if (fd < 0 || ioctl(fd, TIOCSCTTY, 0) < 0)
			_exit(CHILD_DIFFERS);
	}
	_exit(result(ask()));
}

static int
finish(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

static int
ask_new(void)
{
	struct secret_source src = { 0 };
	struct secret s;
	int rc = secret_new(&src, &s, NULL);

	if (rc == OK && (!s.prompted || s.given.len != 5 ||
	    memcmp(s.given.p, "horse", 5) != 0))
		_exit(CHILD_DIFFERS);
	secret_clear(&s);
	return rc;
}

/* A job of cron that lacks its secret must end, and say why. */
static void
without_a_terminal_nobody_is_asked(void **state)
{
	(void)state;
	assert_int_equal(finish(start(ask_new, NULL)), ERR_USAGE);
}

/* Read what the child shows until it ends in `text`. */
static void
wait_for(int fd, char *seen, size_t cap, const char *text)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	size_t len = strlen(seen);
	ssize_t n;

	while (!strstr(seen, text)) {
		assert_int_equal(poll(&p, 1, WAIT_MS), 1);
		n = read(fd, seen + len, cap - 1 - len);
		assert_true(n > 0);
		len += (size_t)n;
		seen[len] = '\0';
	}
}

static int
type_in(const char *first, const char *second)
{
	char seen[1000] = "", name[64];
	int fd = posix_openpt(O_RDWR | O_NOCTTY), rc;
	pid_t pid;

	assert_true(fd >= 0);
	assert_int_equal(grantpt(fd), 0);
	assert_int_equal(unlockpt(fd), 0);
	assert_int_equal(ptsname_r(fd, name, sizeof(name)), 0);
	pid = start(ask_new, name);
	wait_for(fd, seen, sizeof(seen), "new passphrase: ");
	assert_int_equal(write(fd, first, strlen(first)), strlen(first));
	if (second) {
		wait_for(fd, seen, sizeof(seen), "once more: ");
		assert_int_equal(write(fd, second, strlen(second)),
		    strlen(second));
	}
	rc = finish(pid);
	assert_null(strstr(seen, "horse"));
	close(fd);
	return rc;
}

/* A mistyped passphrase is a lost repository; a shown one is no secret. */
static void
new_passphrases_are_asked_for_twice_unseen(void **state)
{
	(void)state;
	if (access("/dev/ptmx", R_OK | W_OK) != 0) {
		print_message("no pseudo-terminals here\n");
		skip();
	}
	assert_int_equal(type_in("horse\n", "horse\n"), OK);
	assert_int_equal(type_in("horse\n", "horsf\n"), ERR_USAGE);
	assert_int_equal(type_in("\n", NULL), ERR_USAGE);
}

static int
protect(void)
{
	struct rlimit core;

	secret_protect();
	if (prctl(PR_GET_DUMPABLE) != 0 || getrlimit(RLIMIT_CORE, &core) < 0 ||
	    core.rlim_cur != 0)
		return ERR_FAILED;
	return OK;
}

/* A core dump would hold the master key. */
static void
no_core_dumps(void **state)
{
	(void)state;
	assert_int_equal(finish(start(protect, NULL)), OK);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_variable_is_used_once_and_wiped),
		TEST(sources_have_an_order),
		TEST(password_files_lose_their_newline_only),
		TEST(password_commands_must_succeed),
		TEST(key_files_are_made_once),
		TEST(files_beneath_a_directory_are_known),
		TEST(costs_and_labels_have_bounds),
		TEST(without_a_terminal_nobody_is_asked),
		TEST(new_passphrases_are_asked_for_twice_unseen),
		TEST(no_core_dumps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
