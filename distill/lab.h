// The lab's pages, which `retort modes`, `exact` and `sinkhorn` write with -o: as the report's
// (distill/page.h), but of one command's numbers. distill/page/lab.js draws them. docs/report.md.
#pragma once
#include <CLI/CLI.hpp>

#include "distill/modes.h"
#include "distill/toml.h"

namespace retort {

/// -o, --page FILE.
void add_page_option(CLI::App& command, std::string& path);
/// Writes what a command shows: page_of_modes(), or an object of this kind, "exact" or "sinkhorn",
/// with "title", "facts" (one line) and its numbers. "": writes nothing.
void write_page(const std::string& path, const std::string& kind, Json page);

/// A number as pages hold it, with six digits; one that is not finite is null.
Json rounded(double x);

/// What `retort modes --json` prints of one divergence, and of the teacher.
Json json_of(const std::vector<ModesEnd>& ends);
Json json_of(const ModesEnd& end);

/// Numbers of updates from 0 to `steps`, about `most` of them, each about as many times the one
/// before.
std::vector<long> frames_of(long steps, int most = 60);

/// A divergence's training at frames_of() its steps.
using ModesPath = std::vector<std::vector<ModesEnd>>;

/// The page of `retort modes`: {"frames": [STEP], "teacher", "shown": [NAME], "starts": how many,
/// "paths": {NAME: [{"mean": what --json prints at that step, "mass": [[A^L, B^L]], "letters": [[Q
/// of 0 to L letters B]] of the first starts}]}, and of every divergence of the registry
/// "divergences": [{"name", "formula", "field", "dropped", "norms", "scaled_norms": T^2 times
/// them}] (distill/simplex.h) over "dropped_q" and "temperatures", with "p" the modes' weights and
/// the rest. Coordinates of the field are x = q_B + q_rest / 2, y = sqrt(3)/2 q_rest.
Json page_of_modes(const ModesOptions& options, const std::vector<std::string>& losses,
                   const std::vector<ModesPath>& paths);

}  // namespace retort
