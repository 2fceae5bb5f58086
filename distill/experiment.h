// What all stages of an experiment share: its folder, vocabulary, data, and the models made so far.
//   OUTPUT/tokenizer.model, OUTPUT/STAGE/{recipe.toml, manifest.json, metrics.jsonl,
//   checkpoint.safetensors, model.safetensors, results.json}
#pragma once
#include <memory>

#include "distill/recipe.h"
#include "models/model.h"

namespace retort {

/// What a command does to an experiment's folder. write: makes it, and nobody else writes there
/// meanwhile. read: leaves every file alone.
enum class Access { write, read };

class Experiment {
 public:
  /// Reads the vocabulary; with Access::write trains it where there is none. A vocabulary made from
  /// other text or options is an error once models stand on it. Data is read when it is asked for;
  /// with Access::write what was read and dropped is printed.
  Experiment(Recipe recipe, Access access);
  ~Experiment();
  Experiment(const Experiment&) = delete;

  const Recipe& recipe() const { return recipe_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }
  Specials specials() const { return specials_of(*tokenizer_); }
  Layout layout() const { return layout_; }
  Device device() const { return device_of(recipe_); }
  /// Encoded pairs and raw examples of train, valid or test; read on first use. Throws when the
  /// recipe names none.
  const Encoded& pairs(const std::string& split);
  /// How many examples of a split were left out or cut, for which reason, in its text and for their
  /// length: {"source left out, over 128 tokens": 3}.
  Json left_out(const std::string& split);
  const Corpus& corpus(const std::string& split);
  bool has(const std::string& split) const;
  /// The names of a classifier's classes, in their order; none where there are no classes.
  const std::vector<std::string>& labels();
  /// Teacher or student by name; throws and lists the names.
  const Stage& stage(const std::string& name) const;

  std::string folder(const std::string& stage) const { return recipe_.output + "/" + stage; }
  /// A new model of this stage with vocabulary, special ids and classes filled in; initial values
  /// as `init` says; with the projections its hidden-state matching trains.
  Model build(const Stage& stage);
  /// The file of a stage's trained weights; throws, saying how to make it, when there is none.
  std::string trained(const std::string& stage) const;
  /// The trained model of a stage; throws as trained() does, and naming the difference when the
  /// weights are another stage's or another configuration's.
  Model load(const std::string& stage);

  /// Everything that decides what a stage's training computes, as one text: the resolved recipe of
  /// the stage, the data's checksums, the vocabulary, and for a distilled student the teacher's
  /// weights.
  std::string fingerprint(const Stage& stage);
  /// The same for a stage's results, and how and on what it is evaluated; of other stages it tells
  /// not their weights but what decides these, so that results can be told apart without weights.
  std::string results_fingerprint(const Stage& stage);
  /// The same whatever the seed: runs of one recipe share it.
  std::string recipe_fingerprint(const Stage& stage);
  /// The stages whose weights this one's training needs: the teacher, the student it starts as.
  std::vector<std::string> needs(const Stage& stage) const;
  /// The split results are from: test, or valid where the recipe names no test; throws where it
  /// names neither.
  std::string evaluation_split() const;
  /// manifest.json and recipe.toml of a stage: seed, checksums, commit, version.
  void write_manifest(const Stage& stage);

 private:
  ModelConfig resolve(ModelConfig config);
  Json made_by(const Stage& stage);
  std::string results_of(const Stage& stage, bool any_seed);
  Model initial(const Stage& stage, const ModelConfig& config);  // distill/initial.cpp
  void lock();
  void make_vocabulary(const std::string& path);
  Recipe recipe_;
  bool quiet_;
  int lock_ = -1;  // descriptor of OUTPUT/.lock
  Layout layout_;
  std::shared_ptr<Tokenizer> tokenizer_;
  std::map<std::string, Corpus> corpora_;
  std::map<std::string, Encoded> encoded_;
  std::vector<std::string> labels_;
};

/// What `init = PATH` names (distill/initial.cpp): a file of weights, of a published folder its
/// model.safetensors; of PATH:0,2 also the layers, else none.
struct InitFile {
  std::string path, layers;
};
InitFile init_file(const std::string& init);

/// How [data] has a split read: train, valid, test or second_test.
ReadOptions read_options(const DataOptions& data, const std::string& split);
/// Device tensors of a batch.
Inputs inputs_of(const Batch& batch, Layout layout, Device device);
/// The file a stage's checkpoint, or its finished weights, live in.
std::string checkpoint_path(const std::string& folder);
std::string weights_path(const std::string& folder);

}  // namespace retort
