.PHONY: help run test check wheel bench

help:
	@echo "make run     run the configured network on this machine (scripts/run)"
	@echo "make test    install what the tests need and run them (scripts/test)"
	@echo "make check   format, lint and types (scripts/check)"
	@echo "make wheel   build what another machine installs, in dist/ (scripts/wheel)"
	@echo "make bench   measure speed and memory beside their peers (scripts/bench)"

run test check wheel bench:
	@./scripts/$@
