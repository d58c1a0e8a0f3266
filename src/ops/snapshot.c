/*
 * snapshot: choose the parent, walk, commit.
 *
 *     session_begin (shared lock, index) -> records (parent, writer's chain) -> scan -> session_commit
 */
#include "ops/snapshot.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/version.h"
#include "format/treenode.h"
#include "ops/retention.h"
#include "ops/scan.h"
#include "store/session.h"
#include "store/snapshots.h"
#include "sys/child.h"
#include "sys/clock.h"
#include "sys/fsys.h"
#include "sys/host.h"

struct run {
	struct repo *r;
	const struct snapshot_options *o;
	struct session *s;
	struct scan scan;
	struct snapshots all;
	const struct snapshots_item *parent;
	struct snaprec rec;
	char host[256], user[256];
	char **paths;                   /* absolute, sorted by components, none beneath another */
	size_t path_count;
	struct snaprec_string *path_strings, *tag_strings;
	char *tag_mem;
	struct snaprec_owner *users, *groups;
	struct mem_buf owner_names;
};

/* ------------------------------------------------------------------------------------------------------- paths */

/* "/" sorts before every other byte, so that what lies beneath a path follows it. */
static int
path_cmp(const void *a, const void *b)
{
	const unsigned char *x = *(const unsigned char *const *)a, *y = *(const unsigned char *const *)b;
	int cx, cy;

	while (*x && *x == *y) {
		x++;
		y++;
	}
	cx = *x == 0 ? -1 : *x == '/' ? 0 : *x;
	cy = *y == 0 ? -1 : *y == '/' ? 0 : *y;
	return cx - cy;
}

static bool
is_beneath(const char *path, const char *top)
{
	size_t n = strlen(top);

	if (strcmp(top, "/") == 0)
		return true;
	return strncmp(path, top, n) == 0 && (path[n] == 0 || path[n] == '/');
}

static int
gather_paths(struct run *u)
{
	size_t n = 0;
	int rc = mem_new((void **)&u->paths, mem_array(u->o->path_count + 1, sizeof(char *)));

	for (size_t i = 0; rc == OK && i < u->o->path_count; i++)
		if ((rc = fsys_resolve(u->o->paths[i], &u->paths[u->path_count])) == OK)
			u->path_count++;
	if (rc)
		return rc;
	if (u->path_count)
		qsort(u->paths, u->path_count, sizeof(char *), path_cmp);
	for (size_t i = 0; i < u->path_count; i++) {
		if (n > 0 && is_beneath(u->paths[i], u->paths[n - 1]))
			free(u->paths[i]);
		else
			u->paths[n++] = u->paths[i];
	}
	u->path_count = n;
	return OK;
}

static int
string_cmp(const void *a, const void *b)
{
	const struct snaprec_string *x = a, *y = b;
	size_t n = x->len < y->len ? x->len : y->len;
	int c = memcmp(x->p, y->p, n);

	return c ? c : x->len < y->len ? -1 : x->len > y->len;
}

static uint32_t
sort_unique(struct snaprec_string *s, size_t count)
{
	size_t n = 0;

	if (count)
		qsort(s, count, sizeof(*s), string_cmp);
	for (size_t i = 0; i < count; i++)
		if (n == 0 || string_cmp(&s[i], &s[n - 1]) != 0)
			s[n++] = s[i];
	return (uint32_t)n;
}

