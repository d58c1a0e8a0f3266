#include "sys/signals.h"

#include <signal.h>
#include <stddef.h>

#include "base/err.h"

/* A handler has nothing else to write to: the other exception, beside the
 * error note, to "no mutable file-scope data". */
static volatile sig_atomic_t stop_asked;

static void
on_stop(int sig)
{
	(void)sig;
	stop_asked = 1;
}

/* No SA_RESTART: whoever waits for a pipe or a lock wakes up and can look. */
static void
catch(int sig, int flags)
{
	struct sigaction sa = { .sa_handler = on_stop, .sa_flags = flags };

	sigemptyset(&sa.sa_mask);
	sigaction(sig, &sa, NULL);
}

void
signals_init(void)
{
	signal(SIGPIPE, SIG_IGN);
	catch(SIGINT, (int)SA_RESETHAND);
	catch(SIGTERM, 0);
}

bool
signals_stop_asked(void)
{
	return stop_asked != 0;
}

int
signals_check(void)
{
	return stop_asked ? fail(ERR_INTERRUPTED, "interrupted") : OK;
}
