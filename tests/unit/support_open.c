/*
 * support_open: a whole pack is opened in five steps: footer, name and
 * checksums; header and key wrap; frames; every chunk, through its bases; and
 * nodes against the nodes of the same pack that they name (LN-2, TN-3).
 */
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "codec/digest.h"
#include "codec/keys.h"
#include "codec/seal.h"
#include "codec/squeeze.h"
#include "format/frame.h"
#include "format/keyslot.h"
#include "format/listnode.h"
#include "format/packfile.h"
#include "format/proofrec.h"
#include "format/repohdr.h"
#include "format/sidecar.h"
#include "format/snaplist.h"
#include "format/snaprec.h"
#include "format/treenode.h"
#include "tests/unit/support_open.h"

#define CHUNKS_MAX 64
#define PLAIN_MAX 8192

/* A chunk of the pack: where its block lies. */
struct place {
	struct frame_block block;
	struct frame_chunk chunk;
	const uint8_t *stored;          /* of the block */
	uint32_t off;                   /* of the chunk in the block */
	uint8_t plain[PLAIN_MAX];       /* once checked */
};

struct pack {
	const struct support_vec *v;
	struct repohdr repo;
	struct packfile_header header;
	struct keys *keys;
	struct squeeze *squeeze;
	uint8_t key[32];
	uint8_t *bodies[CHUNKS_MAX];
	uint32_t body_count, count;
	struct place places[CHUNKS_MAX];
};

/* Missing has no code of its own below store/. */
#define MISSING ERR_ABSENT
#define CORRUPT(ok) ((ok) ? OK : ERR_CORRUPT)

static int
verdict(enum cursor_verdict v)
{
	return err_verdict(v, "record");
}

int
support_repo(struct repohdr *h, const uint8_t *p, size_t len)
{
	struct name sum;
	int rc = verdict(repohdr_decode(h, p, len));

	if (rc)
		return rc;
	digest_hash(&sum, p, REPOHDR_COVERED);
	return CORRUPT(name_cmp(&sum, &h->checksum) == 0);
}

static int
slot_open(const struct support_vec *v)
{
	struct keys_secret secret = { .kind = KEYSLOT_PUBLIC };
	struct keyslot_payload payload;
	char name[NAME_SID_HEX];
	struct repohdr repo;
	struct name hash;
	struct keyslot s;
	int rc;

	if ((rc = support_repo(&repo, v->repo, sizeof(v->repo))) ||
	    (rc = verdict(keyslot_decode(&s, v->body, v->len))))
		return rc;
	name_sid_hex(&s.slot_id, name);
	if (name_sid_cmp(&s.repo_id, &repo.repo_id) != 0 ||
	    strcmp(name, v->name) != 0)
		return ERR_AUTH;
	if (v->has_secret) {
		secret.kind = s.kind == KEYSLOT_KEYFILE ? KEYSLOT_KEYFILE :
		    KEYSLOT_PASSPHRASE;
		secret.p = v->secret;
		secret.len = v->secret_len;
	}
	if ((rc = keys_slot_open(&s, &secret, &payload)))
		return rc;
	digest_hash(&hash, v->repo, sizeof(v->repo));
	return name_cmp(&hash, &payload.header_hash) == 0 ? OK : ERR_AUTH;
}

static int
box_open(const struct pack *p, uint8_t *dst, const uint8_t *box, size_t len,
    const char *label, const uint8_t *prefix)
{
	uint8_t context[NAME_SID_LEN + FRAME_PREFIX_LEN];
	struct seal_aad aad = { label, &p->repo.repo_id, context,
	    sizeof(context) };

	memcpy(context, p->header.pack_id.b, NAME_SID_LEN);
	memcpy(context + NAME_SID_LEN, prefix, FRAME_PREFIX_LEN);
	return seal_open(dst, box, len, p->key, &aad);
}

/* Note where the chunks of a frame are. */
static int
frame_places(struct pack *p, const struct frame_head *head,
    const uint8_t *body)
{
	struct frame_block b;
	struct frame_iter it;

	frame_iter_init(&it, head);
	for (size_t at = 0; frame_next_block(&it, &b); at = it.body_off) {
		uint32_t off = 0;

		for (uint32_t i = 0; i < b.chunk_count; i++) {
			struct place *pl = &p->places[p->count];

			if (p->count++ == CHUNKS_MAX || b.raw_len > PLAIN_MAX)
				return ERR_FAILED;
			frame_next_chunk(&it, &pl->chunk);
			if ((pl->chunk.type == FRAME_DATA) !=
			    (p->header.kind == PACKFILE_DATA))
				return ERR_CORRUPT;     /* PK-4 */
			pl->block = b;
			pl->stored = body + at;
			pl->off = off;
			off += pl->chunk.len;
		}
	}
	return OK;
}

