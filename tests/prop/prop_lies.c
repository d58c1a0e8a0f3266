/*
 * prop_lies [TRIALS [SEED]]: index files that say something else than they should, with all their tags and MACs right, as only somebody
 * with the key can make them, or a fault of this program.
 *
 * A byte, number or row of a segment or table is another.  Then everything that reads an index does: loading, finding every chunk,
 * census, verify, settle and prune.  Nothing may crash, hang or read a chunk as another one; if verify finds nothing, neither before
 * nor after the segments are settled, then everything is there and counted (but what a table says was collected is believed); and
 * 'repair index' brings back what the packs hold, whatever the index said.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "codec/digest.h"
#include "format/indexfile.h"
#include "ops/prune.h"
#include "ops/snapshot.h"
#include "ops/verify.h"
#include "store/census.h"
#include "store/index_file.h"
#include "store/rebuild.h"
#include "tests/fault/every.h"
#include "tests/unit/support_recount.h"
#include "tests/unit/support_store.h"

#define FILES 64
#define ROWS 2000

struct run {
	struct every e;
	char files[FILES][INDEX_FILE_PATH];
	size_t count;
	struct name ids[ROWS];          /* of all chunks of the true index */
	uint8_t types[ROWS];
	size_t id_count;
	uint64_t random;
	unsigned long found, harmless, refused;
	char what[200], why[500];
};

static uint64_t
draw(struct run *u, uint64_t below)
{
	u->random = u->random * 6364136223846793005ull + 1442695040888963407ull;
	return (u->random >> 33) % below;
}

static bool
wrong(struct run *u, const char *text)
{
	snprintf(u->why, sizeof(u->why), "%s: %s", text, err_text());
	return false;
}

static struct support_disk *
clone(const struct support_disk *d)
{
	return support_disk_loss(d, support_disk_ops(d), &(struct support_loss){ .kind = SUPPORT_KEEP_ALL });
}

/* ------------------------------------------------------------------------------------------------------- lying */

/* Make all tags and the MAC those of what is there now. */
static void
seal(const struct repo *r, const struct indexfile_header *h, const struct indexfile_layout *l, uint8_t *p)
{
	uint8_t head[16 + INDEXFILE_MAC_OFF];
	uint64_t tags_len = l->upper_off - l->tags_off;
	struct name mac;

	for (uint64_t i = 0, at = 0; at < l->end; i++, at += INDEXFILE_BLOCK)
		index_file_tag(p + l->tags_off + i * INDEXFILE_TAG_LEN, r, h, INDEX_FILE_BODY, i, p + l->body_off + at,
		    (size_t)(l->end - at < INDEXFILE_BLOCK ? l->end - at : INDEXFILE_BLOCK));
	for (uint64_t i = 0, at = 0; at < tags_len; i++, at += INDEXFILE_BLOCK)
		index_file_tag(p + l->upper_off + i * INDEXFILE_TAG_LEN, r, h, INDEX_FILE_TAGS, i, p + l->tags_off + at,
		    (size_t)(tags_len - at < INDEXFILE_BLOCK ? tags_len - at : INDEXFILE_BLOCK));
	memcpy(head, "varve index head", 16);
	memcpy(head + 16, p, INDEXFILE_MAC_OFF);
	digest_keyed2(&mac, r->keys->index, head, sizeof(head), p + l->upper_off, (size_t)(l->file_len - l->upper_off));
	memcpy(p + INDEXFILE_MAC_OFF, mac.b, sizeof(mac.b));
}

/* A section, its first byte in the body, and the length of its rows. */
static size_t
section(struct run *u, const struct indexfile_layout *l, uint64_t *begin, uint64_t *end)
{
	const struct {
		uint64_t begin, end;
		size_t row;
	} all[] = { { l->keep, l->remove, INDEXFILE_KEEP_LEN }, { l->remove, l->packs, INDEXFILE_REMOVE_LEN },
		{ l->packs, l->frames, INDEXFILE_PACK_LEN }, { l->frames, l->rows, INDEXFILE_FRAME_LEN },
		{ l->rows, l->fanout, INDEXFILE_ROW_LEN }, { l->fanout, l->extra, INDEXFILE_FANOUT_LEN }, { l->extra, l->end, 4 } };
	size_t i = draw(u, 7);

	while (all[i].begin == all[i].end)
		i = (i + 1) % 7;
	*begin = all[i].begin;
	*end = all[i].end;
	return all[i].row;
}

