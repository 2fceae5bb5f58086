// Token batches: a corpus becomes pairs of id sequences, pairs of similar length become padded
// batches under a token budget. The batches of an epoch are a pure function of (seed, epoch), on
// every platform, so that (epoch, index) is all a resumed run needs.
#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "data/reader.h"
#include "data/tokenizer.h"

namespace retort {

/// How a pair x -> y is laid out in a batch.
enum class Layout {
  seq2seq,  ///< source = x eos; decoder input = bos y, labels = y eos
  causal,  ///< decoder input = x bos y; labels = -1 under x, then y eos. source = x bos, the prompt
           ///< to generate from. With an empty x: a language model of lines
  blocks,  ///< language model: all targets in order, each ended by eos, cut into equal blocks
  classify,  ///< source = bos a eos, or bos a eos b eos with token types 0 and 1; labels or values
  masked,    ///< all text in order, each text ended by eos, cut into equal blocks; framed as
             ///< classify's, some tokens masked (data/masking.h): labels are what stood there
};

/// The layout of a name as above. Throws std::invalid_argument listing the names.
Layout layout_named(const std::string& name);

/// Token ids of one example, without special ones. `id` is its index in the corpus (of a block: the
/// block's). Two texts of a classification keep the eos between them in `source`, and the target is
/// the class; a block's target holds one token more than it has labels.
struct TokenPair {
  std::vector<int> source, target;
  int id = 0;
  float value = 0;
};

/// How text becomes pairs.
struct EncodeOptions {
  Layout layout = Layout::seq2seq;
  int max_source = 128;                  ///< tokens, special ones not counted; masked: of a block
  int max_target = 128;                  ///< likewise; for blocks the length of a block
  bool truncate = false;                 ///< cut what is longer, instead of leaving the example out
  std::vector<std::string> labels = {};  ///< classify: class names; none = labels are numbers
};

/// Pairs, and how many examples were cut or left out for which reason.
struct Encoded {
  std::vector<TokenPair> pairs;
  std::map<std::string, size_t> counts;
};

/// Encodes a corpus. Throws std::runtime_error for a label that is not one of `labels` or not a
/// number, and when no pair is left.
Encoded encode(const Corpus& corpus, const Tokenizer& tokenizer, const EncodeOptions& options);

/// The distinct labels of a labelled corpus, sorted.
std::vector<std::string> label_names(const Corpus& corpus);

/// B rows, row-major, padded on the right with pad; -1 in `labels` marks what no loss may count.
struct Batch {
  int size = 0, source_length = 0, target_length = 0;  ///< B, S, T
  std::vector<int> source;                             ///< [B, S]; none for blocks
  std::vector<int> token_types;                        ///< [B, S]; classify and masked only
  std::vector<int> source_lengths;                     ///< [B] without padding
  std::vector<int> decoder_input;                      ///< [B, T]; none for classify and masked
  std::vector<int> labels;     ///< [B, T]; classify: [B] classes, or none where they are numbers;
                               ///< masked: [N]
  std::vector<int> positions;  ///< [N] of masked: where labels stand, among all B S of the source
  std::vector<int> target_lengths;  ///< [B] positions of decoder_input without padding
  std::vector<float> values;        ///< [B] numbers of classify
  std::vector<int> ids;             ///< [B] TokenPair::id of each row; from a Batcher, its index
                                    ///< among the Batcher's pairs
  int label_count = 0;              ///< labels that are not -1
  /// The row that labels[i] belongs to.
  int row_of(size_t i) const;
};

/// The ids that frame sequences; for Layout::masked also what hides tokens, and how many there are.
struct Specials {
  int pad = 0, bos = 2, eos = 3;
  int mask = -1, vocabulary = 0;
};
Specials specials_of(const Tokenizer& tokenizer);

/// Lays pairs out as one batch, in the order given; masks nothing (a Batcher does). Also how
/// sampled targets become a batch: copy the pairs, replace their targets, collate.
Batch collate(const std::vector<TokenPair>& pairs, Layout layout, const Specials& specials);

/// What a batch may hold.
struct BatchOptions {
  Layout layout = Layout::seq2seq;
  int tokens = 4096;  ///< rows times the length of the longer side, padding included
  int rows = 0;       ///< at most; 0 = as many as the tokens allow
  uint64_t seed = 1;
  bool shuffle = true;  ///< false: every epoch is the same, shortest pairs first (evaluation)
};

/// Cuts pairs into batches; with Layout::masked each epoch masks anew. Keeps a reference: the pairs
/// must outlive it.
class Batcher {
 public:
  /// Throws std::invalid_argument when one pair alone is over the budget.
  Batcher(const std::vector<TokenPair>& pairs, const Specials& specials,
          const BatchOptions& options);

  /// Number of batches in an epoch (epochs differ by a few) and batch `index` of it. Each pair is
  /// in exactly one batch of an epoch.
  int count(int epoch);
  Batch batch(int epoch, int index);

 private:
  void plan(int epoch);
  const std::vector<TokenPair>& pairs_;
  Specials specials_;
  BatchOptions options_;
  int epoch_ = -1;
  std::vector<std::vector<int>> batches_;  // of epoch_: indices into pairs_
};

/// A 64-bit number that depends on all three arguments as if drawn at random, the same everywhere.
uint64_t mix(uint64_t seed, uint64_t stream, uint64_t index);

}  // namespace retort
