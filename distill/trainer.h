// The training loop of one stage: batches, updates, metrics.jsonl, checkpoints, resume.
#pragma once
#include "distill/objective.h"

namespace retort {

struct TrainSummary {
  long steps = 0;
  double tokens_per_second = 0;  ///< label tokens of the training text per second of training
  double minutes = 0;            ///< of training, all sessions of a resumed run together
  double minutes_now = 0;        ///< those of this session
  double peak_bytes = 0;         ///< of tensors on the device, the most of all sessions
};

/// How a stage's training starts when its folder holds something already.
enum class Start { fresh, resume, overwrite };

/// Trains a stage and writes OUTPUT/STAGE/model.safetensors at the end. `resume` goes on from the
/// checkpoint and gives the same bytes as a run never stopped; `fresh` throws when there is a
/// checkpoint. On SIGINT or SIGTERM saves a checkpoint and throws Interrupted. A loss or gradient
/// that is NaN or infinite stops the run: the error names the tensor, the batch is in
/// failed-batch.json, the last checkpoint is untouched.
TrainSummary train_stage(Experiment& experiment, const Stage& stage, Start start);

/// Updates the stage will make.
long total_steps(Experiment& experiment, const Stage& stage);

}  // namespace retort
