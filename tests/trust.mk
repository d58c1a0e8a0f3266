# Tests with rules of their own, and the long runs of TESTING.md, each of which has a slice in `make check`.
FAULT_BIN = $(O)/tests/fault/meddle $(O)/tests/fault/starve.so
CLI += scout uncounted faults canary confine crypto mend
TRUST_SRC = $(DEEP:%=fuzz/fuzz_%.c) tests/fault/meddle.c tests/fault/starve.c $(TRUST_BIN:$(O)/%=%.c) $(EVERY:%=tests/fault/%.c) tests/prop/prop_lies.c \
	$(CRASH:%=tests/crash/%.c) $(CUT:%=tests/crash/%.c)

TRUST_BIN = $(O)/tests/crypto/crypto_proof $(O)/tests/prop/prop_mend

# Fuzz targets that need more than decoders: linked with the whole program.
DEEP = filter text image restore
DEEP_BIN = $(DEEP:%=$(O)/fuzz/fuzz_%)
REGRESS_BIN += $(DEEP_BIN)

everything: $(FAULT_BIN) $(TRUST_BIN) $(DEEP_BIN) $(O)/tests/fault/every_failure $(O)/tests/prop/prop_lies

$(DEEP_BIN): %: %.o $(O)/fuzz/regress.o $(O)/libsupport.a $(O)/libvarve.a
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS) -lcmocka

$(DEEP_BIN:%=%.fuzzer): %.fuzzer: %.o $(O)/libsupport.a $(O)/libvarve.a
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS) -lcmocka

# SECONDS of each, one after the other.
fuzz-all:
	$(foreach t,$(FUZZ) $(DEEP),$(MAKE) fuzz T=$(t) SECONDS=$(or $(SECONDS),600) &&) true

.PHONY: fuzz-all

$(TRUST_BIN): %: %.o $(O)/libsupport.a $(O)/libvarve.a
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS) -lcmocka

$(O)/tests/fault/meddle: tests/fault/meddle.c
	@mkdir -p $(@D)
	$(Q)$(CC) -std=c11 -D_GNU_SOURCE -O2 $(WARN) -o $@ $<

$(O)/tests/fault/starve.so: tests/fault/starve.c
	@mkdir -p $(@D)
	$(Q)$(CC) -std=c11 -D_GNU_SOURCE -O2 $(WARN) -fPIC -shared -o $@ $<

# Every N in one process.  Allocations and calls of these objects go through tests/fault/seam.c.
EVERY = every_failure every_fixture every_reads every_repairs every_writes seam
EVERY_BIN = $(O)/tests/fault/every_failure
LIES_BIN = $(O)/tests/prop/prop_lies
EVERY_WRAP = signals_check malloc calloc realloc free sodium_malloc sodium_free ZSTD_createCCtx ZSTD_createDCtx pthread_create read pread write pwrite \
	openat open fstat fstatat statx mkdirat unlinkat renameat renameat2 linkat symlinkat readlinkat fchown fchownat fchmod \
	fchmodat futimens utimensat ftruncate fsync syncfs fstatfs lseek fdopendir readdir flistxattr fgetxattr fsetxattr syscall
PROP_BIN += $(EVERY_BIN) $(LIES_BIN)

$(EVERY_BIN): %: $(EVERY:%=$(O)/tests/fault/%.o) $(O)/libsupport.a $(O)/libvarve.a
	$(Q)$(CC) $(ALL_LDFLAGS) $(EVERY_WRAP:%=-Wl,--wrap=%) -o $@ $^ $(PKG_LIBS) -lcmocka

$(LIES_BIN): %: %.o $(O)/tests/fault/every_fixture.o $(O)/libsupport.a $(O)/libvarve.a
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS) -lcmocka

# A crash of whatever changes a repository.
CRASH = crash_snapshot crash_repairs crash
CRASH_BIN = $(O)/tests/crash/crash_snapshot
PROP_BIN += $(CRASH_BIN)

$(CRASH_BIN): $(CRASH:%=$(O)/tests/crash/%.o) $(O)/libsupport.a $(O)/libvarve.a
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS) -lcmocka

everything: $(CRASH_BIN) $(O)/tests/crash/crash_restore

# A restore cut short: what it does to its target goes through tests/crash/mirror.c.
CUT = crash_restore restore_source mirror
CUT_BIN = $(O)/tests/crash/crash_restore
CUT_WRAP = target_create target_write_at target_set_size target_sync target_sync_name target_close target_rename target_unlink target_drop \
	target_remove target_make_dir target_link target_symlink
PROP_BIN += $(CUT_BIN)

$(CUT_BIN): %: $(CUT:%=$(O)/tests/crash/%.o) $(O)/libsupport.a $(O)/libvarve.a
	$(Q)$(CC) $(ALL_LDFLAGS) $(CUT_WRAP:%=-Wl,--wrap=%) -o $@ $^ $(PKG_LIBS) -lcmocka

# Index files that lie, all of whose seals are right.
lies: $(LIES_BIN)
	@$< $(or $(TRIALS),100000) $(or $(SEED),1)

# Every N of every operation; CASES=... for so many of each kind of failure.
every: $(EVERY_BIN)
	@$< $(or $(CASES),all) $(or $(SEED),1)

.PHONY: every lies

