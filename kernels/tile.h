// Small dense products for code that keeps its own tiles (attention, float64 gemm): C += A B on
// packed row-major blocks, by vector registers of the compiler's (GCC vector extension).
#pragma once
#include <cstddef>
#include <cstring>

namespace retort {

template <class T>
struct Vec {
  static constexpr int size = 64 / int(sizeof(T));
  typedef T type __attribute__((vector_size(64), aligned(4)));
};

/// n rounded up to whole vectors.
template <class T>
constexpr int padded(int n) {
  return (n + Vec<T>::size - 1) / Vec<T>::size * Vec<T>::size;
}

// R rows of C, R x 2 vectors in registers; element (r, l) of A is a[r * ra + l * ca].
template <class T, int R>
inline void tile_rows(int n, int k, const T* a, size_t ra, size_t ca, const T* b, size_t ldb, T* c,
                      size_t ldc) {
  using V = typename Vec<T>::type;
  constexpr int W = Vec<T>::size;
  int j = 0;
  for (; j + 2 * W <= n; j += 2 * W) {
    V s0[R], s1[R];
    for (int r = 0; r < R; r++) {
      s0[r] = *reinterpret_cast<const V*>(c + r * ldc + j);
      s1[r] = *reinterpret_cast<const V*>(c + r * ldc + j + W);
    }
    for (int l = 0; l < k; l++) {
      V b0 = *reinterpret_cast<const V*>(b + l * ldb + j);
      V b1 = *reinterpret_cast<const V*>(b + l * ldb + j + W);
      for (int r = 0; r < R; r++) {
        T x = a[r * ra + l * ca];
        s0[r] += x * b0;
        s1[r] += x * b1;
      }
    }
    for (int r = 0; r < R; r++) {
      *reinterpret_cast<V*>(c + r * ldc + j) = s0[r];
      *reinterpret_cast<V*>(c + r * ldc + j + W) = s1[r];
    }
  }
  for (; j < n; j += W) {
    V s[R];
    for (int r = 0; r < R; r++) s[r] = *reinterpret_cast<const V*>(c + r * ldc + j);
    for (int l = 0; l < k; l++) {
      V b0 = *reinterpret_cast<const V*>(b + l * ldb + j);
      for (int r = 0; r < R; r++) s[r] += a[r * ra + l * ca] * b0;
    }
    for (int r = 0; r < R; r++) *reinterpret_cast<V*>(c + r * ldc + j) = s[r];
  }
}

/// C (m x n) += A (m x k) B (k x n). B and C are row-major with n a multiple of Vec<T>::size
/// (callers pad their tiles with zeros); element (r, l) of A is a[r * ra + l * ca], so A may be
/// transposed.
template <class T>
inline void tile_gemm(int m, int n, int k, const T* a, size_t ra, size_t ca, const T* b, size_t ldb,
                      T* c, size_t ldc) {
  int i = 0;
  for (; i + 8 <= m; i += 8) tile_rows<T, 8>(n, k, a + i * ra, ra, ca, b, ldb, c + i * ldc, ldc);
  for (; i + 4 <= m; i += 4) tile_rows<T, 4>(n, k, a + i * ra, ra, ca, b, ldb, c + i * ldc, ldc);
  for (; i < m; i++) tile_rows<T, 1>(n, k, a + i * ra, ra, ca, b, ldb, c + i * ldc, ldc);
}

}  // namespace retort
