/*
 * paper: 80 bytes, repository id (16) || header hash (32) || master key (32),
 * printed as five numbered lines of 16 bytes and a sixth one with a sum over all
 * of them:
 *
 *    1: 0123 4567 89ab cdef 0123 4567 89ab cdef - c0de
 *    6: 0123 4567 89ab cdef - c0de
 *
 * The last group of line n is the first 2 bytes of H("varve paper 1" || u8 n ||
 * the line's bytes): it finds the line that was mistyped.  The bytes of line 6
 * are the first 8 of H("varve paper 1" || u8 0 || the 80 bytes).  Reading, a
 * line counts if it begins with a number and a colon; blanks, dashes, case and
 * every other line are ignored.
 */
#include "store/paper.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "codec/digest.h"
#include "store/repo.h"

#define SUM_LABEL "varve paper 1"
#define SUM_LABEL_LEN (sizeof(SUM_LABEL) - 1)
#define LINE_LEN 16
#define DATA_LINES 5
#define LINES (DATA_LINES + 1)
#define DATA_LEN (DATA_LINES * LINE_LEN)
#define TOTAL_LEN 8             /* bytes in the last line */
#define CHECK_LEN 2
#define TEXT_CAP 2048

/* All of it is secret: lives in sodium_malloc memory. */
struct form {
	uint8_t data[DATA_LEN + TOTAL_LEN];
	uint8_t scratch[SUM_LABEL_LEN + 1 + DATA_LEN];
	uint8_t line[LINE_LEN + CHECK_LEN];
};

static int
form_new(struct form **out)
{
	*out = sodium_init() < 0 ? NULL : sodium_malloc(sizeof(**out));
	if (!*out)
		return fail(ERR_NOMEM, "no guarded memory for keys");
	memset(*out, 0, sizeof(**out));
	return OK;
}

/* The first n bytes of H(label || number || bytes). */
static void
sum(struct form *p, uint8_t number, const uint8_t *bytes, size_t len,
    uint8_t *out, size_t n)
{
	struct name h;

	memcpy(p->scratch, SUM_LABEL, SUM_LABEL_LEN);
	p->scratch[SUM_LABEL_LEN] = number;
	memcpy(p->scratch + SUM_LABEL_LEN + 1, bytes, len);
	digest_hash(&h, p->scratch, SUM_LABEL_LEN + 1 + len);
	memcpy(out, h.b, n);
}

/* Bytes of line 1 ... LINES, its check apart. */
static size_t
line_len(unsigned n)
{
	return n == LINES ? TOTAL_LEN : LINE_LEN;
}

struct out {
	char *p;
	size_t len;
};

static void
put(struct out *o, const char *text)
{
	size_t n = strlen(text);

	assert(n < TEXT_CAP - o->len);
	memcpy(o->p + o->len, text, n + 1);
	o->len += n;
}

static void
put_groups(struct out *o, const uint8_t *bytes, size_t len)
{
	char group[2 * CHECK_LEN + 1];

	for (size_t i = 0; i < len; i += CHECK_LEN) {
		put(o, " ");
		name_hex_bytes(bytes + i, CHECK_LEN, group);
		put(o, group);
	}
	sodium_memzero(group, sizeof(group));
}

static void
put_line(struct out *o, struct form *p, unsigned n)
{
	const uint8_t *bytes = p->data + (size_t)(n - 1) * LINE_LEN;
	uint8_t check[CHECK_LEN];
	char head[16];

	sum(p, (uint8_t)n, bytes, line_len(n), check, CHECK_LEN);
	snprintf(head, sizeof(head), "  %u:", n);
	put(o, head);
	put_groups(o, bytes, line_len(n));
	put(o, " -");
	put_groups(o, check, CHECK_LEN);
	put(o, "\n");
}

int
paper_export(struct repo *r, char **text)
{
	char hex[NAME_SID_HEX];
	struct form *p;
	struct out o = { 0 };
	int rc;

	*text = NULL;
	assert(r->keys);
	if ((rc = form_new(&p)))
		return rc;
	o.p = sodium_malloc(TEXT_CAP);
	if (!o.p) {
		rc = fail(ERR_NOMEM, "no guarded memory for keys");
		goto out;
	}
	memcpy(p->data, r->hdr.repo_id.b, 16);
	memcpy(p->data + 16, r->header_hash.b, 32);
	memcpy(p->data + 48, r->keys->master, 32);
	sum(p, 0, p->data, DATA_LEN, p->data + DATA_LEN, TOTAL_LEN);
	name_sid_hex(&r->hdr.repo_id, hex);
	put(&o, "varve paper key\n\nrepository ");
	put(&o, hex);
	put(&o, "\n\n"
	    "These lines open the repository even when every passphrase and"
	    " key file is lost.\n"
	    "Whoever has them can read everything in it: keep them on paper,"
	    " under lock.\n\n");
	for (unsigned n = 1; n <= LINES; n++)
		put_line(&o, p, n);
	put(&o, "\nTo use them, type the numbered lines into a file and run\n\n"
	    "  varve key import FILE -r REPOSITORY\n\n"
	    "It names the line in which a digit is wrong, and asks for a new"
	    " passphrase.\n");
	*text = o.p;
out:
	sodium_free(p);
	return rc;
}

