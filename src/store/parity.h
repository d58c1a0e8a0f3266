/*
 * parity: sidecars under parity/ (SPEC §13): made, found, dropped.  They are redundant: none is ever synced, and none that cannot be
 * made keeps anything from succeeding.  Mending with them: store/mend.h.
 */
#ifndef STORE_PARITY_H
#define STORE_PARITY_H

#include "format/sidecar.h"
#include "store/objects.h"
#include "store/repo.h"

#define PARITY_PATH 96

/* parity/... of the object of this kind and name. */
void parity_path(char out[static PARITY_PATH], enum objects_kind kind, const char *name);

/* What metadata always has. */
#define PARITY_DEFAULT ((struct sidecar_shape){ .block = 65536, .data = 128, .parity = 4 })

/*
 * Make the sidecar of the object at `path`; one that is there already stays.  shape: without len.
 * A pack is proven on the way; other objects the caller has just written, or opened with the key.
 * Errors: ERR_CORRUPT, ERR_AUTH  the pack is damaged.  ERR_ABSENT  there is no such object.
 * Cost: the object is read once.
 */
int parity_make(struct repo *r, enum objects_kind kind, const char *path, const struct sidecar_shape *shape)
    __attribute__((warn_unused_result));

/* The same to a file under tmp/, *tmp, that the caller renames or removes. */
#define PARITY_TMP 40
int parity_make_tmp(struct repo *r, enum objects_kind kind, const char *path, const struct sidecar_shape *shape,
    char tmp[static PARITY_TMP]) __attribute__((warn_unused_result));

/* Rename such a file to where the sidecar belongs, making directories.  ERR_EXISTS when there is one. */
int parity_place(struct io *io, enum objects_kind kind, const char *name, const char *tmp) __attribute__((warn_unused_result));

/* Metadata was published at `path`: make its sidecar, or leave it; the error note stays as it was. */
void parity_keep(struct repo *r, enum objects_kind kind, const char *path);

/* The same for a pack: always for nodes, for data if the repository wants it.  Cheap when it has one already. */
void parity_keep_pack(struct repo *r, uint32_t pack_kind, const struct name *name);

/* Remove a sidecar; none is fine.  *gone (may be NULL) is set when there was one. */
int parity_drop(struct io *io, enum objects_kind kind, const char *name, bool *gone) __attribute__((warn_unused_result));

/* Remove it and make that durable: before an object is removed that must never come back. */
int parity_drop_synced(struct io *io, enum objects_kind kind, const char *name) __attribute__((warn_unused_result));

/*
 * Data packs: FOUND and their shape when the repository wants parity for them, else OK (PA-6).  Remembered in r until parity_forget.
 */
int parity_policy(struct repo *r, struct sidecar_shape *shape) __attribute__((warn_unused_result));
void parity_forget(struct repo *r);

/* ERR_USAGE when no sidecar can have that shape, whatever its len. */
int parity_check_shape(const struct sidecar_shape *shape) __attribute__((warn_unused_result));

/*
 * Say what data packs get from now on; NULL: nothing.  shape: without len.  The caller holds the exclusive lock, or has just made the
 * repository.
 * Errors: as parity_check_shape: nothing was changed
 */
int parity_set_policy(struct repo *r, const struct sidecar_shape *shape) __attribute__((warn_unused_result));

/* A sidecar, opened. */
enum parity_state {
	PARITY_WHOLE,                   /* its header is proven */
	PARITY_NONE,                    /* there is none, or it never reached the disk */
	PARITY_DAMAGED
};

struct parity {
	enum parity_state state;
	struct sidecar s;               /* PARITY_WHOLE: slices point into raw */
	struct io_file *file;
	uint8_t *raw;
	char path[PARITY_PATH];
};

/* OK whatever its state; errors: ERR_NOMEM, ERR_IO of opening it.  r->hdr is compared if `header`.  Owns: parity_close. */
int parity_open(struct repo *r, bool header, enum objects_kind kind, const char *name, struct parity *out)
    __attribute__((warn_unused_result));
void parity_close(struct repo *r, struct parity *p);

#endif
