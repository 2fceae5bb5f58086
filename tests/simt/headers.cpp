// Compiled only where NVIDIA's toolkit is: proves that cudart_api.h declares what the toolkit does.
// A differing prototype is a conflicting declaration of a C function; values and layouts of types
// are asserted. There is nothing to run.
#include <cuda_runtime_api.h>
#include <stddef.h>

namespace ours {
#define CUDART_NO_PROTOTYPES
#include "cudart_api.h"
#undef CUDART_NO_PROTOTYPES
}  // namespace ours

#define CUDART_NO_TYPES
#define CUDART_DEFAULT(value)  // NVIDIA's declaration already has it
#include "cudart_api.h"

#define SAME_VALUE(name) static_assert(int(ours::name) == int(::name), #name)
#define SAME_ERROR(name, value, text) SAME_VALUE(name);
CUDART_ERRORS(SAME_ERROR)

SAME_VALUE(cudaMemcpyHostToHost);
SAME_VALUE(cudaMemcpyHostToDevice);
SAME_VALUE(cudaMemcpyDeviceToHost);
SAME_VALUE(cudaMemcpyDeviceToDevice);
SAME_VALUE(cudaMemcpyDefault);
SAME_VALUE(cudaStreamCaptureStatusNone);
SAME_VALUE(cudaStreamCaptureStatusActive);
SAME_VALUE(cudaStreamCaptureStatusInvalidated);
SAME_VALUE(cudaStreamCaptureModeGlobal);
SAME_VALUE(cudaStreamCaptureModeThreadLocal);
SAME_VALUE(cudaStreamCaptureModeRelaxed);
SAME_VALUE(cudaGraphExecUpdateSuccess);
SAME_VALUE(cudaGraphExecUpdateError);
SAME_VALUE(cudaGraphExecUpdateErrorTopologyChanged);
SAME_VALUE(cudaGraphExecUpdateErrorNodeTypeChanged);
SAME_VALUE(cudaGraphExecUpdateErrorFunctionChanged);
SAME_VALUE(cudaFuncAttributeMaxDynamicSharedMemorySize);
SAME_VALUE(cudaFuncAttributePreferredSharedMemoryCarveout);
SAME_VALUE(cudaDevAttrMaxThreadsPerBlock);
SAME_VALUE(cudaDevAttrMaxSharedMemoryPerBlock);
SAME_VALUE(cudaDevAttrWarpSize);
SAME_VALUE(cudaDevAttrClockRate);
SAME_VALUE(cudaDevAttrMultiProcessorCount);
SAME_VALUE(cudaDevAttrMemoryClockRate);
SAME_VALUE(cudaDevAttrGlobalMemoryBusWidth);
SAME_VALUE(cudaDevAttrL2CacheSize);
SAME_VALUE(cudaDevAttrMaxThreadsPerMultiProcessor);
SAME_VALUE(cudaDevAttrComputeCapabilityMajor);
SAME_VALUE(cudaDevAttrComputeCapabilityMinor);
SAME_VALUE(cudaDevAttrMaxSharedMemoryPerMultiprocessor);
SAME_VALUE(cudaDevAttrCooperativeLaunch);
SAME_VALUE(cudaDevAttrMaxSharedMemoryPerBlockOptin);
SAME_VALUE(cudaDevAttrMemoryPoolsSupported);
SAME_VALUE(cudaLaunchAttributeIgnore);
SAME_VALUE(cudaLaunchAttributeCooperative);
SAME_VALUE(cudaLaunchAttributeClusterDimension);
SAME_VALUE(cudaLaunchAttributeProgrammaticStreamSerialization);
SAME_VALUE(cudaLaunchAttributePriority);

#define SAME_SIZE(type)                                                                         \
  static_assert(sizeof(ours::type) == sizeof(::type) && alignof(ours::type) == alignof(::type), \
                #type)
#define SAME_FIELD(type, field)                                           \
  static_assert(offsetof(ours::type, field) == offsetof(::type, field) && \
                    sizeof(ours::type::field) == sizeof(::type::field),   \
                #type "." #field)
SAME_SIZE(uint3);
SAME_SIZE(dim3);
SAME_SIZE(cudaLaunchAttributeValue);
SAME_FIELD(cudaLaunchAttributeValue, cooperative);
SAME_FIELD(cudaLaunchAttributeValue, clusterDim);
SAME_FIELD(cudaLaunchAttributeValue, programmaticStreamSerializationAllowed);
SAME_FIELD(cudaLaunchAttributeValue, priority);
SAME_SIZE(cudaLaunchAttribute);
SAME_FIELD(cudaLaunchAttribute, id);
SAME_FIELD(cudaLaunchAttribute, val);
SAME_SIZE(cudaLaunchConfig_t);
SAME_FIELD(cudaLaunchConfig_t, gridDim);
SAME_FIELD(cudaLaunchConfig_t, blockDim);
SAME_FIELD(cudaLaunchConfig_t, dynamicSmemBytes);
SAME_FIELD(cudaLaunchConfig_t, stream);
SAME_FIELD(cudaLaunchConfig_t, attrs);
SAME_FIELD(cudaLaunchConfig_t, numAttrs);
SAME_SIZE(cudaGraphExecUpdateResultInfo);
SAME_FIELD(cudaGraphExecUpdateResultInfo, result);
SAME_FIELD(cudaGraphExecUpdateResultInfo, errorNode);
SAME_FIELD(cudaGraphExecUpdateResultInfo, errorFromNode);
