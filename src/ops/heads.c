#include "ops/heads.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/text.h"
#include "store/index_file.h"
#include "sys/state.h"

#define FIRST_LINE "varve heads 1\n"
#define SHORT_WRITER 8                  /* digits of a text for paper */
#define SHORT_SID 16

/* One that was seen; of a text for paper only the first digits are known. */
struct seen {
	char sid[NAME_SID_HEX];
	uint64_t sequence;
};

static int
writer_cmp(const void *a, const void *b)
{
	return name_sid_cmp(&((const struct heads_writer *)a)->writer, &((const struct heads_writer *)b)->writer);
}

static struct heads_writer *
find(const struct heads *h, const struct name_sid *writer)
{
	struct heads_writer key = { .writer = *writer };

	return h->count ? bsearch(&key, h->writers, h->count, sizeof(key), writer_cmp) : NULL;
}

static int
put(struct heads *h, const struct heads_writer *w)
{
	struct heads_writer *it = find(h, &w->writer);
	int rc;

	if (it) {
		*it = *w;
		return OK;
	}
	if ((rc = mem_grow((void **)&h->writers, &h->cap, h->count + 1, sizeof(*w))))
		return rc;
	h->writers[h->count++] = *w;
	qsort(h->writers, h->count, sizeof(*w), writer_cmp);
	return OK;
}

void
heads_clear(struct heads *h)
{
	free(h->writers);
	*h = (struct heads){ 0 };
}

static int
table_name(void *arg, const char *name)
{
	uint64_t *newest = arg, number;

	if (index_file_parse_table(name, &number) && number > *newest)
		*newest = number;
	return OK;
}

/* A name is not enough: who can write there could make this user expect a table that never comes. */
static int
check_table(struct repo *r, uint64_t number)
{
	char path[INDEX_FILE_PATH];
	struct index_file *f;
	int rc;

	if (number == 0)
		return OK;
	index_file_table_path(path, "index", number);
	if ((rc = index_file_open(r, path, &f)))
		return rc;
	index_file_close(f);
	return OK;
}

int
heads_now(struct repo *r, const struct snapshots *all, struct heads *out)
{
	int rc;

	*out = (struct heads){ 0 };
	if ((rc = io_list(r->io, "index", table_name, &out->table)) == OK)
		rc = check_table(r, out->table);
	for (size_t i = 0; rc == OK && i < all->count; i++) {
		const struct snapshots_item *it = &all->items[i];
		const struct heads_writer *had = find(out, &it->rec.writer);

		if (!had || had->sequence <= it->rec.sequence)
			rc = put(out, &(struct heads_writer){ it->rec.writer, it->sid, it->rec.sequence, it });
	}
	if (rc)
		heads_clear(out);
	return rc;
}

/* ---- comparing ---- */

struct prefix {
	const char *text;
	bool found;
};

static int
match_name(void *arg, const char *name)
{
	struct prefix *p = arg;

	p->found = p->found || strncmp(name, p->text, strlen(p->text)) == 0;
	return OK;
}

/* FOUND when a snapshot whose id begins so is there, forgotten or not. */
static int
is_there(struct repo *r, const char *sid)
{
	static const char *const dirs[] = { "snapshots", "forgotten" };
	struct prefix p = { .text = sid };
	char path[64];
	uint64_t size;
	int rc = OK;

	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", dirs[i], sid);
		rc = strlen(sid) == NAME_SID_HEX - 1 ? io_stat(r->io, path, &size) : io_list(r->io, dirs[i], match_name, &p);
		if (rc == OK && (p.found || strlen(sid) == NAME_SID_HEX - 1))
			return FOUND;
		if (rc && rc != ERR_ABSENT)
			return rc;
	}
	return OK;
}

static int
compare_table(uint64_t now, uint64_t seen, heads_fn fn, void *arg, uint64_t *older)
{
	char text[160];

	if (now >= seen)
		return OK;
	snprintf(text, sizeof(text), "its index is at number %" PRIu64 ", but was at %" PRIu64 ": an older copy of the repository was put back",
	    now, seen);
	fn(arg, text);
	(*older)++;
	return OK;
}