/* Paths and tags of the record, as the format wants them. */
static int
record_strings(struct run *u)
{
	size_t n = u->o->from_stdin || u->o->command ? 1 : u->path_count, used = 0;
	int rc;

	if ((rc = mem_new((void **)&u->path_strings, mem_array(n + 1, sizeof(*u->path_strings)))) ||
	    (rc = mem_new((void **)&u->tag_strings, mem_array(u->o->tag_count + 1, sizeof(*u->tag_strings)))))
		return rc;
	if (u->o->from_stdin || u->o->command) {
		const char *name = u->o->name ? u->o->name : "stdin";
		char *path;

		if ((rc = mem_new((void **)&path, strlen(name) + 2)))
			return rc;
		path[0] = '/';
		memcpy(path + 1, name, strlen(name));
		u->paths[u->path_count++] = path;
	}
	for (size_t i = 0; i < u->path_count; i++)
		u->path_strings[i] = (struct snaprec_string){ (const uint8_t *)u->paths[i], (uint32_t)strlen(u->paths[i]) };
	for (size_t i = 0; i < u->o->tag_count; i++)
		if (u->o->tags[i][0])
			u->tag_strings[used++] = (struct snaprec_string){ (const uint8_t *)u->o->tags[i],
				(uint32_t)strlen(u->o->tags[i]) };
	u->rec.paths = u->path_strings;
	u->rec.path_count = sort_unique(u->path_strings, u->path_count);
	u->rec.tags = u->tag_strings;
	u->rec.tag_count = sort_unique(u->tag_strings, used);
	return OK;
}

/* ------------------------------------------------------------------------------------------------------ parent */

static bool
has_path(const struct snaprec *rec, const char *path)
{
	struct snaprec_string s;
	struct cursor c;

	cursor_init(&c, rec->paths_raw.p, rec->paths_raw.len);
	while (snaprec_next_string(&c, &s))
		if (s.len == strlen(path) && memcmp(s.p, path, s.len) == 0)
			return true;
	return false;
}

static bool
same_paths(const struct run *u, const struct snaprec *rec)
{
	struct snaprec_string s;
	struct cursor c;
	uint32_t n = 0;

	cursor_init(&c, rec->paths_raw.p, rec->paths_raw.len);
	while (snaprec_next_string(&c, &s)) {
		if (n >= u->rec.path_count || string_cmp(&s, &u->rec.paths[n]) != 0)
			return false;
		n++;
	}
	return n == u->rec.path_count;
}

static bool
same_host(const struct run *u, const struct snaprec *rec)
{
	return rec->host.len == strlen(u->host) && memcmp(rec->host.p, u->host, rec->host.len) == 0;
}

static int
named_parent(struct run *u)
{
	char hex[NAME_SID_HEX];
	size_t n = strlen(u->o->parent);

	for (size_t i = 0; i < u->all.count; i++) {
		name_sid_hex(&u->all.items[i].sid, hex);
		if (strncmp(hex, u->o->parent, n) != 0)
			continue;
		if (u->parent)
			return fail(ERR_USAGE, "--parent '%s' names more than one snapshot", u->o->parent);
		u->parent = &u->all.items[i];
	}
	return u->parent ? OK : fail(ERR_USAGE, "--parent '%s': no such snapshot ('varve list' shows them)", u->o->parent);
}

static bool
shares_path(const struct run *u, const struct snaprec *rec)
{
	for (size_t i = 0; i < u->path_count; i++)
		if (has_path(rec, u->paths[i]))
			return true;
	return false;
}

/* Of this host; one of the future only if there is no other. */
static const struct snapshots_item *
newest_that(const struct run *u, bool (*fits)(const struct run *, const struct snaprec *))
{
	const struct snapshots_item *it, *ahead = NULL;
	int64_t until_ns = clock_wall_ns() + RETENTION_AHEAD_NS;

	for (size_t i = u->all.count; i-- > 0;) {
		it = &u->all.items[i];
		if (!same_host(u, &it->rec) || !fits(u, &it->rec))
			continue;
		if (it->rec.begin_ns <= until_ns)
			return it;
		ahead = ahead ? ahead : it;
	}
	return ahead;
}

/* Newest snapshot of this host and these paths, else the newest of this host that has one of them. */
static int
choose_parent(struct run *u)
{
	if (u->o->parent && strcmp(u->o->parent, "none") == 0)
		return OK;
	if (u->o->parent)
		return named_parent(u);
	u->parent = newest_that(u, same_paths);
	if (!u->parent)
		u->parent = newest_that(u, shares_path);
	return OK;
}

