# Tests with rules of their own, and the long runs of TESTING.md, each of which has a slice in `make check`.
FAULT_BIN = $(O)/tests/fault/meddle $(O)/tests/fault/starve.so
CLI += faults canary crypto
TRUST_SRC = tests/fault/meddle.c tests/fault/starve.c $(TRUST_BIN:$(O)/%=%.c)

TRUST_BIN = $(O)/tests/crypto/crypto_proof

everything: $(FAULT_BIN) $(TRUST_BIN)

$(TRUST_BIN): %: %.o $(O)/libsupport.a $(O)/libvarve.a
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(PKG_LIBS) -lcmocka

$(O)/tests/fault/meddle: tests/fault/meddle.c
	@mkdir -p $(@D)
	$(Q)$(CC) -std=c11 -D_GNU_SOURCE -O2 $(WARN) -o $@ $<

$(O)/tests/fault/starve.so: tests/fault/starve.c
	@mkdir -p $(@D)
	$(Q)$(CC) -std=c11 -D_GNU_SOURCE -O2 $(WARN) -fPIC -shared -o $@ $<

# Every state that a crash can leave, of every operation that writes; STATES=100000 for fewer.
crash: everything
	@$(O)/tests/crash/crash_snapshot $(or $(STATES),all)

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

.PHONY: crypto hostile crash crash-kill fault-calls fault-memory
