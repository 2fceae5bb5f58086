// Matrix products, row-major: C = op(A) op(B) + beta C, for each of `batch` matrices.
#pragma once
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

/// T is float or double.
template <class T>
void gemm(Device device, const Gemm& g, const T* a, const T* b, T* c);
/// The CUDA half of it (kernels/gemm_cuda.cpp).
template <class T>
void cuda_gemm(const Gemm& g, const T* a, const T* b, T* c);

}  // namespace retort
