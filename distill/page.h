// The report: one HTML page of one or several runs, made of the files in their folders alone.
// page_of() gathers what is shown as one JSON document, html_of() puts it into a page that draws it
// (distill/page/), with the chart library inside; the lab's (distill/lab.h) too. docs/report.md.
#pragma once
#include <string>
#include <vector>

#include "data/bootstrap.h"
#include "distill/toml.h"

namespace retort {

/// The comparison of runs, kept while their results are the same: it takes a second.
struct PageCache {
  std::string made_of;
  Json comparison, problems;
};

/// {"runs": [{"folder", "label", "stages": [page_stage()]}],
///  "comparison": what `retort compare --json` tells, null where no stage is finished,
///  "figures": {NAME: {title, decimals, lower_is_better}}, "settings": {KEY: value} of the first
///  run that has its recipe, "differences": {"runs", "students": {"names", "rows": [[KEY, value of
///  each]]}}, "problems": [what cannot be read, and what is left out for it], "left_out": [what of
///  many runs is not shown, so that html_of() has at most 3 MB (distill/page_limit.h)], "version",
///  "commit"}
/// Throws where a folder is missing; anything else that is wrong in it is among the problems.
Json page_of(const std::vector<std::string>& folders, const Resampling& resampling = {},
             PageCache* cache = nullptr);

/// What draws a page, beside what all have in common.
enum class Page { report, lab };

/// What every page begins with: a file that does not is never replaced by one.
inline constexpr const char* kPageBegins = "<!DOCTYPE html>";
/// The page. What it shows cannot leave the data's place in it: "<" is escaped, as is all that is
/// not ASCII.
std::string html_of(const Json& page, Page kind = Page::report);

/// The JSON text that html_of() puts in.
std::string script_safe(const Json& page);

}  // namespace retort
