// The keys of a recipe, for those who write one at a prompt (distill/cli.h).
#pragma once
#include <string>
#include <vector>

namespace retort {

/// Every key with its tables ("student.train.steps"), a student's as those of [student].
std::vector<std::string> recipe_keys();

}  // namespace retort
