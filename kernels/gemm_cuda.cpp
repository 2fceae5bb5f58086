// Products by cuBLASLt: the only file that names it. Host code. Its matrices are column-major, so C
// = op(A) op(B) is asked for as C' = op(B)' op(A)': its A is our B, its rows are our columns.
#include <cublasLt.h>

#include <algorithm>
#include <array>
#include <map>
#include <stdexcept>

#include "kernels/cuda.h"
#include "kernels/gemm.h"

namespace retort {
namespace {

void check(cublasStatus_t s, const char* what) {
  if (s != CUBLAS_STATUS_SUCCESS)
    throw std::runtime_error(std::string("cuBLASLt, ") + what + ": " + cublasLtGetStatusString(s));
}
template <class V>
void set(cublasLtMatmulDesc_t d, cublasLtMatmulDescAttributes_t attribute, V value) {
  check(cublasLtMatmulDescSetAttribute(d, attribute, &value, sizeof value), "product");
}
template <class V>
void set(cublasLtMatrixLayout_t d, cublasLtMatrixLayoutAttribute_t attribute, V value) {
  check(cublasLtMatrixLayoutSetAttribute(d, attribute, &value, sizeof value), "matrix");
}
template <class V>
void set(cublasLtMatmulPreference_t d, cublasLtMatmulPreferenceAttributes_t attribute, V value) {
  check(cublasLtMatmulPreferenceSetAttribute(d, attribute, &value, sizeof value), "preference");
}

template <class T>
constexpr cudaDataType_t type_of() {
  return std::is_same_v<T, bf16> ? CUDA_R_16BF : std::is_same_v<T, float> ? CUDA_R_32F : CUDA_R_64F;
}

// All that cuBLASLt's choice depends on. Pointers stand as the power of two that divides them.
struct Problem {
  Gemm g;
  cudaDataType_t type, out;
  cublasComputeType_t compute;
  uint32_t epilogue;
  uint32_t align_a, align_b, align_c, align_vector, align_aux;
  using Key = std::array<long, 20>;
  Key key() const {
    return {g.ta,
            g.tb,
            g.m,
            g.n,
            g.k,
            g.lda,
            g.ldb,
            g.ldc,
            g.batch,
            long(g.stride_a),
            type,
            out,
            compute,
            epilogue,
            long(g.stride_b),
            align_a,
            align_b,
            align_c,
            long(align_vector) << 32 | align_aux,
            long(g.stride_c)};
  }
};

// Descriptions of a product and the algorithm for it; `found` is false where there is none.
struct Plan {
  cublasLtMatmulDesc_t product = nullptr;
  cublasLtMatrixLayout_t a = nullptr, b = nullptr, c = nullptr;
  cublasLtMatmulAlgo_t algorithm;
  bool found = false;
};

// One workspace serves all products, since they run one after the other on one stream.
struct Library {
  static constexpr size_t kWorkspace = 32 << 20;
  cublasLtHandle_t handle = nullptr;
  void* workspace = nullptr;
  std::map<Problem::Key, Plan> plans;
  Library() {
    workspace = device_allocate(Device::cuda, kWorkspace);
    check(cublasLtCreate(&handle), "start");
  }
};
Library& library() {
  static Library* l = new Library;  // never destroyed: the driver may be gone before
  return *l;
}

cublasLtMatrixLayout_t layout(const Gemm& g, cudaDataType_t type, int rows, int cols, int ld,
                              size_t stride) {
  cublasLtMatrixLayout_t l;
  check(cublasLtMatrixLayoutCreate(&l, type, uint64_t(rows), uint64_t(cols), ld), "matrix");
  if (g.batch > 1) {
    set(l, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, int32_t(g.batch));
    set(l, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, int64_t(stride));
  }
  return l;
}

void set_pointers(cublasLtMatmulDesc_t product, const void* vector, const void* aux) {
  if (vector) set(product, CUBLASLT_MATMUL_DESC_BIAS_POINTER, vector);
  if (aux) set(product, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER, aux);
}

Plan make_plan(const Problem& p, const void* vector, const void* aux) {
  const Gemm& g = p.g;
  Plan plan;
  check(cublasLtMatmulDescCreate(&plan.product, p.compute,
                                 p.type == CUDA_R_64F ? CUDA_R_64F : CUDA_R_32F),
        "product");
  set(plan.product, CUBLASLT_MATMUL_DESC_TRANSA, int32_t(g.tb ? CUBLAS_OP_T : CUBLAS_OP_N));
  set(plan.product, CUBLASLT_MATMUL_DESC_TRANSB, int32_t(g.ta ? CUBLAS_OP_T : CUBLAS_OP_N));
  set(plan.product, CUBLASLT_MATMUL_DESC_EPILOGUE, p.epilogue);
  if (aux) set(plan.product, CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD, int64_t(g.ldc));
  set_pointers(plan.product, vector, aux);
  plan.a = layout(g, p.type, g.tb ? g.k : g.n, g.tb ? g.n : g.k, g.ldb, g.stride_b);
  plan.b = layout(g, p.type, g.ta ? g.m : g.k, g.ta ? g.k : g.m, g.lda, g.stride_a);
  plan.c = layout(g, p.out, g.n, g.m, g.ldc, g.stride_c);

  cublasLtMatmulPreference_t wish;
  check(cublasLtMatmulPreferenceCreate(&wish), "preference");
  set(wish, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, uint64_t(Library::kWorkspace));
  // The only split of k whose sum has one order and float32 terms.
  set(wish, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
      uint32_t(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE));
  set(wish, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, p.align_b);
  set(wish, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, p.align_a);
  set(wish, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, p.align_c);
  set(wish, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, p.align_c);
  cublasLtMatmulHeuristicResult_t best{};
  int count = 0;
  cublasStatus_t s = cublasLtMatmulAlgoGetHeuristic(library().handle, plan.product, plan.a, plan.b,
                                                    plan.c, plan.c, wish, 1, &best, &count);
  cublasLtMatmulPreferenceDestroy(wish);
  plan.found = s == CUBLAS_STATUS_SUCCESS && count > 0 && best.state == CUBLAS_STATUS_SUCCESS;
  plan.algorithm = best.algo;
  // What has an epilogue can do without; the plain product cannot.
  if (!plan.found && p.epilogue == CUBLASLT_EPILOGUE_DEFAULT)
    throw std::runtime_error("cuBLASLt: no algorithm for a product " + std::to_string(g.m) + " x " +
                             std::to_string(g.k) + " x " + std::to_string(g.n) + ": " +
                             cublasLtGetStatusString(s));
  return plan;
}

uint32_t alignment(const void* p, size_t stride_bytes) {
  size_t x = reinterpret_cast<size_t>(p) | stride_bytes | 256;
  return uint32_t(x & -x);
}

}  // namespace

template <class T, class Out>
bool cuda_gemm(const Gemm& g, const T* a, const T* b, Out* c, const Epilogue<Out>& e) {
  Library& l = library();
  uint32_t epilogue =
      (e.bias ? CUBLASLT_EPILOGUE_BIAS : 0) |
      (e.gelu ? e.before_gelu ? CUBLASLT_EPILOGUE_GELU_AUX : CUBLASLT_EPILOGUE_GELU : 0) |
      (e.gelu_of ? CUBLASLT_EPILOGUE_DGELU : 0) | (e.sums ? CUBLASLT_EPILOGUE_BGRADB : 0);
  const void *vector = e.sums ? e.sums : e.bias, *aux = e.gelu_of ? e.gelu_of : e.before_gelu;
  Problem p{g,
            type_of<T>(),
            type_of<Out>(),
            std::is_same_v<T, double>                      ? CUBLAS_COMPUTE_64F
            : std::is_same_v<T, float> && exactness().tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32
                                                           : CUBLAS_COMPUTE_32F,
            epilogue ? epilogue : uint32_t(CUBLASLT_EPILOGUE_DEFAULT),
            alignment(a, g.batch > 1 ? g.stride_a * sizeof(T) : 0),
            alignment(b, g.batch > 1 ? g.stride_b * sizeof(T) : 0),
            alignment(c, g.batch > 1 ? g.stride_c * sizeof(Out) : 0),
            alignment(vector, 0),
            alignment(aux, 0)};
  auto at = l.plans.find(p.key());
  if (at == l.plans.end()) at = l.plans.emplace(p.key(), make_plan(p, vector, aux)).first;
  const Plan& plan = at->second;
  if (!plan.found) return false;
  set_pointers(plan.product, vector, aux);
  Real<T> one = 1, beta = Real<T>(g.beta);
  check(cublasLtMatmul(l.handle, plan.product, &one, b, plan.a, a, plan.b, &beta, c, plan.c, c,
                       plan.c, &plan.algorithm, l.workspace, Library::kWorkspace,
                       cuda_context().stream),
        "product");
  return true;
}
#define PRODUCT(T, Out) \
  template bool cuda_gemm(const Gemm&, const T*, const T*, Out*, const Epilogue<Out>&)
PRODUCT(float, float);
PRODUCT(double, double);
PRODUCT(bf16, bf16);
PRODUCT(bf16, float);

}  // namespace retort
