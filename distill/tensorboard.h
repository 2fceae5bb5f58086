// TensorBoard's event file, beside metrics.jsonl and made of its lines alone: a record for each,
// framed as TFRecords are. The only room for protobuf.
//   record:  u64 length, u32 masked CRC-32C of it, the message, u32 masked CRC-32C of the message
//   masked:  rotated right by 15 bits, plus 0xa282ead8
#pragma once
#include <cstdio>
#include <string>
#include <vector>

#include "distill/toml.h"

namespace retort {

class EventFile {
 public:
  /// Writes `path` anew, beside it and renamed, with a record for each line that there is, and goes
  /// on from there: whatever a killed run left there is replaced. Throws where it cannot be
  /// written.
  EventFile(std::string path, const std::vector<Json>& lines);
  ~EventFile();
  EventFile(const EventFile&) = delete;
  /// Appends the record of a line of metrics.jsonl and hands it to the system: each of its numbers
  /// by its key ("loss", "transport/gap"), in float32, at its step. The time is that of the
  /// training so far, the sum of `seconds`, so that the same lines make the same bytes.
  void write(const Json& line);

 private:
  std::string record(const Json& line);
  std::string path_;
  double seconds_ = 0;
  std::FILE* file_ = nullptr;
};

/// The event file of a stage's folder; its name is what TensorBoard looks for.
std::string events_path(const std::string& folder);

}  // namespace retort
