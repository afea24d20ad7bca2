// uv_spawn with an owner. The child gets our standard streams, so that a test run under
// `wiretape record -- COMMAND` prints and reads as it would without us, and stays in our process
// group, so that Ctrl-C reaches it too.
#include "base/process.h"

#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <map>
#include <sstream>
#include <string_view>

#include "base/descriptors.h"

namespace wiretape {
namespace {

// Ours, with those of `more` added or in place of their namesakes.
std::vector<std::string> merged_environment(
    const std::vector<std::pair<std::string, std::string>>& more) {
  std::map<std::string, std::string> all;
  for (char** e = environ; *e != nullptr; ++e) {
    const std::string_view entry = *e;
    const size_t equals = entry.find('=');
    if (equals != std::string_view::npos) all[std::string(entry.substr(0, equals))] = entry;
  }
  for (const auto& [name, value] : more) all[name] = fmt::format("{}={}", name, value);
  std::vector<std::string> entries;
  entries.reserve(all.size());
  for (const auto& [name, entry] : all) entries.push_back(entry);
  return entries;
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> all;
  all.reserve(texts.size() + 1);
  for (const std::string& text : texts) all.push_back(const_cast<char*>(text.c_str()));
  all.push_back(nullptr);
  return all;
}

}  // namespace

Process::CannotStart Process::why_it_cannot_start(const std::string& program) {
  const auto executable = [](const std::string& path) {
    struct stat info {};
    return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
           ::access(path.c_str(), X_OK) == 0;
  };
  const auto there = [](const std::string& path) { return ::access(path.c_str(), F_OK) == 0; };
  bool found = false;
  if (program.find('/') != std::string::npos) {
    if (executable(program)) return {};
    found = there(program);
  } else {
    const char* path = std::getenv("PATH");
    std::istringstream folders(path != nullptr ? path : "/usr/local/bin:/usr/bin:/bin");
    for (std::string folder; std::getline(folders, folder, ':');) {
      const std::string candidate = (folder.empty() ? "." : folder) + "/" + program;
      if (executable(candidate)) return {};
      found = found || there(candidate);
    }
  }
  return {!found, fmt::format("cannot run {}: {}", program,
                              found ? "it may not be executed (is it a program?)"
                                    : "command not found (is it in the PATH?)")};
}

std::unique_ptr<Process> Process::start(
    Loop& loop, const std::vector<std::string>& arguments,
    const std::vector<std::pair<std::string, std::string>>& environment, OnExit on_exit,
    CannotStart* error) {
  const std::vector<std::string> variables = merged_environment(environment);
  std::vector<char*> argv = pointers(arguments);
  std::vector<char*> envp = pointers(variables);
  uv_stdio_container_t stdio[3];
  for (int i = 0; i < 3; ++i) {
    stdio[i].flags = UV_INHERIT_FD;
    stdio[i].data.fd = i;
  }
  uv_process_options_t options{};
  options.file = argv[0];
  options.args = argv.data();
  options.env = envp.data();
  options.stdio = stdio;
  options.stdio_count = 3;
  options.exit_cb = [](uv_process_t* handle, int64_t status, int signal) {
    State& state = *static_cast<State*>(handle->data);
    state.running = false;
    const OnExit callback = state.on_exit;
    if (callback) callback(signal != 0 ? 128 + signal : static_cast<int>(status));
  };

  auto* state = new State{{}, std::move(on_exit), false};
  state->handle.data = state;
  const OriginalDescriptorLimit limit;
  const int status = uv_spawn(loop.raw(), &state->handle, &options);
  state->running = status == 0;
  auto process = std::unique_ptr<Process>(new Process(state));
  if (status == 0) return process;
  *error = {status == UV_ENOENT,
            fmt::format("cannot run {}: {}", arguments[0],
                        status == UV_ENOENT ? "command not found" : uv_strerror(status))};
  return nullptr;
}

Process::~Process() {
  state_->on_exit = nullptr;
  uv_close(reinterpret_cast<uv_handle_t*>(&state_->handle),
           [](uv_handle_t* handle) { delete static_cast<State*>(handle->data); });
}

bool Process::running() const {
  return state_->running;
}

void Process::signal(int number) {
  if (state_->running) uv_process_kill(&state_->handle, number);
}

}  // namespace wiretape
