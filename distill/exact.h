// Exact sequence-level divergences of two tables of next-token distributions, by enumeration of all
// V^L sequences, beside what step-wise training computes in expectation (f-DISTILL, arXiv
// 2307.15190, section 2.2; GKD and DistiLLM train alike). An oracle: the step-wise side is the code
// that trains, losses/divergence.
//
// Nodes of the tree of prefixes are numbered by length, then lexicographically: the root is 0, the
// children of n are V n + 1 + v. Prefixes of length 0 to L-1 are the first P = (V^L - 1)/(V - 1)
// nodes, the sequences the V^L that follow.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/tensor.h"

namespace retort {

/// Next-token logits of teacher and student at every prefix.
struct SequenceTables {
  Tensor teacher;        ///< f64 (P, V)
  Tensor student;        ///< f64 (K, V): the student's distinct rows
  std::vector<int> row;  ///< (P): which row of `student` each prefix uses
  int vocab = 0;         ///< V
  int length = 0;        ///< L
  int end = -1;          ///< a letter after which only itself follows, in both; -1: none
  int prefixes() const { return int(row.size()); }
};

/// Most sequences that are enumerated.
constexpr long kMostSequences = 1'000'000;

/// Tables from logits f64 (P, V) and `tie` i32 (P), prefixes of equal number share one row
/// (undefined: each has its own). Throws, saying what to do, unless all fit: shapes and types, V >=
/// 2, P = (V^L - 1)/(V - 1) for some L, V^L <= kMostSequences, finite logits, tied rows identical.
SequenceTables sequence_tables(const Tensor& teacher, const Tensor& student,
                               const Tensor& tie = {});
/// The tables in a safetensors file: `teacher`, `student` and, optionally, `tie`. Errors name the
/// file.
SequenceTables load_sequence_tables(const std::string& path);

/// log-probability of every node of the tree, prefixes and then sequences, from the logits of all
/// prefixes (P, V): (P + V^L).
std::vector<double> node_log_probs(const Tensor& logits);

/// One divergence of the sequence distributions P (teacher) and Q (student), in nats, and its
/// gradient in the student's distinct rows, both ways.
struct ExactDivergence {
  double exact = 0;     ///< D(P, Q) over all V^L sequences
  double stepwise = 0;  ///< the expectation of the step-wise loss; equal, or an upper bound
  /// Cosine and ratio of norms (step-wise over exact) of the gradients, prefix probabilities being
  /// constants step-wise; none where a gradient is 0 to rounding: its rows cancel, or P is Q.
  std::optional<double> grad_cosine, grad_norm_ratio;
  std::optional<double> stepwise_exact_mixture;  ///< js: step-wise with the sequence's own mixture
  /// Standard errors of both where they are estimates (sampled_divergences()).
  std::optional<double> error, stepwise_error;
};

/// kl, rkl, js and tvd of the tables. With p, q the next-token distributions and E_P, E_Q sums over
/// prefixes weighted with their probability, the step-wise losses are
///   kl   E_P KL(p||q)                            = the sequences' (eq. 6)
///   rkl  E_Q KL(q||p)                            = the sequences' (eq. 7)
///   js   1/2 E_P KL(p||m) + 1/2 E_Q KL(q||m)     m = (p + q)/2: an upper bound (eq. 8); with
///                                                m = w p + (1-w) q, w = sigmoid(log P - log Q) of
///                                                the prefix: = the sequences' (eq. 12)
///   tvd  1/2 E_P TVD(p,q) + 1/2 E_Q TVD(p,q)     an upper bound (eq. 10)
/// Throws where a divergence is not finite.
std::map<std::string, ExactDivergence> exact_divergences(const SequenceTables& tables);

}  // namespace retort
