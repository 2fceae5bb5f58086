// What --profile FILE writes (engine/profile.h): a table to read and a trace to look at.
#pragma once
#include <string>

#include "engine/profile.h"

namespace retort {

/// The operators, the longest first: calls, time, its share, GFLOP/s, GB/s, and the larger of both
/// as a fraction of what the device reaches. Markdown, with a line above that tells the limits.
std::string table_of(const Profile::Result& profile);

/// The events in Chrome's trace event format (chrome://tracing, Perfetto), in microseconds.
std::string trace_of(const Profile::Result& profile);

}  // namespace retort
