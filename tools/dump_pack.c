/* dump_pack: packs, their frames, and the nodes in them that are not stored as differences. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <sodium.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/digest.h"
#include "codec/keys.h"
#include "codec/seal.h"
#include "codec/squeeze.h"
#include "format/extrec.h"
#include "format/frame.h"
#include "format/listnode.h"
#include "format/packfile.h"
#include "format/treenode.h"
#include "tools/dump.h"

static const char *
codec_word(uint8_t codec)
{
	static const char *const list[] = { "raw", "zstd", "delta" };

	return codec <= FRAME_DELTA ? list[codec] : "unknown";
}

static void
list_print(const uint8_t *p, size_t len)
{
	struct listnode_row r;
	struct listnode l;

	if (listnode_decode(&l, p, len) != CURSOR_OK) {
		dump_line("    list", "MALFORMED");
		return;
	}
	printf("    list level %u, %u rows, %" PRIu64 " bytes\n", l.level,
	    l.row_count, l.total);
	for (uint32_t i = 0; i < l.row_count; i++) {
		char id[NAME_HEX];

		listnode_row_at(&l, i, &r);
		name_hex(&r.id, id);
		printf("      %s %" PRIu64 "\n",
		    name_is_zero(&r.id) ? "hole" : id, r.len);
	}
}

static void
entry_print(const struct treenode_entry *e)
{
	static const char *const kinds[] = { "", "file", "dir", "link", "fifo",
	    "char", "block", "socket" };
	struct extrec_iter it;
	struct extrec x;
	char id[NAME_HEX];

	printf("      %s flags %02x mode %04o owner %u:%u size %" PRIu64
	    " mtime %" PRId64 ".%09u ctime %" PRId64 ".%09u inode %" PRIu64,
	    kinds[e->kind], e->flags, e->mode, e->uid, e->gid, e->size,
	    e->mtime, e->mtime_ns, e->ctime, e->ctime_ns, e->inode);
	if (e->flags & TREENODE_HARDLINK)
		printf(" dev %" PRIx64, e->dev);
	if (!name_is_zero(&e->content)) {
		name_hex(&e->content, id);
		printf(" %s", id);
	}
	printf("\n");
	dump_words("        name", e->name, e->name_len);
	if (e->target)
		dump_words("        target", e->target, (size_t)e->size);
	extrec_init(&it, e->ext, e->ext_len);
	while (extrec_next(&it, &x))
		printf("        extension %u, %u bytes\n", x.tag, x.len);
}

static void
tree_print(const uint8_t *p, size_t len)
{
	struct treenode_entry e;
	struct treenode_row r;
	struct treenode t;

	treenode_open(&t, p, len);
	printf("    tree level %u\n", t.level);
	while (treenode_next_entry(&t, &e))
		entry_print(&e);
	while (treenode_next_row(&t, &r)) {
		char id[NAME_HEX];

		name_hex(&r.id, id);
		printf("      %s %u entries\n", id, r.entries);
		dump_words("        name", r.name, r.name_len);
	}
	if (t.verdict != CURSOR_OK)
		dump_line("    tree", "MALFORMED");
}

static void
node_print(const struct dump *d, const struct frame_chunk *c, const uint8_t *p)
{
	struct name id;

	digest_chunk_id(&id, d->keys->id, c->type, p, c->len);
	if (name_cmp(&id, &c->id) != 0)
		dump_line("    id", dump_fits(false));
	if (c->type == FRAME_LIST)
		list_print(p, c->len);
	else if (c->type == FRAME_TREE)
		tree_print(p, c->len);
}

/* One block: its row, its chunks, and with --nodes what they hold. */
static int
block_print(const struct dump *d, const struct frame_block *b, uint32_t *slot,
    struct frame_iter *it, const uint8_t *stored)
{
	const uint8_t *plain = b->codec == FRAME_RAW ? stored : NULL;
	struct mem_buf raw = { 0 };
	char id[NAME_HEX];
	uint32_t off = 0;
	int rc = OK;

	printf("  block %s raw %u stored %u depth %u", codec_word(b->codec),
	    b->raw_len, b->stored_len, b->depth);
	for (unsigned i = 0; i < b->base_count; i++) {
		name_hex(&b->base[i], id);
		printf(" base %s", id);
	}
	printf("\n");
	if (d->nodes && b->codec == FRAME_ZSTD) {
		if ((rc = mem_buf_reserve(&raw, b->raw_len)) ||
		    (rc = squeeze_unpack(d->squeeze, raw.p, b->raw_len, stored,
		    b->stored_len, NULL, 0)))
			goto out;
		plain = raw.p;
	}
	for (uint32_t i = 0; i < b->chunk_count; i++, ++*slot) {
		struct frame_chunk c;

		frame_next_chunk(it, &c);
		name_hex(&c.id, id);
		printf("  slot %-5u %c %7u %s\n", *slot, c.type, c.len, id);
		if (d->nodes && plain)
			node_print(d, &c, plain + off);
		off += c.len;
	}
out:
	mem_buf_clear(&raw);
	return rc;
}

