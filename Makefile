# varve: `make` leaves the program as ./varve; `make demo` shows it; `make check` proves it.  See README.md.
VERSION = $(shell sed -n 's/.*VERSION_TEXT "\(.*\)"/\1/p' src/base/version.h)
PROFILE = release
PREFIX = /usr/local
PYTHON ?= /usr/bin/python3
ifeq ($(origin CC),default)
CC = gcc
endif

# Sources by layer, no wildcards: tests/lint compares with what is there.  A layer includes its own and lower ones only.
FORMAT = cursor emit extrec frame indexfile keyslot listnode name packfile proofrec recordsum repohdr sidecar snaplist snaprec \
	tablesums treenode
BASE = args err mem text
SYS = beneath child clock confine copy crew dents entropy fsys guard hands helper host io scout signals state stream target watch
CODEC = aead chacha chunker digest keys lanes poly rs seal squeeze
STORE = ahead anchors aside bases blocksum byid catalogue census children content counts delta family fetch fine fold framebox framejob graves \
	index index_file indexbuild keyring kin mend objects packcheck packer packin packout packproof packwrite paper parity pedigree \
	pick pins proofs reader rebuild reindex repo reserve rewrite salvage session settle shelf sieve snapshots sums sweep \
	tree uncounted
SOURCE = chunkcache dbcheck dbimage dbopen dbread dbserve dbsource filter imagevfs tags
OPS = anchor cat chosen cuts damage dbdiff dbfind dbset diff entry excise filebuild find forget heads home inodes later \
	leftover links listing lost need owners packorder place placedb placelink prove provedb prune queue readfile refill reopen repack \
	reparity restore retention sample scan scanlog scrub select slice snapshot special sql stats surplus trace treebuild twin verify view
CMD = choose cmd cmd_cat cmd_diff cmd_find cmd_forget cmd_head cmd_help cmd_init cmd_key cmd_list cmd_ls cmd_pin \
	cmd_prune cmd_repair cmd_restore cmd_scrub cmd_snapshot cmd_sql cmd_stats cmd_undelete cmd_verify cmd_version \
	found keep layout lookback reclaim record report rows secret shell
TOOLS = mkvectors varve-dump
MKVEC = mkvec mkvec_indexes mkvec_packs mkvec_plain mkvec_proofs mkvec_sidecars mkvec_slots mkvec_snaps mkvec_trees
DUMP = dump dump_index dump_pack
UNIT = aead ahead args bases byid catalogue chacha chunker confine dbsource excise fetch filter fine format_base format_codecs format_nodes fsys hands imagevfs \
	index keyring keys lanes packwrite pick poly reader rebuild restore retention rewrite rs scout secret select session settle signals \
	squeeze stream text tree vectors
SUPPORT = support_index support_io support_open support_recount support_store support_vec
PROP = prop_flip prop_format prop_parity prop_store sim_store
FUZZ = frame indexfile keyslot listnode packfile repohdr sidecar snaprec treenode
CLI = hardening nochange nasty hostile dedup copy interrupt crash commands damage exits filters forget fulldisk inplace \
	json keys locks lsfinddiff reader prune select settle soak stdin sql sqldiff sqlprompt database ledger delta \
	dbheld dblocks restoredb scrub verify drill heads parity repair repairpacks spare repairkill repairparity \
	hostileparity makers
LINT = layers shape sources specids symbols vectors

O = build/$(notdir $(lastword $(CC)))/$(PROFILE)
ISAL := $(shell pkg-config --exists libisal && echo libisal)
PKGS = libsodium libzstd libxxhash jansson sqlite3 $(ISAL)
PKG_MIN = libsodium >= 1.0.18 libzstd >= 1.5.0 libxxhash >= 0.8.0 jansson >= 2.13 sqlite3 >= 3.38
DEB = build-essential gcc libc6-dev pkg-config libzstd-dev libsodium-dev libxxhash-dev libsqlite3-dev libjansson-dev \
	libisal-dev libcmocka-dev python3 python3-nacl python3-zstandard rsync acl attr strace sqlite3

