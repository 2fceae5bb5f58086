// The types that numbers have in safetensors files.
#pragma once
#include "engine/tensor.h"

namespace retort {

/// One of the format's types.
struct NumberType {
  const char* name;              ///< as the header spells it, "BF16"
  size_t bits;                   ///< of one number
  double (*value)(const char*);  ///< of the bytes it lies in; nullptr: packed or complex
  Dtype dtype;                   ///< what it becomes
  bool read = false;             ///< whether it does: tensors of the others are only looked at
};

/// All of them, those that are read first.
const std::vector<NumberType>& number_types();
/// The type of this name, or nullptr.
const NumberType* find_number_type(const std::string& name);

}  // namespace retort
