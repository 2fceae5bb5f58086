// Published models (Hugging Face transformers): their config.json and the names of their weights.
// Families: gpt2 (GPT2LMHeadModel), bert (BertForSequenceClassification), bart and t5
// (...ForConditionalGeneration; t5 is v1.0 and v1.1). transformers, models/*/modeling_*.py.
#pragma once
#include <map>

#include "engine/tensor.h"
#include "models/config.h"

namespace retort {

/// The model that a published config.json describes; its "model_type" names the family. Throws,
/// naming the key, where one is missing, mistyped or says what these models cannot do.
ModelConfig published_config(const std::string& json);

/// Our parameters (as Parameters::load takes them) from published ones. Names may lack the prefix
/// of the bare model ("transformer.", "bert.", "model."); copies of tied matrices and stored masks
/// are passed over. Any other unknown name, and a missing one, is an error that names it.
std::map<std::string, Tensor> from_published(const ModelConfig& config, const std::string& family,
                                             const std::map<std::string, Tensor>& tensors);
/// The way back: every value (parameters, or gradients by the same names) under its published name.
std::map<std::string, Tensor> to_published(const ModelConfig& config, const std::string& family,
                                           const std::map<std::string, Tensor>& values);

}  // namespace retort