/* Seen together with table `table`. */
static int
compare_one(struct repo *r, const struct heads *now, uint64_t table, const struct seen *s, heads_fn fn, void *arg, uint64_t *older)
{
	char text[200];
	int rc;

	/* A newer table may have collected it. */
	if (now->table > table || (rc = is_there(r, s->sid)) == FOUND)
		return OK;
	if (rc)
		return rc;
	snprintf(text, sizeof(text), "snapshot %.8s, number %" PRIu64 " of its writer, was there and is not, though nothing was pruned",
	    s->sid, s->sequence);
	fn(arg, text);
	(*older)++;
	return OK;
}

/* ---- for paper ---- */

int
heads_text(const struct heads *h, char **text)
{
	char line[96], writer[NAME_SID_HEX], sid[NAME_SID_HEX];
	struct mem_buf b = { 0 };
	int rc;

	snprintf(line, sizeof(line), "%" PRIu64, h->table);
	rc = mem_buf_add(&b, line, strlen(line));
	for (size_t i = 0; rc == OK && i < h->count; i++) {
		name_sid_hex(&h->writers[i].writer, writer);
		name_sid_hex(&h->writers[i].sid, sid);
		snprintf(line, sizeof(line), ",%.*s:%" PRIu64 ":%.*s", SHORT_WRITER, writer, h->writers[i].sequence, SHORT_SID, sid);
		rc = mem_buf_add(&b, line, strlen(line));
	}
	if (rc == OK)
		rc = mem_buf_add(&b, "", 1);
	if (rc)
		mem_buf_clear(&b);
	*text = (char *)b.p;
	return rc;
}

/* "9c1f2a3b:12:a1b2c3d4e5f6a7b8", of which the first part only tells people which writer that is. */
static bool
parse_group(char *group, struct seen *s)
{
	char *number = strchr(group, ':'), *sid = number ? strchr(number + 1, ':') : NULL;

	if (!sid || strlen(sid + 1) < 4 || strlen(sid + 1) >= sizeof(s->sid) ||
	    strspn(sid + 1, "0123456789abcdef") != strlen(sid + 1))
		return false;
	*sid = 0;
	snprintf(s->sid, sizeof(s->sid), "%s", sid + 1);
	return text_parse_number(number + 1, &s->sequence) == OK;
}

int
heads_check(struct repo *r, const struct heads *now, const char *text, heads_fn fn, void *arg, uint64_t *older)
{
	uint64_t table;
	char *copy, *save = NULL, *part;
	struct seen s;
	int rc;

	*older = 0;
	if ((rc = mem_dup(&copy, text)))
		return rc;
	part = strtok_r(copy, ",", &save);
	if (!part || text_parse_number(part, &table) != OK)
		rc = fail(ERR_USAGE, "'%s' is not what 'varve head' prints behind 'check'", text);
	else
		rc = compare_table(now->table, table, fn, arg, older);
	while (rc == OK && (part = strtok_r(NULL, ",", &save)))
		rc = parse_group(part, &s) ? compare_one(r, now, table, &s, fn, arg, older) :
		    fail(ERR_USAGE, "'%s' is not what 'varve head' prints behind 'check'", text);
	free(copy);
	return rc;
}

/* ---- what is remembered ---- */

static void
state_name(const struct repo *r, char out[static NAME_SID_HEX])
{
	name_sid_hex(&r->hdr.repo_id, out);
}