/* The boxes of one frame; p: its bytes. */
static int
frame_boxes(const struct dump *d, const uint8_t *key,
    const struct packfile_header *ph, const uint8_t *p,
    const struct frame_prefix *x)
{
	uint8_t context[NAME_SID_LEN + FRAME_PREFIX_LEN];
	struct seal_aad aad = { "varve frame head", &d->repo.repo_id, context,
	    sizeof(context) };
	struct mem_buf head = { 0 }, body = { 0 };
	struct frame_block b;
	struct frame_iter it;
	struct frame_head h;
	uint32_t slot = 0;
	int rc;

	memcpy(context, ph->pack_id.b, NAME_SID_LEN);
	memcpy(context + NAME_SID_LEN, p, FRAME_PREFIX_LEN);
	if ((rc = mem_buf_reserve(&head, x->head_len)) ||
	    (rc = mem_buf_reserve(&body, x->body_len)) ||
	    (rc = seal_open(head.p, p + FRAME_PREFIX_LEN, x->head_len, key,
	    &aad)) ||
	    (rc = err_verdict(frame_head_decode(&h, head.p,
	    x->head_len - FRAME_SEAL), "frame head")))
		goto out;
	aad.label = "varve frame body";
	if (h.body_len != x->body_len - FRAME_SEAL)
		rc = fail(ERR_CORRUPT, "stored lengths do not add up");
	else
		rc = seal_open(body.p, p + FRAME_PREFIX_LEN + x->head_len,
		    x->body_len, key, &aad);
	frame_iter_init(&it, &h);
	for (size_t at = 0; !rc && frame_next_block(&it, &b); at = it.body_off)
		rc = block_print(d, &b, &slot, &it, body.p + at);
out:
	mem_buf_clear(&head);
	mem_buf_clear(&body);
	return rc;
}

static int
frames_print(const struct dump *d, const struct packfile_header *h,
    const struct packfile_footer *f, const uint8_t *p)
{
	size_t at = PACKFILE_HEADER_LEN;
	uint8_t key[32];
	int rc = OK;

	if (d->keys)
		rc = keys_unwrap(key, &h->wrap, d->keys->pack, "varve pack key",
		    &d->repo.repo_id, p, PACKFILE_WRAP_CONTEXT);
	for (uint32_t i = 0; i < f->frame_count && !rc; i++) {
		uint32_t len = packfile_frame_len(f, i);
		struct frame_prefix x;

		rc = err_verdict(frame_prefix_decode(&x, p + at,
		    FRAME_PREFIX_LEN), "frame");
		if (!rc && (uint64_t)FRAME_PREFIX_LEN + x.head_len +
		    x.body_len != len)
			rc = fail(ERR_CORRUPT, "frame %u: bad length", i);
		if (rc)
			break;
		printf("frame %-5u at %zu length %u head %u body %u%s\n",
		    x.ordinal, at, len, x.head_len, x.body_len,
		    x.ordinal == i ? "" : " WRONG ORDINAL");
		if (d->keys)
			rc = frame_boxes(d, key, h, p + at, &x);
		at += len;
	}
	sodium_memzero(key, sizeof(key));
	return rc;
}

int
dump_pack(const struct dump *d, const uint8_t *p, size_t len)
{
	struct packfile_header h;
	struct packfile_footer f;
	struct packfile_tail t;
	uint32_t wrong = 0;
	struct name name;
	size_t end;
	int rc;

	if (len < PACKFILE_HEADER_LEN + PACKFILE_TAIL_LEN)
		return fail(ERR_CORRUPT, "bad pack: too short");
	if ((rc = err_verdict(packfile_header_decode(&h, p,
	    PACKFILE_HEADER_LEN), "pack header")) ||
	    (rc = err_verdict(packfile_tail_decode(&t,
	    p + len - PACKFILE_TAIL_LEN, PACKFILE_TAIL_LEN), "pack footer")))
		return rc;
	if (t.footer_len > len)
		return fail(ERR_CORRUPT, "bad pack footer: too long");
	end = len - t.footer_len;
	if ((rc = err_verdict(packfile_footer_decode(&f, p + end, t.footer_len,
	    len), "pack footer")))
		return rc;
	dump_line("object", h.kind == PACKFILE_DATA ? "data pack" : "meta pack");
	dump_hex("pack id", h.pack_id.b, NAME_SID_LEN);
	digest_hash(&name, p + end, t.footer_len);
	dump_hex("name", name.b, NAME_LEN);
	dump_number("frames", f.frame_count);
	for (uint32_t i = 0; i < f.block_count; i++) {
		size_t at = (size_t)i * PACKFILE_BLOCK;
		size_t n = end - at < PACKFILE_BLOCK ? end - at :
		    PACKFILE_BLOCK;

		wrong += digest_xxh3(p + at, n) != packfile_checksum(&f, i);
	}
	printf("%-18s %u, %u wrong\n", "checksums", f.block_count, wrong);
	return frames_print(d, &h, &f, p);
}
