// Compiled only where NVIDIA's toolkit is: proves that our cublasLt.h declares what the toolkit
// does, as headers.cpp does for the runtime. There is nothing to run. Without -Itests/simt, or
// <cublasLt.h> is ours.
#include <cublasLt.h>
#include <stddef.h>
#include <stdint.h>

namespace ours {
#define CUBLASLT_NO_PROTOTYPES
#include "cublasLt.h"
#undef CUBLASLT_NO_PROTOTYPES
}  // namespace ours

#define CUBLASLT_NO_TYPES
#include "cublasLt.h"

#define SAME_VALUE(name) static_assert(int(ours::name) == int(::name), #name)
SAME_VALUE(CUBLAS_STATUS_SUCCESS);
SAME_VALUE(CUBLAS_STATUS_NOT_INITIALIZED);
SAME_VALUE(CUBLAS_STATUS_ALLOC_FAILED);
SAME_VALUE(CUBLAS_STATUS_INVALID_VALUE);
SAME_VALUE(CUBLAS_STATUS_EXECUTION_FAILED);
SAME_VALUE(CUBLAS_STATUS_NOT_SUPPORTED);
SAME_VALUE(CUBLAS_OP_N);
SAME_VALUE(CUBLAS_OP_T);
SAME_VALUE(CUBLAS_COMPUTE_32F);
SAME_VALUE(CUBLAS_COMPUTE_32F_FAST_TF32);
SAME_VALUE(CUBLAS_COMPUTE_64F);
SAME_VALUE(CUDA_R_32F);
SAME_VALUE(CUDA_R_64F);
SAME_VALUE(CUDA_R_16BF);
SAME_VALUE(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT);
SAME_VALUE(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET);
SAME_VALUE(CUBLASLT_MATMUL_DESC_TRANSA);
SAME_VALUE(CUBLASLT_MATMUL_DESC_TRANSB);
SAME_VALUE(CUBLASLT_MATMUL_DESC_EPILOGUE);
SAME_VALUE(CUBLASLT_MATMUL_DESC_BIAS_POINTER);
SAME_VALUE(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_POINTER);
SAME_VALUE(CUBLASLT_MATMUL_DESC_EPILOGUE_AUX_LD);
SAME_VALUE(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES);
SAME_VALUE(CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK);
SAME_VALUE(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES);
SAME_VALUE(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES);
SAME_VALUE(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES);
SAME_VALUE(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES);
SAME_VALUE(CUBLASLT_REDUCTION_SCHEME_NONE);
SAME_VALUE(CUBLASLT_REDUCTION_SCHEME_INPLACE);
SAME_VALUE(CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE);
SAME_VALUE(CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE);
SAME_VALUE(CUBLASLT_EPILOGUE_DEFAULT);
SAME_VALUE(CUBLASLT_EPILOGUE_BIAS);
SAME_VALUE(CUBLASLT_EPILOGUE_GELU);
SAME_VALUE(CUBLASLT_EPILOGUE_GELU_AUX);
SAME_VALUE(CUBLASLT_EPILOGUE_GELU_BIAS);
SAME_VALUE(CUBLASLT_EPILOGUE_GELU_AUX_BIAS);
SAME_VALUE(CUBLASLT_EPILOGUE_DGELU);
SAME_VALUE(CUBLASLT_EPILOGUE_BGRADB);

#define SAME_SIZE(type)                                                                         \
  static_assert(sizeof(ours::type) == sizeof(::type) && alignof(ours::type) == alignof(::type), \
                #type)
#define SAME_FIELD(type, field)                                           \
  static_assert(offsetof(ours::type, field) == offsetof(::type, field) && \
                    sizeof(ours::type::field) == sizeof(::type::field),   \
                #type "." #field)
SAME_SIZE(cublasLtMatrixLayoutOpaque_t);
SAME_SIZE(cublasLtMatmulDescOpaque_t);
SAME_SIZE(cublasLtMatmulPreferenceOpaque_t);
SAME_SIZE(cublasLtMatmulAlgo_t);
SAME_SIZE(cublasLtMatmulHeuristicResult_t);
SAME_FIELD(cublasLtMatmulHeuristicResult_t, algo);
SAME_FIELD(cublasLtMatmulHeuristicResult_t, workspaceSize);
SAME_FIELD(cublasLtMatmulHeuristicResult_t, state);
SAME_FIELD(cublasLtMatmulHeuristicResult_t, wavesCount);
SAME_FIELD(cublasLtMatmulHeuristicResult_t, reserved);
