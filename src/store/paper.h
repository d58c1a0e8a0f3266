/* paper: the master key in a form that can be printed and typed in again, for the day when all key slots or secrets are lost. */
#ifndef STORE_PAPER_H
#define STORE_PAPER_H

struct repo;

/*
 * Numbered lines of hexadecimal groups, each with a checksum, and instructions (paper.c describes the form).  They carry the
 * master key, the repository id and the header hash.  r is unlocked.
 * Owns: *text: secret; caller frees with paper_free, which wipes it.
 */
int paper_export(struct repo *r, char **text) __attribute__((warn_unused_result));
void paper_free(char *text);

/*
 * Check the text against the header of the open repository and install the key: r is unlocked afterwards, by no slot.
 * Errors: ERR_KEY  it is another repository's, or mistyped (the note names the line)
 */
int paper_import(struct repo *r, const char *text) __attribute__((warn_unused_result));

#endif
