#pragma once
#include "engine/gradcheck.h"

namespace retort {

/// Gradient checks of one divergence ("gjs:0.2"), of a transport loss ("sinkhorn:unit"), of "ce" or
/// "hidden"; throws on an unknown name.
std::vector<GradCase> loss_cases(const std::string& name);
/// Gradient checks of every registered divergence and transport loss, at several parameters, of
/// cross-entropy and of hidden-state matching.
std::vector<GradCase> loss_cases();

}  // namespace retort
