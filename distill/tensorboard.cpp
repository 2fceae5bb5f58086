#include "distill/tensorboard.h"

#include <boost/crc.hpp>
#include <cerrno>
#include <cstring>

#include "data/text.h"
#include "distill/tensorboard.pb.h"

namespace retort {
namespace {

// Little-endian, as x86 and ARM have it.
template <class T>
std::string bytes_of(T number) {
  return {reinterpret_cast<const char*>(&number), sizeof number};
}

std::string masked_crc(const std::string& bytes) {
  boost::crc_optimal<32, 0x1edc6f41, 0xffffffff, 0xffffffff, true, true> castagnoli;
  castagnoli.process_bytes(bytes.data(), bytes.size());
  uint32_t crc = castagnoli.checksum();
  return bytes_of<uint32_t>((crc >> 15 | crc << 17) + 0xa282ead8);
}

std::string framed(const tensorboard::Event& event) {
  std::string message = event.SerializeAsString(), length = bytes_of<uint64_t>(message.size());
  return length + masked_crc(length) + message + masked_crc(message);
}

// Numbers by their key; of a table under its name.
void add_numbers(const Json& table, const std::string& above, tensorboard::Summary& summary) {
  for (const auto& [key, value] : table.items()) {
    std::string tag = above + key;
    if (value.is_object()) add_numbers(value, tag + "/", summary);
    if (!value.is_number() || tag == "step") continue;
    tensorboard::Value& one = *summary.add_value();
    one.set_tag(tag), one.set_simple_value(value.get<float>());
  }
}

}  // namespace

std::string events_path(const std::string& folder) {
  return folder + "/events.out.tfevents.retort";
}

EventFile::EventFile(std::string path, const std::vector<Json>& lines) : path_(std::move(path)) {
  tensorboard::Event version;
  version.set_file_version("brain.Event:2");
  std::string all = framed(version);
  for (const Json& line : lines) all += record(line);
  write_file_atomically(path_, all);
  file_ = std::fopen(path_.c_str(), "ab");
  if (!file_)
    throw std::runtime_error(path_ + ": cannot be opened for writing: " + std::strerror(errno));
}

EventFile::~EventFile() { std::fclose(file_); }

std::string EventFile::record(const Json& line) {
  tensorboard::Event event;
  if (auto s = line.find("seconds"); s != line.end() && s->is_number())
    seconds_ += s->get<double>();
  event.set_wall_time(seconds_), event.set_step(line.at("step").get<long>());
  add_numbers(line, "", *event.mutable_summary());
  return framed(event);
}

void EventFile::write(const Json& line) {
  std::string text = record(line);
  if (std::fwrite(text.data(), 1, text.size(), file_) != text.size() || std::fflush(file_))
    throw std::runtime_error(path_ + ": cannot be written: " + std::strerror(errno));
}

}  // namespace retort
