#include "engine/tape.h"

#include <algorithm>
#include <set>

#include "engine/ops.h"
#include "engine/profile.h"

namespace retort {
namespace {

thread_local int quiet = 0;
thread_local long operators = 0;

// Adds in place into a parameter's buffer, which the optimizer holds; elsewhere, and where a leaf
// has no buffer yet and nobody else holds the gradient, starts with the first.
void arrive(Node& node, Tensor gradient) {
  ENSURE(gradient.shape == node.shape, std::string("backward: gradient of shape ") +
                                           text(gradient.shape) + " for output of " + node.name +
                                           " with shape " + text(node.shape));
  Dtype dtype = node.order == 0 ? real_of(node.dtype) : node.dtype;
  Tensor g = gradient.dtype == dtype ? std::move(gradient) : cast(gradient, dtype);
  if (node.order == 0 && !node.grad.defined() && g.storage.use_count() == 1 && g.is_contiguous() &&
      !g.storage->owner) {
    node.grad = g.detach();
  } else if (node.order == 0) {
    MemoryScope scope(MemoryClass::gradients);
    if (!node.grad.defined()) node.grad = Tensor::zeros(g.shape, g.dtype, g.device());
    add_in_place(node.grad, g);
  } else {
    node.grad = node.grad.defined() ? add(node.grad, g) : g;
  }
}

}  // namespace

NoGrad::NoGrad() { quiet++; }
NoGrad::~NoGrad() { quiet--; }

bool recorded(const std::vector<Tensor>& inputs) {
  return !quiet &&
         std::any_of(inputs.begin(), inputs.end(), [](const Tensor& x) { return bool(x.node); });
}

Tensor record(const char* name, Tensor y, const std::vector<Tensor>& inputs, Backward back) {
  y.node = nullptr;
  if (Profile::on()) Profile::mark(name, y, inputs);
  if (!recorded(inputs)) return y;
  std::vector<std::shared_ptr<Node>> nodes;
  for (const Tensor& x : inputs) nodes.push_back(x.node);
  y.node = std::make_shared<Node>(
      Node{name, ++operators, std::move(nodes), std::move(back), {}, y.shape, y.dtype});
  return y;
}

Tensor parameter(Tensor x) {
  x.node = std::make_shared<Node>(Node{"parameter", 0, {}, {}, {}, x.shape, x.dtype});
  return x;
}

Tensor grad(const Tensor& parameter) {
  ENSURE(parameter.node, "grad: this tensor wants no gradient");
  Tensor& g = parameter.node->grad;
  MemoryScope scope(MemoryClass::gradients);
  if (!g.defined())
    g = Tensor::zeros(parameter.shape, real_of(parameter.dtype), parameter.device());
  return g;
}

void backward(const Tensor& y, const Tensor& dy) {
  ENSURE(y.node, "backward: nothing recorded; no input wants a gradient, or NoGrad was on");
  ENSURE(dy.defined() || y.size() == 1,
         "backward: shape " + text(y.shape) + " is no scalar: give the upstream gradient");
  NoGrad no_tape;
  auto later = [](const auto& a, const auto& b) { return a->order > b->order; };
  std::set<std::shared_ptr<Node>, decltype(later)> queue(later);
  arrive(*y.node, dy.defined() ? dy : Tensor::full(y.shape, 1, y.dtype, y.device()));
  if (y.node->order) queue.insert(y.node);
  while (!queue.empty()) {
    std::shared_ptr<Node> node = *queue.begin();
    queue.erase(queue.begin());
    ENSURE(node->back, std::string("backward: operator ") + node->name +
                           " has no backward, or its tape was used and freed");
    Grads g;
    {
      Profile::Whole whole;
      g = node->back(node->grad);
    }
    if (Profile::on()) Profile::mark(std::string(node->name) + " backward", node->grad, g);
    node->grad = {};
    node->back = {};  // frees what the closure held
    for (size_t i = 0; i < node->inputs.size() && i < g.size(); i++) {
      const std::shared_ptr<Node>& input = node->inputs[i];
      if (!input || !g[i].defined()) continue;
      arrive(*input, std::move(g[i]));
      if (input->order) queue.insert(input);
    }
    node->inputs.clear();
  }
}

}  // namespace retort
