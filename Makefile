# Retort. `make help` lists what there is.
#   make deps | all | test | demo | docs | browser-test | screenshots | bench | cuda | simt | format | install | clean
# Every source under kernels engine losses models data distill becomes one library; build/retort is the program.
# The sources with kernels are compiled once for each device: for the CPU in build; by nvcc in build/cuda; by g++ against
# the shim of tests/simt, which runs them where there is no GPU, in build/simt. All others are the same for all.

CXX     ?= g++
ARCH    ?= native
PREFIX  ?= /usr/local
BUILD   ?= build
OPT     ?= -O3
VERSION := 0.1.0
MAKEFLAGS += -j$(shell nproc)

# The arithmetic of all objects. The last two: g++ would put branches into loops, which then are no longer vectors.
CODEGEN  = -march=$(ARCH) -fopenmp -fno-math-errno -fno-trapping-math -ffp-contract=fast -fno-unswitch-loops -fno-thread-jumps
CXXFLAGS += -std=c++20 $(OPT) $(CODEGEN)
CXXFLAGS += -Wall -Wextra -Wno-unknown-pragmas -Wno-restrict -I. -I$(BUILD) -DRETORT_VERSION='"$(VERSION)"' -MMD -MP
# protobuf first and in the program itself, its symbols for nobody else (distill/tensorboard.map).
PROTOBUF = -Wl,-Bstatic -lprotobuf-lite -Wl,-Bdynamic,--version-script=distill/tensorboard.map
LDLIBS   = -ldnnl -lfmt -lsentencepiece -lsentencepiece_train -lz -lxxhash -lpugixml -lcpp-httplib

PACKAGES = g++ make git ca-certificates libdnnl-dev libfmt-dev catch2 libsentencepiece-dev \
           libcli11-dev libtomlplusplus-dev nlohmann-json3-dev zlib1g-dev libxxhash-dev libpugixml-dev \
           libcpp-httplib-dev libjs-chart.js python3 libboost-context-dev \
           libprotobuf-dev protobuf-compiler