static int
frame_open(struct pack *p, const uint8_t *raw, size_t len, uint32_t ordinal)
{
	struct frame_prefix prefix;
	struct frame_head head;
	uint8_t *plain, *body;
	int rc;

	if ((rc = verdict(frame_prefix_decode(&prefix, raw, FRAME_PREFIX_LEN))))
		return rc;
	if (prefix.ordinal != ordinal ||
	    (uint64_t)FRAME_PREFIX_LEN + prefix.head_len + prefix.body_len != len)
		return ERR_CORRUPT;
	plain = malloc(prefix.head_len);
	body = malloc(prefix.body_len);
	p->bodies[p->body_count++] = body;
	if ((rc = box_open(p, plain, raw + FRAME_PREFIX_LEN, prefix.head_len,
	    "varve frame head", raw)) ||
	    (rc = verdict(frame_head_decode(&head, plain,
	    prefix.head_len - FRAME_SEAL))))
		goto out;
	if (head.body_len != prefix.body_len - FRAME_SEAL)
		rc = ERR_CORRUPT;
	else if (!(rc = box_open(p, body, raw + FRAME_PREFIX_LEN +
	    prefix.head_len, prefix.body_len, "varve frame body", raw)))
		rc = frame_places(p, &head, body);
out:
	free(plain);
	return rc;
}

static const struct place *
find(const struct pack *p, const struct name *id)
{
	for (uint32_t i = 0; i < p->count; i++)
		if (name_cmp(&p->places[i].chunk.id, id) == 0)
			return &p->places[i];
	return NULL;
}

/* The raw bytes of the block of a chunk; *bases: how many were decoded for the one that was asked for. */
static int
block_unpack(const struct pack *p, const struct place *pl, uint32_t *bases,
    uint8_t dst[static PLAIN_MAX])
{
	uint8_t base[PLAIN_MAX], all[FRAME_BASES_MAX * PLAIN_MAX];
	const struct place *below;
	size_t len = 0;
	int rc;

	if (pl->block.codec == FRAME_RAW) {
		memcpy(dst, pl->stored, pl->block.raw_len);
		return OK;
	}
	if (pl->block.codec == FRAME_ZSTD)
		return squeeze_unpack(p->squeeze, dst, pl->block.raw_len,
		    pl->stored, pl->block.stored_len, NULL, 0);
	for (unsigned i = 0; i < pl->block.base_count; i++) {
		below = find(p, &pl->block.base[i]);
		if (below == NULL)
			return MISSING;
		if (++*bases > FRAME_DEPTH_MAX)
			return ERR_CORRUPT;     /* FR-4 */
		if ((rc = block_unpack(p, below, bases, base)))
			return rc;
		memcpy(all + len, base + below->off, below->chunk.len);
		len += below->chunk.len;
	}
	return squeeze_unpack(p->squeeze, dst, pl->block.raw_len, pl->stored,
	    pl->block.stored_len, all, len);
}

static int
node_check(const struct place *pl)
{
	struct listnode l;

	if (pl->chunk.type == FRAME_LIST)
		return verdict(listnode_decode(&l, pl->plain, pl->chunk.len));
	if (pl->chunk.type == FRAME_TREE)
		return verdict(treenode_check(pl->plain, pl->chunk.len));
	return OK;
}

static int
chunk_open(struct pack *p, struct place *pl)
{
	uint8_t raw[PLAIN_MAX];
	uint32_t bases = 0;
	struct name id;
	int rc;

	if ((rc = block_unpack(p, pl, &bases, raw)))
		return rc;
	memcpy(pl->plain, raw + pl->off, pl->chunk.len);
	digest_chunk_id(&id, p->keys->id, pl->chunk.type, pl->plain,
	    pl->chunk.len);
	if (name_cmp(&id, &pl->chunk.id) != 0)
		return ERR_AUTH;                /* FR-5 */
	return node_check(pl);
}

