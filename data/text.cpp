// Lines through zlib, which reads plain files as well as gzip ones; UTF-8 by the table of RFC 3629.
#include "data/text.h"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>
#include <xxhash.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <stdexcept>

namespace retort {

struct LineReader::Stream {
  gzFile file;
  ~Stream() { gzclose(file); }
};

namespace {

// Throws with the operation, the file and the system's reason.
[[noreturn]] void fail(const std::string& path, const char* what) {
  throw std::runtime_error(fmt::format("{}: cannot {}: {}", path, what, std::strerror(errno)));
}

// Reads a file in pieces and gives each to `use`.
template <class F>
void read_pieces(const std::string& path, F use) {
  std::FILE* file = std::fopen(path.c_str(), "rb");
  if (!file) fail(path, "open");
  char piece[1 << 16];
  size_t n;
  while ((n = std::fread(piece, 1, sizeof piece, file)) > 0) use(std::string_view(piece, n));
  int error = std::ferror(file) ? errno : 0;
  std::fclose(file);
  if ((errno = error)) fail(path, "read");
}

std::string hex(XXH128_hash_t hash) {
  return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
}

// Bytes of the UTF-8 character that starts at text[0], or 0 where there is none.
size_t character_size(std::string_view text) {
  auto byte = [&](size_t i) { return i < text.size() ? (unsigned char)text[i] : 0; };
  auto tail = [&](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  unsigned char b = byte(0), next = byte(1);
  if (b < 0x80) return 1;
  if (b < 0xC2) return 0;
  if (b < 0xE0) return tail(1) ? 2 : 0;
  if (b < 0xF0) {
    bool overlong = b == 0xE0 && next < 0xA0, surrogate = b == 0xED && next > 0x9F;
    return tail(1) && tail(2) && !overlong && !surrogate ? 3 : 0;
  }
  bool overlong = b == 0xF0 && next<0x90, too_large = b> 0xF4 || (b == 0xF4 && next > 0x8F);
  return tail(1) && tail(2) && tail(3) && !overlong && !too_large ? 4 : 0;
}

// The code point of exactly one character.
char32_t character_at(std::string_view text) {
  char32_t c = (unsigned char)text[0];
  if (text.size() > 1) c &= 0x7F >> text.size();
  for (size_t i = 1; i < text.size(); i++) c = c << 6 | (text[i] & 0x3F);
  return c;
}

// Unicode whitespace: the separators (Zs, Zl, Zp) and the control characters that part words or
// lines.
bool is_space(char32_t c) {
  return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1C && c <= 0x1F) || c == 0x85 ||
         c == 0xA0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 ||
         c == 0x202F || c == 0x205F || c == 0x3000;
}

}  // namespace

LineReader::LineReader(const std::string& path) : path_(path) {
  gzFile file = gzopen(path.c_str(), "rb");
  if (!file) fail(path, "open");
  stream_.reset(new Stream{file});
  gzbuffer(file, 1 << 17);
}
LineReader::~LineReader() = default;
LineReader::LineReader(LineReader&&) noexcept = default;

// Appends the next piece of the file to the buffer, dropping what was already returned; false at
// the end.
bool LineReader::fill() {
  char piece[1 << 16];
  int n = gzread(stream_->file, piece, sizeof piece);
  int status;
  const char* reason = gzerror(stream_->file, &status);
  if (n < 0 || status == Z_BUF_ERROR) {
    if (status == Z_ERRNO) fail(path_, "read");
    throw std::runtime_error(fmt::format("{}: damaged or truncated gzip data after line {} ({})",
                                         path_, number_, reason));
  }
  buffer_.erase(0, at_);
  at_ = 0;
  buffer_.append(piece, n);
  return n > 0;
}

bool LineReader::next(std::string& line) {
  size_t searched = at_, end;
  while ((end = buffer_.find('\n', searched)) == std::string::npos) {
    searched = buffer_.size() - at_;
    if (fill()) continue;
    if (buffer_.empty()) return false;
    end = buffer_.size();
    break;
  }
  line.assign(buffer_, at_, end - at_);
  at_ = std::min(end + 1, buffer_.size());
  if (++number_ == 1 && line.starts_with("\xEF\xBB\xBF")) line.erase(0, 3);
  if (line.ends_with('\r')) line.pop_back();
  size_t bad = find_invalid_utf8(line);
  if (bad != std::string::npos)
    throw std::runtime_error(
        fmt::format("{}: byte {} (0x{:02x}) is not UTF-8; convert the file with iconv", where(),
                    bad + 1, (unsigned char)line[bad]));
  return true;
}

std::string LineReader::where() const { return fmt::format("{}:{}", path_, number_); }

std::vector<std::string> read_lines(const std::string& path) {
  LineReader reader(path);
  std::vector<std::string> lines;
  for (std::string line; reader.next(line);) lines.push_back(line);
  return lines;
}

std::string read_file(const std::string& path) {
  std::string bytes;
  read_pieces(path, [&](std::string_view piece) { bytes += piece; });
  return bytes;
}

void write_file_atomically(const std::string& asked, std::string_view bytes) {
  std::error_code none;
  std::string path = std::filesystem::is_symlink(asked, none)
                         ? std::filesystem::weakly_canonical(asked, none).string()
                         : asked;
  if (std::filesystem::exists(path, none) && !std::filesystem::is_regular_file(path, none)) {
    errno = EEXIST;
    fail(path, "replace what is no regular file");
  }
  std::string beside = fmt::format("{}.tmp{}", path, getpid());
  int file = open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file < 0) fail(path, "create");
  auto give_up = [&](const char* what) {
    int error = errno;
    unlink(beside.c_str());
    errno = error;
    fail(path, what);
  };
  while (!bytes.empty()) {
    ssize_t n = write(file, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) close(file), give_up("write");
    bytes.remove_prefix(n);
  }
  if (fsync(file) != 0) close(file), give_up("flush");
  if (close(file) != 0) give_up("write");
  if (rename(beside.c_str(), path.c_str()) != 0) give_up("write");
}

