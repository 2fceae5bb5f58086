#pragma once
#include "engine/gradcheck.h"

namespace retort {

/// Gradient checks of every registered divergence, at several parameters, and of cross-entropy.
std::vector<GradCase> loss_cases();

}  // namespace retort
