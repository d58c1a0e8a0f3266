#include "store/salvage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "codec/keys.h"
#include "codec/seal.h"
#include "format/frame.h"
#include "store/blocksum.h"
#include "store/mend.h"
#include "store/objects.h"
#include "store/packcheck.h"
#include "store/packout.h"
#include "sys/signals.h"

#define LEN_MIN (FRAME_PREFIX_LEN + 2 * FRAME_SEAL)
#define LEN_MAX (FRAME_PREFIX_LEN + FRAME_HEAD_MAX + FRAME_BODY_MAX + 2 * FRAME_SEAL)
#define WINDOW 65536u
#define SECTOR 4096u
#define TRIES 64u                       /* frames whose lengths are damaged, and could be right */
#define NONCE 24

struct salvage {
	struct repo *r;
	struct io_file *f;
	uint64_t size;
	struct packfile_header h;
	uint8_t key[32];
	struct packcheck pc;            /* raw NULL: the footer is lost */
	struct packout out;
	bool begun;
	struct mem_buf sealed, fresh;
	uint8_t *window;                /* window_len bytes of the file at window_off; WINDOW are allocated */
	uint64_t window_off;
	size_t window_len;
	struct salvage_stats *stats;
};

static bool
is_damage(int rc)
{
	return (rc != ERR_ABSENT && err_is_lost(rc)) || rc == ERR_UNSUPPORTED;
}

static int
bad_block(void *arg, uint64_t block)
{
	(void)arg;
	return fail(ERR_CORRUPT, "block %ju of 64 KiB is bad", (uintmax_t)block);
}

int
salvage_whole(struct repo *r, const char *path)
{
	struct packcheck pc = { 0 };
	struct io_file *f;
	struct blocksum b;
	struct name name;
	uint64_t read = 0;
	uint8_t *buf;
	int rc;

	if (!name_unhex(&name, objects_name(path)))
		return fail(ERR_FAILED, "'%s' has no name of a pack", path);
	if ((rc = io_open(r->io, path, &f)))
		return is_damage(rc) ? OK : rc;
	if ((rc = mem_new((void **)&buf, BLOCKSUM_BLOCK_MAX)) == OK && (rc = packcheck_footer(r->io, f, &name, &pc)) == OK) {
		b = (struct blocksum){ .path = path, .len = pc.size - pc.len, .block = PACKFILE_BLOCK, .sums = pc.footer.checksums };
		rc = blocksum_check(r->io, f, &b, buf, bad_block, NULL, &read);
	}
	packcheck_clear(&pc);
	free(buf);
	(void)io_close(r->io, f);
	return rc == OK ? FOUND : is_damage(rc) ? OK : rc;
}

/* The two boxes of a frame of len bytes, both opened and sealed for the new pack: FOUND; OK: they do not open. */
static int
reseal(struct salvage *s, size_t len)
{
	uint8_t old[NAME_SID_LEN + FRAME_PREFIX_LEN], new[NAME_SID_LEN + FRAME_PREFIX_LEN];
	struct seal_aad from = { "varve frame head", &s->r->hdr.repo_id, old, sizeof(old) };
	struct seal_aad to = { "varve frame head", &s->r->hdr.repo_id, new, sizeof(new) };
	uint8_t *at = s->sealed.p + FRAME_PREFIX_LEN, *dst;
	struct frame_prefix pre;
	struct frame_head head;
	int rc;

	if (frame_prefix_decode(&pre, s->sealed.p, FRAME_PREFIX_LEN) != CURSOR_OK || pre.head_len < SEAL_OVERHEAD ||
	    pre.body_len < SEAL_OVERHEAD || (uint64_t)FRAME_PREFIX_LEN + pre.head_len + pre.body_len != len)
		return OK;
	memcpy(old, s->h.pack_id.b, NAME_SID_LEN);
	memcpy(old + NAME_SID_LEN, s->sealed.p, FRAME_PREFIX_LEN);
	pre.ordinal = s->out.frames;
	memcpy(new, s->out.id.b, NAME_SID_LEN);
	(void)frame_prefix_encode(new + NAME_SID_LEN, FRAME_PREFIX_LEN, &pre);
	s->fresh.len = 0;
	if ((rc = mem_buf_reserve(&s->fresh, len)))
		return rc;
	memcpy(s->fresh.p, new + NAME_SID_LEN, FRAME_PREFIX_LEN);
	dst = s->fresh.p + FRAME_PREFIX_LEN;
	/* Opened in place, behind the nonce. */
	if ((rc = seal_open(at + NONCE, at, pre.head_len, s->key, &from)) == OK)
		rc = err_verdict(frame_head_decode(&head, at + NONCE, pre.head_len - SEAL_OVERHEAD), "frame head");
	if (rc)
		return is_damage(rc) ? OK : rc;
	if (head.body_len != pre.body_len - SEAL_OVERHEAD)
		return OK;
	seal_box(dst, at + NONCE, pre.head_len - SEAL_OVERHEAD, s->out.key, &to);
	at += pre.head_len;
	dst += pre.head_len;
	from.label = to.label = "varve frame body";
	if ((rc = seal_open(at + NONCE, at, pre.body_len, s->key, &from)))
		return is_damage(rc) ? OK : rc;
	seal_box(dst, at + NONCE, pre.body_len - SEAL_OVERHEAD, s->out.key, &to);
	return FOUND;
}

