// data/get l10n-en-ro from end to end, with a package made here in place of those of the network:
// what is kept, how it is cleaned, what it says when something is missing.
#include <catch2/catch.hpp>
#include <set>

#include "data/text.h"
#include "tests/data/get.h"
#include "tests/skip.h"

using namespace retort;
using Catch::Contains;

namespace {

using Entries = std::vector<std::pair<std::string, std::string>>;

std::string little_endian(uint32_t word) {
  std::string bytes;
  for (int shift = 0; shift < 32; shift += 8) bytes += char(word >> shift);
  return bytes;
}

// A gettext catalogue: two tables of (length, offset), then the strings.
std::string catalogue(const Entries& entries) {
  uint32_t count = entries.size(), tables = 28, strings = tables + 16 * count;
  std::string head, originals, translations, text;
  auto add = [&](std::string& table, const std::string& one) {
    table += little_endian(one.size()) + little_endian(strings + text.size());
    text += one + '\0';
  };
  for (auto& [original, translation] : entries)
    add(originals, original), add(translations, translation);
  for (uint32_t word : {0x950412DEu, 0u, count, tables, tables + 8 * count, 0u, 0u})
    head += little_endian(word);
  return head + originals + translations + text;
}

}  // namespace

TEST_CASE("data/get cleans, splits and reports the strings of a package") {
  if (!have("python3") || !have("dpkg-deb"))
    return skipped("data/get", "needs python3 and dpkg-deb");
  Temporary t;
  Entries entries = {
      {"", "Content-Type: text/plain; charset=UTF-8\n"},
      {"_Open file", "_Deschide fişierul"},
      {"menu\4&Print\u2026", "&Tipăreşte\u2026"},
      {std::string("%d page\0%d pages", 16), std::string("%d pagină\0%d pagini\0%d de pagini", 36)},
      {"Use file_name here", "Folosiți aici file_name"},
      {"Copy %1$s to %2$s", "Copiază %1$s în %2$s"},
      {"Close", "Close"},
      {"Line one\nline two", "Rândul unu\nrândul doi"},
      {"Use <b>bold</b>", "Folosește <b>aldin</b>"},
      {"%s files", "fișiere"},
      {"Language", "Език"},
      {"=== %s", "--- %s"},
      {"untranslated", ""}};
  for (int i = 0; i < 400; i++) {
    std::string name = {char('a' + i % 20), char('a' + i / 20 % 20), 'x'};
    entries.push_back({"Word " + name, "Cuvântul " + name});
  }
  std::string folder = "package/usr/share/locale/ro/LC_MESSAGES/";
  std::filesystem::create_directories(t.folder + folder);
  std::filesystem::create_directories(t.folder + "package/DEBIAN");
  t.file("package/DEBIAN/control",
         "Package: p\nVersion: 1\nArchitecture: all\nMaintainer: m\nDescription: d\n");
  t.file(folder + "one.mo", catalogue(entries));
  REQUIRE(std::system(
              ("dpkg-deb -b " + t.folder + "package " + t.folder + "one.deb >/dev/null").c_str()) ==
          0);
  t.file("apt-cache", "#!/bin/sh\nprintf 'Version: 1\\nSize: 9000000\\n'\n");
  t.file("apt-get",
         "#!/bin/sh\nfor last; do :; done\ncp " + t.folder + "one.deb \"${last%=*}.deb\"\n");
  for (const char* tool : {"apt-cache", "apt-get"})
    std::filesystem::permissions(t.folder + tool, std::filesystem::perms::owner_all);

  auto [status, log] = get(t.folder, "l10n-en-ro " + t.folder + "sets");
  INFO(log);
  REQUIRE(status == 0);
  CHECK_THAT(log, Contains("left out: gimp-data (over the size limit)"));  // 60 MB hold six of 9 MB
  CHECK_THAT(log, Contains("downloading 6 packages, 54 MB"));
  CHECK_THAT(log, Contains("1 placeholders differ") && Contains("1 not translated") &&
                      Contains("1 markup") && Contains("1 more than one line") &&
                      Contains("1 mostly symbols") && Contains("1 other script or damaged") &&
                      Contains("1 empty"));
  std::set<std::string> lines;
  size_t sizes[3], i = 0;
  for (const char* part : {"train", "valid", "test"}) {
    auto some = read_lines(t.folder + "sets/l10n-en-ro/" + part + ".tsv");
    lines.insert(some.begin(), some.end());
    sizes[i++] = some.size();
  }
  CHECK(lines.size() == sizes[0] + sizes[1] + sizes[2]);
  CHECK(lines.size() == 405);
  CHECK(sizes[0] > 350);
  CHECK(sizes[1] > 0);
  CHECK(sizes[2] > 0);
  for (const char* line : {"Open file\tDeschide fișierul", "Print...\tTipărește...",
                           "%d page\t%d pagină", "Use file_name here\tFolosiți aici file_name",
                           "Word bcx\tCuvântul bcx", "Copy %1$s to %2$s\tCopiază %1$s în %2$s"})
    CHECK(lines.count(line) == 1);
  CHECK_THAT(read_file(t.folder + "sets/l10n-en-ro/README.md"), Contains("- binutils-common 1\n"));

  CHECK_THAT(get(t.folder, "l10n-en-ro " + t.folder + "sets").second, Contains("is there already"));
  std::filesystem::remove(t.folder + "sets/l10n-en-ro/test.tsv");
  CHECK_THAT(get(t.folder, "l10n-en-ro " + t.folder + "sets").second, Contains("is not complete"));
}

TEST_CASE("data/get says in one line what is missing and leaves nothing behind") {
  if (!have("python3")) return skipped("data/get errors", "needs python3");
  Temporary t;
  CHECK(get(t.folder, "").first == 2);
  auto [status, log] = get(t.folder, "wmt16");
  CHECK(status == 2);
  CHECK_THAT(log, Contains("no data set 'wmt16'"));
  t.file("apt-get", "#!/bin/sh\necho 'E: Could not resolve host' >&2\nexit 100\n");
  t.file("apt-cache", "#!/bin/sh\nprintf 'Version: 1\\nSize: 1000\\n'\n");
  t.file("dpkg-deb", "#!/bin/sh\n");
  for (const char* tool : {"apt-cache", "apt-get", "dpkg-deb"})
    std::filesystem::permissions(t.folder + tool, std::filesystem::perms::owner_all);
  std::tie(status, log) = get(t.folder, "l10n-en-ro " + t.folder + "sets");
  CHECK(status == 1);
  CHECK_THAT(log, Contains("Could not resolve host; is there a network connection"));
  CHECK(std::filesystem::is_empty(t.folder + "sets"));
}
