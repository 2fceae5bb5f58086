// metrics.jsonl: one JSON object a line, one line a step.
#pragma once
#include <cstdio>
#include <memory>
#include <string>

#include "distill/tensorboard.h"

namespace retort {

class MetricsLog {
 public:
  /// Opens `path` for appending after dropping lines of steps later than `last_step` (a resumed run
  /// repeats them) and a torn last line. With `events` the same lines also go into that event file
  /// of TensorBoard's, those that are there already included.
  MetricsLog(std::string path, long last_step, const std::string& events = "");
  ~MetricsLog();
  MetricsLog(const MetricsLog&) = delete;
  /// Appends a line and hands it to the system. Throws when it cannot be written (disk full).
  void write(const Json& line);

 private:
  std::string path_;
  std::FILE* file_;
  std::unique_ptr<EventFile> events_;
};

}  // namespace retort
