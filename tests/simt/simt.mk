# The test device: kernels as g++ sees them, a scheduler on fibers, a stand-in for the CUDA runtime.
# Included by the Makefile; also `make -f tests/simt/simt.mk simt-test`.
#   SIMT_FLAGS     compiles a kernel or operator file for it
#   SIMT_OBJ       links with it (needs -fopenmp)
#   simt-test      the shim's own tests
BUILD     ?= build
CXX       ?= g++
CUDA      ?= /usr/local/cuda
SIMT       = tests/simt
SIMT_BUILD = $(BUILD)/shim
SIMT_STD   = -std=c++20 -g -Wall -Wextra -Wno-unknown-pragmas -I. -MMD -MP
SIMT_FLAGS = -DRETORT_CUDA -DSIMT -DSIMT_BIN='"$(SIMT_BUILD)"' -I$(SIMT)
SIMT_SELF  = simt worker rendezvous device_memory queue cudart launch cublaslt

SIMT_OBJ      = $(SIMT_SELF:%=$(SIMT_BUILD)/plain/%.o)
SIMT_ASAN_OBJ = $(SIMT_SELF:%=$(SIMT_BUILD)/asan/%.o) $(SIMT_BUILD)/asan/uninitialised.o
SIMT_TSAN_OBJ = $(SIMT_SELF:%=$(SIMT_BUILD)/tsan/%.o)
SIMT_ASAN     = -fsanitize=address,undefined -fno-sanitize-recover=undefined
SIMT_ASAN    += --param asan-instrumentation-with-call-threshold=0  # for uninitialised.cpp
SIMT_TSAN     = -fsanitize=thread
SIMT_BUGS     = $(SIMT_BUILD)/bugs $(SIMT_BUILD)/bugs-asan $(SIMT_BUILD)/bugs-tsan

.PHONY: simt-test simt-headers

# The shim itself has no -fsanitize: it tells the sanitizers what it does.
$(SIMT_OBJ): $(SIMT_BUILD)/plain/%.o: $(SIMT)/%.cpp
	@mkdir -p $(@D)
	$(CXX) $(SIMT_STD) $(SIMT_FLAGS) -O2 -fopenmp -c $< -o $@
$(SIMT_ASAN_OBJ): $(SIMT_BUILD)/asan/%.o: $(SIMT)/%.cpp
	@mkdir -p $(@D)
	$(CXX) $(SIMT_STD) $(SIMT_FLAGS) -O2 -DSIMT_ASAN -c $< -o $@
$(SIMT_TSAN_OBJ): $(SIMT_BUILD)/tsan/%.o: $(SIMT)/%.cpp
	@mkdir -p $(@D)
	$(CXX) $(SIMT_STD) $(SIMT_FLAGS) -O2 -DSIMT_TSAN -c $< -o $@

# Kernels, for each of the three builds.
$(SIMT_BUILD)/plain/use/%.o: %.cpp
	@mkdir -p $(@D)
	$(CXX) $(SIMT_STD) $(SIMT_FLAGS) -O2 -fopenmp -c $< -o $@
$(SIMT_BUILD)/asan/use/%.o: %.cpp
	@mkdir -p $(@D)
	$(CXX) $(SIMT_STD) $(SIMT_FLAGS) -O1 $(SIMT_ASAN) -c $< -o $@
$(SIMT_BUILD)/tsan/use/%.o: %.cpp
	@mkdir -p $(@D)
	$(CXX) $(SIMT_STD) $(SIMT_FLAGS) -O1 $(SIMT_TSAN) -c $< -o $@

SIMT_BUGS_USE = $(SIMT)/bugs.o $(SIMT)/correct.o
$(SIMT_BUILD)/bugs: $(SIMT_BUGS_USE:%=$(SIMT_BUILD)/plain/use/%) $(SIMT_OBJ)
	$(CXX) -fopenmp $^ -lboost_context -o $@
$(SIMT_BUILD)/bugs-asan: $(SIMT_BUGS_USE:%=$(SIMT_BUILD)/asan/use/%) $(SIMT_ASAN_OBJ)
	$(CXX) $(SIMT_ASAN) $^ -lboost_context -o $@
$(SIMT_BUILD)/bugs-tsan: $(SIMT_BUGS_USE:%=$(SIMT_BUILD)/tsan/use/%) $(SIMT_TSAN_OBJ)
	$(CXX) $(SIMT_TSAN) $^ -lboost_context -o $@

# The shim's own tests, and the check of its declarations against NVIDIA's.
SIMT_TESTS = $(SIMT)/runtime.o $(SIMT)/planted.o tests/main.o
$(SIMT_BUILD)/tests: $(SIMT_TESTS:%=$(SIMT_BUILD)/plain/use/%) $(SIMT_OBJ)
	$(CXX) -fopenmp $^ -lboost_context -o $@
$(SIMT_BUILD)/headers.ok: $(SIMT)/headers.cpp $(SIMT)/headers_cublaslt.cpp $(SIMT)/cudart_api.h $(SIMT)/cublasLt.h
	@mkdir -p $(@D)
	$(CXX) -std=c++20 -Wall -fsyntax-only -I$(CUDA)/include $(filter %.cpp,$^)
	@touch $@
ifneq ($(wildcard $(CUDA)/include/cuda_runtime_api.h),)
simt-headers: $(SIMT_BUILD)/headers.ok  ## check the stand-in's declarations against NVIDIA's
else
simt-headers:
	@echo "SKIPPED: simt-headers, no CUDA toolkit here"
endif
simt-test: $(SIMT_BUILD)/tests $(SIMT_BUGS) simt-headers  ## the tests of the test device itself
	$(SIMT_BUILD)/tests "[simt]"

-include $(shell find $(SIMT_BUILD) -name '*.d' 2>/dev/null)
