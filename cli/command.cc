// Finds the subcommand and runs it. The table below is the program's table of contents: what is
// not in it does not exist, and what the contract names but this version lacks is said to be so.
#include "cli/command.h"

#include <algorithm>
#include <cstdio>

#include "base/log.h"
#include "cli/values.h"

namespace wiretape {
namespace {

constexpr Command command_table[] = {
    {"record", "record what passes between clients and a server", record_main},
    {"replay", "play a tape's requests again against another server, and compare", replay_main},
    {"show", "list what is on a tape, or print one connection", show_main},
    {"stat", "count what is on a tape", stat_main},
    {"verify", "check whether a tape is whole, and say what is missing", verify_main},
    {"completion", "print the completion script of bash, zsh or fish", completion_main},
    {"help", "explain a subcommand, or print the manual page", help_main},
};

constexpr std::string_view not_built[] = {"export", "import", "capture", "serve"};

std::string program_help() {
  std::string text =
      "usage: wiretape COMMAND [options]\n\n"
      "Records the TCP traffic between clients and a server, byte for byte with its times, and "
      "replays it.\n\n"
      "examples:\n"
      "  wiretape record --listen :8080 --upstream 127.0.0.1:3000 -o session.tape\n"
      "  wiretape replay session.tape --target 127.0.0.1:3001\n\n"
      "commands:\n";
  for (const Command& command : command_table) {
    text += fmt::format("  {:12}{}\n", command.name, command.purpose);
  }
  return text +
         "\noptions:\n"
         "  -h, --help    print this and stop\n"
         "  --version     print the version and stop\n\n"
         "wiretape COMMAND --help says more about each.\n"
         "Exit status: 0 done; 1 something differs or is missing; 2 usage; 3 could not do it.\n";
}

int refuse_command(const std::string& name) {
  const bool later =
      std::find(std::begin(not_built), std::end(not_built), name) != std::end(not_built);
  if (later) {
    fail("{} is not in this version", name);
    return exit_status::usage;
  }
  std::vector<std::string> names;
  for (const Command& command : command_table) names.emplace_back(command.name);
  names.emplace_back("--version");
  const std::string near(closest_match(name, names));
  const std::string hint =
      near.empty() ? "see wiretape --help" : fmt::format("did you mean {}?", near);
  fail("unknown {} {} ({})", name.starts_with('-') ? "flag" : "command", name, hint);
  return exit_status::usage;
}

int print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
  return exit_status::done;
}

}  // namespace

std::span<const Command> commands() {
  return command_table;
}

int run_command_line(const Arguments& arguments) {
  if (arguments.empty()) {
    std::fputs(program_help().c_str(), stderr);
    return exit_status::usage;
  }
  const std::string& first = arguments.front();
  const Arguments rest(arguments.begin() + 1, arguments.end());
  if (first == "--help" || first == "-h") return print(program_help());
  if (first == "--version") return print("wiretape " WIRETAPE_VERSION "\n");
  for (const Command& command : command_table) {
    if (command.name == first) return command.run(rest);
  }
  return refuse_command(first);
}

}  // namespace wiretape
