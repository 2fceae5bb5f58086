// gemm: the library's product, with separate passes over C for what the library does not do.
#include "kernels/gemm.h"

#include <stdexcept>
#include <string>

#include "kernels/gelu.h"
#include "kernels/launch.h"

namespace retort {
namespace {

template <class T>
struct FillRow {  // the bias waits in C; the product adds to it
  const T* b;
  T* c;
  int n;
  template <class Team>
  HD void operator()(Team team, int row) const {
    copy(team, n, b, c + size_t(row) * n);
  }
};
template <class T>
struct Column {  // of the stored, transposed A
  const T* a;
  size_t ld;
  HD Real<T> operator()(int r, int c) const { return a[size_t(r) * ld + size_t(c)]; }
};

template <class T, class Out>
bool multiply(Device device, const Gemm& g, const T* a, const T* b, Out* c,
              const Epilogue<Out>& e) {
  bool plain = !e.bias && !e.gelu && !e.gelu_of && !e.sums;
  if (device == Device::cuda && !g.stable_rows && g.k > 0) return cuda_gemm(g, a, b, c, e);
  if (!plain) return false;
  device == Device::cuda ? cuda_stable_gemm(g, a, b, c) : cpu_gemm(g, a, b, c);
  return true;
}

}  // namespace

template <class T, class Out>
void gemm(Device device, const Gemm& g, const T* a, const T* b, Out* c, const Epilogue<Out>& e) {
  if (g.m == 0 || g.n == 0 || g.batch == 0) return;
  if (multiply(device, g, a, b, c, e)) return;
  Gemm product = g;
  Out* y = e.before_gelu ? e.before_gelu : c;
  size_t size = size_t(g.m) * size_t(g.n);
  if (e.bias) {
    rows(device, g.m, FillRow<Out>{e.bias, y, g.n});
    product.beta = 1;
  }
  if (!multiply(device, product, a, b, y, Epilogue<Out>{}))
    throw std::runtime_error("gemm: the library has no algorithm for " + std::to_string(g.m) +
                             " x " + std::to_string(g.n) + " x " + std::to_string(g.k));
  if (e.gelu) map(device, size, c, GeluTanh{}, static_cast<const Out*>(y));
  if (e.gelu_of) map(device, size, c, GeluTanhBackward{}, e.gelu_of, static_cast<const Out*>(c));
  if (e.sums) columns(device, g.k, g.m, e.sums, Column<T>{a, size_t(g.lda)});
}
template void gemm(Device, const Gemm&, const float*, const float*, float*, const Epilogue<float>&);
template void gemm(Device, const Gemm&, const double*, const double*, double*,
                   const Epilogue<double>&);
template void gemm(Device, const Gemm&, const bf16*, const bf16*, bf16*, const Epilogue<bf16>&);
template void gemm(Device, const Gemm&, const bf16*, const bf16*, float*, const Epilogue<float>&);

}  // namespace retort
