// A libcuda.so.1 for building cuDNN's plans where there is no driver: it pretends to load kernels,
// and every other call fails.
static int something;

int cuLibraryLoadData(void** library) { return *library = &something, 0; }
int cuLibraryGetKernel(void** kernel) { return *kernel = &something, 0; }
int cuLibraryUnload(void) { return 0; }
int cuKernelSetAttribute(void) { return 0; }

#define FAILS(name) \
  int name(void) { return 34; }  // CUDA_ERROR_STUB_LIBRARY
FAILS(cuCtxGetCurrent)
FAILS(cuCtxGetDevice)
FAILS(cuCtxGetLimit)
FAILS(cuCtxPopCurrent)
FAILS(cuCtxPushCurrent)
FAILS(cuDeviceGet)
FAILS(cuDeviceGetCount)
FAILS(cuDriverGetVersion)
FAILS(cuGetErrorName)
FAILS(cuGetErrorString)
FAILS(cuKernelGetAttribute)
FAILS(cuLaunchCooperativeKernel)
FAILS(cuLaunchKernel)
FAILS(cuLaunchKernelEx)
FAILS(cuLibraryLoadFromFile)
FAILS(cuLinkAddData)
FAILS(cuLinkComplete)
FAILS(cuLinkCreate)
FAILS(cuLinkDestroy)
FAILS(cuMemsetD32Async)
FAILS(cuOccupancyMaxPotentialClusterSize)
FAILS(cuStreamGetCtx)