WARN = -Wall -Wextra -Wconversion -Wshadow -Wvla -Wstrict-prototypes -Wmissing-prototypes -Wundef
ifneq ($(filter true 1,$(CI) $(WERROR)),)
WARN += -Werror
endif
SAN = -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
HARD = -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
CFLAGS_release = -O2 -g $(HARD)
LDFLAGS_release = -pie -Wl,-z,relro,-z,now
CFLAGS_debug = -O0 -g
CFLAGS_asan = -O1 -g $(SAN)
LDFLAGS_asan = $(SAN)
CFLAGS_tsan = -O1 -g -fsanitize=thread
LDFLAGS_tsan = -fsanitize=thread
CFLAGS_cov = -O0 -g --coverage -DCONFINE_NOTHING
LDFLAGS_cov = --coverage
CFLAGS_fuzz = -O1 -g $(SAN) -fsanitize=fuzzer-no-link
LDFLAGS_fuzz = $(SAN) -fsanitize=fuzzer
PKG_CFLAGS = $(shell pkg-config --cflags $(PKGS))
PKG_LIBS = $(shell pkg-config --libs $(PKGS))
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -I. -Isrc -pthread $(WARN) \
	-ffile-prefix-map=$(CURDIR)=. $(CFLAGS_$(PROFILE)) $(ISAL:%=-DHAVE_ISAL) $(PKG_CFLAGS) $(CPPFLAGS) $(CFLAGS)
ALL_LDFLAGS = -pthread -Wl,--as-needed $(LDFLAGS_$(PROFILE)) $(LDFLAGS)

TOOL_SRC = $(FORMAT:%=format/%.c) $(BASE:%=src/base/%.c) $(SYS:%=src/sys/%.c) $(CODEC:%=src/codec/%.c)
LIB_SRC = $(TOOL_SRC) $(STORE:%=src/store/%.c) $(SOURCE:%=src/source/%.c) $(OPS:%=src/ops/%.c) $(CMD:%=src/cmd/%.c)
LIB_O = $(LIB_SRC:%.c=$(O)/%.o)
TOOL_O = $(TOOL_SRC:%.c=$(O)/%.o)
TOOL_BIN = $(TOOLS:%=$(O)/tools/%)
SUPPORT_O = $(SUPPORT:%=$(O)/tests/unit/%.o)
UNIT_BIN = $(UNIT:%=$(O)/tests/unit/test_%)
PROP_BIN = $(PROP:%=$(O)/tests/prop/%)
BENCH_BIN = $(O)/bench/bigindex $(O)/bench/rates
REGRESS_BIN = $(FUZZ:%=$(O)/fuzz/fuzz_%)
CLI_SH = $(CLI:%=tests/cli/%.sh)
LINT_PY = $(LINT:%=tests/lint/%.py)
RUN = VARVE=$(abspath $(O)/varve) BUILD=$(abspath $(O)) PYTHON=$(PYTHON) $(PYTHON) tests/run.py
INSTALL = install
BENCH = database latency retention scale tree verify
given = $(if $($(shell echo $1 | tr a-z A-Z)),--$1 '$($(shell echo $1 | tr a-z A-Z))')
Q = $(if $(V),,@echo "  $(notdir $@)";)

all: $(O)/varve
	@cmp -s $(O)/varve varve || { cp $(O)/varve varve.new && mv varve.new varve; }

everything: all $(TOOL_BIN) $(UNIT_BIN) $(PROP_BIN) $(REGRESS_BIN) $(BENCH_BIN)

$(O)/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(O)/libvarve.a: $(LIB_O)
	$(Q)rm -f $@; $(AR) rcsD $@ $^

$(O)/libsupport.a: $(SUPPORT_O)
	$(Q)rm -f $@; $(AR) rcsD $@ $^

$(O)/varve: $(O)/src/main.o $(O)/libvarve.a
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

$(O)/tools/mkvectors: $(MKVEC:%=$(O)/tools/%.o)
$(O)/tools/varve-dump: $(DUMP:%=$(O)/tools/%.o)
$(TOOL_BIN): %: %.o $(TOOL_O)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

$(UNIT_BIN) $(PROP_BIN) $(BENCH_BIN): %: %.o $(O)/libsupport.a $(O)/libvarve.a
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS) -lcmocka

# The same targets run a corpus in every check, and under libFuzzer with `make fuzz T=frame SECONDS=60`.
$(REGRESS_BIN): %: %.o $(O)/fuzz/regress.o $(TOOL_O)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