/* The frame of len bytes at off: FOUND when it was saved. */
static int
save(struct salvage *s, uint64_t off, uint64_t len)
{
	int rc;

	if (len < LEN_MIN || len > LEN_MAX || off > s->size || len > s->size - off)
		return OK;
	if ((rc = signals_check()))
		return rc;
	s->sealed.len = 0;
	if ((rc = mem_buf_reserve(&s->sealed, (size_t)len)))
		return rc;
	rc = io_read_at(s->r->io, s->f, off, s->sealed.p, (size_t)len);
	if (rc)
		return is_damage(rc) ? OK : rc;
	if (!s->begun) {
		s->begun = true;
		if ((rc = packout_begin(&s->out, s->r, s->h.kind)))
			return rc;
	}
	if ((rc = reseal(s, (size_t)len)) != FOUND)
		return rc;
	if (s->out.frames == PACKFILE_FRAMES_MAX)
		return OK;
	if ((rc = packout_frame(&s->out, s->fresh.p, (size_t)len)))
		return rc;
	s->stats->frames++;
	s->stats->bytes += len;
	return FOUND;
}

static int
by_footer(struct salvage *s)
{
	uint64_t off = PACKFILE_HEADER_LEN;
	int rc;

	for (uint32_t i = 0; i < s->pc.footer.frame_count; i++) {
		uint32_t len = packfile_frame_len(&s->pc.footer, i);

		if ((rc = save(s, off, len)) < 0)
			return rc;
		s->stats->lost += rc != FOUND;
		off += len;
	}
	return OK;
}

/* What a prefix says of its frame's length; 0: it is none of a frame that fits into so much room. */
static uint64_t
frame_len(const uint8_t *raw, uint64_t room)
{
	struct frame_prefix pre;
	uint64_t len;

	if (frame_prefix_decode(&pre, raw, FRAME_PREFIX_LEN) != CURSOR_OK)
		return 0;
	len = (uint64_t)FRAME_PREFIX_LEN + pre.head_len + pre.body_len;
	return len < LEN_MIN || len > LEN_MAX || len > room ? 0 : len;
}

/* The window begins at off.  What cannot be read of it is zeros. */
static int
load(struct salvage *s, uint64_t off)
{
	size_t n;
	int rc;

	if ((rc = signals_check()))
		return rc;
	s->window_off = off;
	s->window_len = s->size - off < WINDOW ? (size_t)(s->size - off) : WINDOW;
	if ((rc = io_read_at(s->r->io, s->f, off, s->window, s->window_len)) == OK || !is_damage(rc))
		return rc;
	for (size_t i = 0; i < s->window_len; i += n) {
		n = s->window_len - i < SECTOR ? s->window_len - i : SECTOR;
		rc = io_read_at(s->r->io, s->f, off + i, s->window + i, n);
		if (rc && !is_damage(rc))
			return rc;
		if (rc)
			memset(s->window + i, 0, n);
	}
	return OK;
}

/* The next place, from *off on, that begins as a frame, and the length it says; *len 0: there is none. */
static int
next_frame(struct salvage *s, uint64_t *off, uint64_t *len)
{
	const uint8_t *hit;
	int rc;

	*len = 0;
	while (*len == 0 && s->size - *off >= LEN_MIN) {
		if ((*off < s->window_off || *off - s->window_off + FRAME_PREFIX_LEN > s->window_len) && (rc = load(s, *off)))
			return rc;
		hit = memmem(s->window + (*off - s->window_off), s->window_len - (size_t)(*off - s->window_off), "VFRM", 4);
		*off = s->window_off + (hit ? (uint64_t)(hit - s->window) : s->window_len - 3);
		if (!hit || *off - s->window_off + FRAME_PREFIX_LEN > s->window_len)
			continue;
		*len = frame_len(hit, s->size - *off);
		*off += *len == 0;
	}
	return OK;
}

