/*
 * every_failure [CASES | all [SEED [NAME]]]: every operation (every_*.c) again and again in one process, while the N-th thing that it
 * asks for fails, once or from then on: operations of the repository's disk (EIO, ENOSPC; writes are done by half), allocations and
 * threads, system calls; or it is interrupted.  For every N, or for so many of each kind of failure of each operation.
 *
 * What must hold after each.  It ends, with every allocation freed.  If it says that it failed, it says why, and does not call a failing
 * disk damage.  If it says success, the answer and the repository are those of a run in which nothing failed.  Whatever it says: the
 * repository opens, all of its snapshots are there and read back, no count is below the truth; and the same operation, done once more
 * with nothing failing, brings it to where it would have been.
 */
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "source/dbserve.h"
#include "store/pins.h"
#include "store/settle.h"
#include "store/snapshots.h"
#include "tests/fault/every.h"
#include "tests/fault/seam.h"
#include "tests/unit/support_recount.h"
#include "tests/unit/support_store.h"

#define DEFAULT_CASES 3u
#define ROOTS 64

/* What the repository holds, as far as it must be the same after the same operation. */
struct state {
	int opened;                     /* rc */
	bool safe, exact;               /* recounts; exact: after a settle */
	char roots[ROOTS][NAME_HEX + 4];        /* sorted, each once: 'S' or 'F', root, 'p' if pinned */
	size_t count;
	bool known[EVERY_SNAPS];        /* is this one of the fixture's there? */
	char why[400];
};

/* One thing that fails. */
struct fault {
	unsigned how;                   /* EVERY_ON_... */
	int err;
	bool forever;
	uint64_t nth;
};

struct run {
	struct every fixture[EVERY_FIXTURES];
	struct state before[EVERY_FIXTURES];
	char dir[280], said[8192];
	struct state after;             /* of the operation with nothing failing */
	int rc;
	bool writes;
	unsigned long cases, fired, recovered, wrong, told;     /* told: of one operation */
	char why[600];
};

static struct {
	const char *op;
	struct fault f;
} now;                                  /* for the handler of signals */

/* --------------------------------------------------------------------------------------------------- state */

