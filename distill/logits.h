// Logits in the files that `retort loss` and `retort sinkhorn` read.
#pragma once
#include "engine/safetensors.h"

namespace retort {

/// The matrix `name` of a file in another type and place. Throws, in one line, where it is missing
/// or no matrix of floating numbers, and where a number is beyond 1e25 and not infinite.
Tensor logits_in(const TensorFile& file, const std::string& path, const char* name, Dtype dtype,
                 Device device);

/// The tensor "mask" of a file, (rows), as i32: rows with 0 do not count; undefined where there is
/// none. Throws, in one line, where it is no such tensor.
Tensor mask_in(const TensorFile& file, const std::string& path, int rows, Device device);

}  // namespace retort