ROOMS = kernels engine losses models data distill
ALL   = $(filter-out distill/main.cpp,$(wildcard $(ROOMS:%=%/*.cpp)))
CUDA_ONLY  = $(filter %_cuda.cpp %_cudnn.cpp,$(ALL))
KERNEL_SRC = $(shell grep -l 'kernels/launch.h\|engine/map.h\|__global__' $(ALL))
HOST_SRC   = $(filter-out $(KERNEL_SRC) $(CUDA_ONLY) kernels/cpu_only.cpp,$(ALL))
HOST_OBJ   = $(HOST_SRC:%.cpp=$(BUILD)/%.o) $(BUILD)/page/page.o $(BUILD)/distill/tensorboard.pb.o
OBJ   = $(HOST_OBJ) $(patsubst %.cpp,$(BUILD)/%.o,$(filter-out $(CUDA_ONLY),$(KERNEL_SRC)) kernels/cpu_only.cpp)
GPU_SRC    = $(sort $(KERNEL_SRC) $(CUDA_ONLY))
LIB   = $(BUILD)/libretort.a
TESTS = $(patsubst %.cpp,$(BUILD)/%.o,$(filter-out tests/cudnn/% tests/simt/%,$(wildcard tests/*.cpp tests/*/*.cpp)))
BENCH = $(patsubst %.cpp,$(BUILD)/%.o,$(wildcard bench/*.cpp))

.SECONDARY:
.PHONY: all deps test demo docs browser-test screenshots bench bench-peers bench-profiles cuda simt simt-check check-adding check-cuda gpu-check format check-format install clean help
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

# The commit and its date go into the program; the file changes only when the commit does.
COMMIT := $(shell git describe --always --dirty --abbrev=12 2>/dev/null || echo unknown)
COMMIT_DATE := $(shell git log -1 --format=%cs 2>/dev/null)
$(shell mkdir -p $(BUILD); printf '#define RETORT_%s\n' 'COMMIT "$(COMMIT)"' 'DATE "$(COMMIT_DATE)"' > $(BUILD)/build_commit.new; \
        cmp -s $(BUILD)/build_commit.new $(BUILD)/build_commit.h || cp $(BUILD)/build_commit.new $(BUILD)/build_commit.h)

# `deps` only has to come first (|): on a bare machine nothing compiles before the packages are there.
$(BUILD)/%.o: %.cpp | deps
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) -c $< -o $@
$(LIB): $(OBJ)
	@rm -f $@
	@ar rcs $@ $^
# The page of report and lab lies in the program, with the chart library: the linker makes objects of files. A part's
# name there is its file's: _binary_page_html_start.
CHART ?= /usr/share/javascript/chart.js/chart.min.js
CHART_LICENCE ?= /usr/share/doc/libjs-chart.js/copyright
PAGE_SCRIPTS = elements charts page
REPORT_SCRIPTS = runs results training models report
PAGE_PARTS = page.html page.css page.js report.js lab.js chart.js chart.licence
$(BUILD)/page/page.o: $(wildcard distill/page/*) | deps
	@mkdir -p $(@D)
	cp distill/page/page.html distill/page/page.css distill/page/lab.js $(@D)
	cat $(PAGE_SCRIPTS:%=distill/page/%.js) > $(@D)/page.js
	cat $(REPORT_SCRIPTS:%=distill/page/%.js) > $(@D)/report.js
	cp $(CHART) $(@D)/chart.js
	cp $(CHART_LICENCE) $(@D)/chart.licence
	cd $(@D) && $(LD) -r -z noexecstack -b binary $(PAGE_PARTS) -o page.o
# TensorBoard's messages, which protoc makes a class each of.
$(BUILD)/distill/tensorboard.pb.cc $(BUILD)/distill/tensorboard.pb.h &: distill/tensorboard.proto | deps
	@mkdir -p $(@D)
	protoc --cpp_out=$(BUILD) $<
$(BUILD)/distill/tensorboard.pb.o: $(BUILD)/distill/tensorboard.pb.cc
	$(CXX) $(CXXFLAGS) -c $< -o $@
$(BUILD)/distill/tensorboard.o $(BUILD)/tests/distill/tensorboard.o: | $(BUILD)/distill/tensorboard.pb.cc
# Each device's program, tests and benchmarks: the common objects and those with its kernels.
%/retort: $(BUILD)/distill/main.o
	$(CXX) $(LDFLAGS) -fopenmp $^ $(PROTOBUF) $(LDLIBS) -o $@
%/tests/run: $(TESTS)
	@mkdir -p $(@D)
	$(CXX) $(LDFLAGS) -fopenmp $^ $(PROTOBUF) $(LDLIBS) -o $@
%/bench/run: $(BENCH)
	@mkdir -p $(@D)
	$(CXX) $(LDFLAGS) -fopenmp $^ $(PROTOBUF) $(LDLIBS) -o $@
PROGRAMS = retort tests/run bench/run
$(PROGRAMS:%=$(BUILD)/%): $(LIB)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)

test: deps $(BUILD)/tests/run $(BUILD)/retort $(BUILD)/simt/tests/run  ## build and pass every test, those of the CUDA backend on the shim
	$(BUILD)/tests/run
	OMP_NUM_THREADS=1 $(BUILD)/simt/tests/run "[cuda]"

# The CUDA toolkit: nvcc on the PATH, or where Debian's and NVIDIA's packages put it; CUDA= points elsewhere.
CUDA  ?= $(patsubst %/bin/nvcc,%,$(firstword $(shell command -v nvcc 2>/dev/null) $(wildcard /usr/local/cuda/bin/nvcc)))
NVCC   = $(CUDA)/bin/nvcc
ARCHS ?= 80 90 100
NVCCFLAGS = -x cu -std=c++20 -O3 -DRETORT_CUDA -I. -I$(BUILD) -Werror all-warnings -Xcompiler -Wno-unknown-pragmas \
            -Xcompiler "$(CODEGEN)" \
            -Xcompiler -Wno-free-nonheap-object -Xptxas -v --compress-mode=none
GENCODE = $(foreach a,$(ARCHS),-gencode arch=compute_$(a),code=sm_$(a)) \
          -gencode arch=compute_$(lastword $(ARCHS)),code=compute_$(lastword $(ARCHS))
CUDA_OBJ = $(GPU_SRC:%.cpp=$(BUILD)/cuda/%.o)
$(PROGRAMS:%=$(BUILD)/cuda/%): $(HOST_OBJ) $(CUDA_OBJ)
$(PROGRAMS:%=$(BUILD)/cuda/%): LDLIBS += -L$(CUDA)/lib64 -Wl,-rpath,$(CUDA)/lib64 -lcublasLt -lcudart_static -lpthread -ldl -lrt
$(filter-out $(KERNEL_SRC:%.cpp=$(BUILD)/cuda/%.o),$(CUDA_OBJ)): $(BUILD)/cuda/%.o: %.cpp | deps
	@mkdir -p $(@D)
	$(CXX) $(CXXFLAGS) -DRETORT_CUDA -isystem $(CUDA)/include -c $< -o $@
$(KERNEL_SRC:%.cpp=$(BUILD)/cuda/%.o): $(BUILD)/cuda/%.o: %.cpp | deps
	@mkdir -p $(@D)
	@echo $(NVCC) -c $<
	@$(NVCC) $(NVCCFLAGS) $(GENCODE) -MD -MF $(@:.o=.d) -c $< -o $@ 2>$(@:.o=.ptxas) || { cat $(@:.o=.ptxas); exit 1; }
ifneq ($(wildcard $(NVCC)),)
cuda: deps $(BUILD)/cuda/retort  ## build/cuda/retort, which has the CUDA backend (CUDA= where the toolkit is)
check-cuda: deps $(PROGRAMS:%=$(BUILD)/cuda/%) cudnn-check  ## spills, registers, wide loads, roofline; cuDNN's plans; the program
	@tests/cuda/check.py $(BUILD)/cuda
	@tests/cuda/check_program $(BUILD)/cuda/retort
gpu-check: deps $(PROGRAMS:%=$(BUILD)/cuda/%)  ## on a machine with a GPU: tests, compute-sanitizer, benchmark; gpu-check.json
	@tests/cuda/gpu_check $(BUILD)/cuda
else
cuda gpu-check:
	@echo "make $@: no nvcc found; install the CUDA toolkit, or say where it is: make $@ CUDA=/path"; exit 1
check-cuda:
	@echo "SKIPPED: check-cuda, no nvcc here"
endif
include tests/cudnn/cudnn.mk

# The CUDA sources against the shim: plain, and under the sanitizers, which see one thread of the system only
# (OpenMP's are not its own) and the sources with kernels only.
include tests/simt/simt.mk
simt_SHIM = $(SIMT_OBJ)
asan_SHIM = $(SIMT_ASAN_OBJ)
tsan_SHIM = $(SIMT_TSAN_OBJ)
simt_FLAGS = -O2
asan_FLAGS = -O1 -g -fno-openmp -fopenmp-simd $(SIMT_ASAN)
tsan_FLAGS = -O1 -g -fno-openmp -fopenmp-simd $(SIMT_TSAN)
define shim_build
$(GPU_SRC:%.cpp=$(BUILD)/$(1)/%.o): $(BUILD)/$(1)/%.o: %.cpp | deps
	@mkdir -p $$(@D)
	$$(CXX) $$(CXXFLAGS) $$(SIMT_FLAGS) $$($(1)_FLAGS) -c $$< -o $$@
$(PROGRAMS:%=$(BUILD)/$(1)/%): $(HOST_OBJ) $(GPU_SRC:%.cpp=$(BUILD)/$(1)/%.o) $($(1)_SHIM)
$(PROGRAMS:%=$(BUILD)/$(1)/%): LDLIBS += -lboost_context
$(PROGRAMS:%=$(BUILD)/$(1)/%): LDFLAGS += $(filter -fsanitize%,$($(1)_FLAGS))
endef
$(foreach b,simt asan tsan,$(eval $(call shim_build,$(b))))

simt: deps $(BUILD)/simt/tests/run $(BUILD)/simt/retort  ## the tests of the CUDA backend, on the CPU
	OMP_NUM_THREADS=1 $(BUILD)/simt/tests/run "[cuda]"
SEEDS ?= 1 5 6 7
simt-check: deps $(BUILD)/simt/tests/run simt-test $(BUILD)/asan/tests/run $(BUILD)/tsan/tests/run  ## the shim's own tests; further thread orders, sanitizers
	@export RETORT_MEMORY_CACHE=off OMP_NUM_THREADS=1; for s in $(SEEDS); do \
	  echo "SIMT_SEED=$$s"; SIMT_SEED=$$s $(BUILD)/simt/tests/run "[cuda][small]" || exit 1; done
	OMP_NUM_THREADS=1 SIMT_MULTIPROCESSORS=14 $(BUILD)/simt/tests/run "long rows agree with float64"
	@export RETORT_MEMORY_CACHE=off OMP_NUM_THREADS=1 ASAN_OPTIONS=allocator_may_return_null=1 \
	  TSAN_OPTIONS=allocator_may_return_null=1; for b in asan tsan; do for s in $(SEEDS); do \
	  echo "$$b, SIMT_SEED=$$s"; SIMT_SEED=$$s $(BUILD)/$$b/tests/run "[cuda][small]" || exit 1; done; done

check-adding: deps $(BUILD)/retort $(BUILD)/tests/run $(BUILD)/simt/tests/run  ## the diffs of docs/adding.md, applied, built and used
	@tests/adding.py $(MAKEOVERRIDES)

data/sets/l10n-en-ro: | deps
	data/get l10n-en-ro
demo: deps $(BUILD)/retort data/sets/l10n-en-ro  ## real data, a teacher, five students, the table: ten minutes
	$(BUILD)/retort run recipes/demo.toml

# The lessons and the reference pages; then the tool's own test.
docs browser-test: PACKAGES += pandoc libjs-katex python3-matplotlib
docs: deps $(BUILD)/retort $(BUILD)/simt/retort $(SIMT_BUILD)/tests $(SIMT_BUGS)  ## the book: lessons and reference as pages in build/docs, its snippets, plots and links checked
	docs/book/book.py $(BUILD)/retort $(BUILD)/docs
	tests/docs/check

# In a browser, Debian's chromium.
browser-test screenshots: PACKAGES += chromium chromium-driver python3-selenium fonts-dejavu-core
browser-test: deps $(BUILD)/retort docs  ## report, lab and book in headless Chromium: charts, hover values, formulas, contrast, labels, requests
	tests/browser/check $(BUILD)/retort
	tests/browser/lab $(BUILD)/retort
	tests/browser/book $(BUILD)/docs
screenshots: deps $(BUILD)/retort  ## docs/images: the reports of the demo (make demo) and of the en-ro comparison, the lab
	tests/browser/screenshots $(BUILD)/retort docs/images

bench-peers: PACKAGES += python3-venv
bench-peers: deps  ## PyTorch, transformers, CTranslate2, POT, into build/peers
	python3 -m venv $(BUILD)/peers
	$(BUILD)/peers/bin/pip install -q -r bench/peers/requirements.txt
bench: deps $(BUILD)/bench/run $(BUILD)/retort  ## speed against peers (make bench-peers) and limits, 11 minutes; ROW=step/3 for one
	$(if $(ROW),,$(BUILD)/bench/run --json $(BUILD)/bench/limits.json)
	bench/compare.py --only "$(ROW)" --json $(BUILD)/bench/peers.json
bench-profiles: PACKAGES += linux-perf
bench-profiles: deps $(BUILD)/bench/run  ## docs/profiles.md: where the rows that fall short spend their time, by function
	bench/profiles.py > $(BUILD)/bench/profiles.md && mv $(BUILD)/bench/profiles.md docs/profiles.md

CLANG_FORMAT ?= clang-format
FORMATTED = $(shell git ls-files '*.cpp' '*.h')
format:  ## format the sources
	$(CLANG_FORMAT) -i $(FORMATTED)
check-format:  ## fail where a source is not formatted
	$(CLANG_FORMAT) --dry-run -Werror $(FORMATTED)

SHARE = $(PREFIX)/share
install: all  ## program, completion, man page, library, headers and a pkg-config file under PREFIX
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/pkgconfig
	install $(BUILD)/retort $(DESTDIR)$(PREFIX)/bin/
	install -d $(DESTDIR)$(SHARE)/bash-completion/completions $(DESTDIR)$(SHARE)/zsh/site-functions $(DESTDIR)$(SHARE)/man/man1
	$(BUILD)/retort completion bash > $(DESTDIR)$(SHARE)/bash-completion/completions/retort
	$(BUILD)/retort completion zsh > $(DESTDIR)$(SHARE)/zsh/site-functions/_retort
	$(BUILD)/retort man > $(DESTDIR)$(SHARE)/man/man1/retort.1
	install -m 644 $(LIB) $(DESTDIR)$(PREFIX)/lib/
	for r in kernels engine losses models data; do install -d $(DESTDIR)$(PREFIX)/include/retort/$$r; \
	  install -m 644 $$r/*.h $(DESTDIR)$(PREFIX)/include/retort/$$r/; done
	printf 'prefix=%s\nName: retort\nDescription: deep-learning engine for knowledge distillation\nVersion: %s\nLibs: -L$${prefix}/lib -lretort -fopenmp %s\nCflags: -I$${prefix}/include/retort -std=c++20 -fopenmp\n' \
	  '$(PREFIX)' '$(VERSION)' '$(LDLIBS)' > $(DESTDIR)$(PREFIX)/lib/pkgconfig/retort.pc

clean:  ## remove what was built
	rm -rf $(BUILD)
