#pragma once
#include "engine/gradcheck.h"

namespace retort {

/// Gradient checks of one divergence ("gjs:0.2"), of a transport loss ("sinkhorn:unit"), of its
/// parts "sinkhorn" (the solver) and "pairwise_cost", of "ce", "mse", "hidden" or "coarsen"; throws
/// on an unknown name.
std::vector<GradCase> loss_cases(const std::string& name);
/// Gradient checks of every registered divergence and transport loss, at several parameters, of
/// cross-entropy, of squared error, of hidden-state matching and of coarsened distributions.
std::vector<GradCase> loss_cases();

/// Those of them in gradcheck_transport.cpp.
std::vector<GradCase> transport_cases(const std::string& name);

}  // namespace retort
