// cuDNN's attention in place of the own kernel, where shape and options allow.
#pragma once
#include "kernels/attention.h"

namespace retort {

/// True: the library has queued it. False: the caller runs its own kernel.
bool library_attention_forward(const AttentionArgs<bf16>& args, bf16* out, float* log_sum);
bool library_attention_backward(const AttentionArgs<bf16>& args, const bf16* out,
                                const float* log_sum, const bf16* dout, bf16* dq, bf16* dk,
                                bf16* dv);

}  // namespace retort
