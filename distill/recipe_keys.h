// The keys of a recipe, for those who write one at a prompt (distill/cli.h).
#pragma once
#include <string>
#include <vector>

namespace retort {

/// Every key with its tables, of the same lists of fields that recipes are read by: "train.steps";
/// "student.layers" and "student.model.layers"; of a student "students.NAME.method", whatever its
/// name; of a list of terms its first, "students.NAME.terms.0.loss".
std::vector<std::string> recipe_keys();

}  // namespace retort