/* The writer's chain (SR-4). */
static void
continue_chain(struct run *u)
{
	snapshots_writer(u->r, u->host, &u->rec.writer);
	for (size_t i = 0; i < u->all.count; i++) {
		const struct snapshots_item *it = &u->all.items[i];

		if (name_sid_cmp(&it->rec.writer, &u->rec.writer) == 0 && it->rec.sequence > u->rec.sequence) {
			u->rec.sequence = it->rec.sequence;
			u->rec.previous = it->sid;
		}
	}
	u->rec.sequence++;
}

/* ------------------------------------------------------------------------------------------------------ record */

static int
owner_names(struct run *u, const uint32_t *ids, size_t count, int (*lookup)(uint32_t, char *, size_t),
    struct snaprec_owner **out, uint32_t *out_count)
{
	char name[256];
	size_t n = 0;
	int rc = mem_new((void **)out, mem_array(count + 1, sizeof(**out)));

	for (size_t i = 0; rc == OK && i < count; i++) {
		if (lookup(ids[i], name, sizeof(name)) != OK || !name[0])
			continue;
		/* Offsets for now: the buffer may move while it grows. */
		(*out)[n++] = (struct snaprec_owner){ .number = ids[i],
			.name = { (const uint8_t *)(uintptr_t)u->owner_names.len, (uint32_t)strlen(name) } };
		rc = mem_buf_add(&u->owner_names, name, strlen(name));
	}
	*out_count = (uint32_t)n;
	return rc;
}

static int
record_owners(struct run *u)
{
	int rc;

	if ((rc = owner_names(u, u->scan.uids.v, u->scan.uids.count, fsys_user_name, &u->users, &u->rec.user_count)) ||
	    (rc = owner_names(u, u->scan.gids.v, u->scan.gids.count, fsys_group_name, &u->groups, &u->rec.group_count)))
		return rc;
	for (uint32_t i = 0; i < u->rec.user_count; i++)
		u->users[i].name.p = u->owner_names.p + (uintptr_t)u->users[i].name.p;
	for (uint32_t i = 0; i < u->rec.group_count; i++)
		u->groups[i].name.p = u->owner_names.p + (uintptr_t)u->groups[i].name.p;
	u->rec.users = u->users;
	u->rec.groups = u->groups;
	return OK;
}

static struct snaprec_string
text_string(const char *s)
{
	return (struct snaprec_string){ (const uint8_t *)s, (uint32_t)strlen(s) };
}

static int
prepare(struct run *u)
{
	int64_t now = clock_wall_ns();

	if (u->o->host)
		strncpy(u->host, u->o->host, sizeof(u->host) - 1);
	else
		host_name(u->host, sizeof(u->host));
	if (u->o->user)
		strncpy(u->user, u->o->user, sizeof(u->user) - 1);
	else
		host_user(u->user, sizeof(u->user));
	u->rec.begin_ns = u->o->time_ns ? u->o->time_ns : now;
	u->rec.clock_ns = clock_coarse_ns();
	u->rec.host = text_string(u->host);
	u->rec.user = text_string(u->user);
	u->rec.program = text_string("varve " VERSION_TEXT);
	return record_strings(u);
}

/* --------------------------------------------------------------------------------------------------------- run */

static int
scan_source(struct run *u)
{
	pid_t pid = 0;
	int rc, rc2, fd = STDIN_FILENO;

	if (!u->o->from_stdin && !u->o->command)
		return scan_paths(&u->scan, u->paths, u->path_count, &u->rec.root);
	u->rec.flags |= SNAPREC_PIPE;
	if (u->o->command && (rc = child_start(u->o->command, &pid, &fd)))
		return rc;
	rc = scan_pipe(&u->scan, fd, u->o->name ? u->o->name : "stdin", &u->rec.root);
	if (!u->o->command)
		return rc;
	rc2 = child_wait(pid, fd);
	return rc ? rc : rc2;
}