static int
compare_roots(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void
add_root(struct state *s, char where, const struct snapshots_item *it, const struct graves *pins)
{
	char hex[NAME_HEX], text[NAME_HEX + 4];

	name_hex(&it->rec.root, hex);
	snprintf(text, sizeof(text), "%c%s%s", where, hex, pins_have(pins, &it->sid) ? "p" : "");
	for (size_t i = 0; i < s->count; i++)
		if (strcmp(s->roots[i], text) == 0)
			return;
	if (s->count < ROOTS)
		strcpy(s->roots[s->count++], text);
}

static void
add_records(struct state *s, struct repo *r, bool forgotten, const struct every *e)
{
	struct graves pins = { 0 };
	struct snapshots all;

	if (pins_load(r, &pins) || snapshots_load(r, forgotten, NULL, NULL, &all)) {
		snprintf(s->why, sizeof(s->why), "records: %s", err_text());
		free(pins.p);
		return;
	}
	for (size_t i = 0; i < all.count; i++) {
		add_root(s, forgotten ? 'F' : 'S', &all.items[i], &pins);
		for (size_t k = 0; k < e->count; k++)
			if (name_sid_cmp(&e->sids[k], &all.items[i].sid) == 0)
				s->known[k] = true;
	}
	free(pins.p);
	snapshots_clear(&all);
}

static void
look(const struct every *e, struct support_disk *d, bool settled, struct state *s)
{
	struct support_recount_result res;
	struct settle_stats stats;
	struct repo *r;

	*s = (struct state){ .opened = every_open(d, 0, &r) };
	if (s->opened) {
		snprintf(s->why, sizeof(s->why), "%s", err_text());
		return;
	}
	add_records(s, r, false, e);
	add_records(s, r, true, e);
	qsort(s->roots, s->count, sizeof(s->roots[0]), compare_roots);
	s->safe = support_recount(r, SUPPORT_RECOUNT_SAFE, &res);
	if (settled && s->safe)
		s->exact = settle_run(r, NULL, 0, false, &stats) == OK && support_recount(r, SUPPORT_RECOUNT_EXACT, &res);
	if (!s->safe || !s->exact)
		snprintf(s->why, sizeof(s->why), "%s", res.why);
	repo_close(r);
}

/* Is it what it should be?  more: what was reported as failed, or as made in part, may be there besides. */
static bool
is_state(const struct every *e, const struct state *is, const struct state *want, unsigned more)
{
	size_t found = 0;

	for (size_t i = 0; i < is->count; i++)
		for (size_t k = 0; k < want->count; k++)
			found += strcmp(is->roots[i], want->roots[k]) == 0;
	if (e->op->how & EVERY_ANEW)
		return is->opened == want->opened && is->safe == want->safe && is->exact == want->exact && is->count >= want->count;
	return is->opened == want->opened && is->safe == want->safe && is->exact == want->exact && found == want->count &&
	    is->count <= want->count + more;
}

/* ---------------------------------------------------------------------------------------------------- a case */

static void wrong(struct run *u, const struct fault *f, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

static void
wrong(struct run *u, const struct fault *f, const char *fmt, ...)
{
	const char *what = f->how == EVERY_ON_DISK ? "disk" : f->how == EVERY_ON_MEMORY ? "memory" : f->how == EVERY_ON_CALLS ? "call " :
	    "signal";
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(u->why, sizeof(u->why), fmt, ap);
	va_end(ap);
	u->wrong++;
	if (u->told++ < 6)
		printf("# %s, %s %ju %s%s, %s: %s\n", now.op, what, (uintmax_t)f->nth, f->how == EVERY_ON_CALLS ? seam_refused_what() : "",
		    f->forever ? " and all later" : " once", strerror(f->err), u->why);
	if (getenv("EVERY_STOP")) {
		fflush(stdout);
		_exit(1);
	}
}

static struct support_disk *
clone(const struct support_disk *d)
{
	return support_disk_loss(d, support_disk_ops(d), &(struct support_loss){ .kind = SUPPORT_KEEP_ALL });
}

static void
arm(struct every *e, const struct fault *f)
{
	uint32_t kinds = SUPPORT_WRITES | (f->err == ENOSPC ? 0 : SUPPORT_READS | SUPPORT_REST);

	if (f->how == EVERY_ON_DISK)
		support_disk_fail(e->d, kinds, f->nth, f->err, f->forever);
	else if (f->how)
		seam_arm(f->how == EVERY_ON_MEMORY ? SEAM_MEMORY : f->how == EVERY_ON_CALLS ? SEAM_CALLS : SEAM_SIGNALS, f->nth, f->err,
		    f->forever);
}

/* Stop failing: how many were asked for, how many failed. */
static void
disarm(struct every *e, const struct fault *f, uint64_t *asked, uint64_t *failed)
{
	*asked = f->how == EVERY_ON_DISK ? support_disk_asked(e->d) : seam_asked();
	*failed = f->how == EVERY_ON_DISK ? support_disk_failures(e->d) : seam_refused();
	support_disk_fail(e->d, 0, 0, 0, false);
	seam_disarm();
}

/* Run the operation on e->d; f may be one that never fails. */
static int
perform(struct every *e, const struct fault *f, uint64_t *asked, uint64_t *failed)
{
	int rc = OK;

	e->said_len = 0;
	e->said[0] = 0;
	e->r = NULL;
	if (!(e->op->how & EVERY_OPENS) && (rc = support_store_open(e->d, &e->r)))
		return rc;
	arm(e, f);
	err_set(ERR_FAILED, "");
	rc = e->op->run(e);
	disarm(e, f, asked, failed);
	e->r = repo_close(e->r);
	every_remove_tree(e->target);
	return rc;
}

static bool
was_written(const struct support_disk *d)
{
	for (size_t i = 0; i < support_disk_ops(d); i++)
		if (support_disk_op(d, i)->kind <= SUPPORT_SYNC_DIR)
			return true;
	return false;
}

/* Nothing is lost, and the operation can be done again. */
static void
check_recovery(struct run *u, struct every *e, const struct fault *f)
{
	bool half = e->op->how & EVERY_HALF;
	const struct fault none = { 0 };
	uint64_t asked, failed;
	struct state s;
	int rc;

	u->recovered++;
	look(e, e->d, false, &s);
	if (s.opened && u->before[e->op->on].opened == OK)
		wrong(u, f, "it does not open any more: %s", s.why);
	if (u->before[e->op->on].safe && !s.safe && s.opened == OK && !half)
		wrong(u, f, "afterwards: %s", s.why);
	for (size_t i = 0; s.opened == OK && i < e->count; i++)
		if (!half && !s.known[i] && u->before[e->op->on].known[i] && u->after.known[i])
			wrong(u, f, "snapshot %zu is gone", i);
	rc = perform(e, &none, &asked, &failed);
	if (rc != u->rc && (rc != e->op->also || !rc))
		wrong(u, f, "once more: %d, not %d: %s", rc, u->rc, err_text());
	look(e, e->d, true, &s);
	if (!is_state(e, &s, &u->after, 1) && !(half && f->err == EIO))
		wrong(u, f, "once more, the repository is another: %d %d %zu, not %d %d %zu %s", s.safe, s.exact, s.count, u->after.safe,
		    u->after.exact, u->after.count, s.why);
}

static void
check_success(struct run *u, struct every *e, const struct fault *f)
{
	struct state s;

	if (!(e->op->how & (EVERY_MUTE | EVERY_FORGIVES)) && strcmp(e->said, u->said) != 0)
		wrong(u, f, "success, but it says '%.200s', not '%.200s'", e->said, u->said);
	if (!u->writes || (e->op->how & EVERY_HALF && f->err == EIO))
		return;
	look(e, e->d, true, &s);
	if (!is_state(e, &s, &u->after, 0))
		wrong(u, f, "success, but the repository is another: %d %d %zu, not %d %d %zu %s", s.safe, s.exact, s.count, u->after.safe,
		    u->after.exact, u->after.count, s.why);
}

/* Did it fail at all?  asked: what was asked for. */
static bool
one_case(struct run *u, const struct every_op *op, const struct fault *f, uint64_t *asked)
{
	size_t live = seam_live();
	uint64_t made = seam_made(), failed = 0;
	struct every *e = &u->fixture[op->on];
	struct support_disk *whole = e->d;
	int rc;

	now.f = *f;
	e->op = op;
	e->d = clone(whole);
	rc = perform(e, f, asked, &failed);
	u->cases++;
	u->fired += failed > 0;
	if (failed && rc < 0 && rc != u->rc) {
		if (!*err_text())
			wrong(u, f, "it failed with %d and says nothing", rc);
		/* A medium that cannot be read is damage to some. */
		if ((rc == ERR_CORRUPT || rc == ERR_AUTH || rc == ERR_KEY) && f->err != EIO)
			wrong(u, f, "%d, as if something were damaged: %s", rc, err_text());
	}
	if (failed && rc < 0 && op->how & EVERY_SPARES && f->err == ENOSPC && !f->forever)
		wrong(u, f, "one moment without space: %s", err_text());
	if (failed && rc != u->rc && was_written(e->d))
		check_recovery(u, e, f);
	else if (failed && rc == u->rc)
		check_success(u, e, f);
	else if (!failed && rc != u->rc)
		wrong(u, f, "nothing failed, and it says %d, not %d: %s", rc, u->rc, err_text());
	support_disk_free(e->d);
	e->d = whole;
	if (seam_live() != live) {
		wrong(u, f, "%zd allocations were not freed", (ssize_t)(seam_live() - live));
		if (u->told < 6)
			seam_print_since(made);
	}
	return failed > 0;
}

/* ------------------------------------------------------------------------------------------------- operations */

/* The operation with nothing failing: what is to be compared with. */
static bool
reference(struct run *u, const struct every_op *op)
{
	const struct fault none = { 0 };
	struct every *e = &u->fixture[op->on];
	struct support_disk *whole = e->d;
	uint64_t asked, failed;

	e->op = op;
	e->d = clone(whole);
	u->rc = perform(e, &none, &asked, &failed);
	u->writes = was_written(e->d);
	memcpy(u->said, e->said, sizeof(u->said));
	if (op->says && strncmp(u->said, op->says, strlen(op->says)) != 0)
		wrong(u, &none, "it says '%.300s', not '%.300s'", u->said, op->says);
	if (getenv("EVERY_SAID"))
		printf("# %s: %s\n", op->name, u->said);
	look(e, e->d, true, &u->after);
	if (u->before[op->on].safe && !u->after.exact)
		printf("# %s: %s\n", op->name, u->after.why);
	support_disk_free(e->d);
	e->d = whole;
	return u->rc != ERR_FAILED;
}

struct plan {
	unsigned long each;             /* about so many cases of each operation and kind of failure; 0: all */
	uint64_t next;                  /* of a generator: which */
};

static uint64_t
draw(uint64_t *state)
{
	*state = *state * 6364136223846793005ull + 1442695040888963407ull;
	return *state >> 33;
}

/* The N of one kind of failure; returns how many there are. */
static unsigned long
every_nth(struct run *u, const struct every_op *op, struct fault f, struct plan *p)
{
	struct fault none = f;
	uint64_t asked = 0, step = 1, ignored;

	none.nth = 0;
	one_case(u, op, &none, &asked);
	u->cases--;
	if (p->each && !(op->how & EVERY_WHOLE) && asked > p->each)
		step = asked / p->each;
	/* The order of threads may let it ask less often than it did. */
	for (f.nth = 1 + draw(&p->next) % step; f.nth <= asked; f.nth += 1 + draw(&p->next) % (2 * step - 1))
		if (!one_case(u, op, &f, &ignored) && f.nth + 8 > asked)
			break;
	return asked;
}

static unsigned long
every_fault(struct run *u, const struct every_op *op, struct plan *p)
{
	static const struct fault faults[] = {
		{ EVERY_ON_DISK, EIO, false, 0 }, { EVERY_ON_DISK, EIO, true, 0 },
		{ EVERY_ON_DISK, ENOSPC, false, 0 }, { EVERY_ON_DISK, ENOSPC, true, 0 },
		{ EVERY_ON_MEMORY, ENOMEM, false, 0 }, { EVERY_ON_MEMORY, ENOMEM, true, 0 },
		{ EVERY_ON_CALLS, EIO, false, 0 }, { EVERY_ON_CALLS, EIO, true, 0 }, { EVERY_ON_CALLS, ENOSPC, false, 0 },
		{ EVERY_ON_SIGNALS, EINTR, true, 0 },
	};
	unsigned long n = 0;

	now.op = op->name;
	u->told = 0;
	if (!reference(u, op)) {
		wrong(u, &faults[0], "it fails by itself: %s", err_text());
		return 0;
	}
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		if (op->how & faults[i].how)
			n += every_nth(u, op, faults[i], p);
	return n;
}

static const struct every_op *const tables[] = { every_writes, every_reads, every_repairs };

static bool
every_op(struct run *u, const struct every_op *op, struct plan *p, unsigned number)
{
	unsigned long cases = u->cases, fired = u->fired, bad = u->wrong, n = every_fault(u, op, p);

	printf("%sok %u - %s: %lu cases of %lu, %lu failed\n", u->wrong > bad ? "not " : "", number, op->name, u->cases - cases, n,
	    u->fired - fired);
	fflush(stdout);
	return u->wrong == bad;
}

/* ----------------------------------------------------------------------------------------------------- the run */

static void
died(int sig)
{
	char text[300];
	int n = snprintf(text, sizeof(text), "# signal %d: %s, kind %u, number %ju, %s, errno %d\nnot ok 1 - it ends\n", sig,
	    now.op ? now.op : "", now.f.how, (uintmax_t)now.f.nth, now.f.forever ? "and all later" : "once", now.f.err);

	(void)!write(1, text, (size_t)n);
	signal(sig, SIG_DFL);
	raise(sig);
}

static bool
begin(struct run *u)
{
	const char *tmp = getenv("TMPDIR");
	struct every base = { 0 };

	signal(SIGABRT, died);
	signal(SIGSEGV, died);
	signal(SIGTERM, died);
	setenv("VARVE_STATE_DIR", "", 1);
	umask(022);
	snprintf(u->dir, sizeof(u->dir), "%s/varve-every-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(u->dir) || chmod(u->dir, 0777) || !every_source(&base, u->dir))
		return false;
	snprintf(base.target, sizeof(base.target), "%s/target", u->dir);
	for (unsigned i = 0; i < EVERY_FIXTURES; i++) {
		struct support_disk *d;

		u->fixture[i] = base;
		if (!every_fixture_make(&u->fixture[i], (enum every_fixture)i))
			return false;
		d = clone(u->fixture[i].d);
		look(&u->fixture[i], d, false, &u->before[i]);
		support_disk_free(d);
	}
	return every_change(&base, 50);
}

/* Run all whose names begin so. */
static bool
run_all(struct run *u, const char *name, struct plan *p)
{
	unsigned number = 0;
	bool ok = true;

	for (size_t t = 0; t < sizeof(tables) / sizeof(tables[0]); t++)
		for (const struct every_op *op = tables[t]; op->name; op++)
			if (strncmp(op->name, name, strlen(name)) == 0)
				ok = every_op(u, op, p, ++number) && ok;
	printf("1..%u\n", number);
	return ok;
}

int
main(int argc, char **argv)
{
	bool ok;
	unsigned long long seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (unsigned long long)getpid();
	struct plan p = { .each = argc > 1 ? strtoul(argv[1], NULL, 0) : DEFAULT_CASES, .next = seed };
	struct run *u;

	if (argc == 2 && strcmp(argv[1], DBSERVE_ARG) == 0)
		_exit(dbserve_run());   /* its filter allows no search for leaks */
	u = calloc(1, sizeof(*u));
	ok = u && begin(u) && run_all(u, argc > 3 ? argv[3] : "", &p);
	if (u) {
		printf("# seed %ju: %lu cases, %lu in which something failed, %lu recoveries, %lu wrong\n", (uintmax_t)seed, u->cases, u->fired,
		    u->recovered, u->wrong);
		for (unsigned i = 0; i < EVERY_FIXTURES; i++)
			support_disk_free(u->fixture[i].d);
		every_remove_tree(u->dir);
	}
	free(u);
	return !ok;
}