# States that a crash can leave, of every operation that writes: some 130,000, and 26,000 of a restore; STATES=all is three times as many, most of them of init.
crash: everything
	@$(O)/tests/crash/crash_snapshot $(or $(STATES),240000)
	@$(CUT_BIN) $(or $(STATES),60000)

# A kill at every system call; every call and every allocation that fails; of every command.
crash-kill fault-calls fault-memory: everything
	@VARVE=$(abspath $(O)/varve) BUILD=$(abspath $(O)) $(PYTHON) tests/fault/faults.py $(lastword $(subst -, ,$@)) \
		$(if $(CASES),--cases $(CASES),--all)

# All hostile repositories, and 100,000 exchanges of directories for links.
hostile: all
	@VARVE=$(abspath $(O)/varve) $(PYTHON) tests/hostile/hostile.py --rounds $(or $(ROUNDS),100000)

# 10^7 nonces, 200 known files, and what compression tells about them.
crypto: everything
	@VECTORS=tests/vectors $(O)/tests/crypto/crypto_proof full
	@VARVE=$(abspath $(O)/varve) BUILD=$(abspath $(O)) $(PYTHON) tests/crypto/crypto.py --files 200 --report

# Writers, pruners and restorers at once for an hour, killed anywhere.
soak: everything
	@SOAK_SECONDS=$(or $(SECONDS),3600) $(RUN) -t $(shell expr $(or $(SECONDS),3600) + 600) -v tests/cli/soak.sh

check-flip: everything
	@seq 0 $$(($$(nproc) - 1)) | xargs -P $$(nproc) -I P $(O)/tests/prop/prop_flip all P $$(nproc)

# Every bit, length and object of a small repository, brought back from parity.
check-mend: everything
	@MEND=all TMPDIR=/dev/shm $(RUN) -t 7200 -v tests/cli/mend.sh

# 10,000 packs with up to four bad blocks in a group, or five.
check-parity: everything
	@$(O)/tests/prop/prop_parity $(or $(TRIALS),10000) $(or $(SEED),20261120)

check-ledger: all
	@VARVE_STATE_DIR= VARVE=$(CURDIR)/varve $(PYTHON) tests/cli/ledger.py --captures 2000 --lockstep 500

.PHONY: check-parity crypto hostile crash crash-kill fault-calls fault-memory

# The simulation of tests/prop/sim_store.c at length.
sim: everything
	@$(O)/tests/prop/sim_store $(or $(SEEDS),200000) $(or $(FIRST),1)

.PHONY: sim

# What the tests run: a table, and with FILES="format/frame.c ..." the lines and branches that they do not.  A process that is killed
# while it writes its counts takes those of others with it: scripts that kill are left out.
KILLING = crash dbheld faults interrupt repairkill soak
coverage:
	+@$(MAKE) --no-print-directory PROFILE=cov everything
	find build -path '*/cov/*' -name '*.gcda' -delete
	-@$(MAKE) --no-print-directory PROFILE=cov CLI_SH='$(filter-out $(KILLING:%=tests/cli/%.sh),$(CLI_SH))' check-now >build/coverage.log
	-@$(O:%/$(PROFILE)=%/cov)/tests/fault/every_failure 25 1 >>build/coverage.log
	@tail -n 1 build/coverage.log
	@$(PYTHON) tests/coverage.py $(O:%/$(PROFILE)=%/cov) $(FILES)

.PHONY: coverage

# Valgrind: what is used before it was written or after it was freed, and what is lost.  The test of the filters cannot run in it, and one must not: Valgrind looks
# itself into files that are mapped.  Of the scripts' commands what it says is in memcheck/, so that stderr is theirs.
MEMCHECK = valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite
MEMCHECK_SH = commands keys forget inplace damage
valgrind: everything
	@tests/deps.sh valgrind
	@rm -rf $(O)/memcheck && mkdir $(O)/memcheck
	@printf '#!/bin/sh\nexec $(MEMCHECK) --log-file=$(abspath $(O))/memcheck/%%p $(abspath $(O)/varve) "$$@"\n' >$(O)/varve-memcheck && chmod +x $(O)/varve-memcheck
	@UNDER='$(MEMCHECK)' $(RUN) -j 2 -t 7200 $(filter-out %_confine %_stream,$(UNIT_BIN)) $(EVERY_BIN)
	@$(patsubst VARVE=%,VARVE=$(abspath $(O)/varve-memcheck),$(RUN)) -j 2 -t 7200 $(MEMCHECK_SH:%=tests/cli/%.sh)

# ThreadSanitizer over what has threads.  It wants addresses that are not random, and no filter of system calls.
TSAN = ahead fetch fine hands scout session settle restore signals
TSAN_SH = dedup inplace scrub verify restoredb
tsan:
	+@$(MAKE) --no-print-directory PROFILE=tsan tsan-now

tsan-now: $(O)/varve $(TSAN:%=$(O)/tests/unit/test_%) $(EVERY_BIN)
	@VARVE_CONFINE=no setarch -R env UNDER= $(RUN) -j 2 -t 3600 $(TSAN:%=$(O)/tests/unit/test_%) $(EVERY_BIN) \
		$(TSAN_SH:%=tests/cli/%.sh)

.PHONY: valgrind tsan tsan-now

# Small faults put into commit, prune and restore: how many do the tests notice?
mutate: everything
	@$(PYTHON) tests/mutate.py --count $(or $(COUNT),300) --seed $(or $(SEED),1)

.PHONY: mutate
