// What a stage's model starts as: random, a file or published folder, the teacher's layers, another
// student.
#include <fmt/core.h>

#include <filesystem>

#include "data/text.h"
#include "distill/experiment.h"
#include "engine/safetensors.h"
#include "models/published.h"

namespace fs = std::filesystem;

namespace retort {
namespace {

std::string all_layers(int count) {
  std::string list = "0";
  for (int i = 1; i < count; i++) list += "," + std::to_string(i);
  return list;
}

// Layers of the model in a file of ours, all where none are listed; its head only where the model
// has the same.
std::string copy_from_file(const TensorFile& file, const InitFile& from, Model& model) {
  if (!file.metadata.count("config"))
    throw std::runtime_error("tells no configuration, which choosing layers needs");
  ModelConfig theirs = ModelConfig::from_json(file.metadata.at("config")), alike = theirs;
  const ModelConfig& ours = model.config();
  if (theirs.classes == 0) alike.classes = ours.classes;
  if (!from.layers.empty()) alike.layers = ours.layers, alike.encoder_layers = ours.encoder_layers;
  std::string other = ours.difference(alike.to_json());
  if (!other.empty()) throw std::runtime_error("is another model: " + other);
  Model trained(theirs, 0, model.parameters().dtype(), model.device());
  trained.parameters().load(file.tensors);
  return copy_layers(trained, model, from.layers.empty() ? all_layers(theirs.layers) : from.layers,
                     "FILE");
}

}  // namespace

InitFile init_file(const std::string& init) {
  if (fs::is_directory(init)) return {init + "/model.safetensors", ""};
  size_t colon = init.rfind(':');
  if (fs::exists(init) || colon == std::string::npos ||
      init.find_first_not_of("0123456789,/", colon + 1) != std::string::npos)
    return {init, ""};
  return {init.substr(0, colon), init.substr(colon + 1)};
}

Model Experiment::initial(const Stage& stage, const ModelConfig& config) {
  Model model(config, recipe_.seed, dtype_of(recipe_), device());
  if (stage.init == "random") return model;
  if (stage.init.rfind("student:", 0) == 0) {
    std::string name = stage.init.substr(8);
    Model first = load(name);
    std::string other = config.difference(first.config().to_json());
    if (!other.empty())
      throw std::runtime_error("students." + stage.name + ".init: " + name +
                               " is another model: " + other);
    model.parameters().load(first.parameters().values());
    return model;
  }
  if (stage.init.rfind("teacher:", 0) == 0) {
    std::string mapping = copy_layers(load("teacher"), model, stage.init.substr(8));
    if (!quiet_) fmt::print("{}\n", mapping);
    return model;
  }
  InitFile from = init_file(stage.init);
  TensorFile file = load_safetensors(from.path);
  try {
    if (fs::is_directory(stage.init)) {  // published
      std::string config = read_file(stage.init + "/config.json");
      ModelConfig theirs = published_config(config);
      std::string other = model.config().difference(theirs.to_json());
      if (!other.empty()) throw std::runtime_error("is another model: " + other);
      file.tensors = from_published(theirs, Json::parse(config)["model_type"], file.tensors);
    } else if (auto hash = file.metadata.find("tokenizer");
               hash != file.metadata.end() && hash->second != tokenizer_->hash()) {
      throw std::runtime_error(
          "was trained with another vocabulary; name its tokenizer.model as tokenizer.model");
    }
    bool new_head = file.tensors.count("masked.bias") && config.classes > 0;
    if (new_head || !from.layers.empty()) {
      std::string mapping = copy_from_file(file, from, model);
      if (!quiet_ && !from.layers.empty()) fmt::print("{}\n", mapping);
    } else {
      model.parameters().load(file.tensors);
    }
  } catch (const std::exception& e) {
    throw std::runtime_error(from.path + ": " + e.what());
  }
  return model;
}

}  // namespace retort