/*
 * Tries that fail read no more than `left`.  In a pack that is merely damaged they do so at frames alone (content is sealed, magic
 * in it is chance): where their lengths are as they were, no more than the whole pack together; the others are TRIES and more.
 */
static int
by_magic(struct salvage *s)
{
	uint64_t off = PACKFILE_HEADER_LEN, left = s->size + TRIES * (s->size < LEN_MAX ? s->size : LEN_MAX), len;
	int rc = mem_new((void **)&s->window, WINDOW);

	if (rc)
		return rc;
	for (;;) {
		if ((rc = next_frame(s, &off, &len)) || len == 0)
			return rc;
		if (len > left) {
			s->stats->given_up = true;
			return OK;
		}
		if ((rc = save(s, off, len)) < 0)
			return rc;
		left -= rc == FOUND ? 0 : len;
		off += rc == FOUND ? len : 1;
	}
}

/* FOUND: the new pack is in its place. */
static int
finish(struct salvage *s)
{
	char path[PACKCHECK_PATH], dir[16];
	int rc;

	if (!s->begun || s->out.frames == 0)
		return OK;
	if ((rc = packout_finish(&s->out)) || (rc = packout_sync(&s->out)) || (rc = packout_publish(&s->out)))
		return rc;
	packcheck_path(path, &s->out.name);
	snprintf(dir, sizeof(dir), "%.8s", path);
	rc = io_sync_dir(s->r->io, dir);
	return rc ? rc : FOUND;
}

static int
open_damaged(struct salvage *s, const char *path)
{
	uint8_t raw[PACKFILE_HEADER_LEN];
	struct name name;
	int rc;

	if (!name_unhex(&name, objects_name(path)))
		return fail(ERR_FAILED, "'%s' has no name of a pack", path);
	if ((rc = io_open(s->r->io, path, &s->f)) || (rc = io_size(s->r->io, s->f, &s->size)) ||
	    (rc = io_read_at(s->r->io, s->f, 0, raw, sizeof(raw))) ||
	    (rc = err_verdict(packfile_header_decode(&s->h, raw, sizeof(raw)), "pack header")) ||
	    (rc = keys_unwrap(s->key, &s->h.wrap, s->r->keys->pack, "varve pack key", &s->r->hdr.repo_id, raw, PACKFILE_WRAP_CONTEXT)))
		return rc;
	rc = packcheck_footer(s->r->io, s->f, &name, &s->pc);
	/* Behind that there is nothing of a pack, only more to read. */
	if (s->size > PACKFILE_LEN_MAX)
		s->size = PACKFILE_LEN_MAX;
	return is_damage(rc) ? OK : rc;
}

/* With its sidecar, whose good blocks may be of use to somebody. */
static int
set_aside(struct repo *r, const char *path)
{
	char side[PARITY_PATH];
	int rc = mend_set_aside(r, path);

	if (rc)
		return rc;
	parity_path(side, OBJECTS_PACK, objects_name(path));
	rc = mend_set_aside(r, side);
	return rc == ERR_ABSENT ? OK : rc;
}

int
salvage_pack(struct repo *r, const char *path, struct salvage_stats *stats)
{
	struct salvage s = { .r = r, .stats = stats };
	int rc, rc2;

	rc = open_damaged(&s, path);
	if (is_damage(rc))
		rc = OK;                /* its key is lost */
	else if (rc == OK && (rc = s.pc.raw ? by_footer(&s) : by_magic(&s)) == OK)
		rc = finish(&s);
	(void)io_close(r->io, s.f);
	if (s.begun) {
		packout_discard(&s.out);
		packout_clear(&s.out);
	}
	packcheck_clear(&s.pc);
	mem_buf_clear(&s.sealed);
	mem_buf_clear(&s.fresh);
	free(s.window);
	explicit_bzero(s.key, sizeof(s.key));
	if (rc < 0)
		return rc;
	rc2 = set_aside(r, path);
	return rc2 ? rc2 : rc;
}
