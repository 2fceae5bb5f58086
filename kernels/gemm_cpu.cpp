// Products on the CPU: oneDNN in float32 and bf16 (the only file that names it), own tiles in
// float64 and where rows must be stable.
#include <dnnl.h>

#include <algorithm>
#include <array>
#include <map>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/gemm.h"
#include "kernels/tile.h"

namespace retort {
namespace {

// X W^T with few rows of X, as in decoding: C^T = W X^T, so that W is read where it lies and only X
// is copied, transposed. Every element of C is one sum over k in order, so its bits depend on its
// row of X and of W alone. oneDNN's do not have that property: its kernels change with m and the
// number of threads.
template <class T>
void by_rows(const Gemm& g, const T* x, const T* w, T* c) {
  constexpr int M = 64, N = 64;
  int down = (g.m + M - 1) / M, across = (g.n + N - 1) / N;
  std::vector<T> panels(size_t(down) * M * size_t(g.k));
  auto width = [&](int i0) { return padded<T>(std::min(M, g.m - i0)); };
#pragma omp parallel if (size_t(g.m) * size_t(g.n) * size_t(g.k) > 65536)
  {
#pragma omp for
    for (int panel = 0; panel < down; panel++) {
      int i0 = panel * M, wide = width(i0);
      T* p = panels.data() + size_t(panel) * M * size_t(g.k);
      for (int i = 0; i < wide; i++)
        for (int l = 0; l < g.k; l++)
          p[size_t(l) * wide + i] = i0 + i < g.m ? x[size_t(i0 + i) * g.lda + l] : T(0);
    }
#pragma omp for
    for (int block = 0; block < down * across; block++) {
      alignas(64) T ct[N * M];
      int panel = block % down, i0 = panel * M, j0 = block / down * N, wide = width(i0);
      int m = std::min(M, g.m - i0), n = std::min(N, g.n - j0);
      std::fill(ct, ct + n * wide, T(0));
      tile_gemm<T>(n, wide, g.k, w + size_t(j0) * g.ldb, size_t(g.ldb), 1,
                   panels.data() + size_t(panel) * M * size_t(g.k), wide, ct, wide);
      for (int i = 0; i < m; i++) {
        T* out = c + size_t(i0 + i) * g.ldc + j0;
        for (int j = 0; j < n; j++)
          out[j] = ct[j * wide + i] + (g.beta != 0 ? T(g.beta) * out[j] : T(0));
      }
    }
  }
}

// Own tiles: op(B) packed in blocks of 64 x 64, op(A) read where it lies; one sum over k in order.
template <class T>
void tiled(const Gemm& g, const T* a, const T* b, T* c) {
  constexpr int M = 128, N = 64;
  int across = (g.n + N - 1) / N, blocks = (g.m + M - 1) / M * across;
  size_t row = g.ta ? 1 : size_t(g.lda), step = g.ta ? size_t(g.lda) : 1;
#pragma omp parallel for if (size_t(g.m) * size_t(g.n) * size_t(g.k) > 65536)
  for (int block = 0; block < blocks; block++) {
    alignas(64) T pb[N * N], pc[M * N];
    int i0 = block / across * M, j0 = block % across * N;
    int m = std::min(M, g.m - i0), n = std::min(N, g.n - j0);
    std::fill(pc, pc + m * N, T(0));
    for (int l0 = 0; l0 < g.k; l0 += N) {
      int k = std::min(N, g.k - l0);
      if (n < N) std::fill(pb, pb + k * N, T(0));
      if (g.tb) {
        for (int j = 0; j < n; j++) {
          const T* x = b + size_t(j0 + j) * g.ldb + l0;
          for (int l = 0; l < k; l++) pb[l * N + j] = x[l];
        }
      } else {
        for (int l = 0; l < k; l++) std::copy_n(b + size_t(l0 + l) * g.ldb + j0, n, pb + l * N);
      }
      tile_gemm<T>(m, padded<T>(n), k, a + i0 * row + l0 * step, row, step, pb, N, pc, N);
    }
    for (int i = 0; i < m; i++) {
      T* out = c + size_t(i0 + i) * g.ldc + j0;
      for (int j = 0; j < n; j++)
        out[j] = pc[i * N + j] + (g.beta != 0 ? T(g.beta) * out[j] : T(0));
    }
  }
}

void check(dnnl_status_t s, const char* what) {
  if (s == dnnl_out_of_memory) throw std::bad_alloc();
  if (s != dnnl_success)
    throw std::runtime_error(std::string("oneDNN ") + what + ": status " + std::to_string(int(s)));
}

// A bf16 matmul primitive of one shape, with its memory objects, whose pointers change from call to
// call. `primitive` stays null where oneDNN has only its reference loops for this machine.
struct Matmul {
  dnnl_primitive_t primitive = nullptr;
  dnnl_memory_t a, b, c;
  dnnl_stream_t stream;