fuzz:
	$(MAKE) PROFILE=fuzz CC=clang fuzz-one

fuzz-one: $(T:%=$(O)/fuzz/fuzz_%.fuzzer)
	mkdir -p fuzz/corpus/fuzz_$(T)
	$< -max_total_time=$(or $(SECONDS),60) -max_len=65536 fuzz/corpus/fuzz_$(T)

$(O)/fuzz/%.fuzzer: $(O)/fuzz/%.o $(TOOL_O)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS)

# Install what is missing and nothing else.
deps:
	@tests/deps.sh $(DEB)

check: deps
	+@$(MAKE) --no-print-directory check-now

check-now: everything
	@pkg-config --print-errors --exists '$(PKG_MIN)'
	@$(RUN) $(CLI_SH) $(UNIT_BIN) $(PROP_BIN) $(LINT_PY) $(REGRESS_BIN:%=fuzz:%)

demo: deps
	+@$(MAKE) --no-print-directory all
	@VARVE=$(CURDIR)/varve DIR='$(DIR)' tools/demo.sh

spec: everything
	@$(RUN) $(O)/tests/unit/test_vectors tests/lint/vectors.py tests/lint/specids.py

lint: everything
	@$(RUN) $(LINT_PY)

fuzz-check: $(REGRESS_BIN)
	@$(RUN) $(REGRESS_BIN:%=fuzz:%)

bench: all
	@tests/deps.sh gnuplot-nox
	@bench/all.sh $(BENCH)

# Each bench/X.py names the packages it needs, and takes those of these settings that are given.
$(BENCH:%=bench-%): bench-%: all $(BENCH_BIN)
	@tests/deps.sh $$(sed -n 's/^# needs: //p' bench/$*.py)
	@VARVE_STATE_DIR= VARVE=$(CURDIR)/varve BUILD=$(abspath $(O)) $(PYTHON) bench/$*.py $(foreach o,tree runs work snapshots hours,$(call given,$(o)))

matrix:
	for cc in gcc clang; do $(MAKE) check CC=$$cc WERROR=1 && $(MAKE) check CC=$$cc PROFILE=asan WERROR=1 || exit 1; done


# Two builds in two directories are equal, byte for byte.
repro:
	rm -rf build/repro && mkdir -p build/repro/one build/repro/the-other
	for d in one the-other; do cp -R Makefile format src build/repro/$$d/ && \
		$(MAKE) -C build/repro/$$d CURDIR=$(CURDIR)/build/repro/$$d all || exit 1; done
	cmp build/repro/one/varve build/repro/the-other/varve && sha256sum build/repro/one/varve

# What tests/lint/sources.py compares.
list:
	@echo $(LIB_SRC) src/main.c $(TOOLS:%=tools/%.c) $(MKVEC:%=tools/%.c) $(DUMP:%=tools/%.c) $(UNIT:%=tests/unit/test_%.c) \
		$(SUPPORT:%=tests/unit/%.c) $(PROP:%=tests/prop/%.c) $(TRUST_SRC) $(FUZZ:%=fuzz/fuzz_%.c) fuzz/regress.c $(CLI_SH) $(LINT_PY)
install: all
	$(INSTALL) -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/doc/varve
	$(INSTALL) -m 755 varve $(DESTDIR)$(PREFIX)/bin/varve
	$(INSTALL) -m 644 README.md SPEC.md DESIGN.md TESTING.md LICENSE $(DESTDIR)$(PREFIX)/share/doc/varve
uninstall:
	rm -rf $(DESTDIR)$(PREFIX)/bin/varve $(DESTDIR)$(PREFIX)/share/doc/varve

# The same commit gives the same archive.
dist:
	git archive --format=tar --prefix=varve-$(VERSION)/ HEAD | gzip -n9 > varve-$(VERSION).tar.gz
	@sha256sum varve-$(VERSION).tar.gz

clean:
	rm -rf build varve varve-*.tar.gz
include tests/trust.mk

.PHONY: all everything fuzz fuzz-one deps check check-now check-ledger check-flip demo spec lint fuzz-check bench $(BENCH:%=bench-%) soak matrix repro \
	list install uninstall dist clean
.DELETE_ON_ERROR .SECONDARY:
-include $(shell find build -name '*.d' 2>/dev/null)
