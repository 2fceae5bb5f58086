// In the place of the CUDA backend where the build has none: every call says so.
#include "kernels/attention.h"
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

template <class T, class Out>
bool cuda_gemm(const Gemm&, const T*, const T*, Out*, const Epilogue<Out>&) {
  no_cuda();
}
template <class T, class Out>
void cuda_stable_gemm(const Gemm&, const T*, const T*, Out*) {
  no_cuda();
}
#define PRODUCTS(T, Out)                                                                \
  template bool cuda_gemm(const Gemm&, const T*, const T*, Out*, const Epilogue<Out>&); \
  template void cuda_stable_gemm(const Gemm&, const T*, const T*, Out*);
PRODUCTS(float, float)
PRODUCTS(double, double)
PRODUCTS(bf16, bf16)
PRODUCTS(bf16, float)

template <class T>
void cuda_attention_forward(const AttentionArgs<T>&, T*, Real<T>*) {
  no_cuda();
}
template <class T>
void cuda_attention_backward(const AttentionArgs<T>&, const T*, const Real<T>*, const T*, T*, T*,
                             T*, Real<T>*, Real<T>*) {
  no_cuda();
}
template <class T>
size_t cuda_attention_scratch(const AttentionArgs<T>&, bool) {
  no_cuda();
}
#define RETORT_ATTENTION(T)                                                                \
  template void cuda_attention_forward(const AttentionArgs<T>&, T*, Real<T>*);             \
  template void cuda_attention_backward(const AttentionArgs<T>&, const T*, const Real<T>*, \
                                        const T*, T*, T*, T*, Real<T>*, Real<T>*);         \
  template size_t cuda_attention_scratch(const AttentionArgs<T>&, bool);
RETORT_ATTENTION(float)
RETORT_ATTENTION(double)
RETORT_ATTENTION(bf16)
#undef RETORT_ATTENTION

}  // namespace retort
