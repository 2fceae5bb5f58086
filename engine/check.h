// Errors: exceptions that name the operation, what was expected and the shapes.
#pragma once
#include <string>
#include <vector>

namespace retort {

/// Throws std::invalid_argument with this line.
[[noreturn]] void fail(const std::string& what);
/// "(8, 64, 256)".
std::string text(const std::vector<int>& shape);

}  // namespace retort

/// Throws std::invalid_argument with `message` (composed only then) unless `ok`.
#define ENSURE(ok, message) \
  if (!(ok)) ::retort::fail(message)
