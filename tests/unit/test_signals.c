/* signals: a snapshot that is interrupted must get the chance to publish what it has, and a second Ctrl-C must end it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#undef fail                              /* base/err.h has one too */

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "sys/clock.h"
#include "sys/signals.h"

/* Wait status of a process that gets the signals one after the other; it exits with 7 if it lived and saw them. */
static int
status_after(int one, int two)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		signal(one, SIG_IGN);   /* as in the background of a script */
		signals_init();
		if (signals_stop_asked() || signals_check() != OK)
			_exit(1);
		raise(one);
		if (one != SIGPIPE && signals_check() != ERR_INTERRUPTED)
			_exit(2);
		if (one == SIGPIPE && signals_check() != OK)
			_exit(3);
		raise(two);
		_exit(7);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void
test_first_signal_asks_and_second_interrupt_kills(void **state)
{
	int status;

	(void)state;
	status = status_after(SIGINT, SIGINT);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
	status = status_after(SIGINT, SIGTERM);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	status = status_after(SIGTERM, SIGTERM);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

/* A pager that is closed must not kill a program that holds a lock. */
static void
test_broken_pipe_is_ignored(void **state)
{
	int status;

	(void)state;
	status = status_after(SIGPIPE, SIGPIPE);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

/* Nanoseconds, not seconds, and a steady clock that does not go back: rates and times of snapshots. */
static void
test_clocks_are_in_nanoseconds(void **state)
{
	int64_t steady = clock_steady_ns(), coarse;

	(void)state;
	assert_true(clock_wall_ns() / CLOCK_NS > 1700000000);
	coarse = clock_coarse_ns();
	assert_true(llabs(clock_wall_ns() - coarse) < 10 * CLOCK_NS);
	assert_true(clock_steady_ns() >= steady);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_signal_asks_and_second_interrupt_kills),
		cmocka_unit_test(test_broken_pipe_is_ignored),
		cmocka_unit_test(test_clocks_are_in_nanoseconds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
