// Stands in for cuBLASLt on the test device: plain loops for the layouts, types and epilogues that
// Retort uses, and the checks of arguments that cuBLASLt makes. Rules it only has in documentation
// (leading dimension of AUX) it keeps strictly, so that both ways of an epilogue are tested.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <vector>

#include "cublasLt.h"
#include "device_memory.h"
#include "queue.h"

struct cublasLtContext {};

namespace {

struct Layout {
  cudaDataType type;
  int batch;
  uint64_t rows, cols;
  int64_t ld, stride;
};
struct Product {
  cublasComputeType_t compute;
  cudaDataType_t scale;
  int32_t ta, tb;
  uint32_t epilogue;
  char* vector;  // bias, or where its gradient goes
  char* aux;
  int64_t aux_ld;
};
struct Preference {
  uint64_t workspace;
  uint32_t reduction, align[4];  // of A, B, C, D
};
// What an algorithm was found for; the rest of its words are those alignments.
constexpr size_t kWorkspace = 4096;
static_assert(sizeof(Layout) <= sizeof(cublasLtMatrixLayoutOpaque_t));
static_assert(sizeof(Product) <= sizeof(cublasLtMatmulDescOpaque_t));
static_assert(sizeof(Preference) <= sizeof(cublasLtMatmulPreferenceOpaque_t));

template <class T, class Opaque>
T& in(Opaque* o) {
  return *reinterpret_cast<T*>(o->data);
}
template <class Opaque, class T>
cublasStatus_t create(Opaque** o, const T& value) {
  *o = new Opaque{};
  std::memcpy((*o)->data, &value, sizeof value);
  return CUBLAS_STATUS_SUCCESS;
}
template <class T>
cublasStatus_t assign(T& to, const void* value, size_t bytes) {
  if (!value || bytes != sizeof to) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(&to, value, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

size_t size_of(cudaDataType type) { return type == CUDA_R_64F ? 8 : type == CUDA_R_32F ? 4 : 2; }

double load(cudaDataType type, const char* p, size_t i) {
  if (type == CUDA_R_64F) return reinterpret_cast<const double*>(p)[i];
  if (type == CUDA_R_32F) return double(reinterpret_cast<const float*>(p)[i]);
  uint32_t u = uint32_t(reinterpret_cast<const uint16_t*>(p)[i]) << 16;
  float f;
  std::memcpy(&f, &u, 4);
  return double(f);
}
void store(cudaDataType type, char* p, size_t i, double v) {
  if (type == CUDA_R_64F) {
    reinterpret_cast<double*>(p)[i] = v;
  } else if (type == CUDA_R_32F) {
    reinterpret_cast<float*>(p)[i] = float(v);
  } else {
    float f = float(v);
    uint32_t u;
    std::memcpy(&u, &f, 4);
    uint32_t rounded = f == f ? (u + 0x7fffu + ((u >> 16) & 1)) >> 16 : (u >> 16) | 0x40;
    reinterpret_cast<uint16_t*>(p)[i] = uint16_t(rounded);
  }
}
double to_tf32(double v) {
  float f = float(v);
  uint32_t u;
  std::memcpy(&u, &f, 4);
  if (std::isfinite(f)) u = (u + 0x1000u) & ~0x1fffu;
  std::memcpy(&f, &u, 4);
  return double(f);
}
double gelu(double x) {
  return 0.5 * x * (1 + std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
}
double gelu_slope(double x) {
  double t = std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x));
  return 0.5 * (1 + t + x * (1 - t * t) * 0.7978845608028654 * (1 + 0.134145 * x * x));
}

bool has(uint32_t epilogue, uint32_t bit) { return (epilogue & bit) == bit; }

cublasStatus_t validate(const Product& p, const Layout& a, const Layout& b, const Layout& c,
                        const Layout& d) {
  bool same = c.type == d.type && c.rows == d.rows && c.cols == d.cols && c.ld == d.ld &&
              c.batch == d.batch && c.stride == d.stride;
  uint64_t k = p.ta ? a.rows : a.cols;
  if (!same || (p.ta ? a.cols : a.rows) != d.rows || (p.tb ? b.rows : b.cols) != d.cols ||
      (p.tb ? b.cols : b.rows) != k || a.batch != d.batch || b.batch != d.batch)
    return CUBLAS_STATUS_INVALID_VALUE;
  for (const Layout* x : {&a, &b, &d}) {
    if (x->ld < int64_t(x->rows) || x->batch < 1) return CUBLAS_STATUS_INVALID_VALUE;
    if (x->rows == 0 || x->cols == 0) return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  if (d.batch > 1 && uint64_t(d.stride) < uint64_t(d.ld) * (d.cols - 1) + d.rows)
    return CUBLAS_STATUS_INVALID_VALUE;
  bool types = a.type == b.type &&
               (p.compute == CUBLAS_COMPUTE_64F
                    ? a.type == CUDA_R_64F && d.type == CUDA_R_64F && p.scale == CUDA_R_64F
                : p.scale != CUDA_R_32F ? false
                : a.type == CUDA_R_32F  ? d.type == CUDA_R_32F
                                        : a.type == CUDA_R_16BF && d.type != CUDA_R_64F &&
                                             p.compute == CUBLAS_COMPUTE_32F);
  if (!types) return CUBLAS_STATUS_NOT_SUPPORTED;
  switch (p.epilogue) {
    case CUBLASLT_EPILOGUE_DEFAULT:
      return CUBLAS_STATUS_SUCCESS;
    case CUBLASLT_EPILOGUE_BIAS:
    case CUBLASLT_EPILOGUE_GELU:
    case CUBLASLT_EPILOGUE_GELU_AUX:
    case CUBLASLT_EPILOGUE_GELU_BIAS:
    case CUBLASLT_EPILOGUE_GELU_AUX_BIAS:
    case CUBLASLT_EPILOGUE_DGELU:
    case CUBLASLT_EPILOGUE_BGRADB:
      break;
    default:
      return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  if (a.type == CUDA_R_64F || d.batch > 1) return CUBLAS_STATUS_NOT_SUPPORTED;
  bool vector = has(p.epilogue, CUBLASLT_EPILOGUE_BIAS) || p.epilogue == CUBLASLT_EPILOGUE_BGRADB;
  if (vector && (!p.vector || reinterpret_cast<size_t>(p.vector) % size_of(d.type)))
    return CUBLAS_STATUS_INVALID_VALUE;
  if (has(p.epilogue, 128)) {
    if (!p.aux || p.aux_ld < int64_t(d.rows)) return CUBLAS_STATUS_INVALID_VALUE;
    if (p.aux_ld % 8 || reinterpret_cast<size_t>(p.aux) % 16) return CUBLAS_STATUS_NOT_SUPPORTED;
  }
  return CUBLAS_STATUS_SUCCESS;
}

// One number for all that an algorithm depends on.
uint64_t fingerprint(const Product& p, const Layout& a, const Layout& b, const Layout& d) {
  uint64_t h = 14695981039346656037u;
  auto mix = [&](uint64_t v) { h = (h ^ v) * 1099511628211u; };
  for (uint64_t v : {uint64_t(p.compute), uint64_t(p.ta), uint64_t(p.tb), uint64_t(p.epilogue),
                     uint64_t(p.aux_ld)})
    mix(v);
  for (const Layout* x : {&a, &b, &d})
    for (uint64_t v : {uint64_t(x->type), uint64_t(x->batch), x->rows, x->cols, uint64_t(x->ld),
                       uint64_t(x->stride)})
      mix(v);
  return h;
}

bool on_device(const char* p, const Layout& x) {
  size_t last = size_t(x.batch - 1) * size_t(x.stride) + (x.cols - 1) * size_t(x.ld) + x.rows;
  return simt::DeviceMemory::get().in_block(p, last * size_of(x.type));
}

// op(X) with the summed dimension contiguous: element (i, l) at i k + l.
std::vector<double> packed(const char* x, const Layout& l, bool rows_are_summed, bool tf32) {
  uint64_t k = rows_are_summed ? l.rows : l.cols, n = rows_are_summed ? l.cols : l.rows;
  std::vector<double> y(n * k);
  for (uint64_t i = 0; i < n; i++)
    for (uint64_t j = 0; j < k; j++) {
      double v = load(l.type, x, rows_are_summed ? i * uint64_t(l.ld) + j : j * uint64_t(l.ld) + i);
      y[i * k + j] = tf32 ? to_tf32(v) : v;
    }
  return y;
}

void multiply(const Product& p, double alpha, double beta, const char* a, const Layout& la,
              const char* b, const Layout& lb, char* d, const Layout& ld) {
  bool tf32 = p.compute == CUBLAS_COMPUTE_32F_FAST_TF32;
  std::vector<double> x = packed(a, la, p.ta, tf32), y = packed(b, lb, !p.tb, tf32);
  size_t k = p.ta ? la.rows : la.cols;
  for (size_t j = 0; j < ld.cols; j++) {
    for (size_t i = 0; i < ld.rows; i++) {
      double s = 0;
#pragma omp simd reduction(+ : s)
      for (size_t l = 0; l < k; l++) s += x[i * k + l] * y[j * k + l];
      size_t at = j * size_t(ld.ld) + i, aux = j * size_t(p.aux_ld) + i;
      double v = alpha * s + (beta != 0 ? beta * load(ld.type, d, at) : 0.0);
      if (has(p.epilogue, CUBLASLT_EPILOGUE_BIAS)) v += load(ld.type, p.vector, i);
      if (has(p.epilogue, CUBLASLT_EPILOGUE_GELU_AUX)) store(ld.type, p.aux, aux, v);
      if (has(p.epilogue, CUBLASLT_EPILOGUE_GELU)) v = gelu(v);
      if (p.epilogue == CUBLASLT_EPILOGUE_DGELU) v *= gelu_slope(load(ld.type, p.aux, aux));
      store(ld.type, d, at, v);
    }
    if (p.epilogue != CUBLASLT_EPILOGUE_BGRADB) continue;
    double s = 0;
    for (size_t l = 0; l < k; l++) s += y[j * k + l];
    store(ld.type, p.vector, j, s);
  }
}

}  // namespace

extern "C" {

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  *handle = new cublasLtContext;
  return CUBLAS_STATUS_SUCCESS;
}
const char* cublasLtGetStatusString(cublasStatus_t status) {
  return status == CUBLAS_STATUS_SUCCESS         ? "success"
         : status == CUBLAS_STATUS_NOT_SUPPORTED ? "not supported"
         : status == CUBLAS_STATUS_INVALID_VALUE ? "an unsupported value or parameter"
                                                 : "execution failed";
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* layout, cudaDataType type,
                                          uint64_t rows, uint64_t cols, int64_t ld) {
  return create(layout, Layout{type, 1, rows, cols, ld, 0});
}
cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t layout,
                                                cublasLtMatrixLayoutAttribute_t attribute,
                                                const void* value, size_t bytes) {
  Layout& l = in<Layout>(layout);
  if (attribute == CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT) return assign(l.batch, value, bytes);
  if (attribute == CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET)
    return assign(l.stride, value, bytes);
  return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* product, cublasComputeType_t compute,
                                        cudaDataType_t scale) {
  return create(product,
                Product{compute, scale, 0, 0, CUBLASLT_EPILOGUE_DEFAULT, nullptr, nullptr, 0});
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t product,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, size_t bytes) {
  Product& p = in<Product>(product);
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return assign(p.ta, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return assign(p.tb, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return assign(p.epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER:
      return assign(p.vector, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER:
      return assign(p.aux, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD:
      return assign(p.aux_ld, value, bytes);
  }
  return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* preference) {
  return create(preference, Preference{0, 7, {256, 256, 256, 256}});
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t preference) {
  delete preference;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t preference,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    const void* value, size_t bytes) {
  Preference& p = in<Preference>(preference);
  switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
      return assign(p.workspace, value, bytes);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
      return assign(p.reduction, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
      return assign(p.align[0], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
      return assign(p.align[1], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
      return assign(p.align[2], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
      return assign(p.align[3], value, bytes);
  }
  return CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t product,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int asked,
                                              cublasLtMatmulHeuristicResult_t results[],
                                              int* found) {
  *found = 0;
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (asked < 1) return CUBLAS_STATUS_INVALID_VALUE;
  const Product& p = in<Product>(product);
  const Layout &la = in<Layout>(a), &lb = in<Layout>(b), &ld = in<Layout>(d);
  cublasStatus_t status = validate(p, la, lb, in<Layout>(c), ld);
  if (status != CUBLAS_STATUS_SUCCESS) return status;
  const Preference& wish = in<Preference>(preference);
  if (wish.workspace < kWorkspace) return CUBLAS_STATUS_NOT_SUPPORTED;
  results[0] = {};
  results[0].algo.data[0] = fingerprint(p, la, lb, ld);
  for (int i = 0; i < 4; i++) results[0].algo.data[i + 1] = wish.align[i];
  results[0].workspaceSize = kWorkspace;
  results[0].state = CUBLAS_STATUS_SUCCESS;
  *found = 1;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t product,
                              const void* alpha, const void* a, cublasLtMatrixLayout_t a_layout,
                              const void* b, cublasLtMatrixLayout_t b_layout, const void* beta,
                              const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* algo,
                              void* workspace, size_t workspace_bytes, cudaStream_t stream) {
  if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (!algo || !alpha || !beta) return CUBLAS_STATUS_INVALID_VALUE;
  Product p = in<Product>(product);
  Layout la = in<Layout>(a_layout), lb = in<Layout>(b_layout), ld = in<Layout>(d_layout);
  cublasStatus_t status = validate(p, la, lb, in<Layout>(c_layout), ld);
  if (status != CUBLAS_STATUS_SUCCESS) return status;
  // An algorithm is good for the problem it was found for, and pointers as promised then.
  const void* pointers[] = {a, b, c, d};
  bool fits = algo->data[0] == fingerprint(p, la, lb, ld);
  for (int i = 0; i < 4; i++)
    fits = fits && reinterpret_cast<size_t>(pointers[i]) % algo->data[i + 1] == 0;
  fits = fits && reinterpret_cast<size_t>(workspace) % 256 == 0 && workspace_bytes >= kWorkspace;
  if (!fits) return CUBLAS_STATUS_INVALID_VALUE;
  auto x = static_cast<const char*>(a), y = static_cast<const char*>(b);
  auto z = static_cast<char*>(d);
  bool vector = has(p.epilogue, CUBLASLT_EPILOGUE_BIAS) || p.epilogue == CUBLASLT_EPILOGUE_BGRADB;
  uint64_t length = p.epilogue == CUBLASLT_EPILOGUE_BGRADB ? ld.cols : ld.rows;
  bool held =
      on_device(x, la) && on_device(y, lb) && on_device(z, ld) &&
      (!vector || on_device(p.vector, {ld.type, 1, length, 1, 0, 0})) &&
      (!has(p.epilogue, 128) || on_device(p.aux, {ld.type, 1, ld.rows, ld.cols, p.aux_ld, 0})) &&
      simt::DeviceMemory::get().in_block(workspace, workspace_bytes);
  if (!held) {
    std::fprintf(stderr, "cublasLtMatmul: an operand does not lie in device memory\n");
    return CUBLAS_STATUS_EXECUTION_FAILED;
  }
  bool wide = p.scale == CUDA_R_64F;
  double scale = wide ? *static_cast<const double*>(alpha) : *static_cast<const float*>(alpha);
  double keep = wide ? *static_cast<const double*>(beta) : *static_cast<const float*>(beta);
  if (keep != 0 && c != d) return CUBLAS_STATUS_NOT_SUPPORTED;
  simt::enqueue(stream, [=] {
    std::memset(workspace, 0xff, kWorkspace);  // nobody else's numbers outlive a product there
    for (int i = 0; i < ld.batch; i++)
      multiply(p, scale, keep, x + size_t(i) * size_t(la.stride) * size_of(la.type), la,
               y + size_t(i) * size_t(lb.stride) * size_of(lb.type), lb,
               z + size_t(i) * size_t(ld.stride) * size_of(ld.type), ld);
  });
  return CUBLAS_STATUS_SUCCESS;
}

}  // extern "C"
