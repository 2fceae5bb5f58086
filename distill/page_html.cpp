// The page's parts, which the build puts into the program (Makefile, PAGE_PARTS), and how they and
// the data become one file.
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
