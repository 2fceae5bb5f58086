#include "engine/checkpoint.h"

#include <cstdlib>
#include <stdexcept>

#include "engine/safetensors.h"

namespace retort {

void save_checkpoint(const std::string& path, const Parameters& parameters,
                     const Optimizer& optimizer, std::map<std::string, std::string> metadata) {
  std::map<std::string, Tensor> tensors;
  for (const auto& [name, value] : parameters.values()) tensors["weight." + name] = value;
  for (const auto& [name, value] : optimizer.state()) tensors["state." + name] = value;
  metadata["format"] = "retort-checkpoint";
  metadata["optimizer_steps"] = std::to_string(optimizer.steps);
  save_safetensors(path, tensors, metadata);
}

std::map<std::string, std::string> load_checkpoint(const std::string& path, Parameters& parameters,
                                                   Optimizer& optimizer) {
  TensorFile file = load_safetensors(path);
  auto format = file.metadata.find("format");
  auto steps = file.metadata.find("optimizer_steps");
  if (format == file.metadata.end() || format->second != "retort-checkpoint" ||
      steps == file.metadata.end())
    throw std::runtime_error(path + ": is no retort checkpoint");
  std::map<std::string, Tensor> weights, state = optimizer.state();
  for (const auto& [name, value] : file.tensors) {
    if (name.rfind("weight.", 0) == 0) {
      weights[name.substr(7)] = value;
    } else {
      auto mine = state.find(name.substr(name.find('.') + 1));
      if (mine == state.end() || mine->second.shape != value.shape ||
          mine->second.dtype != value.dtype)
        throw std::runtime_error(path + ": " + name + " " + text(value.shape) +
                                 " does not belong to this optimizer and model");
    }
  }
  for (const auto& [name, value] : state)
    if (!file.tensors.count("state." + name))
      throw std::runtime_error(path + ": state." + name + " is missing");
  try {
    parameters.load(weights);
  } catch (const std::exception& e) {
    throw std::runtime_error(path + ": " + e.what());
  }
  for (const auto& [name, value] : state) {
    const Tensor& from = file.tensors.at("state." + name);
    device_copy(value.device(), value.bytes(), from.device(), from.bytes(),
                value.size() * size_of(value.dtype));
  }
  optimizer.steps = std::atol(steps->second.c_str());
  return file.metadata;
}

}  // namespace retort
