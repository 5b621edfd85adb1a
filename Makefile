# `make demo` and `make test` do all the set-up themselves; see README.md.
# Everything is built with the one profile `release`, so that the bundled HDF5 is compiled once, and with
# `--workspace`, so that all steps ask for the same features and share what the others compiled.

PYTHON ?= python3
CARGO  ?= cargo
cmake  = CMAKE="$$(sh .ci/tools cmake)"
h5py   = PYTHONPATH="$$(sh .ci/tools python numpy h5py)" PYTHONDONTWRITEBYTECODE=1
# Where they cannot be had, tests that compare with them say so, and fail in CI.
planets = H5PART_PLANETS="$$(sh .ci/tools planets || true)"
zarr   = PYTHONPATH="$$(sh .ci/tools python numpy h5py 'zarr>=3')" PYTHONDONTWRITEBYTECODE=1
# The path of the program that a file of benches/ becomes.
program = "$$($(cmake) $(CARGO) bench --profile release --workspace --bench $(1) --no-run --message-format json \
	| sed -n 's/.*"executable":"\([^"]*$(1)-[^"]*\)".*/\1/p')"

.PHONY: help build demo wheel demo-python test test-python test-slurm test-strange test-nfs test-disks test-files soak soak-files soak-nfs soak-disks fuzz lint doc bench bench-peers clean

help: ## Show what there is.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

build: ## Build target/release/h5part.
	$(cmake) $(CARGO) build --release --workspace

demo: ## Four processes write one file, one of them is killed; every row is checked. Under a minute.
	$(cmake) $(CARGO) build --release --workspace --example lennard_jones --bin h5part
	target/release/examples/lennard_jones demo

wheel: build ## Build target/wheels/h5part-*.whl: the Python package, with the program in it.
	$(cmake) PYTHON=$(PYTHON) sh .ci/wheel

demo-python: wheel ## The same as `make demo`, from Python, in a fresh environment.
	sh .ci/python demo

test: ## Run all tests.
	$(cmake) $(h5py) $(planets) H5PART_REQUIRE_H5PY=1 sh .ci/test

test-python: wheel ## Install the wheel into a fresh environment, and run the tests of the Python package.
	sh .ci/python test

test-slurm: wheel ## Mode slurm on a real SLURM of four nodes on this host; installs it where it may.
	sh .ci/slurm

soak: build ## More crash states and schedules, then KILLS=50000 or MINUTES=600 of kills, with another seed each round.
	$(cmake) H5PART_CRASH_STATES=500 $(CARGO) test --release --workspace --test it crash::
	$(cmake) H5PART_SCHEDULES=10 $(CARGO) test --release --workspace --test schedules
	sh .ci/soak $(or $(KILLS),50000) $(or $(MINUTES),600)

test-strange: build ## Planted faults, then FILES=1000 strange files of a fixed seed. See tests/files/README.md.
	$(h5py) $(PYTHON) tests/files/drive.py --self-test
	$(h5py) $(PYTHON) tests/files/drive.py --files $(or $(FILES),1000) --seed 1 -j 2

soak-files: build ## Strange files with a new seed for MINUTES=600; KEEP=FOLDER keeps what is found.
	$(h5py) $(PYTHON) tests/files/drive.py --files 100000000 --minutes $(or $(MINUTES),600) -j $(or $(JOBS),2) $(if $(KEEP),--keep "$(KEEP)")

test-files: build ## The same checks on copies of the real files in DIR=FOLDER.
	$(h5py) $(PYTHON) tests/files/real.py "$(DIR)"

test-nfs: build ## A server and two NFS clients in QEMU write one file; at most 5 minutes. See tests/nfs/README.md.
	sh .ci/nfs --quick

soak-nfs: build ## All cases of tests/nfs, for hours: kills, freezes, cut links, restarts, faults on purpose.
	$(cmake) $(CARGO) build --release --example broken_nfs
	sh .ci/nfs --all $(ARGS)

test-disks: build ## Loss of power on ext4, XFS and btrfs in QEMU: some dozen points of each. See tests/disks/README.md.
	sh .ci/disks

soak-disks: build ## POINTS=2000 points of each file system, for hours.
	H5PART_DISKS_POINTS=$(or $(POINTS),2000) sh .ci/disks

fuzz: build ## Run all fuzz targets for SECONDS=60 each, those that call HDF5 under AddressSanitizer, too.
	sh .ci/fuzz all $(or $(SECONDS),60)

lint: ## Formatting and lints, as CI has them.
	$(CARGO) fmt --check
	$(cmake) $(CARGO) clippy --release --workspace --all-targets -- -D warnings

doc: ## Build the documentation and run its examples.
	$(cmake) $(CARGO) test --release --workspace --doc
	$(cmake) RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --workspace --no-deps

bench: ## Criterion benchmarks of the parts.
	$(cmake) $(CARGO) bench --profile release --workspace --benches

bench-peers: wheel ## The same work by h5part and by its peers, in a table for each task; TASK=read runs one, JSON=FOLDER keeps the numbers.
	-sh .ci/tools peer hidefix
	-sh .ci/tools planets
	reading=$(call program,reading); saving=$(call program,mbe); \
	for task in $(or $(TASK),commit gzip publish read beside mbe trials archive grow python); do \
	    set -- --task $$task --reading "$$reading" --saving "$$saving" $(if $(JSON),--json "$(JSON)/$$task.json") $(ARGS); \
	    if [ $$task = python ]; then sh .ci/python bench "$$@"; else $(planets) $(zarr) $(PYTHON) benches/peers/run.py "$$@"; fi || exit 1; \
	done
	$(if $(TASK),,$(cmake) $(CARGO) bench --profile release --workspace --bench ledger)

clean: ## Remove what was built, but not the tools that were fetched.
	$(CARGO) clean --release --package h5part
	rm -rf demo
