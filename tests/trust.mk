# Tests with rules of their own, and the long runs of TESTING.md, each of which has a slice in `make check`.
FAULT_BIN = $(O)/tests/fault/meddle $(O)/tests/fault/starve.so
CLI += faults canary
TRUST_SRC = tests/fault/meddle.c tests/fault/starve.c

everything: $(FAULT_BIN)

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

.PHONY: hostile crash crash-kill fault-calls fault-memory
