#include "engine/profile.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>

#include "engine/ops.h"

namespace retort {
namespace {

using Clock = std::chrono::steady_clock;

struct Event {
  std::string name;
  double begin, seconds;  // since the start
};
struct Total {
  long calls = 0;
  double seconds = 0, operations = 0, bytes = 0;
};
struct State {
  std::string file;
  Device device = Device::cpu;
  Clock::time_point start = Clock::now();
  double last = 0;  // the last mark
  std::map<std::string, Total> totals;
  std::vector<Event> events;
  double now() const {
    device_synchronize(device);
    return std::chrono::duration<double>(Clock::now() - start).count();
  }
};
constexpr size_t kMostEvents = 1000000;  // some 100 MB of trace
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

std::string trace_of(const State& s) {
  std::string out = "{\"traceEvents\": [\n";
  char line[200];
  for (size_t i = 0; i < s.events.size(); i++) {
    const Event& e = s.events[i];  // names hold nothing to escape
    std::snprintf(line, sizeof line,
                  "{\"name\": \"%s\", \"ph\": \"X\", \"pid\": 1, \"tid\": 1, \"ts\": %.3f, "
                  "\"dur\": %.3f}%s\n",
                  e.name.c_str(), 1e6 * e.begin, 1e6 * e.seconds,
                  i + 1 < s.events.size() ? "," : "");
    out += line;
  }
  return out + "]}\n";
}

}  // namespace

void Profile::start(const std::string& file) {
  state = std::make_unique<State>();
  state->file = file;
}
Profile::Whole::Whole() { wholes++; }
Profile::Whole::~Whole() { wholes--; }
bool Profile::on() { return bool(state); }

void Profile::mark(const std::string& name, double operations, double bytes) {
  if (!state || wholes) return;
  double now = state->now(), seconds = now - state->last;
  Total& t = state->totals[name];
  t.calls++, t.seconds += seconds, t.operations += operations, t.bytes += bytes;
  if (state->events.size() < kMostEvents) state->events.push_back({name, state->last, seconds});
  state->last = now;
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

Profile::Report Profile::finish() {
  std::unique_ptr<State> s = std::move(state);
  if (s->events.empty()) return {s->file, "", ""};
  NoGrad quiet;
  Device device = s->device;
  Tensor a = Tensor::zeros({1024, 1024}, Dtype::f32, device),
         x = Tensor::zeros({16 << 20}, Dtype::f32, device);
  double product = rate(device, 2.0 * 1024 * 1024 * 1024, [&] { matmul(a, a); }),
         copy = rate(device, 3 * bytes_of(x), [&] { add(x, x); });
  std::vector<std::pair<std::string, Total>> rows(s->totals.begin(), s->totals.end());
  std::sort(rows.begin(), rows.end(),
            [](const auto& a, const auto& b) { return a.second.seconds > b.second.seconds; });
  char line[300];
  std::snprintf(line, sizeof line,
                "profile: %.2f s; limits: product %.0f GFLOP/s, sum of large tensors %.1f GB/s\n"
                "| operator | calls | ms | share | GFLOP/s | GB/s | of the limit |\n"
                "|---|---:|---:|---:|---:|---:|---:|\n",
                s->last, 1e-9 * product, 1e-9 * copy);
  std::string table = line;
  for (const auto& [name, t] : rows) {
    double flops = t.operations / t.seconds, bytes = t.bytes / t.seconds;
    std::snprintf(line, sizeof line, "| %s | %ld | %.1f | %.1f %% | %.1f | %.2f | %.2f |\n",
                  name.c_str(), t.calls, 1e3 * t.seconds, 100 * t.seconds / s->last, 1e-9 * flops,
                  1e-9 * bytes, std::max(flops / product, bytes / copy));
    table += line;
  }
  if (s->events.size() == kMostEvents)
    table += "the trace holds the first " + std::to_string(kMostEvents) + " operators\n";
  return {s->file, table, trace_of(*s)};
}

}  // namespace retort
