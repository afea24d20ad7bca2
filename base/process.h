// A child process with our standard streams and an environment of its own.
#pragma once

#include <uv.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/loop.h"
#include "base/result.h"

namespace wiretape {

class Process {
 public:
  // exit_status as a shell would tell it: the process's own, or 128 + the signal's number.
  using OnExit = std::function<void(int exit_status)>;

  struct CannotStart {
    bool not_found = false;  // else: found, but cannot be executed
    std::string message;     // empty: nothing is in the way
  };

  // Looks for the program as start() would, without starting it.
  static CannotStart why_it_cannot_start(const std::string& program);

  // Starts arguments[0], found by PATH, with `environment` added to ours. Returns the process, or
  // why it could not be started.
  static std::unique_ptr<Process> start(
      Loop& loop, const std::vector<std::string>& arguments,
      const std::vector<std::pair<std::string, std::string>>& environment, OnExit on_exit,
      CannotStart* error);
  ~Process();  // does not end the child
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  bool running() const;
  void signal(int number);  // no effect once it has ended

 private:
  struct State {
    uv_process_t handle;
    OnExit on_exit;
    bool running = false;
  };
  explicit Process(State* state) : state_(state) {}
  State* state_;  // outlives the Process until libuv has let go of the handle
};

}  // namespace wiretape