void
paper_free(char *text)
{
	sodium_free(text);
}

static int
digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static bool
is_filler(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '-';
}

/* The number at the start of a line, 0 when it is not a numbered line; *s then
 * stands behind the colon. */
static unsigned
line_number(const char **s)
{
	const char *t = *s;
	unsigned n = 0;

	while (*t == ' ' || *t == '\t')
		t++;
	if (*t < '1' || *t > '9')
		return 0;
	while (*t >= '0' && *t <= '9' && n < 100)
		n = n * 10 + (unsigned)(*t++ - '0');
	while (*t == ' ' || *t == '\t')
		t++;
	if (*t != ':')
		return 0;
	*s = t + 1;
	return n;
}

/* Exactly want bytes in hexadecimal up to the end of the line. */
static int
line_bytes(const char *s, unsigned n, uint8_t *out, size_t want)
{
	size_t have = 0;

	for (; *s && *s != '\n'; s++) {
		int d = digit(*s);

		if (is_filler(*s))
			continue;
		if (d < 0)
			return fail(ERR_KEY, "line %u: '%c' is not one of"
			    " 0-9, a-f", n, *s);
		if (have == 2 * want)
			return fail(ERR_KEY, "line %u has too many digits", n);
		out[have / 2] = (uint8_t)(have % 2 ? out[have / 2] | d :
		    d << 4);
		have++;
	}
	if (have < 2 * want)
		return fail(ERR_KEY, "line %u has %zu digits, not %zu", n,
		    have, 2 * want);
	return OK;
}

static int
read_line(struct form *p, const char *s, unsigned n, bool seen[LINES])
{
	size_t len = line_len(n);
	uint8_t check[CHECK_LEN];
	int rc;

	if (n > LINES)
		return fail(ERR_KEY, "there is no line %u in a paper key", n);
	if (seen[n - 1])
		return fail(ERR_KEY, "line %u is there twice", n);
	if ((rc = line_bytes(s, n, p->line, len + CHECK_LEN)))
		return rc;
	sum(p, (uint8_t)n, p->line, len, check, CHECK_LEN);
	if (memcmp(check, p->line + len, CHECK_LEN) != 0)
		return fail(ERR_KEY, "line %u is mistyped", n);
	memcpy(p->data + (size_t)(n - 1) * LINE_LEN, p->line, len);
	seen[n - 1] = true;
	return OK;
}

static int
read_text(struct form *p, const char *text)
{
	uint8_t total[TOTAL_LEN];
	bool seen[LINES] = { false };
	int rc;

	for (const char *s = text; s; s = strchr(s, '\n')) {
		unsigned n;

		if (*s == '\n')
			s++;
		n = line_number(&s);
		if (n > 0 && (rc = read_line(p, s, n, seen)))
			return rc;
	}
	for (unsigned n = 1; n <= LINES; n++)
		if (!seen[n - 1])
			return fail(ERR_KEY, "line %u is missing", n);
	sum(p, 0, p->data, DATA_LEN, total, TOTAL_LEN);
	if (memcmp(total, p->data + DATA_LEN, TOTAL_LEN) != 0)
		return fail(ERR_KEY, "the lines do not belong together");
	return OK;
}

int
paper_import(struct repo *r, const char *text)
{
	struct form *p;
	int rc;

	if ((rc = form_new(&p)))
		return rc;
	if ((rc = read_text(p, text)))
		goto out;
	if (memcmp(p->data, r->hdr.repo_id.b, 16) != 0) {
		rc = fail(ERR_KEY, "the paper key is another repository's");
		goto out;
	}
	if (memcmp(p->data + 16, r->header_hash.b, 32) != 0) {
		rc = fail(ERR_KEY, "the repository header was replaced since"
		    " the paper key was printed");
		goto out;
	}
	keys_free(r->keys);
	rc = keys_new(p->data + 48, &r->keys);
	memset(&r->slot_id, 0, sizeof(r->slot_id));
	r->slot_created_ns = 0;
	memset(r->slot_label, 0, sizeof(r->slot_label));
out:
	sodium_free(p);
	return rc;
}
