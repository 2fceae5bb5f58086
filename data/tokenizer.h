// SentencePiece vocabularies (Kudo and Richardson 2018): trained from the corpus, or given.
// Text to token ids and back; one vocabulary serves source and target.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace retort {

/// How to train a vocabulary.
struct TokenizerOptions {
  int vocabulary = 8000;         ///< pieces, the four special ones included
  std::string type = "unigram";  ///< or "bpe"
  double coverage = 0.9999;      ///< share of the characters that get a piece; the rest is unknown
  bool mask = false;             ///< with a piece <mask>, id 4, that no text is encoded to
};

/// A loaded vocabulary; copies share it. All methods are safe to call from several threads.
class Tokenizer {
 public:
  /// Trains on `lines` and writes the .model file (atomically). The special ids are pad 0, unk 1,
  /// bos 2, eos 3: padding is 0 so that a zeroed buffer is a padded one. The same lines and options
  /// give the same bytes. Throws std::runtime_error when the text cannot fill the vocabulary,
  /// naming the largest size.
  static void train(const std::vector<std::string>& lines, const std::string& path,
                    const TokenizerOptions& options = {});

  /// Loads a .model file, this program's or another's. Where that has no bos, pad stands in for it
  /// (T5); where it has no pad, eos does (padded labels are ignored, so only its being a valid id
  /// matters). Throws std::runtime_error for a missing or malformed file and for a model without
  /// unk or eos.
  static Tokenizer load(const std::string& path);

  /// Token ids of a text, without special ones.
  std::vector<int> encode(std::string_view text) const;
  /// Text of token ids; pad, bos, eos and mask are left out. Throws std::invalid_argument for an id
  /// out of range.
  std::string decode(const std::vector<int>& ids) const;

  int size() const;
  int pad() const { return pad_; }
  int unk() const { return unk_; }
  int bos() const { return bos_; }
  int eos() const { return eos_; }
  /// The piece <mask> (or BERT's [MASK]) that stands for hidden tokens; -1 where there is none.
  int mask() const { return mask_; }
  /// The piece of an id, for reports ("▁the").
  std::string piece(int id) const;
  /// XXH3-128 of the model file, to compare vocabularies by.
  const std::string& hash() const { return hash_; }

 private:
  std::shared_ptr<const sentencepiece::SentencePieceProcessor> model_;
  int pad_ = 0, unk_ = 0, bos_ = 0, eos_ = 0, mask_ = -1;
  std::string hash_;
};

}  // namespace retort
