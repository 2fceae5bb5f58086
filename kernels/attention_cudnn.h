// Fused attention by cuDNN, where it is found at run time: softmax(scale Q K^T) V per head in
// bfloat16 with float32 arithmetic, forward and backward.
//
// Accepted: head sizes that are multiples of 8 up to 128, T and S above 1, grouped heads, any
// strides that are multiples of 8 elements, and
//   full attention (S may differ from T), with or without lengths of keys;
//   causal attention with T <= S (query i sees keys j <= i + S - T); with lengths only T == S.
// Bias, dropout and other types are the engine's own kernel's (kernels/attention.h).
//
// `make cudnn-check` builds the plans of typical shapes for sm_90 with no GPU. A built plan proves
// that cuDNN takes the shape on that machine, not its numbers: cuDNN's kernels were not run on
// hardware. What is checked by numbers is our side, the graphs and the operands, with an
// interpreter of graphs in cuDNN's place.
#pragma once
#include <cstdint>
#include <functional>
#include <string>

struct CUstream_st;  // cudaStream_t is a pointer to it

namespace retort {

/// Distances in elements between an operand's sequences, positions and heads; the elements of one
/// head are contiguous. All zero: a contiguous (sequence, position, head, element) array.
struct AttentionStrides {
  int64_t batch = 0, position = 0, head = 0;
};

/// What a plan is built for. q is (B, T, H, D); k and v are (B, S, K, D), K dividing H.
struct AttentionShape {
  int B, T, S, H, K, D;
  bool causal = false;         // query i sees keys j <= i + (S - T)
  bool lengths = false;        // sequence b has keys j < lengths[b], from 1 to S of them
  bool deterministic = false;  // backward: the same bits every time, for about 2 B H T S bytes more
  AttentionStrides q, k, v;
};

/// Addresses on the device, bfloat16 unless typed, 16-byte aligned. All but q, k and v are
/// contiguous: out, dout and dq (B, T, H, D), dk and dv (B, S, K, D), log_sum (B, H, T).
struct AttentionBuffers {
  const void *q, *k, *v;
  const int* lengths;  // (B), or null where the shape has none
  float scale;
  void* out;       // forward writes out and log_sum, backward reads them
  float* log_sum;  // log-sum-exp of each row's scaled scores
  const void* dout = nullptr;
  void *dq = nullptr, *dk = nullptr, *dv = nullptr;  // backward writes them
};

/// Gives device memory of that many bytes (256-byte aligned) that stays until the stream has done
/// what is queued; null where there is none. Called at most once in each run.
using AttentionWorkspace = std::function<void*(size_t bytes)>;

/// Whether cuDNN 9.16 or later and CUDA's driver are found.
bool cudnn_attention_found();

/// Whether cuDNN is found and the shape is one of those listed above.
bool cudnn_attention_accepts(const AttentionShape& shape);

/// Queues attention on a stream of the calling thread's current device. False where cuDNN refuses;
/// outputs may then hold anything, and the caller runs its own kernel. The first call with a shape
/// builds its plan (about half a second) and keeps it, so T and S should come from a short list.
/// Gradients of keys behind a sequence's length are zero. Safe to call from several threads.
bool cudnn_attention_forward(const AttentionShape& shape, const AttentionBuffers& buffers,
                             CUstream_st* stream, const AttentionWorkspace& workspace);
bool cudnn_attention_backward(const AttentionShape& shape, const AttentionBuffers& buffers,
                              CUstream_st* stream, const AttentionWorkspace& workspace);

/// What became of a plan built without running it.
struct AttentionPlan {
  bool built = false;
  int64_t engine = -1, workspace = 0;  // cuDNN's number of its engine; bytes
  std::string refusal;                 // why it was not built
};

/// Builds a plan for the device that cuDNN's JSON describes, which need not be here. For tests.
AttentionPlan cudnn_attention_plan(const AttentionShape& shape, bool backward,
                                   const std::string& device_json);

}  // namespace retort
