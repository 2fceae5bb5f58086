#include "distill/profile_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace retort {

std::string table_of(const Profile::Result& p) {
  std::string text = fmt::format(
      "profile: {:.2f} s; limits: product {:.0f} GFLOP/s, sum of large tensors {:.1f} GB/s\n"
      "| operator | calls | ms | share | GFLOP/s | GB/s | of the limit |\n"
      "|---|---:|---:|---:|---:|---:|---:|\n",
      p.seconds, 1e-9 * p.product_rate, 1e-9 * p.sum_rate);
  std::vector<std::pair<std::string, Profile::Total>> rows(p.totals.begin(), p.totals.end());
  std::stable_sort(rows.begin(), rows.end(), [](const auto& a, const auto& b) {
    return a.second.seconds > b.second.seconds;
  });
  for (const auto& [name, t] : rows) {
    double operations = t.operations / t.seconds, bytes = t.bytes / t.seconds;
    text += fmt::format("| {} | {} | {:.1f} | {:.1f} % | {:.1f} | {:.2f} | {:.2f} |\n", name,
                        t.calls, 1e3 * t.seconds, 100 * t.seconds / p.seconds, 1e-9 * operations,
                        1e-9 * bytes, std::max(operations / p.product_rate, bytes / p.sum_rate));
  }
  if (p.more > 0) text += fmt::format("the trace holds the first {} operators\n", p.events.size());
  return text;
}

std::string trace_of(const Profile::Result& p) {
  std::string text = "{\"traceEvents\": [";
  const char* before = "\n";
  for (const Profile::Event& e : p.events) {  // names hold nothing to escape
    fmt::format_to(std::back_inserter(text),
                   "{}{{\"name\": \"{}\", \"ph\": \"X\", \"pid\": 1, \"tid\": 1, \"ts\": {:.3f}, "
                   "\"dur\": {:.3f}}}",
                   before, e.name, 1e6 * e.begin, 1e6 * e.seconds);
    before = ",\n";
  }
  return text + "\n]}\n";
}

}  // namespace retort
