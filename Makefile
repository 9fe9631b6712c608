# `make run` and `make test` do all set-up on a new machine. See README.md.

PROFILE ?= dev
CARGO ?= cargo
profile_dir := $(if $(filter dev,$(PROFILE)),debug,$(PROFILE))
target_dir := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
turntable := $(target_dir)/$(profile_dir)/turntable
model := $(target_dir)/$(profile_dir)/examples/model

plugins := $(patsubst plugins/%/Cargo.toml,%,$(wildcard plugins/*/Cargo.toml))
typescript_guests := parity-typescript parity-typescript-2 parity-typescript-3 portable-typescript travel-typescript
python_guests := parity-python parity-python-2 parity-python-3 portable-python-sdk travel-python
go_guests := parity-go portable-go travel-go
c_guests := parity-c portable-c travel-c
rust_guests := portable-rust surface-rust scripted builders interceptor edited parity hostile
# Guests without native tests are excluded, because their dependencies would change the features of crates that `make run` has
# compiled, and cargo would compile those again.
tested := --workspace $(addprefix --exclude ,turntable-bench hostile scripted builders interceptor surface-rust edited unregistered)
# Builds guests and the host in parallel.
together := --no-print-directory -j3

export TURNTABLE_COMPONENTS ?= $(CURDIR)/target/components
export TURNTABLE_SKIPPED ?= $(CURDIR)/target/skipped.txt

.PHONY: help run build model release dist plugins guests project-guests packages clients tests test check prove prompts bench clean

help: ## Show the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

run: ## Build everything, start the host with the example bots, print the URL to open
	$(MAKE) $(together) build plugins model
	$(model) 127.0.0.1:3980 & model=$$!; trap "kill $$model 2>/dev/null" EXIT; $(turntable) serve plugins/turntable.toml

build: ## Build the host (PROFILE=release for an optimised one)
	$(CARGO) build --locked --profile $(PROFILE) -p turntable

# The program that stands in for a model in `make run`.
model:
	$(CARGO) build --locked --profile $(PROFILE) -p assistant --example model

release: ## Build an optimised host into target/release
	$(CARGO) build --locked --release -p turntable
	@ls -l $(target_dir)/release/turntable | awk '{ printf "%s: %.1f MB\n", $$NF, $$5 / 1e6 }'

dist: ## Build the host with link-time optimisation into target/dist; this takes long
	$(CARGO) build --locked --profile dist -p turntable

plugins: ## Build the example plugins into target/components; a running host swaps them in
	guest-sdk/toolchain.sh rust $(plugins)

# If the tools of a language are missing, the script prints that it skips the guest and exits with status 3. Its tests are then
# skipped too.
guests: ## Build every guest that the tests use
	guest-sdk/toolchain.sh rust $(plugins) $(rust_guests)
	guest-sdk/toolchain.sh typescript $(typescript_guests) || [ $$? = 3 ]
	guest-sdk/toolchain.sh js portable-js surface-js || [ $$? = 3 ]
	guest-sdk/toolchain.sh python portable-python surface-python $(python_guests) || [ $$? = 3 ]

# The host builds them, as it does for authors.
project-guests: build ## Build the guests in Go and C
	TURNTABLE=$(turntable) guest-sdk/toolchain.sh go $(go_guests) || [ $$? = 3 ]
	TURNTABLE=$(turntable) guest-sdk/toolchain.sh c $(c_guests) || [ $$? = 3 ]

packages: build ## Pack the SDKs into target/packages, and try them in empty projects
	TURNTABLE=$(turntable) guest-sdk/packages.sh

# The unmodified clients of npm and PyPI that the specs run against the host.
clients:
	@if command -v npm >/dev/null; then cd tests/clients && (cmp -s package-lock.json node_modules/.installed || \
	    (npm ci --no-audit --no-fund --ignore-scripts && cp package-lock.json node_modules/.installed)) && ./webchat.sh; \
	else echo "SKIPPED: npm clients: node and npm are not installed"; fi
	@cd tests/clients && cmp -s requirements.txt python/.installed || \
	    (rm -rf python && python3 -m venv python && python/bin/pip install --quiet -r requirements.txt \
	    && cp requirements.txt python/.installed)

tests:
	$(CARGO) test --locked $(tested) --no-run

test: ## Build every guest and run every test
	@rm -f $(TURNTABLE_SKIPPED)
	$(MAKE) $(together) guests clients tests
	$(MAKE) --no-print-directory project-guests
	$(CARGO) test --locked $(tested)
	@if [ -s $(TURNTABLE_SKIPPED) ]; then echo "These tests were skipped:"; cat $(TURNTABLE_SKIPPED); fi

check: ## Format, clippy, rustdoc with warnings denied; dependency policy
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps -p 'turntable*'
	python3 .ci/dependencies.py
	python3 .ci/features.py $(tested)

# Each spec that reads `support::rounds` repeats its attack more often, and prints what it found.
prove: guests project-guests ## Run the long proofs (thousands of kills, stops and swaps) and print their figures; this takes an hour
	TURNTABLE_PROVE=1 $(CARGO) test --locked $(tested) --test spec -- --nocapture --test-threads 2 $(PROVED)

prompts: ## Measure how well prompts understand answers: a figure for each language and kind, and their speed
	$(CARGO) test --locked -p turntable-dialog --test figures -- --nocapture
	$(CARGO) run --locked --release -p turntable-dialog --example speed

bench: ## Run the benchmarks; tests/bench/README.md has figures and method
	$(CARGO) build --locked --release -p turntable -p turntable-bench
	guest-sdk/toolchain.sh rust $(plugins) hostile scripted
	guest-sdk/toolchain.sh js echo-js portable-js || [ $$? = 3 ]
	$(target_dir)/release/turntable-bench all

clean: ## Remove all build results (the cache folder stays)
	$(CARGO) clean
