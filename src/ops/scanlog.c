#include "ops/scanlog.h"

#include <string.h>

#include "base/err.h"
#include "ops/scan.h"
#include "sys/clock.h"
#include "sys/signals.h"

#define PROGRESS_NS (CLOCK_NS / 5)

const char *
scanlog_path(const struct scan *sc)
{
	return sc->path.len ? (const char *)sc->path.p : "/";
}

void
scanlog_problem(struct scan *sc, const char *text)
{
	sc->stats[SNAPREC_ERRORS]++;
	if (sc->o->problem)
		sc->o->problem(sc->o->arg, scanlog_path(sc), text);
}

/* What the source refused is a problem of one path; anything else ends the snapshot. */
int
scanlog_refused(struct scan *sc, int rc)
{
	if (rc == ERR_NOMEM)
		return rc;
	scanlog_problem(sc, rc == ERR_ABSENT ? "vanished while the snapshot was made" : err_text());
	return OK;
}

/* Progress, and a look at the signals. */
int
scanlog_tick(void *arg)
{
	struct scan *sc = arg;
	struct snapshot_progress p;
	int64_t now;

	if (sc->o->progress && (now = clock_steady_ns()) >= sc->next_progress_ns) {
		sc->next_progress_ns = now + PROGRESS_NS;
		p = (struct snapshot_progress){ .files = sc->stats[SNAPREC_FILES], .dirs = sc->stats[SNAPREC_DIRS],
			.bytes_total = sc->stats[SNAPREC_BYTES_TOTAL], .bytes_read = sc->file.bytes_read,
			.bytes_new = session_stats(sc->s)->bytes_new, .errors = sc->stats[SNAPREC_ERRORS], .path = scanlog_path(sc) };
		sc->o->progress(sc->o->arg, &p);
	}
	return signals_check();
}

int
scanlog_push(struct scan *sc, const char *name, size_t *old)
{
	size_t n = strlen(name);
	int rc = mem_buf_reserve(&sc->path, n + 2);

	*old = sc->path.len;
	if (rc)
		return rc;
	sc->path.p[sc->path.len++] = '/';
	memcpy(sc->path.p + sc->path.len, name, n + 1);
	sc->path.len += n;
	return OK;
}

void
scanlog_pop(struct scan *sc, size_t old)
{
	sc->path.len = old;
	if (sc->path.p)
		sc->path.p[old] = 0;
}