static void
change(struct run *u, uint8_t *body, const struct indexfile_layout *l)
{
	static const uint32_t numbers[] = { 0, 1, 0x7fffffff, 0xffffffff };
	uint64_t begin, end;
	size_t row = section(u, l, &begin, &end), at = (size_t)draw(u, (end - begin) / row) * row, off = (size_t)draw(u, row / 4) * 4;
	uint8_t *p = body + begin + at, spare[64];
	uint32_t n;
	unsigned how = (unsigned)draw(u, 5);

	snprintf(u->what, sizeof(u->what), "rows of %zu, number %zu, byte %zu, change %u", row, at / row, off, how);
	memcpy(spare, p, row < sizeof(spare) ? row : sizeof(spare));
	memcpy(&n, p + off, 4);
	if (how == 0)
		n = numbers[draw(u, 4)];
	else if (how == 1)
		n += draw(u, 2) ? 1u : (uint32_t)-1;
	else if (how == 2)
		n ^= 1u << draw(u, 32);
	memcpy(p + off, &n, 4);
	if (row == INDEXFILE_ROW_LEN)   /* how deep a chunk is nobody proves: a chain that does not end there is cut by the reader */
		p[row - 1] = spare[row - 1];
	if (how < 3 || begin + at + 2 * row > end || row > sizeof(spare))
		return;
	memcpy(spare, p, row);
	memcpy(p, p + row, row);        /* the next one twice ... */
	if (how == 4)
		memcpy(p + row, spare, row);    /* ... or in its place */
}

/* Let one file of the index lie. */
static bool
lie(struct run *u, struct repo *r)
{
	const char *path = u->files[draw(u, u->count)];
	struct indexfile_layout l;
	struct indexfile_header h;
	struct io_file *f = NULL;
	uint8_t *p;
	size_t len;
	bool ok;

	if (io_read_file(r->io, path, 1u << 24, &p, &len))
		return wrong(u, "read");
	ok = indexfile_header_decode(&h, p, INDEXFILE_HEADER_LEN) == CURSOR_OK;
	indexfile_layout(&h, &l);
	if (ok) {
		change(u, p + l.body_off, &l);
		seal(r, &h, &l, p);
	}
	ok = ok && !io_unlink(r->io, path) && !io_create(r->io, path, &f) && !io_append(r->io, f, p, len) && !io_sync(r->io, f);
	(void)io_close(r->io, f);
	free(p);
	return ok || wrong(u, "write");
}

/* ---------------------------------------------------------------------------------------------------- believing */

/* Whatever comes out is what its id says: reader_get() proves that, and that it ends is all that is asked here. */
static void
read_all(struct run *u, struct repo *r)
{
	struct index_totals totals;
	struct index *ix = NULL;
	struct reader *rd = NULL;
	struct census c = { 0 };
	const uint8_t *p;
	struct name is;
	size_t len;

	if (io_lock(r->io, IO_SHARED, false) == OK && index_load(r, &ix) == OK && reader_new(r, ix, 8u << 20, &rd) == OK) {
		(void)!index_totals(ix, &totals);
		(void)!index_packs_whole(ix);
		(void)!census_load(r, ix, &c);
		for (size_t i = 0; i < index_table_count(ix); i++)
			(void)!index_file_prove(index_table_at(ix, i));
		for (size_t i = 0; i < u->id_count; i++)
			if (reader_get(rd, &u->ids[i], u->types[i], &p, &len) == OK) {
				digest_chunk_id(&is, r->keys->id, u->types[i], p, len);
				if (name_cmp(&is, &u->ids[i]) != 0)
					(void)wrong(u, "a chunk reads as another one");
			}
	}
	census_clear(&c);
	reader_free(rd);
	index_free(ix);
	(void)!io_lock(r->io, IO_UNLOCKED, false);
}

/* Does it find something? */
static bool
verify_finds(struct repo *r)
{
	const struct verify_options o = { .jobs = 1, .no_state = true, .read = true };
	struct verify_result res;
	bool finds = verify_run(r, &o, &res) != OK || res.damages.total > 0;

	verify_clear(&res);
	return finds;
}

static bool
believe(struct run *u, struct support_disk *d)
{
	const struct prune_options all = { .max_unused = 0, .max_rewrite = UINT64_MAX };
	struct support_recount_result res;
	struct prune_result pruned;
	struct settle_stats stats;
	struct repo *r;
	bool finds, settled;

	if (support_store_open(d, &r))
		return wrong(u, "open");
	read_all(u, r);
	finds = verify_finds(r);
	settled = settle_run(r, NULL, 0, false, &stats) == OK;
	u->refused += !settled;
	if (finds || !settled || verify_finds(r))
		u->found++;
	else if (support_recount(r, SUPPORT_RECOUNT_SAFE, &res) || strcmp(res.why, "I0: a snapshot was collected") == 0)
		u->harmless++;
	else
		snprintf(u->why, sizeof(u->why), "verify finds nothing: %s", res.why);
	(void)!prune_run(r, &all, &pruned);
	repo_close(r);
	return !u->why[0];
}