  Matmul(const Gemm& g, dnnl_data_type_t out) {
    static const dnnl_engine_t engine = [] {
      dnnl_engine_t e;
      check(dnnl_engine_create(&e, dnnl_cpu, 0), "engine");
      return e;
    }();
    auto describe = [&](int rows, int cols, bool transposed, int ld, size_t stride,
                        dnnl_data_type_t type) {
      dnnl_memory_desc_t d;
      dnnl_dims_t dims{g.batch, rows, cols};
      dnnl_dims_t strides{dnnl_dim_t(stride), transposed ? 1 : ld, transposed ? ld : 1};
      int first = g.batch == 1 ? 1 : 0;
      check(dnnl_memory_desc_init_by_strides(&d, 3 - first, dims + first, type, strides + first),
            "matrix");
      return d;
    };
    dnnl_memory_desc_t da = describe(g.m, g.k, g.ta, g.lda, g.stride_a, dnnl_bf16),
                       db = describe(g.k, g.n, g.tb, g.ldb, g.stride_b, dnnl_bf16),
                       dc = describe(g.m, g.n, false, g.ldc, g.stride_c, out);
    dnnl_matmul_desc_t product;
    check(dnnl_matmul_desc_init(&product, &da, &db, nullptr, &dc), "matmul");
    dnnl_primitive_attr_t attributes;
    check(dnnl_primitive_attr_create(&attributes), "attributes");
    if (g.beta != 0) {
      dnnl_post_ops_t after;
      check(dnnl_post_ops_create(&after), "post-ops");
      check(dnnl_post_ops_append_sum(after, g.beta), "sum");
      check(dnnl_primitive_attr_set_post_ops(attributes, after), "attributes");
      dnnl_post_ops_destroy(after);
    }
    dnnl_primitive_desc_t chosen;
    dnnl_status_t s = dnnl_primitive_desc_create(&chosen, &product, attributes, engine, nullptr);
    dnnl_primitive_attr_destroy(attributes);
    if (s == dnnl_unimplemented) return;
    check(s, "matmul");
    const char* name = "";
    dnnl_primitive_desc_query(chosen, dnnl_query_impl_info_str, 0, &name);
    if (std::string(name).rfind("ref", 0) != 0) {
      check(dnnl_primitive_create(&primitive, chosen), "matmul");
      check(dnnl_memory_create(&a, &da, engine, nullptr), "matrix");
      check(dnnl_memory_create(&b, &db, engine, nullptr), "matrix");
      check(dnnl_memory_create(&c, &dc, engine, nullptr), "matrix");
      check(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags), "stream");
    }
    dnnl_primitive_desc_destroy(chosen);
  }
  Matmul(const Matmul&) = delete;
  ~Matmul() {
    if (!primitive) return;
    dnnl_primitive_destroy(primitive);
    for (dnnl_memory_t m : {a, b, c}) dnnl_memory_destroy(m);
    dnnl_stream_destroy(stream);
  }
};

// False where oneDNN has nothing better than products in float32: without the machine's own bf16
// instructions its bf16 kernels are slower.
template <class Out>
bool by_primitive(const Gemm& g, const bf16* a, const bf16* b, Out* c) {
  static const bool native = (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core_bf16) ==
                             dnnl_cpu_isa_avx512_core_bf16;
  if (!native) return false;
  dnnl_data_type_t out = std::is_same_v<Out, bf16> ? dnnl_bf16 : dnnl_f32;
  std::array<long, 14> key{g.ta,
                           g.tb,
                           g.m,
                           g.n,
                           g.k,
                           g.lda,
                           g.ldb,
                           g.ldc,
                           g.batch,
                           long(g.stride_a),
                           long(g.stride_b),
                           long(g.stride_c),
                           bits<int>(g.beta),
                           out};
  thread_local std::map<std::array<long, 14>, Matmul> cache;
  if (cache.size() > 1024) cache.clear();  // sequences of every length, say
  Matmul& x = cache.try_emplace(key, g, out).first->second;
  if (!x.primitive) return false;
  check(dnnl_memory_set_data_handle(x.a, const_cast<bf16*>(a)), "matrix");
  check(dnnl_memory_set_data_handle(x.b, const_cast<bf16*>(b)), "matrix");
  check(dnnl_memory_set_data_handle(x.c, c), "matrix");
  dnnl_exec_arg_t arguments[] = {{DNNL_ARG_SRC, x.a}, {DNNL_ARG_WEIGHTS, x.b}, {DNNL_ARG_DST, x.c}};
  check(dnnl_primitive_execute(x.primitive, x.stream, 3, arguments), "matmul");
  return true;
}

void product(const Gemm& g, const float* a, const float* b, float* c) {
  if (g.stable_rows && g.tb && !g.ta) return by_rows(g, a, b, c);
  if (g.stable_rows || g.k == 0) return tiled(g, a, b, c);
  check(dnnl_sgemm(g.ta ? 'T' : 'N', g.tb ? 'T' : 'N', g.m, g.n, g.k, 1.f, a, g.lda, b, g.ldb,
                   g.beta, c, g.ldc),
        "sgemm");
}
void product(const Gemm& g, const double* a, const double* b, double* c) { tiled(g, a, b, c); }
// bf16 by way of float32.
template <class Out>
void product(const Gemm& g, const bf16* a, const bf16* b, Out* c) {
  auto widened = [](const auto* x, int rows, int cols, int ld) {
    return std::vector<float>(x, x + (rows ? size_t(rows - 1) * size_t(ld) + size_t(cols) : 0));
  };
  std::vector<float> x = widened(a, g.ta ? g.k : g.m, g.ta ? g.m : g.k, g.lda),
                     y = widened(b, g.tb ? g.n : g.k, g.tb ? g.k : g.n, g.ldb);
  if constexpr (std::is_same_v<Out, float>) {
    product(g, x.data(), y.data(), c);
  } else {
    std::vector<float> z = widened(c, g.m, g.n, g.ldc);
    product(g, x.data(), y.data(), z.data());
    for (int i = 0; i < g.m; i++)
      for (int j = 0; j < g.n; j++) c[size_t(i) * g.ldc + j] = z[size_t(i) * g.ldc + j];
  }
}

}  // namespace

template <class T, class Out>
void cpu_gemm(const Gemm& g, const T* a, const T* b, Out* c) {
  if constexpr (std::is_same_v<T, bf16>) {
    if (!g.stable_rows && g.k > 0 && by_primitive(g, a, b, c)) return;
  } else if (g.batch > 1 && size_t(g.m) * size_t(g.n) * size_t(g.k) < 1 << 18) {
#pragma omp parallel for
    for (int i = 0; i < g.batch; i++)
      tiled(g, a + i * g.stride_a, b + i * g.stride_b, c + i * g.stride_c);
    return;
  }
  for (int i = 0; i < g.batch; i++)
    product(g, a + i * g.stride_a, b + i * g.stride_b, c + i * g.stride_c);
}
template void cpu_gemm(const Gemm&, const float*, const float*, float*);
template void cpu_gemm(const Gemm&, const double*, const double*, double*);
template void cpu_gemm(const Gemm&, const bf16*, const bf16*, bf16*);
template void cpu_gemm(const Gemm&, const bf16*, const bf16*, float*);

}  // namespace retort
