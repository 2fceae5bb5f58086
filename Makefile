# Retort. `make help` lists what there is.
#   make deps | all | test | demo | bench | cuda | simt | format | install | clean
# Every source under kernels engine losses models data distill becomes one library; build/retort is the program.
# DEVICE: cpu; cuda (nvcc compiles the kernels; in build/cuda); simt (the CUDA sources by g++ against the shim in
# tests/simt, which runs them where there is no GPU; in build/simt).

CXX     ?= g++
ARCH    ?= native
PREFIX  ?= /usr/local
DEVICE  ?= cpu
BUILD   ?= build
OPT     ?= -O3
VERSION := 0.1.0
MAKEFLAGS += -j$(shell nproc)

CXXFLAGS += -std=c++20 $(OPT) -march=$(ARCH) -fopenmp -fno-math-errno -fno-trapping-math -ffp-contract=fast
CXXFLAGS += -Wall -Wextra -Wno-unknown-pragmas -Wno-restrict -I. -I$(BUILD) -DRETORT_VERSION='"$(VERSION)"' -MMD -MP
LDLIBS   = $(CUDA_LIBS) -ldnnl -lfmt -lsentencepiece -lsentencepiece_train -lz -lxxhash

PACKAGES = g++ make git ca-certificates libdnnl-dev libfmt-dev catch2 libsentencepiece-dev \
           libcli11-dev libtomlplusplus-dev nlohmann-json3-dev zlib1g-dev libxxhash-dev python3 libboost-context-dev

ROOMS = kernels engine losses models data distill
ALL   = $(filter-out distill/main.cpp,$(wildcard $(ROOMS:%=%/*.cpp)))
SRC   = $(filter-out $(if $(filter cpu,$(DEVICE)),%_cuda.cpp %_cudnn.cpp,kernels/cpu_only.cpp),$(ALL))
OBJ   = $(SRC:%.cpp=$(BUILD)/%.o)
LIB   = $(BUILD)/libretort.a
TESTS = $(filter-out tests/cudnn/% tests/simt/%,$(wildcard tests/*.cpp tests/*/*.cpp))
BENCH = $(wildcard bench/*.cpp)
DEVICE_SRC = $(shell grep -l 'kernels/launch.h\|engine/map.h\|__global__' $(ALL))

.SECONDEXPANSION:
.PHONY: all deps test demo bench cuda simt simt-check format check-format install clean help check-cuda
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
$(BUILD)/retort: $(BUILD)/distill/main.o $(LIB) $$(SHIM)
	$(CXX) $(LDFLAGS) -fopenmp $^ $(LDLIBS) -o $@
$(BUILD)/tests/run: $(TESTS:%.cpp=$(BUILD)/%.o) $(LIB) $$(SHIM)
	$(CXX) $(LDFLAGS) -fopenmp $^ $(LDLIBS) -o $@
$(BUILD)/bench/run: $(BENCH:%.cpp=$(BUILD)/%.o) $(LIB) $$(SHIM)
	$(CXX) $(LDFLAGS) -fopenmp $^ $(LDLIBS) -o $@

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

# The CUDA toolkit: nvcc on the PATH, or where Debian's and NVIDIA's packages put it; CUDA= points elsewhere.
CUDA  ?= $(patsubst %/bin/nvcc,%,$(firstword $(shell command -v nvcc 2>/dev/null) $(wildcard /usr/local/cuda/bin/nvcc)))
NVCC   = $(CUDA)/bin/nvcc
ARCHS ?= 80 90 100
NVCCFLAGS = -x cu -std=c++20 -O3 -DRETORT_CUDA -I. -I$(BUILD) -Werror all-warnings -Xcompiler -Wno-unknown-pragmas \
            -Xcompiler "-march=$(ARCH) -fopenmp -fno-math-errno -fno-trapping-math -ffp-contract=fast" \
            -Xcompiler -Wno-free-nonheap-object -Xptxas -v --compress-mode=none
GENCODE = $(foreach a,$(ARCHS),-gencode arch=compute_$(a),code=sm_$(a)) \
          -gencode arch=compute_$(lastword $(ARCHS)),code=compute_$(lastword $(ARCHS))
ifeq ($(DEVICE),cuda)
CXXFLAGS += -DRETORT_CUDA -isystem $(CUDA)/include
CUDA_LIBS = -L$(CUDA)/lib64 -Wl,-rpath,$(CUDA)/lib64 -lcublasLt -lcudart_static -lpthread -ldl -lrt
$(filter $(DEVICE_SRC:%.cpp=$(BUILD)/%.o),$(OBJ)): $(BUILD)/%.o: %.cpp | deps
	@mkdir -p $(@D)
	@echo $(NVCC) -c $<
	@$(NVCC) $(NVCCFLAGS) $(GENCODE) -MD -MF $(@:.o=.d) -c $< -o $@ 2>$(@:.o=.ptxas) || { cat $(@:.o=.ptxas); exit 1; }
endif
include tests/simt/simt.mk
# A sanitizer sees one thread of the system: OpenMP's are not its own.
ifeq ($(DEVICE),simt)
CXXFLAGS += $(SIMT_FLAGS)
SHIM = $($(if $(SANITIZE),SIMT_$(SANITIZE)_OBJ,SIMT_OBJ))
CUDA_LIBS = -lboost_context
ifdef SANITIZE
OPT = -O1 -g
CXXFLAGS := $(filter-out -fopenmp,$(CXXFLAGS)) -fopenmp-simd $(SIMT_$(SANITIZE))
LDFLAGS += $(SIMT_$(SANITIZE))
endif
endif
cuda:  ## build/cuda/retort, which has the CUDA backend (CUDA= where the toolkit is)
	@[ -x "$(NVCC)" ] || { echo "make cuda: no nvcc found; install the CUDA toolkit, or say where it is: make cuda CUDA=/path"; exit 1; }
	@$(MAKE) --no-print-directory DEVICE=cuda BUILD=$(BUILD)/cuda all
check-cuda: cuda cudnn-check  ## spills, registers, wide loads, roofline of the kernels; cuDNN's plans; the program
	@tests/cuda/check.py $(BUILD)/cuda
	@tests/cuda/check_program $(BUILD)/cuda/retort
include tests/cudnn/cudnn.mk
simt:  ## run the tests of the CUDA backend on the CPU, in build/simt
	@$(MAKE) --no-print-directory DEVICE=simt BUILD=$(BUILD)/simt OPT=-O2 $(BUILD)/simt/tests/run
	$(BUILD)/simt/tests/run "[cuda]"
# Further thread orders with poisoned memory, and the sanitizers.
SEEDS ?= 1 5 6 7
simt-check: simt simt-test  ## the shim's own tests; the CUDA tests in further thread orders and under sanitizers
	@for s in $(SEEDS); do echo "SIMT_SEED=$$s"; \
	  SIMT_SEED=$$s RETORT_MEMORY_CACHE=off $(BUILD)/simt/tests/run "[cuda][small]" || exit 1; done
	@for s in ASAN TSAN; do \
	  $(MAKE) --no-print-directory DEVICE=simt SANITIZE=$$s BUILD=$(BUILD)/$$s $(BUILD)/$$s/tests/run || exit 1; \
	  for k in 0 $(SEEDS); do echo "$$s, SIMT_SEED=$$k"; \
	    SIMT_SEED=$$k RETORT_MEMORY_CACHE=off OMP_NUM_THREADS=1 $(BUILD)/$$s/tests/run "[cuda][small]" || exit 1; done; done

test: deps $(BUILD)/tests/run $(BUILD)/retort  ## build and pass every test
	$(BUILD)/tests/run

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
