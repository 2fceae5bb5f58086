// A translation of a few words with small models, and their distributions one sequence at a time.
#pragma once
#include <fmt/core.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "distill/experiment.h"

namespace retort {

using Row = std::vector<double>;

struct Toy {
  std::string folder =
      (std::filesystem::temp_directory_path() / ("retort-scores-" + std::to_string(::getpid())))
          .string();
  std::unique_ptr<Experiment> experiment;
  Toy() {
    std::filesystem::create_directories(folder);
    std::string text;
    for (int i = 0; i < 24; i++)
      text += fmt::format("a{} b{}\tb{} a{}{}\n", i % 7, i % 5, i % 5, i % 7, i % 3 ? "" : " a");
    std::ofstream(folder + "/d.tsv") << text;
    std::ofstream(folder + "/r.toml") << fmt::format(
        "output = \"{0}/run\"\n[data]\ntrain = \"{0}/d.tsv\"\ntest = \"{0}/d.tsv\"\n"
        "max_source = 12\nmax_target = 8\n[tokenizer]\nsize = 16\n[evaluate]\nmin_length = 2\n"
        "[teacher.model]\narchitecture = \"encoder_decoder\"\nwidth = 16\nheads = 2\nffn = 24\n"
        "layers = 1\nencoder_layers = 1\ninit_std = 0.7\n",
        folder);
    experiment = std::make_unique<Experiment>(load_recipe(folder + "/r.toml", {}), Access::write);
  }
  ~Toy() { std::filesystem::remove_all(folder); }
  Model model(uint64_t seed) const {
    Model resolved = experiment->build(experiment->stage("teacher"));
    return Model(resolved.config(), seed, Dtype::f64);
  }
};

// Log-probabilities of the next token before each of `labels`.
inline std::vector<Row> log_probabilities(const Model& model, const TokenPair& pair,
                                          const std::vector<int>& labels, Specials specials) {
  NoGrad quiet;
  Inputs in = inputs_of(collate({pair}, Layout::seq2seq, specials), Layout::seq2seq, Device::cpu);
  std::vector<int> input{specials.bos};
  input.insert(input.end(), labels.begin(), labels.end() - 1);
  int length = int(input.size()), vocabulary = model.config().vocab;
  in.target = Tensor::from(input, {1, length});
  in.target_lengths = Tensor::from(std::vector<int>{length}, {1});
  Pass pass;
  std::vector<double> z = model.forward(in, pass).logits.values();
  std::vector<Row> rows;
  for (int t = 0; t < length; t++) {
    Row row(z.begin() + t * vocabulary, z.begin() + (t + 1) * vocabulary);
    double total = 0;
    for (double x : row) total += std::exp(x);
    for (double& x : row) x -= std::log(total);
    rows.push_back(row);
  }
  return rows;
}

inline double entropy(const Row& row) {
  double h = 0;
  for (double x : row) h -= std::exp(x) * x;
  return h;
}

}  // namespace retort
