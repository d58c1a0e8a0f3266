#include "sys/stream.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/mem.h"

#define ALIGN STREAM_ALIGN

struct stream {
	int fd;
	bool direct, refused;
	uint8_t *piece;                 /* in mem */
	size_t fill;
	uint8_t mem[STREAM_PIECE + ALIGN];
};

static bool
pays(int fd)
{
	struct statfs st;

	return fstatfs(fd, &st) == 0 && (st.f_type == EXT4_SUPER_MAGIC ||
	    st.f_type == XFS_SUPER_MAGIC);
}

static bool
set_direct(int fd, bool on)
{
	int flags = fcntl(fd, F_GETFL);

	return flags >= 0 && fcntl(fd, F_SETFL, on ? flags | O_DIRECT :
	    flags & ~O_DIRECT) == 0;
}

struct stream *
stream_new(int fd)
{
	struct stream *s;

	if (!pays(fd) || MEM_NEW(s))
		return NULL;
	s->fd = fd;
	s->piece = s->mem + (ALIGN - (uintptr_t)s->mem % ALIGN);
	return s;
}

struct stream *
stream_free(struct stream *s)
{
	free(s);
	return NULL;
}

static void
go_plain(struct stream *s)
{
	s->direct = !set_direct(s->fd, false);
}

/* What the device refuses to take directly, the page cache takes. */
static int
write_piece(struct stream *s)
{
	const uint8_t *p = s->piece, *end = p + s->fill;
	ssize_t n;

	while (p < end) {
		n = write(s->fd, p, (size_t)(end - p));
		if (n < 0 && errno == EINVAL && s->direct) {
			s->refused = true;
			go_plain(s);
			if (!s->direct)
				continue;
			errno = EINVAL;
		}
		if (n < 0 && errno != EINTR)
			return -1;
		p += n < 0 ? 0 : n;
	}
	s->fill = 0;
	return 0;
}

int
stream_append(struct stream *s, const void *p, size_t len)
{
	const uint8_t *from = p;
	size_t n;

	for (; len; from += n, len -= n) {
		n = STREAM_PIECE - s->fill < len ? STREAM_PIECE - s->fill : len;
		memcpy(s->piece + s->fill, from, n);
		s->fill += n;
		if (s->fill < STREAM_PIECE)
			break;
		if (!s->refused && !s->direct)
			s->refused = !(s->direct = set_direct(s->fd, true));
		if (write_piece(s))
			return -1;
	}
	return 0;
}

int
stream_end(struct stream *s)
{
	if (s->direct)
		go_plain(s);
	return write_piece(s);
}
