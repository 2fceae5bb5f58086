// The named transport losses: optimal transport between teacher and student, over the rows of a
// batch (SinKD, batch-wise) or over the classes of each row. p = softmax(teacher / T), q =
// softmax(student / T).
#pragma once
#include "losses/coarse.h"
#include "losses/pairwise.h"
#include "losses/sinkhorn.h"

namespace retort {

/// A parsed loss with its parameters. Which of them a loss has, and its defaults, stands in the
/// registry.
struct Transport {
  std::string name;
  double temperature = 2, scale = 1;
  SinkhornOptions solver;
  Ground ground = Ground::l1;  ///< batch-wise: what rows cost each other
  ClassCost cost = ClassCost::zero_one;
  bool per_row = false;  ///< a loss of each row (N), or of the batch (1)
  /// Whether the plan has mass N, so that the losses of parts of a batch add up.
  bool mass_of_rows() const { return name == "sinkhorn:published"; }
  int top = 0;  ///< sinkhorn_sample: so many likeliest classes of each side and a bucket; 0: all
};

/// Registered losses: name, formula in one line, its parameters with their defaults as
/// "eps=0.1 iters=20", whether it is a loss of each row (N) or of the batch (1), and T's default.
struct TransportInfo {
  std::string name, formula, parameters;
  bool per_row = false;
  double temperature = 2;
};
const std::vector<TransportInfo>& transport_losses();

/// Whether a name is one of these.
bool is_transport(const std::string& name);

/// By name and parameters "KEY=VALUE". Throws, in one line, on an unknown name or key, a value out
/// of range, and a gradient that is not the value's.
Transport parse_transport(const std::string& name, const std::vector<std::string>& parameters = {});

struct TransportInputs {
  Tensor teacher, student;  ///< logits (N, V); uld's teacher may have another V. bf16 counts in f32
  Tensor mask;  ///< i32 (N): rows with 0 leave the batch, whatever they hold; undefined: all rows
  std::shared_ptr<const ClassCosts> cost;  ///< of V classes, for ClassCost::matrix
  Tensor start;       ///< batch-wise, of one problem: g of an earlier Sinkhorn, to begin with
  bool check = true;  ///< as DivergenceOptions::check
};

/// The loss, (1) or (N), and what the solver found, the loss's own problem first:
/// report(solved[0]).
struct TransportLoss {
  Tensor loss;
  std::vector<Sinkhorn> solved;
};

/// Differentiable in the student only. Throws on shapes, on logits that are NaN or +inf (naming row
/// and token), on a batch of 0 rows, and on one class: a softmax of one logit is 1, whatever it is.
TransportLoss transport(const Transport& t, const TransportInputs& in);

}  // namespace retort
