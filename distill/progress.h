// What a person sees while a run goes on: one line that is redrawn on a terminal, plain lines
// otherwise.
#pragma once
#include <chrono>
#include <csignal>
#include <string>

namespace retort {

class Progress {
 public:
  /// `every`: a plain line each so many steps where standard output is no terminal; 0: at the end.
  Progress(std::string name, long total, long first, long every);
  /// After step `step` (1-based) of the total. `note` holds the figures, "loss 3.21  9,876
  /// tokens/s".
  void update(long step, const std::string& note);
  /// Ends the redrawn line; safe to call twice.
  void finish();

 private:
  std::string name_;
  long total_, first_, every_;
  bool terminal_, open_ = false;
  std::chrono::steady_clock::time_point start_, drawn_;
};

/// "1:02:03" or "2:03".
std::string clock_text(double seconds);
/// "12,345".
std::string thousands(double number);

/// Has `handler` called when a signal arrives, on a stack of its own, and returns what was there.
/// oneDNN's products (2.6) keep numbers below the stack pointer: a handler on their stack would
/// write over them, and the heap be damaged. Signals to a process go to its main thread, which has
/// to call this.
struct sigaction handle(int signal, void (*handler)(int));

/// True once SIGINT, SIGTERM or SIGHUP arrived; the first call installs the handlers. A second
/// signal ends at once.
bool interrupted();

/// Thrown after an interrupted run saved its checkpoint; main prints it and exits with 130.
struct Interrupted {
  std::string message;
};

}  // namespace retort
