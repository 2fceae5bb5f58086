// Logits in the files that `retort loss` and `retort sinkhorn` read.
#pragma once
#include "engine/safetensors.h"

namespace retort {

/// The matrix `name` of a file in another type and place. Throws, in one line, where it is missing
/// or no matrix of floating numbers, and where a number is beyond 1e25 and not infinite.
Tensor logits_in(const TensorFile& file, const std::string& path, const char* name, Dtype dtype,
                 Device device);

}  // namespace retort
