/*
 * pick: the sums of the head tell whether a look at the packs is worth while; then every pack's newest row is read.
 */
#include "store/pick.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "format/packfile.h"
#include "store/index_file.h"
#include "store/sums.h"

#define SMALL (4u << 20)                /* packs below this are small */
#define CLASSES 4                       /* below 64 KiB, 512 KiB, 2 MiB, 4 MiB */
#define SLACK 64u                       /* rounding of live bytes is no dead byte */

static uint64_t
overhead(const struct indexfile_pack *p)
{
	return PACKFILE_HEADER_LEN + packfile_footer_bound(p->frames, (uint32_t)(p->bytes / PACKFILE_BLOCK) + 1) + SLACK;
}

static int
add_candidate(struct pick *k, const struct indexfile_pack *p)
{
	uint64_t used = p->live_bytes + overhead(p);
	int rc;

	if (p->live_frames == 0)
		return OK;
	if ((rc = mem_grow((void **)&k->packs, &k->cap, k->count + 1, sizeof(*k->packs))))
		return rc;
	k->stats->pack_bytes += p->bytes;
	k->packs[k->count++] = (struct pick_pack){ .row = *p, .unused = p->bytes > used ? p->bytes - used : 0 };
	return OK;
}

/* Every pack with its newest row. */
static int
gather_packs(struct pick *k)
{
	struct counts *c = k->c;
	struct mem_buf seen = { 0 };
	struct indexfile_pack p;
	uint32_t no;
	int rc = OK;

	for (size_t i = 0; rc == OK && i < c->pack_count; i++)
		rc = add_candidate(k, &c->packs[i].row);
	for (size_t t = 0; rc == OK && t < index_table_count(c->index); t++) {
		struct index_file *f = index_table_at(c->index, t);

		for (uint32_t i = 0; rc == OK && i < index_file_header(f)->pack_count; i++) {
			if ((rc = index_file_pack(f, i, &p)) || counts_touched(c, &p.name) != COUNTS_NONE ||
			    (rc = index_pack_number(c->index, &p, &no)))
				continue;
			if (no >= seen.len) {
				size_t more = no + 1024u - seen.len;

				if ((rc = mem_buf_reserve(&seen, more)))
					continue;
				memset(seen.p + seen.len, 0, more);
				seen.len += more;
			}
			if (!seen.p[no]++)
				rc = add_candidate(k, &p);
		}
	}
	mem_buf_clear(&seen);
	return rc;
}

/* The greatest share of dead bytes first. */
static int
share_cmp(const void *a, const void *b)
{
	const struct pick_pack *x = a, *y = b;
	double sx = (double)x->unused / (double)x->row.bytes, sy = (double)y->unused / (double)y->row.bytes;

	return sx > sy ? -1 : sx < sy ? 1 : name_cmp(&x->row.name, &y->row.name);
}

/* False when the step is full. */
static bool
choose(struct pick *k, struct pick_pack *p)
{
	if (k->total && k->total + p->row.live_bytes > k->policy->max_bytes) {
		k->stats->more = true;
		return false;
	}
	p->chosen = true;
	k->total += p->row.live_bytes;
	return true;
}

static void
choose_dead(struct pick *k)
{
	uint64_t all = 0, unused = 0;

	for (size_t i = 0; i < k->count; i++) {
		all += k->packs[i].row.bytes;
		unused += k->packs[i].unused;
	}
	for (size_t i = 0; i < k->count && unused > all / 1000 * k->policy->max_unused; i++) {
		if (k->packs[i].unused == 0 || !choose(k, &k->packs[i]))
			return;
		unused -= k->packs[i].unused;
	}
}

static int
class_of(const struct indexfile_pack *p)
{
	static const uint64_t limits[CLASSES] = { 64u << 10, 512u << 10, 2u << 20, SMALL };

	for (int i = 0; i < CLASSES; i++)
		if (p->bytes < limits[i])
			return i;
	return CLASSES;
}

/* The small packs of one kind and class, if at least REWRITE_MERGE of them fit: fewer would only be moved about. */
static void
merge_class(struct pick *k, uint32_t kind, int class)
{
	uint64_t bytes = k->total;
	size_t count = 0, fits = 0;

	for (size_t i = 0; i < k->count; i++) {
		const struct pick_pack *p = &k->packs[i];

		if (p->chosen || p->row.kind != kind || class_of(&p->row) != class)
			continue;
		count++;
		bytes += p->row.live_bytes;
		if (bytes <= k->policy->max_bytes)
			fits = count;
	}
	k->stats->more = k->stats->more || (fits < count && fits >= REWRITE_MERGE);
	if (fits < REWRITE_MERGE)
		return;
	for (size_t i = 0; i < k->count && fits > 0; i++) {
		struct pick_pack *p = &k->packs[i];

		if (p->chosen || p->row.kind != kind || class_of(&p->row) != class)
			continue;
		p->chosen = true;
		k->total += p->row.live_bytes;
		fits--;
	}
}

static void
choose_small(struct pick *k)
{
	for (uint32_t kind = PACKFILE_DATA; kind <= PACKFILE_META; kind++)
		for (int class = 0; class < CLASSES; class++)
			merge_class(k, kind, class);
}

/* Can there be anything to move?  FOUND: look at the packs; OK: no; or an error. */
static int
worth_looking(struct pick *k)
{
	static const int top[CLASSES] = { 15, 18, 20, 21 };     /* highest bits of the lengths in a class */
	struct tablesums s;
	uint64_t count;
	int rc = sums_now(k->c, &s), bit;

	if (rc != FOUND)
		return rc ? rc : FOUND;
	k->stats->pack_bytes = s.bytes;
	if (!k->policy->small_only && sums_unused_bound(&s) > s.bytes / 1000 * k->policy->max_unused)
		return FOUND;
	for (int kind = 0; kind < 2; kind++) {
		bit = 0;
		for (int class = 0; class < CLASSES; class++) {
			for (count = 0; bit <= top[class]; bit++)
				count += s.packs[kind][bit];
			if (count >= REWRITE_MERGE)
				return FOUND;
		}
	}
	return OK;
}

int
pick_packs(struct pick *k)
{
	int rc;

	k->stats->more = false;
	if ((rc = worth_looking(k)) != FOUND)
		return rc;
	k->stats->pack_bytes = 0;
	if ((rc = gather_packs(k)))
		return rc;
	if (k->count)
		qsort(k->packs, k->count, sizeof(*k->packs), share_cmp);
	if (!k->policy->small_only)
		choose_dead(k);
	if (!k->stats->more)
		choose_small(k);
	return OK;
}

void
pick_clear(struct pick *k)
{
	free(k->packs);
	*k = (struct pick){ 0 };
}
