/*
 * stream: a file is written past the page cache, in large aligned pieces.
 *
 * Copying into the page cache and writing it back from there costs 0.5 to 1.8 ns
 * of CPU time per byte on ext4, past it 0.1 to 0.2, and nobody reads a pack soon
 * after it was written.  Only on file systems where it is known to pay.
 */
#ifndef SYS_STREAM_H
#define SYS_STREAM_H

#include <stddef.h>

/* Shorter files go through the page cache. */
#define STREAM_PIECE (1u << 20)

/* Of memory, offsets and lengths. */
#define STREAM_ALIGN 4096u

struct stream;

/*
 * fd: open for writing, at its end, which is a multiple of STREAM_ALIGN; it stays the
 * caller's.  NULL: write() it as always.
 * Owns: the result: stream_free
 */
struct stream *stream_new(int fd);
struct stream *stream_free(struct stream *s);

/* In the order of the calls.  0, or -1 and errno; EINTR does not come out. */
int stream_append(struct stream *s, const void *p, size_t len)
    __attribute__((warn_unused_result));

/* What is still held is written.  Afterwards fd may be written as always. */
int stream_end(struct stream *s) __attribute__((warn_unused_result));

#endif
