/* mkvectors DIR: write the test vectors.  The output depends on nothing but this program. */
#include <stdio.h>

#include <sodium.h>

#include "tools/mkvec.h"

int
main(int argc, char **argv)
{
	struct mkvec m;

	if (argc != 2) {
		fprintf(stderr, "usage: mkvectors DIR\n");
		return 2;
	}
	if (sodium_init() < 0)
		return 1;
	mkvec_init(&m, argv[1]);
	mkvec_plain(&m);
	mkvec_trees(&m);
	mkvec_slots(&m);
	mkvec_packs(&m);
	mkvec_indexes(&m);
	mkvec_snaps(&m);
	mkvec_sidecars(&m);
	mkvec_proofs(&m);
	printf("%u vectors\n", m.count);
	return 0;
}
