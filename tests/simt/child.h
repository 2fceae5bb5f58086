// Runs a piece of a test in a child process, to see how it dies.
#pragma once
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <string>

#include "simt.h"

/// How a child ended and what it wrote to stderr.
struct Child {
  int signal = 0, status = 0;
  std::string output;

  template <class F>
  explicit Child(F run) {
    int ends[2];
    REQUIRE(pipe(ends) == 0);
    pid_t pid = fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      dup2(ends[1], 2);
      std::signal(SIGABRT, SIG_DFL);  // not Catch's handler
      simt::options().workers = 1;    // OpenMP's threads do not survive a fork
      _exit(run());
    }
    close(ends[1]);
    char buffer[4096];
    for (ssize_t n; (n = read(ends[0], buffer, sizeof buffer)) > 0;)
      output.append(buffer, size_t(n));
    close(ends[0]);
    int ended;
    waitpid(pid, &ended, 0);
    if (WIFSIGNALED(ended)) signal = WTERMSIG(ended);
    if (WIFEXITED(ended)) status = WEXITSTATUS(ended);
  }
  /// By a signal, or by the report of ASan (1) or TSan (66).
  bool died() const { return signal == SIGABRT || status == 1 || status == 66; }
  bool says(const std::string& text) const { return output.find(text) != std::string::npos; }
};