/* LN-2 */
static int
list_children(const struct pack *p, const struct place *pl)
{
	struct listnode l, child;
	struct listnode_row r;

	listnode_decode(&l, pl->plain, pl->chunk.len);
	for (uint32_t i = 0; i < l.row_count; i++) {
		const struct place *c;

		listnode_row_at(&l, i, &r);
		if ((c = find(p, &r.id)) == NULL || l.level == 0)
			continue;
		if (c->chunk.type != FRAME_LIST)
			return ERR_CORRUPT;
		listnode_decode(&child, c->plain, c->chunk.len);
		if (child.level + 1 != l.level || child.total != r.len)
			return ERR_CORRUPT;
	}
	return OK;
}

/* First and last name and the number of entries beneath, of a tree of level 0. */
struct extent {
	const uint8_t *first, *last;
	uint16_t first_len, last_len;
	uint32_t entries;
	uint8_t level;
};

static void
tree_extent(const struct place *pl, struct extent *x)
{
	struct treenode_entry e;
	struct treenode t;

	memset(x, 0, sizeof(*x));
	treenode_open(&t, pl->plain, pl->chunk.len);
	x->level = t.level;
	while (treenode_next_entry(&t, &e)) {
		if (x->entries++ == 0) {
			x->first = e.name;
			x->first_len = e.name_len;
		}
		x->last = e.name;
		x->last_len = e.name_len;
	}
}

/* TN-3 for rows of level 1; next: the row after r, or NULL. */
static int
row_check(const struct pack *p, const struct treenode_row *r,
    const struct treenode_row *next)
{
	const struct place *c = find(p, &r->id);
	struct extent x;

	if (c == NULL)
		return OK;
	if (c->chunk.type != FRAME_TREE)
		return ERR_CORRUPT;
	tree_extent(c, &x);
	return CORRUPT(x.level == 0 && x.entries == r->entries &&
	    treenode_name_cmp(x.first, x.first_len, r->name,
	    r->name_len) == 0 && (next == NULL ||
	    treenode_name_cmp(x.last, x.last_len, next->name,
	    next->name_len) < 0));
}

static int
tree_children(const struct pack *p, const struct place *pl)
{
	struct treenode_row r, next;
	struct treenode t;
	int rc;

	treenode_open(&t, pl->plain, pl->chunk.len);
	if (t.level != 1 || !treenode_next_row(&t, &r))
		return OK;
	for (; treenode_next_row(&t, &next); r = next)
		if ((rc = row_check(p, &r, &next)))
			return rc;
	return row_check(p, &r, NULL);
}

static int
chunks_open(struct pack *p)
{
	int rc = OK;

	for (uint32_t i = 0; i < p->count && !rc; i++)
		rc = chunk_open(p, &p->places[i]);
	for (uint32_t i = 0; i < p->count && !rc; i++) {
		if (p->places[i].chunk.type == FRAME_LIST)
			rc = list_children(p, &p->places[i]);
		else if (p->places[i].chunk.type == FRAME_TREE)
			rc = tree_children(p, &p->places[i]);
	}
	return rc;
}

/* PK-1, PK-2: what needs no key. */
static int
footer_open(const struct support_vec *v, struct packfile_footer *f,
    size_t *frames_end)
{
	struct packfile_tail tail;
	char text[NAME_HEX];
	struct name name;
	size_t end;
	int rc;

	if (v->len < PACKFILE_HEADER_LEN + PACKFILE_TAIL_LEN)
		return ERR_CORRUPT;
	if ((rc = verdict(packfile_tail_decode(&tail,
	    v->body + v->len - PACKFILE_TAIL_LEN, PACKFILE_TAIL_LEN))))
		return rc;
	if (tail.footer_len > v->len)
		return ERR_CORRUPT;
	end = v->len - tail.footer_len;
	if ((rc = verdict(packfile_footer_decode(f, v->body + end,
	    tail.footer_len, v->len))))
		return rc;
	*frames_end = end;
	digest_hash(&name, v->body + end, tail.footer_len);
	name_hex(&name, text);
	if (strcmp(text, v->name) != 0)
		return ERR_AUTH;
	for (uint32_t i = 0; i < f->block_count; i++) {
		size_t at = (size_t)i * PACKFILE_BLOCK;
		size_t n = end - at < PACKFILE_BLOCK ? end - at :
		    PACKFILE_BLOCK;

		if (digest_xxh3(v->body + at, n) != packfile_checksum(f, i))
			return ERR_AUTH;
	}
	return OK;
}

