// In the place of the CUDA backend where the build has none: every call says so.
#include "kernels/attention.h"
#include "kernels/bf16.h"
#include "kernels/gemm.h"
#include "kernels/graph.h"

namespace retort {

std::string cuda_missing() {
  return "this build of retort has no CUDA backend; `make cuda` builds one";
}

void* cuda_allocate(size_t) { no_cuda(); }
void cuda_free(void*) { no_cuda(); }
void cuda_copy(Device, void*, Device, const void*, size_t) { no_cuda(); }
void cuda_zero(void*, size_t) { no_cuda(); }
void cuda_synchronize() { no_cuda(); }
bool Graph::cuda_graph_run(void**, const std::function<void()>&) { no_cuda(); }
void Graph::cuda_graph_free(void*) {}

template <class T>
void cuda_gemm(const Gemm&, const T*, const T*, T*) {
  no_cuda();
}
template void cuda_gemm(const Gemm&, const float*, const float*, float*);
template void cuda_gemm(const Gemm&, const double*, const double*, double*);
template void cuda_gemm(const Gemm&, const bf16*, const bf16*, bf16*);

template <class T>
void cuda_attention_forward(const AttentionArgs<T>&, T*, T*) {
  no_cuda();
}
template <class T>
void cuda_attention_backward(const AttentionArgs<T>&, const T*, const T*, const T*, T*, T*, T*,
                             T*) {
  no_cuda();
}
template void cuda_attention_forward(const AttentionArgs<float>&, float*, float*);
template void cuda_attention_forward(const AttentionArgs<double>&, double*, double*);
template void cuda_attention_backward(const AttentionArgs<float>&, const float*, const float*,
                                      const float*, float*, float*, float*, float*);
template void cuda_attention_backward(const AttentionArgs<double>&, const double*, const double*,
                                      const double*, double*, double*, double*, double*);

}  // namespace retort
