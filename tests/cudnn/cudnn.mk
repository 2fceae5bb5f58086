# cuDNN's attention where there is no GPU, in two processes of their own:
#   plans    real cuDNN builds the plans of typical shapes for sm_90, on a stub libcuda;
#   numbers  an interpreter of graphs takes cuDNN's place, and the results are compared.
# The stub and the interpreter lie in folders that only these processes search.
CUDA  ?= /usr/local/cuda
BUILD ?= build
CUDNN_CHECK = $(BUILD)/cudnn
CUDNN_FLAGS = -std=c++20 -O1 -Wall -Wextra -Wno-unknown-pragmas -I. -isystem $(CUDA)/include
CUDNN_HEADERS = $(wildcard kernels/*.h)

.PHONY: cudnn-check
ifeq ($(wildcard $(CUDA)/include/cudnn.h),)
cudnn-check:  ## build cuDNN's attention plans and check their graphs, without a GPU
	@echo "SKIPPED: cudnn-check, no cuDNN under $(CUDA)"
else
$(CUDNN_CHECK)/plans: tests/cudnn/plans.cpp kernels/attention_cudnn.cpp $(CUDNN_HEADERS)
	@mkdir -p $(@D)
	$(CXX) $(CUDNN_FLAGS) $(filter %.cpp,$^) -ldl -o $@
$(CUDNN_CHECK)/numbers: tests/cudnn/numbers.cpp kernels/attention_cudnn.cpp \
                        kernels/attention_cpu.cpp kernels/cpu_only.cpp kernels/device.cpp $(CUDNN_HEADERS)
	@mkdir -p $(@D)
	$(CXX) $(CUDNN_FLAGS) $(filter %.cpp,$^) -ldl -o $@
$(CUDNN_CHECK)/stub/libcuda.so.1: tests/cudnn/stub_libcuda.c
	@mkdir -p $(@D)
	$(CC) -Wall -shared -fPIC $< -o $@
$(CUDNN_CHECK)/fake/libcudnn.so.9: tests/cudnn/fake_cudnn.cpp
	@mkdir -p $(@D)
	$(CXX) $(CUDNN_FLAGS) -shared -fPIC $< -o $@
$(CUDNN_CHECK)/fake/libcuda.so.1: $(CUDNN_CHECK)/fake/libcudnn.so.9
	cp $< $@
cudnn-check: $(CUDNN_CHECK)/plans $(CUDNN_CHECK)/stub/libcuda.so.1 $(CUDNN_CHECK)/numbers \
             $(CUDNN_CHECK)/fake/libcuda.so.1  ## build cuDNN's attention plans and check their graphs, without a GPU
	LD_LIBRARY_PATH=$(CUDNN_CHECK)/fake $(CUDNN_CHECK)/numbers
	LD_LIBRARY_PATH=$(CUDNN_CHECK)/stub:$(CUDA)/lib64 $(CUDNN_CHECK)/plans tests/cudnn/h100.json
endif