static int
pack_steps(struct pack *p)
{
	const struct support_vec *v = p->v;
	size_t at = PACKFILE_HEADER_LEN, end;
	struct packfile_footer f;
	int rc;

	if (v->len < PACKFILE_HEADER_LEN)
		return ERR_CORRUPT;
	if ((rc = support_repo(&p->repo, v->repo, sizeof(v->repo))) ||
	    (rc = keys_new(v->master, &p->keys)) ||
	    (rc = squeeze_new(3, &p->squeeze)) ||
	    (rc = verdict(packfile_header_decode(&p->header, v->body,
	    PACKFILE_HEADER_LEN))) || (rc = footer_open(v, &f, &end)) ||
	    (rc = keys_unwrap(p->key, &p->header.wrap, p->keys->pack,
	    "varve pack key", &p->repo.repo_id, v->body,
	    PACKFILE_WRAP_CONTEXT)))
		return rc;
	for (uint32_t i = 0; i < f.frame_count; i++) {
		size_t len = packfile_frame_len(&f, i);

		if (i == CHUNKS_MAX)
			return ERR_FAILED;
		if ((rc = frame_open(p, v->body + at, len, i)))
			return rc;
		at += len;
	}
	return chunks_open(p);
}

static int
pack_open(const struct support_vec *v)
{
	struct pack *p = calloc(1, sizeof(*p));
	int rc;

	p->v = v;
	rc = pack_steps(p);
	for (uint32_t i = 0; i < p->body_count; i++)
		free(p->bodies[i]);
	squeeze_free(p->squeeze);
	keys_free(p->keys);
	free(p);
	return rc;
}

static int
snapshot_open(const struct support_vec *v)
{
	struct seal_aad aad = { "varve snap", NULL, v->body, SNAPREC_HEAD_LEN };
	char text[NAME_SID_HEX];
	struct keys *keys = NULL;
	struct snaprec_head h;
	uint8_t *plain = NULL;
	struct repohdr repo;
	struct snaprec s;
	uint8_t key[32];
	int rc;

	if (v->len < SNAPREC_HEAD_LEN + SEAL_OVERHEAD)
		return ERR_CORRUPT;
	if ((rc = support_repo(&repo, v->repo, sizeof(v->repo))) ||
	    (rc = verdict(snaprec_head_decode(&h, v->body, SNAPREC_HEAD_LEN))))
		return rc;
	name_sid_hex(&h.sid, text);
	if (strcmp(text, v->name) != 0)
		return ERR_AUTH;
	if ((rc = keys_new(v->master, &keys)))
		return rc;
	aad.repo_id = &repo.repo_id;
	plain = malloc(v->len);
	if (!(rc = keys_unwrap(key, &h.wrap, keys->record, "varve snap key",
	    &repo.repo_id, v->body, SNAPREC_WRAP_CONTEXT)) &&
	    !(rc = seal_open(plain, v->body + SNAPREC_HEAD_LEN,
	    v->len - SNAPREC_HEAD_LEN, key, &aad)))
		rc = verdict(snaprec_decode(&s, plain,
		    v->len - SNAPREC_HEAD_LEN - SEAL_OVERHEAD));
	free(plain);
	keys_free(keys);
	return rc;
}

/* PA-1, and the parity blocks against their checksums. */
static int
sidecar_open(const struct support_vec *v)
{
	const uint8_t *hash, *sum;
	struct repohdr repo;
	struct sidecar s;
	uint64_t is;
	size_t len;
	struct name n;
	int rc;

	if ((rc = support_repo(&repo, v->repo, sizeof(v->repo))) ||
	    (rc = CORRUPT(v->len >= SIDECAR_FIXED)) ||
	    (rc = verdict(sidecar_fixed_decode(&s, v->body, SIDECAR_FIXED))) ||
	    (rc = CORRUPT(sidecar_file_len(&s.shape) == v->len)))
		return rc;
	len = (size_t)sidecar_header_len(&s.shape);
	if ((rc = verdict(sidecar_decode(&s, v->body, len, &hash))))
		return rc;
	digest_hash(&n, v->body, len - NAME_LEN);
	if (memcmp(n.b, hash, NAME_LEN) != 0 || strcmp(s.name, v->name) != 0 ||
	    name_sid_cmp(&s.repo_id, &repo.repo_id) != 0)
		return ERR_AUTH;
	for (uint64_t g = 0; g < sidecar_groups(&s.shape); g++)
		for (uint32_t i = 0; i < sidecar_group_parity(&s.shape, g); i++) {
			size_t n_len = sidecar_parity_len(&s.shape, g);

			is = digest_xxh3(v->body + sidecar_parity_off(&s.shape, g) + i * n_len, n_len);
			sum = s.parity_sums + 8 * (sidecar_first_parity(&s.shape, g) + i);
			for (int k = 0; k < 8; k++)
				if (sum[k] != (uint8_t)(is >> (8 * k)))
					return ERR_AUTH;
		}
	return OK;
}

