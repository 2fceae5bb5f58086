// The names of all losses, for messages and for completion.
#pragma once
#include <string>
#include <vector>

namespace retort {

/// What compares the logits of two sides (`retort loss`): the divergences, then the transport
/// losses.
std::vector<std::string> logit_losses();
/// What a term of a recipe may be: these, and ce, mse and hidden.
std::vector<std::string> term_losses();

/// Throws where `name` is none of `names`, a divergence's parameter ("gjs:0.15") aside: in one
/// line, with all of them and the nearest.
void check_loss_name(const std::string& name, const std::vector<std::string>& names);

}  // namespace retort