/* Lines "table N" and "writer HEX N HEX"; what is not understood is left out. */
static int
load(struct repo *r, struct heads *seen)
{
	char name[NAME_SID_HEX], *text, *save = NULL;
	int rc;

	*seen = (struct heads){ 0 };
	state_name(r, name);
	if ((rc = state_read(name, &text)) || !text)
		return rc;
	if (strncmp(text, FIRST_LINE, strlen(FIRST_LINE)) != 0)
		goto out;
	for (char *line = strtok_r(text, "\n", &save); line && rc == OK; line = strtok_r(NULL, "\n", &save)) {
		char writer[NAME_SID_HEX], sid[NAME_SID_HEX];
		struct heads_writer w = { .sequence = 0 };

		if (sscanf(line, "table %" SCNu64, &seen->table) == 1)
			continue;
		if (sscanf(line, "writer %32[0-9a-f] %" SCNu64 " %32[0-9a-f]", writer, &w.sequence, sid) == 3 &&
		    name_sid_unhex(&w.writer, writer) && name_sid_unhex(&w.sid, sid))
			rc = put(seen, &w);
	}
out:
	free(text);
	return rc;
}

static int
save(struct repo *r, const struct heads *h)
{
	char name[NAME_SID_HEX], line[160], writer[NAME_SID_HEX], sid[NAME_SID_HEX], *old;
	struct mem_buf b = { 0 };
	int rc;

	snprintf(line, sizeof(line), FIRST_LINE "table %" PRIu64 "\n", h->table);
	rc = mem_buf_add(&b, line, strlen(line));
	for (size_t i = 0; rc == OK && i < h->count; i++) {
		name_sid_hex(&h->writers[i].writer, writer);
		name_sid_hex(&h->writers[i].sid, sid);
		snprintf(line, sizeof(line), "writer %s %" PRIu64 " %s\n", writer, h->writers[i].sequence, sid);
		rc = mem_buf_add(&b, line, strlen(line));
	}
	if (rc == OK)
		rc = mem_buf_add(&b, "", 1);
	state_name(r, name);
	if (rc == OK && (rc = state_read(name, &old)) == OK) {
		/* Most commands change nothing. */
		if (!old || strcmp(old, (const char *)b.p) != 0)
			rc = state_write(name, (const char *)b.p);
		free(old);
	}
	mem_buf_clear(&b);
	return rc;
}

/* What was seen, as far as it is still there, and what is there now. */
static int
merge(struct repo *r, struct heads *now, const struct heads *seen)
{
	char sid[NAME_SID_HEX];
	int rc = OK;

	for (size_t i = 0; rc >= 0 && i < seen->count; i++) {
		const struct heads_writer *w = &seen->writers[i], *is = find(now, &w->writer);

		if (is && is->sequence >= w->sequence)
			continue;
		name_sid_hex(&w->sid, sid);
		if ((rc = is_there(r, sid)) == FOUND)
			rc = put(now, w);
	}
	return rc < 0 ? rc : OK;
}

int
heads_look(struct repo *r, const struct snapshots *all, heads_fn fn, void *arg, uint64_t *older)
{
	struct heads now, seen = { 0 };
	struct seen s;
	int rc;

	*older = 0;
	if ((rc = heads_now(r, all, &now)))
		return rc;
	if ((rc = load(r, &seen)) || (rc = compare_table(now.table, seen.table, fn, arg, older)))
		goto out;
	for (size_t i = 0; rc == OK && i < seen.count; i++) {
		s.sequence = seen.writers[i].sequence;
		name_sid_hex(&seen.writers[i].sid, s.sid);
		rc = compare_one(r, &now, seen.table, &s, fn, arg, older);
	}
	if (rc == OK && !*older && (rc = merge(r, &now, &seen)) == OK)
		rc = save(r, &now);
out:
	heads_clear(&seen);
	heads_clear(&now);
	return rc;
}

int
heads_table_seen(struct repo *r, uint64_t *number)
{
	struct heads seen;
	int rc = load(r, &seen);

	*number = rc ? 0 : seen.table;
	heads_clear(&seen);
	return rc;
}

int
heads_accept(struct repo *r, const struct heads *now)
{
	return save(r, now);
}

int
heads_made(struct repo *r, const struct heads_writer *made)
{
	struct heads seen;
	int rc;

	if ((rc = load(r, &seen)) == OK && (rc = put(&seen, made)) == OK)
		rc = save(r, &seen);
	heads_clear(&seen);
	return rc;
}
