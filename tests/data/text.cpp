// Lines, UTF-8, gzip, atomic writes and checksums, good and bad.
#include "data/text.h"

#include <sys/stat.h>
#include <zlib.h>

#include <catch2/catch.hpp>

#include "tests/data/temporary.h"

using namespace retort;
using Catch::Contains;
using Lines = std::vector<std::string>;

namespace {

std::string gzip(const Temporary& temporary, const std::string& name, const std::string& text) {
  std::string path = temporary.folder + name;
  gzFile file = gzopen(path.c_str(), "wb");
  gzwrite(file, text.data(), text.size());
  gzclose(file);
  return path;
}

}  // namespace

TEST_CASE("lines end with or without a newline, CRLF and a byte order mark are dropped") {
  Temporary t;
  CHECK(read_lines(t.file("a", "")) == Lines{});
  CHECK(read_lines(t.file("b", "\n")) == Lines{""});
  CHECK(read_lines(t.file("c", "one\n\ntwo")) == Lines{"one", "", "two"});
  CHECK(read_lines(t.file("d", "one\r\ntwo\r\n")) == Lines{"one", "two"});
  CHECK(read_lines(t.file("e", "\xEF\xBB\xBFșase\n\xEF\xBB\xBFx")) ==
        Lines{"șase", "\xEF\xBB\xBFx"});
}

TEST_CASE("a gzip file reads as its text, also over buffer borders") {
  Temporary t;
  std::string text;
  Lines lines;
  for (int i = 0; i < 1003; i++) {
    lines.push_back(std::string(i % 331, 'a' + i % 26) + "țară");
    text += lines.back() + "\n";
  }
  CHECK(read_lines(t.file("plain", text)) == lines);
  CHECK(read_lines(gzip(t, "packed", text)) == lines);
  std::string one(300001, 'x');
  CHECK(read_lines(gzip(t, "one", one)) == Lines{one});
}

TEST_CASE("unreadable text is refused with file and position") {
  Temporary t;
  CHECK_THAT(error_of([&] { read_lines(t.folder + "none"); }),
             Contains("none: cannot open: No such file"));
  CHECK_THAT(error_of([&] { read_lines(t.folder); }), Contains("cannot read: Is a directory"));
  CHECK_THAT(error_of([&] {
               read_lines(t.file("latin",
                                 "one\nfa\xE7"
                                 "ade\n"));
             }),
             Contains("latin:2: byte 3 (0xe7) is not UTF-8"));
  std::string text;
  for (int i = 0; i < 5000; i++) text += std::to_string(i * 2654435761u) + "\n";
  std::string bytes = read_file(gzip(t, "whole.gz", text));
  CHECK_THAT(error_of([&] { read_lines(t.file("cut.gz", bytes.substr(0, bytes.size() / 2))); }),
             Contains("cut.gz: damaged or truncated gzip data after line"));
  bytes[bytes.size() / 2] ^= 0x55;
  CHECK_THAT(error_of([&] { read_lines(t.file("bad.gz", bytes)); }), Contains("bad.gz: damaged"));
}

TEST_CASE("UTF-8 is checked as RFC 3629 says") {
  for (const char* good :
       {"", "a", "é", "ș", "€", "\xED\x9F\xBF", "\xEE\x80\x80", "😀", "\xF4\x8F\xBF\xBF"})
    CHECK(find_invalid_utf8(good) == std::string::npos);
  for (const char* bad :
       {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xE2\x82", "\xC3"})
    CHECK(find_invalid_utf8(std::string("ab") + bad) == 2);
  CHECK(count_characters("ășa😀") == 4);
  CHECK(characters_of("ășa😀€") == U"ășa😀€");
  using Words = std::vector<std::string_view>;
  CHECK(words_of("  one two\tșase\u00A0opt\u3000é \n") == Words{"one", "two", "șase", "opt", "é"});
  CHECK(words_of(" \u2028").empty());
}

TEST_CASE("a file is replaced whole or not at all") {
  Temporary t;
  std::string path = t.file("out", "old");
  write_file_atomically(path, std::string(1 << 20, 'n'));
  CHECK(read_file(path) == std::string(1 << 20, 'n'));
  CHECK_THAT(error_of([&] { write_file_atomically(t.folder + "no/out", "x"); }),
             Contains("cannot create"));
  mkdir((t.folder + "taken").c_str(), 0777);
  CHECK_THAT(error_of([&] { write_file_atomically(t.folder + "taken", "x"); }),
             Contains("cannot replace"));
  size_t files = 0;
  for (auto& entry : std::filesystem::directory_iterator(t.folder)) files += !entry.path().empty();
  CHECK(files == 2);  // out and taken, nothing temporary
}

TEST_CASE("a full disk leaves the old file and one clear line") {
  if (access("/dev/full", W_OK) != 0) return;
  Temporary t;
  // The temporary name is beside the path; a link of that name sends the bytes to a full device.
  std::string path = t.file("out", "old");
  std::filesystem::create_symlink("/dev/full", path + ".tmp" + std::to_string(getpid()));
  CHECK_THAT(error_of([&] { write_file_atomically(path, "new"); }),
             Contains("No space left on device"));
  CHECK(read_file(path) == "old");
}

TEST_CASE("checksums are XXH3-128 of the bytes") {
  Temporary t;
  // The two values the format's authors publish for empty input (seed 0), and of a file against
  // memory.
  CHECK(checksum(t.file("empty", "")) == "99aa06d3014798d86001c324468d497f");
  std::string bytes(200003, 'q');
  CHECK(checksum(t.file("large", bytes)) == checksum_of(bytes));
  CHECK(checksum_of(bytes) != checksum_of(bytes + "q"));
}
