#include "store/shelf.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

#define BUCKETS 4096u                   /* a power of two */

struct item {
	uint32_t key;
	size_t len;
	struct item *chain, *newer, *older;
	uint8_t p[];
};

struct shelf {
	pthread_mutex_t lock;
	size_t used, bytes;
	struct item *buckets[BUCKETS], *newest, *oldest;
};

static struct item **
find(struct shelf *s, uint32_t key)
{
	struct item **at = &s->buckets[(key * 2654435761u >> 8) & (BUCKETS - 1)];

	while (*at && (*at)->key != key)
		at = &(*at)->chain;
	return at;
}

static void
unlink_use(struct shelf *s, struct item *it)
{
	*(it->newer ? &it->newer->older : &s->newest) = it->older;
	*(it->older ? &it->older->newer : &s->oldest) = it->newer;
}

static void
link_use(struct shelf *s, struct item *it)
{
	it->newer = NULL;
	it->older = s->newest;
	*(it->older ? &it->older->newer : &s->oldest) = it;
	s->newest = it;
}

static void
drop(struct shelf *s, struct item **at)
{
	struct item *it = *at;

	*at = it->chain;
	unlink_use(s, it);
	s->used -= it->len;
	free(it);
}

int
shelf_new(size_t bytes, struct shelf **out)
{
	struct shelf *s;
	int rc = MEM_NEW(s);

	*out = NULL;
	if (rc)
		return rc;
	s->bytes = bytes;
	pthread_mutex_init(&s->lock, NULL);
	*out = s;
	return OK;
}

struct shelf *
shelf_free(struct shelf *s)
{
	if (!s)
		return NULL;
	while (s->oldest)
		drop(s, find(s, s->oldest->key));
	pthread_mutex_destroy(&s->lock);
	free(s);
	return NULL;
}

void
shelf_put(struct shelf *s, uint32_t key, const void *p, size_t len)
{
	struct item *it, **at;

	if (len > s->bytes || !(it = malloc(sizeof(*it) + len)))
		return;
	it->key = key;
	it->len = len;
	it->chain = NULL;
	memcpy(it->p, p, len);
	pthread_mutex_lock(&s->lock);
	at = find(s, key);
	if (*at) {
		free(it);
	} else {
		*at = it;
		link_use(s, it);
		s->used += len;
		while (s->used > s->bytes)
			drop(s, find(s, s->oldest->key));
	}
	pthread_mutex_unlock(&s->lock);
}

int
shelf_get(struct shelf *s, uint32_t key, bool last, struct mem_buf *dst)
{
	struct item **at;
	int rc = OK;

	pthread_mutex_lock(&s->lock);
	at = find(s, key);
	if (*at) {
		rc = mem_buf_add(dst, (*at)->p, (*at)->len);
		if (rc == OK)
			rc = FOUND;
		if (last) {
			drop(s, at);
		} else {
			unlink_use(s, *at);
			link_use(s, *at);
		}
	}
	pthread_mutex_unlock(&s->lock);
	return rc;
}
