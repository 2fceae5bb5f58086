# Retort. `make help` lists what there is.
#   make deps | all | test | demo | bench | format | install | clean
# Every source under kernels engine losses models data distill becomes one library; build/retort is the program.

CXX     ?= g++
ARCH    ?= native
PREFIX  ?= /usr/local
BUILD   ?= build
OPT     ?= -O3
VERSION := 0.1.0
MAKEFLAGS += -j$(shell nproc)

CXXFLAGS += -std=c++20 $(OPT) -march=$(ARCH) -fopenmp -fno-math-errno -fno-trapping-math -ffp-contract=fast
CXXFLAGS += -Wall -Wextra -Wno-unknown-pragmas -Wno-restrict -I. -I$(BUILD) -DRETORT_VERSION='"$(VERSION)"' -MMD -MP
LDLIBS   = -ldnnl -lfmt -lsentencepiece -lsentencepiece_train -lz -lxxhash

PACKAGES = g++ make git ca-certificates libdnnl-dev libfmt-dev catch2 libsentencepiece-dev \
           libcli11-dev libtomlplusplus-dev nlohmann-json3-dev zlib1g-dev libxxhash-dev python3

ROOMS = kernels engine losses models data distill
SRC   = $(filter-out distill/main.cpp,$(wildcard $(ROOMS:%=%/*.cpp)))
OBJ   = $(SRC:%.cpp=$(BUILD)/%.o)
LIB   = $(BUILD)/libretort.a
TESTS = $(wildcard tests/*.cpp tests/*/*.cpp)
BENCH = $(wildcard bench/*.cpp)
DEVICE_SRC = $(shell grep -l 'kernels/launch.h\|engine/map.h' $(SRC) /dev/null)

.PHONY: all deps test demo bench format check-format install clean help nvcc-check
all: deps $(BUILD)/retort  ## build the program, build/retort

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# Asks dpkg for each package and installs what is missing, through sudo when not root.
deps:  ## install the missing Debian packages
	@if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then \
	  [ "$(DEPS)" = skip ] || { echo "make deps: no apt-get here. Needed: $(PACKAGES). Then: make DEPS=skip"; exit 1; }; \
	else missing=; for p in $(PACKAGES); do \
	    dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$p"; done; \
	  if [ -n "$$missing" ]; then echo "installing:$$missing"; \
	    sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	    $$sudo apt-get update -qq && $$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; fi; fi

# The commit goes into the program; the file changes only when the commit does.
COMMIT := $(shell git describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)
$(shell mkdir -p $(BUILD); echo '#define RETORT_COMMIT "$(COMMIT)"' | cmp -s - $(BUILD)/build_commit.h || \
        echo '#define RETORT_COMMIT "$(COMMIT)"' > $(BUILD)/build_commit.h)

# `deps` only has to come first (|): on a bare machine nothing compiles before the packages are there.
$(BUILD)/%.o: %.cpp | deps
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) -c $< -o $@
$(LIB): $(OBJ)
	@rm -f $@
	@ar rcs $@ $^
$(BUILD)/retort: $(BUILD)/distill/main.o $(LIB)
	$(CXX) -fopenmp $^ $(LDLIBS) -o $@
$(BUILD)/tests/run: $(TESTS:%.cpp=$(BUILD)/%.o) $(LIB)
	$(CXX) -fopenmp $^ $(LDLIBS) -o $@
$(BUILD)/bench/run: $(BENCH:%.cpp=$(BUILD)/%.o) $(LIB)
	$(CXX) -fopenmp $^ $(LDLIBS) -o $@

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

test: deps $(BUILD)/tests/run $(BUILD)/retort nvcc-check  ## build and pass every test
	$(BUILD)/tests/run

# Where nvcc is found every operator, loss and row-kernel file must compile for the GPU, warnings being errors.
NVCC := $(firstword $(shell command -v nvcc 2>/dev/null) $(wildcard /usr/local/cuda/bin/nvcc))
NVCC_OBJ = $(DEVICE_SRC:%.cpp=$(BUILD)/nvcc/%.o)
$(BUILD)/nvcc/%.o: %.cpp | deps
	@mkdir -p $(@D)
	$(NVCC) -x cu -std=c++20 -O1 -arch=sm_90 -Werror all-warnings -I. -Xcompiler -Wno-unknown-pragmas -MD -MF $(@:.o=.d) -c $< -o $@
ifeq ($(NVCC),)
nvcc-check:  ## compile the kernels for CUDA where nvcc is found
	@echo "nvcc-check: skipped, no nvcc here"
else
nvcc-check: $(NVCC_OBJ)  ## compile the kernels for CUDA where nvcc is found
endif

data/sets/l10n-en-ro: | deps
	data/get l10n-en-ro
demo: deps $(BUILD)/retort data/sets/l10n-en-ro  ## real data, a teacher, five students, the table: ten minutes
	$(BUILD)/retort run recipes/demo.toml

bench: deps $(BUILD)/bench/run  ## speed of the training step against the machine's limit
	$(BUILD)/bench/run --json $(BUILD)/bench/results.json

CLANG_FORMAT ?= clang-format
FORMATTED = $(shell git ls-files '*.cpp' '*.h')
format:  ## format the sources
	$(CLANG_FORMAT) -i $(FORMATTED)
check-format:  ## fail where a source is not formatted
	$(CLANG_FORMAT) --dry-run -Werror $(FORMATTED)

install: all  ## program, library, headers and a pkg-config file under PREFIX
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/pkgconfig
	install $(BUILD)/retort $(DESTDIR)$(PREFIX)/bin/
	install -m 644 $(LIB) $(DESTDIR)$(PREFIX)/lib/
	for r in kernels engine losses models data; do install -d $(DESTDIR)$(PREFIX)/include/retort/$$r; \
	  install -m 644 $$r/*.h $(DESTDIR)$(PREFIX)/include/retort/$$r/; done
	printf 'prefix=%s\nName: retort\nDescription: deep-learning engine for knowledge distillation\nVersion: %s\nLibs: -L$${prefix}/lib -lretort -fopenmp %s\nCflags: -I$${prefix}/include/retort -std=c++20 -fopenmp\n' \
	  '$(PREFIX)' '$(VERSION)' '$(LDLIBS)' > $(DESTDIR)$(PREFIX)/lib/pkgconfig/retort.pc

clean:  ## remove what was built
	rm -rf $(BUILD)
