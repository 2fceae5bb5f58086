// metrics.jsonl (distill/metrics_log.h) as curves to draw: thinned, whatever its length, and with
// what cannot be read counted.
#pragma once
#include "distill/toml.h"

namespace retort {

/// {"rows", "unreadable", "not_finite", "last_step", "seconds", "sample_seconds", "valid_seconds",
///  "training": {"step", "loss", "grad_norm", "learning_rate", "tokens_per_second"},
///  "validation": {"step", "loss", "accuracy"}, "transport": {"step", "row_error", ...}}
/// Each curve has `points` points at most: of so many consecutive rows the last step and the mean
/// of each value that is finite (null where none is). Lines that are no JSON object with a step
/// are `unreadable`: a torn last line, NaN, which JSON does not know. `not_finite`: values that
/// should be numbers and are not. Throws where the file cannot be read.
Json read_curves(const std::string& path, size_t points = 300);

}  // namespace retort
