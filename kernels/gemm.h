// Matrix products, row-major: C = op(A) op(B) + beta C, for each of `batch` matrices, and what a
// library may do to C while it still has it in registers.
#pragma once
#include "kernels/bf16.h"
#include "kernels/device.h"

namespace retort {

/// op(A) is m x k, op(B) is k x n, C is m x n; lda, ldb, ldc are distances between stored rows, the
/// strides those between the matrices of a batch.
struct Gemm {
  bool ta = false, tb = false;
  int m = 0, n = 0, k = 0;
  int lda = 0, ldb = 0, ldc = 0;
  int batch = 1;
  size_t stride_a = 0, stride_b = 0, stride_c = 0;
  float beta = 0;
  bool stable_rows = false;  ///< a row of C does not depend, to the bit, on how many rows there are
};

/// Of a product with batch 1 whose C is dense (ldc = n); null and false: not wanted. With bias,
/// gelu and gelu_of beta is 0; of gelu, gelu_of and sums at most one is set.
template <class Out>
struct Epilogue {
  const Out* bias = nullptr;     ///< (n): added to every row
  bool gelu = false;             ///< C becomes gelu_tanh(C)
  Out* before_gelu = nullptr;    ///< (m, n): keeps what C was before that
  const Out* gelu_of = nullptr;  ///< (m, n): C is multiplied by gelu_tanh's derivative there
  Out* sums = nullptr;  ///< (m): sums of op(A)'s rows, for ta: the bias gradient that belongs to a
                        ///< weight gradient
};

/// T and Out are float, double or bf16, the same; or T is bf16 and Out float. bf16 products are
/// summed in float32. On CUDA warm calls (of a shape seen before) neither allocate nor wait.
template <class T, class Out>
void gemm(Device device, const Gemm& g, const T* a, const T* b, Out* c,
          const Epilogue<Out>& e = {});

/// The product alone, on the CPU (kernels/gemm_cpu.cpp).
template <class T, class Out>
void cpu_gemm(const Gemm& g, const T* a, const T* b, Out* c);
/// By cuBLASLt (kernels/gemm_cuda.cpp). False, and nothing was done, where it has no algorithm with
/// this epilogue.
template <class T, class Out>
bool cuda_gemm(const Gemm& g, const T* a, const T* b, Out* c, const Epilogue<Out>& e);
/// By an own kernel, with stable rows (kernels/gemm_stable_cuda.cpp).
template <class T, class Out>
void cuda_stable_gemm(const Gemm& g, const T* a, const T* b, Out* c);

}  // namespace retort
