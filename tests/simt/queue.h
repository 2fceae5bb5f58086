// For stand-ins of other libraries of the device: work of their own on a stream.
#pragma once
#include <functional>

#include "cudart_api.h"

namespace simt {

/// Queues `work` on the stream, or adds it to the graph the stream captures. It runs at some later
/// synchronisation, after what the stream holds already; device memory is accessible to it.
void enqueue(cudaStream_t stream, std::function<void()> work);

/// True while the calling thread's stream captures, when host code must not look at results.
bool capturing(cudaStream_t stream);

/// Puts the device back to how it was at the start, sticky error included: pending work is dropped
/// and device memory freed. Streams and events stay valid.
void reset();

}  // namespace simt
