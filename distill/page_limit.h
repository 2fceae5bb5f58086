// A report of many runs stays a page that can be sent and opened.
#pragma once
#include "distill/toml.h"

namespace retort {

/// Takes out of `page` (distill/page.h) what its stages can do without until script_safe() of it is
/// `most` bytes or less: transport plans first, then the rest of the inspection, curves, lengths,
/// calibration; of each recipe's first run last. Returns what was taken out, of which runs, one
/// line for each of these parts.
Json limit_page(Json& page, size_t most);

}  // namespace retort