static bool
repair(struct run *u, struct support_disk *d)
{
	const struct rebuild_options o = { 0 };
	struct support_recount_result res;
	struct rebuild_stats stats;
	struct settle_stats settled;
	struct repo *r;
	bool ok;

	if (support_store_open(d, &r))
		return wrong(u, "open");
	ok = !io_lock(r->io, IO_EXCLUSIVE, false) && !rebuild_index(r, &o, &stats);
	ok = !io_lock(r->io, IO_UNLOCKED, false) && ok;
	if (!ok)
		(void)wrong(u, "repair index");
	else if (!(ok = support_recount(r, SUPPORT_RECOUNT_SAFE, &res) && !settle_run(r, NULL, 0, false, &settled) &&
	    support_recount(r, SUPPORT_RECOUNT_EXACT, &res)))
		snprintf(u->why, sizeof(u->why), "after repair index: %s", res.why);
	repo_close(r);
	return ok;
}

static bool
trial(struct run *u, const struct support_disk *whole)
{
	struct support_disk *d = clone(whole), *again;
	struct repo *r;
	bool ok;

	u->why[0] = 0;
	ok = support_store_open(d, &r) == OK && lie(u, r);
	repo_close(r);
	again = clone(d);
	ok = ok && believe(u, d) && repair(u, again);
	support_disk_free(d);
	support_disk_free(again);
	return ok;
}

/* ----------------------------------------------------------------------------------------------------- the run */

static int
add_file(void *arg, const char *name)
{
	struct run *u = arg;

	if (u->count < FILES)
		snprintf(u->files[u->count++], INDEX_FILE_PATH, "index/%.56s", name);
	return OK;
}

static bool
learn(struct run *u)
{
	struct index *ix = NULL;
	struct census c = { 0 };
	struct repo *r;
	bool ok;

	u->count = u->id_count = 0;
	if (support_store_open(u->e.d, &r))
		return wrong(u, "open");
	ok = !io_lock(r->io, IO_SHARED, false) && !index_load(r, &ix) && !census_load(r, ix, &c) && !io_list(r->io, "index", add_file, u);
	for (size_t i = 0; i < c.cell_count && u->id_count < ROWS; i++) {
		u->ids[u->id_count] = c.cells[i].id;
		u->types[u->id_count++] = c.cells[i].type;
	}
	census_clear(&c);
	index_free(ix);
	repo_close(r);
	return ok;
}

static struct run *running;             /* for the handler */

static void
died(int sig)
{
	char text[300];
	int n = snprintf(text, sizeof(text), "# signal %d, %s\nnot ok 1 - it ends\n", sig, running->what);

	(void)!write(1, text, (size_t)n);
	signal(sig, SIG_DFL);
	raise(sig);
}

static bool
run(struct run *u, unsigned long trials)
{
	static const enum every_fixture of[] = { EVERY_HISTORY, EVERY_PRUNE, EVERY_SMALL };
	struct support_disk *whole[3];
	bool ok = true;

	for (unsigned i = 0; i < 3; i++)
		whole[i] = every_fixture_make(&u->e, of[i]) ? u->e.d : NULL;
	for (unsigned long i = 0; i < trials; i++) {
		u->e.d = whole[i * 3 / trials];
		if ((i == 0 || u->e.d != whole[(i - 1) * 3 / trials]) && !(u->e.d && learn(u))) {
			ok = false;
			break;
		}
		if (!trial(u, u->e.d)) {
			printf("# trial %lu, %s: %s\n", i, u->what, u->why);
			ok = false;
		}
	}
	for (unsigned i = 0; i < 3; i++)
		support_disk_free(whole[i]);
	return ok;
}

int
main(int argc, char **argv)
{
	unsigned long trials = argc > 1 ? strtoul(argv[1], NULL, 0) : 300;
	unsigned long long seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (unsigned long long)getpid();
	const char *tmp = getenv("TMPDIR");
	struct run *u = calloc(1, sizeof(*u));
	char dir[280];
	bool ok;

	signal(SIGALRM, died);
	signal(SIGSEGV, died);
	signal(SIGABRT, died);
	setenv("VARVE_STATE_DIR", "", 1);
	snprintf(dir, sizeof(dir), "%s/varve-lies-XXXXXX", tmp ? tmp : "/tmp");
	if (!u || !mkdtemp(dir))
		return 1;
	u->random = seed;
	running = u;
	ok = every_source(&u->e, dir) && run(u, trials);
	every_remove_tree(dir);
	printf("%sok 1 - %lu lies of the index, seed %llu: %lu found, %lu harmless; %lu times nothing was settled\n1..1\n", ok ? "" : "not ",
	    trials, seed, u->found, u->harmless, u->refused);
	free(u);
	return !ok;
}