static void
fill_result(struct run *u, struct snapshot_result *res)
{
	const struct session_stats *st = session_stats(u->s);

	res->settle_rc = st->settle_rc;
	memcpy(res->settle_note, st->settle_note, sizeof(res->settle_note));
	memcpy(res->stats, u->rec.stats, sizeof(res->stats));
	res->stats[SNAPREC_BYTES_NEW] = st->bytes_new;
	res->stats[SNAPREC_CHUNKS_NEW] = st->chunks_new;
	res->stats[SNAPREC_BYTES_STORED] = st->bytes_stored;
	if (u->parent)
		res->parent = u->parent->sid;
}

static int
commit(struct run *u, struct snapshot_result *res)
{
	int rc;

	if ((rc = record_owners(u)))
		return rc;
	u->rec.end_ns = clock_wall_ns();
	if (u->rec.end_ns < u->rec.begin_ns)
		u->rec.end_ns = u->rec.begin_ns;
	if (u->parent)
		u->rec.parent = u->parent->sid;
	if (u->rec.stats[SNAPREC_ERRORS])
		u->rec.flags |= SNAPREC_INCOMPLETE;
	if (dbset_one_instant(&u->scan.db))
		u->rec.flags |= SNAPREC_ATOMIC;
	if ((rc = session_commit(u->s, &u->rec)))
		return rc;
	res->sid = *session_sid(u->s);
	res->writer = u->rec.writer;
	res->sequence = u->rec.sequence;
	return OK;
}

static int
run(struct run *u, struct snapshot_result *res)
{
	const struct session_config cfg = { .jobs = u->o->jobs, .memory = u->o->memory, .level = u->o->level, .dry_run = u->o->dry_run };
	int rc;

	if ((rc = gather_paths(u)) || (rc = prepare(u)) || (rc = session_begin(u->r, &cfg, &u->s)))
		return rc;
	if ((rc = snapshots_load(u->r, false, NULL, NULL, &u->all)) || (rc = choose_parent(u)))
		return rc;
	if (u->o->records)
		u->o->records(u->o->arg, &u->all);
	continue_chain(u);
	if ((rc = scan_init(&u->scan, u->r, u->s, u->o)))
		return rc;
	if (u->parent && !u->o->from_stdin && !u->o->command)
		scan_parent(&u->scan, &u->parent->rec, u->rec.user);
	rc = scan_source(u);
	memcpy(u->rec.stats, u->scan.stats, sizeof(u->rec.stats));
	if (rc == ERR_INTERRUPTED && session_checkpoint(u->s) == OK)
		rc = fail(ERR_INTERRUPTED, "interrupted: what was stored will be reused by the next snapshot");
	if (rc)
		return rc;
	if (u->o->skip_if_unchanged && u->parent && name_cmp(&u->parent->rec.root, &u->rec.root) == 0)
		res->unchanged = true;
	else if (u->o->store_only)
		rc = session_checkpoint(u->s);
	else if (!u->o->dry_run)
		rc = commit(u, res);
	if (rc == OK && u->rec.stats[SNAPREC_ERRORS])
		rc = fail(ERR_PARTIAL, "%llu problems: what could not be read is missing from the snapshot",
		    (unsigned long long)u->rec.stats[SNAPREC_ERRORS]);
	return rc;
}

int
snapshot_run(struct repo *r, const struct snapshot_options *o, struct snapshot_result *res)
{
	struct run u = { .r = r, .o = o };
	int64_t begun = clock_steady_ns();
	int rc;

	*res = (struct snapshot_result){ 0 };
	fsys_raise_limits();
	rc = run(&u, res);
	if (u.s) {
		fill_result(&u, res);
		if (rc < 0 && rc != ERR_PARTIAL)
			session_abort(u.s);
	}
	res->elapsed_ns = clock_steady_ns() - begun;
	scan_clear(&u.scan);
	session_free(u.s);
	snapshots_clear(&u.all);
	for (size_t i = 0; i < u.path_count; i++)
		free(u.paths[i]);
	free(u.paths);
	free(u.path_strings);
	free(u.tag_strings);
	free(u.users);
	free(u.groups);
	mem_buf_clear(&u.owner_names);
	return rc;
}
