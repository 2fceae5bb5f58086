#pragma once
#include "engine/gradcheck.h"

namespace retort {

/// Gradient checks of the layers and of whole small models, in their parameters.
std::vector<GradCase> layer_cases();

}  // namespace retort
