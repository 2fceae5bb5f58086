#include "engine/profile.h"

#include <algorithm>
#include <chrono>
#include <memory>

#include "engine/ops.h"

namespace retort {
namespace {

using Clock = std::chrono::steady_clock;

struct State {
  Device device = Device::cpu;
  Clock::time_point start = Clock::now();
  Profile::Result result;  // its seconds are the last mark's
  double now() const {
    device_synchronize(device);
    return std::chrono::duration<double>(Clock::now() - start).count();
  }
};
constexpr size_t kMostEvents = 1000000;  // some 100 MB of a trace
std::unique_ptr<State> state;
int wholes = 0;

double bytes_of(const Tensor& x) {
  return x.defined() ? double(x.size()) * double(size_of(x.dtype)) : 0;
}
// Whether nothing was computed: y looks at an input's memory.
bool is_view(const Tensor& y, const std::vector<Tensor>& inputs) {
  return std::any_of(inputs.begin(), inputs.end(),
                     [&](const Tensor& x) { return x.defined() && x.storage == y.storage; });
}

// Floating-point operations of products, 2 for each multiplication and addition; 0 for what is no
// product. Of a backward, `y` is the gradient that came and `in` those that go on.
double operations_of(const std::string& name, const Tensor& y, const std::vector<Tensor>& in) {
  double size = double(y.size()), twice = in.empty() || in[0].defined() ? 2 : 1;
  auto shape = [&](size_t i) { return i < in.size() && in[i].defined(); };
  if (name == "linear") return 2 * size * in[1].dim(1);
  if (name == "linear backward") return shape(1) ? 2 * twice * size * in[1].dim(1) : 0;
  if (name == "matmul") return 2 * size * in[0].dim(-1);
  if (name == "matmul backward") return shape(0) ? 4 * size * in[0].dim(-1) : 0;
  if (name == "feed_forward") return 2.0 * y.rows() * double(in[1].size() + in[3].size());
  if (name == "feed_forward backward")
    return 2.0 * y.rows() * (twice * double(in[1].size()) + 2 * double(in[3].size()));
  // masked scores count
  double keys = shape(1) && in[1].rank() == 4 ? in[1].dim(1) : y.dim(std::min(1, y.rank() - 1));
  if (name == "attention") return 4 * size * keys;
  if (name == "attention backward") return 10 * size * keys;
  return 0;
}

// Best rate of five runs of f, after one.
template <class F>
double rate(Device device, double work, F f) {
  double best = 0;
  for (int i = 0; i < 6; i++) {
    device_synchronize(device);
    auto begin = Clock::now();
    f();
    device_synchronize(device);
    if (i)
      best = std::max(best, work / std::chrono::duration<double>(Clock::now() - begin).count());
  }
  return best;
}

}  // namespace

void Profile::start() { state = std::make_unique<State>(); }
Profile::Whole::Whole() { wholes++; }
Profile::Whole::~Whole() { wholes--; }
bool Profile::on() { return bool(state); }

void Profile::mark(const std::string& name, double operations, double bytes) {
  if (!state || wholes) return;
  Result& r = state->result;
  double now = state->now(), seconds = now - r.seconds;
  Total& t = r.totals[name];
  t.calls++, t.seconds += seconds, t.operations += operations, t.bytes += bytes;
  if (r.events.size() < kMostEvents)
    r.events.push_back({name, r.seconds, seconds});
  else
    r.more++;
  r.seconds = now;
}

void Profile::mark(const std::string& name, const Tensor& y, const std::vector<Tensor>& inputs) {
  if (!state || wholes) return;
  if (y.device() != state->device) state->device = y.device();
  double bytes = 0;
  if (!is_view(y, inputs)) {
    bytes = bytes_of(y);
    for (const Tensor& x : inputs) bytes += bytes_of(x);
  }
  mark(name, operations_of(name, y, inputs), bytes);
}

Profile::Result Profile::finish() {
  std::unique_ptr<State> s = std::move(state);
  Result result = std::move(s->result);
  if (result.events.empty()) return result;
  NoGrad quiet;
  Device device = s->device;
  Tensor a = Tensor::zeros({1024, 1024}, Dtype::f32, device),
         x = Tensor::zeros({16 << 20}, Dtype::f32, device);
  result.product_rate = rate(device, 2.0 * 1024 * 1024 * 1024, [&] { matmul(a, a); });
  result.sum_rate = rate(device, 3 * bytes_of(x), [&] { add(x, x); });
  return result;
}

}  // namespace retort
