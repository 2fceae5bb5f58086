#include "distill/metrics_log.h"

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "data/text.h"

namespace retort {

MetricsLog::MetricsLog(std::string path, long last_step, const std::string& events)
    : path_(std::move(path)) {
  std::vector<Json> there;
  if (std::filesystem::exists(path_)) {
    std::istringstream lines(read_file(path_));
    std::string kept;
    for (std::string line; std::getline(lines, line);) {
      Json j = Json::parse(line, nullptr, false);
      if (j.is_object() && j.contains("step") && j["step"].is_number_integer() &&
          j["step"].get<long>() <= last_step)
        kept += line + "\n", there.push_back(std::move(j));
    }
    write_file_atomically(path_, kept);
  }
  file_ = std::fopen(path_.c_str(), "a");
  if (!file_)
    throw std::runtime_error(path_ + ": cannot be opened for writing: " + std::strerror(errno));
  if (!events.empty()) events_ = std::make_unique<EventFile>(events, there);
}

MetricsLog::~MetricsLog() { std::fclose(file_); }

void MetricsLog::write(const Json& line) {
  std::string text = line.dump() + "\n";
  if (std::fwrite(text.data(), 1, text.size(), file_) != text.size() || std::fflush(file_))
    throw std::runtime_error(path_ + ": cannot be written: " + std::strerror(errno));
  if (events_) events_->write(line);
}

}  // namespace retort
