#pragma once
#include "engine/gradcheck.h"

namespace retort {

/// Gradient checks of one divergence ("gjs:0.2"), "ce", "hidden" or "coarsen"; throws on an unknown
/// name.
std::vector<GradCase> loss_cases(const std::string& name);
/// Gradient checks of every registered divergence, at several parameters, of cross-entropy, of
/// hidden-state matching and of coarsened distributions.
std::vector<GradCase> loss_cases();

}  // namespace retort
