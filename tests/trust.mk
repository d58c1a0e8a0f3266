# The long runs of TESTING.md, each of which has a slice in `make check`.

# Every state that a crash can leave, of every operation that writes; STATES=100000 for fewer.
crash: everything
	@$(O)/tests/crash/crash_snapshot $(or $(STATES),all)

.PHONY: crash
