// The safetensors format: u64 header length, JSON header, bytes. Read (memory-mapped) and written
// whole.
#pragma once
#include <map>

#include "engine/tensor.h"

namespace retort {

struct TensorFile {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;  ///< the header's "__metadata__"
};

/// Reads F32, F64, I32; F16 and BF16 become f32, I64, U8 and BOOL become i32 (a value outside is an
/// error). A missing, truncated or lying file is one std::runtime_error naming file, tensor and
/// position.
TensorFile load_safetensors(const std::string& path);

/// Writes beside and renames, through a symbolic link; what is no regular file is not replaced.
/// Tensors in name order, data aligned to 64 bytes.
void save_safetensors(const std::string& path, const std::map<std::string, Tensor>& tensors,
                      const std::map<std::string, std::string>& metadata = {});

}  // namespace retort
