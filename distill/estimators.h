// Estimators of sequence-level divergences from sampled sequences, compared by enumeration: their
// bias and standard deviation are sums over all V^L sequences, not measured.
#pragma once
#include "distill/exact.h"

namespace retort {

/// What one sampled sequence says about a target, in nats.
struct Estimator {
  std::string target;  ///< kl: KL(P||Q); rkl: KL(Q||P); seqkd: the cross-entropy -E_P log Q
  std::string name;
  double truth = 0;    ///< the target's exact value
  double mean = 0;     ///< expectation of the estimate; mean - truth is its bias
  double std = 0;      ///< standard deviation of one sequence's estimate
  double rows = 0;     ///< teacher's probabilities read per sequence, in rows of vocabulary
  double sampled = 0;  ///< mean over sequences that were drawn
};

/// Compares, for kl and rkl (x = log of sampled over other probability of the sequence; sampled
/// from P for kl, from Q for rkl):
///   k1, k2, k3       x, x^2/2, exp(-x) - 1 + x (Schulman 2020, "Approximating KL Divergence")
///   full vocabulary  sum over positions of the row's divergence (Rao-Blackwellised; what step-wise
///                    losses do)
///   top-p            the same, on sequences drawn from the fewest likeliest letters of a share
///   top-k            sum over the teacher's V/2 likeliest letters only; and with the rest as one
///                    more letter (tail)
///   beam             the full vocabulary's, on the likeliest sequence, which beam search looks for
/// and for seqkd -log Q of a sequence drawn from P, or of P's mode, which beam search looks for.
/// `exact` is exact_divergences() of the tables. `samples` sequences are drawn for each, a function
/// of seed, sequence and position.
std::vector<Estimator> compare_estimators(const SequenceTables& tables,
                                          const std::map<std::string, ExactDivergence>& exact,
                                          int samples, uint64_t seed);

}  // namespace retort