void check_writable(const std::string& path, const std::string& begins) {
  if (path.empty()) return;
  std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (folder.empty()) folder = ".";
  if (!std::filesystem::is_directory(folder))
    throw std::runtime_error(path + ": no such folder; make it first, or choose another");
  if (std::filesystem::exists(path) && !std::filesystem::is_regular_file(path))
    throw std::runtime_error(path + ": is no regular file; give the name of one");
  if (::access(folder.c_str(), W_OK) != 0)
    throw std::runtime_error(path + ": its folder may not be written to; choose another");
  std::ifstream old(path, std::ios::binary);
  std::string head(begins.size(), 0);
  if (old.read(head.data(), 1) &&
      (old.read(head.data() + 1, long(begins.size()) - 1), head != begins))
    throw std::runtime_error(path + ": exists and is another kind of file, which would be lost; " +
                             "choose another name, or remove it first");
}

std::string checksum_of(std::string_view bytes) {
  return hex(XXH3_128bits(bytes.data(), bytes.size()));
}

std::string checksum(const std::string& path) {
  std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(),
                                                                        XXH3_freeState);
  XXH3_128bits_reset(state.get());
  read_pieces(path, [&](std::string_view piece) {
    XXH3_128bits_update(state.get(), piece.data(), piece.size());
  });
  return hex(XXH3_128bits_digest(state.get()));
}

size_t find_invalid_utf8(std::string_view text) {
  for (size_t i = 0, n; i < text.size(); i += n)
    if ((n = character_size(text.substr(i))) == 0) return i;
  return std::string_view::npos;
}

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  size_t begin = 0;
  for (size_t i = 0, n; i < text.size(); i += n) {
    n = std::max<size_t>(1, character_size(text.substr(i)));
    if (!is_space(character_at(text.substr(i, n)))) continue;
    if (i > begin) words.push_back(text.substr(begin, i - begin));
    begin = i + n;
  }
  if (begin < text.size()) words.push_back(text.substr(begin));
  return words;
}

std::u32string characters_of(std::string_view text) {
  std::u32string characters;
  for (size_t i = 0, n; i < text.size(); i += n) {
    n = std::max<size_t>(1, character_size(text.substr(i)));
    characters.push_back(character_at(text.substr(i, n)));
  }
  return characters;
}

size_t count_characters(std::string_view text) {
  size_t n = 0;
  for (char c : text) n += (c & 0xC0) != 0x80;
  return n;
}

std::string join(const std::vector<std::string>& names) {
  std::string list;
  for (const std::string& name : names) {
    if (!list.empty()) list += ", ";
    list += name;
  }
  return list;
}

}  // namespace retort
