#include "distill/teacher_rows.h"

#include <fmt/core.h>

#include <algorithm>
#include <filesystem>
#include <numeric>

#include "data/text.h"
#include "distill/progress.h"
#include "engine/sample.h"
#include "losses/coarsen.h"

namespace fs = std::filesystem;

namespace retort {
namespace {

const std::string again = "; remove the file, and it is made anew";

// The positions of a row of a batch that count: the first, and how many there are.
std::pair<int, int> span_of(const Batch& b, int row) {
  auto labels = b.labels.begin() + long(row) * b.target_length, end = labels + b.target_length;
  auto counts = [](int label) { return label >= 0; };
  return {int(std::find_if(labels, end, counts) - labels), int(std::count_if(labels, end, counts))};
}

// 32 bits of a checksum of tensors on the host.
int digest_of(const std::vector<Tensor>& parts) {
  std::string all;
  for (const Tensor& t : parts)
    all += checksum_of({static_cast<const char*>(t.bytes()), t.size() * size_of(t.dtype)});
  return int(uint32_t(std::stoul(checksum_of(all).substr(0, 8), nullptr, 16)));
}

}  // namespace

void check_room(const std::string& folder, double bytes) {
  double room = double(fs::space(folder).available);
  if (bytes > room)
    throw std::runtime_error(fmt::format(
        "{}: the teacher's distributions need {:.1f} MB, the disk has {:.1f}; keep fewer "
        "tokens (teacher_sequences.keep = \"top_k\", keep_k), or \"text\"",
        folder, bytes / 1e6, room / 1e6));
}

TeacherRows::TeacherRows(Experiment& e, const TeacherSequences& how,
                         const std::vector<std::vector<int>>& sequences, const LoadTeacher& teacher)
    : keep_k_(how.keep == "top_k" ? how.keep_k : 0) {
  int vocabulary = e.tokenizer().size();
  if (keep_k_ >= vocabulary)
    throw std::runtime_error(
        fmt::format("teacher_sequences.keep_k: {} tokens, the vocabulary has {}; keep fewer, or "
                    "all with keep = \"full\"",
                    keep_k_, vocabulary));
  std::vector<TokenPair> written = e.pairs("train").pairs;
  begins_.push_back(0);
  for (size_t i = 0; i < written.size(); i++) {
    std::vector<int>& target = written[i].target = sequences.at(i);
    target.resize(std::min(target.size(), size_t(e.recipe().data.max_target)));
    begins_.push_back(begins_.back() + target.size() + 1);
  }
  int positions = int(begins_.back());
  std::map<std::string, TensorSpec> layout{{"checksums", {Dtype::i32, {int(written.size())}}}};
  if (keep_k_) {
    layout["log_probabilities"] = {Dtype::f32, {positions, keep_k_ + 1}};
    layout["tokens"] = {Dtype::i32, {positions, keep_k_}};
  } else {
    layout["logits"] = {Dtype::f32, {positions, vocabulary}};
  }
  auto [stem, made] = teacher_file(e, how);
  made["dtype"] = e.recipe().dtype;
  made["keep"] = keep_k_ ? fmt::format("top {}", keep_k_) : "full";
  made["text of the sequences"] = checksum(stem + ".jsonl");
  path_ = stem + (keep_k_ ? fmt::format(".top-{}", keep_k_) : ".full") + ".safetensors";
  if (!fs::exists(path_)) compute(e, written, teacher, layout, made.dump());
  try {
    file_ = std::make_unique<TensorReader>(path_);
  } catch (const std::exception& error) {
    throw std::runtime_error(error.what() + again);
  }
  auto found = file_->metadata().find("made");
  check_made(path_,
             found == file_->metadata().end() ? Json() : Json::parse(found->second, nullptr, false),
             made);
  if (file_->tensors() != layout)
    throw std::runtime_error(path_ + ": does not hold what its header says made it" + again);
  checksums_ = file_->read("checksums").ints();
}

void TeacherRows::compute(Experiment& e, const std::vector<TokenPair>& written,
                          const LoadTeacher& load, const std::map<std::string, TensorSpec>& layout,
                          const std::string& made) const {
  double bytes =
      double(begins_.back()) * 4 * (keep_k_ ? 2 * keep_k_ + 1 : layout.at("logits").shape[1]);
  check_room(e.folder("teacher"), bytes);
  fmt::print("the teacher's distributions: {} positions, {:.1f} MB in {}\n",
             thousands(double(begins_.back())), bytes / 1e6, path_);
  const Model& teacher = load();
  NoGrad quiet;
  StableRows stable;  // the same bits however the text is cut into batches
  BatchOptions o;
  o.layout = e.layout(), o.shuffle = false, o.tokens = 1024;
  for (const TokenPair& p : written)
    o.tokens = std::max(o.tokens, int(p.source.size() + p.target.size()) + 4);
  Batcher batcher(written, e.specials(), o);
  Progress progress("the teacher's distributions", batcher.count(0), 0, 10);
  TensorWriter file(path_, layout, {{"format", "retort-teacher-rows"}, {"made", made}});
  std::vector<int> checksums(written.size());
  for (int i = 0; i < batcher.count(0); i++) {
    if (interrupted())
      throw Interrupted{
          "stopped while computing the teacher's distributions; the same command begins that anew"};
    Batch b = batcher.batch(0, i);
    Pass pass;
    Tensor logits = teacher.forward(inputs_of(b, e.layout(), teacher.device()), pass).logits;
    logits = reshape(logits, {logits.rows(), logits.cols()}).to(Dtype::f32);
    std::vector<std::pair<std::string, Tensor>> parts{{"logits", logits}};
    if (keep_k_) {
      Tensor ids = best(logits, keep_k_).ids;
      parts = {{"log_probabilities", coarsen(logits, ids)}, {"tokens", ids}};
    }
    for (auto& [name, all] : parts) all = all.to(Device::cpu);
    for (int row = 0; row < b.size; row++) {
      auto [first, count] = span_of(b, row);
      size_t example = size_t(b.ids[size_t(row)]);
      std::vector<Tensor> own;
      for (const auto& [name, all] : parts) {
        own.push_back(slice(all, 0, row * b.target_length + first, count));
        file.write(name, own.back(), begins_[example]);
      }
      checksums[example] = digest_of(own);
    }
    progress.update(i + 1, "batches");
  }
  progress.finish();
  file.write("checksums", Tensor::from(checksums, {int(checksums.size())}));
  file.finish();
}

TeacherSide TeacherRows::of(const Batch& b, Device device) const {
  std::string name = keep_k_ ? "log_probabilities" : "logits";
  int positions = b.size * b.target_length, width = file_->tensors().at(name).shape[1];
  // Padding has numbers too: any that are a distribution.
  Tensor logits = Tensor::zeros({positions, width});
  std::vector<int> ids(size_t(positions) * size_t(keep_k_));
  for (size_t i = 0; i < ids.size(); i++) ids[i] = int(i % size_t(keep_k_));
  for (int row = 0; row < b.size; row++) {
    auto [first, count] = span_of(b, row);
    size_t example = size_t(b.ids[size_t(row)]), begin = begins_.at(example);
    ENSURE(begin + size_t(count) == begins_.at(example + 1),
           path_ + ": " + std::to_string(count) + " positions of example " +
               std::to_string(example) + " are asked for, it has " +
               std::to_string(begins_[example + 1] - begin));
    std::vector<Tensor> own{file_->read(name, begin, size_t(count))};
    if (keep_k_) own.push_back(file_->read("tokens", begin, size_t(count)));
    if (digest_of(own) != checksums_[example])
      throw std::runtime_error(path_ + ": what it holds of example " + std::to_string(example) +
                               " is damaged" + again);
    size_t at = size_t(row * b.target_length + first);
    std::copy_n(own[0].data<float>(), own[0].size(), logits.data<float>() + at * size_t(width));
    if (keep_k_) std::copy_n(own[1].data<int>(), own[1].size(), ids.begin() + long(at) * keep_k_);
  }
  TeacherSide side{logits.to(device), {}};
  if (keep_k_) side.ids = Tensor::from(ids, {positions, keep_k_}, device);
  return side;
}

}  // namespace retort
