// Checks of a recipe (recipe_check.cpp): a failed one is an error with the place of the key.
#pragma once
#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "data/metrics.h"
#include "distill/recipe.h"

namespace retort {

/// Checks of one table's keys.
struct Table {
  const TomlFile& file;
  std::string path;

  [[noreturn]] void refuse(const std::string& key, const std::string& what) const {
    throw std::runtime_error(Reader(file, nullptr, path).where(key) + ": " + what);
  }
  void one_of(const char* key, const std::string& value,
              const std::vector<std::string>& names) const {
    if (std::find(names.begin(), names.end(), value) == names.end())
      refuse(key, no_such(value, names));
  }
  // `low` <= value < infinity, or `low` < value where `open`; NaN never passes.
  void at_least(const char* key, double value, double low, bool open = false) const {
    if (!std::isfinite(value) || value < low || (open && value == low))
      refuse(key, "must be a number " + std::string(open ? "above " : "from ") + text_of(low) +
                      (open ? "" : " up") + ", got " + text_of(value));
  }
  void in_unit(const char* key, double value) const {
    if (!(value >= 0 && value < 1)) refuse(key, "must lie in [0, 1), got " + text_of(value));
  }
  static std::string text_of(double x) { return fmt::format("{}", x); }
};

/// find_metric(); of an unknown one the error names the nearest.
const Metric& known_metric(const std::string& name);
/// One term on this data.
void check_term(const Table& table, const Term& term, const DataOptions& data);
/// Whether a term asks for the distances of tokens (losses/coarse.h).
bool moves_tokens(const Term& term);
/// Whether what is kept of the teacher's distributions can serve the terms that see its sequences.
void check_kept(const Table& table, const Stage& stage, const VocabularyOptions& vocabulary);

}  // namespace retort
