// What makes step-wise losses the sequence's: log-probabilities of prefixes, the exact mixture of a
// Jensen-Shannon divergence, and the gradient that goes through sampling. Positions are (B, T), row
// by row as (B T); a position without a label is no token, and its numbers add nothing.
#pragma once
#include "engine/ops.h"

namespace retort {

/// Sums over the earlier positions of each sequence: y[b, t] = sum_{s<t} x[b, s]; x is (B T).
Tensor sum_before(const Tensor& x, int sequences);
/// Sums over the later positions: y[b, t] = sum_{s>t} x[b, s]; x is (B T).
Tensor sum_after(const Tensor& x, int sequences);

/// log w/(1-w) of the conditional of the sequence mixture M = weight P + (1-weight) Q at each
/// position (B T): w = sigmoid(log weight/(1-weight) + log P(y_<t) - log Q(y_<t)), with which
/// m(v | y_<t) = w p + (1-w) q is M's own (f-DISTILL, eq. 12). `teacher_nll` and `student_nll` are
/// -log p(y_t | y_<t) and -log q(y_t | y_<t), (B T), 0 where there is no token.
Tensor exact_mixture(double weight, const Tensor& teacher_nll, const Tensor& student_nll,
                     int sequences);

/// log q/m of each token y_t (B T): its negative log-probabilities under teacher and student, and
/// the mixture's log w/(1-w); where that is undefined, m = p. No gradient.
Tensor sampled_log_ratio(const Tensor& teacher_nll, const Tensor& student_nll,
                         const Tensor& mixture = {});

/// A scalar that is 0 and whose gradient is what f-DISTILL leaves out, the one through sampling:
///   E_{y~q} sum_t grad log q(y_t | y_<t) sum_{s>t} reward_s
/// reward (B T) is what each position adds to the loss: its full-vocabulary divergence
/// (Rao-Blackwellised) or its sampled log-ratio (Monte-Carlo); no gradient goes into it. The reward
/// at t itself is left out because its full-vocabulary loss already has its gradient.
Tensor score_term(const Tensor& reward, const Tensor& student_nll, int sequences);

}  // namespace retort
