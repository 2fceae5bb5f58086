// SentencePiece behind three functions; its headers and its status objects stop here.
#include "data/tokenizer.h"

#include <fmt/core.h>
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <stdexcept>
#include <unordered_map>

#include "data/text.h"

namespace retort {
namespace {

// Hands the lines to the trainer without a copy.
class Lines : public sentencepiece::SentenceIterator {
 public:
  explicit Lines(const std::vector<std::string>& lines) : lines_(lines) {}
  bool done() const override { return at_ == lines_.size(); }
  void Next() override { at_++; }
  const std::string& value() const override { return lines_[at_]; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  const std::vector<std::string>& lines_;
  size_t at_ = 0;
};

}  // namespace

void Tokenizer::train(const std::vector<std::string>& lines, const std::string& path,
                      const TokenizerOptions& options) {
  if (options.type != "unigram" && options.type != "bpe")
    throw std::invalid_argument(
        fmt::format("tokenizer: unknown type '{}'; there are: unigram, bpe", options.type));
  if (options.vocabulary < 5)
    throw std::invalid_argument(
        fmt::format("tokenizer: a vocabulary of {} pieces has no room beside the 4 special ones",
                    options.vocabulary));
  std::string model;
  Lines sentences(lines);
  // The work is divided by sentence over a fixed number of threads: sums are in the same order
  // everywhere.
  std::unordered_map<std::string, std::string> arguments = {
      {"model_type", options.type},
      {"vocab_size", std::to_string(options.vocabulary)},
      {"character_coverage", fmt::format("{}", options.coverage)},
      {"pad_id", "0"},
      {"unk_id", "1"},
      {"bos_id", "2"},
      {"eos_id", "3"},
      {"num_threads", "4"},
      {"max_sentence_length", "1000000"},
      {"minloglevel", "4"}};
  if (options.mask) arguments["control_symbols"] = "<mask>";
  auto status = sentencepiece::SentencePieceTrainer::Train(arguments, &sentences, &model);
  if (!status.ok()) {
    // The library's message opens with its source line in brackets and may end in its own option.
    std::string reason = status.ToString();
    reason = reason.substr(reason.rfind(']') + 1);
    reason = reason.substr(0, reason.find(" with --"));
    if (reason.find_first_not_of(' ') == std::string::npos) reason = " too little text";
    throw std::runtime_error(
        fmt::format("{}: no {} vocabulary of {} pieces (tokenizer.size) from {} lines:{}", path,
                    options.type, options.vocabulary, lines.size(), reason));
  }
  write_file_atomically(path, model);
}

Tokenizer Tokenizer::load(const std::string& path) {
  std::string bytes = read_file(path);
  auto model = std::make_shared<sentencepiece::SentencePieceProcessor>();
  if (bytes.empty() || !model->LoadFromSerializedProto(bytes).ok())
    throw std::runtime_error(fmt::format(
        "{}: not a SentencePiece model; restore the file the models were trained with", path));
  Tokenizer tokenizer;
  tokenizer.unk_ = model->unk_id();
  tokenizer.eos_ = model->eos_id();
  if (tokenizer.unk_ < 0 || tokenizer.eos_ < 0)
    throw std::runtime_error(
        fmt::format("{}: the model has no {} piece", path, tokenizer.unk_ < 0 ? "unk" : "eos"));
  tokenizer.pad_ = model->pad_id() >= 0 ? model->pad_id() : tokenizer.eos_;
  tokenizer.bos_ = model->bos_id() >= 0 ? model->bos_id() : tokenizer.pad_;
  for (const char* piece : {"<mask>", "[MASK]"})
    if (int id = model->PieceToId(piece); id != tokenizer.unk_) tokenizer.mask_ = id;
  tokenizer.hash_ = checksum_of(bytes);
  tokenizer.model_ = model;
  return tokenizer;
}

std::vector<int> Tokenizer::encode(std::string_view text) const {
  std::vector<int> ids;
  auto status = model_->Encode({text.data(), text.size()}, &ids);
  if (!status.ok()) throw std::runtime_error("tokenizer: encode: " + status.ToString());
  return ids;
}

std::string Tokenizer::decode(const std::vector<int>& ids) const {
  std::vector<int> kept;
  for (int id : ids) {
    if (id < 0 || id >= size())
      throw std::invalid_argument(
          fmt::format("tokenizer: decode: id {} is not in 0..{}", id, size() - 1));
    if (id != pad_ && id != bos_ && id != eos_ && id != mask_) kept.push_back(id);
  }
  std::string text;
  auto status = model_->Decode(kept, &text);
  if (!status.ok()) throw std::runtime_error("tokenizer: decode: " + status.ToString());
  return text;
}

int Tokenizer::size() const { return model_->GetPieceSize(); }

std::string Tokenizer::piece(int id) const {
  if (id < 0 || id >= size())
    throw std::invalid_argument(
        fmt::format("tokenizer: piece: id {} is not in 0..{}", id, size() - 1));
  return model_->IdToPiece(id);
}

}  // namespace retort
