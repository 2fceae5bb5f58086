// A checkpoint: one safetensors file with weights ("weight.NAME"), the optimizer's state
// ("state.NAME"), its step count and what the caller adds (data position, recipe) as metadata.
#pragma once
#include "engine/optimizer.h"

namespace retort {

void save_checkpoint(const std::string& path, const Parameters& parameters,
                     const Optimizer& optimizer, std::map<std::string, std::string> metadata);

/// Restores weights and optimizer, returns the metadata. A file of another model, another optimizer
/// or no checkpoint at all is one error that names the file and the first tensor that differs;
/// nothing is changed then.
std::map<std::string, std::string> load_checkpoint(const std::string& path, Parameters& parameters,
                                                   Optimizer& optimizer);

}  // namespace retort
