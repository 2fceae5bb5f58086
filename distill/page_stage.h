// One stage of a run as the report shows it, from the files in its folder alone.
#pragma once
#include <string>
#include <vector>

#include "distill/toml.h"

namespace retort {

/// Whether a folder is a stage's: it has results, metrics or a manifest.
bool is_stage(const std::string& folder);

/// {"stage", "state": done, training or waiting; "facts": the numbers and texts of results.json;
///  "figures": {NAME: {score, low, high}}; "calibration": [[count, mean probability, share right]]
///  of each bin that is not empty; "lengths": {"own", "reference": [[tokens, outputs]]};
///  "distinct": {"1", "2"} of the outputs; "curves": read_curves(); "total": updates to make;
///  "manifest": version, vocabulary, checksums; "inspection": inspection.json}
/// What a file lacks is left out; of what cannot be read `problems` says why. `points` are those of
/// a curve.
Json page_stage(const std::string& folder, size_t points, std::vector<std::string>& problems);

}  // namespace retort
