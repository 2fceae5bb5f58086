#include "distill/progress.h"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>

namespace retort {

std::string clock_text(double seconds) {
  long s = std::max(0L, long(seconds + 0.5));
  if (s >= 3600) return fmt::format("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60);
  return fmt::format("{}:{:02}", s / 60, s % 60);
}

std::string thousands(double number) {
  std::string s = fmt::format("{:.0f}", number);
  for (int i = int(s.size()) - 3; i > (s[0] == '-' ? 1 : 0); i -= 3) s.insert(size_t(i), ",");
  return s;
}

Progress::Progress(std::string name, long total, long first, long every)
    : name_(std::move(name)),
      total_(total),
      first_(first),
      every_(every),
      terminal_(isatty(STDOUT_FILENO)),
      start_(std::chrono::steady_clock::now()),
      drawn_(start_) {}

void Progress::update(long step, const std::string& note) {
  auto now = std::chrono::steady_clock::now();
  double spent = std::chrono::duration<double>(now - start_).count();
  double left = step > first_ ? spent / double(step - first_) * double(total_ - step) : 0;
  std::string figures = fmt::format("{}  left {}", note, clock_text(left));
  if (terminal_) {
    if (open_ && step < total_ && now - drawn_ < std::chrono::milliseconds(100)) return;
    int filled = int(24 * step / std::max(1L, total_));
    fmt::print("\r{} [{}{}] {}/{}  {}\033[K", name_, std::string(size_t(filled), '#'),
               std::string(size_t(24 - filled), '.'), step, total_, figures);
    open_ = true, drawn_ = now;
  } else if ((every_ && step % every_ == 0) || step == total_) {
    fmt::print("{} {}/{}  {}\n", name_, step, total_, figures);
  }
  std::fflush(stdout);
}

void Progress::finish() {
  if (open_) fmt::print("\n");
  open_ = false;
}

struct sigaction handle(int signal, void (*handler)(int)) {
  static char memory[1 << 16];
  stack_t stack{};
  stack.ss_sp = memory, stack.ss_size = sizeof memory;
  sigaltstack(&stack, nullptr);
  struct sigaction action, before;
  std::memset(&action, 0, sizeof action);
  action.sa_handler = handler, action.sa_flags = SA_ONSTACK | SA_RESTART;
  sigaction(signal, &action, &before);
  return before;
}

namespace {
volatile std::sig_atomic_t signals = 0;
void on_signal(int) {
  if (signals) _exit(130);
  signals = 1;
}
}  // namespace

bool interrupted() {
  static bool installed = [] {
    for (int number : {SIGINT, SIGTERM, SIGHUP}) {
      struct sigaction before = handle(number, on_signal);
      if (number == SIGHUP && before.sa_handler == SIG_IGN)  // nohup
        sigaction(number, &before, nullptr);
    }
    return true;
  }();
  return installed && signals;
}

}  // namespace retort
