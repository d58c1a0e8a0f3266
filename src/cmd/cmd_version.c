#include <sodium.h>
#include <stdio.h>
#include <xxhash.h>
#include <zstd.h>

#include "base/err.h"
#include "base/version.h"
#include "cmd/cmd.h"
#include "format/repohdr.h"
#include "ops/sql.h"

static int
run(struct context *ctx, int argc, char **argv)
{
	struct report *rp = &ctx->report;
	char xxh[32];
	unsigned v = XXH_versionNumber();
	json_t *obj, *libs;
	int rc;

	if ((rc = cmd_parse(ctx, NULL, 0, &argc, argv)) || (rc = cmd_operands(argc, argv, 0, 0,
	    "")))
		return rc;
	snprintf(xxh, sizeof(xxh), "%u.%u.%u", v / 10000, v / 100 % 100, v % 100);
	if (!ctx->json) {
		report_out(rp,
		    "varve %s\ndisk version %d\nlibsodium %s, zstd %s, xxHash %s, jansson %s, SQLite %s\n",
		    VERSION_TEXT,
		    REPOHDR_VERSION, sodium_version_string(), ZSTD_versionString(), xxh,
		    jansson_version_str(), sql_library());
		return OK;
	}
	obj = json_object();
	libs = json_object();
	report_set_text(rp, obj, "type", "summary");
	report_set_text(rp, obj, "version", VERSION_TEXT);
	report_set_number(rp, obj, "disk_version", REPOHDR_VERSION);
	report_set_text(rp, libs, "libsodium", sodium_version_string());
	report_set_text(rp, libs, "zstd", ZSTD_versionString());
	report_set_text(rp, libs, "xxhash", xxh);
	report_set_text(rp, libs, "jansson", jansson_version_str());
	report_set_text(rp, libs, "sqlite", sql_library());
	json_object_set_new(obj, "libraries", libs);
	report_json(rp, obj);
	return OK;
}

const struct cmd cmd_version = {
	.name = "version",
	.summary = "versions of the program, the disk format and the libraries",
	.usage =
	    "Usage: varve version [--json]\n"
	    "\n"
	    "Example:\n"
	    "  varve version --json\n",
	.run = run,
};