/* IX-10 */
static int
snaplist_open(const struct support_vec *v)
{
	struct snaplist_iter it;
	struct snaplist_row row;

	snaplist_init(&it, v->body, v->len);
	while (snaplist_next(&it, &row))
		;
	return cursor_done(&it.c) ? OK : ERR_CORRUPT;
}

static int
proof_open(const struct support_vec *v)
{
	struct seal_aad aad = { "varve proof", NULL, v->body, PROOFREC_HEAD_LEN };
	char text[NAME_SID_HEX];
	struct keys *keys = NULL;
	struct proofrec_head h;
	uint8_t *plain = NULL;
	struct repohdr repo;
	struct proofrec p;
	uint8_t key[32];
	int rc;

	if (v->len < PROOFREC_HEAD_LEN + SEAL_OVERHEAD)
		return ERR_CORRUPT;
	if ((rc = support_repo(&repo, v->repo, sizeof(v->repo))) ||
	    (rc = verdict(proofrec_head_decode(&h, v->body, PROOFREC_HEAD_LEN))))
		return rc;
	name_sid_hex(&h.sid, text);
	if (strcmp(text, v->name) != 0)
		return ERR_AUTH;
	if ((rc = keys_new(v->master, &keys)))
		return rc;
	aad.repo_id = &repo.repo_id;
	plain = malloc(v->len);
	if (!(rc = keys_unwrap(key, &h.wrap, keys->record, "varve proof key", &repo.repo_id, v->body, PROOFREC_WRAP_CONTEXT)) &&
	    !(rc = seal_open(plain, v->body + PROOFREC_HEAD_LEN, v->len - PROOFREC_HEAD_LEN, key, &aad)))
		rc = verdict(proofrec_decode(&p, plain, v->len - PROOFREC_HEAD_LEN - SEAL_OVERHEAD));
	free(plain);
	keys_free(keys);
	return rc;
}

static int
plain_open(const struct support_vec *v)
{
	struct frame_head head;
	struct repohdr repo;
	struct listnode l;
	struct snaprec s;

	if (strcmp(v->record, "repohdr") == 0)
		return support_repo(&repo, v->body, v->len);
	if (strcmp(v->record, "framehead") == 0)
		return verdict(frame_head_decode(&head, v->body, v->len));
	if (strcmp(v->record, "list") == 0)
		return verdict(listnode_decode(&l, v->body, v->len));
	if (strcmp(v->record, "tree") == 0)
		return verdict(treenode_check(v->body, v->len));
	if (strcmp(v->record, "snaplist") == 0)
		return snaplist_open(v);
	if (strcmp(v->record, "snappayload") == 0)
		return verdict(snaprec_decode(&s, v->body, v->len));
	return ERR_FAILED;
}

const char *
support_open(const struct support_vec *v)
{
	int rc;

	if (strcmp(v->record, "keyslot") == 0)
		rc = slot_open(v);
	else if (strcmp(v->record, "pack") == 0)
		rc = pack_open(v);
	else if (strcmp(v->record, "index") == 0)
		rc = support_index(v);
	else if (strcmp(v->record, "snapshot") == 0)
		rc = snapshot_open(v);
	else if (strcmp(v->record, "sidecar") == 0)
		rc = sidecar_open(v);
	else if (strcmp(v->record, "proof") == 0)
		rc = proof_open(v);
	else
		rc = plain_open(v);
	switch (rc) {
	case OK:
		return "ok";
	case ERR_CORRUPT:
		return "malformed";
	case ERR_UNSUPPORTED:
		return "unsupported";
	case ERR_AUTH:
	case ERR_KEY:
		return "auth";
	case MISSING:
		return "missing";
	default:
		return NULL;
	}
}
