// Text files in and out: lines of plain or gzip files as valid UTF-8 with their position, files
// written whole or not at all, checksums. Every error names the file, and the line where there is
// one.
#pragma once
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace retort {

/// Reads a text file line by line; gzip is recognised by content, whatever the name.
/// A leading byte order mark is skipped and "\r\n" ends a line as "\n" does.
/// Throws std::runtime_error for a missing or unreadable file, a damaged or truncated gzip stream,
/// and for bytes that are not UTF-8 (naming file:line and the byte's offset in the line).
class LineReader {
 public:
  explicit LineReader(const std::string& path);
  ~LineReader();
  LineReader(LineReader&&) noexcept;

  /// Puts the next line, without its ending, into `line`; false at the end of the file.
  bool next(std::string& line);

  /// "path:12" for the line last returned, to open an error message with.
  std::string where() const;
  const std::string& path() const { return path_; }
  /// Number of the line last returned, from 1; after the end, the number of lines.
  size_t line_number() const { return number_; }

 private:
  struct Stream;
  bool fill();
  std::string path_;
  std::unique_ptr<Stream> stream_;
  std::string buffer_;
  size_t at_ = 0, number_ = 0;
};

/// All lines of a text file.
std::vector<std::string> read_lines(const std::string& path);

/// The bytes of a file as they are. Throws std::runtime_error when it cannot be read.
std::string read_file(const std::string& path);

/// Writes `bytes` to a temporary name beside `path`, flushes to disk and renames: `path` holds
/// either its old content or all of the new. A symbolic link is followed; what is no regular file
/// is not replaced. Throws std::runtime_error (disk full, no such folder)
/// and leaves nothing.
void write_file_atomically(const std::string& path, std::string_view bytes);
/// Throws std::runtime_error, before anything is computed, where that would fail: no such folder,
/// no regular file, no permission; or where it would replace a file that does not begin with
/// `begins`, which is not this program's to replace. "": nothing is asked for.
void check_writable(const std::string& path, const std::string& begins);

/// XXH3-128 of bytes or of a file's bytes (compressed ones as they are), 32 hexadecimal digits, as
/// `xxhsum -H2` prints it.
std::string checksum_of(std::string_view bytes);
std::string checksum(const std::string& path);

/// Offset of the first byte that is not part of valid UTF-8 (overlong forms and surrogates are not
/// valid), or std::string_view::npos.
size_t find_invalid_utf8(std::string_view text);

/// The words of valid UTF-8: what lies between runs of Unicode whitespace. Views into `text`.
std::vector<std::string_view> words_of(std::string_view text);

/// The characters (code points) of valid UTF-8, and their number.
std::u32string characters_of(std::string_view text);
size_t count_characters(std::string_view text);

/// "a, b, c", for messages that list what there is.
std::string join(const std::vector<std::string>& names);

}  // namespace retort
