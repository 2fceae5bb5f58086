// What it costs to move probability from one token to another: how far apart their embeddings are.
#pragma once
#include "models/model.h"

namespace retort {

/// (V, V), of type `dtype` on the model's device: Euclidean distances between the model's token
/// embeddings, over the largest, so that eps means what it does where a cost is 0 or 1. Throws
/// where the vocabulary is above 16,384.
Tensor token_costs(const Model& model, Dtype dtype);

}  // namespace retort
