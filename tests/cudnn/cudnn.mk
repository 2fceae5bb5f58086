# Builds cuDNN's attention plans for sm_90 on a machine without a GPU. The stub libcuda.so.1 lies in
# a folder of its own, on the path of this one process.
CUDA  ?= /usr/local/cuda
BUILD ?= build
CUDNN_CHECK = $(BUILD)/cudnn
CUDNN_FLAGS = -std=c++20 -O1 -Wall -Wextra -I. -isystem $(CUDA)/include

.PHONY: cudnn-check
ifeq ($(wildcard $(CUDA)/include/cudnn.h),)
cudnn-check:  ## build cuDNN's attention plans, no GPU needed
	@echo "SKIPPED: cudnn-check, no cuDNN under $(CUDA)"
else
$(CUDNN_CHECK)/plans: tests/cudnn/plans.cpp kernels/attention_cudnn.cpp kernels/attention_cudnn.h \
                      kernels/cudnn_graph.h
	@mkdir -p $(@D)
	$(CXX) $(CUDNN_FLAGS) $(filter %.cpp,$^) -ldl -o $@
$(CUDNN_CHECK)/stub/libcuda.so.1: tests/cudnn/stub_libcuda.c
	@mkdir -p $(@D)
	$(CC) -Wall -shared -fPIC $< -o $@
cudnn-check: $(CUDNN_CHECK)/plans $(CUDNN_CHECK)/stub/libcuda.so.1  ## build cuDNN's attention plans, no GPU needed
	LD_LIBRARY_PATH=$(CUDNN_CHECK)/stub:$(CUDA)/lib64 $(CUDNN_CHECK)/plans tests/cudnn/h100.json
endif
