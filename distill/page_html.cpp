// The page's parts, which the build puts into the program (Makefile, PAGE_PARTS), and how they and
// the data become one file.
#include <unistd.h>

#include <filesystem>
#include <stdexcept>

#include "distill/page.h"

extern "C" {
extern const char _binary_page_html_start[], _binary_page_html_end[];
extern const char _binary_page_css_start[], _binary_page_css_end[];
extern const char _binary_page_js_start[], _binary_page_js_end[];
extern const char _binary_report_js_start[], _binary_report_js_end[];
extern const char _binary_lab_js_start[], _binary_lab_js_end[];
extern const char _binary_chart_js_start[], _binary_chart_js_end[];
extern const char _binary_chart_licence_start[], _binary_chart_licence_end[];
}

namespace fs = std::filesystem;

namespace retort {
namespace {

// Text as an element's content.
std::string escaped(std::string_view text) {
  std::string out;
  for (char c : text)
    out += c == '<' ? "&lt;" : c == '&' ? "&amp;" : c == '>' ? "&gt;" : std::string(1, c);
  return out;
}

}  // namespace

void check_page(const std::string& path) {
  if (path.empty()) return;
  fs::path folder = fs::path(path).parent_path();
  if (folder.empty()) folder = ".";
  if (!fs::is_directory(folder))
    throw std::runtime_error(path + ": no such folder; make it first, or choose another file");
  if (fs::exists(path) && !fs::is_regular_file(path))
    throw std::runtime_error(path + ": is no regular file; the page needs the name of one");
  if (::access(folder.c_str(), W_OK) != 0)
    throw std::runtime_error(path + ": its folder may not be written to; choose another file");
}

std::string script_safe(const Json& page) {
  std::string out;
  for (char c : page.dump(-1, ' ', true, Json::error_handler_t::replace))
    c == '<' ? out += "\\u003c" : out += c;
  return out;
}

std::string html_of(const Json& page, Page kind) {
  std::string_view rest(_binary_page_html_start, _binary_page_html_end);
  const std::pair<std::string_view, std::string> parts[] = {
      {"{{style}}", {_binary_page_css_start, _binary_page_css_end}},
      {"{{licence}}", escaped({_binary_chart_licence_start, _binary_chart_licence_end})},
      {"{{page}}", script_safe(page)},
      {"{{chart}}", {_binary_chart_js_start, _binary_chart_js_end}},
      {"{{script}}", {_binary_page_js_start, _binary_page_js_end}},
      {"{{kind}}", kind == Page::report
                       ? std::string(_binary_report_js_start, _binary_report_js_end)
                       : std::string(_binary_lab_js_start, _binary_lab_js_end)}};
  std::string html;
  for (const auto& [mark, part] : parts) {  // in the order they stand
    size_t at = rest.find(mark);
    if (at == std::string_view::npos) throw std::logic_error("page.html: no " + std::string(mark));
    html.append(rest.substr(0, at)).append(part);
    rest.remove_prefix(at + mark.size());
  }
  return html.append(rest);
}

}  // namespace retort
